# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Where a flight was: some points of the best topic that tells of positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.info import FlightInfo
from fdr_recorder.flights.reader import read_chunks, read_segments
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.mcap.decode import FileChannel
from fdr_recorder.mcap.layout import CDR
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.report.chunk_reading import indexed_messages, joined_messages
from fdr_recorder.report.flight_signals import Signal
from fdr_recorder.report.known_types import GLOBAL, signal_sources, SignalSource
from fdr_recorder.report.sampling import plot_axis, Samples
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import ColumnExtractor, Floats, Messages
from fdr_recorder.types.columns import Integers
import numpy as np

MOST_POINTS: Final = 200
_MOST_KEPT: Final = 16384
_MOST_LATITUDE: Final = 90.0
_DIGITS: Final = 7
"""Of degrees: a centimetre."""


@dataclass(frozen=True)
class Track:
    """
    Where a flight was.

    Attributes:
        topic: Which tells; empty if none does.
        points: Log time (ns), latitude and longitude (degrees), altitude (m), which may be NaN.

    """

    topic: str = ''
    points: list[tuple[int, float, float, float]] = field(default_factory=list)


def read_track(flight: Path, info: FlightInfo) -> Track:
    """
    Read where a flight was; of a flight that does not tell, nothing is read.

    Raises:
        OSError: A file cannot be read.

    """
    for topic, source in _candidates(info):
        thinned = _Thinned()
        for reader in read_segments(flight, []):
            _read(reader, topic, source, thinned)
        points = thinned.points()
        if points:
            return Track(topic.topic, points)
    return Track()


def _candidates(info: FlightInfo) -> list[tuple[TopicType, SignalSource]]:
    """Return the topics that tell, the best first: as the report has them."""
    axis = plot_axis(0, 1)
    found = []
    for topic in info.topics.values():
        for source in signal_sources(topic.type):
            if source.kind is GLOBAL and topic.messages:
                samples = Samples(axis, 0, is_exact=False, with_rows=False)
                signal = Signal(topic.name, topic.type, source, samples)
                rank = signal.is_setpoint, -topic.messages, topic.name
                found.append((rank, topic.key, source))
    found.sort(key=lambda item: item[0])
    return [(key, source) for _, key, source in found]


def _read(
    reader: RecordingFile, topic: TopicType, source: SignalSource, thinned: _Thinned
) -> None:
    extractors: dict[FileChannel, ColumnExtractor | None] = {}
    for channel, messages in _messages(reader, topic):
        if channel not in extractors:
            try:
                extractors[channel] = ColumnExtractor(channel.schema, source.paths)
            except RecordError:  # a type of this name with other fields
                extractors[channel] = None
        extractor = extractors[channel]
        if extractor is not None:
            with np.errstate(all='ignore'):  # whatever a message may hold
                values = source.convert(extractor.extract(messages))
            thinned.add(messages.log_time_ns, values)


def _messages(reader: RecordingFile, topic: TopicType) -> Iterator[tuple[FileChannel, Messages]]:
    """Yield the messages of a topic, chunk by chunk; chunks without them are not read."""
    for chunk in read_chunks(reader, lambda _bytes: None):
        if isinstance(chunk, IndexedChunk):
            wanted = [
                (reader.channels[number], offset)
                for number, offset in chunk.indexes.items()
                if _is_of(reader.channels[number], topic)
            ]
            try:
                buffer = np.frombuffer(reader.records_of(chunk), np.uint8) if wanted else None
                for channel, offset in wanted:
                    assert buffer is not None
                    yield channel, indexed_messages(buffer, reader.index_at(offset))
            except SegmentError:  # `verify` tells
                continue
        else:
            by_channel: dict[FileChannel, list[int]] = {}
            for place, (message, _) in enumerate(chunk.messages):
                if _is_of(message.channel, topic):
                    by_channel.setdefault(message.channel, []).append(place)
            for channel, places in by_channel.items():
                yield channel, joined_messages(chunk.messages[place][0] for place in places)


def _is_of(channel: FileChannel, topic: TopicType) -> bool:
    same = channel.topic == topic.topic and channel.schema.name == topic.type_name
    return same and channel.message_encoding == CDR


class _Thinned:
    """Keeps every n-th point, where n doubles whenever there are too many."""

    def __init__(self) -> None:
        self._every = 1
        self._seen = 0
        self._kept = np.zeros((4, 0))
        self._last = np.zeros((4, 0))

    def add(self, times_ns: Integers, values: Floats) -> None:
        with np.errstate(invalid='ignore'):
            is_known = np.isfinite(values[0]) & np.isfinite(values[1])
            is_known &= (np.abs(values[0]) <= _MOST_LATITUDE) & (np.abs(values[1]) <= 180.0)
        points = np.vstack([times_ns.astype(np.float64), values])[:, is_known]
        # as floats, times of this century are right to a microsecond
        if not points.shape[1]:
            return
        number = np.arange(self._seen, self._seen + points.shape[1])
        self._seen += points.shape[1]
        self._last = points[:, -1:]
        self._kept = np.hstack([self._kept, points[:, number % self._every == 0]])
        while self._kept.shape[1] > _MOST_KEPT:
            self._kept = self._kept[:, ::2]
            self._every *= 2

    def points(self) -> list[tuple[int, float, float, float]]:
        """Return at most `MOST_POINTS`, the first and the last among them, evenly in time."""
        if not self._seen:
            return []
        kept = np.hstack([self._kept, self._last])
        kept = kept[:, np.argsort(kept[0], kind='stable')]
        wanted = np.linspace(kept[0, 0], kept[0, -1], MOST_POINTS)
        places = np.unique(np.searchsorted(kept[0], wanted).clip(0, kept.shape[1] - 1))
        return [
            (int(time), round(lat, _DIGITS), round(lon, _DIGITS), round(alt, 3))
            for time, lat, lon, alt in kept[:, places].T.tolist()
        ]
