# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Publishers that come while a flight is open: what they sent before they were heard counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
import time

from faulty_recorder import Faults, FaultyRecorder
from fdr_recorder.capture.client import MAX_LOSS
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.node.intake import newcomers
from fdr_recorder.node.intake.newcomers import Arrival, MOST_LISTED, Newcomers, SURE
from fdr_recorder.node.intake.producer import OpenGaps, Producer
from fdr_recorder.record.kinds import TransportLoss
from fdr_recorder.record.record_parts import ProducerCounters
from flight_check import FlightFiles
from ground import Ground, LATCHED
from producers import make_client
from publisher_process import PublisherProcess
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import String

NOW_NS = 2 * 10**18
"""Later than any publisher was met."""


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let discovery have settled from the start."""
    monkeypatch.setattr(newcomers, 'DISCOVERY_S', 0.0)


# --- numbers -----------------------------------------------------------------------------------


def counted(
    numbers: list[int], *, is_new: bool = True, history: int = 0, latched: bool = False
) -> tuple[int, int]:
    """Return what is counted as sent before it was heard, and as lost; the first are history."""
    client = make_client('/a', '0a', latched=latched)
    client.ring.is_open = True
    producer, gaps = Producer(client, {}), OpenGaps()
    if is_new:
        producer.expect_all()
    for place, number in enumerate(numbers):
        if number == producer.next_number:
            producer.next_number += 1
            continue
        producer.number(number, 1 + place if place < history else NOW_NS + place, 0)
        if producer.has_gaps:
            gaps.note(producer)
    gaps.settle()
    return client.losses.before_match, client.losses.records


@pytest.mark.parametrize(
    ('numbers', 'before_match', 'lost'),
    [
        ([1, 2, 3], 0, 0),
        ([5, 6, 7], 4, 0),
        ([5, 9], 4, 3),
        ([1, 4], 0, 2),
        ([5, 3, 7, 4, 6], 2, 0),  # a topic with keys comes in another order
        ([5, 3, 8], 3, 2),
        ([2**63], MAX_LOSS, 0),
        ([2**64 - 2], MAX_LOSS, 0),
    ],
)
def test_what_comes_before_the_first_number(
    numbers: list[int], before_match: int, lost: int
) -> None:
    assert counted(numbers) == (before_match, lost)


def test_a_gap_is_dated_by_when_it_was_noticed_not_by_when_it_was_given_up() -> None:
    client = make_client('/a', '0a')
    client.ring.is_open = True
    producer, gaps = Producer(client, {}), OpenGaps()
    producer.expect_all()
    noticed = {5: 10**9, 9: 2 * 10**9, 12: 3 * 10**9}
    for number, now_ns in noticed.items():
        producer.number(number, NOW_NS + number, now_ns)
        gaps.note(producer)
    gaps.settle(60 * 10**9)
    losses = client.losses
    assert (losses.records, losses.first_ns, losses.last_ns) == (5, 2 * 10**9, 3 * 10**9)
    assert (losses.before_match, losses.before_match_ns) == (4, 10**9)


def test_a_publisher_that_was_there_before_has_lost_nothing_before_its_first_number() -> None:
    assert counted([5, 6, 9], is_new=False) == (0, 2)


@pytest.mark.parametrize(
    ('numbers', 'expected'),
    [
        ([3, 4, 5], (2, 0)),  # the last three; two are not held any more
        ([1, 2], (0, 0)),
        ([3, 7, 8], (5, 0)),  # the last of each key
        ([3, 7, 9], (5, 1)),
    ],
)
def test_what_a_latched_publisher_holds_is_not_missing(
    numbers: list[int], expected: tuple[int, int]
) -> None:
    assert counted(numbers, history=2, latched=True) == expected


# --- who is new --------------------------------------------------------------------------------


def test_who_was_listed_before_a_flight_is_not_new(settled: None) -> None:
    known = Newcomers()
    assert known.arrival(b'unlisted') is None, 'no flight is open'
    known.list([b'a'])
    known.begin_flight()
    known.list([b'a', b'b'])
    assert [known.arrival(gid) for gid in (b'a', b'b', b'unlisted')] == [None, SURE, SURE]
    known.begin_flight()
    assert known.arrival(b'b') is None


def test_who_is_listed_while_discovery_settles_may_have_been_there_before() -> None:
    known = Newcomers()
    before_ns = time.time_ns()
    known.begin_flight()
    known.list([b'a'])
    arrival = known.arrival(b'a')
    assert arrival is not None
    assert before_ns <= arrival.since_ns <= time.time_ns()
    assert not arrival.is_likely
    assert known.arrival(b'unlisted') == arrival


@pytest.mark.parametrize(
    ('first', 'heard', 'heard_s', 'is_likely', 'before_match'),
    [
        (51, 100, 0.5, False, 50),  # 100 Hz: it has begun 0.5 s before it was heard
        (101, 100, 0.5, False, 0),
        (360_001, 100, 60.0, True, 0),  # an hour ago
        (51, 1, 0.5, False, 0),  # one message has no rate
        (51, 1, 0.5, True, 50),
    ],
)
def test_the_rate_tells_who_was_there_before(
    first: int, heard: int, heard_s: float, is_likely: bool, before_match: int
) -> None:
    """It was first heard so many seconds after the flight was opened."""
    client = make_client('/a', '0a')
    client.ring.is_open = True
    producer = Producer(client, {})
    producer.expect_all(Arrival(NOW_NS, is_likely))
    first_ns = NOW_NS + int(heard_s * 1e9)
    for place in range(heard):
        producer.number(first + place, first_ns + place * 10_000_000, 0)
    producer.give_up()
    assert client.losses.before_match == before_match
    assert client.losses.records == 0


def test_memory_is_bounded(settled: None) -> None:
    known = Newcomers()
    known.begin_flight()
    known.list(number.to_bytes(16, 'big') for number in range(2 * MOST_LISTED))
    assert len(known._listed_at) == MOST_LISTED


# --- real publishers ---------------------------------------------------------------------------


@pytest.fixture
def recorder(ground: Ground, root: Path, settled: None) -> Iterator[FaultyRecorder]:
    options = {'topics': ('/a', '/b')}
    with FaultyRecorder(ground, root, Faults(), **options) as recorder:
        yield recorder


def account_of(flight: FlightFiles, topic: str) -> ProducerCounters:
    (account,) = [item for item in flight.footer.producers if item.topic == topic]
    return account


@pytest.mark.parametrize('is_latched', [False, True])
def test_what_is_sent_before_the_topic_is_subscribed_to(
    ground: Ground, recorder: FaultyRecorder, *, is_latched: bool
) -> None:
    """A latched publisher sends again what it holds: that is not missing."""
    recorder.faults.errors['subscribe', '/a'] = OSError('not now')
    qos = LATCHED if is_latched else 10
    publisher = ground.publisher(String, '/a', qos, recorders=0)
    for number in range(5):
        publisher.publish(String(data=str(number)))
    ground.wait_until(lambda: recorder.faults.raised, 'a subscription that fails')
    del recorder.faults.errors['subscribe', '/a']
    ground.wait_until(publisher.get_subscription_count)
    publisher.publish(String(data='5'))
    ground.wait_until(lambda: 6 in [message.sequence for message in recorder.stored('/a')])
    flight = recorder.close()
    account = account_of(flight, '/a')
    assert account.offered + account.before_match == 6
    assert account.lost_transport == 0
    numbers = [message.sequence for message in flight.of_topic('/a')]
    assert numbers == list(range(account.before_match + 1, 7))
    assert account.first_sequence == account.before_match + 1
    assert flight.footer.records_before_match == account.before_match
    recorded = [loss.records for loss in flight.payloads(TransportLoss) if loss.before_match]
    assert sum(recorded) == account.before_match
    verification = verify(flight.path)
    assert verification.damage == []
    assert verification.verdict is Verdict.LOSSES


def test_a_publisher_that_was_there_before_the_flight(
    ground: Ground, recorder: FaultyRecorder
) -> None:
    """What it sent before the flight is not part of it; its first number is a remark."""
    recorder.close()
    publisher = ground.publisher(String, '/a', 10, recorders=0)
    ground.wait_until(publisher.get_subscription_count)
    for number in range(4):
        publisher.publish(String(data=str(number)))
    assert recorder.intake.catch_up()
    recorder.open('y')
    publisher.publish(String(data='4'))
    ground.wait_until(lambda: recorder.stored('/a', 'y'))
    flight = recorder.close('y')
    account = account_of(flight, '/a')
    assert (account.offered, account.before_match, account.first_sequence) == (1, 0, 5)
    assert verify(flight.path).verdict is Verdict.COMPLETE


def test_a_publisher_that_discovery_loses_and_finds_is_not_new(
    ground: Ground, recorder: FaultyRecorder
) -> None:
    publisher = ground.publisher(String, '/a', 10, recorders=0)
    ground.wait_until(publisher.get_subscription_count)
    publisher.publish(String(data='0'))
    ground.wait_until(lambda: recorder.stored('/a'))
    recorder.intake.forget_publishers('/a', recorder.intake.publishers('/a'))
    ground.wait_until(lambda: not recorder.intake.publishers('/a'), 'its ring to go')
    publisher.publish(String(data='1'))
    ground.wait_until(lambda: len(recorder.stored('/a')) == 2)
    account = account_of(recorder.close(), '/a')
    assert (account.offered, account.lost_transport, account.before_match) == (2, 0, 0)


def test_a_recorder_that_discovers_late(ground: Ground, tmp_path: Path, root: Path) -> None:
    """It is stopped while a publisher comes and publishes."""
    with RecorderProcess(ground, tmp_path, root, topics=['/late', '/early']) as recorder:
        recorder.make('configure', 'activate')
        began = time.monotonic()
        ground.wait_until(lambda: time.monotonic() > began + newcomers.FIRST_DISCOVERY_S)
        recorder.send(signal.SIGSTOP)
        with PublisherProcess(
            ground, tmp_path, '/late', reliability='best_effort', subscribers=0
        ) as publisher:
            publisher.hear()
            publisher.ask('publish', 0, 30)
            recorder.send(signal.SIGCONT)
            publisher.ask('subscribers', 1, 10)
            sent = 30

            def is_heard() -> bool:
                nonlocal sent
                publisher.ask('publish', sent, 1)
                sent += 1
                return bool(recorder.stored('/late'))

            ground.wait_until(is_heard, 'a message that is heard')
            publisher.ask('publish', sent, 1)
            status = recorder.wait_for_alert('transport', 'transport_loss')
            assert '/late had been sent before their publisher was heard' in status.message
            summary = recorder.wait_for_summary(
                lambda values: int(values['records_before_match']) >= 30, 'the count'
            )
            assert summary.message.startswith('recording ')
            recorder.make('deactivate')
    flight = recorder.read_flight()
    account = account_of(flight, '/late')
    assert account.before_match >= 30
    assert account.offered + account.lost_transport + account.before_match == sent + 1
    assert account.first_sequence == account.before_match + 1
    assert verify(flight.path).damage == []
