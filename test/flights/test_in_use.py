# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Nobody changes a flight that another process writes, whatever name leads to it."""

from __future__ import annotations

from collections.abc import Iterator
import errno
import fcntl
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from conftest import Record
from disk_faults import mounted_tmpfs
import dropping_flight
from fdr_program import run_fdr
from fdr_recorder import FlightInUseError, FlightRoot, FlightRootLockedError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import recover, recover_root
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.verify import Verdict, verify
import pytest

RECORDER = """
import sys
from fdr_recorder import Channel, FdrConfig, FdrWriterConfig, record_flight, Schema
writer = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0, flush_interval_s=0.02)
config = FdrConfig(flight_root=sys.argv[1], flight_id='live', writer=writer)
with record_flight(config) as flight:
    client = flight.client(Channel('/note', Schema('std_msgs/msg/String', 'string data')))
    sent = 0
    for line in sys.stdin:
        for _ in range(100):
            sent += client.enqueue(bytes([0, 1, 0, 0]) + bytes(100))
        while flight.writer.status.counters.records_written < sent:
            pass
        print(sent, flush=True)
"""


class Recorder:
    """A process that records the flight `live`."""

    def __init__(self, root: Path) -> None:
        self.flight = root / 'live'
        self._process = subprocess.Popen(
            [sys.executable, '-c', RECORDER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.pid = self._process.pid
        self.record_more()

    def record_more(self) -> None:
        """Have a hundred more records on the disk."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        self.sent = int(self._process.stdout.readline())

    def end(self) -> None:
        """End the flight."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
        assert process.returncode == 0


@pytest.fixture
def recorder(root: Path) -> Iterator[Recorder]:
    recorder = Recorder(root)
    yield recorder
    recorder.end()


def fdr(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_fdr(*arguments, cwd=cwd)


def check_unharmed(recorder: Recorder, flight: Path | None = None) -> None:
    """Go on recording, end the flight, and find every record in it."""
    flight = flight or recorder.flight
    recorder.record_more()
    recorder.end()
    result = verify(flight)
    assert result.verdict is Verdict.COMPLETE, str(result)
    assert result.footer is not None
    sent = {item.topic: item.written for item in result.footer.producers}
    assert sent['/note'] == recorder.sent


# --- other names of a flight -----------------------------------------------------------------


@pytest.fixture(params=['link', 'link to the root', 'relative', 'dots', 'process'])
def other_name(
    request: pytest.FixtureRequest, recorder: Recorder, root: Path, tmp_path: Path
) -> Path:
    """Return another name of the live flight."""
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    link = elsewhere / 'other'
    if request.param == 'link':
        link.symlink_to(recorder.flight)
        return link
    if request.param == 'link to the root':
        link.symlink_to(root)
        return link / 'live'
    if request.param == 'relative':
        return Path(os.path.relpath(recorder.flight, elsewhere))
    if request.param == 'dots':
        return elsewhere / '..' / root.relative_to(tmp_path) / 'live'
    return Path(f'/proc/{recorder.pid}/root') / recorder.flight.relative_to('/')


def test_recover_by_another_name_leaves_a_live_flight_alone(
    recorder: Recorder, other_name: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / 'elsewhere'
    done = fdr('recover', other_name, cwd=elsewhere)
    assert 'is being recorded right now' in done.stdout, done
    monkeypatch.chdir(elsewhere)
    with pytest.raises(FlightRootLockedError, match=f'pid {recorder.pid} '):
        recover(other_name)
    assert not (elsewhere / '.fdr.lock').exists()
    check_unharmed(recorder)


def test_recover_through_another_mount_leaves_a_live_flight_alone(
    recorder: Recorder, tmp_path: Path
) -> None:
    parent = tmp_path / 'parent'
    with mounted_tmpfs(parent, 1 << 20):
        mount = parent / 'flight'
        mount.mkdir()
        subprocess.run(['mount', '--bind', str(recorder.flight), str(mount)], check=True)
        try:
            assert list_flight(mount).status.ended is Ended.OPEN
            assert 'is being recorded right now' in fdr('recover', mount).stdout
            with pytest.raises(FlightInUseError, match=f'changed by pid {recorder.pid}'):
                recover(mount)
        finally:
            subprocess.run(['umount', str(mount)], check=True)
    check_unharmed(recorder)


def test_a_flight_that_was_moved_out_of_its_root_is_left_alone(
    recorder: Recorder, tmp_path: Path
) -> None:
    other_root = tmp_path / 'other'
    other_root.mkdir()
    moved = recorder.flight.rename(other_root / 'moved')
    with pytest.raises(FlightInUseError, match=f'pid {recorder.pid}'):
        recover(moved)
    with FlightRoot.acquire(other_root) as owned:
        failures: dict[Path, Exception] = {}
        assert list(recover_root(owned, on_failure=failures.__setitem__)) == []
        assert isinstance(failures[moved], FlightInUseError)
    done = fdr('prune', other_root, '--keep', 0, '--unclean')
    assert 'stays: being recorded' in done.stdout, done
    assert verify(moved).ended is Ended.OPEN
    moved.rename(recorder.flight)
    check_unharmed(recorder)


def test_a_directory_with_hard_links_to_open_segments_is_left_alone(
    recorder: Recorder, tmp_path: Path
) -> None:
    copy = tmp_path / 'other' / 'copy'
    shutil.copytree(recorder.flight, copy, copy_function=os.link)
    done = fdr('recover', copy)
    assert done.returncode == 3
    assert f'segment_000000.mcap is being written or changed by pid {recorder.pid}' in done.stderr
    done = fdr('prune', copy.parent, '--keep', 0, '--unclean')
    assert done.returncode == 3
    assert copy.is_dir()
    check_unharmed(recorder)


# --- the lock file is not what counts ---------------------------------------------------------


@pytest.mark.parametrize('how', ['removed', 'replaced'])
def test_a_root_without_its_lock_file_still_has_one_owner(
    recorder: Recorder, root: Path, how: str
) -> None:
    (root / '.fdr.lock').unlink()
    if how == 'replaced':
        (root / '.fdr.lock').write_text('{}')
    with pytest.raises(FlightRootLockedError):
        FlightRoot.acquire(root)
    with pytest.raises(FlightRootLockedError):
        recover(root)
    listed = json.loads(fdr('ls', root, '--json').stdout)
    assert listed['flights'][0]['status']['ended'] == 'open'
    assert listed['in_use_by'] is not None
    check_unharmed(recorder)


def test_a_recorder_of_an_older_version_keeps_its_root(
    record_flight: Record, root: Path
) -> None:
    """It locks its lock file alone."""
    flight = record_flight(close=False)
    with (root / '.fdr.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FlightRootLockedError):
            recover(flight)
        assert 'is being recorded right now' in fdr('recover', flight).stdout
    assert len(recover(flight)) == 1


def test_what_recovers_is_not_taken_for_a_recorder(record_flight: Record) -> None:
    flight = record_flight(close=False)
    fd = os.open(flight, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert list_flight(flight).status.ended is Ended.UNKNOWN
        with pytest.raises(FlightInUseError, match=f'pid {os.getpid()}'):
            recover(flight)
    finally:
        os.close(fd)
    assert len(recover(flight)) == 1


def test_without_locks_it_records_and_nothing_is_recovered(
    record_flight: Record, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr('fcntl.flock', no_locks)
    flight = record_flight(close=False)
    assert 'its file system has no locks' in caplog.text
    with pytest.raises(OSError, match='copy the flight to another disk') as caught:
        recover(flight)
    assert caught.value.errno == errno.ENOLCK
    assert verify(record_flight('closed', close=True)).verdict is Verdict.COMPLETE


def test_verify_goes_on_when_the_cap_drops_what_it_was_to_read(root: Path) -> None:
    flight = dropping_flight.make(root)
    flight.begin()
    flight.fill(1)
    path = root / dropping_flight.FLIGHT_ID
    listed = {segment.index for segment in segment_files(path)}
    calls: list[int] = []

    def advance(size: int) -> None:
        calls.append(size)
        if len(calls) == 1:
            flight.fill(3 * len(listed))  # all but the first, which it has read

    found = verify(path, advance)
    assert listed.isdisjoint(segment.index for segment in segment_files(path))
    assert (found.damage, found.status.ended) == ([], Ended.OPEN)
    assert found.segments == len(calls) < len(listed)
    flight.writer.close_flight(dropping_flight.FLIGHT_ID)
    flight.writer.stop()
    assert verify(path).verdict is Verdict.LOSSES
