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
Reads one segment, however it ends.

The file is taken as it comes: nothing in it is believed before it is checked against the size of
the file, and against limits that bound the memory of the reader. What a power cut or a bad disk
left of a segment is read chunk by whole chunk. Between them there may be gaps: bytes that cannot
be read, which the reader steps over.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
import sys
from typing import ClassVar, Final, TypeAlias

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import Decoder, KnownSchema, Message, WholeChunk
from fdr_recorder.mcap.gaps import Gap, possible_records
from fdr_recorder.mcap.record_file import (
    DATA_OPCODES,
    MAX_RECORD_BYTES,
    RawRecord,
    RecordFile,
    RecordPlace,
)
from fdr_recorder.mcap.summary import read_summary, Summary
from fdr_recorder.mcap.walk import indexed_chunks, IndexedChunk, walk

_READABLE_OPCODES: Final = frozenset(
    (layout.SCHEMA, layout.CHANNEL, layout.CHUNK, layout.DATA_END)
)
_USED_OPCODES: Final = _READABLE_OPCODES | {layout.HEADER, layout.MESSAGE_INDEX, layout.METADATA}

Part: TypeAlias = 'RawRecord | RecordPlace | WholeChunk | Gap'
"""What follows each other in a data section. A `RecordPlace` is a record that is passed over; the
recorder writes none."""

IsSteady = Callable[[Mapping[str, Mapping[str, str]]], bool]
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


class SegmentReader(RecordFile):
    """
    One segment, open for reading.

    Memory is bounded by the largest chunk. `messages` and `parts` read all of the file once, front
    to back; `chunks` reads what the message indexes say first.

    Attributes:
        metadata: The metadata records by name, as far as they have been read.
        schemas: The schemas by number, likewise.
        channels: The channels by number, likewise.
        decoder: Takes in the descriptions, and reads chunks by them.
        gaps: What could not be read so far, and had whole records behind it.
        tear: Why nothing is whole from `whole_bytes` on, once the file has been read; None for a
            segment that is closed.
        whole_bytes: Where the last whole record that `parts` has read ends.
        is_closed: Whether `parts` has reached summary, footer and the last magic.

    """

    READABLE_OPCODES: ClassVar = _READABLE_OPCODES
    """Of records that data can be read from again behind a gap."""

    def __init__(
        self,
        path: Path | str,
        *,
        started_ns: int = 0,
        known_schema: KnownSchema = lambda _topic, _metadata: None,
        is_steady: IsSteady = lambda _metadata: False,
    ) -> None:
        """
        Open the file as `RecordFile` does.

        Args:
            path: Where it is.
            started_ns: When the recording began (system clock), if that is known.
            known_schema: Asked for a schema whose record is lost in a gap.
            is_steady: Asked, with the metadata, whether no log time follows a clock that is set.

        """
        super().__init__(path)
        self.gaps: list[Gap] = []
        self.tear: SegmentError | None = None
        self.whole_bytes = 0
        self.is_closed = False
        self.decoder = self._new_decoder(known_schema)
        self.metadata = self.decoder.metadata
        self.schemas = self.decoder.schemas
        self.channels = self.decoder.channels
        self._begun_ns = started_ns
        self._is_steady = is_steady
        self._last_ns = 0
        self._patience = _PATIENCE_FACTOR * self.size + _PATIENCE_BYTES

    def _new_decoder(self, known_schema: KnownSchema) -> Decoder:
        return Decoder(self.path, self.gaps, known_schema)

    def __enter__(self) -> SegmentReader:
        """Return itself: the file is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    @property
    def errors(self) -> list[SegmentError]:
        """List what was wrong with what has been read: each gap, then the tear."""
        errors = [gap.error for gap in self.gaps] + [self.tear]
        return [error for error in errors if error is not None]

    def messages(self) -> Iterator[Message]:
        """Yield every message that lies in a whole chunk, in file order; see `whole_chunks`."""
        for chunk in self.whole_chunks():
            for message, _ in chunk.messages:
                yield message

    def whole_chunks(self) -> Iterator[WholeChunk]:
        """
        Yield every whole chunk; `errors` are complete then.

        Nothing that is in the file makes it raise.
        """
        try:
            for part in self.parts():
                if isinstance(part, WholeChunk):
                    yield part
        except SegmentError as error:
            self.tear = without_frames(error)

    def chunks(self) -> Iterator[IndexedChunk | WholeChunk]:
        """
        Yield every chunk; those of a finished segment without reading them.

        Schemas and channels are known by then. Otherwise as `whole_chunks`.
        """
        done = 0
        if self.ends_with_magic:
            try:
                for chunk in indexed_chunks(self, self.decoder):
                    yield chunk
                    done = chunk.end
            except SegmentError:
                pass  # what is there can be found only by reading all of it
            else:
                return
        for whole in self.whole_chunks():
            if whole.end > done:
                yield whole

    def summary(self) -> Summary:
        """Read the summary; raise `SegmentError` if there is none, or it is wrong."""
        return read_summary(self)

    # --- what lies at an offset ----------------------------------------------------------

    def records_of(self, chunk: IndexedChunk) -> memoryview:
        """Read the uncompressed records of a chunk; raise `SegmentError` if it is not whole."""
        return self.decoder.chunk_records(self.record_at(chunk.offset))

    def chunk_at(self, offset: int) -> WholeChunk:
        """Read the chunk that begins at an offset; raise `SegmentError` if it is not whole."""
        return self.decoder.chunk(self.record_at(offset))

    def index_at(self, offset: int) -> array[int]:
        """
        Read the message index at an offset: log time and offset in the chunk, in turn.

        Raise `SegmentError` if it is not whole.
        """
        first = layout.MESSAGE_INDEX_PREFIX.size - layout.RECORD_PREFIX.size
        content = self.record_at(offset).content[first:]
        entry = layout.MESSAGE_INDEX_ENTRY_LENGTH
        entries = array('Q')
        entries.frombytes(content[: len(content) // entry * entry])
        if sys.byteorder == 'big':
            entries.byteswap()
        return entries

    # --- the data section ----------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """
        Yield the data section piece by piece; `whole_bytes` is the end of the last one.

        Schemas, channels, metadata and gaps have been taken in when they are yielded. Raise
        `SegmentError` where nothing is whole any more.
        """
        self.whole_bytes, self.is_closed = 0, False
        for part in walk(self._part_or_gap_at, 0):
            if isinstance(part, Gap):
                part.first_ns = self._last_ns
                self.gaps.append(part)
            elif isinstance(part, WholeChunk):
                self._note_time(part)
            elif part.opcode in (layout.DATA_END, layout.FOOTER):
                self.is_closed = True
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

    def _part_or_gap_at(self, offset: int) -> Part:
        """Read what begins at an offset, and a gap if that cannot be read."""
        try:
            if not offset:
                self.check_magic()
                self.whole_bytes = offset = len(layout.MAGIC)
            return self._part_at(offset)
        except SegmentError as error:
            return self._find_gap(offset, without_frames(error))

    def _part_at(self, offset: int) -> Part:
        """Read what begins at an offset; raise `SegmentError` if it is not whole."""
        record = self.data_record_at(offset)
        if record.opcode == layout.CHUNK:
            return self.decoder.chunk(record)
        if record.opcode == layout.UNREADABLE:
            return Gap(offset, record.end, None)
        if record.opcode not in _USED_OPCODES:
            raise SegmentError(self.path, offset, f'the recorder writes no record {record.opcode}')
        self.decoder.describe(record)
        return record

    # --- gaps ----------------------------------------------------------------------------

    def _find_gap(self, offset: int, error: SegmentError) -> Gap:
        """Find where whole records begin again; raise the error if they do not."""
        stop = min(offset + MAX_RECORD_BYTES, self.size)
        is_old = False
        for end in self._next_records(offset, stop):  # its length may be right
            gap = Gap(offset, end, error)
            if gap.take() and self._is_sound_behind(gap):
                if not (self._is_old(gap) and self._is_steady(self.metadata)):
                    return gap
                is_old = True
        start = offset + layout.RECORD_PREFIX.size
        for end in possible_records(self.read, start, stop):
            gap = Gap(offset, end, error)
            if self._is_sound_behind(gap):
                if not self._is_old(gap):
                    return gap
                is_old = True
            if self._patience < 0:
                break
        if is_old and stop == self.size:  # not to be read, and not to be cut off either
            return Gap(offset, stop, error)
        raise error

    def _is_old(self, gap: Gap) -> bool:
        """Tell whether what follows a gap is older than what may be in this segment."""
        return bool(gap.last_ns) and gap.last_ns < self._begun_ns - _LONGEST_WAIT_NS

    def _next_records(self, offset: int, stop: int) -> Iterator[int]:
        """Yield where records that data can be read from begin, going by the lengths of all."""
        with suppress(SegmentError):
            for place in walk(self.place_at, offset):
                if place.offset >= stop or self._patience < 0 or place.opcode not in DATA_OPCODES:
                    return
                if place.offset > offset and place.opcode in self.READABLE_OPCODES:
                    yield place.offset
                self._patience -= _STEP_BYTES

    def _is_sound_behind(self, gap: Gap) -> bool:
        """
        Tell whether descriptions, if any, and then a whole chunk or the data end follow.

        The gap then knows the chunk's earliest log time.
        """
        self.gaps.append(gap)  # what is lost may have been in it
        with self.decoder.on_trial():
            try:
                for part in walk(self._try_part_at, gap.end):
                    if isinstance(part, WholeChunk):
                        gap.last_ns = min(message.log_time_ns for message, _ in part.messages)
                        return True
                    if isinstance(part, Gap) or part.opcode not in self.READABLE_OPCODES:
                        return False
                    if part.opcode == layout.DATA_END:
                        return True
            except SegmentError:
                pass
            finally:
                self.gaps.pop()
        return False

    def _try_part_at(self, offset: int) -> Part:
        """Read what begins at an offset; count what that costs."""
        length = self.place_at(offset).length
        can_be_read = length <= self.size - offset
        self._patience -= _TRIAL_BYTES + (length if can_be_read else 0)
        return self._part_at(offset)
