# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A sync fails: what it covered is read back, and confirmed or counted; never believed."""

from __future__ import annotations

from collections.abc import Callable
import errno
import os
from pathlib import Path

from conftest import MakeWriter
from disk_faults import fill_disk, forgetful_sync, is_segment_fd, mounted_on_loop, SystemCall
from fdr_recorder import Alert, AlertBoard, CapacityCapPolicy, RingConfig
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import AlertRecord, SegmentRollover, WriteError
from fdr_recorder.storage.files import append_durably
from fdr_recorder.storage.read_back import Medium
from flight_check import check_flight, check_identities, FlightFiles, open_flight_files
from producers import make_client, number_of, open_flight, send
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 2048}


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed disk again twenty times a second: only the pace of these tests."""
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.05)


def states(told: list[Alert]) -> list[tuple[str, bool]]:
    return [(alert.code, alert.raised) for alert in told]


def numbers(flight: FlightFiles) -> list[int]:
    return [number_of(message.data) for message in flight.of_topic('/blob')]


def send_until(condition: Callable[[], object], client: object, start: int = 0) -> int:
    """Send records until a condition holds; return the number of the next."""
    number = start

    def is_met() -> bool:
        nonlocal number
        if condition():
            return True
        number += send(client, range(number, number + 5))
        return False

    wait_until(is_met, 'the fault, while records are sent')
    return number


def check_losses(flight: FlightFiles, sent: int) -> int:
    """Check that what is not in the files is counted, exactly; return how many."""
    found = numbers(flight)
    assert found == sorted(set(found))
    producers = {producer.topic: producer for producer in flight.footer.producers}
    assert producers['/blob'].offered == sent
    assert producers['/blob'].dropped_write_error == sent - len(found)
    check_identities(flight, flight.footer)
    lost = flight.footer.records_dropped_write_error
    assert sum(record.records for record in flight.payloads(WriteError)) == lost
    result = verify(flight.path)
    assert result.verdict is (Verdict.LOSSES if lost else Verdict.COMPLETE), str(result)
    assert sum(loss.records for loss in result.losses) == lost
    return lost


# --- in flight ---------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['fdatasync', 'fsync'])
@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_is_read_back_whole_is_not_lost_and_told_once(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    told: list[Alert],
    name: str,
    number: int,
) -> None:
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    fault = SystemCall(monkeypatch, name, only=is_segment_fd)
    open_flight(writer, 'x', client)
    fault.fail(number, on_call=fault.calls + 2)
    sent = send_until(lambda: len(told) == 2, client)
    code = 'write_error' if number in (errno.EIO, errno.EROFS) else 'disk_full'
    assert states(told) == [(code, True), (code, False)]
    assert 'nothing is lost' in told[1].message
    flight = check_flight(writer.close_flight('x'))
    assert numbers(flight) == list(range(sent))
    assert check_losses(flight, sent) == 0
    assert len(flight.payloads(AlertRecord)) == 2


@pytest.mark.parametrize('compression', ['none', 'zstd', 'lz4'])
@pytest.mark.parametrize('name', ['fdatasync', 'fsync'])
def test_what_the_disk_has_not_kept_is_counted_and_recording_goes_on(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    told: list[Alert],
    name: str,
    compression: str,
) -> None:
    writer = make_writer(alerts=alerts, **SMALL, compression=compression)
    client = make_client(publisher='0a' * 16)
    fault = forgetful_sync(monkeypatch, name)
    open_flight(writer, 'x', client)
    sent = send_until(lambda: fault.calls >= 2, client)
    fault.lose_next()
    sent = send_until(lambda: len(told) == 2, client, sent)
    assert states(told) == [('write_error', True), ('write_error', False)]
    sent += send(client, range(sent, sent + 50))
    flight = check_flight(writer.close_flight('x'))
    assert check_losses(flight, sent) > 0
    assert numbers(flight)[-50:] == list(range(sent - 50, sent))


def test_latched_messages_and_header_of_a_lost_beginning_are_written_again(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL, sync_interval_s=3600.0)
    client, latched = make_client(), make_client('/map', latched=True)
    fault = forgetful_sync(monkeypatch, 'fsync')
    open_flight(writer, 'x', client, latched)
    latched.enqueue(b'map')
    fault.lose_next(first=True)
    sent = send_until(lambda: len(told) == 2, client)
    summary = writer.close_flight('x')
    flight = check_flight(summary)
    assert check_losses(flight, sent) > 0
    for segment in flight.segments[1:]:
        assert segment.messages[1].topic == '/map'


def test_what_cannot_be_told_from_the_page_cache_is_counted(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    def refuse(*_: object) -> int:
        raise NotImplementedError

    monkeypatch.setattr(Medium, '_fill', refuse)
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    fault = SystemCall(monkeypatch, 'fdatasync', only=is_segment_fd)
    open_flight(writer, 'x', client)
    fault.fail(errno.EIO, on_call=fault.calls + 2)
    sent = send_until(lambda: len(told) == 2, client)
    flight = check_flight(writer.close_flight('x'))
    assert check_losses(flight, sent) > 0


def test_what_is_read_back_is_whole_although_the_file_grows_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'file'
    path.write_bytes(bytes(range(256)) * 25)  # it ends within a block
    really_fill = Medium._fill

    def fill(medium: Medium, offset: int, wanted: int) -> int:
        size = really_fill(medium, offset, wanted)
        with path.open('ab') as file:
            file.write(b'more' * 1000)
        return size

    with path.open('r+b') as file:
        os.fsync(file.fileno())
        medium = Medium(file.fileno())
        try:
            monkeypatch.setattr(Medium, '_fill', fill)
            assert medium.read(4800, 1600) == (bytes(range(256)) * 25)[4800:]
        except NotImplementedError:
            pytest.skip('what the medium has cannot be told on this file system')
        finally:
            medium.close()


def test_what_was_written_during_the_sync_that_failed_is_in_doubt_too(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = make_writer(alerts=alerts, chunk_size_bytes=2048), make_client()
    fault = forgetful_sync(monkeypatch, 'fdatasync')
    open_flight(writer, 'x', client)
    with fault.lost_after_a_stall() as is_stalled:
        sent = send_until(is_stalled.is_set, client)
        sent += send(client, range(sent, sent + 100))
        wait_until(lambda: not len(client.ring), 'the ring')
    wait_until(lambda: len(told) == 2, 'the end of the alert')
    flight = check_flight(writer.close_flight('x'))
    assert check_losses(flight, sent) >= 90


def test_a_drop_is_recorded_again_when_a_sync_loses_the_record_of_it(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, segment_size_bytes=16 * 1024, chunk_size_bytes=1024)
    client = make_client(ring=RingConfig(max_records=50))
    writer.on_rotation = CapacityCapPolicy(3 * 16 * 1024, writer, alerts).on_rotation
    fault = forgetful_sync(monkeypatch, 'fsync', holding=b'.mcap')
    open_flight(writer, 'x', client)
    fault.lose_next()
    send_until(lambda: ('write_error', False) in states(told), client)
    summary = writer.close_flight('x')
    dropped = summary.footer.segments_dropped
    rollovers = open_flight_files(summary.path).payloads(SegmentRollover)
    indexes = [record.segment_index for record in rollovers]
    assert [index for index in indexes if index >= dropped] == []
    assert len(set(indexes)) == len(indexes)
    assert verify(summary.path).verdict is not Verdict.DAMAGED


def test_a_disk_that_goes_on_refusing_to_sync_is_confirmed_once_it_accepts(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    fault = SystemCall(monkeypatch, 'fdatasync', only=is_segment_fd)
    fault_too = SystemCall(monkeypatch, 'fsync', only=is_segment_fd)
    open_flight(writer, 'x', client)
    fault.fail(errno.EIO)
    fault_too.fail(errno.EIO)
    sent = send(client, range(20))
    wait_until(alerts.present, 'the alert')
    tries = fault.calls + fault_too.calls
    wait_until(lambda: fault.calls + fault_too.calls > tries + 3, 'more tries')
    fault.work()
    fault_too.work()
    wait_until(lambda: not alerts.present(), 'the end of the alert')
    flight = check_flight(writer.close_flight('x'))
    assert numbers(flight) == list(range(sent))
    assert states(told) == [('write_error', True), ('write_error', False)]


def test_a_real_disk_that_forgets_what_it_could_not_write(
    make_writer: MakeWriter, tmp_path: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    """A file system on a sparse image whose own disk is full: sync fails once, then says 0."""
    with mounted_on_loop(tmp_path, disk_bytes=32 << 20, image_bytes=64 << 20) as disk:
        root = disk.path / 'flights'
        root.mkdir()
        writer = make_writer(root, alerts=alerts, sync_interval_s=0.3, chunk_size_bytes=65536)
        client = make_client()
        open_flight(writer, 'x', client)
        sent = send(client, range(500), 1000)
        wait_until(lambda: writer.status.counters.records_written > sent, 'the first records')
        ballast = fill_disk(disk.below)
        deadline_sent = sent

        def is_told() -> bool:
            nonlocal deadline_sent
            deadline_sent += send(client, range(deadline_sent, deadline_sent + 20), 1000)
            return bool(told)

        wait_until(is_told, 'the alert')
        ballast.unlink()
        wait_until(lambda: not alerts.present(), 'the end of the alert')
        sent = deadline_sent + send(client, range(deadline_sent, deadline_sent + 50), 1000)
        summary = writer.close_flight('x')
        writer.stop()
        disk.remount()  # what is read now is read from the disk
        flight = check_flight(summary)
        assert numbers(flight)[-50:] == list(range(sent - 50, sent))
        check_losses(flight, sent)


# --- at close ----------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [errno.EIO, errno.EROFS])
def test_a_flight_whose_footer_cannot_be_synced_is_not_closed_for_anybody(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writer, client = make_writer(), make_client(publisher='0a' * 16)
    open_flight(writer, 'x', client)
    sent = send(client, range(10))
    wait_until(lambda: writer.status.counters.records_written > sent, 'the records')
    with monkeypatch.context() as patched:
        SystemCall(patched, 'fsync', only=is_segment_fd).fail(number)
        summary = writer.close_flight('x')
    writer.stop()
    assert not summary.is_complete
    assert not summary.footer.clean_shutdown
    assert 'clean_shutdown: "true"' not in (root / 'x' / 'metadata.yaml').read_text()
    assert verify(root / 'x').verdict is not Verdict.COMPLETE
    assert list_flight(root / 'x').status.ended is Ended.UNKNOWN
    recover(root)
    assert verify(root / 'x').verdict is Verdict.LOSSES
    assert list_flight(root / 'x').status.ended is Ended.RECOVERED
    assert numbers(open_flight_files(root / 'x')) == list(range(sent))


def test_a_footer_that_the_disk_has_lost_is_written_again(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(sync_interval_s=3600.0), make_client(publisher='0a' * 16)
    open_flight(writer, 'x', client)
    sent = send(client, range(10))
    fault = forgetful_sync(monkeypatch, 'fsync')
    fault.lose_next()
    flight = check_flight(writer.close_flight('x'))
    assert check_losses(flight, sent) > 0
    assert len(flight.segments) == 2


def test_a_footer_that_is_read_back_whole_closes_the_flight(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    sent = send(client, range(10))
    fault = SystemCall(monkeypatch, 'fsync', only=is_segment_fd)
    fault.fail(errno.EIO, on_call=1)
    flight = check_flight(writer.close_flight('x'))
    assert check_losses(flight, sent) == 0


@pytest.mark.parametrize('call', [1, 2], ids=['of the file', 'of its directory'])
def test_what_could_not_be_synced_is_appended_again_and_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """As seals in SEALS: one that stands there twice would look like a forgery."""
    fsync = SystemCall(monkeypatch, 'fsync')
    fsync.fail(errno.EIO, on_call=call)
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match='Input/output'):
            append_durably(directory, 'log', b'one\n')
        append_durably(directory, 'log', b'one\n')
    finally:
        os.close(directory)
    assert (tmp_path / 'log').read_bytes() == b'one\n'
