# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Flights that were not closed are made whole; flights that were are left alone."""

from __future__ import annotations

from collections.abc import Iterator
import errno
from functools import partial
import os
from pathlib import Path
import shutil
import subprocess
import sys
import threading

from campaigns._recovered import check_recovered, last_footer, snapshot
from conftest import MakeWriter, Record, SMALL
from disk_faults import fill_disk, mounted_tmpfs, SystemCall
from fdr_recorder import CapacityCapPolicy, FlightRoot, FlightRootLockedError, SegmentError
from fdr_recorder.errors import RecoveryStoppedError
from fdr_recorder.flights.directory import DAMAGED_SUFFIX, segment_files
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recover import (
    needs_recovery,
    recover,
    recover_flight,
    recover_root,
)
from fdr_recorder.flights.verify import verify
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from flight_check import read_whole_chunks
from mcap.writer import Writer
from producers import make_client, number_of, numbered, open_flight, send
import pytest


@pytest.fixture
def record(record_flight: Record) -> Record:
    """Return a function that records a flight of some segments, and does not close it."""
    return partial(record_flight, close=False)


def cut(path: Path, by: int) -> None:
    os.truncate(path, path.stat().st_size - by)


def last_segment(flight: Path) -> Path:
    return segment_files(flight)[-1].path


def numbers_in(flight: Path) -> list[int]:
    return [
        number_of(message.data)
        for segment in segment_files(flight)
        for message in read_whole_chunks(segment.path)
        if message.topic == '/blob'
    ]


# --- what it does ------------------------------------------------------------------------------


def test_a_flight_without_footer_gets_one_that_says_so(record: Record, root: Path) -> None:
    flight = record()
    assert needs_recovery(flight)
    [recovered] = recover(root)
    assert recovered.path == flight
    assert recovered.footer.clean_shutdown is False
    assert recovered.footer.flight_id == 'x'
    files, _ = check_recovered(flight)
    assert files.footer == recovered.footer
    assert files.custom_data['clean_shutdown'] == 'false'
    assert files.custom_data['records_written'] == str(len(files.messages))
    assert numbers_in(flight) == list(range(60))


def test_a_torn_segment_is_cut_to_its_last_whole_record_and_completed(
    record: Record, root: Path
) -> None:
    flight = record()
    torn = last_segment(flight)
    size = read_contents(torn, 9).data_end
    os.truncate(torn, size - 10)  # within the last chunk's message index
    with torn.open('ab') as file:
        file.write(b'\x05 the beginning of something')
    [recovered] = recover(root)
    assert recovered.torn == (torn.name,)
    assert recovered.cut_bytes > 0
    check_recovered(flight)
    assert numbers_in(flight) == list(range(60))


def test_a_clean_flight_is_not_touched(record: Record, root: Path) -> None:
    clean = record('clean', close=True)
    unclean = record('unclean')
    before = snapshot(clean)
    assert [recovered.path for recovered in recover(root)] == [unclean]
    assert snapshot(clean) == before


def test_recovered_twice_is_recovered_once(record: Record, root: Path) -> None:
    flight = record()
    cut(last_segment(flight), 100)
    recover(root)
    before = snapshot(flight)
    assert recover(root) == []
    assert recover(flight) == []
    assert snapshot(flight) == before


def test_one_flight_alone_can_be_recovered(record: Record) -> None:
    first, second = record('first'), record('second')
    [recovered] = recover(first)
    assert recovered.path == first
    assert needs_recovery(second)


def test_metadata_yaml_that_is_gone_or_wrong_is_renewed(record: Record, root: Path) -> None:
    flight = record(close=True)
    metadata = flight / 'metadata.yaml'
    original = metadata.read_text()
    for text in ('', 'garbage: [', original.replace('segment_000000', 'segment_000009')):
        metadata.write_text(text)
        recover(root)
        check_recovered(flight)
    metadata.unlink()
    recover(root)
    files, _ = check_recovered(flight)
    assert files.footer.clean_shutdown, 'it had been closed'


def test_a_footer_whose_file_has_lost_its_end_is_kept(record: Record, root: Path) -> None:
    """It had been written: nothing is missing, and the file comes out as it was."""
    flight = record(close=True)
    torn = last_segment(flight)
    whole = torn.read_bytes()
    cut(torn, 50)
    recover(root)
    assert torn.read_bytes() == whole
    check_recovered(flight)


def test_a_torn_segment_in_the_middle_is_completed_too(record: Record, root: Path) -> None:
    flight = record(close=True)
    middle = segment_files(flight)[1].path
    cut(middle, middle.stat().st_size // 2)
    kept = [message for message in read_whole_chunks(middle) if message.topic == '/blob']
    [recovered] = recover(root)
    assert recovered.torn == (middle.name,)
    files, verification = check_recovered(flight)
    assert last_footer(files).clean_shutdown is False
    assert 'unclean' in {loss.cause for loss in verification.losses}
    found = [message.data for message in read_whole_chunks(middle) if message.topic == '/blob']
    assert found == [message.data for message in kept]


@pytest.mark.parametrize('index', [0, -1], ids=['the only one', 'the last'])
def test_a_segment_without_any_whole_chunk_gets_a_header(
    record: Record, root: Path, index: int
) -> None:
    flight = record(count=60 if index else 5)
    segment = segment_files(flight)[index]
    with segment.path.open('rb') as file:
        data = file.read()
    os.truncate(segment.path, data.index(b'publisher_gid') if index == 0 else 700)
    recover(root)
    files, _ = check_recovered(flight)
    assert files.segments[index].messages[0].payload() == FlightHeader(flight_id='x')


def test_a_file_that_is_no_segment_is_set_aside_not_deleted(record: Record, root: Path) -> None:
    flight = record()
    stub = flight / f'segment_{segment_files(flight)[-1].index + 1:06d}.mcap'
    stub.write_bytes(b'\x89MCAP')
    [recovered] = recover(root)
    assert recovered.set_aside == (stub.name,)
    assert stub.with_name(stub.name + DAMAGED_SUFFIX).read_bytes() == b'\x89MCAP'
    check_recovered(flight)


def test_a_segment_that_was_opened_and_not_begun_is_no_damage(record: Record, root: Path) -> None:
    flight = record()
    newest = segment_files(flight)[-1]
    empty = flight / f'segment_{newest.index + 1:06d}.mcap'
    empty.touch()
    [recovered] = recover(root)
    assert recovered.set_aside == ()
    assert not empty.exists()
    _, verification = check_recovered(flight)
    assert not [loss for loss in verification.losses if loss.cause == 'unreadable']


def test_an_empty_segment_that_was_on_the_disk_is_damage(record: Record, root: Path) -> None:
    flight = record(count=60)
    last, between = segment_files(flight)[-1], segment_files(flight)[1]
    assert last != between
    os.truncate(between.path, 0)
    (flight / 'metadata.yaml').unlink()
    [recovered] = recover(root)
    assert recovered.set_aside == (between.path.name,)
    assert between.path.with_name(between.path.name + DAMAGED_SUFFIX).exists()


def test_a_flight_of_which_nothing_can_be_read_is_no_flight(root: Path) -> None:
    (root / 'x').mkdir()
    (root / 'x' / 'segment_000000.mcap').write_bytes(bytes(100))
    (root / 'empty').mkdir()
    assert recover(root) == []
    assert not needs_recovery(root / 'x')
    assert not needs_recovery(root / 'empty')


def test_dropped_segments_are_counted_as_dropped(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer(**SMALL)
    writer.on_rotation = CapacityCapPolicy(60_000, writer, writer.alerts).on_rotation
    client = make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    send(client, range(300), 500)
    writer.stop()
    dropped = segment_files(root / 'x')[0].index
    assert dropped > 0
    [recovered] = recover(root)
    footer = recovered.footer
    assert footer.segments_dropped == dropped
    present = sum(segment.path.stat().st_size for segment in segment_files(root / 'x'))
    assert footer.bytes_written == present + footer.bytes_dropped
    verification = verify(root / 'x')
    assert verification.damage == []
    assert {loss.cause for loss in verification.losses} == {'capacity', 'unclean'}


def test_overruns_and_transport_losses_are_counted_again(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(**SMALL), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    client.enqueue(numbered(0), sequence=0)
    client.count_transport_loss(1, 7)
    client.enqueue(numbered(8), sequence=8)
    writer.stop()
    [recovered] = recover(root)
    assert recovered.footer.records_lost_transport == 7
    assert verify(root / 'x').damage == []


# --- who may --------------------------------------------------------------------------------


HOLD_THE_LOCK = """
import sys
from fdr_recorder import FlightRoot
with FlightRoot.acquire(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locked_by_another(root: Path) -> Iterator[None]:
    child = subprocess.Popen(
        [sys.executable, '-c', HOLD_THE_LOCK, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child:
        assert child.stdout.readline() == 'held\n'
        yield
        child.stdin.close()


def test_a_root_that_is_being_written_to_is_not_touched(
    record: Record, root: Path, request: pytest.FixtureRequest
) -> None:
    flight = record()
    before = snapshot(flight)
    request.getfixturevalue('locked_by_another')
    for path in (root, flight):
        with pytest.raises(FlightRootLockedError, match=r'pid \d+'):
            recover(path)
    assert snapshot(flight) == before


def test_the_root_is_given_back(record: Record, root: Path) -> None:
    record()
    recover(root)
    FlightRoot.acquire(root).release()


def test_only_the_flights_that_are_asked_for_are_looked_at(record: Record, root: Path) -> None:
    first, second = record('first'), record('second')
    with FlightRoot.acquire(root) as owned:
        assert [item.path for item in recover_root(owned, flights=[second])] == [second]
    assert needs_recovery(first)


def test_it_can_be_stopped_between_segments_and_goes_on_later(
    record: Record, root: Path
) -> None:
    flight = record()
    asked = threading.Event()

    def should_stop() -> bool:
        was_asked = asked.is_set()
        asked.set()
        return was_asked

    with FlightRoot.acquire(root) as owned:
        assert list(recover_root(owned, should_stop=should_stop)) == []
        with pytest.raises(RecoveryStoppedError):
            recover_flight(flight, should_stop=lambda: True)
    assert needs_recovery(flight)
    recover(root)
    check_recovered(flight)


# --- when the disk refuses ------------------------------------------------------------------


@pytest.mark.parametrize('name', ['writev', 'fsync', 'ftruncate', 'rename', 'open'])
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EIO], ids=['ENOSPC', 'EIO'])
def test_a_disk_that_refuses_ends_it_with_an_error_and_costs_nothing(
    record: Record, root: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    flight = record()
    cut(last_segment(flight), 30)
    before = numbers_in(flight)
    for on_call in range(1, 100):
        with monkeypatch.context() as patched:
            call = SystemCall(patched, name)
            call.fail(number, on_call=on_call)
            error_number = number
            try:
                recover_flight(flight)
            except OSError as error:
                error_number = error.errno or 0
            assert error_number == number
            if call.calls < on_call:
                break
        assert numbers_in(flight) == before
        if not needs_recovery(flight):
            cut(last_segment(flight), 30)
    recover(root)
    check_recovered(flight)
    assert numbers_in(flight) == before


def test_a_flight_that_cannot_be_recovered_does_not_keep_the_others_from_it(
    record: Record, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = record('first'), record('second')
    with monkeypatch.context() as patched:

        def is_of_first(fd: int, *_: object) -> bool:
            return Path(f'/proc/self/fd/{fd}').readlink().parent == first

        SystemCall(patched, 'writev', only=is_of_first).fail(errno.EIO)
        with pytest.raises(OSError, match='Input/output'):
            recover(root)
        with pytest.raises(OSError, match='Input/output'):
            recover(first)
    assert needs_recovery(first)
    assert not needs_recovery(second)
    assert [recovered.path for recovered in recover(root)] == [first]


def test_what_fails_can_be_told_apart_from_what_is_done(
    record: Record, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = record()
    failures: list[tuple[Path, int | None]] = []
    SystemCall(monkeypatch, 'writev').fail(errno.EIO)
    with FlightRoot.acquire(root) as owned:
        done = recover_root(
            owned, on_failure=lambda path, error: failures.append((path, error.errno))
        )
        assert list(done) == []
    assert failures == [(flight, errno.EIO)]


@pytest.fixture
def full_disk(make_writer: MakeWriter, tmp_path: Path) -> Iterator[Path]:
    """Return a small file system without space but for the reserve, and an unclean flight."""
    with mounted_tmpfs(tmp_path / 'disk', 2 << 20) as disk:
        writer = make_writer(disk, **SMALL, reserve_bytes=65536)
        client = make_client('/blob', '0a')
        open_flight(writer, 'x', client)
        send(client, range(60), 500)
        writer.stop()
        cut(last_segment(disk / 'x'), 200)
        fill_disk(disk)
        yield disk


def test_on_a_full_disk_the_reserve_of_a_former_recorder_is_used(full_disk: Path) -> None:
    before = numbers_in(full_disk / 'x')
    [recovered] = recover(full_disk)
    assert recovered.path == full_disk / 'x'
    assert not (full_disk / '.fdr.reserve').exists()
    check_recovered(full_disk / 'x')
    assert numbers_in(full_disk / 'x') == before


def test_on_a_full_disk_the_reserve_of_a_flight_is_left_to_it(full_disk: Path) -> None:
    (full_disk / 'ballast').unlink()
    with FlightRoot.acquire(full_disk) as root:
        root.allocate_reserve(65536)
        assert root.has_reserve
        fill_disk(full_disk)
        assert list(recover_root(root)) == []
        assert root.has_reserve
    assert (full_disk / '.fdr.reserve').stat().st_blocks * 512 == 65536
    assert needs_recovery(full_disk / 'x')


def test_without_a_reserve_a_full_disk_costs_nothing(full_disk: Path) -> None:
    (full_disk / '.fdr.reserve').unlink()
    before = numbers_in(full_disk / 'x')
    fill_disk(full_disk)
    with pytest.raises(OSError, match='No space'):
        recover(full_disk)
    assert numbers_in(full_disk / 'x') == before
    (full_disk / 'ballast').unlink()
    recover(full_disk)
    check_recovered(full_disk / 'x')


# --- what does not mean well -------------------------------------------------------------------


def test_links_and_fifos_are_not_followed(record: Record, root: Path, tmp_path: Path) -> None:
    flight = record()
    outside = tmp_path / 'outside'
    shutil.copytree(flight, outside)
    before = snapshot(outside)
    (root / 'linked').symlink_to(outside)
    (flight / 'segment_000900.mcap').symlink_to(segment_files(outside)[0].path)
    (flight / 'metadata.yaml').unlink()
    (flight / 'metadata.yaml').symlink_to(outside / 'metadata.yaml')
    os.mkfifo(flight / 'segment_000901.mcap')
    assert [recovered.path for recovered in recover(root)] == [flight]
    assert snapshot(outside) == before
    assert not (flight / 'metadata.yaml').is_symlink()


def test_a_fifo_in_place_of_metadata_does_not_stop_it(record: Record, root: Path) -> None:
    flight = record()
    (flight / 'metadata.yaml').unlink()
    os.mkfifo(flight / 'metadata.yaml')
    recover(root)
    check_recovered(flight)


def test_a_fifo_in_place_of_the_temporary_metadata_does_not_stop_it(
    record: Record, root: Path
) -> None:
    flight = record()
    os.mkfifo(flight / '.metadata.yaml.tmp')
    module = 'fdr_recorder.flights.recovery.recover'
    code = f'import sys; from {module} import recover; recover(sys.argv[1])'
    subprocess.run(
        [sys.executable, '-c', code, str(root)],
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    'name',
    [
        'segment_0000001.mcap',
        'segment_\u0660\u0660\u0660\u0660\u0660\u0661.mcap',
        'segment_999999999999999.mcap',
        'segment_00001.mcap',
        'segment_000001.mcap.damaged',
    ],
)
def test_names_that_the_recorder_does_not_give_are_no_segments(
    record: Record, root: Path, name: str
) -> None:
    flight = record(count=5)
    shutil.copy(last_segment(flight), flight / name)
    recover(root)
    assert [segment.index for segment in segment_files(flight)] == [0]
    assert (flight / name).exists()


def test_metadata_with_impossible_counters_is_survived(record: Record, root: Path) -> None:
    flight = record()
    metadata = flight / 'metadata.yaml'
    metadata.write_text('    segments_dropped: "9999999999999999999"\n')
    recover(root)
    assert not needs_recovery(flight)


def test_a_segment_of_another_program_is_set_aside(record: Record, root: Path) -> None:
    flight = record()
    foreign = flight / 'segment_000050.mcap'
    with foreign.open('wb') as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema('a', 'ros2msg', b'')
        channel = writer.register_channel('/a', 'cdr', schema)
        writer.add_message(channel, 1, b'', 1)
        writer.finish()
    with pytest.raises(SegmentError):
        read_contents(foreign, 50)
    [recovered] = recover(root)
    assert recovered.set_aside == (foreign.name,)
    check_recovered(flight)


# --- its cost ----------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from pathlib import Path
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import verify

def peak():
    return int(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])

before = peak()
if sys.argv[2] == 'recover':
    assert len(recover(sys.argv[1])) == 1
else:
    assert not verify(Path(sys.argv[1]) / 'x').damage
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_flight(
    make_writer: MakeWriter, root: Path
) -> None:
    """Of 300 MB in torn segments with holes; less than 100 MiB above the interpreter."""
    writer, client = make_writer(segment_size_bytes=150 << 20), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    assert send(client, range(300), 1_000_000) == 300
    writer.stop()
    flight = root / 'x'
    for segment in segment_files(flight):
        cut(segment.path, 1000)
        with segment.path.open('r+b') as file:
            for offset in range(1 << 20, segment.path.stat().st_size - (1 << 22), 10 << 20):
                file.seek(offset)
                file.write(bytes(4096))
    for what in ('recover', 'verify'):
        done = subprocess.run(
            [sys.executable, '-c', MEASURE, str(root), what],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 100 * 1024, what
    shutil.rmtree(flight)


def test_a_root_of_many_clean_flights_is_gone_over_quickly(record: Record, root: Path) -> None:
    flight = record(close=True)
    opened: list[object] = []
    for number in range(50):
        shutil.copytree(flight, root / f'copy_{number}')
    real = os.pread
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, 'pread', lambda *args: opened.append(args) or real(*args))
        assert recover(root) == []
    data = sum(args[1] for args in opened)  # type: ignore[index]
    whole = sum(path.stat().st_size for path in root.rglob('*.mcap'))
    assert data < whole / 2


def test_the_footer_is_a_record_like_that_of_a_clean_flight(
    record: Record, root: Path
) -> None:
    record()
    recover(root)
    files, _ = check_recovered(root / 'x')
    [message] = files.of_topic(FlightFooter.channel_topic())
    assert message.type == 'fdr_recorder/msg/FlightFooter'
