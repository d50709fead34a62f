# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What recovery cuts off a segment stays beside it, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import json
import os
from pathlib import Path
from typing import Any

from campaigns._recovered import check_recovered, snapshot
from conftest import MakeWriter, Record, SMALL
from disk_faults import fill_disk, mounted_tmpfs
from fdr_program import run_fdr
from fdr_recorder import export, FlightRoot
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import needs_recovery, recover, recover_root
from fdr_recorder.flights.verify import verify
from producers import make_client, open_flight, send
import pytest

JUNK = b'\x05 the beginning of something' + bytes(3000)


@pytest.fixture
def record(record_flight: Record) -> Record:
    """Return a function that records a flight of some segments, and does not close it."""
    return partial(record_flight, close=False)


@pytest.fixture
def torn(record: Record) -> Path:
    """Return the last segment of a flight, with a torn end."""
    segment = segment_files(record())[-1].path
    os.truncate(segment, segment.stat().st_size - 200)
    with segment.open('ab') as file:
        file.write(JUNK)
    return segment


def tail_of(segment: Path, number: int = 1) -> Path:
    return segment.with_name(f'{segment.name}.tail' + (f'.{number}' if number > 1 else ''))


def fdr(*arguments: object) -> str:
    done = run_fdr(*arguments)
    return done.stdout + done.stderr


def check_kept(segment: Path, before: bytes, tail: Path) -> None:
    """Check that segment and tail have every byte that was there, and the flight is whole."""
    kept = tail.read_bytes()
    assert kept
    assert before.endswith(kept)
    whole = before.removesuffix(kept)
    assert segment.read_bytes().startswith(whole)
    check_recovered(segment.parent)


# --- what is kept ----------------------------------------------------------------------------


def test_a_torn_end_is_kept_and_everybody_says_so(torn: Path) -> None:
    before = torn.read_bytes()
    said = fdr('recover', torn.parent)
    assert f'what was cut is kept in {torn.name}.tail' in said
    check_kept(torn, before, tail_of(torn))
    assert tail_of(torn).read_bytes().endswith(JUNK)
    size = tail_of(torn).stat().st_size
    assert f'kept: {torn.name}.tail, {size:,} bytes that recovery has cut off' in fdr(
        'verify', torn.parent
    )
    [verified] = json.loads(fdr('verify', torn.parent, '--json'))
    assert verified['kept'] == [{'file_name': f'{torn.name}.tail', 'bytes': size}]
    assert 'kept by recovery' in fdr('info', torn.parent)


def test_zeros_that_a_file_system_left_are_kept(record: Record) -> None:
    segment = segment_files(record())[-1].path
    os.truncate(segment, segment.stat().st_size - 100)
    os.truncate(segment, segment.stat().st_size + (3 << 20))
    before = segment.read_bytes()
    [recovered] = recover(segment.parent)
    assert recovered.kept == (f'{segment.name}.tail',)
    check_kept(segment, before, tail_of(segment))


def test_the_end_of_a_segment_that_gets_the_footer_is_kept(record: Record) -> None:
    """Its summary was whole; it is written anew behind the footer."""
    segment = segment_files(record())[-1].path
    before = segment.read_bytes()
    assert recover(segment.parent)[0].cut_bytes == 0
    check_kept(segment, before, tail_of(segment))


def test_a_torn_segment_before_the_last_is_kept(record: Record) -> None:
    flight = record()
    first, last = segment_files(flight)[0].path, segment_files(flight)[-1].path
    os.truncate(first, first.stat().st_size - 700)
    before = first.read_bytes()
    [recovered] = recover(flight)
    assert recovered.kept == (f'{first.name}.tail', f'{last.name}.tail')
    check_kept(first, before, tail_of(first))


# --- a tail is kept for ever, and once -------------------------------------------------------


def test_an_earlier_tail_is_not_overwritten(torn: Path) -> None:
    tail_of(torn).write_bytes(b'earlier')
    tail_of(torn, 2).symlink_to('/nowhere')
    before = torn.read_bytes()
    recover(torn.parent)
    assert tail_of(torn).read_bytes() == b'earlier'
    assert tail_of(torn, 2).is_symlink()
    check_kept(torn, before, tail_of(torn, 3))


def recover_until(root: Path, count: int) -> bool:
    """Recover in a process that ends at the call of this number; return whether it was done."""
    child = os.fork()
    if child == 0:
        left = [count]

        def limited(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return call(*arguments, **options)

            return wrapped

        with FlightRoot.acquire(root) as owned:
            for name in ('ftruncate', 'fsync', 'fdatasync', 'writev', 'pwrite'):
                setattr(os, name, limited(getattr(os, name)))
            Path.rename = limited(Path.rename)  # type: ignore[method-assign]
            list(recover_root(owned))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_killed_anywhere_it_loses_nothing_and_keeps_a_tail_once(
    root: Path, torn: Path
) -> None:
    before = torn.read_bytes()
    for count in range(60):
        torn.write_bytes(before)
        for path in torn.parent.glob('*.tail*'):
            path.unlink()
        if recover_until(root, count):
            break
        whole = before.removesuffix(JUNK)[:8192]
        recover(root)
        tails = sorted(torn.parent.glob(f'{torn.name}.tail*'))
        assert tails[0] == tail_of(torn)
        check_kept(torn, before, tails[0])
        assert not tails[1:] or JUNK not in b''.join(path.read_bytes() for path in tails[1:])
        assert torn.read_bytes().startswith(whole)
    else:
        pytest.fail('it was never done')
    assert count > 5


# --- when there is no space --------------------------------------------------------------------


def test_on_a_full_disk_nothing_is_cut(tmp_path: Path, make_writer: MakeWriter) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk:
        writer, client = make_writer(disk, **SMALL), make_client('/blob', '0a')
        open_flight(writer, 'x', client)
        send(client, range(20), 500)
        writer.stop()
        segment = segment_files(disk / 'x')[-1].path
        with segment.open('ab') as file:
            file.write(b'\1' * 50_000)
        before = snapshot(disk / 'x')
        ballast = fill_disk(disk)
        said = fdr('recover', disk)
        assert f'at the end of {segment.name} cannot be kept, so it is left as it is' in said
        assert snapshot(disk / 'x') == before
        ballast.unlink()
        fdr('recover', disk)
        check_kept(segment, before[segment.name][0], tail_of(segment))


# --- no reader takes it for a segment ----------------------------------------------------------


def test_a_tail_is_no_segment_and_takes_space(torn: Path, root: Path, tmp_path: Path) -> None:
    flight = torn.parent
    recover(flight)
    whole, clean = list_flight(flight), verify(flight)
    size = tail_of(torn).stat().st_size
    assert whole.kept_bytes == size
    assert clean.bytes + size == whole.bytes
    tail_of(torn, 2).write_bytes(segment_files(flight)[0].path.read_bytes())
    assert not needs_recovery(flight)
    more = list_flight(flight)
    assert (more.segments, more.records) == (whole.segments, whole.records)
    assert more.bytes == whole.bytes + tail_of(torn, 2).stat().st_size
    assert verify(flight).losses == clean.losses
    assert '.tail' not in (flight / 'metadata.yaml').read_text()
    exported = export(flight, tmp_path / 'out.mcap')
    assert exported.messages == whole.records
    listed = json.loads(fdr('ls', root, '--json'))['flights'][0]
    assert listed['bytes'] == more.bytes
    pruned = json.loads(
        fdr('prune', root, '--max-bytes', 10, '--keep', 0, '--unclean', '--json')
    )
    assert pruned['removed'][0]['bytes'] == more.bytes
    assert not flight.exists()
