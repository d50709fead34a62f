# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight is complete only if its footer and `metadata.yaml` both say so on the disk."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import Alert, AlertBoard, FdrClient, FileFdrWriter
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.storage.footer import FlightSummary
from flight_check import check_flight, open_flight_files
from producers import make_client, number_of, open_flight, send
import pytest
from waiting import wait_until

NAME = 'metadata.yaml'
FIRST = 'segment_000000.mcap'


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again ten times a second: only the pace of these tests."""
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.1)
    monkeypatch.setattr('fdr_recorder.storage.durability.METADATA_RETRY_S', 0.05)


def begun(make_writer: MakeWriter, alerts: AlertBoard) -> tuple[FileFdrWriter, FdrClient]:
    writer, client = make_writer(alerts=alerts), make_client()
    open_flight(writer, 'x', client)
    send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > 10, 'the first records')
    return writer, client


def is_metadata(*names: object, **_: object) -> bool:
    return NAME in names


def check_incomplete(summary: FlightSummary, cause: str) -> None:
    assert not summary.is_complete
    assert cause in summary.cause
    assert str(summary.path) in summary.cause
    assert list_flight(summary.path).status.ended is Ended.UNKNOWN


def check_recovered(summary: FlightSummary, count: int) -> None:
    recover(summary.path.parent)
    assert list_flight(summary.path).status.ended in (Ended.CLOSED, Ended.RECOVERED)
    assert verify(summary.path).verdict in (Verdict.COMPLETE, Verdict.LOSSES)
    found = open_flight_files(summary.path).of_topic('/blob')
    assert [number_of(message.data) for message in found] == list(range(count))


# --- metadata.yaml -----------------------------------------------------------------------------


def test_a_directory_in_the_place_of_metadata_is_told_once_and_no_flight_is_complete(
    make_writer: MakeWriter,
    root: Path,
    alerts: AlertBoard,
    told: list[Alert],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    writer, client = begun(make_writer, alerts)
    (root / 'x' / NAME).unlink()
    (root / 'x' / NAME).mkdir()
    send(client, range(10, 20))
    writer.split()
    wait_until(alerts.present, 'the alert')
    (alert,) = alerts.present()
    assert (alert.code, alert.subject) == ('write_error', NAME)
    assert 'metadata.yaml is not renewed: Is a directory' in alert.message
    before = writer.status.counters.records_written
    send(client, range(20, 30))
    wait_until(lambda: writer.status.counters.records_written >= before + 10, 'more records')
    wait_until(lambda: writer.status.counters.rollover_count == 1, 'the next segment')
    assert [item for item in caplog.messages if NAME in item] == [
        f'write_error: {alert.message}'
    ], 'it is said once'
    summary = writer.close_flight('x')
    writer.stop()
    check_incomplete(summary, 'Is a directory')
    assert [item.raised for item in told] == [True, False]
    (root / 'x' / NAME).rmdir()
    check_recovered(summary, 30)


@pytest.mark.parametrize('number', [errno.EPERM, errno.EIO, errno.ENOSPC])
def test_a_flight_whose_metadata_can_never_be_renewed_is_not_complete(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, number: int
) -> None:
    writer, client = begun(make_writer, alerts)
    with monkeypatch.context() as patched:
        rename = SystemCall(patched, 'rename', only=is_metadata)
        rename.fail(number)
        send(client, range(10, 20))
        summary = writer.close_flight('x')
    writer.stop()
    check_incomplete(summary, os.strerror(number))
    assert not list(summary.path.glob('.*')), 'a temporary file is left'
    check_recovered(summary, 20)


def test_metadata_that_is_renewed_again_ends_the_alert(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = begun(make_writer, alerts)
    rename = SystemCall(monkeypatch, 'rename', only=is_metadata)
    rename.fail(errno.EACCES)
    send(client, range(10, 20))
    writer.split()
    wait_until(lambda: rename.calls > 4, 'more tries')
    rename.work()
    wait_until(lambda: not alerts.present(), 'the end of the alert')
    assert [(item.code, item.raised) for item in told] == [
        ('write_error', True), ('write_error', False)
    ]  # fmt: skip
    check_flight(writer.close_flight('x'))


def test_metadata_that_is_refused_once_is_not_worth_a_word(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = begun(make_writer, alerts)
    rename = SystemCall(monkeypatch, 'rename', only=is_metadata)
    rename.fail(errno.EIO, on_call=1)
    send(client, range(10, 20))
    check_flight(writer.close_flight('x'))
    assert rename.calls > 1
    assert told == []


def test_a_dropped_segment_that_cannot_be_removed_is_told_too(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts), make_client()

    def drop(_closed: object) -> None:
        writer.drop_oldest_segment(1)

    writer.on_rotation = drop
    open_flight(writer, 'x', client)
    send(client, range(20))
    wait_until(lambda: writer.status.counters.records_written > 20, 'the records')
    with monkeypatch.context() as patched:
        SystemCall(patched, 'unlink', only=lambda name, **_: name == FIRST).fail(errno.EBUSY)
        writer.split()
        wait_until(alerts.present, 'the alert')
        (alert,) = alerts.present()
        assert 'a dropped segment is not removed: Device or resource busy' in alert.message
        summary = writer.close_flight('x')
    writer.stop()
    check_incomplete(summary, 'a dropped segment is not removed')


# --- one file alone ----------------------------------------------------------------------------


def is_first(fd: int, *_: object) -> bool:
    return is_segment_fd(fd) and Path(f'/proc/self/fd/{fd}').readlink().name == FIRST


@pytest.mark.parametrize('number', [errno.EFBIG, errno.EIO])
def test_what_a_bad_file_refuses_at_close_goes_to_the_next_with_the_footer(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, number: int
) -> None:
    writer, client = make_writer(alerts=alerts, flush_interval_s=60.0), make_client()
    open_flight(writer, 'x', client)
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_first).fail(number)
        send(client, range(50))
        summary = writer.close_flight('x')
    writer.stop()
    assert summary.footer.records_dropped_write_error == 0
    assert summary.footer.clean_shutdown, 'there is no footer'
    check_incomplete(summary, os.strerror(number))
    assert alerts.present() == ()
    check_recovered(summary, 50)


def test_a_file_that_refuses_the_footer_alone_leaves_it_to_the_next(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, _ = begun(make_writer, alerts)
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_first).fail(errno.EFBIG)
        summary = writer.close_flight('x')
    writer.stop()
    assert summary.footer.clean_shutdown, 'there is no footer'
    assert summary.footer.records_dropped_write_error <= 3  # footers that were tried
    check_incomplete(summary, 'File too large')
    check_recovered(summary, 10)


def test_a_bad_file_that_can_be_ended_in_time_harms_nothing(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    writer, client = make_writer(alerts=alerts, flush_interval_s=60.0), make_client()
    open_flight(writer, 'x', client)
    writev = SystemCall(monkeypatch, 'writev', only=is_first)
    opened = SystemCall(monkeypatch, 'open', only=lambda path, *_a, **_k: '000001' in str(path))
    opened._before = lambda _number: writev.work()
    writev.fail(errno.EIO)
    send(client, range(50))
    summary = writer.close_flight('x')
    flight = check_flight(summary)
    assert len(flight.of_topic('/blob')) == 50
    assert len(flight.segments) == 2


# --- the recorder's own records ----------------------------------------------------------------


@pytest.mark.parametrize('recovers', [True, False])
def test_the_recorders_own_records_do_not_pile_up_while_the_disk_refuses(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, recovers: bool
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.outbox.MAX_WAITING', 20)
    writer, client = begun(make_writer, alerts)
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writev.fail(errno.EIO)
    send(client, range(10, 20))
    wait_until(alerts.present, 'the alert')
    for index in range(100):
        alerts.raise_alert('topic_stale', 'silent', subject=f'/{index}')
    recording = writer._drain.recording
    assert recording is not None
    assert len(recording._outbox) == 20
    if recovers:
        writev.work()
    summary = writer.close_flight('x')
    (account,) = [item for item in summary.footer.producers if item.topic == '/fdr/alert']
    assert account.offered == account.written + account.dropped_write_error >= 100
    assert account.dropped_write_error >= 80
    if recovers:
        check_flight(summary)
