# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The files in config/: every option, with its default and what is said about it."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import shutil
import subprocess
from typing import Any

from fdr_recorder import FdrConfig
from fdr_recorder.cli import offload
from fdr_recorder.config import OPTIONS
from fdr_recorder.config_base import Options
from fdr_recorder.node.gcs_bridge.config import BridgeConfig
from fdr_recorder.node.trigger.config import TriggerConfig
from fdr_recorder.parameter_file import read_parameter_file
from fdr_recorder.topics.selection import TopicSelection
import pytest
import yaml

DIRECTORY = Path(__file__).resolve().parents[1] / 'config'
FILES: dict[str, tuple[Options, type[FdrConfig | TriggerConfig | BridgeConfig]]] = {
    'recorder': (OPTIONS, FdrConfig),
    'flight_trigger': (TriggerConfig.options(), TriggerConfig),
    'gcs_bridge': (BridgeConfig.options(), BridgeConfig),
}
VEHICLES: dict[str, tuple[str, ...]] = {
    'px4': tuple(
        f'{namespace}/fmu/{topic}'
        for namespace in ('', '/drone_1')
        for topic in (
            'out/register_ext_component_reply', 'out/arming_check_request_v1',
            'out/battery_status_v1', 'out/failsafe_flags', 'out/home_position_v1',
            'out/position_setpoint_triplet', 'out/sensor_combined', 'out/timesync_status',
            'out/vehicle_attitude', 'out/vehicle_command_ack_v1', 'out/vehicle_global_position',
            'out/vehicle_gps_position', 'out/vehicle_local_position', 'out/vehicle_odometry',
            'out/vehicle_status', 'out/vehicle_status_v1', 'in/offboard_control_mode',
            'in/trajectory_setpoint', 'in/vehicle_command', 'in/vehicle_visual_odometry',
        )
    ),
    'mavros': tuple(
        f'/mavros/{topic}'
        for topic in (
            'altitude', 'battery', 'estimator_status', 'extended_state', 'global_position/global',
            'global_position/local', 'global_position/raw/fix', 'gpsstatus/gps1/raw',
            'home_position/home', 'imu/data', 'imu/data_raw', 'imu/mag', 'imu/static_pressure',
            'local_position/odom', 'local_position/pose', 'local_position/velocity_local',
            'mission/reached', 'mission/waypoints', 'nav_controller_output/output',
            'radio_status', 'rc/in', 'rc/out', 'setpoint_position/local',
            'setpoint_raw/local', 'setpoint_raw/target_attitude',
            'setpoint_velocity/cmd_vel_unstamped', 'state', 'status_event', 'statustext/recv',
            'statustext/send', 'sys_status', 'time_reference', 'timesync_status', 'vfr_hud',
            'wind_estimation',
        )
    ),
}  # fmt: skip
"""Files that have only what differs for a kind of vehicle; topics that such a one publishes."""
EVERYWHERE = ('/tf', '/tf_static', '/robot_description', '/diagnostics', '/rosout')
NOT_OF_VEHICLES = (
    '/camera/image_raw', '/fmu/other', '/tf_static_2', '/mavros/param/event', '/mavros/hil/gps',
    '/mavros/debug_value/debug_vector', '/uas1/mavlink_source', '/mavros_node/x', '/fdr/alert',
)  # fmt: skip
EACH_FILE = pytest.mark.parametrize('file', FILES)
EACH_OPTION = pytest.mark.parametrize(
    ('file', 'name'), [(file, name) for file, (options, _) in FILES.items() for name in options]
)


def read_text(file: str) -> str:
    return (DIRECTORY / f'{file}.yaml').read_text(encoding='utf-8')


def flatten(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return values by dotted name, as ROS 2 reads nested parameters."""
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            values |= flatten(value, f'{prefix}{name}.')
        else:
            values[prefix + name] = value
    return values


def read_values(file: str) -> dict[str, Any]:
    content = yaml.safe_load(read_text(file))
    assert list(content) == ['/**']  # any node name, in any namespace
    assert list(content['/**']) == ['ros__parameters']
    return flatten(content['/**']['ros__parameters'])


def read_comments(file: str) -> list[tuple[str, str]]:
    """Return name and comment of each option, in the order of the file."""
    found: list[tuple[str, str]] = []
    group, comment = '', ''
    for line in read_text(file).splitlines():
        said = re.fullmatch(r' +# (.*)', line)
        named = re.match(r'( {4}| {6})(\w+):', line)
        if said:
            comment = f'{comment} {said[1]}'.lstrip()
            continue
        if named and line.endswith(':'):
            group = f'{named[2]}.'
        elif named:
            found.append((group * (len(named[1]) == 6) + named[2], comment))
        comment = ''
    return found


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in DIRECTORY.glob('*.yaml')} == {*FILES, *VEHICLES}


@pytest.mark.parametrize('file', VEHICLES)
def test_a_file_for_a_vehicle_names_its_topics_and_no_others(file: str) -> None:
    options = read_parameter_file(DIRECTORY / f'{file}.yaml')
    config = FdrConfig.from_options(options)
    assert config != FdrConfig()
    assert set(options) <= set(OPTIONS)
    selection = TopicSelection(config)
    left_out = [
        topic for topic in (*VEHICLES[file], *EVERYWHERE) if not selection.wants(topic, 'a/msg/B')
    ]
    assert not left_out
    assert not [topic for topic in NOT_OF_VEHICLES if selection.wants(topic, 'a/msg/B')]
    assert set(selection.required) <= set(VEHICLES[file])


@EACH_FILE
def test_it_has_every_option_once_and_no_other(file: str) -> None:
    assert [name for name, _ in read_comments(file)] == list(read_values(file))
    assert set(read_values(file)) == set(FILES[file][0])


@EACH_FILE
def test_its_values_are_the_defaults(file: str) -> None:
    _, config = FILES[file]
    assert config.from_options(read_values(file)) == config()


@EACH_OPTION
def test_a_value_is_spelled_so_that_ros_reads_the_right_type(file: str, name: str) -> None:
    default, _ = FILES[file][0][name]
    value = read_values(file)[name]
    if isinstance(default, tuple):
        assert value == (list(default) or [''])  # ROS 2 reads [] as no value at all
    else:
        assert type(value) is type(default)  # 1 is no double, and 1.0 no integer


@EACH_OPTION
def test_its_comment_begins_with_the_description(file: str, name: str) -> None:
    _, option = FILES[file][0][name]
    comment = dict(read_comments(file))[name]
    assert comment.startswith(option.description)
    assert all(choice in comment for choice in option.choices)
    assert comment.endswith(' Live.') == (option.changeable == 'always')


def test_the_service_runs_the_recorder_and_stops_it_in_time() -> None:
    unit = (DIRECTORY / 'fdr-recorder.service').read_text(encoding='utf-8')
    settings = dict(re.findall(r'^(\w+)=(.*)$', unit, re.MULTILINE))
    assert ' -m fdr_recorder.node --ros-args ' in settings['ExecStart']
    parameters = dict(re.findall(r'-p (\S+):=(\S+)', settings['ExecStart'].rstrip("'")))
    options = {name: yaml.safe_load(value) for name, value in parameters.items()}
    assert FdrConfig.from_options(options).autostart
    assert options['flight_root'] == f'/var/lib/{settings["StateDirectory"]}'
    assert int(settings['TimeoutStopSec']) > 5, 'it may need so long where the disk hangs'
    memory = FdrConfig().ring.total_bytes
    assert settings['MemoryMax'] == '1G'
    assert memory <= 2**30 // 2


def test_the_service_that_offloads_gives_way_and_may_do_little() -> None:
    unit = (DIRECTORY / 'fdr-offload.service').read_text(encoding='utf-8')
    settings = dict(re.findall(r'^(\w+)=(.*)$', unit, re.MULTILINE))
    words = settings['ExecStart'].rstrip("'").partition(' -m fdr_recorder.cli ')[2].split()
    parser = argparse.ArgumentParser()
    offload.add_arguments(parser)
    args = parser.parse_args([*words[1:2], 's3://flights', *words[2:]])
    assert (words[0], args.watch, args.low_priority, args.rate_limit > 0) == (
        'offload', True, True, True,
    )
    assert settings['ReadWritePaths'] == args.source
    assert settings['IOSchedulingClass'] == settings['CPUSchedulingPolicy'] == 'idle'
    assert settings['ProtectSystem'] == 'strict'
    assert settings['NoNewPrivileges'] == 'yes'
    assert settings['EnvironmentFile'].startswith('/etc/')
    assert 'AWS_SECRET' not in unit


@pytest.mark.parametrize('name', ['fdr-recorder', 'fdr-offload'])
@pytest.mark.skipif(
    shutil.which('systemd-analyze') is None, reason='systemd-analyze is not installed'
)
def test_systemd_finds_nothing_wrong_with_the_service(name: str, tmp_path: Path) -> None:
    text = (DIRECTORY / f'{name}.service').read_text(encoding='utf-8')
    unit = tmp_path / f'{name}.service'
    unit.write_text(text.replace('User=ros', 'User=root'))  # one that every machine has
    said = subprocess.run(
        ['systemd-analyze', 'verify', str(unit)], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, '')
