# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The launch files, when they really run."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import socket

from fdr_recorder import FdrConfig
from fdr_recorder.flights.flight_reader import FlightReader
from ground import DiagnosticStatus, Ground, own_ground
from launch_process import check_flight_on_disk, flights, fly, Launch, launch_directory
import pytest
from std_msgs.msg import Bool
import yaml

TWO_RECORDERS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    # In a group each: what is given to one is not the default of the other.
    return LaunchDescription([
        GroupAction([
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(LaunchConfiguration('recorder_file')),
                launch_arguments={
                    'namespace': name,
                    'flight_root': [LaunchConfiguration('roots'), '/', name],
                    'params_file': LaunchConfiguration('params_file'),
                    **more,
                }.items(),
            )
        ])
        for name, more in (('left', {'autostart': 'true'}), ('right', {}))
    ])
"""


@pytest.fixture
def ground() -> Iterator[Ground]:
    launch_directory()
    with own_ground() as ground:
        yield ground


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    """Return a parameter file for two topics, on a disk of any size."""
    values = {
        'flight_root': '/there/is/no/such/root',
        'topics': ['chatter', 'news'],
        'writer': {'flush_interval_s': 0.05, 'min_free_bytes': 0, 'reserve_bytes': 0},
    }
    path = tmp_path / 'vehicle.yaml'
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
    return path


def kill_recorder(root: Path) -> None:
    """Kill whoever owns the flight root."""
    os.kill(json.loads((root / '.fdr.lock').read_text())['pid'], signal.SIGKILL)


def test_autostart_records_and_an_interrupt_completes_the_flight(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    arguments = {'params_file': params_file, 'flight_root': root, 'autostart': 'true'}
    with Launch(ground, tmp_path, **arguments) as launch:
        launch.wait_for('active')
        fly(ground, root, '/chatter')
        launch.interrupt()
        check_flight_on_disk(root, '/chatter')


def test_autostart_is_for_the_first_time_only(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    arguments = {'params_file': params_file, 'flight_root': root, 'autostart': 'true'}
    with Launch(ground, tmp_path, **arguments) as launch:
        launch.wait_for('active')
        fly(ground, root, '/chatter')
        launch.make('deactivate', 'cleanup', 'configure')
        seen = len(ground.arrays)
        ground.wait_until(lambda: len(ground.arrays) > seen + 3, 'three more seconds of summaries')
        assert launch.state() == 'inactive'
        launch.interrupt()
        check_flight_on_disk(root, '/chatter')


def test_without_autostart_it_waits_for_its_transitions(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    node = '/drone_7/fdr_recorder'
    arguments = {'params_file': params_file, 'flight_root': root, 'namespace': 'drone_7'}
    with Launch(ground, tmp_path, **arguments) as launch:
        assert launch.state(node) == 'unconfigured'
        launch.make('configure', 'activate', node=node)
        fly(ground, root, '/drone_7/chatter')
        launch.make('deactivate', 'cleanup', node=node)
        launch.interrupt()
        check_flight_on_disk(root, '/drone_7/chatter')


def test_by_itself_it_takes_the_installed_parameter_file(ground: Ground, tmp_path: Path) -> None:
    with Launch(ground, tmp_path) as launch:
        assert FdrConfig.from_options(launch.options()) == FdrConfig()
        launch.interrupt()


def test_a_missing_parameter_file_is_an_error(ground: Ground, tmp_path: Path) -> None:
    with Launch(ground, tmp_path, params_file='missing.yaml') as launch:
        assert launch.wait_for_end() == 1
        assert 'missing.yaml is not a file' in launch.log
        assert not launch.processes()


def test_the_bridge_to_the_ground_is_started_again_whenever_it_ends(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pilot:
        pilot.bind(('127.0.0.1', 0))
        pilot.settimeout(20)
        endpoint = f'udpout:127.0.0.1:{pilot.getsockname()[1]}'
        arguments = {'params_file': params_file, 'flight_root': root, 'gcs_endpoint': endpoint}
        with Launch(ground, tmp_path, **arguments, namespace='drone') as launch:
            for number in (1, 2):
                pilot.recv(4096)
                said = 'is told of /drone/fdr_recorder'
                ground.wait_until(
                    lambda: launch.log.count(said) == number, 'it'  # noqa: B023
                )
                (bridge,) = [line for line in launch.processes() if 'node.gcs_bridge' in line]
                os.kill(int(bridge.split()[0]), signal.SIGKILL)
            launch.interrupt()
            assert 'Traceback' not in launch.log


def test_two_recorders_in_two_namespaces(
    ground: Ground, tmp_path: Path, params_file: Path
) -> None:
    file = tmp_path / 'two.launch.py'
    file.write_text(TWO_RECORDERS)
    left, right = tmp_path / 'left', tmp_path / 'right'
    left.mkdir()
    right.mkdir()
    arguments = {
        'recorder_file': launch_directory() / 'recorder.launch.py',
        'roots': tmp_path,
        'params_file': params_file,
    }
    with Launch(ground, tmp_path, file, **arguments) as launch:
        launch.wait_for('active', '/left/fdr_recorder')
        assert launch.state('/right/fdr_recorder') == 'unconfigured'
        launch.make('configure', 'activate', node='/right/fdr_recorder')
        fly(ground, left, '/left/chatter')
        fly(ground, right, '/right/chatter')
        for side in ('left', 'right'):
            ground.wait_until(
                lambda name=f'{side}/fdr_recorder: summary': any(
                    status.name == name and status.level == DiagnosticStatus.OK
                    for array in ground.arrays
                    for status in array.status
                ),
                f'a good summary of {side}',
            )
        launch.interrupt()
        check_flight_on_disk(left, '/left/chatter')
        check_flight_on_disk(right, '/right/chatter')


def test_the_example_of_a_drone(
    ground: Ground, tmp_path: Path, root: Path, params_file: Path
) -> None:
    """Armed, killed in flight, started again by the launch, and on by the trigger."""
    node = '/drone/fdr_recorder'
    is_armed = False
    armed = ground.node.create_publisher(Bool, '/drone/armed', 10)
    ground.node.create_timer(0.1, lambda: armed.publish(Bool(data=is_armed)))
    arguments = {'params_file': params_file, 'flight_root': root}
    with Launch(ground, tmp_path, 'drone_example.launch.py', **arguments) as launch:
        launch.wait_for('inactive', node)
        is_armed = True
        launch.wait_for('active', node)
        fly(ground, root, '/drone/chatter')
        kill_recorder(root)
        ground.wait_until(lambda: len(flights(root)) == 2, 'the second flight')
        launch.wait_for('active', node)
        fly(ground, root, '/drone/news')  # where the dead one has no subscription in the graph
        launch.interrupt()
        check_flight_on_disk(root, '/drone/news')
        first = FlightReader(flights(root)[0])
        assert sum(item.channel.topic == '/drone/chatter' for item in first.messages()) == 3
        assert first.footer is not None
        assert not first.footer.clean_shutdown
