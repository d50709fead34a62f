# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The intake by itself when the graph forgets publishers that live, and finds them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
import threading

from conftest import MakeWriter
from fdr_recorder import FdrClient, FileFdrWriter, Verdict, verify
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.node.definitions import Definitions
from fdr_recorder.node.intake import publishers as absent_publishers
from fdr_recorder.node.intake.publishers import AbsentPublishers
from fdr_recorder.node.intake.take_by_wait_set import WaitSetSubscriber
from fdr_recorder.node.intake.take_trial import rcl_take
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.intake.topic_intake import Producer
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import plan_topic
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.topics.names import TopicType
from flight_check import check_flight, FlightFiles
from ground import Ground, LATCHED
from producers import make_client
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

TOPIC, TYPE = '/imu', 'std_msgs/msg/String'
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class Scene:
    """An intake of one topic, whose subscription keeps one message, and a publisher."""

    def __init__(
        self, ground: Ground, make_writer: MakeWriter, root: Path, qos: QoSProfile
    ) -> None:
        self.ground, self.root = ground, root
        self.config = FdrConfig(flight_root=str(root))
        self.writer: FileFdrWriter = make_writer()
        self.subscriber = WaitSetSubscriber(ground.node, rcl_take(ground.node))
        self.intake = IntakeThread(
            ground.node, self.subscriber, self.writer, self.config.ring, Quarantine(AlertBoard())
        )
        self.publisher = ground.publisher(String, TOPIC, qos, recorders=0)
        definitions = Definitions(ground.node)
        endpoints = ground.wait_until(lambda: ground.node.get_publishers_info_by_topic(TOPIC))
        plan = plan_topic(TOPIC, endpoints, definitions, 1)
        definitions.close()
        assert plan is not None
        self.plan = replace(plan, qos=qos)
        self.intake.add(self.plan)
        self.intake.start()
        ground.wait_until(self.publisher.get_subscription_count)
        self.sent = 0

    def open(self, flight_id: str) -> None:
        self.writer.open_flight(new_flight_header(flight_id, self.config))

    def publish(self) -> None:
        """Publish one message, and wait until it is taken."""
        before = self.heard_at
        self.publisher.publish(String(data=str(self.sent)))
        self.sent += 1
        self.ground.wait_until(lambda: self.heard_at > before, 'the message to be taken')

    @property
    def heard_at(self) -> float:
        return self.intake.intakes[TOPIC, TYPE].heard_at

    def miss(self, count: int) -> None:
        """Publish messages of which all but the last are replaced before they are taken."""
        before = self.heard_at
        with self.held():
            for _ in range(count + 1):
                self.publisher.publish(String(data=str(self.sent)))
                self.sent += 1
        self.ground.wait_until(lambda: self.heard_at > before, 'the last one to be taken')

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the intake thread."""
        go_on, is_held = threading.Event(), threading.Event()

        def hold() -> None:
            is_held.set()
            assert go_on.wait(30)

        self.intake._requests.make(hold)
        assert is_held.wait(30)
        try:
            yield
        finally:
            go_on.set()

    def lose(self) -> None:
        """Do what the watch does when the graph has lost the publisher."""
        key = TopicType(TOPIC, TYPE)
        self.intake.forget_publishers(key, self.intake.publishers(key))
        self.ground.wait_until(lambda: not self.intake.publishers(TOPIC), 'its ring to go')

    def close(self, flight_id: str) -> tuple[FlightFiles, ProducerCounters]:
        """Close the flight; return it, and the only account of the topic."""
        assert self.intake.catch_up()
        flight = check_flight(self.writer.close_flight(flight_id))
        (counters,) = [item for item in flight.footer.producers if item.topic == TOPIC]
        assert verify(flight.path).damage == []
        return flight, counters


@pytest.fixture
def scene(ground: Ground, make_writer: MakeWriter, root: Path) -> Iterator[Scene]:
    scene = Scene(ground, make_writer, root, BEST_EFFORT)
    yield scene
    scene.intake.stop()


def test_a_gap_over_an_absence_is_counted_once(scene: Scene) -> None:
    """It is lost twice, the first time without a gap."""
    scene.open('x')
    scene.publish()
    scene.lose()
    scene.publish()
    scene.lose()
    scene.miss(10)
    scene.publish()
    flight, counters = scene.close('x')
    assert (counters.offered, counters.lost_transport) == (4, 10)
    assert verify(flight.path).verdict is Verdict.LOSSES


def test_a_gap_across_two_flights_is_a_loss_of_neither(scene: Scene) -> None:
    scene.open('x')
    scene.publish()
    scene.lose()
    scene.close('x')
    scene.open('y')
    scene.miss(5)
    scene.miss(3)
    _, counters = scene.close('y')
    assert (counters.offered, counters.lost_transport) == (2, 3)


def test_a_gap_between_two_flights_is_a_loss_of_neither(scene: Scene) -> None:
    scene.publish()
    scene.lose()
    scene.miss(5)
    scene.open('x')
    scene.publish()
    flight, counters = scene.close('x')
    assert (counters.offered, counters.lost_transport) == (1, 0)
    assert verify(flight.path).verdict is Verdict.COMPLETE


def test_a_topic_that_is_unsubscribed_from_and_subscribed_to_again(scene: Scene) -> None:
    """As when its type changes and changes back."""
    scene.open('x')
    scene.publish()
    scene.intake.remove(TopicType(TOPIC, TYPE))
    scene.ground.wait_until(lambda: not scene.publisher.get_subscription_count())
    for _ in range(4):
        scene.publisher.publish(String(data='nobody hears it'))
    scene.intake.add(scene.plan)
    scene.ground.wait_until(lambda: (TOPIC, TYPE) in scene.intake.intakes)
    scene.ground.wait_until(scene.publisher.get_subscription_count)
    scene.publish()
    _, counters = scene.close('x')
    assert (counters.offered, counters.lost_transport) == (2, 4)


def test_a_latched_message_is_not_recorded_twice(
    ground: Ground, make_writer: MakeWriter, root: Path
) -> None:
    """Its publisher, once matched again, replays it."""
    scene = Scene(ground, make_writer, root, LATCHED)
    try:
        scene.open('x')
        scene.publish()
        scene.lose()
        scene.intake.replace(scene.plan)  # another subscription: the message comes again
        ground.wait_until(lambda: scene.publisher.get_subscription_count() == 2)
        ground.wait_until(lambda: not scene.intake.tidy() and not scene.intake.is_adapting)
        scene.publish()
        _, counters = scene.close('x')
        assert (counters.offered, counters.lost_transport) == (2, 0)
    finally:
        scene.intake.stop()


# --- the bound ---------------------------------------------------------------------------------


def absent(number: int, latched_bytes: int = 0) -> tuple[tuple[str, str, bytes], Producer]:
    client: FdrClient = make_client(TOPIC, f'{number:04x}', latched=latched_bytes > 0)
    client.enqueue(bytes(latched_bytes))
    return (TOPIC, 'type', str(number).encode()), Producer(client, {})


def test_the_latest_to_leave_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_publishers, 'MOST_ABSENT', 3)
    remembered = AbsentPublishers()
    publishers = [absent(number) for number in range(5)]
    for key, producer in publishers:
        remembered.add(key, producer)
    assert len(remembered) == 3
    assert [remembered.pop(key) is producer for key, producer in publishers] == [
        False, False, True, True, True
    ]  # fmt: skip
    assert len(remembered) == 0


def test_latched_messages_of_the_absent_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_publishers, 'MOST_LATCHED_BYTES', 1000)
    remembered = AbsentPublishers()
    publishers = [absent(number, 400) for number in range(5)]
    for key, producer in publishers:
        remembered.add(key, producer)
    assert [producer.client.latest is None for _, producer in publishers] == [True] * 3 + [
        False
    ] * 2
    large = absent(9, 2000)
    remembered.add(*large)
    assert all(producer.client.latest is None for _, producer in (*publishers, large))
    assert len(remembered) == 6
    assert remembered.pop(large[0]) is large[1]  # its numbers go on
    remembered.add(*absent(10, 900))
    assert remembered.pop(absent(10)[0]) is not None
