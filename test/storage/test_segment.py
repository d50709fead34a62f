# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One segment file: its size, its bytes, and what is left of it when writing fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import errno
import os
from pathlib import Path
import stat
from typing import Any

from disk_faults import fill_disk, is_segment_fd, mounted_tmpfs, SystemCall
from fdr_recorder import Channel, Schema
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.segment import Segment
from flight_check import Message, read_segment, read_whole_chunks
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from producers import BLOB, TEXT
import pytest

SCHEMAS = (
    BLOB,
    TEXT,
    Schema('a/msg/Long', 'float64[36] covariance\n' * 40),
    Schema('a/msg/Unknown', ''),
)
COMPRESSIONS = ('none', 'lz4', 'zstd')


def make_segment(
    path: Path,
    *,
    max_bytes: int = 1 << 30,
    chunk_size_bytes: int = 1 << 20,
    compression: str = 'none',
    on_written: Callable[[Channel, int], None] = lambda _channel, _records: None,
) -> Segment:
    return Segment.create(
        path,
        index=3,
        max_bytes=max_bytes,
        chunk_size_bytes=chunk_size_bytes,
        compression=compression,
        metadata={'flight_id': 'x', 'segment_index': '3'},
        on_written=on_written,
    )


def record(number: int, size: int = 50, log_time: int | None = None) -> QueuedRecord:
    """Make a record that says which it is; half of it compresses well, half does not."""
    data = (number.to_bytes(4, 'little') + os.urandom(size // 2)).ljust(size, b'.')
    return (number + 1 if log_time is None else log_time, number, number, data, 0)


def sequences(messages: tuple[Message, ...] | list[Message]) -> list[int]:
    return [message.sequence for message in messages]


# --- content -----------------------------------------------------------------------------------


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_what_goes_in_is_read_by_others(tmp_path: Path, compression: str) -> None:
    path = tmp_path / 's.mcap'
    segment = make_segment(path, chunk_size_bytes=1024, compression=compression)
    first, second = Channel('/a', BLOB, publisher='01'), Channel('/a', BLOB, publisher='02')
    sent = []
    for number in range(200):
        channel = (first, second)[number % 2]
        item = record(number)
        assert segment.append(channel, [item]) == 1
        if segment.is_chunk_full:
            segment.flush()
        sent.append((channel.topic, channel.publisher, *item[:4]))
    closed = segment.finish()

    file = read_segment(path)
    assert [
        (item.topic, item.publisher, item.log_time, item.publish_time, item.sequence, item.data)
        for item in file.messages
    ] == sent
    assert closed == ClosedSegment(
        index=3,
        file_name='s.mcap',
        bytes=path.stat().st_size,
        records=200,
        first_log_time_ns=1,
        last_log_time_ns=200,
        counts={first: 100, second: 100},
    )
    assert file.statistics.chunk_count > 5
    assert [(item.name, item.metadata) for item in file.metadata] == [
        ('fdr_recorder', {'flight_id': 'x', 'segment_index': '3'})
    ]


@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_compression_makes_what_repeats_smaller(tmp_path: Path, compression: str) -> None:
    sizes = []
    for name in ('none', compression):
        segment = make_segment(tmp_path / name, compression=name)
        segment.append(Channel('/a', BLOB), [(1, 1, 0, bytes(50_000), 0)])
        sizes.append(segment.finish().bytes)
    assert sizes[1] < sizes[0] / 10


def test_schema_and_channel_come_before_the_first_chunk_that_needs_them(tmp_path: Path) -> None:
    """A second channel of the same type adds no second schema."""
    path = tmp_path / 's.mcap'
    segment = make_segment(path)
    for number, topic in enumerate(('/a', '/b', '/c')):
        schema = TEXT if topic == '/c' else BLOB
        segment.append(Channel(topic, schema), [record(number)])
        segment.flush()
    segment.finish()
    file = read_segment(path)
    assert [message.topic for message in file.messages] == ['/a', '/b', '/c']
    assert (file.statistics.schema_count, file.statistics.channel_count) == (2, 3)


def test_sequence_numbers_keep_their_low_32_bits(tmp_path: Path) -> None:
    segment = make_segment(tmp_path / 's.mcap')
    segment.append(Channel('/a', BLOB), [(1, 1, 2**40 + 7, b'', 0)])
    segment.finish()
    assert sequences(read_segment(tmp_path / 's.mcap').messages) == [7]


def test_times_need_not_be_in_order(tmp_path: Path) -> None:
    segment = make_segment(tmp_path / 's.mcap')
    channel = Channel('/a', BLOB)
    for log_time in (50, 10, 90, 0, 30):
        segment.append(channel, [record(log_time, log_time=log_time)])
        segment.flush()
    closed = segment.finish()
    assert (closed.first_log_time_ns, closed.last_log_time_ns) == (0, 90)
    assert read_segment(tmp_path / 's.mcap').statistics.message_start_time == 0


def test_nothing_is_written_before_the_flush(tmp_path: Path) -> None:
    written: Counter[str] = Counter()
    segment = make_segment(
        tmp_path / 's.mcap',
        on_written=lambda channel, count: written.update({channel.topic: count}),
    )
    segment.append(Channel('/a', BLOB), [record(0), record(1)])
    assert (segment.size, segment.closed().records, written) == (0, 0, {})
    segment.flush()
    assert segment.size == (tmp_path / 's.mcap').stat().st_size > 0
    assert (segment.closed().records, written) == (2, {'/a': 2})
    segment.flush()
    assert written == {'/a': 2}
    segment.close()


def test_a_finished_segment_without_records_is_a_whole_file(tmp_path: Path) -> None:
    make_segment(tmp_path / 's.mcap').finish()
    assert read_segment(tmp_path / 's.mcap').messages == ()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    segment = make_segment(tmp_path / 's.mcap')
    segment.close()
    segment.close()


# --- size --------------------------------------------------------------------------------------

BATCHES = st.lists(
    st.tuples(
        st.integers(0, 6),  # channel
        st.lists(st.integers(0, 3000), min_size=1, max_size=8),  # sizes of the records
        st.booleans(),  # flush after it
    ),
    min_size=1,
    max_size=20,
)
CHANNELS = tuple(
    Channel(f'/topic{index}', SCHEMAS[index % 4], publisher='ab' * (index % 3))
    for index in range(7)
)

on_files = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_files
@given(batches=BATCHES, compression=st.sampled_from(COMPRESSIONS), chunk=st.integers(1024, 20_000))
def test_the_finished_size_is_known_before(
    tmp_path: Path, batches: list[Any], compression: str, chunk: int
) -> None:
    """Exact without compression, an upper bound with; also in the middle of a chunk."""
    path = tmp_path / 's.mcap'
    path.unlink(missing_ok=True)
    segment = make_segment(path, chunk_size_bytes=chunk, compression=compression)
    number = 0
    for channel, sizes, flush in batches:
        batch = [record(number + index, size) for index, size in enumerate(sizes)]
        number += len(batch)
        position = 0
        while position < len(batch):
            position = segment.append(CHANNELS[channel], batch, position)
            if segment.is_chunk_full:
                segment.flush()
        if flush:
            segment.flush()
    expected = segment.finished_size()
    closed = segment.finish()
    assert closed.bytes == path.stat().st_size
    if compression == 'none':
        assert closed.bytes == expected
    assert closed.bytes <= expected
    assert sequences(read_segment(path).messages) == list(range(number))


@on_files
@given(
    batches=BATCHES,
    compression=st.sampled_from(COMPRESSIONS),
    more=st.integers(0, 2000),
    channel=st.integers(0, 6),
)
def test_the_size_with_one_more_uncompressed_chunk_is_exact(
    tmp_path: Path, batches: list[Any], compression: str, more: int, channel: int
) -> None:
    """The flight's footer, which states the size of its own segment, is written like this."""
    path = tmp_path / 's.mcap'
    path.unlink(missing_ok=True)
    segment = make_segment(path, compression=compression)
    for topic, sizes, _ in batches:
        segment.append(CHANNELS[topic], [record(0, size) for size in sizes])
    segment.flush()
    expected = segment.finished_size(more_channel=CHANNELS[channel], more_bytes=more)
    segment.append(CHANNELS[channel], [(1, 1, 0, bytes(more), 0)], force=True)
    segment.flush(compress=False)
    assert segment.finish().bytes == expected


@on_files
@given(
    batches=BATCHES,
    compression=st.sampled_from(COMPRESSIONS),
    limit=st.integers(2000, 16_000),
    chunk=st.integers(1024, 8000),
)
def test_a_segment_never_exceeds_its_limit_unless_one_record_does(
    tmp_path: Path, batches: list[Any], compression: str, limit: int, chunk: int
) -> None:
    path = tmp_path / 's.mcap'
    path.unlink(missing_ok=True)
    segment = make_segment(
        path, max_bytes=limit, chunk_size_bytes=chunk, compression=compression
    )
    taken = 0
    for channel, sizes, flush in batches:
        batch = [record(taken + index, size) for index, size in enumerate(sizes)]
        position = segment.append(CHANNELS[channel], batch, force=not taken)
        taken += position
        if flush or segment.is_chunk_full:
            segment.flush()
        if position < len(batch) and not segment.is_chunk_full:
            break
    closed = segment.finish()
    assert closed.records == taken > 0
    assert closed.bytes <= limit or taken == 1
    assert sequences(read_segment(path).messages) == list(range(taken))


def test_force_takes_one_record_whatever_its_size(tmp_path: Path) -> None:
    segment = make_segment(tmp_path / 's.mcap', max_bytes=2000)
    batch = [record(0, 5000), record(1, 5000)]
    assert segment.append(CHANNELS[0], batch) == 0
    assert segment.append(CHANNELS[0], batch, force=True) == 1
    assert segment.append(CHANNELS[0], batch, 1) == 1
    assert segment.finish().bytes > 5000


def test_a_full_segment_takes_no_record(tmp_path: Path) -> None:
    segment = make_segment(tmp_path / 's.mcap', max_bytes=3000)
    batch = [record(number, 200) for number in range(100)]
    position = segment.append(CHANNELS[0], batch)
    assert 0 < position < 100
    assert segment.append(CHANNELS[0], batch, position) == position
    assert segment.append(CHANNELS[2], batch, position) == position
    assert segment.finish().bytes <= 3000


# --- the file ----------------------------------------------------------------------------------


def test_the_file_is_opened_for_appending_and_never_followed_or_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[int] = []
    real = os.open

    def watch(path: Any, how: int, *args: Any, **kwargs: Any) -> int:
        flags.append(how)
        return real(path, how, *args, **kwargs)

    monkeypatch.setattr(os, 'open', watch)
    make_segment(tmp_path / 's.mcap').close()
    (found,) = flags
    wanted = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    assert found & wanted == wanted
    assert found & os.O_ACCMODE == os.O_WRONLY
    assert not found & os.O_TRUNC


def test_a_segment_is_never_sought_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('lseek', 'pwrite', 'pwritev'):
        SystemCall(monkeypatch, name).fail(errno.ESPIPE)
    path = tmp_path / 's.mcap'
    segment = make_segment(path)
    for number in range(3):
        segment.append(CHANNELS[0], [record(number)])
        segment.flush()
        segment.sync()
    segment.finish()
    monkeypatch.undo()
    assert sequences(read_segment(path).messages) == [0, 1, 2]


def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    make_segment(tmp_path / 's.mcap').close()
    assert stat.S_IMODE((tmp_path / 's.mcap').stat().st_mode) == 0o640


def test_an_existing_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / 's.mcap'
    path.write_bytes(b'precious')
    with pytest.raises(FileExistsError):
        make_segment(path)
    assert path.read_bytes() == b'precious'


@pytest.mark.parametrize('target_exists', [True, False])
def test_a_symlink_is_refused_and_not_followed(tmp_path: Path, target_exists: bool) -> None:
    target, link = tmp_path / 'elsewhere', tmp_path / 's.mcap'
    if target_exists:
        target.write_bytes(b'precious')
    link.symlink_to(target)
    with pytest.raises(OSError, match=r'File exists|Too many levels'):
        make_segment(link)
    assert target.exists() == target_exists
    assert not target_exists or target.read_bytes() == b'precious'


def test_finishing_forces_the_file_to_the_disk_before_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = make_segment(tmp_path / 's.mcap')
    segment.append(CHANNELS[0], [record(0)])
    sizes: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        sizes.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, 'fsync', fsync)
    assert sizes == []
    closed = segment.finish()
    assert sizes == [closed.bytes]


def test_a_finished_segment_leaves_the_page_cache_to_others(tmp_path: Path) -> None:
    def is_cached() -> bool:
        with path.open('rb') as file:
            try:
                return os.preadv(file.fileno(), [bytearray(1)], 1 << 20, os.RWF_NOWAIT) == 1
            except BlockingIOError:
                return False
            except OSError as error:
                pytest.skip(f'this file system does not tell what is cached: {error}')

    for number in range(5):  # the kernel keeps a page that it is busy with at the moment
        path = tmp_path / f'segment_{number:06d}.mcap'
        segment = make_segment(path)
        segment.append(CHANNELS[0], [record(number, 1000) for number in range(4000)])
        segment.flush()
        assert is_cached()
        segment.finish()
        if not is_cached():
            return
    pytest.fail('every segment is still cached')


# --- when writing fails ------------------------------------------------------------------------


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given (POSIX), also in the middle of a piece."""
    path = tmp_path / 's.mcap'
    step = 0

    def writev(fd: int, buffers: list[bytes]) -> int:
        nonlocal step
        step = step % 7 + 1
        return os.write(fd, b''.join(buffers)[: 13 * step])

    monkeypatch.setattr(os, 'writev', writev)
    segment = make_segment(path)
    for number in range(3):
        segment.append(CHANNELS[number], [record(number, 40_000), record(number, 100)])
        segment.flush()
    closed = segment.finish()
    monkeypatch.undo()
    assert closed.bytes == path.stat().st_size
    assert sequences(read_segment(path).messages) == [0, 0, 1, 1, 2, 2]


def test_more_pieces_than_one_call_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IOV_MAX is 1024: every large record is a piece, and so is what lies between two."""
    most = 0
    real = os.writev

    def writev(fd: int, buffers: list[bytes]) -> int:
        nonlocal most
        most = max(most, len(buffers))
        return real(fd, buffers)

    monkeypatch.setattr(os, 'writev', writev)
    segment = make_segment(tmp_path / 's.mcap', chunk_size_bytes=1 << 30)
    data = bytes(33 * 1024)
    batch = [(number, number, number, data, 0) for number in range(1500)]
    assert segment.append(CHANNELS[0], batch) == 1500
    segment.flush()
    segment.finish()
    assert most == os.sysconf('SC_IOV_MAX')
    assert sequences(read_segment(tmp_path / 's.mcap').messages) == list(range(1500))


def test_a_torn_write_is_cut_back_to_the_last_whole_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are still in the segment: a second try writes them."""
    path = tmp_path / 's.mcap'
    segment = make_segment(path)
    segment.append(CHANNELS[0], [record(0)])
    segment.flush()
    before = path.read_bytes()

    segment.append(CHANNELS[1], [record(1, 3000)])
    calls = 0

    def writev(fd: int, buffers: list[bytes]) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            return os.write(fd, b''.join(buffers)[:1000])
        assert path.stat().st_size == len(before) + 1000
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, 'writev', writev)
        with pytest.raises(OSError, match='No space left'):
            segment.flush()
    assert calls == 2
    assert path.read_bytes() == before
    assert segment.size == len(before)
    assert sequences(read_whole_chunks(path)) == [0]

    segment.flush()
    segment.finish()
    assert sequences(read_segment(path).messages) == [0, 1]


def test_taking_back_returns_what_is_not_written_and_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 's.mcap'
    written: Counter[str] = Counter()
    segment = make_segment(
        path, on_written=lambda channel, count: written.update({channel.topic: count})
    )
    segment.append(CHANNELS[0], [record(0)])
    segment.flush()
    segment.append(CHANNELS[0], [record(1)])
    segment.append(CHANNELS[1], [record(2), record(3)])
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_segment_fd).fail(errno.EIO)
        with pytest.raises(OSError, match='Input/output'):
            segment.flush()
    taken = {channel: [item[2] for item in batch] for channel, batch in segment.take_back()}
    assert taken == {CHANNELS[0]: [1], CHANNELS[1]: [2, 3]}
    assert segment.take_back() == []
    closed = segment.finish()
    assert closed.counts == {CHANNELS[0]: 1, CHANNELS[1]: 0}
    assert written == {'/topic0': 1}
    assert sequences(read_segment(path).messages) == [0]


def test_a_torn_tail_that_cannot_be_cut_off_is_never_written_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes after a torn chunk would be unreadable."""
    path = tmp_path / 's.mcap'
    segment = make_segment(path)
    segment.append(CHANNELS[0], [record(0)])
    segment.flush()
    segment.append(CHANNELS[0], [record(1, 3000)])
    with monkeypatch.context() as patched:
        SystemCall(patched, 'ftruncate').fail(errno.EIO)
        calls = 0

        def writev(fd: int, buffers: list[bytes]) -> int:
            nonlocal calls
            calls += 1
            if calls == 1:
                return os.write(fd, b''.join(buffers)[:1000])
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as more_patched:
            more_patched.setattr(os, 'writev', writev)
            with pytest.raises(OSError, match='Input/output'):
                segment.flush()
        torn = path.read_bytes()
        assert segment.size == len(torn)
        segment.take_back()
        with pytest.raises(OSError, match='Input/output'):
            segment.finish()
        assert path.read_bytes() == torn
        assert segment.size == len(torn)
        assert sequences(read_whole_chunks(path)) == [0]
    assert segment.finish().bytes == path.stat().st_size
    assert sequences(read_segment(path).messages) == [0]


def test_a_real_full_disk_leaves_whole_records(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / 'small', 512 * 1024) as disk:
        path = disk / 's.mcap'
        segment = make_segment(path)
        segment.append(CHANNELS[0], [record(0, 1000)])
        segment.flush()
        ballast = fill_disk(disk, leave_bytes=20_000)
        segment.append(CHANNELS[0], [record(1, 100_000)])
        size = segment.size
        with pytest.raises(OSError, match='No space left'):
            segment.flush()
        assert path.stat().st_size == segment.size == size
        assert sequences(read_whole_chunks(path)) == [0]
        ballast.unlink()
        segment.finish()
        assert sequences(read_segment(path).messages) == [0, 1]


def test_a_segment_cut_anywhere_in_its_last_chunk_is_readable_up_to_it(tmp_path: Path) -> None:
    """A crash of the process costs at most the chunk that was being written."""
    path, cut = tmp_path / 's.mcap', tmp_path / 'cut.mcap'
    segment = make_segment(path)
    for first in (0, 3):
        before = segment.size
        segment.append(CHANNELS[0], [record(first + index, 40) for index in range(3)])
        segment.flush()
    after = segment.size
    segment.finish()
    content = path.read_bytes()
    chunk = content.index(b'\x06', before)
    chunk_end = chunk + 9 + int.from_bytes(content[chunk + 1:chunk + 9], 'little')
    assert before <= chunk < chunk_end < after < len(content)
    for length in range(before, len(content) + 1):
        cut.write_bytes(content[:length])
        expected = [0, 1, 2] if length < chunk_end else [0, 1, 2, 3, 4, 5]
        assert sequences(read_whole_chunks(cut)) == expected, length
