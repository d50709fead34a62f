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
Gathers what a report needs to know about a flight, in three passes over its segments.

`read_info` reads what the flight says of itself, `verify` checks every byte, and this module adds
what is plotted: rates from the message indexes, and the numbers for attitude, position and
battery from the chunks that have them. Memory is bounded by the largest chunk, however long the
flight.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Final, TypeVar

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.info import FlightInfo, read_info
from fdr_recorder.flights.reader import Advance, read_chunks, read_segments
from fdr_recorder.flights.recording import Kind
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.topic_info import TopicInfo
from fdr_recorder.flights.verify import Verification, verify
from fdr_recorder.mcap.decode import FileChannel, WholeChunk
from fdr_recorder.mcap.layout import CDR
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.channel import NODE_KEY, PUBLISHER_KEY, QOS_KEY
from fdr_recorder.record.kinds import ClockStep
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.report.chunk_reading import (
    concatenated,
    indexed_messages,
    joined_messages,
    Outline,
    outline,
    times_of,
)
from fdr_recorder.report.delay import Delay
from fdr_recorder.report.flight_signals import (
    choose_exact,
    ExactTopics,
    Signal,
    SignalTable,
    TopicData,
)
from fdr_recorder.report.rates import Rates, shortest_silence_s
from fdr_recorder.report.recorder_history import RecorderHistory, STATUS_TYPE
from fdr_recorder.report.sampling import Axis, flight_time, NS_PER_DAY, plot_axis, rate_axis
from fdr_recorder.report.states import Lane
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import Messages
from fdr_recorder.types.columns import Integers
import numpy as np

_MOST_WAITING: Final = 8 << 20
"""Bytes of chunks that are taken in together."""
PASSES: Final = 3
"""How many times `gather` reports each byte of a flight to `advance`."""
_VERIFY_TRIES: Final = 5
_MAX_DROPPED_NS: Final = 7 * NS_PER_DAY
"""A header that is older than the first message by more than this has a wrong time."""

OfPayload = TypeVar('OfPayload', bound=Payload)


@dataclass
class Source:
    """
    The origin of a topic's messages.

    Attributes:
        types: Their types; more than one is a fault of the vehicle.
        qos: The QoS profiles that publishers offered, as YAML.
        nodes: Names of the publishers' nodes by gid; empty if unknown.

    """

    types: list[str] = field(default_factory=list)
    qos: list[str] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """
    All that the page says about a flight. Times are nanoseconds of the system clock.

    Attributes:
        info: What the flight says of itself.
        verification: The check of every byte.
        made_ns: When it was gathered.
        start_ns: Where the page's time axis begins.
        end_ns: Where it ends.
        rates: Message counts by topic and time.
        topic_data: The numeric fields of each topic, those with fewer samples first.
        signals: Values to plot, the best topic of each kind first.
        lanes: States of the vehicle over time.
        has_all_signals: False if there were more signals or topics than are plotted.
        bytes_by_time: Bytes written in each bucket of the rates' axis.
        history: Ring fill and free disk space, if diagnostics were recorded.
        sources: The origin of messages, by topic and type.

    """

    info: FlightInfo
    verification: Verification
    made_ns: int
    start_ns: int
    end_ns: int
    rates: Rates
    topic_data: list[TopicData]
    signals: list[Signal]
    lanes: list[Lane]
    has_all_signals: bool
    bytes_by_time: list[int]
    history: RecorderHistory
    sources: dict[TopicType, Source]

    @property
    def is_flight(self) -> bool:
        """Whether it is about a flight: no other recording tells of its recorder, or of losses."""
        return self.info.listed.kind == Kind.FLIGHT.value

    @property
    def topics(self) -> list[TopicInfo]:
        """Return the topics of the vehicle in each type, by name."""
        topics = (topic for topic in self.info.topics.values() if not topic.is_own)
        return sorted(topics, key=lambda topic: topic.key)

    @property
    def messages(self) -> int:
        """Return the number of messages of the vehicle."""
        return sum(topic.messages for topic in self.topics)

    def gap_s(self, data: Signal | TopicData) -> float:
        """Return after how many seconds without a message the values of a topic are unknown."""
        return shortest_silence_s(self.rates.period_s(TopicType(data.topic, data.type))) / 2

    def delay_of(self, key: TopicType) -> Delay | None:
        """Return how long the messages of a topic took; None if that is not known."""
        found = (item for item in self.topic_data if (item.topic, item.type) == key)
        return next((item.delays.result for item in found), None)

    def payloads(self, kind: type[OfPayload]) -> list[tuple[int, OfPayload]]:
        """Return the recorder's own records of a kind, and their times (system clock)."""
        return [
            (event.time_ns, event.payload)
            for event in self.info.events
            if isinstance(event.payload, kind)
        ]


def gather(flight: Path, advance: Advance = lambda _bytes: None) -> Report:
    """
    Gather a report.

    Args:
        flight: The flight's directory.
        advance: Called with the number of bytes just read; in all `PASSES` times the flight.

    Raises:
        NoFlightError: The directory has no segment.
        OSError: It cannot be read.

    """
    made_ns = time.time_ns()
    found = read_info(flight, advance)
    verification = _verify(flight, found, advance)
    outlines = [outline(reader) for reader in read_segments(flight, [])]
    start_ns, end_ns = _time_of(outlines, found)
    flight_id = found.listed.flight_id
    exact, steps = _exact_topics(outlines, found), _clock_steps(found)
    table = SignalTable(plot_axis(start_ns, end_ns), exact, steps)
    plots = _PlotPass(rate_axis(start_ns, end_ns), table, flight_id)
    for reader in read_segments(flight, []):  # damage is known from `read_info`
        plots.read(reader, advance)
    plots.finish()
    return Report(
        info=found,
        verification=verification,
        made_ns=made_ns,
        start_ns=start_ns,
        end_ns=end_ns,
        rates=plots.rates,
        topic_data=table.topics(),
        signals=table.signals(),
        lanes=table.lanes(),
        has_all_signals=table.is_complete,
        bytes_by_time=plots.bytes_by_time.tolist(),
        history=plots.history,
        sources=plots.sources,
    )


def _verify(flight: Path, found: FlightInfo, advance: Advance) -> Verification:
    """Verify the flight; start again if the recorder dropped a segment meanwhile."""
    is_recording = found.listed.status.ended is Ended.OPEN
    for _ in range(_VERIFY_TRIES if is_recording else 0):
        with suppress(FileNotFoundError):
            return verify(flight, advance)
    return verify(flight, advance)


def _clock_steps(found: FlightInfo) -> list[tuple[int, int]]:
    """Return log time and size of each step of the system clock."""
    header = found.header
    if header is None or not header.log_time_offset_ns:
        return []  # of an older version: log times follow the system clock
    return sorted(
        (event.time_ns, event.payload.after_ns - event.payload.before_ns)
        for event in found.events
        if isinstance(event.payload, ClockStep)
    )


def _exact_topics(outlines: list[Outline], found: FlightInfo) -> ExactTopics:
    """Return the topics whose every sample is kept."""
    schemas = {
        _key(channel): channel.schema
        for item in outlines
        for channel in item.channels
        if not channel.topic.startswith(OWN_TOPIC_PREFIX)
    }
    counts = {topic.key: topic.messages for topic in found.topics.values()}
    return choose_exact(schemas, counts)


def _time_of(outlines: list[Outline], found: FlightInfo) -> tuple[int, int]:
    """Return where the page's time axis begins and ends."""
    start_ns, end_ns = flight_time(span for item in outlines for span in item.spans)
    opened_ns = found.listed.started_ns  # earlier segments may have been dropped
    if start_ns - _MAX_DROPPED_NS < opened_ns < start_ns:
        start_ns = opened_ns
    return start_ns, end_ns


class _PlotPass:
    """Collects what is plotted, segment by segment, in order."""

    def __init__(self, rate_axis: Axis, signals: SignalTable, flight_id: str) -> None:
        self.rates = Rates(rate_axis)
        self.signals = signals
        self.history = RecorderHistory(signals.axis, flight_id)
        self.bytes_by_time = np.zeros(rate_axis.buckets, np.int64)
        self.sources: dict[TopicType, Source] = {}
        self._waiting: dict[FileChannel, list[Messages]] = {}
        self._counted: list[tuple[Integers, Integers]] = []
        self._bytes = 0

    def read(self, reader: RecordingFile, advance: Advance) -> None:
        """Read one segment; `finish` when all were read."""
        done = 0
        for chunk in read_chunks(reader, advance):
            if isinstance(chunk, IndexedChunk):
                end_ns = chunk.end_ns
                self._add_indexed(reader, chunk)
            else:
                end_ns = max(message.log_time_ns for message, _ in chunk.messages)
                self._add_read(chunk)
            self._count_bytes(end_ns, chunk.end - done)
            done, last_ns = chunk.end, end_ns
        if done:
            self._count_bytes(last_ns, reader.size - done)
        for channel in reader.channels.values():
            if not channel.topic.startswith(OWN_TOPIC_PREFIX):
                self._note_source(channel)

    def _count_bytes(self, time_ns: int, size: int) -> None:
        axis = self.rates.axis
        bucket = (time_ns - axis.start_ns) // axis.width_ns
        self.bytes_by_time[min(max(bucket, 0), axis.buckets - 1)] += size

    def _note_source(self, channel: FileChannel) -> None:
        source = self.sources.setdefault(_key(channel), Source())
        if channel.schema.name not in source.types:
            source.types.append(channel.schema.name)
        qos = channel.metadata.get(QOS_KEY, '')
        if qos and qos not in source.qos:
            source.qos.append(qos)
        gid = channel.metadata.get(PUBLISHER_KEY, '')
        source.nodes[gid] = source.nodes.get(gid) or channel.metadata.get(NODE_KEY, '')

    # --- chunks --------------------------------------------------------------------------

    def _add_indexed(self, reader: RecordingFile, chunk: IndexedChunk) -> None:
        """Add a chunk by its message indexes; read the chunk itself only for what is plotted."""
        topics: list[Integers] = []
        times: list[Integers] = []
        plotted = []
        for number, offset in chunk.indexes.items():
            channel = reader.channels[number]
            if channel.topic.startswith(OWN_TOPIC_PREFIX):
                continue
            try:
                entries = reader.index_at(offset)
            except SegmentError:  # `verify` reports it
                continue
            times.append(times_of(entries))
            topics.append(np.full(len(times[-1]), self.rates.number(_key(channel))))
            if self._is_plotted(channel):
                plotted.append((channel, entries))
        if times:
            self._counted.append((np.concatenate(topics), np.concatenate(times)))
        self._wait(chunk.uncompressed_bytes if plotted else 0)
        if plotted:
            try:
                records = reader.records_of(chunk)
            except SegmentError:
                return
            buffer = np.frombuffer(records, np.uint8)
            for channel, entries in plotted:
                messages = indexed_messages(buffer, entries)
                self._waiting.setdefault(channel, []).append(messages)

    def _add_read(self, chunk: WholeChunk) -> None:
        """Add a chunk that had to be read message by message: its segment is open or torn."""
        by_channel: dict[FileChannel, list[int]] = {}
        for place, (message, _) in enumerate(chunk.messages):
            if not message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                by_channel.setdefault(message.channel, []).append(place)
        for channel, places in by_channel.items():
            messages = joined_messages(chunk.messages[place][0] for place in places)
            number = self.rates.number(_key(channel))
            self._counted.append((np.full(len(places), number), messages.log_time_ns))
            if self._is_plotted(channel):
                self._waiting.setdefault(channel, []).append(messages)
        self._wait(sum(len(message.data) for message, _ in chunk.messages))

    def _is_plotted(self, channel: FileChannel) -> bool:
        is_status = channel.schema.name == STATUS_TYPE
        is_plotted = is_status or self.signals.of(channel.topic, channel.schema) is not None
        return is_plotted and channel.message_encoding == CDR

    def _wait(self, size: int) -> None:
        """Note that so many bytes more wait; take in what waited before if these are too many."""
        self._bytes += size
        if self._bytes > _MOST_WAITING:
            self.finish()
            self._bytes = size

    def finish(self) -> None:
        """Take in the chunks that are waiting: fewer array operations on more messages."""
        if self._counted:
            topics, times = zip(*self._counted, strict=True)
            self.rates.add(np.concatenate(topics), np.concatenate(times))
            self._counted = []
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for channel, messages in zip(waiting, concatenated(waiting.values()), strict=True):
                self._plot(channel, messages)
        self._bytes = 0

    def _plot(self, channel: FileChannel, messages: Messages) -> None:
        if channel.schema.name == STATUS_TYPE:
            self.history.add(messages)
        topic = self.signals.of(channel.topic, channel.schema)
        if topic is not None:
            topic.add(messages)


def _key(channel: FileChannel) -> TopicType:
    return TopicType(channel.topic, channel.schema.name)
