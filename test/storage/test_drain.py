# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The way from the rings into the flight: producers, full rings, latched topics."""

from __future__ import annotations

import threading
import time

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import AlertBoard, ClientError, FdrClient, FlightHeader, RingConfig
from fdr_recorder.record.kinds import AlertRecord, Overrun, TransportLoss
from flight_check import check_flight
from producers import make_client, number_of, numbered, open_flight, send, sent_numbers
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 32 * 1024, 'chunk_size_bytes': 4096}
"""Options for flights of many small segments."""


# --- producers ---------------------------------------------------------------------------------


def test_producers_in_threads_of_their_own_lose_nothing(make_writer: MakeWriter) -> None:
    writer = make_writer(segment_size_bytes=256 * 1024, chunk_size_bytes=16 * 1024)
    clients = [make_client(f'/t{index}') for index in range(4)]
    open_flight(writer, 'x', *clients)
    threads = [
        threading.Thread(target=send, args=(client, range(3000), 150)) for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flight = check_flight(writer.close_flight('x'))
    for index in range(4):
        assert sent_numbers(flight, f'/t{index}') == list(range(3000))


def test_producers_that_go_on_while_the_flight_closes_are_cut_off_cleanly(
    make_writer: MakeWriter,
) -> None:
    """What was taken before the ring was shut is in the file, and nothing after it."""
    writer = make_writer()
    clients = [make_client(f'/t{index}') for index in range(3)]
    open_flight(writer, 'x', *clients)
    taken = [0, 0, 0]

    def produce(which: int) -> None:
        for number in range(10_000_000):
            if not clients[which].enqueue(numbered(number)):
                break
            taken[which] += 1

    threads = [threading.Thread(target=produce, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(taken) > 500, 'some records of each producer')
    summary = writer.close_flight('x')
    for thread in threads:
        thread.join()
    flight = check_flight(summary)
    for which in range(3):
        assert sent_numbers(flight, f'/t{which}') == list(range(taken[which]))


def test_the_same_clients_record_flight_after_flight(make_writer: MakeWriter) -> None:
    writer, clients = make_writer(**SMALL), [make_client('/a'), make_client('/b')]
    for client in clients:
        writer.register(client)
    for flight_id, numbers in (('first', range(400)), ('second', range(400, 700))):
        writer.open_flight(FlightHeader(flight_id=flight_id))
        for client in clients:
            send(client, numbers)
        flight = check_flight(writer.close_flight(flight_id))
        for topic in ('/a', '/b'):
            assert sent_numbers(flight, topic) == list(numbers)


def test_what_is_enqueued_without_a_flight_is_let_go_and_not_counted(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    assert send(client, range(5)) == 0
    writer.open_flight(FlightHeader(flight_id='first'))
    send(client, range(5, 8))
    assert sent_numbers(check_flight(writer.close_flight('first'))) == [5, 6, 7]
    assert send(client, range(8, 10)) == 0
    writer.open_flight(FlightHeader(flight_id='second'))
    flight = check_flight(writer.close_flight('second'))
    assert sent_numbers(flight) == []
    assert [item.offered for item in flight.footer.producers if item.topic == '/blob'] == [0]


def test_producers_come_and_go_while_a_flight_is_open(make_writer: MakeWriter) -> None:
    writer = make_writer(**SMALL)
    stays, leaves, comes = (make_client(f'/{name}') for name in ('stays', 'leaves', 'comes'))
    open_flight(writer, 'x', stays, leaves)
    send(stays, range(300))
    send(leaves, range(300))
    writer.retire(leaves)
    assert leaves.enqueue(b'too late') is False
    writer.register(comes)
    send(comes, range(300))
    send(stays, range(300, 600))
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight, '/stays') == list(range(600))
    assert sent_numbers(flight, '/leaves') == list(range(300))
    assert sent_numbers(flight, '/comes') == list(range(300))
    assert {item.topic for item in flight.footer.producers} >= {'/stays', '/leaves', '/comes'}


def test_a_retired_client_can_come_back(make_writer: MakeWriter) -> None:
    """In the same flight, as soon as the writer has taken what it left, or in another."""
    writer, client = make_writer(flush_interval_s=60.0), make_client()
    open_flight(writer, 'first', client)
    send(client, range(10))
    writer.retire(client)

    def register() -> bool:
        try:
            writer.register(client)
        except ClientError:
            return False
        return True

    wait_until(register, 'the writer to let the client go')
    send(client, range(10, 15))
    flight = check_flight(writer.close_flight('first'))
    assert sent_numbers(flight) == list(range(15))

    writer.retire(client)
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='second'))
    send(client, range(3))
    flight = check_flight(writer.close_flight('second'))
    assert sent_numbers(flight) == [0, 1, 2]


def test_a_client_is_registered_once(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/imu')
    with pytest.raises(ClientError, match='/imu is not registered'):
        writer.retire(client)
    writer.register(client)
    with pytest.raises(ClientError, match='of /imu is already registered'):
        writer.register(client)
    writer.retire(client)
    with pytest.raises(ClientError):
        writer.retire(client)


def test_two_clients_cannot_share_a_channel(make_writer: MakeWriter) -> None:
    """Records are counted by channel: whose they are would not be known."""
    writer, client = make_writer(), make_client('/imu')
    writer.register(client)
    with pytest.raises(ClientError):
        writer.register(FdrClient(client.channel))


def test_transport_losses_are_counted_recorded_and_told(make_writer: MakeWriter) -> None:
    alerts = AlertBoard()
    writer, client = make_writer(alerts=alerts), make_client('/imu', '0a')
    client.count_transport_loss(1, 100)  # before the flight: no concern of it
    open_flight(writer, 'x', client)
    client.count_transport_loss(200, 204)
    flight = check_flight(writer.close_flight('x'))
    (loss,) = flight.payloads(TransportLoss)
    assert (loss.topic, loss.publisher, loss.records) == ('/imu', '0a', 5)
    assert (loss.first_sequence, loss.last_sequence) == (200, 204)
    assert flight.footer.records_lost_transport == 5
    states = [(item.code, item.raised) for item in flight.payloads(AlertRecord)]
    assert states == [('transport_loss', True), ('transport_loss', False)]
    assert alerts.present() == ()


# --- a full ring -------------------------------------------------------------------------------


def test_an_overrun_is_counted_recorded_and_told(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is held up in a system call until the ring overflows."""
    alerts = AlertBoard()
    told: list[tuple[str, bool]] = []
    alerts.listen(lambda alert: told.append((alert.code, alert.raised)))
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer = make_writer(alerts=alerts)
    slow = make_client('/slow', '0b', ring=RingConfig(max_records=50))
    calm = make_client('/calm')
    open_flight(writer, 'x', slow, calm)
    with writev.stalled() as is_stalled:
        slow.enqueue(numbered(0))
        assert is_stalled.wait(10)
        before = time.time_ns()
        results = [slow.enqueue(numbered(number, 200)) for number in range(1, 81)]
        after = time.time_ns()
        assert calm.enqueue(numbered(0))
    assert results == [True] * 50 + [False] * 30
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight, '/slow', '0b') == list(range(51))
    assert sent_numbers(flight, '/calm') == [0]
    overruns = flight.payloads(Overrun)
    assert sum(item.records for item in overruns) == 30
    assert sum(item.bytes for item in overruns) == 30 * 200
    for item in overruns:
        assert (item.topic, item.publisher) == ('/slow', '0b')
        assert before <= item.first_drop_ns <= item.last_drop_ns <= after
    assert flight.footer.records_dropped_overrun == 30
    assert told == [('overrun', True), ('overrun', False)]
    recorded = [(item.code, item.raised) for item in flight.payloads(AlertRecord)]
    assert recorded == told


@pytest.mark.parametrize('latched', [False, True])
@pytest.mark.parametrize('when', ['before', 'after', 'again'])
def test_a_ring_that_refuses_all_from_the_start_is_told_within_a_second(
    make_writer: MakeWriter, when: str, *, latched: bool
) -> None:
    alerts = AlertBoard()
    writer, options = make_writer(alerts=alerts), RingConfig(max_bytes=64 * 1024)
    client = make_client('/cloud', ring=options, latched=latched)
    if when == 'before':
        writer.register(client)
    open_flight(writer, 'x')
    if when != 'before':
        writer.register(client)
    if when == 'again':
        writer.retire(client)
        wait_until(lambda: not writer._clients.retiring, 'its end')
        writer.register(client)
    assert not client.enqueue(bytes(100_000))
    began = time.monotonic()
    wait_until(alerts.present, 'the alert')
    assert time.monotonic() - began < 1
    (alert,) = alerts.present()
    assert alert.code == 'overrun'
    assert '/cloud' in alert.message
    assert 'ring.max_bytes (64.0 KiB)' in alert.message
    wait_until(lambda: writer.status.counters.records_dropped_overrun == 1, 'the counter')
    assert check_flight(writer.close_flight('x')).footer.records_dropped_overrun == 1


@pytest.mark.parametrize('call', ['writev', 'fdatasync', 'fsync'])
def test_a_stalled_disk_never_blocks_a_producer(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stall = SystemCall(monkeypatch, call)
    writer = make_writer(**SMALL)
    client = make_client(ring=RingConfig(max_records=10))
    open_flight(writer, 'x', client)
    for number in range(2):  # the second needs another segment, and so the first an fsync
        client.enqueue(numbered(number, 20_000))
    with stall.stalled() as is_stalled:
        client.enqueue(numbered(2, 20_000))
        assert is_stalled.wait(10)
        started = time.monotonic()
        for number in range(1000, 1100):
            client.enqueue(numbered(number))
        assert time.monotonic() - started < 5
        assert client.ring.refusals.records > 0
    footer = check_flight(writer.close_flight('x')).footer
    assert footer.records_dropped_overrun == client.ring.refusals.records


def test_a_retired_producers_overrun_is_not_forgotten(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(), make_client(ring=RingConfig(max_records=5))
    open_flight(writer, 'x', client)
    with writev.stalled() as is_stalled:
        client.enqueue(numbered(0))
        assert is_stalled.wait(10)
        for number in range(1, 10):
            client.enqueue(numbered(number))
        writer.retire(client)
    flight = check_flight(writer.close_flight('x'))
    assert flight.footer.records_dropped_overrun == 4
    assert sum(item.records for item in flight.payloads(Overrun)) == 4


# --- latched topics ----------------------------------------------------------------------------


def test_the_last_message_of_a_latched_topic_is_repeated_in_every_segment(
    make_writer: MakeWriter,
) -> None:
    writer = make_writer(**SMALL)
    latched, client = make_client('/tf_static', '0c', latched=True), make_client()
    open_flight(writer, 'x', latched, client)
    latched.enqueue(numbered(1), 5, 3, 1)
    latched.enqueue(numbered(2), 6, 4, 2)
    wait_until(lambda: len(latched.ring) == 0, 'the writer to take the latched messages')
    send(client, range(1000))
    flight = check_flight(writer.close_flight('x'))
    first, *others = [
        [message for message in segment.messages if message.topic == '/tf_static']
        for segment in flight.segments
    ]
    assert [number_of(message.data) for message in first] == [1, 2]
    assert len(others) > 2
    for messages, segment in zip(others, flight.segments[1:], strict=True):
        assert [number_of(message.data) for message in messages] == [2]
        assert (messages[0].publish_time, messages[0].sequence) == (4, 2)
        assert segment.messages.index(messages[0]) == 1
    assert flight.footer.records_repeated == len(others)
    (counters,) = [item for item in flight.footer.producers if item.topic == '/tf_static']
    assert (counters.offered, counters.repeated) == (2, len(others))


def test_a_latched_message_from_before_the_flight_is_in_its_first_segment(
    make_writer: MakeWriter,
) -> None:
    writer, latched = make_writer(), make_client('/map', latched=True)
    writer.register(latched)
    latched.enqueue(numbered(7))
    for flight_id in ('first', 'second'):
        writer.open_flight(FlightHeader(flight_id=flight_id))
        flight = check_flight(writer.close_flight(flight_id))
        assert sent_numbers(flight, '/map') == [7]
        assert flight.footer.records_repeated == 1


def test_every_latched_topic_is_repeated_however_large_the_others_are(
    make_writer: MakeWriter,
) -> None:
    """One that fills a chunk, and one that is too large to repeat, keep no other from it."""
    writer = make_writer(segment_size_bytes=64 * 1024, chunk_size_bytes=2048)
    sizes = {'/huge': 50_000, '/large': 6000, '/small': 100, '/tiny': 16}
    latched = {name: make_client(name, latched=True) for name in sizes}
    client = make_client()
    open_flight(writer, 'x', *latched.values(), client)
    for name, size in sizes.items():
        latched[name].enqueue(numbered(1, size))
    wait_until(
        lambda: not any(len(item.ring) for item in latched.values()), 'the latched messages'
    )
    send(client, range(2000))
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) > 3
    for segment in flight.segments[2:]:
        topics = [message.topic for message in segment.messages]
        assert topics[1:4] == ['/large', '/small', '/tiny']
        assert '/huge' not in topics
