# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Syncing in a thread of its own: what a slow disk holds up, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
import errno
from pathlib import Path

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import CapacityCapPolicy, RingConfig
from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.storage import degraded
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.storage.durability import MAX_ENDED
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.syncer import SyncJob
from flight_check import check_flight, open_flight_files, read_whole_chunks
from producers import make_client, number_of, open_flight, send
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 16 * 1024, 'chunk_size_bytes': 1024}


def records_in_files(flight: Path) -> list[int]:
    """Return the numbers of the records that lie in whole chunks now."""
    messages = [
        message for path in sorted(flight.glob('*.mcap')) for message in read_whole_chunks(path)
    ]
    return [number_of(message.data) for message in messages if message.topic == '/blob']


def test_records_reach_the_file_while_the_disk_syncs(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    with SystemCall(monkeypatch, 'fdatasync').stalled() as is_stalled:
        number = 0
        while not is_stalled.is_set():
            number += send(client, range(number, number + 10))
        send(client, range(number, number + 20))
        expected = list(range(number + 20))
        wait_until(lambda: records_in_files(root / 'x') == expected, 'all records in the files')
    check_flight(writer.close_flight('x'))


def test_the_next_segments_are_begun_while_one_is_being_closed(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    with SystemCall(monkeypatch, 'fsync').stalled():
        number = 0
        while len(list((root / 'x').glob('*.mcap'))) < 1 + MAX_ENDED:
            number += send(client, range(number, number + 10))
        names = (root / 'x' / FILE_NAME).read_text()
        assert 'segment_' not in names, 'no segment is closed before it is on the disk'
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.segments) >= 1 + MAX_ENDED


def test_a_writer_that_waits_for_the_disk_leaves_records_in_the_rings(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(**SMALL, batch_size=8), make_client()
    open_flight(writer, 'x', client)
    with SystemCall(monkeypatch, 'fsync').stalled() as is_stalled:
        count = send(client, range(2000))
        assert is_stalled.wait(20)
        wait_until(
            lambda: 0 < client.ring.taken == len(records_in_files(root / 'x')) < count,
            'a writer that waits, with all that it has taken in the files',
        )
    flight = check_flight(writer.close_flight('x'))
    assert len(flight.of_topic('/blob')) == count


def test_a_drop_is_recorded_although_the_disk_refused_the_record_of_it(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(degraded, 'RETRY_INTERVAL_S', 0.05)

    def tells_of_a_drop(fd: int, pieces: Sequence[bytes]) -> bool:
        return is_segment_fd(fd) and b'segment_000000.mcap' in b''.join(pieces)

    writer = make_writer(**SMALL)
    client = make_client(ring=RingConfig(max_records=50))  # less than a segment waits for the disk
    policy = CapacityCapPolicy(3 * 16 * 1024, writer, writer.alerts)
    writer.on_rotation = policy.on_rotation
    fault = SystemCall(monkeypatch, 'writev', only=tells_of_a_drop)
    fault.fail(errno.ENOSPC)
    open_flight(writer, 'x', client)
    number = 0
    while not fault.calls:
        number += send(client, range(number, number + 20))
    wait_until(lambda: fault.calls >= 4, 'all quick tries to fail')
    fault.work()
    summary = writer.close_flight('x')
    dropped = summary.footer.segments_dropped
    rollovers = open_flight_files(summary.path).payloads(SegmentRollover)
    assert sorted({record.segment_index for record in rollovers}) == list(range(dropped))
    assert len(rollovers) == dropped
    assert summary.footer.records_dropped_write_error


# --- one job -----------------------------------------------------------------------------------


def make_ended(path: Path, index: int) -> Segment:
    segment = Segment.create(
        path / f'segment_{index:06d}.mcap', index=index, max_bytes=1 << 20,
        chunk_size_bytes=1024, compression='none', metadata={},
    )  # fmt: skip
    segment.end()
    return segment


def test_a_job_is_done_in_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = FlightDirectory.create(root, 'x')
    ended = tuple(make_ended(directory.path, index) for index in range(2))
    gone = directory.path / 'segment_000009.mcap'
    gone.touch()
    done: list[str] = []
    for name in ('fsync', 'rename', 'unlink'):
        SystemCall(monkeypatch, name, only=lambda *_, name=name, **__: done.append(name) or False)
    job = SyncJob(directory, ended, metadata=[b'a', b'b'], unlink=(gone.name,))
    job.perform(lambda _step: None)
    assert job.error is None
    assert (job.closed, job.unlinked) == (2, 1)
    assert job.is_data_durable
    assert job.is_metadata_durable
    assert (directory.path / FILE_NAME).read_bytes() == b'ab'
    directory.close()
    assert done == ['fsync'] * 5 + ['rename', 'fsync', 'unlink', 'fsync']


@pytest.mark.parametrize('on_call', range(1, 8))
def test_nothing_is_done_after_a_step_that_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch, on_call: int
) -> None:
    directory = FlightDirectory.create(root, 'x')
    ended = tuple(make_ended(directory.path, index) for index in range(2))
    gone = directory.path / 'segment_000009.mcap'
    gone.touch()
    fault = SystemCall(monkeypatch, 'fsync')
    fault.fail(errno.EIO, on_call=on_call)
    job = SyncJob(directory, ended, metadata=[b'new'], unlink=(gone.name,))
    job.perform(lambda _step: None)
    assert fault.calls == on_call
    assert isinstance(job.error, OSError)
    assert job.closed == min(2, (on_call - 1) // 2)
    assert job.is_data_durable == (on_call > 4)
    assert job.is_metadata_durable == (on_call > 6)
    assert gone.exists() == (on_call <= 6)
    for segment in ended:
        segment.close()
    directory.close()


def test_an_error_that_is_none_of_the_disk_ends_the_writer(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    SystemCall(monkeypatch, 'fdatasync').fail(ZeroDivisionError())
    send(client, range(10))
    wait_until(writer.alerts.present, 'the alert')
    assert [alert.code for alert in writer.alerts.present()] == ['writer_failed']
    writer.stop()
