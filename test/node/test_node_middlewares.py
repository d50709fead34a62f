# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a middleware does not tell: every message is kept, and what cannot be known is said."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
import random
import time
from types import SimpleNamespace
from typing import Any

from conftest import MakeWriter
from faulty_recorder import Faults, FaultyRecorder
from fdr_recorder import verify
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import RingConfig
from fdr_recorder.node.intake.publishers import MOST_UNIDENTIFIED, Publishers
from fdr_recorder.node.intake.subscription_protocol import RawMessage
from fdr_recorder.node.intake.topic_intake import TopicIntake
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.record.flight_header import FlightHeader
from fdr_recorder.record.loss_detection import unseen_in_footer, UNTOLD
from flight_check import check_flight, FlightFiles
from ground import BEST_EFFORT, Ground, LATCHED
from mcap.reader import make_reader
from middlewares import FakeSubscription, MIDDLEWARES, Unknown
from producers import BLOB, blob
import pytest
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

TOPIC = '/topic'
QOS = {
    'plain': QoSProfile(depth=10),
    'latched': QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL),
}


def loss_detection(flight: Path, topic: str) -> set[str]:
    """Return what the channels of a topic say."""
    found = set()
    for path in flight.glob('*.mcap'):
        with path.open('rb') as file:
            summary = make_reader(file).get_summary()
        assert summary is not None
        for channel in summary.channels.values():
            if channel.topic == topic:
                found.add(channel.metadata.get('loss_detection', ''))
    return found


class Publisher:
    """A publisher of a fake topic; the graph knows it."""

    def __init__(self, number: int) -> None:
        self.gid = bytes((1, number)) * 8
        self.sent = 0

    def publish(self) -> RawMessage:
        """Return the next message, as Fast DDS would tell it."""
        self.sent += 1
        data = blob(self.gid + self.sent.to_bytes(4, 'big'))
        return data, time.time_ns(), time.time_ns(), self.sent, self.gid


class Scene:
    """The intake of a topic of a middleware, and a flight; the graph is fake, too."""

    def __init__(self, make_writer: MakeWriter, middleware: str, kind: str) -> None:
        make_change, self.detection = MIDDLEWARES[middleware]
        self._change = make_change()
        self.publishers: list[Publisher] = []
        self.writer = make_writer()
        node: Any = SimpleNamespace(get_publishers_info_by_topic=self._endpoints)
        self.rings = Publishers(node, self.writer, RingConfig(), Quarantine(AlertBoard()))
        plan = TopicPlan(TOPIC, String, BLOB, QOS[kind], {})
        self.intake = TopicIntake(plan, FakeSubscription(deque()), self.rings.meet)
        self.writer.open_flight(FlightHeader(flight_id='x'))
        self.sent: Counter[bytes] = Counter()

    def _endpoints(self, _topic: str) -> list[Any]:
        return [
            SimpleNamespace(
                endpoint_gid=list(each.gid),
                topic_type=BLOB.name,
                node_name='n',
                node_namespace='/',
            )
            for each in self.publishers
        ]

    def join(self) -> Publisher:
        self.publishers.append(Publisher(len(self.publishers)))
        return self.publishers[-1]

    def publish(self, *publishers: Publisher) -> list[RawMessage]:
        messages = [publisher.publish() for publisher in publishers]
        self.sent.update(message[0] for message in messages)
        return messages

    def take(self, messages: list[RawMessage]) -> None:
        self.intake.subscription = FakeSubscription(deque(map(self._change, messages)))
        self.intake.drain_all()

    def close(self) -> FlightFiles:
        """Close the flight; check that everything that was sent is there once."""
        self.intake.open_gaps.settle()
        flight = check_flight(self.writer.close_flight('x'))
        (header, *_) = flight.messages
        found = [item for item in flight.of_topic(TOPIC) if item.log_time != header.log_time]
        assert Counter(item.data for item in found) == self.sent
        assert verify(flight.path).damage == []
        assert loss_detection(flight.path, TOPIC) == {self.detection}
        assert flight.footer.records_lost_transport == 0
        return flight


@pytest.mark.parametrize('kind', QOS)
@pytest.mark.parametrize('middleware', MIDDLEWARES)
def test_all_is_kept_and_channels_say_what_is_known(
    make_writer: MakeWriter, middleware: str, kind: str
) -> None:
    scene = Scene(make_writer, middleware, kind)
    first = scene.join()
    scene.take(scene.publish(*[first] * 10))
    second = scene.join()
    scene.take(scene.publish(*[first, second] * 20))
    flight = scene.close()
    if scene.detection == 'sequence':
        publishers = {item.publisher for item in flight.of_topic(TOPIC)}
        assert publishers == {each.gid.hex() for each in scene.publishers}
    elif middleware.startswith('Cyclone'):  # told apart, without a claim to know who they are
        assert {item.publisher for item in flight.of_topic(TOPIC)} == {''}
        producers = [item for item in flight.footer.producers if item.topic == TOPIC]
        assert sorted(item.offered for item in producers) == [20, 30]


@pytest.mark.parametrize('middleware', MIDDLEWARES)
def test_the_footer_says_why_losses_cannot_be_seen(
    make_writer: MakeWriter, middleware: str
) -> None:
    scene = Scene(make_writer, middleware, 'plain')
    scene.take(scene.publish(*[scene.join()] * 10))
    unseen = unseen_in_footer(scene.close().footer, None)
    if scene.detection == 'sequence':
        assert str(unseen) == ''
    elif middleware == 'rclpy of Jazzy':
        assert unseen.reasons == {TOPIC: UNTOLD}
    elif middleware != 'unknown':
        assert str(unseen) == (
            'losses in transport cannot be seen on 1 topic (/topic): '
            'the middleware does not number messages'
        )
    else:
        assert unseen.topics == [TOPIC]


@pytest.mark.parametrize('middleware', MIDDLEWARES)
def test_a_topic_with_keys(make_writer: MakeWriter, middleware: str) -> None:
    """Its messages come in another order."""
    scene = Scene(make_writer, middleware, 'plain')
    chance = random.Random(2)
    publisher = scene.join()
    scene.take(scene.publish(publisher))
    for _ in range(20):
        messages = scene.publish(*[publisher] * 10)
        chance.shuffle(messages)
        scene.take(messages)
    scene.close()


@pytest.mark.parametrize('middleware', MIDDLEWARES)
def test_publishers_that_come_and_go(make_writer: MakeWriter, middleware: str) -> None:
    """Their rings go, too, whether the graph knows their gids or not."""
    scene = Scene(make_writer, middleware, 'plain')
    for _ in range(30):
        publisher = scene.join()
        scene.take(scene.publish(*[publisher] * 3))
        del scene.publishers[:-2]
        nodes = {each.gid: '/n' for each in scene.publishers}
        scene.intake.plan = scene.intake.plan.__class__(
            **{**scene.intake.plan.__dict__, 'publishers': nodes}
        )
        for gid in set(scene.intake.producers) - nodes.keys():
            if scene.intake.producers[gid].is_identified:
                scene.rings.part_with(scene.intake, gid)
        scene.rings.retire_surplus(scene.intake)
        assert len(scene.intake.producers) <= 2
    scene.sent.clear()


def test_a_new_gid_with_each_message(make_writer: MakeWriter) -> None:
    scene = Scene(make_writer, 'unknown', 'plain')
    publisher = scene.join()
    scene.take(scene.publish(*[publisher] * 2000))
    assert len(scene.intake.producers) == MOST_UNIDENTIFIED + 1
    scene.close()


# --- with real publishers ---------------------------------------------------------------------


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.mark.parametrize('middleware', ['Cyclone DDS, Kilted', 'rclpy of Jazzy', 'Zenoh'])
def test_all_that_is_sent_while_publishers_come_and_go(
    ground: Ground, root: Path, faults: Faults, middleware: str
) -> None:
    """A best-effort one comes and leaves: the topic is subscribed to anew, twice."""
    faults.change[''] = MIDDLEWARES[middleware][0]()
    sent: list[str] = []

    def publish(publisher: Any, count: int = 1) -> bool:
        for _ in range(count):
            sent.append(f'{len(sent)}')
            publisher.publish(String(data=sent[-1]))
        return True

    def asks_for(reliability: ReliabilityPolicy) -> bool:
        publish(reliable)
        found = ground.node.get_subscriptions_info_by_topic('/plain')
        return [item.qos_profile.reliability for item in found] == [reliability]

    with FaultyRecorder(ground, root, faults, topics=('/plain', '/latched')) as recorder:
        latched = ground.publisher(String, '/latched', LATCHED)
        latched.publish(String(data='latched'))
        reliable = ground.publisher(String, '/plain')
        publish(reliable, 10)
        rings = recorder.intake.intakes
        ground.wait_until(lambda: len(recorder.stored('/plain')) == 10, 'the first on disk')
        other = ground.publisher(String, '/plain', BEST_EFFORT, recorders=0)
        ground.wait_until(lambda: asks_for(ReliabilityPolicy.BEST_EFFORT), 'best effort')
        publish(other, 3)
        assert reliable.wait_for_all_acked(Duration(seconds=30))
        ground.node.destroy_publisher(other)
        ground.wait_until(lambda: asks_for(ReliabilityPolicy.RELIABLE), 'reliable')
        assert reliable.wait_for_all_acked(Duration(seconds=30))
        ground.wait_until(lambda: len(recorder.stored('/plain')) >= len(sent), 'all on disk')
        ground.wait_until(
            lambda: all(len(intake.producers) <= 1 for intake in rings.values()),
            'the ring of the one that has left to go',
        )
        recorder.close()
        recorder.open('y')
        ground.wait_until(lambda: recorder.stored('/latched', 'y'), 'what is latched')
        ground.wait_until(
            lambda: all(intake.replay is None for intake in rings.values()), 'the replay to end'
        )
        recorder.close('y')
    for flight_id in 'xy':
        verification = verify(root / flight_id)
        assert verification.damage == []
        assert loss_detection(root / flight_id, '/latched') == {MIDDLEWARES[middleware][1]}
    texts = [item.data[8:].split(b'\0')[0].decode() for item in recorder.stored('/plain')]
    assert Counter(texts) == Counter(sent)
    assert len(recorder.stored('/latched')) == 1


def test_a_middleware_that_tells_nonsense(ground: Ground, root: Path, faults: Faults) -> None:
    faults.change[''] = Unknown()
    with FaultyRecorder(ground, root, faults, topics=('/a',)) as recorder:
        publisher = ground.publisher(String, '/a')
        for number in range(500):
            publisher.publish(String(data=f'{number}'))
        ground.wait_until(lambda: len(recorder.stored('/a')) == 500, 'all on disk')
        flight = recorder.close()
    assert recorder.told == []
    assert verify(flight.path).damage == []
    assert loss_detection(flight.path, '/a') == {'none'}
