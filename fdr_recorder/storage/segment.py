"""One segment: an MCAP file that only ever grows at its end.

Written in file order, never seeking: magic, header, metadata, then schemas and channels before
the first chunk that needs them, chunks each followed by its message indexes, and when the segment
is sealed the end of the data section, the summary, the footer and the magic again.

The segment knows at any time how large its file would be if it were sealed now, so that its size
limit holds for the whole file, summary included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.schema import SCHEMA_ENCODING, Schema
from fdr_recorder.storage import mcap
from fdr_recorder.storage.chunk import RECORD_COST, Chunk, crc32
from fdr_recorder.storage.compression import compressor
from fdr_recorder.version import __version__

PROFILE: Final = 'ros2'
LIBRARY: Final = f'fdr_recorder {__version__}'
METADATA_NAME: Final = 'fdr_recorder'
FILE_MODE: Final = 0o640

_OPEN_FLAGS: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
)
_IOV_MAX: Final = os.sysconf('SC_IOV_MAX')
_MAX_COMPRESSION_NAME: Final = 4
_SUMMARY_GROUPS: Final = 5


@dataclass(frozen=True)
class ClosedSegment:
    """What is known of a segment that is complete.

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


@dataclass
class _Announced:
    """A channel that this segment knows."""

    channel: Channel
    channel_id: int
    record: bytes
    written: int = 0


class Segment:
    """The open segment. Used by the writer's thread alone.

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
        on_written: Callable[[Channel, int], None],
    ) -> None:
        """Create the file.

        Args:
            path: Where; nothing may be there.
            index: Number of the segment in the flight.
            max_bytes: The sealed file will not be larger, unless one record alone is.
            chunk_size_bytes: A chunk is written when it has this size.
            compression: `none`, `lz4` or `zstd`.
            metadata: Content of the metadata record that explains the file.
            on_written: Told how many records of a channel have been written to the file.

        Raises:
            OSError: The file exists or cannot be created.

        """
        self.path = path
        self.index = index
        self.opened_at = time.monotonic()
        self._max_bytes = max_bytes
        self._chunk_size_bytes = chunk_size_bytes
        self._compression = compression
        self._compress = compressor(compression)
        self._on_written = on_written
        self._schemas: dict[Schema, tuple[int, bytes]] = {}
        self._channels: dict[Channel, _Announced] = {}
        self._by_id: dict[int, _Announced] = {}
        self._chunk = Chunk()
        self._chunk_since = 0.0
        self._chunk_indexes: list[bytes] = []
        self._is_ended = False
        self._first_log_time_ns = 0
        self._last_log_time_ns = 0

        metadata_record = mcap.metadata(METADATA_NAME, metadata)
        beginning = mcap.MAGIC + mcap.header(PROFILE, LIBRARY)
        self._metadata_index = mcap.metadata_index(
            len(beginning), len(metadata_record), METADATA_NAME
        )
        self._announcements = [beginning + metadata_record]
        """Records that go into the file before the next chunk."""
        self._announcements_size = len(self._announcements[0])
        self._end_size = (
            mcap.DATA_END_LENGTH
            + mcap.statistics_length(0)
            + len(self._metadata_index)
            + _SUMMARY_GROUPS * mcap.SUMMARY_OFFSET_LENGTH
            + mcap.FOOTER_LENGTH
            + len(mcap.MAGIC)
        )
        """What sealing would add to the file as it is now, with at least one chunk."""

        self._size = 0
        self._torn_bytes = 0
        self._fd = os.open(path, _OPEN_FLAGS, FILE_MODE)

    # --- what it holds -------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return self._size + self._torn_bytes

    @property
    def records(self) -> int:
        """Records in the file now."""
        return sum(known.written for known in self._by_id.values())

    @property
    def is_chunk_full(self) -> bool:
        """Whether the open chunk should be written now."""
        return self._chunk.size >= self._chunk_size_bytes

    def pending_for(self, now: float) -> float:
        """Return for how long (seconds) the oldest record of the open chunk has been in it."""
        return now - self._chunk_since if self._chunk.records else 0.0

    def sealed_size(self, *, more_channel: Channel | None = None, more_bytes: int = 0) -> int:
        """Return the size the file would have if it were sealed now; exact without compression.

        Args:
            more_channel: Count in one more record of this channel, in an uncompressed chunk of
                its own...
            more_bytes: ...with so many bytes of data.

        """
        size = self._size + self._announcements_size + self._end_size
        if self._chunk.records:
            size += self._chunk_cost(len(self._chunk.indexes)) + self._chunk.size
            size += self._chunk.records * mcap.MESSAGE_INDEX_ENTRY_LENGTH
        if more_channel is not None:
            size += self._announcement_cost(more_channel)
            size += self._chunk_cost(1, compress=False) + RECORD_COST + more_bytes
        return size

    def _chunk_cost(self, channels: int, *, compress: bool = True) -> int:
        """Return what a chunk costs in the file beside its records and their index entries."""
        name = 'x' * _MAX_COMPRESSION_NAME if compress and self._compress is not None else ''
        return (
            mcap.chunk_prefix_length(name)
            + channels * mcap.MESSAGE_INDEX_PREFIX_LENGTH
            + mcap.chunk_index_length(name, channels)
        )

    def _announcement_cost(self, channel: Channel) -> int:
        """Return what it costs to make a channel known: before the chunks and in the summary."""
        if channel in self._channels:
            return 0
        size = len(self._channel_record(channel, 0, 0))
        if channel.schema not in self._schemas:
            size += len(self._schema_record(channel.schema, 0))
        return 2 * size + mcap.statistics_length(1) - mcap.statistics_length(0)

    # --- taking records ------------------------------------------------------------------

    def append(
        self,
        channel: Channel,
        batch: Sequence[QueuedRecord],
        position: int = 0,
        *,
        force: bool = False,
    ) -> int:
        """Take records of one channel until the chunk or the segment is full; write nothing.

        Args:
            channel: The channel of all of them.
            batch: What came out of a ring.
            position: The first record to take.
            force: Take at least one, whatever its size.

        Returns:
            The position of the first record that was not taken. If it is the one given although
            the chunk is not full, this segment has no room for it.

        """
        room = (
            self._max_bytes
            - self._size
            - self._announcements_size
            - self._end_size
            - self._announcement_cost(channel)
            - self._chunk_cost(len(self._chunk.indexes) + 1)
            - self._chunk.size
            - self._chunk.records * mcap.MESSAGE_INDEX_ENTRY_LENGTH
        )
        needed = RECORD_COST + len(batch[position][3])
        if room < needed:
            if not force:
                return position
            room = needed
        known = self._channels.get(channel) or self._announce(channel)
        if not self._chunk.records:
            self._chunk_since = time.monotonic()
        return self._chunk.add(
            known.channel_id, batch, position, room=room, full_size=self._chunk_size_bytes
        )

    def _announce(self, channel: Channel) -> _Announced:
        """Make a channel, and its schema, known to this segment."""
        schema_id, schema_record = self._schemas.get(channel.schema, (0, b''))
        size = 0
        if not schema_id:
            schema_id = len(self._schemas) + 1
            schema_record = self._schema_record(channel.schema, schema_id)
            self._schemas[channel.schema] = (schema_id, schema_record)
            self._announcements.append(schema_record)
            size += len(schema_record)
        channel_id = len(self._channels) + 1
        known = _Announced(
            channel, channel_id, self._channel_record(channel, channel_id, schema_id)
        )
        self._channels[channel] = self._by_id[channel_id] = known
        self._announcements.append(known.record)
        size += len(known.record)
        self._announcements_size += size
        self._end_size += size + mcap.statistics_length(1) - mcap.statistics_length(0)
        return known

    @staticmethod
    def _schema_record(schema: Schema, schema_id: int) -> bytes:
        return mcap.schema(schema_id, schema.name, SCHEMA_ENCODING, schema.definition.encode())

    @staticmethod
    def _channel_record(channel: Channel, channel_id: int, schema_id: int) -> bytes:
        return mcap.channel(
            channel_id,
            schema_id,
            channel.topic,
            channel.message_encoding,
            channel.file_metadata(),
        )

    # --- writing -------------------------------------------------------------------------

    def flush(self, *, compress: bool = True) -> None:
        """Write the open chunk, if it holds a record; nothing is forced to the disk."""
        chunk = self._chunk
        if not chunk.records:
            return
        pieces = chunk.buffers()
        crc = crc32(pieces)
        compression = ''
        stored_size = chunk.size
        if self._compress is not None and compress:
            squeezed = self._compress(b''.join(pieces))
            if len(squeezed) < chunk.size:
                pieces, stored_size, compression = [squeezed], len(squeezed), self._compression
        start, end = chunk.time_range()
        prefix = mcap.chunk_prefix(
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

        self._write([*self._announcements, prefix, *pieces, *indexes])

        index_record = mcap.chunk_index(
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
        self._announcements, self._announcements_size = [], 0
        self._chunk_indexes.append(index_record)
        self._end_size += len(index_record)
        self._first_log_time_ns = min(self._first_log_time_ns, start) if self.records else start
        self._last_log_time_ns = max(self._last_log_time_ns, end)
        self._chunk = Chunk()
        for channel_id, index in chunk.indexes.items():
            known = self._by_id[channel_id]
            known.written += len(index) // 2
            self._on_written(known.channel, len(index) // 2)

    def discard(self) -> dict[Channel, int]:
        """Give up the records that could not be written; return how many of each channel."""
        chunk, self._chunk = self._chunk, Chunk()
        return {
            self._by_id[channel_id].channel: len(index) // 2
            for channel_id, index in chunk.indexes.items()
        }

    def sync(self) -> None:
        """Force what was written to the disk."""
        os.fdatasync(self._fd)

    def seal(self) -> ClosedSegment:
        """Write the open chunk and the summary, force all to the disk and close the file."""
        if not self._is_ended:
            self.flush()
            self._write([*self._announcements, *self._ending()])
            self._is_ended = True
        os.fsync(self._fd)
        self.close()
        return ClosedSegment(
            index=self.index,
            file_name=self.path.name,
            bytes=self._size,
            records=self.records,
            first_log_time_ns=self._first_log_time_ns,
            last_log_time_ns=self._last_log_time_ns,
            counts={known.channel: known.written for known in self._by_id.values()},
        )

    def close(self) -> None:
        """Close the file as it is. A segment that was not sealed has no summary."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _ending(self) -> list[bytes]:
        """Encode all that follows the data: summary, footer, magic."""
        summary_start = self._size + self._announcements_size + mcap.DATA_END_LENGTH
        groups = (
            (mcap.SCHEMA, [record for _, record in self._schemas.values()]),
            (mcap.CHANNEL, [known.record for known in self._by_id.values()]),
            (mcap.STATISTICS, [self._statistics()]),
            (mcap.CHUNK_INDEX, self._chunk_indexes),
            (mcap.METADATA_INDEX, [self._metadata_index]),
        )
        summary: list[bytes] = []
        offsets: list[bytes] = []
        position = summary_start
        for opcode, records in groups:
            length = sum(map(len, records))
            if length:
                summary += records
                offsets.append(mcap.summary_offset(opcode, position, length))
                position += length
        summary += offsets
        return [mcap.data_end(), *summary, mcap.file_end(summary_start, position, summary)]

    def _statistics(self) -> bytes:
        return mcap.statistics(
            schemas=len(self._schemas),
            chunks=len(self._chunk_indexes),
            metadata=1,
            start_time=self._first_log_time_ns,
            end_time=self._last_log_time_ns,
            message_counts={known.channel_id: known.written for known in self._by_id.values()},
        )

    def _write(self, pieces: Sequence[bytes]) -> None:
        """Append all pieces, or none.

        Raises:
            OSError: Not all could be written; what was is cut off again.

        """
        total = sum(map(len, pieces))
        left = total
        queue = list(pieces)
        if self._torn_bytes:  # nothing may ever follow a torn record
            os.ftruncate(self._fd, self._size)
            self._torn_bytes = 0
        try:
            while left:
                written = os.writev(self._fd, queue[:_IOV_MAX])
                left -= written
                if left:
                    queue = _after(queue, written)
        except OSError:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:  # a reader stops at a torn tail, too
                self._torn_bytes = os.fstat(self._fd).st_size - self._size
            raise
        self._size += total


def _after(pieces: list[bytes], written: int) -> list[bytes]:
    """Return what is left of the pieces when so many bytes of them are written."""
    for position, piece in enumerate(pieces):
        if written < len(piece):
            rest = memoryview(piece)[written:]
            return [rest, *pieces[position + 1 :]]  # type: ignore[list-item]
        written -= len(piece)
    return []
