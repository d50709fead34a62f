"""What a segment contains, found out without reading more of it than is needed.

A sealed segment says it in its summary; a torn one is read front to back, one chunk in memory at
a time. Either way the result is enough to go on writing at the end of the data section, and to
list the segment in `metadata.yaml`.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import yaml

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.fields import Fields
from fdr_recorder.flights.reader import own_record
from fdr_recorder.flights.segment_reader import FileChannel, Message, RawRecord, SegmentReader
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import OWN_TOPIC_PREFIX, FlightHeader, Payload
from fdr_recorder.storage import mcap
from fdr_recorder.storage.checksum import crc32
from fdr_recorder.storage.chunk import Chunk
from fdr_recorder.storage.segment import METADATA_NAME, ClosedSegment
from fdr_recorder.storage.segment_index import SegmentIndex

_HEADER_TOPIC: Final = FlightHeader.channel_topic()
_TIME_RANGE: Final = struct.Struct('<QQ')
_PUBLISHER_KEY: Final = 'publisher_gid'
_QOS_KEY: Final = 'offered_qos_profiles'
_MAX_QOS_BYTES: Final = 64 * 1024
_MAX_ID: Final = 0xFF00
"""Of a channel or schema; there must be numbers left for what recovery adds."""


@dataclass
class SegmentContents:
    """What is in a segment.

    Attributes:
        path: The file.
        index: Number of the segment in the flight.
        is_sealed: Whether summary and footer are there, and right.
        size: Size of the file.
        data_end: Where the last whole record of the data section ends.
        found: Schemas, channels and chunks.
        missing: Records that must follow at `data_end` before anything else.
        own_records: The recorder's own records, headers apart.
        header: The flight header; None if there is none.
        repeated: Repeated transient-local messages by channel.
        damage: What is wrong: why a torn segment ends, or a bad chunk in a sealed one.

    """

    path: Path
    index: int
    is_sealed: bool
    size: int
    data_end: int
    found: SegmentIndex
    missing: list[bytes] = field(default_factory=list)
    own_records: list[Payload] = field(default_factory=list)
    header: FlightHeader | None = None
    repeated: dict[Channel, int] = field(default_factory=dict)
    damage: SegmentError | None = None

    @property
    def records(self) -> int:
        """Records in it."""
        return self.found.records

    def closed(self) -> ClosedSegment:
        """Describe it as a closed segment."""
        return ClosedSegment(
            index=self.index,
            file_name=self.path.name,
            bytes=self.size,
            records=self.found.records,
            first_log_time_ns=self.found.first_log_time_ns,
            last_log_time_ns=self.found.last_log_time_ns,
            counts={
                _with_sound_qos(channel): count for channel, count in self.found.counts.items()
            },
        )


def _with_sound_qos(channel: Channel) -> Channel:
    """Return a channel whose QoS profiles can be copied into `metadata.yaml`."""
    text = channel.metadata.get(_QOS_KEY, '')
    if not text:
        return channel
    with suppress(yaml.YAMLError, TypeError, ValueError, RecursionError):
        if len(text) <= _MAX_QOS_BYTES and not any(sign in text for sign in '&*'):  # no aliases
            json.dumps(yaml.safe_load(text))
            return channel
    return replace(channel, metadata={**channel.metadata, _QOS_KEY: ''})


def read_contents(path: Path, index: int, *, was_synced: bool = True) -> SegmentContents:
    """Find out what a segment contains.

    Args:
        path: The file.
        index: Number of the segment in the flight.
        was_synced: Whether all of it was certainly forced to the disk, once it was sealed. If
            not, a power cut may have left its summary whole and a chunk before it torn: then all
            of it is read, and such a segment is not sealed.

    Raises:
        OSError: The file cannot be read.
        SegmentError: It is no segment: not even its beginning is whole.

    """
    with SegmentReader(path) as reader:
        try:
            contents = _SummaryReader(reader, index).read()
        except SegmentError:
            return _Scanner(reader, index).scan()
        if was_synced:
            return contents
        scanned = _Scanner(reader, index).scan()
        is_whole = reader.is_sealed and scanned.data_end == contents.data_end
        return contents if is_whole and not scanned.missing else scanned


class _Collector:
    """Gathers what both ways of reading have in common."""

    def __init__(self, reader: SegmentReader, index: int) -> None:
        self.reader = reader
        self.index = index
        self.channels: dict[int, Channel] = {}
        self.own_records: list[Payload] = []
        self.header: FlightHeader | None = None
        self.header_time_ns = -1
        self.repeated: dict[Channel, int] = {}
        self.damage: SegmentError | None = None

    def begin(self) -> SegmentIndex:
        """Read the records before the first schema; there must be our metadata among them."""
        offset = len(mcap.MAGIC)
        while True:
            record = self.reader.record_at(offset)
            if record.opcode == mcap.METADATA:
                self.reader.describe(record)
                if METADATA_NAME in self.reader.metadata:
                    length = record.end - offset
                    return SegmentIndex(mcap.metadata_index(offset, length, METADATA_NAME))
            elif record.opcode != mcap.HEADER:
                raise SegmentError(self.reader.path, offset, 'not a segment of this recorder')
            offset = record.end

    def add_channel(self, found: SegmentIndex, described: FileChannel) -> Channel:
        """Take in a channel, and its schema, as the file numbers them."""
        if max(described.id, described.schema_id) > _MAX_ID:
            raise SegmentError(self.reader.path, 0, 'channels are not numbered as by the recorder')
        metadata = dict(described.metadata)
        channel = Channel(
            described.topic,
            described.schema,
            publisher=metadata.pop(_PUBLISHER_KEY, ''),
            metadata=metadata,
            message_encoding=described.message_encoding,
        )
        self.channels[described.id] = channel
        found.add_schema(described.schema, described.schema_id)
        found.add_channel(channel, described.id, described.schema_id)
        return channel

    def note(self, message: Message) -> None:
        """Look at a message for what the flight's accounts need."""
        topic = message.channel.topic
        if topic == _HEADER_TOPIC and self.header_time_ns < 0:
            self.header_time_ns = message.log_time_ns
        if topic.startswith(OWN_TOPIC_PREFIX):
            try:
                payload = own_record(message)
            except RecordError:
                return
            if isinstance(payload, FlightHeader):
                self.header = payload
            elif payload is not None:
                self.own_records.append(payload)
        elif message.log_time_ns == self.header_time_ns:  # only repeats have the header's time
            channel = self.channels.get(message.channel.id)
            if channel is None:
                return
            self.repeated[channel] = self.repeated.get(channel, 0) + 1


class _SummaryReader(_Collector):
    """Reads the summary of a sealed segment, and the chunks with the recorder's own records."""

    def read(self) -> SegmentContents:
        reader = self.reader
        found = self.begin()
        summary_start = self._check_footer()
        chunks: list[tuple[RawRecord, int, frozenset[int]]] = []
        counts: dict[int, int] = {}
        for record in self._summary(summary_start):
            reader.describe(record)
            fields = Fields(record.content, reader.path, record.offset)
            if record.opcode == mcap.CHANNEL:
                self.add_channel(found, reader.channels[fields.u16()])
            elif record.opcode == mcap.CHUNK_INDEX:
                start, end, offset, _ = (fields.u64() for _ in range(4))
                content = fields.bytes(fields.u32())
                offsets = Fields(content, reader.path, record.offset)
                channels = set()
                while not offsets.is_at_end:
                    channels.add(offsets.u16())
                    offsets.u64()
                raw = mcap.record(record.opcode, bytes(record.content))
                found.add_chunk(raw, start, end)
                chunks.append((record, offset, frozenset(channels)))
            elif record.opcode == mcap.STATISTICS:
                fields.bytes(42)
                table = Fields(fields.bytes(fields.u32()), reader.path, record.offset)
                while not table.is_at_end:
                    channel_id = table.u16()
                    counts[channel_id] = table.u64()
        for channel_id, count in counts.items():
            if channel_id in self.channels:
                found.by_id(channel_id).written = count
        self._read_chunks([(offset, channels) for _, offset, channels in chunks])
        return SegmentContents(
            reader.path,
            self.index,
            is_sealed=True,
            size=reader.size,
            data_end=summary_start - mcap.DATA_END_LENGTH,
            found=found,
            own_records=self.own_records,
            header=self.header,
            repeated=self.repeated,
            damage=self.damage,
        )

    def _check_footer(self) -> int:
        """Return where the summary begins, if its CRC is right."""
        reader = self.reader
        end_size = mcap.FOOTER_LENGTH + len(mcap.MAGIC)
        footer_offset = reader.size - end_size
        if footer_offset < 0:
            raise SegmentError(reader.path, 0, 'there is no footer')
        footer = reader.record_at(footer_offset)
        magic = reader.read(footer.end, len(mcap.MAGIC))
        if footer.opcode != mcap.FOOTER or magic != mcap.MAGIC:
            raise SegmentError(reader.path, footer_offset, 'there is no footer')
        fields = Fields(footer.content, reader.path, footer_offset)
        summary_start, _, crc = fields.u64(), fields.u64(), fields.u32()
        if not len(mcap.MAGIC) <= summary_start <= footer_offset:
            raise SegmentError(reader.path, footer_offset, 'the footer points nowhere')
        length = footer.end - 4 - summary_start
        if crc32([reader.read(summary_start, length)]) != crc:
            raise SegmentError(reader.path, summary_start, 'the CRC of the summary is wrong')
        return summary_start

    def _summary(self, offset: int) -> Iterator[RawRecord]:
        while True:
            record = self.reader.record_at(offset)
            if record.opcode in (mcap.FOOTER, mcap.SUMMARY_OFFSET):
                return
            yield record
            offset = record.end

    def _read_chunks(self, chunks: list[tuple[int, frozenset[int]]]) -> None:
        """Read the chunks that have own records, and the first ones as long as they repeat."""
        own = {
            channel_id
            for channel_id, channel in self.channels.items()
            if channel.topic.startswith(OWN_TOPIC_PREFIX)
        }
        may_repeat = True
        for offset, channel_ids in chunks:
            if not may_repeat and not channel_ids & own:
                continue
            before = sum(self.repeated.values())
            try:
                for message in self.reader.chunk_messages(self.reader.record_at(offset)):
                    self.note(message)
            except SegmentError as error:  # a bad chunk does not make the summary wrong
                self.damage = self.damage or error
            may_repeat = may_repeat and (
                offset == chunks[0][0] or sum(self.repeated.values()) > before
            )


class _Scanner(_Collector):
    """Reads a segment that was not sealed, up to its last whole chunk."""

    def scan(self) -> SegmentContents:
        reader = self.reader
        reader.schemas.clear()
        reader.channels.clear()
        reader.is_sealed = False
        found = self.begin()
        chunk: RawRecord | None = None
        chunk_index = Chunk()
        index_records: list[RawRecord] = []
        missing: list[bytes] = []
        try:
            for record in reader.records():
                if record.opcode == mcap.MESSAGE_INDEX:
                    index_records.append(record)
                    continue
                if chunk is not None:
                    if not self._is_indexed(chunk_index, index_records):
                        raise SegmentError(reader.path, chunk.end, 'a message index is wrong')
                    self._add_chunk(found, chunk, chunk_index, index_records)
                    chunk = None
                if record.opcode == mcap.CHUNK:
                    new_index = self._index(record)
                    chunk, chunk_index, index_records = record, new_index, []
                else:
                    reader.describe(record)
                    self._describe(found, record)
        except SegmentError as error:
            self.damage = error
        data_end = reader.whole_bytes
        if chunk is not None and self._is_indexed(chunk_index, index_records):
            self._add_chunk(found, chunk, chunk_index, index_records)
        elif chunk is not None:
            data_end = chunk.end
            missing, _ = chunk_index.message_indexes()
            self._add_chunk(found, chunk, chunk_index, [])
        return SegmentContents(
            reader.path,
            self.index,
            is_sealed=False,
            size=reader.size,
            data_end=data_end,
            found=found,
            missing=missing,
            own_records=self.own_records,
            header=self.header,
            repeated=self.repeated,
            damage=self.damage,
        )

    def _describe(self, found: SegmentIndex, record: RawRecord) -> None:
        if record.opcode == mcap.CHANNEL:
            channel_id = Fields(record.content, self.reader.path, record.offset).u16()
            if channel_id not in self.channels:
                self.add_channel(found, self.reader.channels[channel_id])

    @staticmethod
    def _is_indexed(chunk: Chunk, index_records: list[RawRecord]) -> bool:
        """Tell whether the message indexes in the file are those of the chunk."""
        expected, _ = chunk.message_indexes()
        found = [mcap.record(record.opcode, bytes(record.content)) for record in index_records]
        return b''.join(expected) == b''.join(found)

    def _index(self, chunk: RawRecord) -> Chunk:
        """Read a chunk whole; only then does it count."""
        index = Chunk()
        messages = []
        for message, place in self.reader.placed_messages(chunk):
            if message.channel.id not in self.channels:
                what = 'a channel is described in a chunk: not by this recorder'
                raise SegmentError(self.reader.path, chunk.offset, what)
            entries = index.indexes.setdefault(message.channel.id, array('Q'))
            entries.extend((message.log_time_ns, place))
            messages.append(message)
        start, end = Fields(chunk.content, self.reader.path, chunk.offset).unpack(_TIME_RANGE)
        if not index.indexes or (start, end) != index.time_range():  # these have no CRC
            what = 'the chunk has no message, or not of the time that it says'
            raise SegmentError(self.reader.path, chunk.offset, what)
        for message in messages:
            self.note(message)
        return index

    def _add_chunk(
        self,
        found: SegmentIndex,
        chunk: RawRecord,
        index: Chunk,
        index_records: list[RawRecord],
    ) -> None:
        """Take in a chunk, with the message indexes in the file or those that will follow it."""
        fields = Fields(chunk.content, self.reader.path, chunk.offset)
        start, end, uncompressed_size, _ = (fields.u64(), fields.u64(), fields.u64(), fields.u32())
        compression = fields.string()
        compressed_size = fields.u64()
        if index_records:
            offsets = {
                Fields(record.content, self.reader.path, record.offset).u16(): record.offset
                for record in index_records
            }
            length = index_records[-1].end - chunk.end
        else:
            pieces, places = index.message_indexes()
            offsets = {channel_id: chunk.end + place for channel_id, place in places.items()}
            length = sum(map(len, pieces))
        record = mcap.chunk_index(
            start_time=start,
            end_time=end,
            chunk_offset=chunk.offset,
            chunk_length=chunk.end - chunk.offset,
            message_index_offsets=offsets,
            message_index_length=length,
            compression=compression,
            compressed_size=compressed_size,
            uncompressed_size=uncompressed_size,
        )
        found.add_chunk(record, start, end)
        for channel_id, entries in index.indexes.items():
            found.by_id(channel_id).written += len(entries) // 2
