# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
A disk that refuses data for a while: records wait, and none is lost while the rings have room.

The next segment is opened before the last is ended; if it cannot be opened, the last grows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import errno
import os
from pathlib import Path
import time
from typing import Any

from conftest import MakeWriter
from disk_faults import is_segment_fd, is_segment_path, mounted_tmpfs, SystemCall
from fdr_recorder import Alert, AlertBoard, FileFdrWriter, RingConfig
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import WriteError
from flight_check import (
    check_flight,
    check_identities,
    FlightFiles,
    open_flight_files,
    read_whole_chunks,
)
from producers import make_client, number_of, open_flight, send, sent_numbers
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 4096}


def check_all_there(flight: FlightFiles, sent: int) -> None:
    assert sent_numbers(flight) == list(range(sent))
    footer = flight.footer
    assert footer.records_dropped_write_error == footer.records_dropped_overrun == 0
    assert verify(flight.path).verdict is Verdict.COMPLETE


# --- one failure -------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN])
def test_one_write_that_fails_costs_nothing_and_leaves_a_trace(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    told: list[Alert],
    number: int,
) -> None:
    """As at 1,000 records a second, with rings that are almost empty."""
    writer, client = make_writer(alerts=alerts), make_client()
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    send(client, range(500))
    wait_until(lambda: writer.status.counters.records_written > 500, 'the first records')
    writev.fail(number, on_call=writev.calls + 1)
    sent = 500
    while not told:
        sent += send(client, range(sent, sent + 10))
        time.sleep(0.001)
    sent += send(client, range(sent, sent + 500))
    wait_until(lambda: not alerts.present(), 'the disk')
    flight = check_flight(writer.close_flight('x'))
    check_all_there(flight, sent)
    (trace,) = flight.payloads(WriteError)
    assert (trace.error_number, trace.records) == (number, 0)
    assert [alert.raised for alert in told] == [True, False]


@pytest.mark.parametrize('on_call', range(1, 12))
@pytest.mark.parametrize(
    ('name', 'only'),
    [
        ('writev', is_segment_fd),
        ('open', lambda path, *_args, **_options: is_segment_path(path)),
        ('fsync', lambda *_args: True),
    ],
    ids=['writev', 'open', 'fsync'],
)
def test_whichever_call_fails_once_nothing_is_lost(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    name: str,
    only: Callable[..., bool],
    on_call: int,
) -> None:
    """Also when segments end, when the flight is closed, and when the footer is written."""
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    open_flight(writer, 'x', client)
    with monkeypatch.context() as patched:
        SystemCall(patched, name, only=only).fail(errno.EIO, on_call=on_call)
        send(client, range(300), 1000)
        summary = writer.close_flight('x')
    check_all_there(check_flight(summary), 300)
    assert alerts.present() == ()


# --- a spell -----------------------------------------------------------------------------------


def test_a_spell_of_seconds_costs_nothing_while_the_rings_have_room(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer = make_writer(alerts=alerts)
    client, latched = make_client(), make_client('/latched', latched=True)
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client, latched)
    writev.fail(errno.EIO)
    send(latched, range(1))
    send(client, range(500))
    wait_until(alerts.present, 'the alert')
    send(client, range(500, 1000))
    wait_until(lambda: writer.status.is_degraded, 'the status')
    tries = writev.calls
    wait_until(lambda: writev.calls >= tries + 5, 'the quick tries and one more')
    assert writer.status.counters.records_dropped_write_error == 0
    writev.work()
    wait_until(lambda: not alerts.present(), 'the disk')
    flight = check_flight(writer.close_flight('x'))
    check_all_there(flight, 1000)
    assert set(sent_numbers(flight, '/latched')) == {0}


def test_a_file_that_alone_is_bad_is_left_for_the_next(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    def is_first(fd: int, *_: object) -> bool:
        return Path(f'/proc/self/fd/{fd}').readlink().name == 'segment_000000.mcap'

    writer, client = make_writer(alerts=alerts), make_client()
    writev = SystemCall(monkeypatch, 'writev', only=is_first)
    open_flight(writer, 'x', client)
    send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > 10, 'the first records')
    writev.fail(errno.EFBIG)
    send(client, range(10, 400))
    wait_until(alerts.present, 'the alert')
    wait_until(lambda: not alerts.present(), 'the next segment')
    writev.work()
    flight = check_flight(writer.close_flight('x'))
    check_all_there(flight, 400)
    assert len(flight.segments) == 2


def test_full_rings_keep_the_newest_half_and_count_the_rest(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts), make_client(ring=RingConfig(max_records=400))
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    writev.fail(errno.EIO)
    send(client, range(3000))
    wait_until(lambda: client.ring.fill <= 0.5, 'room in the ring')
    assert client.ring.refusals.records == 0
    writev.work()
    wait_until(lambda: not alerts.present(), 'the disk')
    summary = writer.close_flight('x')
    flight = check_flight(summary)
    found = sent_numbers(flight)
    assert found[-200:] == list(range(2800, 3000))
    assert summary.footer.records_dropped_write_error == 3000 - len(found)
    (trace,) = flight.payloads(WriteError)
    assert trace.records == 3000 - len(found)


@pytest.mark.parametrize('ends', [FileFdrWriter.close_flight, None], ids=['close', 'stop'])
def test_a_flight_that_ends_in_a_spell_counts_what_it_could_not_write(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, ends: Any
) -> None:
    writer, client = make_writer(alerts=alerts), make_client()
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > 10, 'the first records')
    writev.fail(errno.EIO)
    send(client, range(10, 500))
    wait_until(alerts.present, 'the alert')
    path = writer.status.path
    assert path is not None
    if ends is None:
        writer.stop()
        assert alerts.present() == ()
        stored = read_whole_chunks(path / 'segment_000000.mcap')
        numbers = [number_of(item.data) for item in stored if item.topic == '/blob']
        assert numbers == list(range(10))
        return
    summary = writer.close_flight('x')
    assert not summary.is_complete
    assert 'Input/output error' in summary.cause
    assert str(path) in summary.cause
    assert summary.footer.records_dropped_write_error >= 490
    (account,) = [item for item in summary.footer.producers if item.topic == '/blob']
    assert account.offered == account.written + account.dropped_write_error == 500


def test_a_producer_that_leaves_in_a_spell_loses_nothing(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts), make_client()
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    writev.fail(errno.EIO)
    send(client, range(300))
    wait_until(alerts.present, 'the alert')
    send(client, range(300, 400))
    writer.retire(client)
    tries = writev.calls
    wait_until(lambda: writev.calls >= tries + 5, 'five more tries')
    writev.work()
    wait_until(lambda: not alerts.present(), 'the disk')
    check_all_there(check_flight(writer.close_flight('x')), 400)


# --- the next segment --------------------------------------------------------------------------


def grown(
    writer: FileFdrWriter, alerts: AlertBoard, client: Any, begin: Callable[[], object]
) -> tuple[int, Alert]:
    """Record until the next segment cannot be opened, and on; return what was sent, the alert."""
    open_flight(writer, 'x', client)
    begin()
    sent = 0
    while not alerts.present():
        sent += send(client, range(sent, sent + 50), 1000)
    (alert,) = alerts.present()
    sent += send(client, range(sent, sent + 500), 1000)
    wait_until(lambda: writer.status.counters.records_written > sent, 'all records in the file')
    assert writer.status.segment_index == 0
    assert not writer.status.is_degraded
    return sent, alert


@pytest.mark.parametrize(
    ('number', 'cause'),
    [
        (errno.EMFILE, 'LimitNOFILE'),
        (errno.EACCES, 'check the owner'),
        (errno.EIO, 'the disk fails'),
    ],
    ids=errno.errorcode.get,
)
def test_the_open_segment_grows_while_the_next_cannot_be_opened(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
    alerts: AlertBoard,
    told: list[Alert],
    number: int,
    cause: str,
) -> None:
    calls = SystemCall(
        monkeypatch, 'open', only=lambda path, *_args, **_options: is_segment_path(path)
    )
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    error = OSError(number, os.strerror(number), 'segment_000001.mcap')
    sent, alert = grown(writer, alerts, client, lambda: calls.fail(error))
    assert alert.code == 'segment_not_opened'
    assert os.strerror(number) in alert.message
    assert cause in alert.message
    assert str(root / 'x' / 'segment_000001.mcap') in alert.message
    calls.work()
    wait_until(lambda: not alerts.present(), 'the next segment')
    sent += send(client, range(sent, sent + 100), 1000)
    summary = writer.close_flight('x')
    flight = open_flight_files(summary.path)
    check_identities(flight, summary.footer)
    check_all_there(flight, sent)
    assert flight.segments[0].path.stat().st_size > 500_000
    assert [(item.code, item.raised) for item in told] == [
        ('segment_not_opened', True), ('segment_not_opened', False)
    ]  # fmt: skip


def test_without_an_inode_the_open_segment_grows_to_the_end(
    make_writer: MakeWriter, tmp_path: Path, alerts: AlertBoard
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 8 << 20, 'nr_inodes=20') as disk:
        writer, client = make_writer(disk, alerts=alerts, **SMALL), make_client()

        def use_up() -> None:
            with suppress(OSError):
                for number in range(30):
                    (disk / f'other_{number}').touch()

        sent, alert = grown(writer, alerts, client, use_up)
        assert 'no inodes left' in alert.message
        (disk / 'other_0').unlink()  # metadata.yaml is renewed by a new file
        summary = writer.close_flight('x')
        flight = open_flight_files(summary.path)
        check_identities(flight, summary.footer)
        check_all_there(flight, sent)
        writer.stop()


def test_a_split_that_could_not_be_made_is_made_later(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts), make_client()
    calls = SystemCall(
        monkeypatch, 'open', only=lambda path, *_args, **_options: is_segment_path(path)
    )
    open_flight(writer, 'x', client)
    send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > 10, 'the first records')
    calls.fail(errno.EMFILE)
    writer.split()
    wait_until(alerts.present, 'the alert')
    calls.work()
    wait_until(lambda: writer.status.segment_index == 1, 'the split')
    check_all_there(check_flight(writer.close_flight('x')), 10)


def test_a_segment_that_has_no_number_for_another_channel_does_not_grow(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    """What cannot go into it waits, as for a disk that refuses data."""
    monkeypatch.setattr('fdr_recorder.storage.segment_index.MOST_CHANNELS', 6)
    writer = make_writer(alerts=alerts)
    clients = [make_client(f'/blob{number}') for number in range(9)]
    calls = SystemCall(
        monkeypatch, 'open', only=lambda path, *_args, **_options: is_segment_path(path)
    )
    open_flight(writer, 'x', *clients)
    calls.fail(errno.EMFILE)
    for client in clients:
        send(client, range(5))
    wait_until(lambda: writer.status.is_degraded, 'records to wait')
    calls.work()
    wait_until(lambda: not alerts.present(), 'the next segment')
    flight = check_flight(writer.close_flight('x'))
    assert flight.footer.records_dropped_write_error == 0
    for number in range(9):
        assert sent_numbers(flight, f'/blob{number}') == list(range(5))
