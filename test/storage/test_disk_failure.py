# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The disk refuses data: full, failing, read-only. Counted, told once, and over by itself."""

from __future__ import annotations

from collections.abc import Callable
import errno
import logging
import os
from pathlib import Path
from typing import Any

from conftest import MakeWriter
from disk_faults import (
    errno_name,
    fill_disk,
    free_space,
    is_segment_fd,
    is_segment_path,
    mounted_tmpfs,
    SystemCall,
)
from fdr_recorder import (
    Alert,
    AlertBoard,
    CapacityCapPolicy,
    FileFdrWriter,
    FlightHeader,
    FlightStorageError,
    RingConfig,
)
from fdr_recorder.record.kinds import AlertRecord, FlightFooter, WriteError
from fdr_recorder.storage.footer import FlightSummary
from flight_check import (
    check_flight,
    check_identities,
    FlightFiles,
    open_flight_files,
    read_whole_chunks,
)
from producers import make_client, number_of, numbered, open_flight, send
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 4096}


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed disk again ten times a second: only the pace of these tests."""
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.1)


def states(told: list[Alert]) -> list[tuple[str, bool]]:
    return [(alert.code, alert.raised) for alert in told]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [item.getMessage() for item in caplog.records if item.levelno >= logging.ERROR]


def numbers(flight: FlightFiles) -> list[int]:
    return [number_of(message.data) for message in flight.of_topic('/blob')]


def is_in_a_file(path: Path, number: int) -> bool:
    """Tell whether a numbered record lies in a segment, open or closed."""
    return any(
        message.topic == '/blob' and number_of(message.data) == number
        for segment in path.glob('*.mcap')
        for message in read_whole_chunks(segment)
    )


def check_closed(summary: FlightSummary) -> FlightFiles:
    """Check a flight, with or without its footer on the disk."""
    if summary.is_complete:
        return check_flight(summary)
    flight = open_flight_files(summary.path)
    assert flight.of_topic(FlightFooter.channel_topic()) == []
    assert not summary.footer.clean_shutdown
    assert flight.custom_data['clean_shutdown'] == 'false'
    footer = summary.footer
    on_disk = sum(path.stat().st_size for path in flight.path.glob('*.mcap'))
    assert footer.bytes_written == on_disk + footer.bytes_dropped
    for producer in footer.producers:
        assert producer.offered == (
            producer.written
            - producer.repeated
            + producer.dropped_overrun
            + producer.dropped_write_error
        ), producer
    return flight


# --- a real full disk --------------------------------------------------------------------------


def test_a_full_disk_suspends_the_recording_until_there_is_space(
    make_writer: MakeWriter,
    tmp_path: Path,
    alerts: AlertBoard,
    told: list[Alert],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk:
        writer = make_writer(disk, alerts=alerts, **SMALL, reserve_bytes=64 * 1024)
        client = make_client(ring=RingConfig(max_records=200))
        open_flight(writer, 'x', client)
        send(client, range(20), 1000)
        wait_until(lambda: writer.status.counters.records_written > 20, 'the first records')
        ballast = fill_disk(disk)
        sent = 20
        while not alerts.present():
            sent += send(client, range(sent, sent + 10), 1000)
        (alert,) = alerts.present()
        assert alert.code == 'disk_full'
        wait_until(lambda: writer.status.is_degraded, 'the status')

        # Far more than the ring holds: it is relieved of the oldest.
        sent += send(client, range(sent, sent + 2000), 1000)
        assert client.ring.refusals.records == 0
        wait_until(lambda: client.ring.fill <= 0.5, 'room in the ring')
        assert writer.status.counters.records_dropped_overrun == 0
        assert len(errors(caplog)) == 1
        assert states(told) == [('disk_full', True)]

        ballast.unlink()
        wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
        assert alerts.present() == ()
        after = sent
        sent += send(client, range(sent, sent + 50), 1000)
        summary = writer.close_flight('x')
        flight = check_flight(summary)
        writer.stop()

    footer = summary.footer
    assert states(told) == [('disk_full', True), ('disk_full', False)]
    assert len(errors(caplog)) == 1
    found = numbers(flight)
    assert found[:20] == list(range(20))
    assert found[-50:] == list(range(after, after + 50))
    assert found == sorted(set(found))
    (counters,) = [item for item in footer.producers if item.topic == '/blob']
    assert counters.offered == sent
    assert counters.dropped_write_error == sent - len(found) >= 1800
    (record,) = flight.payloads(WriteError)
    assert (record.error_number, record.error_name) == (errno.ENOSPC, 'ENOSPC')
    assert record.records == footer.records_dropped_write_error
    assert 0 < record.first_error_ns <= record.last_error_ns
    recorded = [(item.code, item.raised) for item in flight.payloads(AlertRecord)]
    assert recorded == states(told)


def test_closing_while_the_disk_is_full_says_so_and_harms_nothing(
    make_writer: MakeWriter, tmp_path: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 512 * 1024) as disk:
        writer = make_writer(disk, alerts=alerts, **SMALL, reserve_bytes=32 * 1024)
        client = make_client()
        open_flight(writer, 'x', client)
        send(client, range(20), 1000)
        wait_until(lambda: writer.status.counters.records_written > 20, 'the first records')
        fill_disk(disk)
        client.enqueue(numbered(20, 60_000))
        wait_until(alerts.present, 'the alert')
        metadata = disk / 'x' / 'metadata.yaml'
        wait_until(lambda: 'segment_000000' in metadata.read_text(), 'the segment to be closed')
        fill_disk(disk)  # what the reserve gave is gone, too
        send(client, range(21, 40), 1000)
        summary = writer.close_flight('x')
        assert not summary.is_complete
        flight = check_closed(summary)
        assert numbers(flight) == list(range(20))
        assert summary.footer.records_dropped_write_error >= 20
        assert states(told) == [('disk_full', True), ('disk_full', False)]
        assert writer.close_flight('x') is summary

        with pytest.raises(FlightStorageError, match='No space left'):
            writer.open_flight(FlightHeader(flight_id='y'))
        assert not (disk / 'y').exists()
        (disk / 'ballast').unlink()
        writer.open_flight(FlightHeader(flight_id='y'))
        check_flight(writer.close_flight('y'))
        writer.stop()


def test_stopping_while_the_disk_is_full_ends(
    make_writer: MakeWriter, tmp_path: Path, alerts: AlertBoard
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 512 * 1024) as disk:
        writer = make_writer(disk, alerts=alerts, **SMALL)
        client = make_client()
        open_flight(writer, 'x', client)
        fill_disk(disk)
        client.enqueue(numbered(0, 60_000))
        wait_until(alerts.present, 'the alert')
        writer.stop()
        assert not writer.is_started
        assert alerts.present() == ()


def test_a_flight_cannot_begin_on_a_full_disk_and_leaves_nothing(
    make_writer: MakeWriter, tmp_path: Path
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 256 * 1024) as disk:
        writer = make_writer(disk)
        client = make_client()
        writer.register(client)
        fill_disk(disk)
        before = sorted(path.name for path in disk.iterdir())
        with pytest.raises(FlightStorageError, match=r'cannot begin a flight.*No space left'):
            writer.open_flight(FlightHeader(flight_id='x'))
        assert sorted(path.name for path in disk.iterdir()) == before
        assert writer.open_flight_id is None
        assert client.enqueue(b'') is False
        writer.stop()


# --- errors of the disk ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('number', 'code'),
    [
        (errno.ENOSPC, 'disk_full'),
        (errno.EDQUOT, 'disk_full'),
        (errno.EIO, 'write_error'),
        (errno.EROFS, 'write_error'),
    ],
    ids=['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'],
)
def test_each_error_suspends_and_is_over_by_itself(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
    alerts: AlertBoard,
    told: list[Alert],
    caplog: pytest.LogCaptureFixture,
    number: int,
    code: str,
) -> None:
    caplog.set_level(logging.WARNING)
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > 10, 'the first records')
    for spell in range(2):
        writev.fail(number)
        send(client, range(10 + 20 * spell, 20 + 20 * spell))
        wait_until(alerts.present, 'the alert')
        calls = writev.calls
        wait_until(lambda least=calls + 6: writev.calls >= least, 'six more tries')
        assert len(errors(caplog)) == spell + 1
        writev.work()
        wait_until(lambda: not alerts.present(), 'the end of the alert')
        send(client, range(20 + 20 * spell, 30 + 20 * spell))
        wait_until(lambda last=29 + 20 * spell: is_in_a_file(root / 'x', last), 'the records')
    flight = check_flight(writer.close_flight('x'))
    assert numbers(flight) == list(range(50)), 'rings and writer have kept all'
    assert states(told) == [(code, True), (code, False)] * 2
    records = flight.payloads(WriteError)
    assert [(item.error_number, item.error_name) for item in records] == [
        (number, errno_name(number))
    ] * 2
    assert [item.records for item in records] == [0, 0]
    assert flight.footer.records_dropped_write_error == 0


def test_the_recorders_own_records_wait_for_the_disk(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(alerts=alerts), make_client()
    open_flight(writer, 'x', client)
    writev.fail(errno.EIO)
    client.enqueue(numbered(0))
    wait_until(alerts.present, 'the alert')
    for index in range(5):
        alerts.raise_alert('topic_stale', 'silent', subject=f'/{index}')
    writev.work()
    wait_until(lambda: len(alerts.present()) == 5, 'the disk')
    flight = check_flight(writer.close_flight('x'))
    recorded = [(item.code, item.subject) for item in flight.payloads(AlertRecord)]
    assert recorded == [
        ('write_error', ''),
        *(('topic_stale', f'/{index}') for index in range(5)),
        ('write_error', ''),
    ]


def test_latched_messages_are_in_the_segment_after_the_spell(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    """Also one that came while nothing could be written."""
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(alerts=alerts), make_client(latched=True)
    open_flight(writer, 'x', client)
    writev.fail(errno.EIO)
    client.enqueue(numbered(1))
    wait_until(alerts.present, 'the alert')
    client.enqueue(numbered(2))
    calls = writev.calls
    wait_until(lambda: writev.calls >= calls + 6, 'six more tries')
    writev.work()
    wait_until(lambda: not alerts.present(), 'the disk')
    flight = check_flight(writer.close_flight('x'))
    assert sorted(set(numbers(flight))) == [1, 2]


def test_a_foreign_file_in_the_way_of_a_segment_is_never_written_to(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    open_flight(writer, 'x', client)
    precious = root / 'precious'
    precious.write_text('keep me')
    (root / 'x' / 'segment_000001.mcap').symlink_to(precious)
    for number in range(3):
        client.enqueue(numbered(number, 40_000))
    summary = writer.close_flight('x')
    writer.stop()
    assert precious.read_text() == 'keep me'
    assert summary.is_complete
    flight = open_flight_files(summary.path)
    assert len(flight.of_topic(client.channel.topic)) == 3
    assert 'segment_000001.mcap' not in [segment.path.name for segment in flight.segments]
    assert alerts.present() == ()


# --- before it is full -------------------------------------------------------------------------


class Space:
    """What `os.statvfs` says is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_bytes = 1 << 30
        replacement = free_space(lambda: self.free_bytes, os.statvfs)
        monkeypatch.setattr(os, 'statvfs', replacement)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Space:
    return Space(monkeypatch)


def test_low_space_is_told_before_it_is_too_little(
    make_writer: MakeWriter, space: Space, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = make_writer(alerts=alerts, min_free_bytes=100 << 20), make_client()
    open_flight(writer, 'x', client)
    space.free_bytes = 199 << 20
    wait_until(alerts.present, 'the alert')
    assert not writer.status.is_degraded
    space.free_bytes = 201 << 20
    wait_until(lambda: not alerts.present(), 'the end of the alert')
    flight = check_flight(writer.close_flight('x'))
    assert states(told) == [('disk_low', True), ('disk_low', False)]
    assert flight.footer.records_dropped_write_error == 0


def test_below_min_free_bytes_the_disk_counts_as_full(
    make_writer: MakeWriter, space: Space, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = make_writer(alerts=alerts, min_free_bytes=100 << 20), make_client()
    open_flight(writer, 'x', client)
    send(client, range(10))
    space.free_bytes = 99 << 20
    wait_until(lambda: writer.status.is_degraded, 'the recording to be suspended')
    send(client, range(10, 20))
    space.free_bytes = 500 << 20
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    send(client, range(20, 30))
    flight = check_flight(writer.close_flight('x'))
    assert numbers(flight) == list(range(30))
    codes = [code for code, raised in states(told) if raised]
    assert sorted(codes) == ['disk_full', 'disk_low']
    assert alerts.present() == ()


def test_a_flight_does_not_begin_below_min_free_bytes(
    make_writer: MakeWriter, space: Space, root: Path
) -> None:
    writer = make_writer(min_free_bytes=100 << 20)
    space.free_bytes = 99 << 20
    with pytest.raises(FlightStorageError):
        writer.open_flight(FlightHeader(flight_id='x'))
    assert not (root / 'x').exists()
    space.free_bytes = 101 << 20
    open_flight(writer, 'x')
    check_flight(writer.close_flight('x'))


def test_no_limit_uses_the_disk_to_the_last_byte(
    make_writer: MakeWriter, space: Space, told: list[Alert], alerts: AlertBoard
) -> None:
    space.free_bytes = 0
    writer, client = make_writer(alerts=alerts, min_free_bytes=0), make_client()
    open_flight(writer, 'x', client)
    send(client, range(10))
    assert numbers(check_flight(writer.close_flight('x'))) == list(range(10))
    assert told == []


def test_drop_oldest_makes_room_instead_of_suspending(
    make_writer: MakeWriter, space: Space, alerts: AlertBoard, root: Path
) -> None:
    limit = 100 << 20
    writer = make_writer(
        alerts=alerts, **SMALL, min_free_bytes=limit, on_low_space='drop_oldest'
    )
    client = make_client()
    open_flight(writer, 'x', client)
    sent = send(client, range(500), 1000)
    wait_until(lambda: writer.status.segments > 5 and not len(client.ring), 'some segments')
    records = {
        path.name: len(path.read_bytes()) for path in sorted((root / 'x').glob('*.mcap'))
    }
    space.free_bytes = limit - 100_000  # two segments of 64 KiB bring it back
    wait_until(lambda: writer.status.counters.segments_dropped, 'segments to be dropped')
    space.free_bytes = 4 * limit
    assert not writer.status.is_degraded
    sent += send(client, range(sent, sent + 10), 1000)
    summary = writer.close_flight('x')
    footer = summary.footer
    assert footer.segments_dropped >= 2
    dropped = sorted(records)[: footer.segments_dropped]
    assert footer.bytes_dropped == sum(records[name] for name in dropped)
    assert footer.records_dropped_write_error == 0
    flight = open_flight_files(summary.path)
    found = numbers(flight)
    assert found == list(range(sent - len(found), sent))
    counts = [
        message.payload().records  # type: ignore[attr-defined]
        for message in flight.of_topic('/fdr/segment_rollover')
    ]
    check_identities(flight, footer, dropped=counts)


# --- every system call fails once --------------------------------------------------------------


def drive(writer: FileFdrWriter, client: Any) -> FlightSummary | None:
    """Record a flight of several segments with a cap, whatever fails on the way."""
    writer.register(client)
    try:
        writer.open_flight(FlightHeader(flight_id='x'))
    except FlightStorageError:
        return None
    for number in range(3):
        client.enqueue(numbered(number, 7000))
    wait_until(lambda: len(client.ring) == 0, 'the ring to be drained')
    for number in range(3, 6):
        client.enqueue(numbered(number, 7000))
    return writer.close_flight('x')


def run_with_fault(
    make_writer: MakeWriter,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    only: Callable[..., bool],
    on_call: int,
    number: int,
) -> bool:
    """Fail one call; return False if the flight did not make so many."""
    path.mkdir()
    alerts = AlertBoard()
    with monkeypatch.context() as patched:
        writer = make_writer(
            path, alerts=alerts, segment_size_bytes=16 * 1024, chunk_size_bytes=8192,
            flush_interval_s=60.0, sync_interval_s=60.0,
        )  # fmt: skip
        writer.on_rotation = CapacityCapPolicy(1 << 30, writer, alerts).on_rotation
        fault = SystemCall(patched, name, only=only)
        fault.fail(number, on_call=on_call)
        client = make_client()
        summary = drive(writer, client)
        reached = fault.calls >= on_call
        writer.stop()
    assert alerts.present() == ()
    if summary is None:
        assert not (path / 'x').exists()
        return reached
    flight = check_closed(summary)
    found = numbers(flight)
    assert found == sorted(set(found))
    if not reached:
        assert found == list(range(6))
    return reached


@pytest.mark.parametrize(
    ('name', 'only'),
    [
        ('writev', is_segment_fd),
        ('fsync', lambda *_: True),
        ('fdatasync', lambda *_: True),
        ('open', lambda path, *_a, **_k: is_segment_path(path) or 'metadata' in str(path)),
    ],
    ids=['writev', 'fsync', 'fdatasync', 'open'],
)
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EIO], ids=['ENOSPC', 'EIO'])
def test_whichever_call_fails_the_flight_is_whole_and_its_counters_are_true(
    make_writer: MakeWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    only: Callable[..., bool],
    number: int,
) -> None:
    for on_call in range(1, 200):
        path = tmp_path / f'{name}_{on_call}'
        try:
            if not run_with_fault(make_writer, path, monkeypatch, name, only, on_call, number):
                assert on_call > 1
                return
        except AssertionError as error:
            message = f'when {name} fails the {on_call}. time: {error}'
            raise AssertionError(message) from error
    pytest.fail('the flight never ended')
