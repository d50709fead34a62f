# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The index of a segment: its schemas, channels and chunks, and the summary made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import Channel
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.lost_records import joint_span, LostRecords, NO_SPAN, Span
from fdr_recorder.storage.told_records import is_own, told_by, ToldRecords
from fdr_recorder.storage.unsynced_tail import Part
from fdr_recorder.version import BAG_VERSION, OLDEST_BAG_VERSION

MOST_CHANNELS: Final = 65_000
"""Numbers of channels have 16 bits; some are left for what a segment begins with."""

_NO_ROOM: Final = 1 << 62
_SUMMARY_GROUPS: Final = 5
_STATISTICS_PER_CHANNEL: Final = encode.statistics_length(1) - encode.statistics_length(0)


@dataclass
class KnownChannel:
    """
    A channel of a segment.

    Attributes:
        channel: Its description.
        id: Its number in the segment.
        record: Its MCAP record.
        written: Its records in the file.
        told: What its records tell, for a channel of the recorder itself.

    """

    channel: Channel
    id: int
    record: bytes
    written: int = 0
    told: ToldRecords | None = None


class SegmentIndex:
    """
    Everything for the summary of a segment.

    Attributes:
        end_size: Bytes that ending the segment now would add to the file; exact once there is a
            chunk.
        first_log_time_ns: Earliest log time; 0 while there is no record.
        last_log_time_ns: Latest log time.

    """

    def __init__(self, metadata_index: bytes, bag_version: int = BAG_VERSION) -> None:
        """Begin with no channel and no chunk, but the record that tells where the metadata is."""
        self.first_log_time_ns = 0
        self.last_log_time_ns = 0
        self._metadata_indexes = [metadata_index]
        self._bag_version = bag_version
        self._schemas: dict[Schema, tuple[int, bytes]] = {}
        self._channels: dict[Channel, KnownChannel] = {}
        self._by_id: dict[int, KnownChannel] = {}
        self._newest_schema_id = self._newest_channel_id = 0
        self._chunk_indexes: list[bytes] = []
        self.indexes: dict[int, list[bytes]] = {}
        """By opcode, what the summary says of records that another program wrote."""
        self._told_by: bytes | None = None
        """What `closed` has last found out, unless chunks came or went since."""
        self.end_size = (
            layout.DATA_END_LENGTH
            + encode.statistics_length(0)
            + len(metadata_index)
            + _SUMMARY_GROUPS * layout.SUMMARY_OFFSET_LENGTH
            + layout.FOOTER_LENGTH
            + len(layout.MAGIC)
        )

    @property
    def span(self) -> tuple[int, int]:
        """Return the earliest and the latest log time; zeros while there is no record."""
        return self.first_log_time_ns, self.last_log_time_ns

    # --- channels ------------------------------------------------------------------------

    def find(self, channel: Channel) -> KnownChannel | None:
        """Return a channel of the segment; None if it has no number yet."""
        return self._channels.get(channel)

    def by_id(self, channel_id: int) -> KnownChannel:
        """Return a channel by its number in the segment."""
        return self._by_id[channel_id]

    def by_channel(self, counts: Mapping[int, int]) -> dict[Channel, int]:
        """Return numbers by channel instead of by its number in the segment."""
        return {self._by_id[number].channel: count for number, count in counts.items()}

    @property
    def counts(self) -> Mapping[Channel, int]:
        """Count the records in the file by channel."""
        return {known.channel: known.written for known in self._by_id.values()}

    @property
    def records(self) -> int:
        """Count the records in the file."""
        return sum(known.written for known in self._by_id.values())

    @property
    def own_records(self) -> int:
        """Count the records of the recorder itself in the file."""
        own = (known for known in self._by_id.values() if is_own(known.channel))
        return sum(known.written for known in own)

    @property
    def told(self) -> list[ToldRecords]:
        """Return what the records of the recorder itself tell."""
        return [known.told for known in self._by_id.values() if known.told is not None]

    def take_back(self) -> None:
        """Note that the records of the open chunk are taken back."""
        for told in self.told:
            told.waiting.clear()

    @property
    def is_full(self) -> bool:
        """Whether all numbers of channels are given."""
        return self._newest_channel_id >= MOST_CHANNELS

    def announcement_cost(self, channel: Channel) -> int:
        """
        Return the bytes that `announce` would add: before the chunks and in the summary.

        Without a number for another channel they are more than fit into any segment.
        """
        if channel in self._channels:
            return 0
        if self.is_full:
            return _NO_ROOM
        size = len(_channel_record(channel, 0, 0, self._bag_version))
        if channel.schema not in self._schemas:
            size += len(_schema_record(channel.schema, 0))
        return 2 * size + _STATISTICS_PER_CHANNEL

    def announce(self, channel: Channel) -> tuple[KnownChannel, list[bytes]]:
        """
        Add a channel, and its schema if that is new.

        Returns:
            The channel, and the records that must be in the file before its first message.

        """
        announcements = []
        schema_id, _ = self._schemas.get(channel.schema, (0, b''))
        if not schema_id:
            schema_id = self._newest_schema_id + 1
            announcements.append(self.add_schema(channel.schema, schema_id))
        known = self.add_channel(channel, self._newest_channel_id + 1, schema_id)
        announcements.append(known.record)
        return known, announcements

    def add_schema(self, schema: Schema, schema_id: int, record: bytes = b'') -> bytes:
        """Add a schema under a number, once; return its record, which may be in a file already."""
        if schema in self._schemas:
            return self._schemas[schema][1]
        record = record or _schema_record(schema, schema_id)
        self._schemas[schema] = (schema_id, record)
        self._newest_schema_id = max(self._newest_schema_id, schema_id)
        self.end_size += len(record)
        return record

    def add_channel(
        self, channel: Channel, channel_id: int, schema_id: int, record: bytes = b''
    ) -> KnownChannel:
        """Add a channel under a number; its record may be in a file already."""
        record = record or _channel_record(channel, channel_id, schema_id, self._bag_version)
        known = KnownChannel(channel, channel_id, record, told=ToldRecords.of(channel))
        self._channels[channel] = self._by_id[channel_id] = known
        self._newest_channel_id = max(self._newest_channel_id, channel_id)
        self.end_size += len(known.record) + _STATISTICS_PER_CHANNEL
        return known

    # --- chunks --------------------------------------------------------------------------

    def add_chunk(self, index_record: bytes, start_ns: int, end_ns: int) -> None:
        """Add a chunk that is in the file, with its index record, earliest and latest log time."""
        is_first = not self._chunk_indexes
        self._told_by = None
        self._chunk_indexes.append(index_record)
        self.end_size += len(index_record)
        self.first_log_time_ns = start_ns if is_first else min(self.first_log_time_ns, start_ns)
        self.last_log_time_ns = max(self.last_log_time_ns, end_ns)

    def remove_chunks(self, chunks: Sequence[Part]) -> LostRecords:
        """Remove the newest chunks, oldest first; return what was in them."""
        self._told_by = None
        removed: dict[Channel, int] = {}
        span: Span = NO_SPAN
        for chunk in chunks:
            self.end_size -= len(self._chunk_indexes.pop())
            span = joint_span(span, chunk.span)
            for channel_id, records in chunk.records.items():
                known = self._by_id[channel_id]
                known.written -= records
                if known.told is not None:
                    known.told.remove(records)
                removed[known.channel] = removed.get(known.channel, 0) + records
        if chunks:
            self.first_log_time_ns, self.last_log_time_ns = chunks[0].span_before
        return LostRecords(removed, span)

    # --- metadata records ----------------------------------------------------------------

    def add_metadata(self, metadata_index: bytes) -> None:
        """Add a metadata record that is in the file, with the record that tells where."""
        self._metadata_indexes.append(metadata_index)
        self.end_size += len(metadata_index)

    def remove_metadata(self, count: int) -> None:
        """Remove so many of the newest metadata records."""
        for _ in range(count):
            self.end_size -= len(self._metadata_indexes.pop())

    # --- the end -------------------------------------------------------------------------

    def closed(
        self,
        index: int,
        file_name: str,
        size: int,
        repeated: int,
        max_bytes: int,
        sha256: str = '',
        last_seal: bytes = b'',
    ) -> ClosedSegment:
        """Describe the segment, once it is ended; it was to have so many bytes at most."""
        if self._told_by is None:
            self._told_by = told_by(self.told, max_bytes)
        return ClosedSegment(
            index=index,
            file_name=file_name,
            bytes=size,
            records=self.records,
            first_log_time_ns=self.first_log_time_ns,
            last_log_time_ns=self.last_log_time_ns,
            counts=self.counts,
            own_records=self.own_records,
            repeated=repeated,
            told=self._told_by,
            sha256=sha256,
            last_seal=last_seal,
        )

    def ending(self, offset: int) -> list[bytes]:
        """
        Encode all that follows the data section: its end, the summary, the footer, the magic.

        The data section ends at `offset`.
        """
        summary_start = offset + layout.DATA_END_LENGTH
        groups = (
            (layout.SCHEMA, [record for _, record in self._schemas.values()]),
            (layout.CHANNEL, [known.record for known in self._by_id.values()]),
            (layout.STATISTICS, [self._statistics()]),
            (layout.CHUNK_INDEX, self._chunk_indexes),
            (layout.METADATA_INDEX, [*self._metadata_indexes, *self._more(layout.METADATA_INDEX)]),
            (layout.ATTACHMENT_INDEX, self._more(layout.ATTACHMENT_INDEX)),
        )
        summary: list[bytes] = []
        offsets: list[bytes] = []
        position = summary_start
        for opcode, records in groups:
            length = sum(map(len, records))
            if length:
                summary += records
                offsets.append(encode.summary_offset(opcode, position, length))
                position += length
        summary += offsets
        return [encode.data_end(), *summary, encode.file_end(summary_start, position, summary)]

    def _more(self, opcode: int) -> list[bytes]:
        return self.indexes.get(opcode, [])

    def _statistics(self) -> bytes:
        return encode.statistics(
            schemas=len(self._schemas),
            chunks=len(self._chunk_indexes),
            metadata=len(self._metadata_indexes) + len(self._more(layout.METADATA_INDEX)),
            attachments=len(self._more(layout.ATTACHMENT_INDEX)),
            start_time=self.first_log_time_ns,
            end_time=self.last_log_time_ns,
            message_counts={known.id: known.written for known in self._by_id.values()},
        )


def _schema_record(schema: Schema, schema_id: int) -> bytes:
    encoding = schema.encoding if schema.definition else ''
    return encode.schema(schema_id, schema.name, encoding, schema.data)


def _channel_record(
    channel: Channel, channel_id: int, schema_id: int, bag_version: int
) -> bytes:
    metadata = channel.file_metadata(bag_version)
    return encode.channel(
        channel_id, schema_id, channel.topic, channel.message_encoding, metadata
    )


def check_channel(channel: Channel) -> str:
    """Return why the description of a channel cannot be encoded; an empty text if it can."""
    try:
        _schema_record(channel.schema, 0)
        _channel_record(channel, 0, 0, OLDEST_BAG_VERSION)
        hash(channel.schema)
    except Exception as error:  # whatever foreign objects raise
        return f'the description of its channel is invalid ({error!r:.200})'
    return ''
