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

Written in file order, never seeking: magic, header, metadata, then schemas and channels before the
first chunk that needs them, chunks each followed by its message indexes, and finally the end of
the data section, the summary, the footer and the magic again.

The segment always knows how large its file would be if it were finished now, so that its size
limit holds for the whole file, summary included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
import time
from typing import Final, TYPE_CHECKING

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import NO_CLOCK, SteadyClock
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.compression import compressor
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import METADATA_NAME
from fdr_recorder.storage.chunk import CHANNEL_COST, Chunk, chunk_cost, RECORD_COST
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.files import AppendFile
from fdr_recorder.storage.lost_records import LostRecords
from fdr_recorder.storage.segment_index import KnownChannel, SegmentIndex
from fdr_recorder.storage.segment_seals import SegmentSeals
from fdr_recorder.storage.unsynced_tail import Part, UnsyncedTail
from fdr_recorder.version import __version__, BAG_VERSION

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.sealer import Sealer

PROFILE: Final = 'ros2'
LIBRARY: Final = f'fdr_recorder {__version__}'


def _ignore(_channel: Channel, _records: int) -> None:
    pass


class Segment:
    """
    The open segment. Used by one thread.

    Every method that writes may raise `OSError`; the file then ends with the last whole record
    (a torn tail is cut off), and the chunk is still there: `take_back` it, or try again.

    Attributes:
        index: Number of the segment in the flight.
        opened_at: When it was opened (monotonic seconds).
        is_ended: Whether the summary is written.
        unsynced: What is not known to be on the disk.
        has_data: Whether it has records beside those it begins with, at which the owner resets it.
        repeated: How many repeated messages it begins with; set by the owner.

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
        keeps_parts: bool = False,
        sealer: Sealer | None = None,
    ) -> None:
        """
        Use `create` or `restore`; without limits, every record gets a chunk of its own.

        `file` has the whole records that are in the file already, `contents` says what is in its
        data section, and `announcements` are records that must precede the next chunk.
        """
        self.index = index
        self.opened_at = time.monotonic()
        self.has_data = True
        self.repeated = 0
        self._file = file
        self._contents = contents
        self._announcements = announcements
        self._announcements_size = sum(map(len, announcements))
        self._max_bytes = max_bytes
        self._chunk_size_bytes = chunk_size_bytes
        self._compression = compression
        self._compress = compressor(compression)
        self._chunk_cost = chunk_cost('zstd' if self._compress else '')  # the longest name
        self._on_written = on_written
        self._on_invalid = on_invalid
        self._crc = crc
        self._clock = clock
        self._chunk = Chunk(self._clock)
        self._chunk_since = 0.0
        self.is_ended = False
        self.unsynced = UnsyncedTail(file, keeps_parts=keeps_parts)
        self._seals = SegmentSeals(file, contents, self.unsynced, sealer)
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
        keeps_parts: bool = False,
        dir_fd: int | None = None,
        bag_version: int = BAG_VERSION,
        sealer: Sealer | None = None,
    ) -> Segment:
        """
        Create the file of a new segment; raise `OSError` if it exists or cannot be created.

        Args:
            path: The file; must not exist.
            index: Number of the segment in the flight.
            max_bytes: The finished file will not be larger, unless one record alone is.
            chunk_size_bytes: A chunk is written when it has this size.
            compression: `none`, `lz4` or `zstd`.
            metadata: Content of the metadata record that explains the file.
            on_written: Called with a channel and the number of its records just written.
            on_invalid: Likewise of its records discarded because their data are not bytes.
            crc: Computes the CRC-32 of a chunk's records.
            clock: Dates records that have a steady time.
            dir_fd: The directory in which to create it, wherever `path` leads now.
            keeps_parts: Whether a sync may fail without an end; see `UnsyncedTail`.
            bag_version: Version of the bag metadata for which channels are described.
            sealer: Makes its seals, if the flight is sealed.

        """
        head = layout.MAGIC + encode.header(PROFILE, LIBRARY)
        about = encode.metadata(METADATA_NAME, metadata)
        return cls(
            AppendFile(path, dir_fd=dir_fd, digest=sealer.digest() if sealer else None),
            SegmentIndex(encode.metadata_index(len(head), len(about), METADATA_NAME), bag_version),
            [head + about],
            index=index,
            max_bytes=max_bytes,
            chunk_size_bytes=chunk_size_bytes,
            compression=compression,
            on_written=on_written,
            on_invalid=on_invalid,
            crc=crc,
            clock=clock,
            keeps_parts=keeps_parts,
            sealer=sealer,
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
    def is_unlinked(self) -> bool:
        """Whether the file has lost its name."""
        return self._file.is_unlinked

    @property
    def name(self) -> str:
        """Name of the file."""
        return self._file.path.name

    @property
    def is_chunk_full(self) -> bool:
        """Whether the open chunk should be written now."""
        return self._chunk.size >= self._chunk_size_bytes

    def waiting(self) -> dict[Channel, int]:
        """Count the records of the open chunk by channel."""
        return self._contents.by_channel(self._chunk.counts)

    def pending_for(self, now: float) -> float:
        """Return for how long (seconds) the oldest record of the open chunk has been in it."""
        return now - self._chunk_since if self._chunk.records else 0.0

    def finished_size(self, *, more_channel: Channel | None = None, more_bytes: int = 0) -> int:
        """
        Return the size the file would have if it were finished now; exact without compression.

        Args:
            more_channel: Include one more record of it, in an uncompressed chunk of its own...
            more_bytes: ...with so many bytes of data.

        """
        size = self._size_without_chunk
        if self._chunk.records:
            size += self._chunk_cost + self._chunk.cost
        if more_channel is not None:
            size += self._contents.announcement_cost(more_channel)
            size += chunk_cost('') + CHANNEL_COST + RECORD_COST + more_bytes
        return size

    # --- taking records ------------------------------------------------------------------

    def grow(self, more_bytes: int) -> bool:
        """Let the file become larger; return False if it has no number for another channel."""
        self._max_bytes += more_bytes
        self._measure_room()
        return not self._contents.is_full

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
            The position of the first record that was not added; `position` although the chunk is
            not full if this segment has no room for it.

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
            if known.told is not None:
                known.told.waiting += batch[position:after]
        return after

    def _announce(self, channel: Channel) -> KnownChannel:
        known, announcements = self._contents.announce(channel)
        self._announcements += announcements
        self._announcements_size += sum(map(len, announcements))
        self._measure_room()
        return known

    def _measure_room(self) -> None:
        """Work out what the open chunk may cost; call it when anything else has grown."""
        room = self._max_bytes - self._size_without_chunk - self._chunk_cost
        self._room = room - self._seals.cost  # of the next sync

    @property
    def _size_without_chunk(self) -> int:
        size = self._file.size + self._announcements_size + self._contents.end_size
        return size + self._seals.cost  # of its end

    # --- writing -------------------------------------------------------------------------

    def flush(self, *, compress: bool = True) -> None:
        """Write the open chunk, if it holds a record; nothing is forced to the disk."""
        chunk = self._chunk
        if not chunk.records:
            return
        squeeze = self._compress if compress else None
        try:
            encoded = chunk.encode(self._crc, squeeze, self._compression)
        except BaseException:  # data of clients may raise anything
            for channel_id, records in chunk.remove_invalid().items():
                self._on_invalid(self._contents.by_id(channel_id).channel, records)
            if not chunk.records:
                return
            encoded = chunk.encode(self._crc, squeeze, self._compression)
        written = [*self._announcements, encoded.prefix, *encoded.pieces, encoded.tail]
        part = Part(
            offset=self._file.size,
            announcements=self._announcements,
            head=encoded.prefix,
            stored_size=encoded.stored_size,
            size=encoded.size,
            compression=encoded.compression,
            crc=encoded.crc,
            tail=(encoded.tail,),
            records=chunk.counts,
            span=encoded.span,
            span_before=self._contents.span,
            pieces=() if self._file.size else written,
            digest=self._seals.digest(),
        )

        self._file.append(written)

        self.unsynced.add(part)
        index_record = encoded.index_record(part.offset + self._announcements_size)
        self._announcements, self._announcements_size = [], 0
        self._contents.add_chunk(index_record, *encoded.span)
        self._chunk = Chunk(self._clock)
        self._measure_room()
        by_id, on_written = self._contents.by_id, self._on_written
        for channel_id, records in part.records.items():
            known = by_id(channel_id)
            known.written += records
            if known.told is not None:
                known.told.add_written(self._clock)
            on_written(known.channel, records)

    def take_back(self) -> list[tuple[Channel, list[QueuedRecord]]]:
        """Take the records out of the open chunk; return them by channel, in their order."""
        chunk, self._chunk = self._chunk, Chunk(self._clock)
        by_id = self._contents.by_id
        self._contents.take_back()
        return [(by_id(number).channel, batch) for number, batch in chunk.batches().items()]

    def sync(self, *, is_checked: bool = False) -> OSError | None:
        """Force what was written to the disk; as `UnsyncedTail.sync`. Any thread may call it."""
        return self.unsynced.sync(is_finished=self.is_ended, is_checked=is_checked)

    def seal(self) -> None:
        """Append a seal of all that is in the file, if anything is new; `sync` follows."""
        self._seals.append_sync()
        self._measure_room()

    def note_synced(self) -> None:
        """Note how far the last `sync` has come; not while one goes on."""
        self._seals.note_synced()
        self.unsynced.trim()

    def cut_lost(self) -> LostRecords:
        """
        Cut the file back to the place up to which the disk has it, after a sync that failed.

        What was behind it is written again, as far as it is no record: with the next records, or
        with the summary.
        """
        return self._begin_again(self.unsynced.take_lost())

    def take_back_last(self) -> LostRecords:
        """Cut off the newest chunk, unless it is synced, and the summary; see `cut_lost`."""
        return self._begin_again(self.unsynced.take_last_chunk())

    def _begin_again(self, parts: Sequence[Part]) -> LostRecords:
        """Go on where the first of these parts was, which have been taken out."""
        if not parts:
            return LostRecords({})
        self._seals.cut(parts)
        self.is_ended = False
        again = [piece for part in parts for piece in part.pieces or part.announcements]
        self._announcements = again + self._announcements
        self._announcements_size = sum(map(len, self._announcements))
        chunks = [part for part in parts if part.records and not part.pieces]
        lost = self._contents.remove_chunks(chunks)
        self._measure_room()
        return lost

    def end(self) -> None:
        """Write the open chunk and the summary; `sync` and `close` complete the segment."""
        if self.is_ended:
            return
        self.flush()
        self._seals.append_end(self._announcements, self._contents.ending)
        self._announcements, self._announcements_size = [], 0
        self.is_ended = True

    def finish(self) -> ClosedSegment:
        """Write the open chunk and the summary, force all to the disk and close the file."""
        self.end()
        self.sync()
        self.close()
        return self.closed()

    def closed(self) -> ClosedSegment:
        """Describe the segment, which was ended."""
        size, most, seals = self._file.size, self._max_bytes, self._seals
        return self._contents.closed(
            self.index, self.name, size, self.repeated, most, seals.sha256, seals.last
        )

    def close(self) -> None:
        """Close the file as it is. A segment that was not ended has no summary."""
        self._file.close()
        self._seals.wipe()

    def remove(self) -> bool:
        """Close the file, and remove it; return False if it is still there."""
        return self._file.remove()
