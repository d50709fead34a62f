# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The intake of one topic: nothing is left out but what another subscription has taken."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
import random
import time
from typing import Any

from fdr_recorder.node.intake import overlap
from fdr_recorder.node.intake.latched_replay import LatchedReplay
from fdr_recorder.node.intake.producer import Producer
from fdr_recorder.node.intake.subscription_protocol import NOT_NUMBERED, RawMessage
from fdr_recorder.node.intake.topic_intake import TopicIntake
from fdr_recorder.node.topic_plan import TopicPlan
from middlewares import FakeSubscription, MIDDLEWARES
from producers import BLOB, make_client
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

A, B = b'A' * 16, b'B' * 16
STARTED_NS = 2 * 10**18
"""Later than the recorder hears of the publishers: what they send is not what they held."""
VOLATILE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def message(number: int | None, gid: bytes = A, at: int | None = None) -> RawMessage:
    """Return a message that was published when its number says, unless `at` says otherwise."""
    published_ns = STARTED_NS + (at if at is not None else number or 0)
    return f'{gid!r} {number} {at}'.encode(), published_ns, time.time_ns(), number, gid


class Scene:
    """A topic whose publishers the graph knows, in a flight."""

    def __init__(self, qos: QoSProfile = VOLATILE, *, detection: str = 'sequence') -> None:
        self._detection = detection
        plan = TopicPlan('/a', String, BLOB, qos, {})
        self.subscription = FakeSubscription(deque())
        self.intake = TopicIntake(plan, self.subscription, self._meet)

    def _meet(self, intake: TopicIntake, gid: bytes, _is_numbered: bool) -> Producer:
        client = make_client('/a', gid.hex(), latched=intake.plan.is_latched)
        client.ring.is_open = True
        producer = Producer(client, {'loss_detection': self._detection})
        return intake.producers.setdefault(gid, producer)

    def take(self, messages: Iterable[RawMessage]) -> None:
        self.subscription.messages.extend(messages)
        self.intake.drain_all()

    def succeed(self) -> None:
        """Go on with another subscription."""
        self.subscription = FakeSubscription(deque())
        self.intake.succeed(self.intake.plan, self.subscription)

    def recorded(self, gid: bytes = A) -> list[bytes]:
        """Return the data that were recorded of a publisher, and leave them."""
        return [record[3] for record in self.intake.producers[gid].client.ring._records]

    def lost(self, gid: bytes = A) -> int:
        self.intake.open_gaps.settle()
        return self.intake.producers[gid].client.losses.records


@pytest.mark.parametrize('number', [None, NOT_NUMBERED])
def test_messages_without_numbers_are_all_kept(number: int | None) -> None:
    scene = Scene()
    scene.take(message(number, at=place // 3) for place in range(1000))
    assert len(scene.recorded()) == 1000
    assert scene.lost() == 0
    producer = scene.intake.producers[A]
    assert producer.metadata['loss_detection'] == 'none'
    assert [record[2] for record in producer.client.ring._records] == list(range(1, 1001))


@pytest.mark.parametrize('seed', range(40))
def test_any_order_with_losses_and_an_overlap(seed: int) -> None:
    """Every message that one of two subscriptions has taken is recorded once; others are lost."""
    chance = random.Random(seed)
    window = chance.choice((1, 8, 80))
    scene = Scene(chance.choice((VOLATILE, LATCHED)))
    published = {gid: chance.randrange(200, 600) for gid in (A, B)}
    heard: Counter[bytes] = Counter()

    def arriving(first: dict[bytes, int], last: dict[bytes, int]) -> list[RawMessage]:
        """Return what arrives of some numbers: in another order, and some of it not at all."""
        messages = [
            message(number, gid)
            for gid in first
            for number in range(first[gid], last[gid] + 1)
            if chance.random() < 0.95 or number in (1, published[gid])
        ]
        order = {item[:1]: item[3] + chance.random() * window for item in messages}
        messages.sort(key=lambda item: order[item[:1]])
        # the first message of a publisher is the first that is heard of it
        return sorted(messages, key=lambda item: item[3] != 1)

    def take(messages: list[RawMessage]) -> None:
        heard.update(item[0] for item in messages)
        while messages:
            some = chance.randrange(1, 50)
            scene.take(messages[:some])
            del messages[:some]

    begins = {gid: chance.randrange(2, count) for gid, count in published.items()}
    over = {gid: chance.randrange(begins[gid], published[gid] + 1) for gid in published}
    take(arriving(dict.fromkeys(published, 1), {gid: begins[gid] - 1 for gid in published}))
    scene.intake.await_successor()
    take(arriving(begins, over))
    scene.succeed()
    take(arriving(begins, published))
    for gid, count in published.items():
        recorded = scene.recorded(gid)
        assert len(set(recorded)) == len(recorded)
        assert set(recorded) == {data for data in heard if data.startswith(repr(gid).encode())}
        assert len(recorded) + scene.lost(gid) == count


@pytest.mark.parametrize('seed', range(20))
def test_an_overlap_without_numbers_and_with_a_coarse_clock(seed: int) -> None:
    """Several messages have the same time; all of them are recorded, each of them once."""
    chance = random.Random(seed)
    scene = Scene(detection='none')
    messages = [
        (f'{place}'.encode(), 10**18 + place // 7, time.time_ns(), None, chance.choice((A, B)))
        for place in range(300)
    ]
    begins, ends = sorted(chance.sample(range(300), 2))
    scene.take(messages[:begins])
    scene.intake.await_successor()
    scene.take(messages[begins:ends])
    scene.succeed()
    scene.take(messages[begins:])
    recorded = Counter(scene.recorded(A)) + Counter(scene.recorded(B))
    assert recorded == Counter(item[0] for item in messages)


def test_a_second_successor_before_the_first_has_begun() -> None:
    scene = Scene(detection='none')
    messages = [message(None, at=place) for place in range(30)]
    scene.take(messages[:5])
    scene.intake.await_successor()
    scene.take(messages[5:10])
    scene.intake.await_successor()
    scene.take(messages[10:20])
    scene.succeed()
    scene.take(messages[12:])
    assert scene.recorded() == [item[0] for item in messages]


def test_numbers_without_a_known_gid_are_recorded_as_they_are() -> None:
    """Those of several publishers are mixed."""
    scene = Scene(detection='none')
    scene.take([message(number, b'') for number in (1, 1, 2, 9, 2, 3, 9)])
    assert len(scene.recorded(b'')) == 7
    assert scene.lost(b'') == 0


def test_numbers_that_begin_anew_in_an_overlap() -> None:
    """A publisher that starts again may have the same gid."""
    scene = Scene()
    scene.take([message(number) for number in range(1, 11)])
    scene.intake.await_successor()
    scene.take([message(number) for number in range(11, 16)])
    scene.succeed()
    scene.take([message(number) for number in range(11, 16)])
    scene.take([message(number, at=100 + number) for number in (1, 2, 5)])
    assert len(scene.recorded()) == 15 + 3
    assert scene.lost() == 2


def test_outside_of_an_overlap_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.take([message(5), message(5), message(3), message(5), message(6)])
    assert len(scene.recorded()) == 5
    assert scene.lost() == 0


def test_a_latched_publisher_that_is_matched_again_repeats_what_it_holds() -> None:
    scene = Scene(LATCHED)
    scene.take([message(3), message(4), message(6), message(9)])
    assert scene.lost() == 3
    scene.take([message(number) for number in (2, 3, 4, 5, 6, 9, 10)])
    assert [data.split()[-2] for data in scene.recorded()] == [
        b'3', b'4', b'6', b'9', b'2', b'5', b'10'
    ]  # fmt: skip
    assert scene.lost() == 3


def test_what_a_latched_publisher_does_not_hold_any_more_is_not_lost() -> None:
    """It holds the last message of each key."""
    scene = Scene(LATCHED)
    long_ago = -(10**18)
    scene.take([message(number, at=long_ago + number) for number in (3, 17, 20)])
    scene.take([message(21), message(23)])
    assert len(scene.recorded()) == 5
    assert scene.lost() == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, 'MOST_TAKEN', 50)
    scene = Scene()
    scene.intake.await_successor()
    scene.take(message(number) for number in range(1, 1000))
    assert scene.intake.overlap is not None
    assert len(scene.intake.overlap._current) == 50


class Replayed:
    """A latched topic whose flight opens: what was held before, and what comes meanwhile."""

    def __init__(self, detection: str) -> None:
        self.scene = Scene(LATCHED, detection=detection)

    def replay(
        self, held: list[RawMessage], again: list[RawMessage], new: list[RawMessage]
    ) -> Counter[bytes]:
        """Take what is held; in the flight take `again` by replay, and then `new`."""
        scene = self.scene
        scene.take(held)
        for producer in scene.intake.producers.values():
            producer.client.ring.take(1000)
        intake, subscription = scene.intake, FakeSubscription(deque(again))
        replay = LatchedReplay(
            subscription,
            dict(intake.producers),
            intake.times,
            taken=intake.recent,
            is_repeated=False,
        )
        replay.begin()
        replay.advance()
        replay.finish()
        intake.leave_out(replay.known)
        scene.take(new)
        found: Counter[bytes] = Counter()
        for gid in intake.producers:
            found.update(scene.recorded(gid))
        return found


@pytest.mark.parametrize('number', [None, NOT_NUMBERED])
def test_a_replay_without_numbers(number: Any) -> None:
    held = [message(number, gid, at) for at in range(3) for gid in (A, B)]
    new = [message(number, gid, at) for at in range(3, 6) for gid in (A, B)]
    for seen_already in range(len(new) + 1):
        found = Replayed('none').replay(held, held + new[:seen_already], new)
        assert found == Counter(item[0] for item in held + new)


def test_a_replay_without_numbers_and_with_a_coarse_clock() -> None:
    """What comes at the same time as the last one before the flight is not taken for it."""
    messages = [(f'{place}'.encode(), 10**18, time.time_ns(), None, A) for place in range(6)]
    for opens in range(1, 6):
        for seen_already in range(opens, 7):
            found = Replayed('none').replay(
                messages[:opens], messages[:seen_already], messages[opens:]
            )
            assert found == Counter(item[0] for item in messages)


def test_a_replay_without_gids() -> None:
    held = [message(at, b'', at) for at in range(1, 4)]
    new = [message(at, b'', at) for at in range(4, 7)]
    for seen_already in range(len(new) + 1):
        found = Replayed('none').replay(held, held + new[:seen_already], new)
        assert found == Counter(item[0] for item in held + new)


def test_a_publisher_that_does_not_hold_its_last_message_any_more() -> None:
    """It holds one, and sends the next as the flight opens."""
    for detection, number in (('none', None), ('sequence', 1)):
        held = [message(number, at=1)]
        new = [message(number and 2, at=2)]
        found = Replayed(detection).replay(held, new, new)
        assert found == Counter([held[0][0], new[0][0]])


@pytest.mark.parametrize('detection', ['none', 'sequence'])
def test_a_latched_topic_with_keys(detection: str) -> None:
    """It holds one message for each key: there are gaps between their numbers."""
    numbers = (3, 17, 20)
    held = [
        message(number if detection == 'sequence' else None, at=number) for number in numbers
    ]
    replayed = Replayed(detection)
    found = replayed.replay(held, held, [])
    assert found == Counter(item[0] for item in held)


@pytest.mark.parametrize('held', [(1,), (0, 1), ()])
@pytest.mark.parametrize('also_new', [0, 1, 3])
@pytest.mark.parametrize(
    'middleware', ['Cyclone DDS, Kilted', 'Cyclone DDS, Jazzy', 'rclpy of Jazzy', 'Humble']
)
def test_a_flight_that_begins_with_a_latched_message_has_it_once(
    middleware: str, also_new: int, held: tuple[int, ...]
) -> None:
    """What is published while it opens comes by both subscriptions, behind what was held."""
    change = MIDDLEWARES[middleware][0]()
    scene = Scene(LATCHED, detection='none')
    scene.take([change(message(number)) for number in (0, 1)])
    (producer,) = scene.intake.producers.values()
    before = [record[3] for record in producer.client.ring._records]
    new = [message(number) for number in range(2, 2 + also_new)]
    second = FakeSubscription(deque(change(message(number)) for number in held))
    second.messages.extend(map(change, new))
    replay = LatchedReplay(
        second,
        scene.intake.producers,
        scene.intake.times,
        taken=scene.intake.recent,
        is_repeated=True,  # the flight has message 1
    )
    replay.begin()
    replay.finish()
    scene.intake.leave_out(replay.known)
    scene.take(map(change, new))
    recorded = [record[3] for record in producer.client.ring._records][len(before):]
    older = [message(number)[0] for number in held] if len(held) > 1 else []
    assert recorded == older + [item[0] for item in new]


def test_what_is_published_after_the_first_message_has_come_is_no_history() -> None:
    scene = Scene(LATCHED)
    came_ns = time.time_ns() - 50_000_000  # it lay in the middleware for a pause
    for number, published_ns in ((10, came_ns - 1_000_000), (2516, came_ns + 1_000_000)):
        scene.subscription.messages.append(
            (b'x', published_ns, came_ns + (number > 10) * 2_000_000, number, A)
        )
    scene.intake.drain_all()
    producer = scene.intake.producers[A]
    producer.give_up()
    assert producer.client.losses.records == 2505


def test_after_its_deadline_a_replay_takes_nothing_that_it_would_throw_away() -> None:
    scene = Scene(LATCHED)
    scene.take([message(1)])
    again = message(1)
    second = FakeSubscription(deque([again]))
    producers, times = scene.intake.producers, scene.intake.times
    replay = LatchedReplay(second, producers, times, is_repeated=False)
    replay.begin()
    replay._deadline = 0.0
    assert replay.advance()
    assert list(second.messages) == [again]
