# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parameters of the node: in the parameter file, and through the parameter services."""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.config import OPTIONS
from flight_check import open_flight_files
from ground import DiagnosticStatus, Ground
from publisher_process import PublisherProcess
import pytest
from rcl_interfaces.msg import ParameterType
from recorder_process import RecorderProcess

WRONG = """\
/**:
  ros__parameters:
    flight_root: ''
    flight_id: ../escape
    vehicle_id: 7
    topics: [/imu, 'not a topic', /fdr/alert]
    exclude: [1, 2]
    required: /imu
    diagnostics_topic: '1/x'
    writer:
      segment_size_bytes: 1
      segment_duration_s: -1.0
      batch_size: many
      chunk_size_bytes: 1048576.0
      flush_interval_s: 61.0
      compression: rar
      on_low_space: panic
      debug_log_per_record: 1
    ring:
      max_records: 0
"""
MISTAKEN = [
    'flight_root',
    'flight_id',
    'vehicle_id',
    'topics',
    'exclude',
    'required',
    'diagnostics_topic',
    'writer.segment_size_bytes',
    'writer.segment_duration_s',
    'writer.batch_size',
    'writer.chunk_size_bytes',
    'writer.flush_interval_s',
    'writer.compression',
    'writer.on_low_space',
    'writer.debug_log_per_record',
    'ring.max_records',
]


@pytest.mark.smoke
def test_every_mistake_in_the_file_is_named_at_once(ground: Ground, tmp_path: Path) -> None:
    with RecorderProcess(ground, tmp_path, parameters=WRONG) as recorder:
        assert not recorder.change_state('configure')
        assert recorder.state() == 'unconfigured'
        status = recorder.wait_for_alert('recorder', 'config_invalid')
        assert status.level == DiagnosticStatus.ERROR
        (line,) = recorder.wait_for_log('configure refused')
        assert f'{len(MISTAKEN)} mistakes in the configuration' in line
        for text in (line, status.message):
            assert [name for name in MISTAKEN if f' {name}: ' not in text] == []
        assert 'Traceback' not in recorder.log


MISSPELT = """\
/**:
  ros__parameters:
    use_sim_time: false
    start_type_description_service: true
    qos_overrides: {/parameter_events: {publisher: {depth: 100}}}
    topcis: [/imu]
    colour: blue
    writer: {segment_size_byte: 1, batch_size: 0}
{name}:
  ros__parameters:
    ring.max_record: 5
another_node:
  ros__parameters:
    rate: 30
"""


def test_every_unknown_parameter_is_named_beside_the_wrong_values(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(
        ground,
        tmp_path,
        parameters=MISSPELT.replace('{name}', 'fdr_recorder'),
        arguments=['-p', f'fligth_root:={root}', '-p', 'exclud:=[]'],
    ) as recorder:
        assert not recorder.change_state('configure')
        said = recorder.wait_for_alert('recorder', 'config_invalid').message
        assert '7 mistakes in the configuration' in said
        for name, meant in {
            'topcis': 'topics',
            'writer.segment_size_byte': 'writer.segment_size_bytes',
            'ring.max_record': 'ring.max_records',
            'fligth_root': 'flight_root',
            'exclud': 'exclude',
        }.items():
            assert f"unknown parameter '{name}'; did you mean '{meant}'?" in said
        assert "unknown parameter 'colour'" in said
        assert 'writer.batch_size: must be' in said


def test_parameters_of_ros_are_no_mistakes(ground: Ground, tmp_path: Path, root: Path) -> None:
    arguments = ['use_sim_time:=false', 'start_type_description_service:=true']
    arguments += ['qos_overrides./parameter_events.publisher.depth:=100']
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        arguments=[word for argument in arguments for word in ('-p', argument)],
    ) as recorder:
        recorder.make('configure')


def test_mistakes_can_be_mended_through_the_services(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(
        ground, tmp_path, root, writer__batch_size='many', writer__flush_interval_s=61.0
    ) as recorder:
        assert not recorder.change_state('configure')
        recorder.wait_for_alert('recorder', 'config_invalid')
        assert not recorder.set('writer.batch_size', 64)
        assert not recorder.set('writer.flush_interval_s', 0.5)
        recorder.make('configure', 'activate', 'deactivate')
        recorder.wait_for_ok('recorder')
        (header,) = recorder.read_flight().of_topic('/fdr/flight_header')
        snapshot = header.payload().config_snapshot  # type: ignore[attr-defined]
        assert 'writer.batch_size: 64\n' in snapshot
        assert 'writer.flush_interval_s: 0.5\n' in snapshot


def test_they_are_listed_and_described(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, vehicle_id='drone-7') as recorder:
        assert recorder.parameter_names() >= set(OPTIONS)
        assert recorder.get('vehicle_id') == 'drone-7'
        assert recorder.get('writer.batch_size') == 512

        described = dict(zip(OPTIONS, recorder.describe(list(OPTIONS)), strict=True))
        for name, (_, option) in OPTIONS.items():
            assert described[name].description == option.description, name
        batch_size = described['writer.batch_size']
        assert batch_size.type == ParameterType.PARAMETER_INTEGER
        (whole,) = batch_size.integer_range
        assert (whole.from_value, whole.to_value) == (1, 1_000_000)
        (real,) = described['writer.flush_interval_s'].floating_point_range
        assert (real.from_value, real.to_value) == (0.01, 60.0)
        assert 'none, lz4, zstd' in described['writer.compression'].additional_constraints
        assert described['topics'].type == ParameterType.PARAMETER_STRING_ARRAY


def test_they_are_changed_only_while_unconfigured(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        assert not recorder.set('vehicle_id', 'drone-8')
        recorder.make('configure')
        inactive = recorder.set('vehicle_id', 'drone-9')
        recorder.make('activate')
        active = recorder.set('vehicle_id', 'drone-9')
        for reason in (inactive, active):
            assert reason.startswith('vehicle_id: ')
            assert 'clean up' in reason
        assert recorder.get('vehicle_id') == 'drone-8'
        recorder.make('deactivate', 'cleanup')
        (header,) = recorder.read_flight().of_topic('/fdr/flight_header')
        assert header.payload().vehicle_id == 'drone-8'  # type: ignore[attr-defined]
        assert not recorder.set('vehicle_id', 'drone-9')


@pytest.mark.smoke
def test_what_is_safe_to_change_changes_in_flight(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {
        'arguments': ['--log-level', 'debug'],
        'topics': ['/chatter'],
        'writer__segment_size_bytes': 16 * 1024,
        'writer__chunk_size_bytes': 2048,
    }
    with (
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
        PublisherProcess(ground, tmp_path, '/chatter', size=1000) as publisher,
    ):
        recorder.make('configure', 'activate')
        publisher.hear()
        publisher.ask('publish', 0, 100)
        (path,) = recorder.flights()
        ground.wait_until(lambda: len(list(path.glob('*.mcap'))) > 4, 'some segments')
        assert 'record /chatter' not in recorder.log
        assert not recorder.set('writer.debug_log_per_record', True)
        assert not recorder.set('writer.flight_cap_bytes', 3 * 16 * 1024)
        publisher.ask('publish', 100, 50)
        recorder.wait_for_alert('capacity', 'segments_dropped')
        ground.wait_until(lambda: len(list(path.glob('*.mcap'))) <= 4, 'few segments')
        ground.wait_until(lambda: 'record /chatter' in recorder.log, 'a logged record')

        assert not recorder.set('writer.min_free_bytes', 2**60)
        recorder.wait_for_alert('disk', 'disk_full')
        publisher.ask('publish', 150, 10)
        recorder.wait_for_summary(
            lambda values: values['degraded'] == 'True', 'nothing is written'
        )
        assert not recorder.set('writer.min_free_bytes', 0)
        recorder.wait_for_ok('disk')
        publisher.ask('publish', 160, 10)
        recorder.make('deactivate')
        footer = open_flight_files(path).footer
        assert footer.records_dropped_write_error == 0, 'they have waited'
        (chatter,) = [item for item in footer.producers if item.topic == '/chatter']
        assert chatter.offered == 170
        recorder.make('activate', 'deactivate')
        second = open_flight_files(recorder.flights()[-1])
        header = second.of_topic('/fdr/flight_header')[0]
        snapshot = header.payload().config_snapshot  # type: ignore[attr-defined]
        assert 'writer.debug_log_per_record: true\n' in snapshot


def test_a_wrong_value_is_refused_when_it_is_set(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    wrong = {
        'writer.batch_size': 0,
        'writer.segment_size_bytes': 'large',
        'writer.flush_interval_s': 0.001,
        'writer.compression': 'rar',
        'flight_id': 'a/b',
        'topics': ['/imu', '9/x'],
    }
    with RecorderProcess(ground, tmp_path, root) as recorder:
        before = {name: recorder.get(name) for name in wrong}
        for name, value in wrong.items():
            assert recorder.set(name, value), name
        assert {name: recorder.get(name) for name in wrong} == before
        recorder.make('configure')


def test_an_empty_list_in_the_file(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(
        ground, tmp_path, root, topics=[], exclude=[], required=[''], manifest_files=[]
    ) as recorder:
        recorder.make('configure', 'activate', 'deactivate', 'cleanup')
        (header,) = recorder.read_flight().of_topic('/fdr/flight_header')
        snapshot = header.payload().config_snapshot  # type: ignore[attr-defined]
        for name in ('topics', 'exclude', 'required', 'manifest_files'):
            assert f'\n{name}: []\n' in f'\n{snapshot}'
        assert not recorder.set('topics', ['/chatter'])
        assert recorder.get('topics') == ['/chatter']
        assert not recorder.set('topics', [''])


def test_a_whole_number_will_do_for_a_real_one(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, writer__flush_interval_s=1) as recorder:
        recorder.make('configure', 'activate', 'deactivate')
        recorder.read_flight()


def test_a_manifest_file_that_is_not_there(ground: Ground, tmp_path: Path, root: Path) -> None:
    manifest = tmp_path / 'firmware.bin'
    with RecorderProcess(ground, tmp_path, root, manifest_files=[str(manifest)]) as recorder:
        assert not recorder.change_state('configure')
        status = recorder.wait_for_alert('recorder', 'config_invalid')
        assert str(manifest) in status.message
        manifest.write_bytes(b'v1')
        recorder.make('configure')
        manifest.unlink()
        assert not recorder.change_state('activate')
        assert recorder.state() == 'inactive'
        assert not recorder.flights()
        manifest.write_bytes(b'v2')
        recorder.make('activate', 'deactivate')
        (header,) = recorder.read_flight().of_topic('/fdr/flight_header')
        hashes = header.payload().manifest_content_hashes  # type: ignore[attr-defined]
        assert list(hashes) == [str(manifest)]
