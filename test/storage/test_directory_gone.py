# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight's directory is renamed, deleted or covered while it is recorded."""

from __future__ import annotations

from collections.abc import Callable
import errno
from pathlib import Path
import shutil
import threading

from conftest import MakeWriter
from disk_faults import mounted_tmpfs, SystemCall
from fdr_recorder import Alert, AlertBoard, FileFdrWriter
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.dropped import DroppedAccount
from fdr_recorder.record.kinds import SegmentRollover
from flight_check import check_flight, check_identities, FlightFiles, open_flight_files
from producers import make_client, number_of, open_flight, send
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 32 * 1024, 'chunk_size_bytes': 2048}


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed disk again twenty times a second: only the pace of these tests."""
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.05)


class Sender:
    """Sends numbered records, and counts them."""

    def __init__(self, client: FdrClient) -> None:
        self.client = client
        self.sent = 0

    def send(self, count: int) -> None:
        self.sent += send(self.client, range(self.sent, self.sent + count), 500)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Send now and then until a condition holds."""

        def is_met() -> bool:
            self.send(2)
            return bool(condition())

        wait_until(is_met, what)


def begin(writer: FileFdrWriter, path: Path) -> Sender:
    """Begin a flight of several segments."""
    sender = Sender(make_client(publisher='0a' * 16))
    latched = make_client('/map', latched=True)
    open_flight(writer, 'x', sender.client, latched)
    latched.enqueue(b'map')
    sender.until((path / 'segment_000002.mcap').exists, 'segments')
    return sender


def numbers(flight: FlightFiles) -> list[int]:
    return [number_of(message.data) for message in flight.of_topic('/blob')]


def codes(told: list[Alert]) -> list[str]:
    return [alert.code for alert in told if alert.raised]


def check_made_anew(writer: FileFdrWriter, sender: Sender, path: Path) -> FlightFiles:
    """Close a flight that lost its first segments; check that all is accounted for."""
    sender.send(30)
    summary = writer.close_flight('x')
    assert summary.path == path
    flight = open_flight_files(path)
    rollovers = flight.payloads(SegmentRollover)
    assert all(not record.cap_bytes for record in rollovers)
    gone = DroppedAccount.of_flight(rollovers, ())
    (run,) = gone.segments
    assert (run.first_index, run.last_index) == (0, run.segments - 1)
    dropped = [run.records, *[0] * (run.segments - 1)]
    check_flight(summary, dropped=dropped)
    check_identities(flight, flight.footer, dropped=dropped)
    assert numbers(flight)[-30:] == list(range(sender.sent - 30, sender.sent))
    (blob,) = (item for item in flight.footer.producers if item.topic == '/blob')
    assert blob.offered == sender.sent
    for segment in flight.segments:
        assert segment.messages[1].topic == '/map'
    result = verify(path)
    assert result.verdict is Verdict.LOSSES, str(result)
    assert {loss.cause for loss in result.losses} <= {'removed', 'write_error'}
    assert all(loss.first_ns for loss in result.losses), result.losses
    assert list_flight(path).status.ended is Ended.CLOSED
    return flight


def test_a_directory_that_the_server_of_a_mount_has_dropped_is_made_anew(
    make_writer: MakeWriter,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    told: list[Alert],
) -> None:
    def is_stale(fd: int, *_: object) -> bool:
        if threading.current_thread() is threading.main_thread():
            return False
        try:
            return str(Path(f'/proc/self/fd/{fd}').readlink()).endswith(' (deleted)')
        except OSError:
            return False

    for name in ('fstat', 'writev', 'fsync', 'fdatasync'):
        SystemCall(monkeypatch, name, only=is_stale).fail(errno.ESTALE)
    writer = make_writer(alerts=alerts, **SMALL)
    sender = begin(writer, root / 'x')
    wait_until(lambda: shutil.rmtree(root / 'x', ignore_errors=True) or told, 'an alert')
    sender.until(lambda: 'segments_gone' in codes(told), 'the news of what is gone')
    sender.until((root / 'x').exists, 'the new directory')
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    check_made_anew(writer, sender, root / 'x')


def test_a_flight_goes_on_in_a_directory_that_was_renamed(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL)
    sender = begin(writer, root / 'x')
    moved = root / 'moved'
    (root / 'x').rename(moved)
    sender.until((moved / 'segment_000006.mcap').exists, 'segments after it')
    wait_until(lambda: writer.status.path == moved, 'the status')
    summary = writer.close_flight('x')
    assert summary.path == moved
    flight = check_flight(summary)
    assert verify(moved).verdict is Verdict.COMPLETE
    assert numbers(flight) == list(range(sender.sent))
    assert codes(told) == ['flight_moved']
    assert str(moved) in told[0].message
    assert not (root / 'x').exists()


def test_a_flight_goes_on_when_its_root_was_renamed(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL, reserve_bytes=4096)
    sender = begin(writer, root / 'x')
    moved = root.with_name('elsewhere')
    root.rename(moved)
    sender.until((moved / 'x' / 'segment_000006.mcap').exists, 'segments after it')
    flight = check_flight(writer.close_flight('x'))
    assert flight.path == moved / 'x'
    assert numbers(flight) == list(range(sender.sent))
    assert codes(told) == ['flight_moved']


def test_a_directory_that_was_deleted_is_made_anew(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL)
    sender = begin(writer, root / 'x')
    shutil.rmtree(root / 'x', ignore_errors=True)
    wait_until(lambda: 'segments_gone' in codes(told), 'the alert')
    wait_until((root / 'x').exists, 'the directory')
    check_made_anew(writer, sender, root / 'x')
    assert codes(told)[0] == 'segments_gone'
    assert set(codes(told)) <= {'segments_gone', 'write_error'}, 'rmtree may meet the new one, too'


def test_a_file_system_mounted_above_the_root_gets_the_flight(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL)
    sender = begin(writer, root / 'x')
    with mounted_tmpfs(root, 16 << 20):
        wait_until(lambda: 'segments_gone' in codes(told), 'the alert')
        check_made_anew(writer, sender, root / 'x')
        assert codes(told) == ['segments_gone']
        writer.stop()


def test_a_root_that_is_gone_and_comes_back_gets_the_flight(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL)
    sender = begin(writer, root / 'x')
    while root.exists():  # a new segment may be in the way
        shutil.rmtree(root, ignore_errors=True)
    wait_until(lambda: 'write_error' in codes(told), 'the alert')
    sender.send(20)
    root.mkdir()
    wait_until(lambda: 'segments_gone' in codes(told), 'the news of what is gone')
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    check_made_anew(writer, sender, root / 'x')
    assert set(codes(told)) == {'write_error', 'segments_gone'}


def test_the_open_file_is_removed(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, segment_size_bytes=1 << 20, chunk_size_bytes=2048)
    sender = Sender(make_client(publisher='0a' * 16))
    open_flight(writer, 'x', sender.client)
    sender.send(20)
    (root / 'x' / 'segment_000000.mcap').unlink()
    sender.until(lambda: 'segments_gone' in codes(told), 'the alert')
    sender.send(30)
    summary = writer.close_flight('x')
    flight = open_flight_files(summary.path)
    (rollover,) = flight.payloads(SegmentRollover)
    check_flight(summary, dropped=[rollover.records])
    assert numbers(flight)[-30:] == list(range(sender.sent - 30, sender.sent))
    assert verify(root / 'x').verdict is Verdict.LOSSES
    assert codes(told) == ['segments_gone']


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSYS, errno.ESTALE])
def test_free_space_that_cannot_be_found_out_costs_nothing(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    alerts: AlertBoard,
    told: list[Alert],
    number: int,
) -> None:
    SystemCall(monkeypatch, 'statvfs').fail(number)
    writer = make_writer(alerts=alerts, **SMALL, min_free_bytes=1 << 20, reserve_bytes=4096)
    sender = Sender(make_client())
    open_flight(writer, 'x', sender.client)
    sender.send(200)
    flight = check_flight(writer.close_flight('x'))
    assert numbers(flight) == list(range(sender.sent))
    assert told == []
