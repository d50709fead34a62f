# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Producers that leave and come back, and many that come and go: the accounts stay exact."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from conftest import MakeWriter
from fdr_recorder import (
    FdrClient,
    FileFdrWriter,
    FlightReader,
    read_info,
    recover,
    RingConfig,
    Verdict,
    verify,
)
from fdr_recorder.flights.verify import reading
from fdr_recorder.mcap.decode import Message
from fdr_recorder.record.kinds import FlightFooter, TransportLoss
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.storage.counters import KEPT_ACCOUNTS
from flight_check import check_flight, FlightFiles
from producers import BLOB, make_client, numbered, open_flight, TEXT
import pytest
from waiting import wait_until


def hear(client: FdrClient, *sequences: int) -> None:
    """Enqueue messages of these sequence numbers."""
    for sequence in sequences:
        assert client.enqueue(numbered(sequence), sequence=sequence)


def settle(writer: FileFdrWriter) -> None:
    """Wait until the writer has closed the accounts of those that left."""
    wait_until(lambda: not writer._clients.retiring, 'the rings of those that left')


def rotate(writer: FileFdrWriter) -> None:
    """Begin the next segment."""
    before = writer.status.segment_index
    writer.split()
    wait_until(lambda: writer.status.segment_index > before, 'the next segment')


def lose_and_find(writer: FileFdrWriter, client: FdrClient, first: int, last: int) -> None:
    """Let a publisher be lost, and found again after it has sent these numbers."""
    writer.retire(client)
    settle(writer)
    assert writer.resume(client)
    client.count_transport_loss(first, last)


def imu_of(footer: FlightFooter) -> ProducerCounters:
    (counters,) = [item for item in footer.producers if item.topic == '/imu']
    return counters


def check_gap(flight: FlightFiles, lost: int) -> None:
    """Check that a flight has one account of `/imu`, and so many losses, all recorded."""
    counters = imu_of(flight.footer)
    assert (counters.lost_transport, flight.footer.records_lost_transport) == (lost, lost)
    assert sum(loss.records for loss in flight.payloads(TransportLoss)) == lost
    verification = verify(flight.path)
    assert verification.damage == []
    assert verification.verdict is Verdict.LOSSES


# --- lost and found --------------------------------------------------------------------------


def test_a_producer_that_was_lost_and_is_found_has_one_account(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/imu', 'aa')
    open_flight(writer, 'x', client)
    hear(client, *range(1, 11))
    lose_and_find(writer, client, 11, 20)
    hear(client, *range(21, 31))
    lose_and_find(writer, client, 31, 31)
    hear(client, 32)
    flight = check_flight(writer.close_flight('x'))
    assert imu_of(flight.footer).offered == 21
    check_gap(flight, 11)


def test_a_producer_that_is_found_in_a_later_segment(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/imu', 'aa')
    open_flight(writer, 'x', client)
    hear(client, 1, 2)
    writer.retire(client)
    settle(writer)
    other = make_client('/other', 'bb')
    writer.register(other)
    rotate(writer)
    hear(other, 1)
    wait_until(lambda: not len(other.ring), 'data in the segment')
    rotate(writer)
    assert writer.resume(client)
    client.count_transport_loss(3, 9)
    hear(client, 10)
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) == 3
    assert imu_of(flight.footer).written == 3
    check_gap(flight, 7)


def test_a_producer_that_is_found_before_its_ring_is_drained(make_writer: MakeWriter) -> None:
    """The writer, which polls the rings, may see nothing of it."""
    writer, client = make_writer(flush_interval_s=1.0), make_client('/imu', 'aa')
    open_flight(writer, 'x', client)
    last = 0
    for _ in range(200):
        hear(client, last + 1, last + 2)
        writer.retire(client)
        assert writer.resume(client)
        client.count_transport_loss(last + 3, last + 3)
        last += 3
    flight = check_flight(writer.close_flight('x'))
    assert imu_of(flight.footer).written == 400
    assert imu_of(flight.footer).lost_transport == 200
    assert verify(flight.path).damage == []


def test_refusals_while_it_comes_and_goes_are_counted_once(make_writer: MakeWriter) -> None:
    writer = make_writer(flush_interval_s=0.02)
    client = make_client('/imu', 'aa', ring=RingConfig(max_records=3))
    open_flight(writer, 'x', client)
    offered = 0
    for number in range(300):
        for _ in range(5):
            offered += 1
            client.enqueue(numbered(offered), sequence=offered)
        writer.retire(client)
        if number % 3:
            settle(writer)
        assert writer.resume(client)
    footer = check_flight(writer.close_flight('x')).footer
    assert imu_of(footer).offered == offered
    assert footer.records_dropped_overrun > 0


def test_in_another_flight_it_begins_anew(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/imu', 'aa')
    open_flight(writer, 'x', client)
    hear(client, 1)
    writer.retire(client)
    writer.close_flight('x')
    open_flight(writer, 'y')
    assert not writer.resume(client)
    again = make_client('/imu', 'aa')
    writer.register(again)
    hear(again, 90)
    flight = check_flight(writer.close_flight('y'))
    assert imu_of(flight.footer).lost_transport == 0
    assert verify(flight.path).verdict is Verdict.COMPLETE


def test_what_is_lost_before_a_flight_is_no_loss_of_it(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/imu', 'aa')
    open_flight(writer, 'x', client)
    hear(client, 1)
    writer.retire(client)
    writer.close_flight('x')
    assert writer.resume(client)
    client.count_transport_loss(2, 9)
    open_flight(writer, 'y')
    hear(client, 10)
    flight = check_flight(writer.close_flight('y'))
    assert imu_of(flight.footer).lost_transport == 0
    assert verify(flight.path).verdict is Verdict.COMPLETE


# --- thousands that come and go ----------------------------------------------------------------

GONE = KEPT_ACCOUNTS + 500


@pytest.fixture
def crowd(make_writer: MakeWriter) -> tuple[FileFdrWriter, Counter[str]]:
    """Return a writer with an open flight of which many have left, and what they have sent."""
    writer, sent = make_writer(segment_size_bytes=256 * 1024), Counter[str]()
    staying = make_client('/imu', 'ffff')
    open_flight(writer, 'x', staying)
    hear(staying, 1, 2, 3)
    for number in range(GONE):
        topic = f'/t{number % 3}'
        client = make_client(topic, f'{number:06x}', schema=BLOB if number % 2 else TEXT)
        writer.register(client)
        count = 1 + number % 2
        hear(client, *range(1, 1 + count))
        if number % 5 == 0:
            client.count_transport_loss(count + 1, count + 2)
            hear(client, count + 3)
            count += 1
        sent[topic] += count
        writer.retire(client)
        if number % 100 == 0:
            settle(writer)
    settle(writer)
    return writer, sent


def check_sums(footer: FlightFooter, sent: Counter[str]) -> None:
    """Check that the footer tells the sums, and no more producers than it must."""
    written: Counter[str] = Counter()
    for item in footer.producers:
        if item.topic.startswith('/t'):
            written[item.topic] += item.written
    assert written == sent
    assert footer.records_lost_transport == 2 * len(range(0, GONE, 5))
    folded = [item for item in footer.producers if item.folded]
    surplus = sum(item.folded for item in folded) - (GONE - KEPT_ACCOUNTS)
    assert surplus in (0, 1)  # recovery folds who was heard first, who had not left, too
    assert len({(item.topic, item.type) for item in folded}) == len(folded) <= 7
    assert all(not item.publisher for item in folded)
    assert len(footer.producers) < KEPT_ACCOUNTS + 20


def test_accounts_of_many_that_left_are_folded_and_exact(
    crowd: tuple[FileFdrWriter, Counter[str]],
) -> None:
    writer, sent = crowd
    wait_until(lambda: len(writer._drain.recording.log.ledger.accounts) < KEPT_ACCOUNTS + 20)
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) > 3
    check_sums(flight.footer, sent)
    verification = verify(flight.path)
    assert verification.damage == []
    info = read_info(flight.path)
    topics = [topic for topic in info.topics.values() if topic.name in sent]  # of several types
    messages: Counter[str] = Counter()
    for topic in topics:
        messages[topic.name] += topic.messages
    assert messages == sent
    assert sum(topic.lost_transport for topic in topics) == (
        flight.footer.records_lost_transport
    )


def test_recovery_folds_them_too(crowd: tuple[FileFdrWriter, Counter[str]], root: Path) -> None:
    writer, sent = crowd
    writer.stop()
    recover(root / 'x')
    with FlightReader(root / 'x') as flight:
        for _ in flight.messages():
            pass
        assert flight.footer is not None
        check_sums(flight.footer, sent)
    assert verify(root / 'x').damage == []


def test_a_message_of_those_that_left_that_is_gone_is_damage(
    crowd: tuple[FileFdrWriter, Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the folded sums count must be there."""
    writer, _ = crowd
    path = writer.close_flight('x').path
    whole, left_out = reading.FlightReading._take, []

    def take(self: reading.FlightReading, message: Message, header_time_ns: int) -> None:
        if not left_out and message.channel.topic == '/t1':
            left_out.append(message)
        else:
            whole(self, message, header_time_ns)

    monkeypatch.setattr(reading.FlightReading, '_take', take)
    damage = ' '.join(verify(path).damage)
    assert '/t1: of publishers that left, 1 record is not there' in damage
