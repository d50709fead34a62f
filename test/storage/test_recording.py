# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""An open flight: what is in its segments, when they rotate, how it ends."""

from __future__ import annotations

import os
from pathlib import Path
import stat
import threading
from typing import Any

from conftest import MakeWriter
from disk_faults import SystemCall
from fdr_recorder import FdrWriterConfig, FileFdrWriter, FlightHeader, Schema
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage.closed_segment import ClosedSegment
from flight_check import check_flight, check_identities, open_flight_files, read_whole_chunks
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from producers import BLOB, make_client, numbered, open_flight, send, sent_numbers, TEXT
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 32 * 1024, 'chunk_size_bytes': 4096}
"""Options for flights of many small segments."""


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
    make_writer: MakeWriter, root: Path
) -> None:
    calls: list[tuple[str, ClosedSegment]] = []
    sizes: list[int] = []
    writer, client = make_writer(**SMALL), make_client()

    def hook(closed: ClosedSegment) -> None:
        calls.append((threading.current_thread().name, closed))
        sizes.append((root / 'x' / closed.file_name).stat().st_size)

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


# --- the footer --------------------------------------------------------------------------------


def test_a_footer_that_needs_a_segment_of_its_own_gets_one(make_writer: MakeWriter) -> None:
    """Thirty producers make a footer of several kilobytes; it is never in the way of a limit."""
    writer = make_writer(segment_size_bytes=32 * 1024, chunk_size_bytes=1024)
    clients = [make_client(f'/a_rather_long_topic_name_{index}') for index in range(30)]
    open_flight(writer, 'x', *clients)
    for client in clients:
        send(client, range(5))
    flight = check_flight(writer.close_flight('x'))
    assert all(segment.path.stat().st_size <= 32 * 1024 for segment in flight.segments)


def test_the_footer_is_exact_wherever_in_its_segment_it_comes_to_stand(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(segment_size_bytes=16 * 1024), make_client()
    writer.register(client)
    rotated = set()
    for count in range(32):
        writer.open_flight(FlightHeader(flight_id=f'x{count}'))
        send(client, range(count), 200)
        flight = check_flight(writer.close_flight(f'x{count}'))
        assert all(segment.path.stat().st_size <= 16 * 1024 for segment in flight.segments)
        rotated.add(len(flight.segments))
    assert rotated == {1, 2}
