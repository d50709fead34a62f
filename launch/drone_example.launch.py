# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
An example of a drone's own launch file: it records a flight whenever the vehicle is armed.

Copy its parts into yours. The flight trigger follows a `std_msgs/Bool` on `<namespace>/armed`;
with `source:=mavros` or `source:=px4` it follows the autopilot. The recorder has no `autostart`:
the trigger configures it at start, and activates it when the vehicle is armed. The command line
cannot change that, although `--show-args` also lists the arguments of `recorder.launch.py`.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Start the recorder and its trigger, in the namespace of the drone."""
    share = FindPackageShare('fdr_recorder')
    arguments = ('params_file', 'flight_root', 'namespace')
    recorder = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([share, 'launch', 'recorder.launch.py'])
        ),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in arguments},
            'autostart': 'false',
            'respawn': 'true',
        }.items(),
    )
    trigger = Node(
        package='fdr_recorder',
        executable='flight_trigger',
        name='flight_trigger',
        namespace=LaunchConfiguration('namespace'),
        parameters=[{'source': LaunchConfiguration('source'), 'post_roll_s': 5.0}],
        output='screen',
        respawn=True,
        respawn_delay=1.0,
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument('namespace', default_value='drone', description='Of the drone.'),
            DeclareLaunchArgument(
                'params_file',
                default_value=PathJoinSubstitution([share, 'config', 'recorder.yaml']),
                description='Parameter file of the recorder.',
            ),
            DeclareLaunchArgument(
                'flight_root',
                default_value='',
                description='Directory that holds all flights; empty: as the parameter file says.',
            ),
            DeclareLaunchArgument(
                'source',
                default_value='bool',
                choices=['bool', 'mavros', 'px4'],
                description='What says that the drone is armed.',
            ),
            # Scoped: what is given to one included file does not become a default of the next.
            GroupAction([recorder], forwarding=True),
            trigger,
        ]
    )
