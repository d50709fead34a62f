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
Reads MCAP files that other programs wrote: whatever the specification allows.

There may be messages without chunks, schemas and channels in the chunks, chunks without CRC or
without message indexes, attachments, records of unknown kinds, and no summary. All of that is
damage in a segment, because the recorder does not write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import Decoder, FileChannel, KnownSchema, Message, WholeChunk
from fdr_recorder.mcap.fields import ForeignFields
from fdr_recorder.mcap.gaps import Gap
from fdr_recorder.mcap.reader import Part, SegmentReader, without_frames
from fdr_recorder.mcap.record_file import RawRecord, RecordPlace
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.mcap.summary import read_summary, Summary
from fdr_recorder.mcap.walk import IndexedChunk, walk
from fdr_recorder.units import plural

NO_SCHEMA: Final = Schema('', '', '')
"""Of a channel that has none: its number is 0."""
_OF_ROS: Final = (layout.ROS2MSG, layout.ROS2IDL)
_BATCH_BYTES: Final = 1 << 20
_MOST_FAULTS: Final = 20
_MOST_RECORDS: Final = 2_000_000
"""In a chunk; those that are taken in together then need less than a gibibyte."""
_DESCRIPTIONS: Final = frozenset((layout.SCHEMA, layout.CHANNEL))
_ENDS: Final = frozenset((layout.DATA_END, layout.FOOTER))

FindSchema = Callable[[str], Schema | None]
"""Returns the schema of a type by its full name, if it is known without the file."""


class ForeignDecoder(Decoder):
    """
    Takes in descriptions that another program wrote.

    Attributes:
        faults: What is wrong with records, and does not keep others from being read.

    """

    NEEDS_CRC = False

    def __init__(self, path: Path, find_schema: FindSchema) -> None:
        """Begin with nothing; `path` is for error messages, the other as of `ForeignReader`."""
        super().__init__(path)
        self._find_schema = find_schema
        self.faults: list[SegmentError] = []
        self._unknown: set[int] = set()

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Forget afterwards what was taken in meanwhile."""
        faults, unknown = list(self.faults), set(self._unknown)
        try:
            with super().on_trial():
                yield
        finally:
            self.faults[:] = faults
            self._unknown = unknown

    def fields(self, record: RawRecord) -> ForeignFields:
        """Return the fields of a record, to be taken apart."""
        return ForeignFields(record.content, self._path, record.offset)

    def object_to(self, offset: int, what: str) -> None:
        """Note what is wrong with a record; go on with what was there before."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(SegmentError(self._path, offset, what))

    def _number(self, fields: ForeignFields, record: RawRecord) -> int:  # type: ignore[override]
        return fields.u16()

    def _schema(self, schema_id: int, offset: int, topic: str = '') -> Schema:
        if schema_id and schema_id not in self.schemas:
            self.object_to(offset, f'{topic} has the unknown schema {schema_id}')
            self.schemas[schema_id] = NO_SCHEMA
        schema = self.schemas[schema_id] if schema_id else NO_SCHEMA
        if schema.definition or not schema.name:
            return schema
        if schema.encoding in _OF_ROS:  # a type without fields
            return replace(schema, definition='\n')
        return self._find_schema(schema.name) or schema

    def _lost_channel(self, channel_id: int, offset: int) -> FileChannel:
        raise SegmentError(self._path, offset, f'messages of the unknown channel {channel_id}')

    # --- messages ------------------------------------------------------------------------

    def chunk(self, record: RawRecord) -> WholeChunk:
        """Read the messages of a chunk, if any; raise `SegmentError` if its records are wrong."""
        records = self.chunk_records(record)
        messages, length = self.batch(records, record.offset, is_chunk=True)
        if length < len(records):
            raise SegmentError(self._path, record.offset, 'the chunk ends within a record')
        return WholeChunk(record.offset, record.end, messages, record)

    def batch(
        self, records: memoryview, offset: int, *, is_chunk: bool
    ) -> tuple[list[tuple[Message, int]], int]:
        """
        Read messages that follow each other, and the descriptions between them.

        Args:
            records: They begin with the first; the last may not be whole.
            offset: Where they, or the chunk that has them, lie in the file.
            is_chunk: Whether they are in a chunk: what is neither of the two is passed over then,
                and the end otherwise.

        Returns:
            The messages, each with its place, and how many bytes have been read.

        Raises:
            SegmentError: A record makes no sense, or there are more than anybody writes: some
                kilobytes may be uncompressed to hundreds of millions of bytes.

        """
        messages: list[tuple[Message, int]] = []
        position, prefix = 0, layout.RECORD_PREFIX
        for _ in range(_MOST_RECORDS):
            if position + prefix.size > len(records):
                return messages, position
            opcode, length = prefix.unpack_from(records, position)
            begin = position + prefix.size
            if length > len(records) - begin:
                return messages, position
            if opcode == layout.MESSAGE:
                message = self._known_message(records[begin:begin + length], offset)
                if message is not None:
                    messages.append((message, position))
            elif opcode in _DESCRIPTIONS:
                self.describe(RawRecord(opcode, offset, records[begin:begin + length]))
            elif not is_chunk:
                return messages, position
            elif not opcode:
                raise SegmentError(self._path, offset, 'no record begins with the byte 0')
            position = begin + length
        what = f'the chunk has more than {plural(_MOST_RECORDS, "record")}'
        raise SegmentError(self._path, offset, what)

    def _known_message(self, body: memoryview, offset: int) -> Message | None:
        """Return a message; None if its channel is unknown, which is noted once."""
        try:
            return self._message(body, offset)
        except SegmentError as error:
            if len(body) < layout.MESSAGE_FIXED_LENGTH:
                raise
            (channel_id,) = layout.U16.unpack_from(body)
            if channel_id not in self._unknown and len(self._unknown) < _MOST_FAULTS:
                self._unknown.add(channel_id)
                self.faults.append(without_frames(error))
            return None


class ForeignReader(SegmentReader):
    """An MCAP file that another program wrote, open for reading; see the module."""

    READABLE_OPCODES: ClassVar = SegmentReader.READABLE_OPCODES | {layout.MESSAGE}

    decoder: ForeignDecoder

    def __init__(
        self,
        path: Path | str,
        shown: Path | None = None,
        find_schema: FindSchema = lambda _name: None,
    ) -> None:
        """
        Open the file as `RecordFile` does.

        Args:
            path: The file.
            shown: Where the user has it, if that is somewhere else.
            find_schema: Asked for a type that the file does not define.

        """
        self._shown, self._find_schema = shown or Path(path), find_schema
        super().__init__(path)
        self.path = self._shown

    def _new_decoder(self, known_schema: KnownSchema) -> ForeignDecoder:
        return ForeignDecoder(self._shown, self._find_schema)

    @property
    def errors(self) -> list[SegmentError]:
        """List what was wrong with what has been read, once, though it was read twice."""
        errors = [*self.decoder.faults, *super().errors]
        return list({str(error): error for error in errors}.values())

    def summary(self) -> Summary:
        """Raise `SegmentError`: the summary may leave out messages, even chunks."""
        raise SegmentError(self.path, self.size, 'its chunks have to be looked for')

    def take_summary(self) -> Summary:
        """Read the summary; raise `SegmentError` if there is none, or it is wrong."""
        return read_summary(self, decoder=self.decoder)

    @property
    def has_summary(self) -> bool:
        """Whether the footer says that there is a summary."""
        if self.size < layout.ENDING_LENGTH or not self.ends_with_magic:
            return False
        place = self.size - layout.ENDING_LENGTH + layout.RECORD_PREFIX.size
        return any(self.read(place, layout.U64.size))

    # --- chunk by chunk ------------------------------------------------------------------

    def chunks(self) -> Iterator[IndexedChunk | WholeChunk]:
        """
        Yield every chunk; those with message indexes without reading them, by their earliest time.

        Others are read, and come first, in the order of the file.
        """
        yielded: set[int] = set()
        indexed: list[IndexedChunk] = []
        if self.ends_with_magic:
            try:
                for chunk in self._chunks_as_they_lie():
                    if isinstance(chunk, IndexedChunk):
                        indexed.append(chunk)
                    else:
                        yielded.add(chunk.offset)
                        yield chunk
            except SegmentError:
                pass  # what is there can be found only by reading all of it
            else:
                yield from sorted(indexed, key=attrgetter('start_ns'))
                return
        for whole in self.whole_chunks():
            if whole.offset not in yielded:
                yield whole

    def _chunks_as_they_lie(self) -> Iterator[IndexedChunk | WholeChunk]:
        """Yield the chunks of a finished file; raise `SegmentError` if a record is wrong."""
        with suppress(SegmentError):  # channels may be described within the chunks
            self.take_summary()
        chunk: IndexedChunk | None = None
        indexes: dict[int, int] = {}
        for part in walk(self._place_or_batch_at, len(layout.MAGIC)):
            if isinstance(part, RecordPlace) and part.opcode == layout.MESSAGE_INDEX:
                if chunk is not None:
                    number = self.read(part.content, layout.U16.size)
                    indexes[layout.U16.unpack(number)[0]] = part.offset
                continue
            if chunk is not None:
                yield from self._settled(chunk)
                chunk = None
            if isinstance(part, WholeChunk):
                yield part
            elif part.opcode == layout.CHUNK:
                fixed = self.read(part.content, layout.CHUNK_FIXED.size)
                start_ns, end_ns, size, _ = layout.CHUNK_FIXED.unpack(fixed)
                indexes = {}
                chunk = IndexedChunk(part.offset, part.end, start_ns, end_ns, size, indexes)
            elif part.opcode in _ENDS:
                return

    def _settled(self, chunk: IndexedChunk) -> Iterator[IndexedChunk | WholeChunk]:
        """Yield a chunk; read it if its message indexes do not tell what is in it."""
        if chunk.indexes and chunk.indexes.keys() <= self.channels.keys():
            yield chunk
        elif (whole := self.chunk_at(chunk.offset)).messages:
            yield whole

    def _place_or_batch_at(self, offset: int) -> RecordPlace | WholeChunk:
        place = self.place_at(offset)
        if place.opcode == layout.MESSAGE:
            return self._batch_at(place)
        if place.opcode in (layout.SCHEMA, layout.CHANNEL, layout.METADATA):
            self.decoder.describe(self.record_at(offset))
        return self._whole(place)

    def _whole(self, place: RecordPlace) -> RecordPlace:
        """Return the place of a record; raise `SegmentError` if it is none."""
        if not place.opcode:
            raise SegmentError(self.path, place.offset, 'no record begins with the byte 0')
        if place.end > self.size:
            raise SegmentError(self.path, place.offset, 'the file ends within a record')
        return place

    # --- front to back -------------------------------------------------------------------

    def _part_at(self, offset: int) -> Part:
        place = self.place_at(offset)
        if place.opcode == layout.CHUNK:
            if place.end > self.size and (begun := self._begun_chunk(place)) is not None:
                return begun
            chunk = self.decoder.chunk(self.record_at(offset))
            return chunk if chunk.messages else self._whole(place)
        if place.opcode in _ENDS and not self.ends_with_magic:
            raise SegmentError(self.path, self.size, 'the file ends without a footer')
        if place.opcode == layout.MESSAGE_INDEX:
            self.decoder.describe(self.record_at(offset))
        return self._place_or_batch_at(offset)

    def _begun_chunk(self, place: RecordPlace) -> RecordPlace | None:
        """
        Return what comes before the records of a chunk that the file ends in.

        They are read like records without chunk then. Return None where that cannot be: they are
        compressed, or the chunk is not of the size that it claims.
        """
        fixed = layout.CHUNK_FIXED.size + layout.U32.size + layout.U64.size
        if self.ends_with_magic or place.content + fixed > self.size:
            return None
        begin = self.read(place.content, fixed)
        size = layout.CHUNK_FIXED.unpack_from(begin)[2]
        name, stored = begin[layout.CHUNK_FIXED.size:-layout.U64.size], begin[-layout.U64.size:]
        if any(name) or stored != layout.U64.pack(size) or place.length != fixed + size:
            return None
        return RecordPlace(layout.CHUNK, place.content, fixed)

    def _batch_at(self, place: RecordPlace) -> WholeChunk | RecordPlace:
        """Read messages without chunk, from the first one on."""
        offset = place.offset
        block = self.read(offset, min(_BATCH_BYTES, self.size - offset))
        messages, length = self.decoder.batch(memoryview(block), offset, is_chunk=False)
        if not length:
            record = self.record_at(offset)
            length = record.end - offset
            raw = memoryview(self.read(offset, length))
            messages, _ = self.decoder.batch(raw, offset, is_chunk=False)
        if not messages:
            return RecordPlace(
                layout.MESSAGE, place.content, length - layout.RECORD_PREFIX.size
            )
        return WholeChunk(offset, offset + length, messages)

    def _is_old(self, gap: Gap) -> bool:
        """Say no: other programs put messages of any age behind each other."""
        return False
