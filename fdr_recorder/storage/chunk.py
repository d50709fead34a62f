# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The open chunk: the hot path from ring to disk."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
import operator
import sys
from typing import Final, NamedTuple

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import NO_CLOCK, SteadyClock
from fdr_recorder.errors import RecordError
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.compression import Compressor

RECORD_COST: Final = layout.MESSAGE_PREFIX.size + layout.MESSAGE_INDEX_ENTRY_LENGTH
"""Bytes in the file for a record in addition to its data: its prefix and its index entry."""

CHANNEL_COST: Final = (
    layout.MESSAGE_INDEX_PREFIX.size
    + encode.chunk_index_length('', 1)
    - encode.chunk_index_length('', 0)
)
"""Bytes in the file for a channel with records in a chunk."""

_PACK_PREFIX: Final = layout.MESSAGE_PREFIX.pack
_PREFIX_SIZE: Final = layout.MESSAGE_PREFIX.size
_FIXED_LENGTH: Final = layout.MESSAGE_FIXED_LENGTH

_LARGE_BYTES: Final = 32 * 1024
"""Data of this size or more are passed to the kernel as they are; smaller ones are joined first.
A copy of 32 KiB costs about as much as one more element of `writev`."""


class Chunk:
    """
    Records that will become one chunk, with the index of each channel.

    Attributes:
        size: Uncompressed size of the chunk's records, in bytes.
        records: How many records.
        cost: Bytes of them and their indexes in the file, without the cost of the chunk itself.
        indexes: By channel id: log time and offset of each record, alternating.
        clock: Dates records that have a steady time.

    """

    __slots__ = ('_has_large', '_parts', 'clock', 'cost', 'indexes', 'records', 'size')

    def __init__(self, clock: SteadyClock = NO_CLOCK) -> None:
        """Begin with no record."""
        self.clock = clock
        self._parts: list[bytes] = []
        self._has_large = False
        self.size = 0
        self.records = 0
        self.cost = 0
        self.indexes: dict[int, list[int]] = {}

    def add(
        self,
        channel_id: int,
        batch: Sequence[QueuedRecord],
        position: int,
        *,
        room: int,
        full_size: int,
    ) -> int:
        """
        Add records of one channel, from `position` on, until one of the limits is reached.

        The loop runs once for every message of the flight. Locals instead of attributes, and one
        packed prefix instead of an object, make it about 0.7 microseconds a record.

        They may cost `room` bytes of the file (`RECORD_COST` and data each); the chunk may grow to
        `full_size`.

        Returns:
            The position of the first record that was not added.

        Raises:
            Exception: A record cannot be encoded, see `sound_record`; none was added.

        """
        index = self.indexes.get(channel_id)
        if index is None:
            index = []
        append, note = self._parts.append, index.append
        size, start = self.size, position
        steady_ns = self.clock.offset_ns
        parts_before, entries_before = len(self._parts), len(index)
        try:
            for position in range(start, len(batch)):
                log_time, publish_time, sequence, data, _ = batch[position]
                length = len(data)
                room -= length + RECORD_COST
                if room < 0 or size >= full_size:
                    break
                if log_time < 0:
                    log_time = steady_ns - log_time
                if publish_time < 0:
                    publish_time = steady_ns - publish_time
                append(
                    _PACK_PREFIX(
                        layout.MESSAGE,
                        length + _FIXED_LENGTH,
                        channel_id,
                        sequence & 0xFFFFFFFF,
                        log_time,
                        publish_time,
                    )
                )
                append(data)
                note(log_time)
                note(size)
                size += length + _PREFIX_SIZE
                if length >= _LARGE_BYTES:
                    self._has_large = True
            else:
                position = len(batch)
        except BaseException:
            del self._parts[parts_before:], index[entries_before:]
            raise
        taken = position - start
        if taken:
            if channel_id not in self.indexes:
                self.indexes[channel_id] = index
                self.cost += CHANNEL_COST
            self.cost += size - self.size + taken * layout.MESSAGE_INDEX_ENTRY_LENGTH
            self.size = size
            self.records += taken
        return position

    @property
    def counts(self) -> dict[int, int]:
        """Count the records by channel id."""
        return {number: len(index) // 2 for number, index in self.indexes.items()}

    def contents(self) -> Iterator[tuple[int, QueuedRecord]]:
        """Return the records as they may be added to another chunk, with their channel ids."""
        parts, offset_ns = self._parts, self.clock.offset_ns
        for prefix, data in zip(parts[::2], parts[1::2], strict=True):
            _, _, channel_id, sequence, log_time, publish_time = layout.MESSAGE_PREFIX.unpack(
                prefix
            )
            steady_ns = offset_ns - log_time
            if steady_ns < 0:
                log_time = steady_ns
            yield channel_id, (log_time, publish_time, sequence, data, 0)

    def batches(self) -> dict[int, list[QueuedRecord]]:
        """Return the same by channel id."""
        batches: dict[int, list[QueuedRecord]] = {number: [] for number in self.indexes}
        for number, record in self.contents():
            batches[number].append(record)
        return batches

    def remove_invalid(self) -> dict[int, int]:
        """
        Remove records whose data are not bytes-like; return how many of each channel id.

        Of the others, all data are bytes afterwards.
        """
        removed = dict.fromkeys(self.indexes, 0)
        fresh = Chunk(self.clock)
        for channel_id, record in self.contents():
            data = as_bytes(record[3])
            if data is not None:
                sound = (*record[:3], data, 0)
                room = len(data) + RECORD_COST
                fresh.add(channel_id, [sound], 0, room=room, full_size=fresh.size + 1)
            else:
                removed[channel_id] += 1
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))
        return {channel_id: records for channel_id, records in removed.items() if records}

    def buffers(self) -> list[bytes]:
        """
        Return the records in few pieces: small ones joined, large ones as they are.

        Raises:
            Exception: Data of a record are not bytes, or not of the length that they have said;
                see `remove_invalid`.

        """
        pieces = self._pieces()
        if sum(map(len, pieces)) != self.size:
            raise TypeError
        return pieces

    def _pieces(self) -> list[bytes]:
        if not self._has_large:
            return [b''.join(self._parts)]
        result: list[bytes] = []
        small: list[bytes] = []
        for part in self._parts:
            if len(part) < _LARGE_BYTES:
                small.append(part)
            else:
                whole = part if type(part) is bytes else bytes(memoryview(part))
                result += (b''.join(small), whole)
                small = []
        if small:
            result.append(b''.join(small))
        return result

    def time_range(self) -> tuple[int, int]:
        """Return the earliest and the latest log time, in nanoseconds."""
        times = [index[::2] for index in self.indexes.values()]
        return min(map(min, times)), max(map(max, times))

    def message_indexes(self) -> tuple[list[bytes], dict[int, int]]:
        """
        Encode the message index records.

        Returns:
            The records, as pieces, and for each channel id the offset of its record in them.

        """
        pieces: list[bytes] = []
        offsets: dict[int, int] = {}
        offset = 0
        for channel_id, index in self.indexes.items():
            numbers = array('Q', index)
            if sys.byteorder == 'big':
                numbers.byteswap()
            entries = numbers.tobytes()
            prefix = encode.message_index_prefix(channel_id, len(index) // 2)
            pieces += (prefix, entries)
            offsets[channel_id] = offset
            offset += len(prefix) + len(entries)
        return pieces, offsets

    def encode(
        self, crc: Callable[[list[bytes]], int], compress: Compressor | None, compression: str
    ) -> EncodedChunk:
        """
        Encode it, for a file.

        Args:
            crc: Computes the CRC-32 of the records.
            compress: Compresses them; they stay as they are where that saves nothing.
            compression: The name of that.

        """
        pieces, stored_size, size = self.buffers(), self.size, self.size
        checksum = crc(pieces)
        squeezed = compress(b''.join(pieces)) if compress is not None else None
        if squeezed is not None and len(squeezed) < size:
            pieces, stored_size = [squeezed], len(squeezed)
        else:
            compression = ''
        start, end = self.time_range()
        prefix = encode.chunk_prefix(
            start_time=start,
            end_time=end,
            uncompressed_size=size,
            uncompressed_crc=checksum,
            compression=compression,
            compressed_size=stored_size,
        )
        indexes, offsets = self.message_indexes()
        return EncodedChunk(
            prefix=prefix,
            pieces=pieces,
            tail=b''.join(indexes),
            stored_size=stored_size,
            size=size,
            compression=compression,
            crc=checksum,
            span=(start, end),
            offsets=offsets,
        )


class EncodedChunk(NamedTuple):
    """
    A chunk as it lies in a file.

    Attributes:
        prefix: What precedes its records.
        pieces: Its records.
        tail: The message indexes, which follow it.
        stored_size: Size of the pieces.
        size: That of the records uncompressed.
        compression: How they are compressed.
        crc: CRC-32 of the uncompressed records.
        span: Earliest and latest log time.
        offsets: For each channel id, the offset of its message index in the tail.

    """

    prefix: bytes
    pieces: list[bytes]
    tail: bytes
    stored_size: int
    size: int
    compression: str
    crc: int
    span: tuple[int, int]
    offsets: Mapping[int, int]

    def index_record(self, offset: int) -> bytes:
        """Encode its record for the summary, given where it lies in the file."""
        length = len(self.prefix) + self.stored_size
        behind = offset + length
        return encode.chunk_index(
            start_time=self.span[0],
            end_time=self.span[1],
            chunk_offset=offset,
            chunk_length=length,
            message_index_offsets={
                channel_id: behind + place for channel_id, place in self.offsets.items()
            },
            message_index_length=len(self.tail),
            compression=self.compression,
            compressed_size=self.stored_size,
            uncompressed_size=self.size,
        )


def chunk_cost(compression: str) -> int:
    """Return what a chunk costs in the file beside `CHANNEL_COST` and `RECORD_COST`."""
    return encode.chunk_prefix_length(compression) + encode.chunk_index_length(compression, 0)


def as_bytes(data: object) -> bytes | None:
    """Return data that a producer has given as bytes; None if they are not bytes-like."""
    if type(data) is bytes:
        return data
    try:
        return bytes(memoryview(data))  # type: ignore[arg-type]
    except BaseException:  # whatever foreign objects raise
        return None


def sound_record(record: QueuedRecord) -> QueuedRecord:
    """
    Return a record that can be encoded: itself, or with plain integers and bytes.

    Raises:
        RecordError: It cannot be encoded.

    """
    log_time, publish_time, sequence, data, total = record
    sound_data = as_bytes(data)
    if sound_data is None:
        raise RecordError(f'the data are of type {type(data).__name__}, not bytes')
    try:
        numbers = log_time, publish_time, sequence = (
            int(operator.index(log_time)),
            int(operator.index(publish_time)),
            int(operator.index(sequence)),
        )
        _PACK_PREFIX(
            layout.MESSAGE, len(sound_data), 0, sequence & 0xFFFFFFFF, abs(log_time),
            abs(publish_time),
        )
    except BaseException:  # whatever operators of foreign objects raise
        raise RecordError(
            f'log time {_shown(record[0])}, publish time {_shown(record[1])} or sequence number '
            f'{_shown(record[2])} is invalid'
        ) from None
    sound = (*numbers, sound_data, total)
    is_same = all(type(value) is type(other) for value, other in zip(sound, record, strict=True))
    return record if is_same else sound


def _shown(value: object) -> str:
    try:
        return f'{value!r:.40}'
    except BaseException:  # whatever foreign objects raise
        return f'<{type(value).__name__}>'
