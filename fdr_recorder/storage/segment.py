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
the first chunk that needs them, chunks each followed by its message indexes, and finally the end
of the data section, the summary, the footer and the magic again.

The segment always knows how large its file would be if it were finished now, so that its size
limit holds for the whole file, summary included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
import time
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import NO_CLOCK, SteadyClock
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.compression import compressor
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import METADATA_NAME
from fdr_recorder.storage.chunk import CHANNEL_COST, Chunk, RECORD_COST
from fdr_recorder.storage.files import AppendFile
from fdr_recorder.storage.segment_index import KnownChannel, SegmentIndex
from fdr_recorder.version import __version__

PROFILE: Final = 'ros2'
LIBRARY: Final = f'fdr_recorder {__version__}'

_LONGEST_COMPRESSION_NAME: Final = 'zstd'


def _ignore(_channel: Channel, _records: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ClosedSegment:
    """
    A complete segment.

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


class Segment:
    """
    The open segment. Used by one thread.

    Every method that writes may raise `OSError`; the file then ends with the last whole record
    (a torn tail is cut off), and the chunk is still there: `discard` it, or try again.

    Attributes:
        index: Number of the segment in the flight.
        opened_at: When it was opened (monotonic seconds).
        has_data: Whether it holds records. The owner sets this to False once a segment has the
            records that every segment begins with; the next `append` sets it to True.

    """

    def __init__(
        self,
        file: AppendFile,
        contents: SegmentIndex,
        announcements: list[bytes],
        *,
        index: int,
        max_bytes: int = 0,
        chunk_size_bytes: int = 1,
        compression: str = 'none',
        on_written: Callable[[Channel, int], None] = _ignore,
        on_invalid: Callable[[Channel, int], None] = _ignore,
        crc: Callable[[list[bytes]], int] = crc32,
        clock: SteadyClock = NO_CLOCK,
    ) -> None:
        """
        Use `create` or `restore`; without limits, every record gets a chunk of its own.

        `file` has the whole records that are in the file already, `contents` says what is in its
        data section, and `announcements` are records that must precede the next chunk.
        """
        self.index = index
        self.opened_at = time.monotonic()
        self.has_data = True
        self._file = file
        self._contents = contents
        self._announcements = announcements
        self._announcements_size = sum(map(len, announcements))
        self._max_bytes = max_bytes
        self._chunk_size_bytes = chunk_size_bytes
        self._compression = compression
        self._compress = compressor(compression)
        self._chunk_cost = _chunk_cost(_LONGEST_COMPRESSION_NAME if self._compress else '')
        self._on_written = on_written
        self._on_invalid = on_invalid
        self._crc = crc
        self._clock = clock
        self._chunk = Chunk(self._clock)
        self._chunk_since = 0.0
        self._is_ended = False
        self._measure_room()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        index: int,
        max_bytes: int,
        chunk_size_bytes: int,
        compression: str,
        metadata: Mapping[str, str],
        on_written: Callable[[Channel, int], None] = _ignore,
        on_invalid: Callable[[Channel, int], None] = _ignore,
        crc: Callable[[list[bytes]], int] = crc32,
        clock: SteadyClock = NO_CLOCK,
    ) -> Segment:
        """
        Create the file of a new segment.

        Args:
            path: The file; must not exist.
            index: Number of the segment in the flight.
            max_bytes: The finished file will not be larger, unless one record alone is.
            chunk_size_bytes: A chunk is written when it has this size.
            compression: `none`, `lz4` or `zstd`.
            metadata: Content of the metadata record that explains the file.
            on_written: Called with a channel and the number of its records just written.
            on_invalid: Called with a channel and the number of its records that were discarded
                from the chunk, because their data are not bytes.
            crc: Computes the CRC-32 of a chunk's records.
            clock: Dates records that have a steady time.

        Raises:
            OSError: The file exists or cannot be created.

        """
        beginning = layout.MAGIC + encode.header(PROFILE, LIBRARY)
        record = encode.metadata(METADATA_NAME, metadata)
        return cls(
            AppendFile(path),
            SegmentIndex(encode.metadata_index(len(beginning), len(record), METADATA_NAME)),
            [beginning + record],
            index=index,
            max_bytes=max_bytes,
            chunk_size_bytes=chunk_size_bytes,
            compression=compression,
            on_written=on_written,
            on_invalid=on_invalid,
            crc=crc,
            clock=clock,
        )

    @classmethod
    def restore(
        cls, path: Path, *, index: int, contents: SegmentIndex, size: int, missing: list[bytes]
    ) -> Segment:
        """
        Open a file that a former process left, to go on at the end of its data section.

        That has the `contents` and is cut off at `size`, the end of its last whole record. Records
        that are `missing` there follow: message indexes of the last chunk.

        Raises:
            OSError: The file cannot be opened or cut.

        """
        return cls(AppendFile(path, size), contents, missing, index=index)

    # --- what it holds -------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return self._file.size + self._file.torn_bytes

    @property
    def is_chunk_full(self) -> bool:
        """Whether the open chunk should be written now."""
        return self._chunk.size >= self._chunk_size_bytes

    def pending_for(self, now: float) -> float:
        """Return for how long (seconds) the oldest record of the open chunk has been in it."""
        return now - self._chunk_since if self._chunk.records else 0.0

    def finished_size(self, *, more_channel: Channel | None = None, more_bytes: int = 0) -> int:
        """
        Return the size the file would have if it were finished now; exact without compression.

        Args:
            more_channel: Include one more record of this channel, in an uncompressed chunk of
                its own...
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
        Add records of one channel to the open chunk until chunk or segment is full.

        Nothing is written to the file yet.

        Args:
            channel: The channel of all of them.
            batch: Records that came out of a ring.
            position: The first record to add.
            force: Add at least one, whatever its size and however full the chunk is. A segment
                without data always adds at least one.

        Returns:
            The position of the first record that was not added. If it equals `position` although
            the chunk is not full, this segment has no room for it.

        Raises:
            Exception: The channel or a record cannot be encoded; none was added.

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
        """Work out what the open chunk may cost; call it when anything else has grown."""
        self._room = self._max_bytes - self._size_without_chunk - self._chunk_cost

    @property
    def _size_without_chunk(self) -> int:
        return self._file.size + self._announcements_size + self._contents.end_size

    # --- writing -------------------------------------------------------------------------

    def flush(self, *, compress: bool = True) -> None:
        """Write the open chunk, if it holds a record; nothing is forced to the disk."""
        chunk = self._chunk
        if not chunk.records:
            return
        try:
            pieces = chunk.buffers()
            crc = self._crc(pieces)
        except TypeError:
            invalid = chunk.remove_invalid()
            if not invalid:
                raise
            for channel_id, records in invalid.items():
                self._on_invalid(self._contents.by_id(channel_id).channel, records)
            self.flush(compress=compress)
            return
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
        chunk_offset = self._file.size + self._announcements_size
        indexes_offset = chunk_offset + len(prefix) + stored_size

        self._file.append([*self._announcements, prefix, *pieces, b''.join(indexes)])

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
        self._chunk = Chunk(self._clock)
        self._measure_room()
        by_id, on_written = self._contents.by_id, self._on_written
        for channel_id, index in chunk.indexes.items():
            known, written = by_id(channel_id), len(index) // 2
            known.written += written
            on_written(known.channel, written)

    def discard(self) -> dict[Channel, int]:
        """Discard the records of the open chunk; return how many of each channel."""
        chunk, self._chunk = self._chunk, Chunk(self._clock)
        return {
            self._contents.by_id(channel_id).channel: len(index) // 2
            for channel_id, index in chunk.indexes.items()
        }

    def sync(self) -> None:
        """
        Force what was written to the disk; another thread than the writer's may call it.

        An ended segment leaves the page cache then: nobody reads it in flight, and others can use
        the memory.
        """
        self._file.sync(is_finished=self._is_ended)

    def end(self) -> None:
        """Write the open chunk and the summary; `sync` and `close` complete the segment."""
        if self._is_ended:
            return
        self.flush()
        ending = self._contents.ending(self._file.size + self._announcements_size)
        self._file.append([*self._announcements, *ending])
        self._is_ended = True

    def finish(self) -> ClosedSegment:
        """Write the open chunk and the summary, force all to the disk and close the file."""
        self.end()
        self.sync()
        self.close()
        return self.closed()

    def closed(self) -> ClosedSegment:
        """Describe the segment, which was ended."""
        return ClosedSegment(
            index=self.index,
            file_name=self._file.path.name,
            bytes=self._file.size,
            records=self._contents.records,
            first_log_time_ns=self._contents.first_log_time_ns,
            last_log_time_ns=self._contents.last_log_time_ns,
            counts=self._contents.counts,
        )

    def close(self) -> None:
        """Close the file as it is. A segment that was not ended has no summary."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and remove it."""
        self.close()
        with suppress(OSError):
            self._file.path.unlink()


def _chunk_cost(compression: str) -> int:
    """Return what a chunk costs in the file beside `_CHANNEL_COST` and `RECORD_COST`."""
    return encode.chunk_prefix_length(compression) + encode.chunk_index_length(compression, 0)
