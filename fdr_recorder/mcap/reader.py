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
Reads one segment front to back, however it ends.

The file is taken as it comes: nothing in it is believed before it is checked against the size of
the file, and against limits that bound the memory of the reader. What a power cut or a bad disk
left of a segment is read chunk by whole chunk. Between them there may be gaps: bytes that cannot
be read, which the reader steps over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decoder import (
    Decoder,
    FileChannel,
    LOST_TOPIC_PREFIX,
    Message,
    WholeChunk,
)
from fdr_recorder.mcap.gaps import Gap, possible_records
from fdr_recorder.mcap.records import (
    DATA_OPCODES,
    MAX_RECORD_BYTES,
    RawRecord,
    RecordReader,
)
from fdr_recorder.mcap.schema import Schema

__all__ = [
    'LOST_TOPIC_PREFIX',
    'FileChannel',
    'Gap',
    'Message',
    'RawRecord',
    'SegmentReader',
    'WholeChunk',
]

_UNUSED_OPCODES: Final = DATA_OPCODES - {
    layout.HEADER,
    layout.SCHEMA,
    layout.CHANNEL,
    layout.CHUNK,
    layout.MESSAGE_INDEX,
    layout.METADATA,
    layout.DATA_END,
}
_READABLE_OPCODES: Final = frozenset(
    (layout.SCHEMA, layout.CHANNEL, layout.CHUNK, layout.DATA_END)
)

_LONGEST_WAIT_NS: Final = 60_000_000_000
"""For so long a record may have waited when its segment was begun. What is older, and was found by
searching, may be none of this segment: a file system may show what was there before."""
_PATIENCE_FACTOR: Final = 4
_PATIENCE_BYTES: Final = 1 << 20
"""So many times the file's size, and so much more, may be read to find whole records again."""
_TRIAL_BYTES: Final = 1024
_STEP_BYTES: Final = 64
"""What trying one place, or going on by one record, costs besides."""


def without_frames(error: SegmentError) -> SegmentError:
    """Return an error that can be kept: it does not hold on to the chunk in which it came up."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


class SegmentReader(RecordReader):
    """
    The messages of one segment, in file order.

    Memory is bounded by the largest chunk; the file is read once, front to back.

    Attributes:
        gaps: What could not be read so far, and had whole records behind it.
        damage: What is wrong with the file first of all, once `messages` has come to an end; None
            if nothing.
        tear: Why nothing is whole from `whole_bytes` on, likewise; None for a sealed segment.

    Example:
        >>> with SegmentReader(path) as reader:
        ...     for message in reader.messages():
        ...         print(message.channel.topic, message.log_time_ns)
        ...     print(reader.damage or 'all well')

    """

    def __init__(self, path: Path | str, *, started_ns: int = 0) -> None:
        """
        Open the file.

        Args:
            path: Where it is.
            started_ns: When the flight began (system clock), if that is known.

        Raises:
            OSError: It cannot be opened.
            SegmentError: It is no regular file (a link is not followed).

        """
        super().__init__(path)
        self.gaps: list[Gap] = []
        self.damage: SegmentError | None = None
        self.tear: SegmentError | None = None
        self._decoder = Decoder(self.path, self.gaps)
        self._begun_ns = started_ns
        self._last_ns = 0
        self._patience = _PATIENCE_FACTOR * self.size + _PATIENCE_BYTES

    def __enter__(self) -> SegmentReader:
        """Return itself: the file is open."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def messages(self) -> Iterator[Message]:
        """
        Yield every message that lies in a whole chunk, then set `damage` and `tear`.

        Nothing that is in the file makes it raise.
        """
        try:
            for part in self.parts():
                if isinstance(part, WholeChunk):
                    for message, _ in part.messages:
                        yield message
        except SegmentError as error:
            self.tear = without_frames(error)
        errors = [gap.error for gap in self.gaps if gap.error is not None]
        self.damage = errors[0] if errors else self.tear

    # --- the data section ----------------------------------------------------------------

    def parts(self) -> Iterator[RawRecord | WholeChunk | Gap]:
        """
        Yield the data section piece by piece; `whole_bytes` is the end of the last one.

        Schemas, channels and metadata have been taken in when they are yielded, and gaps are in
        `gaps`.

        Raises:
            SegmentError: Nothing is whole from there on.

        """
        self.whole_bytes, self.is_sealed = 0, False
        while True:
            part: RawRecord | WholeChunk | Gap
            try:
                if not self.whole_bytes:
                    self.check_magic()
                part = self._part_at(self.whole_bytes)
            except SegmentError as error:
                part = self._find_gap(self.whole_bytes, without_frames(error))
            if isinstance(part, Gap):
                part.first_ns = self._last_ns
                self.gaps.append(part)
            elif isinstance(part, WholeChunk):
                self._note_time(part)
            elif part.opcode == layout.DATA_END:
                self.is_sealed = True
                return
            yield part
            self.whole_bytes = part.end

    def _note_time(self, chunk: WholeChunk) -> None:
        times = [message.log_time_ns for message, _ in chunk.messages]
        if not self._last_ns:
            self._begun_ns = max(self._begun_ns, times[0])
        self._last_ns = max(times)
        for gap in reversed(self.gaps):
            if gap.last_ns:
                break
            gap.last_ns = min(times)

    def _part_at(self, offset: int) -> RawRecord | WholeChunk | Gap:
        """Read what begins at an offset; raise `SegmentError` if it is not whole."""
        record = self.data_record_at(offset)
        if record.opcode == layout.CHUNK:
            return self._decoder.whole_chunk(record)
        if record.opcode == layout.UNREADABLE:
            return Gap(offset, record.end, None)
        if record.opcode in _UNUSED_OPCODES:
            what = f'the recorder writes no record {record.opcode}'
            raise SegmentError(self.path, offset, what)
        self.describe(record)
        return record

    # --- gaps ----------------------------------------------------------------------------

    def _find_gap(self, offset: int, error: SegmentError) -> Gap:
        """Find where whole records begin again; raise the error if they do not."""
        stop = min(offset + MAX_RECORD_BYTES, self.size)
        for end in self._next_records(offset, stop):  # its length may be right
            gap = Gap(offset, end, error)
            if gap.take() and self._is_sound_behind(gap):
                return gap
        start = offset + layout.RECORD_PREFIX.size
        is_old = False
        for end in possible_records(self.read, start, stop):
            gap = Gap(offset, end, error)
            if self._is_sound_behind(gap):
                if not gap.last_ns or gap.last_ns >= self._begun_ns - _LONGEST_WAIT_NS:
                    return gap
                is_old = True
            if self._patience < 0:
                break
        if is_old and stop == self.size:  # not to be read, and not to be cut off either
            return Gap(offset, stop, error)
        raise error

    def _next_records(self, offset: int, stop: int) -> Iterator[int]:
        """Yield where records that data can be read from begin, going by the lengths of all."""
        start = offset
        while self._patience >= 0 and offset < stop:
            try:
                opcode, length = self._prefix(offset)
            except SegmentError:
                return
            if opcode not in DATA_OPCODES:
                return
            if offset > start and opcode in _READABLE_OPCODES:
                yield offset
            offset += layout.RECORD_PREFIX.size + length
            self._patience -= _STEP_BYTES

    def _prefix(self, offset: int) -> tuple[int, int]:
        opcode, length = layout.RECORD_PREFIX.unpack(self.read(offset, layout.RECORD_PREFIX.size))
        return opcode, length

    def _is_sound_behind(self, gap: Gap) -> bool:
        """
        Tell whether descriptions, if any, and then a whole chunk or the data end follow.

        The gap then knows the chunk's earliest log time.
        """
        offset = gap.end
        self.gaps.append(gap)  # what is lost may have been in it
        with self._decoder.on_trial():
            try:
                while True:
                    length = self._prefix(offset)[1]
                    can_be_read = length <= self.size - offset
                    self._patience -= _TRIAL_BYTES + (length if can_be_read else 0)
                    part = self._part_at(offset)
                    if isinstance(part, WholeChunk):
                        gap.last_ns = min(message.log_time_ns for message, _ in part.messages)
                        return True
                    if isinstance(part, Gap) or part.opcode not in _READABLE_OPCODES:
                        return False
                    if part.opcode == layout.DATA_END:
                        return True
                    offset = part.end
            except SegmentError:
                return False
            finally:
                self.gaps.pop()

    # --- what records say ----------------------------------------------------------------

    @property
    def metadata(self) -> dict[str, Mapping[str, str]]:
        """Return the metadata records by name, as far as they have been read."""
        return self._decoder.metadata

    @property
    def schemas(self) -> dict[int, Schema]:
        """Return the schemas by number, as far as they have been read."""
        return self._decoder.schemas

    @property
    def channels(self) -> dict[int, FileChannel]:
        """Return the channels by number, as far as they have been read."""
        return self._decoder.channels

    def describe(self, record: RawRecord) -> None:
        """Take in a schema, a channel or metadata; raise `SegmentError` if it makes no sense."""
        self._decoder.describe(record)

    def whole_chunk(self, chunk: RawRecord) -> WholeChunk:
        """
        Read the messages of a chunk.

        Raises:
            SegmentError: Its CRC is wrong, or what is in it makes no sense.

        """
        return self._decoder.whole_chunk(chunk)

    def chunk_records(self, chunk: RawRecord) -> memoryview:
        """Return the records in a chunk, uncompressed; as `whole_chunk`."""
        return self._decoder.chunk_records(chunk)
