# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The writer: flights, segments, producers, and what must hold for every flight."""

from __future__ import annotations

import logging
import os
from pathlib import Path
import stat
import threading
import time
from typing import Any

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import (
    AlertBoard,
    ClientError,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightAlreadyOpenError,
    FlightExistsError,
    FlightHeader,
    FlightIdInvalidError,
    FlightIdMismatchError,
    FlightNotOpenError,
    FlightRootLockedError,
    RingConfig,
    Schema,
    WriterAlreadyStartedError,
    WriterNotStartedError,
)
from fdr_recorder.record.kinds import AlertRecord, FlightFooter, Overrun, TransportLoss
from fdr_recorder.storage.closed_segment import ClosedSegment
from flight_check import (
    check_flight,
    check_identities,
    FlightFiles,
    open_flight_files,
    read_whole_chunks,
)
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from producers import BLOB, make_client, number_of, numbered, open_flight, send, TEXT
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 32 * 1024, 'chunk_size_bytes': 4096}
"""Options for flights of many small segments."""


def sent_numbers(flight: FlightFiles, topic: str = '/blob', publisher: str = '') -> list[int]:
    return [number_of(message.data) for message in flight.of_topic(topic, publisher)]


# --- life --------------------------------------------------------------------------------------


def test_starting_twice_is_refused(make_writer: MakeWriter) -> None:
    writer = make_writer()
    with pytest.raises(WriterAlreadyStartedError):
        writer.start()
    assert writer.is_started


def test_opening_before_the_start_is_refused(root: Path) -> None:
    with pytest.raises(WriterNotStartedError):
        FileFdrWriter(root).open_flight(FlightHeader(flight_id='x'))


def test_opening_while_a_flight_is_open_is_refused(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    open_flight(writer, 'first')
    for flight_id in ('first', 'second'):
        with pytest.raises(FlightAlreadyOpenError, match='first is still open'):
            writer.open_flight(FlightHeader(flight_id=flight_id))
    assert writer.open_flight_id == 'first'
    assert not (root / 'second').exists()
    check_flight(writer.close_flight('first'))


def test_closing_without_an_open_flight_is_refused(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('x')
    with pytest.raises(FlightNotOpenError):
        FileFdrWriter(root).close_flight('x')


def test_closing_another_flight_is_refused_and_the_open_one_goes_on(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'first', client)
    with pytest.raises(FlightIdMismatchError, match='the open flight is first'):
        writer.close_flight('second')
    send(client, range(3))
    assert sent_numbers(check_flight(writer.close_flight('first'))) == [0, 1, 2]


@pytest.mark.parametrize('flight_id', ['', '..', 'a/b', '/tmp/x', 'a\n', 'x' * 65, '.a'])
def test_an_invalid_flight_id_is_refused_and_makes_nothing(
    make_writer: MakeWriter, root: Path, flight_id: str
) -> None:
    writer = make_writer()
    before = sorted(root.parent.rglob('*'))
    with pytest.raises(FlightIdInvalidError):
        writer.open_flight(FlightHeader(flight_id=flight_id))
    assert sorted(root.parent.rglob('*')) == before
    assert writer.open_flight_id is None


@pytest.mark.parametrize('kind', ['directory', 'file', 'dangling link'])
def test_an_existing_flight_is_never_written_into(
    make_writer: MakeWriter, root: Path, kind: str
) -> None:
    path = root / 'taken'
    if kind == 'directory':
        path.mkdir()
    elif kind == 'file':
        path.write_text('precious')
    else:
        path.symlink_to(root / 'nowhere')
    writer = make_writer()
    with pytest.raises(FlightExistsError, match='taken already exists'):
        writer.open_flight(FlightHeader(flight_id='taken'))
    assert kind != 'directory' or list(path.iterdir()) == []
    open_flight(writer, 'free')
    check_flight(writer.close_flight('free'))


def test_closing_twice_gives_the_same_summary(make_writer: MakeWriter) -> None:
    writer = make_writer()
    open_flight(writer, 'x')
    summary = writer.close_flight('x')
    assert writer.close_flight('x') is summary
    writer.stop()
    assert writer.close_flight('x') is summary
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('y')


def test_stopping_twice_and_before_the_start_is_harmless(
    make_writer: MakeWriter, root: Path
) -> None:
    FileFdrWriter(root).stop()
    writer = make_writer()
    writer.stop()
    writer.stop()
    assert not writer.is_started


def test_a_stopped_writer_can_start_again(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    for flight_id in ('first', 'second'):
        writer.open_flight(FlightHeader(flight_id=flight_id))
        send(client, range(5))
        assert sent_numbers(check_flight(writer.close_flight(flight_id))) == list(range(5))
        writer.stop()
        writer.start()


def test_a_started_writer_owns_its_root_until_it_stops(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, second = make_writer(), FileFdrWriter(root)
    with pytest.raises(FlightRootLockedError):
        second.start()
    writer.stop()
    second.start()
    second.stop()


def test_all_files_are_written_by_one_thread(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    real = os.writev

    def writev(fd: int, buffers: Any) -> int:
        threads.add(threading.current_thread().name)
        return real(fd, buffers)

    monkeypatch.setattr(os, 'writev', writev)
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    check_flight(writer.close_flight('x'))
    assert threads == {'fdr_writer'}


# --- what a flight is --------------------------------------------------------------------------


def test_a_flight_without_records_has_header_and_footer(make_writer: MakeWriter) -> None:
    writer = make_writer()
    header = FlightHeader(flight_id='x', vehicle_id='v7', manifest_content_hashes={'a': 'b'})
    writer.open_flight(header)
    flight = check_flight(writer.close_flight('x'))
    assert [message.topic for message in flight.messages] == [
        '/fdr/flight_header',
        '/fdr/flight_footer',
    ]
    assert flight.payloads(FlightHeader) == [header]
    assert flight.custom_data['flight_id'] == 'x'
    assert flight.custom_data['vehicle_id'] == 'v7'
    (metadata,) = flight.segments[0].metadata
    assert metadata.metadata['flight_id'] == 'x'
    assert metadata.metadata['segment_index'] == '0'


def test_the_header_is_on_disk_when_the_flight_is_open(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer()
    open_flight(writer, 'x')
    (message,) = read_whole_chunks(root / 'x' / 'segment_000000.mcap')
    assert message.topic == '/fdr/flight_header'


def test_what_is_enqueued_is_written_as_it_was(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client('/gps', '0a0b', schema=TEXT)
    open_flight(writer, 'x', client)
    client.enqueue(b'\x00\x01\x00\x00\x02\x00\x00\x00a\x00', 20, 10, 7)
    flight = check_flight(writer.close_flight('x'))
    (message,) = flight.of_topic('/gps')
    assert (message.publisher, message.type, message.definition) == (
        '0a0b',
        TEXT.name,
        TEXT.definition,
    )
    assert (message.log_time, message.publish_time, message.sequence) == (20, 10, 7)
    assert message.data == b'\x00\x01\x00\x00\x02\x00\x00\x00a\x00'


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
def test_both_identities_hold_over_many_segments(
    make_writer: MakeWriter, compression: str
) -> None:
    writer = make_writer(**SMALL, compression=compression)
    clients = [make_client('/a', '01'), make_client('/a', '02'), make_client('/b')]
    open_flight(writer, 'x', *clients)
    for first in range(0, 900, 50):
        for client in clients:
            send(client, range(first, first + 50), 120)
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) > 3
    assert flight.footer.rollover_count == len(flight.segments) - 1
    for topic, publisher in (('/a', '01'), ('/a', '02'), ('/b', '')):
        assert sent_numbers(flight, topic, publisher) == list(range(900))
    assert all(segment.path.stat().st_size <= 32 * 1024 for segment in flight.segments)
    assert [segment.path.name for segment in flight.segments] == [
        f'segment_{index:06d}.mcap' for index in range(len(flight.segments))
    ]


def test_every_segment_explains_itself(make_writer: MakeWriter) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    flight = check_flight(writer.close_flight('x'))
    for index, segment in enumerate(flight.segments):
        (metadata,) = segment.metadata
        assert metadata.name == 'fdr_recorder'
        assert metadata.metadata['segment_index'] == str(index)
        assert metadata.metadata['flight_id'] == 'x'
        assert set(metadata.metadata) >= {'record_schema_version', 'software_version'}
        assert segment.messages[0].payload() == FlightHeader(flight_id='x')


def test_a_record_larger_than_a_segment_has_one_of_its_own_size(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    for size in (100, 200_000, 100, 40_000, 100):
        client.enqueue(numbered(size, size))
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight) == [100, 200_000, 100, 40_000, 100]
    for segment in flight.segments:
        records = [message for message in segment.messages if message.topic == '/blob']
        assert segment.path.stat().st_size <= 32 * 1024 or len(records) == 1


def test_files_and_directories_are_not_for_everybody(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer(reserve_bytes=4096)
    before = os.umask(0)
    try:
        open_flight(writer, 'x')
        writer.close_flight('x')
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (root / 'x', *(root / 'x').iterdir(), root / '.fdr.reserve')
    }
    assert modes == {
        'x': 0o750,
        'metadata.yaml': 0o640,
        'segment_000000.mcap': 0o640,
        '.fdr.reserve': 0o640,
    }


def test_no_temporary_file_remains(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(500))
    flight = check_flight(writer.close_flight('x'))
    names = {segment.path.name for segment in flight.segments}
    assert {path.name for path in (root / 'x').iterdir()} == names | {'metadata.yaml'}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_flight_keeps_the_identities_and_the_order(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Random sizes, types, limits and compressions; each flight in a root of its own."""
    path = tmp_path / str(len(list(tmp_path.iterdir())))
    path.mkdir()
    config = FdrWriterConfig(
        segment_size_bytes=data.draw(st.integers(16 * 1024, 64 * 1024)),
        chunk_size_bytes=data.draw(st.integers(1024, 32 * 1024)),
        batch_size=data.draw(st.integers(1, 40)),
        compression=data.draw(st.sampled_from(['none', 'lz4', 'zstd'])),
        flush_interval_s=0.01,
        sync_interval_s=0.01,
        min_free_bytes=0,
        reserve_bytes=0,
    )
    writer = FileFdrWriter(path, config)
    schemas = [BLOB, TEXT, Schema('a/msg/Long', 'float64[36] covariance\n' * 20)]
    clients = [make_client(f'/t{index}', schema=schemas[index % 3]) for index in range(4)]
    sizes = data.draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from([16, 50, 700, 9000, 20_000])),
            max_size=60,
        )
    )
    writer.start()
    try:
        open_flight(writer, 'x', *clients)
        for number, (which, size) in enumerate(sizes):
            assert clients[which].enqueue(numbered(number, size))
        flight = check_flight(writer.close_flight('x'))
    finally:
        writer.stop()
    for index in range(4):
        assert sent_numbers(flight, f'/t{index}') == [
            number for number, (which, _) in enumerate(sizes) if which == index
        ]
    for segment in flight.segments:
        assert segment.path.stat().st_size <= config.segment_size_bytes or (
            sum(not message.topic.startswith('/fdr/') for message in segment.messages) == 1
        )


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


# --- rotation and time -------------------------------------------------------------------------


def test_rotation_by_duration(make_writer: MakeWriter) -> None:
    writer, client = make_writer(segment_duration_s=0.2), make_client()
    open_flight(writer, 'x', client)
    for number in range(3):
        client.enqueue(numbered(number))
        wait_until(lambda least=number: writer.status.segment_index > least, 'a rotation')
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) >= 4
    assert sent_numbers(flight) == [0, 1, 2]


def test_without_a_duration_time_does_not_rotate(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    send(client, range(3))
    wait_until(lambda: writer.status.counters.records_written >= 4, 'the records in the file')
    assert len(check_flight(writer.close_flight('x')).segments) == 1


def test_the_rotation_hook_is_called_in_the_writers_thread_with_the_closed_segment(
    make_writer: MakeWriter,
) -> None:
    calls: list[tuple[str, ClosedSegment]] = []
    sizes: list[int] = []
    writer, client = make_writer(**SMALL), make_client()

    def hook(closed: ClosedSegment) -> None:
        calls.append((threading.current_thread().name, closed))
        sizes.append((writer._root_path / 'x' / closed.file_name).stat().st_size)

    writer.on_rotation = hook
    open_flight(writer, 'x', client)
    send(client, range(1000))
    flight = check_flight(writer.close_flight('x'))
    assert {name for name, _ in calls} == {'fdr_writer'}
    closed = [segment for _, segment in calls]
    assert [item.index for item in closed] == list(range(len(flight.segments) - 1))
    assert [item.bytes for item in closed] == sizes
    for item, segment in zip(closed, flight.segments, strict=False):
        assert item.file_name == segment.path.name
        assert item.records == len(segment.messages)
        times = [message.log_time for message in segment.messages]
        assert (item.first_log_time_ns, item.last_log_time_ns) == (min(times), max(times))


def test_a_failing_rotation_hook_does_not_stop_the_recording(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer, client = make_writer(**SMALL), make_client()

    def hook(_closed: ClosedSegment) -> None:
        message = 'a broken policy'
        raise RuntimeError(message)

    writer.on_rotation = hook
    open_flight(writer, 'x', client)
    send(client, range(1000))
    flight = check_flight(writer.close_flight('x'))
    assert sent_numbers(flight) == list(range(1000))
    assert len(flight.segments) > 2
    assert 'a broken policy' in caplog.text


def test_a_closed_segment_is_synced_and_then_its_directory(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(Path(f'/proc/self/fd/{fd}').readlink().name)
        real(fd)

    monkeypatch.setattr(os, 'fsync', fsync)
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    flight = check_flight(writer.close_flight('x'))
    for segment in flight.segments:
        position = synced.index(segment.path.name)
        assert synced[position + 1] == 'x'


def test_a_record_reaches_the_file_without_further_traffic(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(flush_interval_s=0.2), make_client()
    open_flight(writer, 'x', client)
    path = root / 'x' / 'segment_000000.mcap'
    client.enqueue(numbered(5))
    wait_until(
        lambda: [item for item in read_whole_chunks(path) if item.topic == '/blob'],
        'the record in the file',
    )


def test_open_data_are_synced_now_and_then_and_only_if_there_are_new_ones(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fdatasync = SystemCall(monkeypatch, 'fdatasync')
    writer, client = make_writer(sync_interval_s=0.05), make_client()
    open_flight(writer, 'x', client)
    at_open = fdatasync.calls
    client.enqueue(numbered(0))
    wait_until(lambda: fdatasync.calls > at_open, 'a sync of the record')
    watched = writer.status
    wait_until(lambda: writer.status is not watched, 'some time of the writer')
    assert fdatasync.calls <= at_open + 2


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


# --- the end -----------------------------------------------------------------------------------


def test_stopping_with_an_open_flight_leaves_no_footer_but_whole_segments(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    writer.stop()
    flight = open_flight_files(root / 'x')
    assert sent_numbers(flight) == list(range(1000))
    assert flight.of_topic(FlightFooter.channel_topic()) == []
    assert flight.custom_data['clean_shutdown'] == 'false'
    assert int(flight.custom_data['bytes_written']) == flight.size
    assert int(flight.custom_data['records_written']) == len(flight.messages)
    assert writer.open_flight_id is None
    assert client.enqueue(b'') is False
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('x')


def test_a_footer_that_needs_a_segment_of_its_own_gets_one(make_writer: MakeWriter) -> None:
    """Thirty producers make a footer of several kilobytes; it is never in the way of a limit."""
    writer = make_writer(segment_size_bytes=16 * 1024, chunk_size_bytes=1024)
    clients = [make_client(f'/a_rather_long_topic_name_{index}') for index in range(30)]
    open_flight(writer, 'x', *clients)
    for client in clients:
        send(client, range(5))
    flight = check_flight(writer.close_flight('x'))
    assert all(segment.path.stat().st_size <= 16 * 1024 for segment in flight.segments)


def test_the_footer_is_exact_wherever_in_its_segment_it_comes_to_stand(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(segment_size_bytes=16 * 1024), make_client()
    writer.register(client)
    rotated = set()
    for count in range(30, 48):
        writer.open_flight(FlightHeader(flight_id=f'x{count}'))
        send(client, range(count), 200)
        flight = check_flight(writer.close_flight(f'x{count}'))
        assert all(segment.path.stat().st_size <= 16 * 1024 for segment in flight.segments)
        rotated.add(len(flight.segments))
    assert rotated == {1, 2}


# --- display -----------------------------------------------------------------------------------


def test_the_status_follows_the_flight(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(**SMALL), make_client()
    assert writer.status.flight_id == ''
    open_flight(writer, 'x', client)
    assert (writer.status.flight_id, writer.status.path) == ('x', root / 'x')
    send(client, range(1000))
    wait_until(lambda: writer.status.counters.records_written > 1000, 'the counters')
    status = writer.status
    assert status.segments == status.segment_index > 1
    assert status.producers == 1
    assert not status.is_degraded
    assert status.total_bytes == sum(
        path.stat().st_size for path in (root / 'x').glob('*.mcap')
    )
    footer = check_flight(writer.close_flight('x')).footer
    assert writer.status.flight_id == ''
    assert writer.status.counters.records_written == footer.records_written
    assert writer.status.counters.bytes_written == footer.bytes_written


def test_debug_log_per_record_logs_each_record(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, 'fdr_recorder')
    writer, client = make_writer(debug_log_per_record=True), make_client('/imu')
    open_flight(writer, 'x', client)
    for number in range(5):
        client.enqueue(numbered(number), 1000 + number, sequence=40 + number)
    writer.close_flight('x')
    lines = [item for item in caplog.records if '/imu' in item.getMessage()]
    assert [item.levelno for item in lines] == [logging.DEBUG] * 5
    for number, item in enumerate(lines):
        text = item.getMessage()
        assert f'sequence={40 + number}' in text
        assert f'log_time_ns={1000 + number}' in text
        assert 'bytes=100' in text


def test_without_debug_log_per_record_nothing_is_logged_per_record(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, 'fdr_recorder')
    writer, client = make_writer(), make_client('/imu')
    open_flight(writer, 'x', client)
    send(client, range(50))
    writer.close_flight('x')
    assert [item for item in caplog.records if '/imu' in item.getMessage()] == []


def test_emitting_without_a_flight_is_ignored(make_writer: MakeWriter) -> None:
    writer = make_writer()
    writer.emit(Overrun(topic='/before'))
    open_flight(writer, 'x')
    writer.emit(Overrun(topic='/during'))
    flight = check_flight(writer.close_flight('x'))
    writer.emit(Overrun(topic='/after'))
    assert flight.payloads(Overrun) == [Overrun(topic='/during')]


def test_faults_that_are_present_before_the_flight_are_in_it(make_writer: MakeWriter) -> None:
    alerts = AlertBoard()
    writer = make_writer(alerts=alerts)
    alerts.raise_alert('topic_missing', 'nobody publishes /gps', subject='/gps')
    open_flight(writer, 'x')
    alerts.clear('topic_missing', 'there it is', subject='/gps')
    flight = check_flight(writer.close_flight('x'))
    alerts.raise_alert('topic_missing', 'gone again', subject='/gps')
    assert [
        (item.code, item.subject, item.raised, item.level)
        for item in flight.payloads(AlertRecord)
    ] == [('topic_missing', '/gps', True, 1), ('topic_missing', '/gps', False, 1)]


def test_identities_are_really_checked(make_writer: MakeWriter) -> None:
    """The checks that all these tests rely on fail when a counter is wrong."""
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    send(client, range(3))
    summary = writer.close_flight('x')
    flight = open_flight_files(summary.path)
    wrong: list[dict[str, Any]] = [
        {'bytes_written': summary.footer.bytes_written + 1},
        {'records_written': summary.footer.records_written + 1},
        {'producers': summary.footer.producers[1:]},
        {'records_dropped_overrun': 1},
    ]
    values = {name: getattr(summary.footer, name) for name in FlightFooter.known_keys()}
    check_identities(flight, FlightFooter(**values))
    for change in wrong:
        with pytest.raises(AssertionError):
            check_identities(flight, FlightFooter(**{**values, **change}))
