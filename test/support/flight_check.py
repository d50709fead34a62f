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
A flight as independent readers see it, and what must hold for every flight.

Every segment is read with both readers of `mcap` (CRCs on), and the directory with
`rosbags.rosbag2.Reader`; they must agree before a test sees anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
import struct
from typing import Any, TypeVar

from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.codec import decode
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.footer import FlightSummary
from mcap.exceptions import EndOfFile
from mcap.reader import NonSeekingReader, SeekingReader
from mcap.records import Metadata, Statistics
from mcap.stream_reader import CRCValidationError
from rosbags.rosbag2 import Reader
import yaml

_PayloadT = TypeVar('_PayloadT', bound=Payload)


@dataclass(frozen=True)
class Message:
    """A message of a segment."""

    topic: str
    publisher: str
    type: str
    definition: str
    sequence: int
    log_time: int
    publish_time: int
    data: bytes

    def payload(self) -> Payload:
        """Decode one of the recorder's own records by the schema in the file."""
        kind = self.topic.removeprefix('/fdr/')
        return decode(kind, self.data, Schema(self.type, self.definition))


@dataclass(frozen=True)
class SegmentFile:
    """A segment, in file order."""

    path: Path
    messages: tuple[Message, ...]
    statistics: Statistics
    metadata: tuple[Metadata, ...]


@dataclass(frozen=True)
class FlightFiles:
    """A flight directory."""

    path: Path
    segments: tuple[SegmentFile, ...]
    bag: dict[str, Any] = field(repr=False)
    """The content of metadata.yaml."""

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(message for segment in self.segments for message in segment.messages)

    @property
    def custom_data(self) -> dict[str, str]:
        return self.bag['custom_data'] or {}

    @property
    def size(self) -> int:
        return sum(segment.path.stat().st_size for segment in self.segments)

    def of_topic(self, topic: str, publisher: str | None = None) -> list[Message]:
        return [
            message
            for message in self.messages
            if message.topic == topic and publisher in (None, message.publisher)
        ]

    def payloads(self, payload_type: type[_PayloadT]) -> list[_PayloadT]:
        found = [message.payload() for message in self.of_topic(payload_type.channel_topic())]
        assert all(isinstance(payload, payload_type) for payload in found)
        return found  # type: ignore[return-value]

    @property
    def footer(self) -> FlightFooter:
        (footer,) = self.payloads(FlightFooter)
        return footer


def _read_messages(reader: SeekingReader | NonSeekingReader) -> Iterator[Message]:
    """Give a segment's messages in file order."""
    for schema, channel, message in reader.iter_messages(log_time_order=False):
        assert schema is not None
        yield Message(
            topic=channel.topic,
            publisher=channel.metadata.get('publisher_gid', ''),
            type=schema.name,
            definition=schema.data.decode(),
            sequence=message.sequence,
            log_time=message.log_time,
            publish_time=message.publish_time,
            data=message.data,
        )


def read_segment(path: Path) -> SegmentFile:
    """Read a closed segment with both readers of the `mcap` library; they must agree."""
    with path.open('rb') as file:
        streamed = list(_read_messages(NonSeekingReader(file, validate_crcs=True)))
    with path.open('rb') as file:
        reader = SeekingReader(file, validate_crcs=True)
        sought = list(_read_messages(reader))
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        metadata = tuple(reader.iter_metadata())
    assert sought == streamed
    assert summary is not None
    statistics = summary.statistics
    assert statistics is not None
    assert statistics.message_count == len(streamed)
    assert statistics.channel_count == len(summary.channels)
    assert statistics.schema_count == len(summary.schemas)
    assert statistics.chunk_count == len(summary.chunk_indexes)
    counts = Counter((message.topic, message.publisher) for message in streamed)
    for channel_id, count in statistics.channel_message_counts.items():
        channel = summary.channels[channel_id]
        counts[channel.topic, channel.metadata.get('publisher_gid', '')] -= count
    assert not any(counts.values())
    if streamed:
        assert statistics.message_start_time == min(message.log_time for message in streamed)
        assert statistics.message_end_time == max(message.log_time for message in streamed)
    return SegmentFile(path, tuple(streamed), statistics, metadata)


def read_whole_chunks(path: Path) -> list[Message]:
    """Return the messages in whole chunks of a segment that may end anywhere."""
    found: list[Message] = []
    with path.open('rb') as file:
        messages = _read_messages(NonSeekingReader(file, validate_crcs=True))
        # The reader sees the end as a short integer, or as a short chunk with a wrong CRC.
        with suppress(EndOfFile, struct.error, CRCValidationError):
            found.extend(messages)
    return found


def open_flight_files(path: Path) -> FlightFiles:
    """Read a flight with every reader that there is; all must see the same."""
    bag = yaml.safe_load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    segments = tuple(read_segment(path / name) for name in bag['relative_file_paths'])
    flight = FlightFiles(path, segments, bag)
    _check_bag(flight)
    return flight


def _check_bag(flight: FlightFiles) -> None:
    """Compare metadata.yaml, and what `rosbags` reads, with what `mcap` has read."""
    bag, messages = flight.bag, flight.messages
    assert bag['version'] in range(5, 10)
    assert bag['storage_identifier'] == 'mcap'
    assert bag['message_count'] == len(messages)
    listed = {entry['path']: entry['message_count'] for entry in bag['files']}
    assert listed == {file.path.name: len(file.messages) for file in flight.segments}
    by_topic = Counter((message.topic, message.type) for message in messages)
    topics: Counter[tuple[str, str]] = Counter()
    for topic in bag['topics_with_message_count']:
        about = topic['topic_metadata']
        topics[about['name'], about['type']] += topic['message_count']
    assert topics == by_topic
    with Reader(flight.path) as reader:
        assert reader.message_count == len(messages)
        read = Counter((conn.topic, conn.msgtype, data) for conn, _, data in reader.messages())
        if messages:
            assert reader.start_time == min(message.log_time for message in messages)
            assert reader.end_time == max(message.log_time for message in messages) + 1
    assert read == Counter((item.topic, item.type, item.data) for item in messages)


def check_flight(summary: FlightSummary, *, dropped: Iterable[int] = ()) -> FlightFiles:
    """
    Check all that must hold for a flight that was closed with its footer.

    Both identities of the design's section 6, against the footer, the sizes of the files and
    metadata.yaml; the header first in every segment, the footer last in the flight.

    Args:
        summary: What `close_flight` returned.
        dropped: Records in each segment that was dropped.

    """
    flight = open_flight_files(summary.path)
    assert summary.is_complete
    footer = flight.footer
    assert footer == summary.footer
    assert footer.clean_shutdown
    assert flight.messages[-1].topic == FlightFooter.channel_topic()
    for segment in flight.segments:
        assert segment.messages[0].topic == FlightHeader.channel_topic()
    check_identities(flight, footer, dropped=dropped)
    assert flight.custom_data['clean_shutdown'] == 'true'
    for name in (
        'records_written',
        'records_dropped_overrun',
        'bytes_written',
        'rollover_count',
        'segments_dropped',
        'bytes_dropped',
        'records_dropped_write_error',
        'records_lost_transport',
        'records_repeated',
        'records_before_match',
        'records_throttled',
    ):
        assert int(flight.custom_data[name]) == getattr(footer, name), name
    return flight


def check_identities(
    flight: FlightFiles, footer: FlightFooter, *, dropped: Iterable[int] = ()
) -> None:
    """Check both identities, and that the totals are the sums over the producers."""
    on_disk = sum(path.stat().st_size for path in flight.path.glob('*.mcap'))
    assert footer.bytes_written == on_disk + footer.bytes_dropped
    for producer in footer.producers:
        assert producer.offered == (
            producer.written
            - producer.repeated
            + producer.dropped_overrun
            + producer.dropped_write_error
        ), producer
    for total, part in (
        ('records_written', 'written'),
        ('records_dropped_overrun', 'dropped_overrun'),
        ('records_dropped_write_error', 'dropped_write_error'),
        ('records_lost_transport', 'lost_transport'),
        ('records_repeated', 'repeated'),
        ('records_before_match', 'before_match'),
        ('records_throttled', 'throttled'),
    ):
        parts = sum(getattr(producer, part) for producer in footer.producers)
        value = getattr(footer, total)
        if part == 'dropped_write_error' and not footer.clean_shutdown:
            assert value >= parts, total  # records of write errors do not tell whose they are
        else:
            assert value == parts, total
    dropped = list(dropped)
    assert footer.segments_dropped == len(dropped)
    assert footer.records_written == len(flight.messages) + sum(dropped)
    if not dropped:
        written: Counter[tuple[str, str]] = Counter()
        for producer in footer.producers:
            who = f'folded {producer.type}' if producer.folded else producer.publisher
            written[producer.topic, who] += producer.written
        found: Counter[tuple[str, str]] = Counter()
        for item in flight.messages:
            key = item.topic, item.publisher
            found[key if key in written else (item.topic, f'folded {item.type}')] += 1
        assert +written == found
