# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a segment contains, whether it is read from the summary or front to back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.reader import own_record
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.record_file import RawRecord
from fdr_recorder.record.activity import SHORTEST_SILENCE_NS
from fdr_recorder.record.channel import Channel, PUBLISHER_KEY, QOS_KEY
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, METADATA_NAME, Throttled
from fdr_recorder.record.offered_qos import qos_list
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.segment import LIBRARY, PROFILE
from fdr_recorder.storage.segment_index import SegmentIndex

_HEADER_TOPIC: Final = FlightHeader.channel_topic()
_MAX_QOS_BYTES: Final = 64 * 1024


@dataclass
class SegmentContents:
    """
    What a segment contains.

    Attributes:
        path: The file.
        index: Number of the segment in the flight.
        size: Size of the file.
        is_closed: Whether summary and footer are there, and right.
        data_end: Where the last whole record of the data section ends.
        found: Schemas, channels and chunks.
        missing: Records that must follow at `data_end` before anything else.
        patches: Offsets, and what must be written there over bytes that cannot be read.
        unreadable_bytes: How many bytes cannot be read, and stay in the file.
        own_records: The recorder's own records, headers apart; what was left out of a publisher's
            messages, which is told all the time, in one.
        header: The flight header; None if there is none.
        header_time_ns: Its log time, and that of repeated messages; -1 if there is none.
        repeated: Repeated transient-local messages by channel.
        heard: Log times of messages, by channel, chunk by chunk; of a short chunk the first and
            the last alone. Empty if the segment was not read front to back.
        has_seals: Whether seals were found when it was read front to back.
        damage: What is wrong: why a torn segment ends, or a bad chunk in a closed one.

    """

    path: Path
    index: int
    size: int
    is_closed: bool = False
    data_end: int = 0
    found: SegmentIndex = field(init=False)
    missing: list[bytes] = field(default_factory=list)
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    unreadable_bytes: int = 0
    own_records: list[Payload] = field(default_factory=list)
    header: FlightHeader | None = None
    header_time_ns: int = -1
    repeated: dict[Channel, int] = field(default_factory=dict)
    heard: list[tuple[Channel, Sequence[int]]] = field(default_factory=list)
    has_seals: bool = False
    damage: SegmentError | None = None

    @property
    def records(self) -> int:
        """Count the records in it."""
        return self.found.records

    @property
    def footer(self) -> FlightFooter | None:
        """Return the flight's footer, if it is the last of its own records."""
        last = self.own_records[-1] if self.own_records else None
        return last if isinstance(last, FlightFooter) else None

    @property
    def started_ns(self) -> int:
        """When the flight began (system clock), as far as this segment tells; else 0."""
        if self.header is None:
            return 0
        return self.header.flight_started_at_ns or self.found.first_log_time_ns

    def hear(self, channel: Channel, times: Sequence[int]) -> None:
        """Note the log times of the messages that a chunk has of a channel."""
        if not channel.topic.startswith(OWN_TOPIC_PREFIX):
            first_ns, last_ns = min(times), max(times)
            is_short = last_ns - first_ns < SHORTEST_SILENCE_NS
            is_plain = is_short and self.header_time_ns not in (first_ns, last_ns)
            self.heard.append((channel, (first_ns, last_ns) if is_plain else times))

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
    text = channel.metadata.get(QOS_KEY, '')
    if not text or (len(text) <= _MAX_QOS_BYTES and qos_list(text)):
        return channel
    return replace(channel, metadata={**channel.metadata, QOS_KEY: ''})


def program_of(reader: SegmentReader, header: RawRecord) -> tuple[str, str]:
    """Return profile and program that a header names; empty if it is none, or is broken."""
    fields = reader.decoder.fields(header)
    with suppress(SegmentError):
        if header.opcode == layout.HEADER:
            return fields.string(), fields.string().partition(' ')[0]
    return '', ''


class Collector:
    """What both ways of reading have in common."""

    def __init__(self, reader: SegmentReader, index: int) -> None:
        self.reader = reader
        self.contents = SegmentContents(reader.path, index, reader.size)
        self.channels: dict[int, Channel] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        """Places of records by topic and publisher."""

    def begin(self) -> None:
        """Read the header and the metadata record; raise `SegmentError` if one is missing."""
        reader = self.reader
        reader.check_magic()
        header = reader.record_at(len(layout.MAGIC))
        if program_of(reader, header) != (PROFILE, LIBRARY.split()[0]):
            raise SegmentError(reader.path, header.offset, 'not a segment of this recorder')
        record = reader.record_at(header.end)
        reader.decoder.describe(record)
        if record.opcode != layout.METADATA or METADATA_NAME not in reader.metadata:
            raise SegmentError(reader.path, record.offset, 'not a segment of this recorder')
        length = record.end - record.offset
        self.contents.found = SegmentIndex(
            encode.metadata_index(record.offset, length, METADATA_NAME)
        )

    def add_channel(self, described: FileChannel, record: bytes = b'') -> None:
        """Take in a channel, and its schema, as the file numbers them; by its record, if given."""
        metadata = dict(described.metadata)
        channel = Channel(
            described.topic,
            described.schema,
            publisher=metadata.pop(PUBLISHER_KEY, ''),
            metadata=metadata,
            message_encoding=described.message_encoding,
        )
        self.channels[described.id] = channel
        found = self.contents.found
        found.add_schema(described.schema, described.schema_id)
        found.add_channel(channel, described.id, described.schema_id, record)

    def note(self, message: Message) -> None:
        """Note the recorder's own records, and count repeated messages."""
        contents, topic = self.contents, message.channel.topic
        if topic == _HEADER_TOPIC and contents.header_time_ns < 0:
            contents.header_time_ns = message.log_time_ns
        if topic.startswith(OWN_TOPIC_PREFIX):
            try:
                payload = own_record(message)
            except RecordError:
                return
            if isinstance(payload, FlightHeader):
                contents.header = payload
            elif isinstance(payload, Throttled):
                self._add_left_out(payload)
            elif payload is not None:
                contents.own_records.append(payload)
        elif message.log_time_ns == contents.header_time_ns:  # only repeats have the header's time
            channel = self.channels.get(message.channel.id)
            if channel is not None:
                contents.repeated[channel] = contents.repeated.get(channel, 0) + 1

    def _add_left_out(self, told: Throttled) -> None:
        """Note what was left out, in one record for each publisher of a topic."""
        records, key = self.contents.own_records, (told.topic, told.publisher)
        place = self._left_out.setdefault(key, len(records))
        if place == len(records):
            records.append(told)
            return
        before = records[place]
        assert isinstance(before, Throttled)
        records[place] = replace(
            told, records=before.records + told.records, first_ns=before.first_ns
        )
