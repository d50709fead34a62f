# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Topics whose publishers change their type, or do not agree on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fdr_recorder.flights.verify import verify
from fdr_recorder.record.kinds import AlertRecord
from ground import DiagnosticStatus, Ground, serialize_message
from publisher_process import PublisherProcess
import pytest
from recorder_process import are_the_same, RecorderProcess
from sensor_msgs.msg import Imu
from std_msgs.msg import String


@pytest.fixture
def other(ground: Ground) -> Iterator[Ground]:
    """Another participant: the middleware has one type for a topic in each."""
    with Ground(ground.domain_id) as other:
        yield other


def test_a_publisher_that_returns_with_another_type(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/state']) as recorder:
        recorder.make('configure', 'activate')
        text = ground.publisher(String, '/state')
        text.publish(String(data='before'))
        ground.wait_until(lambda: recorder.stored('/state') == 1, 'the first on disk')
        ground.node.destroy_publisher(text)
        recorder.wait_for_summary(lambda values: values['producers'] == '0', 'its end')
        imu = ground.publisher(Imu, '/state')
        imu_data = serialize_message(Imu())  # once: its gaps are left to chance
        imu.publish(imu_data)
        ground.wait_until(lambda: recorder.stored('/state') == 2, 'the second on disk')
        ground.node.destroy_publisher(imu)
        recorder.wait_for_summary(lambda values: values['producers'] == '0', 'its end')
        text = ground.publisher(String, '/state')
        text.publish(String(data='after'))
        ground.wait_until(lambda: recorder.stored('/state') == 3, 'the third on disk')
        recorder.make('deactivate')
    flight = recorder.read_flight()  # `rosbags` and `mcap` read it, both types
    first, second, third = flight.of_topic('/state')
    assert [item.type for item in (first, second, third)] == [
        'std_msgs/msg/String', 'sensor_msgs/msg/Imu', 'std_msgs/msg/String'
    ]  # fmt: skip
    assert 'angular_velocity' in second.definition
    assert are_the_same([first, third], [String(data='before'), String(data='after')])
    assert are_the_same([second], [imu_data])
    assert not verify(flight.path).damage
    assert not flight.payloads(AlertRecord)


def test_only_the_types_that_are_wanted(
    ground: Ground, other: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'topics': ['/state'], 'exclude_topic_types': ['std_msgs/msg/String']}
    for _ in range(2):
        ground.publisher(String, '/state', recorders=0)
    imu = other.publisher(Imu, '/state', recorders=0)
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        ground.wait_until(imu.get_subscription_count, 'the recorder')
        recorder.wait_for_summary(lambda values: True, 'a review')
        assert recorder.statuses('topics')[-1].level == DiagnosticStatus.OK


def test_a_topic_that_the_recorder_itself_has_with_another_type(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {
        'topics': ['/diagnostics'],
        'exclude_topic_types': ['diagnostic_msgs/msg/DiagnosticArray'],
    }
    with (
        PublisherProcess(ground, tmp_path, '/diagnostics') as publisher,
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
    ):
        recorder.make('configure', 'activate')
        publisher.hear()
        assert publisher.ask('publish', 0, 100)
        ground.wait_until(lambda: recorder.stored('/diagnostics') == 100, 'all on disk')
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    assert {item.type for item in flight.of_topic('/diagnostics')} == {'std_msgs/msg/String'}
