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
One segment: an MCAP file that only ever grows at its end.

Written in file order, never seeking: magic, header, metadata, then schemas and channels before
the first chunk that needs them, chunks each followed by its message indexes, and when the segment
is sealed the end of the data section, the summary, the footer and the magic again.

The segment knows at any time how large its file would be if it were sealed now, so that its size
limit holds for the whole file, summary included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
import time
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.compression import compressor
from fdr_recorder.record.channel import Channel
from fdr_recorder.storage.chunk import CHANNEL_COST, Chunk, RECORD_COST
from fdr_recorder.storage.files import close_fd, FILE_MODE
from fdr_recorder.storage.segment_index import KnownChannel, SegmentIndex
from fdr_recorder.version import __version__

PROFILE: Final = 'ros2'
LIBRARY: Final = f'fdr_recorder {__version__}'
METADATA_NAME: Final = 'fdr_recorder'

_CREATE_FLAGS: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
)
_APPEND_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_IOV_MAX: Final = os.sysconf('SC_IOV_MAX')
_LONGEST_COMPRESSION_NAME: Final = 'zstd'


@dataclass(frozen=True, slots=True)
class ClosedSegment:
    """
    What is known of a segment that is complete.

    Attributes:
        index: Its number in the flight, from 0.
        file_name: Its name in the flight's directory.
        bytes: Size of the file.
        records: Records in it.
        first_log_time_ns: Earliest log time (system clock); 0 if there is no record.
        last_log_time_ns: Latest log time.
        counts: Records by channel.

    """

    index: int
    file_name: str
    bytes: int
    records: int
    first_log_time_ns: int
    last_log_time_ns: int
    counts: Mapping[Channel, int]


def _ignore(_channel: Channel, _records: int) -> None:
    pass


class Segment:
    """
    The open segment. Used by one thread.

    Every method that writes may raise `OSError`; the file then ends with the last whole record
    (a torn tail is cut off), and the chunk is still there: `discard` it, or try again.
    """

    def __init__(
        self,
        path: Path,
        *,
        index: int,
        max_bytes: int,
        chunk_size_bytes: int,
        compression: str,
        metadata: Mapping[str, str],
        on_written: Callable[[Channel, int], None] = _ignore,
        crc: Callable[[list[bytes]], int] = crc32,
    ) -> None:
        """
        Create the file.

        Args:
            path: Where; nothing may be there.
            index: Number of the segment in the flight.
            max_bytes: The sealed file will not be larger, unless one record alone is.
            chunk_size_bytes: A chunk is written when it has this size.
            compression: `none`, `lz4` or `zstd`.
            metadata: Content of the metadata record that explains the file.
            on_written: Told how many records of a channel have been written to the file.
            crc: Computes the CRC-32 of a chunk's records.

        Raises:
            OSError: The file exists or cannot be created.

        """
        metadata_record = encode.metadata(METADATA_NAME, metadata)
        beginning = layout.MAGIC + encode.header(PROFILE, LIBRARY)
        contents = SegmentIndex(
            encode.metadata_index(len(beginning), len(metadata_record), METADATA_NAME)
        )
        self.path = path
        self.index = index
        self._max_bytes = max_bytes
        self._chunk_size_bytes = chunk_size_bytes
        self._compression = compression
        self._compress = compressor(compression)
        self._chunk_cost = _chunk_cost(_LONGEST_COMPRESSION_NAME if self._compress else '')
        self._on_written = on_written
        self._crc = crc
        self._begin(contents, 0, [beginning + metadata_record])
        self._fd = os.open(path, _CREATE_FLAGS, FILE_MODE)

    def _begin(self, contents: SegmentIndex, size: int, announcements: list[bytes]) -> None:
        self.opened_at = time.monotonic()
        self._contents = contents
        self._size = size
        self._torn_bytes = 0
        self._announcements = announcements
        """Records that go into the file before the next chunk."""
        self._announcements_size = sum(map(len, announcements))
        self._chunk = Chunk()
        self._chunk_since = 0.0
        self._measure_room()
        self._is_ended = False
        self.has_data = True
        """False, if whoever owns it says so, until more is appended than each begins with."""

    @classmethod
    def restore(
        cls, path: Path, *, index: int, contents: SegmentIndex, size: int, missing: list[bytes]
    ) -> Segment:
        """
        Open a file that a former process left, to go on at the end of its data section.

        Args:
            path: The file.
            index: Number of the segment in the flight.
            contents: What is in its data section.
            size: Where the last whole record of the data section ends; what follows is cut off.
            missing: Records that must follow there: message indexes of the last chunk.

        Raises:
            OSError: The file cannot be opened or cut.

        """
        segment = cls.__new__(cls)
        segment.path = path
        segment.index = index
        segment._max_bytes = 0
        segment._chunk_size_bytes = 1
        segment._compression, segment._compress = 'none', None
        segment._chunk_cost = _chunk_cost('')
        segment._on_written = _ignore
        segment._crc = crc32
        segment._begin(contents, size, missing)
        segment._fd = os.open(path, _APPEND_FLAGS)
        try:
            os.ftruncate(segment._fd, size)
        except OSError:
            segment.close()
            raise
        return segment

    # --- what it holds -------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return self._size + self._torn_bytes

    @property
    def records(self) -> int:
        """Count the records in the file now."""
        return self._contents.records

    @property
    def is_chunk_full(self) -> bool:
        """Whether the open chunk should be written now."""
        return self._chunk.size >= self._chunk_size_bytes

    def pending_for(self, now: float) -> float:
        """Return for how long (seconds) the oldest record of the open chunk has been in it."""
        return now - self._chunk_since if self._chunk.records else 0.0

    def finished_size(self, *, more_channel: Channel | None = None, more_bytes: int = 0) -> int:
        """
        Return the size the file would have if it were sealed now; exact without compression.

        Args:
            more_channel: Count in one more record of this channel, in a chunk of its own that is
                not compressed...
            more_bytes: ...with so many bytes of data.

        """
        size = self._size_without_chunk
        if self._chunk.records:
            size += self._chunk_cost + self._chunk.cost
        if more_channel is not None:
            size += self._contents.announcement_cost(more_channel)
            size += _chunk_cost('') + CHANNEL_COST + RECORD_COST + more_bytes
        return size

    # --- taking records ------------------------------------------------------------------

    def append(
        self,
        channel: Channel,
        batch: Sequence[QueuedRecord],
        position: int = 0,
        *,
        force: bool = False,
    ) -> int:
        """
        Take records of one channel until the chunk or the segment is full; write nothing.

        Args:
            channel: The channel of all of them.
            batch: What came out of a ring.
            position: The first record to take.
            force: Take at least one, whatever its size and however full the chunk is; one is
                also taken by a segment without data.

        Returns:
            The position of the first record that was not taken. If it is the one given although
            the chunk is not full, this segment has no room for it.

        """
        chunk = self._chunk
        known = self._contents.find(channel)
        room = self._room - chunk.cost - CHANNEL_COST
        if known is None:
            room -= self._contents.announcement_cost(channel)
        force = force or not self.has_data
        needed = RECORD_COST + len(batch[position][3])
        if room < needed:
            if not force:
                return position
            room = needed
        full_size = self._chunk_size_bytes
        if force:
            full_size = max(full_size, chunk.size + 1)
        if known is None:
            known = self._announce(channel)
        if not chunk.records:
            self._chunk_since = time.monotonic()
        after = chunk.add(known.id, batch, position, room=room, full_size=full_size)
        if after > position:
            self.has_data = True
        return after

    def _announce(self, channel: Channel) -> KnownChannel:
        known, announcements = self._contents.announce(channel)
        self._announcements += announcements
        self._announcements_size += sum(map(len, announcements))
        self._measure_room()
        return known

    def _measure_room(self) -> None:
        """Work out what the open chunk may cost; to be called when anything else has grown."""
        self._room = self._max_bytes - self._size_without_chunk - self._chunk_cost

    @property
    def _size_without_chunk(self) -> int:
        return self._size + self._announcements_size + self._contents.end_size

    # --- writing -------------------------------------------------------------------------

    def flush(self, *, compress: bool = True) -> None:
        """Write the open chunk, if it holds a record; nothing is forced to the disk."""
        chunk = self._chunk
        if not chunk.records:
            return
        pieces = chunk.buffers()
        crc = self._crc(pieces)
        compression = ''
        stored_size = chunk.size
        if self._compress is not None and compress:
            squeezed = self._compress(b''.join(pieces))
            if len(squeezed) < chunk.size:
                pieces, stored_size, compression = [squeezed], len(squeezed), self._compression
        start, end = chunk.time_range()
        prefix = encode.chunk_prefix(
            start_time=start,
            end_time=end,
            uncompressed_size=chunk.size,
            uncompressed_crc=crc,
            compression=compression,
            compressed_size=stored_size,
        )
        indexes, offsets = chunk.message_indexes()
        chunk_offset = self._size + self._announcements_size
        indexes_offset = chunk_offset + len(prefix) + stored_size

        self._write([*self._announcements, prefix, *pieces, b''.join(indexes)])

        self._announcements, self._announcements_size = [], 0
        index_record = encode.chunk_index(
            start_time=start,
            end_time=end,
            chunk_offset=chunk_offset,
            chunk_length=len(prefix) + stored_size,
            message_index_offsets={
                channel_id: indexes_offset + offset for channel_id, offset in offsets.items()
            },
            message_index_length=sum(map(len, indexes)),
            compression=compression,
            compressed_size=stored_size,
            uncompressed_size=chunk.size,
        )
        self._contents.add_chunk(index_record, start, end)
        self._chunk = Chunk()
        self._measure_room()
        by_id, on_written = self._contents.by_id, self._on_written
        for channel_id, index in chunk.indexes.items():
            known, written = by_id(channel_id), len(index) // 2
            known.written += written
            on_written(known.channel, written)

    def discard(self) -> dict[Channel, int]:
        """Give up the records that could not be written; return how many of each channel."""
        chunk, self._chunk = self._chunk, Chunk()
        return {
            self._contents.by_id(channel_id).channel: len(index) // 2
            for channel_id, index in chunk.indexes.items()
        }

    def sync(self) -> None:
        """
        Force what was written to the disk; another thread than the writer's may call it.

        A segment that is complete leaves the kernel's page cache then: nobody reads it in flight,
        and the memory is others' to use.
        """
        if not self._is_ended:
            os.fdatasync(self._fd)
            return
        os.fsync(self._fd)
        with suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def end(self) -> None:
        """Write the open chunk and the summary. What is left to do is to `sync` and to `close`."""
        if self._is_ended:
            return
        self.flush()
        ending = self._contents.ending(self._size + self._announcements_size)
        self._write([*self._announcements, *ending])
        self._is_ended = True

    def finish(self) -> ClosedSegment:
        """Write the open chunk and the summary, force all to the disk and close the file."""
        self.end()
        self.sync()
        self.close()
        return self.closed()

    def closed(self) -> ClosedSegment:
        """Return what is known of the segment, which is complete."""
        return ClosedSegment(
            index=self.index,
            file_name=self.path.name,
            bytes=self._size,
            records=self._contents.records,
            first_log_time_ns=self._contents.first_log_time_ns,
            last_log_time_ns=self._contents.last_log_time_ns,
            counts=self._contents.counts,
        )

    def close(self) -> None:
        """Close the file as it is. A segment that was not sealed has no summary."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_fd(fd)

    def remove(self) -> None:
        """Close the file and remove it: the segment came to nothing."""
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def _write(self, pieces: Sequence[bytes]) -> None:
        """
        Append all pieces, or none.

        Raises:
            OSError: Not all could be written; what was is cut off again.

        """
        if self._torn_bytes:
            self._cut_torn_tail()
        total = sum(map(len, pieces))
        left = total
        queue = list(pieces)
        try:
            while left:
                written = os.writev(self._fd, queue[:_IOV_MAX])
                left -= written
                if left:
                    queue = _after(queue, written)
        except OSError:
            self._torn_bytes = total - left
            with suppress(OSError):  # then it is cut before anything else is written
                self._cut_torn_tail()
            raise
        self._size += total

    def _cut_torn_tail(self) -> None:
        os.ftruncate(self._fd, self._size)
        self._torn_bytes = 0


def _chunk_cost(compression: str) -> int:
    """Return what a chunk costs in the file beside `_CHANNEL_COST` and `RECORD_COST`."""
    return encode.chunk_prefix_length(compression) + encode.chunk_index_length(compression, 0)


def _after(pieces: list[bytes], written: int) -> list[bytes]:
    """Return what is left of the pieces when so many bytes of them are written."""
    for position, piece in enumerate(pieces):
        if written < len(piece):
            rest = memoryview(piece)[written:]
            return [rest, *pieces[position + 1:]]  # type: ignore[list-item]
        written -= len(piece)
    return []
