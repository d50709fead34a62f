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
What the records of a segment say: schemas, channels, messages.

A schema or channel record can be lost in a gap (`Gap`), while messages that need it are whole. A
substitute takes its place then: what the program wrote, where the caller of the reader knows that,
or a name that says that the description is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.compression import decompress
from fdr_recorder.mcap.fields import Fields
from fdr_recorder.mcap.gaps import Gap
from fdr_recorder.mcap.record_file import MAX_RECORD_BYTES, RawRecord
from fdr_recorder.mcap.schema import Schema

LOST_TOPIC_PREFIX: Final = '/unknown_'
"""Of channels whose description is lost; their number in the segment follows."""

_LOST_ID: Final = 0xFE00
"""The schema of channels whose description is lost; the recorder counts from 1, and not so far."""

_MAX_ID: Final = 0xFF00
"""Of a schema or channel; the numbers above it are for substitutes."""

_MANY_MESSAGES: Final = 2_000_000
_STORED_BYTES: Final = 8
"""Of chunks with many messages: each takes more, even compressed, as its time and number differ.
Some kilobytes could be uncompressed to tens of millions of messages, and fill the memory."""

KnownSchema = Callable[[str, Mapping[str, Mapping[str, str]]], Schema | None]
"""Takes a topic and the metadata records by name; returns the topic's schema, if it is known
without the schema record."""


@dataclass(frozen=True, eq=False)
class FileChannel:
    """
    A channel, by its record in a segment.

    Attributes:
        id: Its number in this segment.
        topic: Name of the topic.
        schema_id: Number of the schema in this segment.
        schema: Name and definition of the type; empty if the segment has none for it.
        message_encoding: For example `cdr`.
        metadata: The key-value pairs of the channel record.

    """

    id: int
    topic: str
    schema_id: int
    schema: Schema
    message_encoding: str
    metadata: Mapping[str, str]


class Message(NamedTuple):
    """
    A message of a segment.

    Attributes:
        channel: Its channel.
        sequence: The publisher's sequence number, low 32 bits.
        log_time_ns: When it was received (system clock).
        publish_time_ns: When it was published (clock of the publisher).
        data: The serialised message.

    """

    channel: FileChannel
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: bytes


class WholeChunk(NamedTuple):
    """
    Messages that were read together: those of a chunk whose CRC is right.

    Other programs also write messages without chunks; of these some that follow each other.

    Attributes:
        offset: Where it begins in the file.
        end: Where the next record begins.
        messages: At least one, each with its offset in the uncompressed records.
        record: The record of the chunk; None where there is no chunk.

    """

    offset: int
    end: int
    messages: list[tuple[Message, int]]
    record: RawRecord | None = None


class Decoder:
    """
    Takes in the descriptions in a segment, record by record, and reads its chunks by them.

    It has the metadata records by name, schemas and channels by number.
    """

    NEEDS_CRC = True
    """The recorder never leaves out the CRC of a chunk, but a torn page might."""

    def __init__(
        self,
        path: Path,
        gaps: Sequence[Gap] = (),
        known_schema: KnownSchema = lambda _topic, _metadata: None,
    ) -> None:
        """Begin with nothing; `path` is for error messages, the list of gaps may grow."""
        self.metadata: dict[str, Mapping[str, str]] = {}
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, FileChannel] = {}
        self._path = path
        self._gaps = gaps
        self._known_schema = known_schema

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Forget afterwards what was taken in meanwhile."""
        schemas, channels = dict(self.schemas), dict(self.channels)
        fills = [(gap, len(gap.fill)) for gap in self._gaps]
        try:
            yield
        finally:
            self.forget()
            self.schemas.update(schemas)
            self.channels.update(channels)
            for gap, length in fills:
                del gap.fill[length:]

    def forget(self) -> None:
        """Forget all schemas and channels."""
        self.schemas.clear()
        self.channels.clear()

    def fields(self, record: RawRecord) -> Fields:
        """Return the fields of a record, to be taken apart."""
        return Fields(record.content, self._path, record.offset)

    # --- descriptions --------------------------------------------------------------------

    def describe(self, record: RawRecord) -> None:
        """Take in a schema, a channel or metadata; of a message index check the length alone."""
        opcode = record.opcode
        fields = self.fields(record)
        if opcode == layout.SCHEMA:
            schema_id = self._number(fields, record)
            name, encoding = fields.string(), fields.string()
            schema = Schema(name, fields.definition(encoding), encoding)
            fields.check_end()
            if self.schemas.setdefault(schema_id, schema) != schema:
                self.object_to(record.offset, f'a second schema {schema_id}')
        elif opcode == layout.CHANNEL:
            channel_id, schema_id = self._number(fields, record), self._number(fields, record)
            topic, encoding = fields.string(), fields.string()
            metadata = fields.string_map()
            fields.check_end()
            schema = self._schema(schema_id, record.offset, topic)
            channel = FileChannel(channel_id, topic, schema_id, schema, encoding, metadata)
            known = self.channels.setdefault(channel_id, channel)
            if (known.topic, known.schema_id) != (topic, schema_id):
                self.object_to(record.offset, f'a second channel {channel_id}')
        elif opcode == layout.METADATA:
            name, values = fields.string(), fields.string_map()
            fields.check_end()
            self.metadata[name] = values
        elif opcode == layout.MESSAGE_INDEX:
            fields.u16()
            fields.bytes(fields.u32())
            fields.check_end()

    def object_to(self, offset: int, what: str) -> None:
        """Say what is wrong with a record: raise `SegmentError`."""
        raise SegmentError(self._path, offset, what)

    def _number(self, fields: Fields, record: RawRecord) -> int:
        """Take the number of a schema or channel."""
        number = fields.u16()
        if number > _MAX_ID:
            what = f'the recorder numbers no schema or channel {number}'
            raise SegmentError(self._path, record.offset, what)
        return number

    def _schema(self, schema_id: int, offset: int, topic: str = '') -> Schema:
        """Return a schema, or a substitute for it if it is lost."""
        if schema_id not in self.schemas:
            schema = self._known_schema(topic, self.metadata)
            schema = schema or Schema(f'unknown/msg/Type{schema_id}', '', '')
            lost = encode.schema(schema_id, schema.name, schema.encoding, schema.data)
            self._put_in_gap(lost, offset, f'a channel of unknown schema {schema_id}')
            self.schemas[schema_id] = schema
        return self.schemas[schema_id]

    def _lost_channel(self, channel_id: int, offset: int) -> FileChannel:
        """Return a substitute for a channel whose description is lost."""
        what = f'a message of unknown channel {channel_id}'
        if channel_id >= _LOST_ID:
            raise SegmentError(self._path, offset, what)
        schema = self._schema(_LOST_ID, offset)
        topic = f'{LOST_TOPIC_PREFIX}{channel_id}'
        lost = encode.channel(channel_id, _LOST_ID, topic, layout.CDR, {})
        self._put_in_gap(lost, offset, what)
        channel = FileChannel(channel_id, topic, _LOST_ID, schema, layout.CDR, {})
        return self.channels.setdefault(channel_id, channel)

    def _put_in_gap(self, lost: bytes, offset: int, what: str) -> None:
        """Put the substitute for a lost description where that may have been: in a gap."""
        if not any(gap.take(lost) for gap in self._gaps):  # there is no room: it was never there
            raise SegmentError(self._path, offset, what)

    # --- chunks --------------------------------------------------------------------------

    def chunk(self, record: RawRecord) -> WholeChunk:
        """Read the messages of a chunk; raise `SegmentError` if anything in it is wrong."""
        offset = record.offset
        records = self.chunk_records(record)
        messages = []
        position = 0
        # a message takes 1.2 us in this loop; 3 us with a call for each, and with slices of a view
        data, size = bytes(records), len(records)
        unpack, prefix = layout.MESSAGE_PREFIX.unpack_from, layout.MESSAGE_PREFIX.size
        channels, make, shape = self.channels, tuple.__new__, Message
        for _ in range(max(_MANY_MESSAGES, len(record.content) // _STORED_BYTES) + 1):
            if position >= size:
                break
            if position + prefix > size:
                raise self._odd_record(records[position:], offset)
            opcode, length, channel_id, sequence, log_ns, published_ns = unpack(data, position)
            end = position + layout.RECORD_PREFIX.size + length
            if opcode != layout.MESSAGE or end > size or length < layout.MESSAGE_FIXED_LENGTH:
                raise self._odd_record(records[position:], offset)
            channel = channels.get(channel_id) or self._lost_channel(channel_id, offset)
            fields = channel, sequence, log_ns, published_ns, data[position + prefix:end]
            messages.append((make(shape, fields), position))
            position = end
        else:
            what = 'the chunk has more messages than can be compressed to so few bytes'
            raise SegmentError(self._path, offset, what)
        if not messages:
            raise SegmentError(self._path, offset, 'the chunk has no message')
        return WholeChunk(offset, record.end, messages, record)

    def chunk_records(self, record: RawRecord) -> memoryview:
        """Return the records in a chunk, uncompressed; raise as `chunk` does."""
        offset = record.offset
        fields = self.fields(record)
        _, _, size, crc = fields.unpack(layout.CHUNK_FIXED)
        compression = fields.string()
        stored = fields.bytes(fields.u64())
        fields.check_end('chunk')
        if size > MAX_RECORD_BYTES:
            raise SegmentError(self._path, offset, f'a chunk of {size} bytes is not believed')
        try:
            records = decompress(compression, stored, size)
        except ValueError as error:
            raise SegmentError(self._path, offset, str(error)) from error
        if len(records) != size:
            raise SegmentError(self._path, offset, 'the chunk is not of the size it claims')
        if (crc or self.NEEDS_CRC) and crc32([records]) != crc:
            raise SegmentError(self._path, offset, 'the CRC of the chunk is wrong')
        return records

    def _odd_record(self, rest: memoryview, offset: int) -> SegmentError:
        """Return what is wrong with the record at which the rest of a chunk begins."""
        what = 'the chunk ends within a record'
        if len(rest) >= layout.RECORD_PREFIX.size:
            opcode, length = layout.RECORD_PREFIX.unpack_from(rest)
            if length <= len(rest) - layout.RECORD_PREFIX.size:
                what = 'something is in the chunk beside messages'
                if opcode == layout.MESSAGE:
                    what = 'a message is too short'
        return SegmentError(self._path, offset, what)

    def _message(self, body: memoryview, offset: int) -> Message:
        if len(body) < layout.MESSAGE_FIXED_LENGTH:
            raise SegmentError(self._path, offset, 'a message is too short')
        channel_id, sequence, log_time_ns, publish_time_ns = layout.MESSAGE_FIXED.unpack_from(body)
        channel = self.channels.get(channel_id) or self._lost_channel(channel_id, offset)
        data = bytes(body[layout.MESSAGE_FIXED_LENGTH:])
        return Message(channel, sequence, log_time_ns, publish_time_ns, data)
