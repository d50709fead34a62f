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
Start the flight data recorder: one process, the lifecycle node `fdr_recorder`.

It records after `ros2 lifecycle set /fdr_recorder configure` and `activate`, or at once with
`autostart:=true`. Ctrl-C closes the flight before the launch ends. With `respawn:=true` a recorder
that has died is started again; its next configure recovers the flight that it died in.

With `gcs_endpoint:=udpout:HOST:14550` the pilot's ground station is told what it does, by the node
`gcs_bridge`, which is started again whenever it ends.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Seconds that the recorder has to close its flight; usually it needs a fraction of one.
SIGTERM_AFTER_S = '15'
SIGKILL_AFTER_S = '15'


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the recorder with them."""
    own_params_file = PathJoinSubstitution(
        [FindPackageShare('fdr_recorder'), 'config', 'recorder.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=own_params_file,
                description='Parameter file of the recorder.',
            ),
            DeclareLaunchArgument(
                'flight_root',
                default_value='',
                description='Directory that holds all flights of this vehicle; it must exist. '
                'Empty: what the parameter file says.',
            ),
            DeclareLaunchArgument(
                'namespace',
                default_value='',
                description='Namespace of the node, and of topics without a leading slash.',
            ),
            DeclareLaunchArgument(
                'autostart',
                default_value='',
                choices=['', 'true', 'false'],
                description='Whether to configure and activate, that is to record, at once. '
                'Empty: what the parameter file says.',
            ),
            DeclareLaunchArgument(
                'metadata',
                default_value='',
                description='What is to be known of the flights, as key=value; several with a '
                'semicolon between them: "pilot=Ann; site=North field". Empty: what the parameter '
                'file says.',
            ),
            DeclareLaunchArgument(
                'respawn',
                default_value='false',
                choices=['true', 'false'],
                description='Whether to start the recorder again whenever it ends, until the '
                'launch does.',
            ),
            DeclareLaunchArgument(
                'respawn_delay',
                default_value='1.0',
                description='Seconds between its end and its start.',
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                description='debug, info, warn, error or fatal; '
                'of the node alone with fdr_recorder:=debug.',
            ),
            DeclareLaunchArgument(
                'gcs_endpoint',
                default_value='',
                description='Where the ground station is told what the recorder does: '
                'udpout:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT, serial:DEVICE:BAUD, or mavros. '
                'Empty: nowhere.',
            ),
            DeclareLaunchArgument(
                'gcs_params_file',
                default_value=PathJoinSubstitution(
                    [FindPackageShare('fdr_recorder'), 'config', 'gcs_bridge.yaml']
                ),
                description='Parameter file of the bridge to the ground station.',
            ),
            OpaqueFunction(function=_start_recorder),
            OpaqueFunction(function=_start_bridge),
        ]
    )


def _start_recorder(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Start the process, now that the values of the arguments are known."""
    return [
        LifecycleNode(
            package='fdr_recorder',
            executable='recorder',
            name='fdr_recorder',
            namespace=LaunchConfiguration('namespace'),
            parameters=_parameters(context),
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
            respawn=LaunchConfiguration('respawn'),
            respawn_delay=float(LaunchConfiguration('respawn_delay').perform(context)),
            sigterm_timeout=SIGTERM_AFTER_S,
            sigkill_timeout=SIGKILL_AFTER_S,
        )
    ]


def _start_bridge(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Start the bridge to the ground station, if there is one to tell."""
    endpoint = LaunchConfiguration('gcs_endpoint').perform(context)
    if not endpoint:
        return []
    params_file = _file(context, 'gcs_params_file')
    way = {'output': 'mavros'} if endpoint == 'mavros' else {'endpoint': endpoint}
    return [
        Node(
            package='fdr_recorder',
            executable='gcs_bridge',
            name='gcs_bridge',
            namespace=LaunchConfiguration('namespace'),
            parameters=[params_file, way],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
            respawn=True,
            respawn_delay=1.0,
        )
    ]


def _file(context: LaunchContext, argument: str) -> Path:
    """
    Return the file that an argument names.

    Raises:
        FileNotFoundError: There is no such file. A node would only warn, and use its defaults.

    """
    path = Path(LaunchConfiguration(argument).perform(context)).expanduser()
    if not path.is_file():
        message = f'{argument}: {path} is not a file'
        raise FileNotFoundError(message)
    return path


def _parameters(
    context: LaunchContext,
) -> list[Path | dict[str, ParameterValue | bool | list[str]]]:
    """Return the parameter file, and the arguments that override it."""
    params_file = _file(context, 'params_file')
    given: dict[str, ParameterValue | bool | list[str]] = {}
    flight_root = LaunchConfiguration('flight_root').perform(context)
    if flight_root:
        given['flight_root'] = ParameterValue(flight_root, value_type=str)
    autostart = LaunchConfiguration('autostart').perform(context)
    if autostart:
        given['autostart'] = autostart == 'true'
    metadata = LaunchConfiguration('metadata').perform(context)
    if metadata:
        given['metadata'] = [part.strip() for part in metadata.split(';') if part.strip()]
    return [params_file, given]
