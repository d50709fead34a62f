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


def test_two_types_at_once(ground: Ground, other: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/state']) as recorder:
        recorder.make('configure', 'activate')
        text = ground.publisher(String, '/state')
        imu = other.publisher(Imu, '/state', recorders=0)
        status = recorder.wait_for_alert('topics', 'type_conflict')
        assert status.level == DiagnosticStatus.WARN
        assert '/state is recorded as std_msgs/msg/String' in status.message
        assert 'sensor_msgs/msg/Imu' in status.message
        text.publish(String(data='still recorded'))
        ground.wait_until(lambda: recorder.stored('/state') == 1, 'it on disk')
        other.node.destroy_publisher(imu)
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    assert are_the_same(flight.of_topic('/state'), [String(data='still recorded')])
    alerts = flight.payloads(AlertRecord)
    assert [(alert.code, alert.raised) for alert in alerts] == [
        ('type_conflict', True),
        ('type_conflict', False),
    ]


def test_the_type_that_most_publishers_have(
    ground: Ground, other: Ground, tmp_path: Path, root: Path
) -> None:
    other.publisher(Imu, '/state', recorders=0)
    texts = [ground.publisher(String, '/state', recorders=0) for _ in range(2)]
    with RecorderProcess(ground, tmp_path, root, topics=['/state']) as recorder:
        recorder.make('configure')
        ground.wait_until(texts[0].get_subscription_count, 'the recorder')
        recorder.wait_for_alert('topics', 'type_conflict')


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
    """The middleware refuses a second type in one process."""
    options = {
        'topics': ['/diagnostics', '/chatter'],
        'exclude_topic_types': ['diagnostic_msgs/msg/DiagnosticArray'],
    }
    with (
        PublisherProcess(ground, tmp_path, '/diagnostics', subscribers=0) as publisher,
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
    ):
        publisher.hear()
        recorder.make('configure', 'activate')
        status = recorder.wait_for_alert('topics', 'type_conflict')
        assert '/diagnostics cannot be subscribed to' in status.message
        ground.publisher(String, '/chatter').publish(String(data='all the same'))
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'the other topic on disk')
        recorder.make('deactivate')
