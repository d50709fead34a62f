# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Topics with several types at once: each is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
import signal
from typing import Any

from fdr_recorder.flights.verify import verify
from fdr_recorder.record.kinds import AlertRecord
from flight_check import FlightFiles
from geometry_msgs.msg import PointStamped
from ground import DiagnosticStatus, Ground, LATCHED
import pytest
from recorder_process import read_flight, RecorderProcess
from sensor_msgs.msg import Imu
from std_msgs.msg import Float64, String
from std_srvs.srv import Trigger

TOPIC = '/state'
STRING, FLOAT, IMU = 'std_msgs/msg/String', 'std_msgs/msg/Float64', 'sensor_msgs/msg/Imu'
MakeGround = Callable[[], Ground]


@pytest.fixture
def another(ground: Ground) -> Iterator[MakeGround]:
    """Make further participants: the middleware has one type for a topic in each."""
    with ExitStack() as grounds:
        yield lambda: grounds.enter_context(Ground(ground.domain_id))


def types_of(flight: FlightFiles) -> Counter[str]:
    """Count the messages of the topic by type."""
    return Counter(message.type for message in flight.of_topic(TOPIC))


def stored_types(recorder: RecorderProcess) -> Counter[str]:
    return Counter(message.type for message in recorder.stored_messages(TOPIC))


def alerts_of(flight: FlightFiles) -> list[tuple[str, bool]]:
    return [(alert.code, alert.raised) for alert in flight.payloads(AlertRecord)]


def further_nodes(ground: Ground) -> list[str]:
    return [name for name in ground.node.get_node_names() if '_type' in name]


def publish(ground: Ground, publisher: Any, count: int) -> None:
    """Publish messages, slowly enough for every queue."""
    for number in range(count):
        publisher.publish(publisher.msg_type())
        if number % 50 == 49:
            ground.spin()


@pytest.mark.parametrize('by_executor', [False, True], ids=['wait set', 'executor'])
def test_all_types_are_recorded(
    ground: Ground, another: MakeGround, tmp_path: Path, root: Path, by_executor: bool
) -> None:
    """Each type has its own publishers, channels and accounts; the pilot is told once."""
    with RecorderProcess(
        ground, tmp_path, root, topics=[TOPIC], intake_via_executor=by_executor
    ) as recorder:
        recorder.make('configure', 'activate')
        second, third = another(), another()
        publishers = {
            STRING: (ground, ground.publisher(String, TOPIC)),
            FLOAT: (second, second.publisher(Float64, TOPIC)),
            IMU: (third, third.publisher(Imu, TOPIC)),
        }
        status = recorder.wait_for_alert('topics', 'type_conflict')
        assert status.level == DiagnosticStatus.WARN
        assert f'{TOPIC} is published with ' in status.message
        for batch in range(3):
            for participant, publisher in publishers.values():
                publish(participant, publisher, 200 + batch)
        expected = Counter(dict.fromkeys(publishers, 603))
        ground.wait_until(lambda: stored_types(recorder) == expected, 'all on disk')
        for type_name in (FLOAT, IMU):
            participant, publisher = publishers[type_name]
            participant.node.destroy_publisher(publisher)
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    flight = recorder.read_flight()  # the libraries `mcap` and `rosbags` read it
    assert types_of(flight) == expected
    assert alerts_of(flight) == [('type_conflict', True), ('type_conflict', False)]
    assert not verify(flight.path).damage
    producers = [item for item in flight.footer.producers if item.topic == TOPIC]
    accounts = {(item.type, item.written) for item in producers}
    assert accounts == {(type_name, 603) for type_name in publishers}
    assert flight.footer.records_lost_transport == 0


def test_it_ends_in_good_order(
    ground: Ground, another: MakeGround, tmp_path: Path, root: Path
) -> None:
    """Participants of further types have no signal handler of their own, and do not hang."""
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        publishers = [ground.publisher(String, TOPIC), another().publisher(Imu, TOPIC)]
        for publisher in publishers:
            publish(ground, publisher, 10)
        ground.wait_until(lambda: sum(stored_types(recorder).values()) == 20, 'all on disk')
        assert recorder.stop(signal.SIGTERM) == 0
    assert types_of(recorder.read_flight()) == {STRING: 10, IMU: 10}


def test_a_change_of_type_in_flight_and_back(
    ground: Ground, another: MakeGround, tmp_path: Path, root: Path
) -> None:
    """The new type is heard while the old one is; a type that nobody has any more is let go."""
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        second = another()
        text = ground.publisher(String, TOPIC)
        publish(ground, text, 10)
        number = second.publisher(Float64, TOPIC)
        publish(ground, text, 10)
        publish(second, number, 10)
        ground.wait_until(lambda: sum(stored_types(recorder).values()) == 30, 'all on disk')
        ground.node.destroy_publisher(text)
        recorder.wait_for_ok('topics')
        publish(second, number, 10)
        text = ground.publisher(String, TOPIC)
        publish(ground, text, 10)
        ground.wait_until(lambda: sum(stored_types(recorder).values()) == 50, 'all on disk')
        ground.wait_until(lambda: further_nodes(ground), 'the participant of the second type')
        second.node.destroy_publisher(number)
        ground.wait_until(lambda: not further_nodes(ground), 'its end')
        publish(ground, text, 10)
        number = second.publisher(Float64, TOPIC)
        publish(second, number, 10)
        ground.wait_until(lambda: sum(stored_types(recorder).values()) == 70, 'all on disk')
        recorder.make('deactivate', 'cleanup')
        ground.wait_until(lambda: not further_nodes(ground), 'its end at cleanup')
    flight = recorder.read_flight()
    assert types_of(flight) == {STRING: 40, FLOAT: 30}
    assert flight.footer.records_lost_transport == 0
    assert not verify(flight.path).damage


def test_one_of_two_types_is_not_installed(
    ground: Ground, another: MakeGround, tmp_path: Path, root: Path
) -> None:
    shim = tmp_path / 'shim' / 'geometry_msgs'
    shim.mkdir(parents=True)
    (shim / '__init__.py').write_text("raise ImportError('not installed, says the test')\n")
    with RecorderProcess(
        ground, tmp_path, root, topics=[TOPIC], environment={'PYTHONPATH': str(shim.parent)}
    ) as recorder:
        another().publisher(PointStamped, TOPIC, recorders=0)
        recorder.make('configure', 'activate')
        recorder.wait_for_alert('topics', 'type_unknown')
        text = ground.publisher(String, TOPIC)
        publish(ground, text, 10)
        ground.wait_until(lambda: stored_types(recorder) == {STRING: 10}, 'all on disk')
        status = recorder.wait_for_alert('topics', 'type_conflict')
        assert 'not recorded: geometry_msgs/msg/PointStamped' in str(status)
        recorder.make('deactivate')
    flight = recorder.read_flight()
    assert sorted(alerts_of(flight)) == [('type_conflict', True), ('type_unknown', True)]


def test_a_latched_topic_of_two_types(
    ground: Ground, another: MakeGround, tmp_path: Path, root: Path
) -> None:
    """Each type's last message is in the flight, and at the start of each segment."""
    text = ground.publisher(String, TOPIC, LATCHED, recorders=0)
    number = another().publisher(Float64, TOPIC, LATCHED, recorders=0)
    for publisher in (text, number):
        publish(ground, publisher, 3)
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure')
        for publisher in (text, number):
            ground.wait_until(publisher.get_subscription_count, 'the recorder')
        recorder.make('activate')
        ground.wait_until(lambda: stored_types(recorder) == {STRING: 1, FLOAT: 1}, 'both')
        assert ground.call(Trigger, '/fdr_recorder/split', Trigger.Request()).success
        publish(ground, ground.publisher(String, TOPIC, LATCHED), 1)
        recorder.make('deactivate')
        flight = read_flight(recorder.flights()[-1])
    for segment in flight.segments:
        found = Counter(item.type for item in segment.messages if item.topic == TOPIC)
        assert found[STRING] >= 1
        assert found[FLOAT] == 1
