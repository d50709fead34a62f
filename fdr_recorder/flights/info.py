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
What `fdr info` says of a flight: topics, segments, losses and alerts, from header to footer.

Closed segments are walked through by their message indexes; only chunks that hold records of the
recorder itself are read. A torn or growing segment is read whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from operator import sub
from pathlib import Path
from typing import Any, Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import numbers_there
from fdr_recorder.flights.in_use import holder_of_root
from fdr_recorder.flights.list_recording import (
    Contents,
    how_files_end,
    list_recording,
    listed,
)
from fdr_recorder.flights.listing import list_flight, ListedFlight
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.flights.node_parameters import FlightParameters, has_parameters
from fdr_recorder.flights.notes import has_notes, note_of
from fdr_recorder.flights.reader import Advance, own_record, read_chunks, read_segments
from fdr_recorder.flights.recording import Kind, Recording, recording_at
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.flights.sealed import seals_info, SealsInfo
from fdr_recorder.flights.status import Ended, Integrity, Losses, summed
from fdr_recorder.flights.topic_info import TopicInfo
from fdr_recorder.flights.utc import utc_times
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import FileChannel, Message, WholeChunk
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.channel import LOSS_DETECTION_KEY, PUBLISHER_KEY
from fdr_recorder.record.dropped import COUNTER_OF, DroppedAccount, loss_of
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    NodeParameters,
    SegmentRollover,
    Throttled,
)
from fdr_recorder.record.loss_detection import unseen_in_flight
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.record.record_parts import DroppedLoss
from fdr_recorder.record.segment_names import SEGMENT_PATTERN

_MOST_DAMAGE: Final = 1000


@dataclass
class SegmentInfo:
    """
    One segment.

    Attributes:
        name: Its file name.
        bytes: Its size.
        records: Records in it.
        first_ns: Earliest log time; 0 if it is empty.
        last_ns: Latest log time.
        is_closed: Whether it is complete.
        pinned: Why it is pinned; empty if it is not.

    """

    name: str
    bytes: int
    records: int = 0
    first_ns: int = 0
    last_ns: int = 0
    is_closed: bool = False
    pinned: str = ''


@dataclass(frozen=True)
class Event:
    """
    A record of the recorder itself, other than header and footer, or a note.

    Attributes:
        time_ns: When it was made (system clock).
        payload: What it says.

    """

    time_ns: int
    payload: Payload


@dataclass
class FlightInfo:
    """
    What is known of a flight.

    Attributes:
        listed: What a list of flights says of it.
        header: Its header; None if it has none.
        footer: Its footer; None if it was not closed.
        topics: By name; a further type of the same topic by both: `/state (sensor_msgs/msg/Imu)`.
        segments: Oldest first.
        events: In the order of time.
        damage: What could not be read, in words.
        producers: Topic, publisher and `loss_detection` of each channel that has messages.
        dropped: What is known of segments that are not there any more.
        seals: What it says of its seals; None if it is not sealed.
        parameters: Those of the vehicle's nodes, if they were recorded.
        left_out: What records tell of messages that were left out, in sums.

    """

    listed: ListedFlight
    header: FlightHeader | None = None
    footer: FlightFooter | None = None
    topics: dict[str, TopicInfo] = field(default_factory=dict)
    segments: list[SegmentInfo] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    producers: set[tuple[str, str, str]] = field(default_factory=set)
    dropped: DroppedAccount = field(default_factory=DroppedAccount)
    seals: SealsInfo | None = None
    parameters: FlightParameters = field(default_factory=FlightParameters)
    left_out: DroppedAccount = field(default_factory=DroppedAccount)

    def topic(self, name: str, type_name: str) -> TopicInfo:
        """Return a topic in one type; add it if it is new."""
        topic = self.topics.setdefault(name, TopicInfo(name, type_name))
        if topic.type != type_name:
            topic = self.topics.setdefault(
                f'{name} ({type_name})', TopicInfo(name, type_name)
            )
        return topic

    def topic_of(self, name: str, publisher: str) -> TopicInfo:
        """Return a topic in the type that a publisher has, as far as that is known."""
        for topic in self.topics.values():
            if topic.name == name and publisher in topic.publishers:
                return topic
        return self.topics.setdefault(name, TopicInfo(name, ''))

    @property
    def told_losses(self) -> list[DroppedLoss]:
        """Return what the records that are there tell of losses, and of what was left out."""
        told = (loss_of(event.payload) for event in self.events)
        return [*filter(None, told), *self.left_out.losses]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the damage for `json.dumps`."""
        return {
            **self.listed.to_dict(),
            'header': asdict(self.header) if self.header else None,
            'footer': asdict(self.footer) if self.footer else None,
            'topics': [topic.to_dict() for topic in self.topics.values()],
            'segment_files': [asdict(segment) for segment in self.segments],
            'events': [
                {'time_ns': event.time_ns, 'kind': event.payload.KIND, **asdict(event.payload)}
                for event in self.events
            ],
            'dropped': self.dropped.to_dict(),
            'seals': self.seals.to_dict() if self.seals is not None else None,
            'parameters': self.parameters.to_list(),
        }


def read_info(flight: Path | str, advance: Advance = lambda _bytes: None) -> FlightInfo:
    """
    Return what a flight contains: topics, segments, header, footer, events and damage.

    Args:
        flight: Its directory, or another recording.
        advance: Called with the number of bytes that are done since the last call.

    Raises:
        NoFlightError: It has no segment.
        OSError: A file cannot be read.

    """
    flight = Path(flight)
    recording = recording_at(flight)
    if recording.kind is not Kind.FLIGHT:
        return _read_other(recording, advance)
    result = FlightInfo(list_flight(flight, holder_of_root(flight)))
    closed = read_metadata(flight).segments
    for reader in read_segments(flight, result.damage, closed):
        _Segment(result, reader).read(advance)
    for segment in result.segments:
        matched = SEGMENT_PATTERN.fullmatch(segment.name)
        index = int(matched[1]) if matched else -1
        segment.pinned = result.listed.pins.why(index, segment.first_ns, segment.last_ns)
    result.events.sort(key=lambda event: event.time_ns)
    drops = (item.payload for item in result.events if isinstance(item.payload, SegmentRollover))
    result.dropped = DroppedAccount.of_flight(drops, numbers_there(flight))
    _add_losses(result)
    result.seals = seals_info(flight, result.header)
    clock = [event.payload for event in result.events]
    result.listed = replace(result.listed, utc=utc_times(result.header, result.footer, clock))
    return result


def _read_other(recording: Recording, advance: Advance) -> FlightInfo:
    """Return what another recording than a flight contains; `read_info` otherwise."""
    result = FlightInfo(list_recording(recording.path))
    for reader in read_segments(recording, result.damage):
        _Segment(result, reader, is_foreign=True).read(advance)
    result.events.sort(key=lambda event: event.time_ns)
    result.footer = None  # it would be that of the flight from which this was taken
    found = Contents()
    for segment in result.segments:
        found.add(segment.records, segment.first_ns, segment.last_ns)
    told = summed((loss.cause, loss.records) for loss in result.told_losses)
    ended, integrity = how_files_end(recording)
    losses = Losses(has_end=ended is Ended.CLOSED, untold=recording.untold).at_least(told)
    integrity = Integrity.DAMAGED if result.damage else integrity
    result.listed = listed(recording, found, ended, integrity, losses)
    if result.header is not None:
        result.listed = replace(result.listed, vehicle_id=result.header.vehicle_id)
    for topic in result.topics.values():
        topic.why_unseen = recording.untold
    return result


class _Segment:
    """Adds what is in one segment, or in a file that another program wrote."""

    def __init__(
        self, result: FlightInfo, reader: RecordingFile, *, is_foreign: bool = False
    ) -> None:
        self._result = result
        self._reader = reader
        self._is_foreign = is_foreign
        self._segment = SegmentInfo(reader.path.name, reader.size)
        self._topics: dict[FileChannel, TopicInfo] = {}

    def read(self, advance: Advance) -> None:
        for chunk in read_chunks(self._reader, advance):
            if isinstance(chunk, IndexedChunk) and self._is_told(chunk):
                self._add_indexed(chunk)
            elif isinstance(chunk, IndexedChunk):
                try:
                    self._add_read(self._reader.chunk_at(chunk.offset))
                except SegmentError as error:
                    self._note_damage(error)
            else:
                self._add_read(chunk)
        self._segment.is_closed = self._reader.ends_with_magic
        self._result.segments.append(self._segment)

    def _is_told(self, chunk: IndexedChunk) -> bool:
        """
        Tell whether the indexes tell the sizes of messages: nothing else is between them.

        Other programs describe a channel in the chunk where it comes first.
        """
        channels = self._reader.channels
        return not self._is_foreign or all(
            channels[number] in self._topics for number in chunk.indexes
        )

    def _note_damage(self, error: SegmentError | RecordError) -> None:
        damage = self._result.damage
        if len(damage) < _MOST_DAMAGE and (text := str(error)) not in damage:
            damage.append(text)

    def _add_indexed(self, chunk: IndexedChunk) -> None:
        """Take the times and sizes of the messages from their indexes."""
        reader = self._reader
        try:
            indexes = {
                reader.channels[number]: reader.index_at(offset)
                for number, offset in chunk.indexes.items()
            }
            if any(map(_is_read, indexes)):
                for message, _ in reader.chunk_at(chunk.offset).messages:
                    self._note(message)
        except SegmentError as error:
            self._note_damage(error)
            return
        self._span(chunk.start_ns, chunk.end_ns)
        for (channel, index), size in zip(
            indexes.items(), _sizes(indexes.values(), chunk.uncompressed_bytes), strict=True
        ):
            if index:
                times = sorted(index[::2]) if self._is_foreign else index[::2]
                self._topic(channel).add(times, size)
                self._segment.records += len(index) // 2

    def _add_read(self, chunk: WholeChunk) -> None:
        for message, _ in chunk.messages:
            self._topic(message.channel).add((message.log_time_ns,), len(message.data))
            self._segment.records += 1
            self._span(message.log_time_ns, message.log_time_ns)
            self._note(message)

    def _span(self, start_ns: int, end_ns: int) -> None:
        segment = self._segment
        segment.first_ns = min(segment.first_ns or start_ns, start_ns)
        segment.last_ns = max(segment.last_ns, end_ns)

    def _topic(self, channel: FileChannel) -> TopicInfo:
        topic = self._topics.get(channel)
        if topic is None:
            topic = self._result.topic(channel.topic, channel.schema.name)
            topic.publishers |= {channel.metadata.get(PUBLISHER_KEY, '')} - {''}
            self._result.producers.add(
                (
                    channel.topic,
                    channel.metadata.get(PUBLISHER_KEY, ''),
                    channel.metadata.get(LOSS_DETECTION_KEY, ''),
                )
            )
            self._topics[channel] = topic
        return topic

    def _note(self, message: Message) -> None:
        result = self._result
        try:
            payload = own_record(message)
            if payload is None and has_notes(message.channel):
                payload = note_of(message)
            elif has_parameters(message.channel):
                result.parameters.add_event(message)
        except RecordError as error:
            self._note_damage(error)
            return
        if isinstance(payload, FlightHeader):
            result.header = result.header or payload
        elif isinstance(payload, FlightFooter):
            result.footer = payload
        elif isinstance(payload, Throttled):
            result.left_out.add(message.log_time_ns, payload)  # one a second: too many events
        elif isinstance(payload, NodeParameters):
            result.parameters.add_answer(message.log_time_ns, payload)
        elif payload is not None:
            result.events.append(Event(message.log_time_ns, payload))


def _is_read(channel: FileChannel) -> bool:
    """Return whether messages of a channel are read, and not only their times and sizes."""
    is_own = channel.topic.startswith(OWN_TOPIC_PREFIX)
    return is_own or has_notes(channel) or has_parameters(channel)


def _sizes(indexes: Collection[array[int]], chunk_bytes: int) -> Iterator[int]:
    """Yield how many bytes of data each channel has in a chunk: from one message to the next."""
    offsets = sorted(chain.from_iterable(index[1::2] for index in indexes))
    ends = chain(offsets[1:], (chunk_bytes,))
    sizes = dict(zip(offsets, map(sub, ends, offsets), strict=True))
    for index in indexes:
        prefixes = len(index) // 2 * layout.MESSAGE_PREFIX.size
        yield sum(map(sizes.__getitem__, index[1::2])) - prefixes


def _add_losses(result: FlightInfo) -> None:
    """Say of each topic what it lost: as the footer does, else as the records of losses do."""
    unseen = unseen_in_flight(result.footer, result.producers, result.header)
    status = result.listed.status
    losses = replace(status.losses, unseen=unseen)
    if result.footer is None:
        told = summed((loss.cause, loss.records) for loss in result.told_losses)
        losses = losses.at_least(told)
    status = replace(status, losses=losses)
    if result.damage:
        status = replace(status, integrity=Integrity.DAMAGED)
    result.listed = replace(result.listed, status=status)
    for topic in result.topics.values():
        topic.why_unseen = unseen.reasons.get(topic.name, '')
    if result.footer is not None:
        for activity in result.footer.topics:
            topic = result.topic(activity.topic, activity.type)
            topic.silence_ns = activity.longest_silence_ns
            topic.silence_at_ns = max(activity.silence_began_ns, result.listed.started_ns)
        for producer in result.footer.producers:
            topic = result.topic(producer.topic, producer.type)
            topic.lost_transport += producer.lost_transport
            topic.dropped_overrun += producer.dropped_overrun
            topic.dropped_write_error += producer.dropped_write_error
            topic.before_match += producer.before_match
            topic.throttled += producer.throttled
        return
    for loss in (*result.dropped.losses, *result.told_losses):
        if not loss.topic:
            continue
        topic = result.topic_of(loss.topic, loss.publisher)
        name = COUNTER_OF.get(loss.cause, 'lost_transport')
        setattr(topic, name, getattr(topic, name) + loss.records)
