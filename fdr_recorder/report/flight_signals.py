# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Attitude, position and battery over time, from topics of standard types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
import re
from typing import Final

from fdr_recorder.mcap.schema import Schema
from fdr_recorder.report.delay import Delays
from fdr_recorder.report.known_types import (
    ATTITUDE,
    GLOBAL,
    Kind,
    signal_sources,
    SignalSource,
)
from fdr_recorder.report.sampling import Axis, Extremes, Samples
from fdr_recorder.report.states import Lane, NumberStates, TextStates
from fdr_recorder.report.thumbnails import MAX_TOPICS, reads_images, Thumbnails
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import (
    ColumnExtractor,
    Floats,
    Messages,
    numeric_fields,
    NumericField,
)
from fdr_recorder.types.columns import Integers
from fdr_recorder.units import NS_PER_S
import numpy as np

MAX_FIELDS: Final = 3000
"""Of all topics together; topics that come when there are so many are not plotted."""
MAX_SIGNALS: Final = 24
"""Of all kinds together; further ones are not plotted."""

_SETPOINT: Final = re.compile(
    r'set_?point|target|desired|reference|command|cmd|goal', re.IGNORECASE
)
_MOST: Final = 1e9
"""No measured angle, distance or voltage is this large; such values are left out."""
_EXACT_BYTES: Final = 24 << 20
_VALUE_BYTES: Final = 8
_OTHER_COLUMNS: Final = 4
"""Times and delays, beside the fields."""


@dataclass
class Signal:
    """
    A signal of one topic.

    Attributes:
        topic: The topic's name.
        type: The topic's type.
        source: What it is, and how it is made of the topic's fields.
        samples: Its samples.

    """

    topic: str
    type: str
    source: SignalSource
    samples: Samples
    _last_yaw: float = float('nan')

    @property
    def kind(self) -> Kind:
        """Return what the signal is."""
        return self.source.kind

    @property
    def extremes(self) -> Extremes:
        """Return the samples that a small plot needs."""
        return self.samples.extremes

    @property
    def is_setpoint(self) -> bool:
        """Whether the topic says what is wanted, and not what is."""
        return self.source.is_setpoint or _SETPOINT.search(self.topic) is not None

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Return the sort key: measurements before setpoints, then the higher rate first."""
        return self.is_setpoint, self.kind is not GLOBAL, -self.samples.count, self.topic

    def add(self, times_ns: Integers, fields: Floats) -> None:
        """Add messages: when they were received, and the fields that the kind needs."""
        with np.errstate(all='ignore'):  # whatever a message may hold
            values = self.source.convert(fields)
            values[~(np.abs(values) < _MOST)] = np.nan
        if self.kind.name.startswith(ATTITUDE.name):
            values[2] = self._unwrapped(values[2])
        self.samples.add(times_ns, values)

    def _unwrapped(self, yaw: Floats) -> Floats:
        """Return yaw without jumps from 180 to -180 degrees, so that its extremes make sense."""
        is_known = np.isfinite(yaw)
        known = yaw[is_known]
        if len(known):
            if np.isfinite(self._last_yaw):
                known = np.unwrap(np.r_[self._last_yaw, known], period=360)[1:]
            else:
                known = np.unwrap(known, period=360)
            self._last_yaw = float(known[-1])
            yaw[is_known] = known
        return yaw


class TopicData:
    """
    What is plotted of one topic in one type: its numeric fields, and the signals made of them.

    Attributes:
        topic: The topic's name.
        type: The topic's type.
        fields: Its numeric fields.
        samples: Their values.
        signals: The signals that its type is known for.
        states: The states that its numbers tell.
        texts: Those that it tells in words.
        delays: How long its messages took.
        thumbnails: Some of its images; None if it has none.

    """

    def __init__(
        self,
        topic: str,
        schema: Schema,
        axis: Axis,
        *,
        has_exact_signals: bool,
        has_exact_fields: bool,
        clock_steps: Sequence[tuple[int, int]] = (),
        has_images: bool = False,
    ) -> None:
        """
        Start without messages; a type whose definition cannot be used has no fields.

        Args:
            topic: The topic's name.
            schema: Its type.
            axis: The buckets of the plots.
            has_exact_signals: Keep every sample of its signals.
            has_exact_fields: Keep every sample of its fields.
            clock_steps: As for `Delays`.
            has_images: Take thumbnails.

        """
        self.delays = Delays(axis, clock_steps, is_exact=has_exact_fields)
        self.thumbnails = Thumbnails(schema, axis.start_ns, axis.end_ns) if has_images else None
        self.topic = topic
        self.type = schema.name
        self.fields = plotted_fields(schema)
        paths = [item.path for item in self.fields]
        self.samples = Samples(axis, len(paths), is_exact=has_exact_fields, with_rows=False)
        self.signals: list[Signal] = []
        self._rows: list[list[int]] = []
        self._start_ns = axis.start_ns
        self.states = NumberStates(topic, schema, paths)
        self.texts = TextStates(topic, schema)
        row_of = {name: row for row, item in enumerate(self.fields) for name in item.names}
        for source in signal_sources(schema.name):
            if not row_of.keys() >= set(source.paths):  # a type of this name with other fields
                continue
            columns = len(source.kind.columns)
            samples = Samples(axis, columns, is_exact=has_exact_signals, with_rows=True)
            self.signals.append(Signal(topic, schema.name, source, samples))
            self._rows.append([row_of[path] for path in source.paths])
        self._state_rows = [row_of[path] for path in self.states.paths]
        self._extractor = ColumnExtractor(schema, paths) if paths else None

    @property
    def lanes(self) -> list[Lane]:
        """Return the states that it tells."""
        return [lane for lane in (*self.states.lanes, *self.texts.lanes) if lane.changes]

    def add(self, messages: Messages) -> None:
        """Add messages of the topic."""
        self.delays.add(messages)
        if self.thumbnails is not None:
            self.thumbnails.add(messages)
        if self.texts.reads:
            self.texts.add(messages, self._start_ns)
        if self._extractor is None:
            return
        values = self._extractor.extract(messages)
        self.samples.add(messages.log_time_ns, values)
        for signal, rows in zip(self.signals, self._rows, strict=True):
            signal.add(messages.log_time_ns, values[rows])
        if self._state_rows:
            seconds = (messages.log_time_ns - self._start_ns) / NS_PER_S
            self.states.add(seconds, values[self._state_rows])


def plotted_fields(schema: Schema) -> list[NumericField]:
    """Return the numeric fields of a type that can be plotted: all but those of stamps."""
    fields = numeric_fields(schema)
    seconds = {
        item.path.removesuffix('.nanosec') for item in fields if item.path.endswith('.nanosec')
    }
    stamps = {f'{path}{part}' for path in seconds for part in ('.sec', '.nanosec')}
    return [item for item in fields if item.path not in stamps]


@dataclass(frozen=True)
class ExactTopics:
    """
    Topics whose every sample is kept.

    Attributes:
        signals: Of their signals, which are shown from the start.
        fields: Of all their fields.

    """

    signals: Set[TopicType] = frozenset()
    fields: Set[TopicType] = frozenset()


class SignalTable:
    """
    All that is plotted of a flight's topics.

    Attributes:
        axis: The buckets of the plots.
        is_complete: False if there were more topics or signals than are taken.

    """

    def __init__(
        self,
        axis: Axis,
        exact: ExactTopics | None = None,
        clock_steps: Sequence[tuple[int, int]] = (),
    ) -> None:
        """
        Start without topics.

        Args:
            axis: The buckets of the plots.
            exact: The topics whose every sample is kept; None for none.
            clock_steps: As for `Delays`.

        """
        self._clock_steps = clock_steps
        self._cameras = 0
        self.axis = axis
        self.is_complete = True
        self._exact = exact or ExactTopics()
        self._topics: dict[TopicType, TopicData] = {}
        self._fields = 0

    def of(self, topic: str, schema: Schema) -> TopicData | None:
        """Return where the messages of a channel go; None if there are too many topics."""
        key = TopicType(topic, schema.name)
        found = self._topics.get(key)
        if found is None:
            if self._fields > MAX_FIELDS:
                self.is_complete = False
                return None
            has_images = reads_images(schema) and self._cameras < MAX_TOPICS
            self._cameras += has_images
            found = TopicData(
                topic,
                schema,
                self.axis,
                has_exact_signals=key in self._exact.signals,
                has_exact_fields=key in self._exact.fields,
                clock_steps=self._clock_steps,
                has_images=has_images,
            )
            self._topics[key] = found
            self._fields += len(found.fields)
        return found

    def topics(self) -> list[TopicData]:
        """Return the topics, those with fewer samples first."""
        found = list(self._topics.values())
        return sorted(found, key=lambda topic: (topic.samples.count, topic.topic))

    def lanes(self) -> list[Lane]:
        """Return the states of the vehicle over time."""
        return [lane for topic in self._topics.values() for lane in topic.lanes]

    def signals(self) -> list[Signal]:
        """Return the signals that have samples, the best of each kind first."""
        found = [
            signal
            for topic in self._topics.values()
            for signal in topic.signals
            if signal.samples.count
        ]
        found.sort(key=lambda signal: signal.rank)
        self.is_complete &= len(found) <= MAX_SIGNALS
        place: Counter[str] = Counter()
        order: dict[int, int] = {}
        for number, signal in enumerate(found):
            order[number] = place[signal.kind.name]
            place[signal.kind.name] += 1
        best = sorted(sorted(order, key=lambda number: order[number])[:MAX_SIGNALS])
        return [found[number] for number in best]


def choose_exact(
    schemas: Mapping[TopicType, Schema], counts: Mapping[TopicType, int]
) -> ExactTopics:
    """
    Choose the topics whose every sample is kept, within a limit of memory.

    Signals come first, then fields; of either, those with fewer messages.
    """
    left = _EXACT_BYTES
    signals, fields = set[TopicType](), set[TopicType]()
    by_count = sorted(schemas, key=lambda key: (counts.get(key, 0), key))

    def take(chosen: set[TopicType], key: TopicType, columns: int) -> None:
        nonlocal left
        size = counts.get(key, 0) * columns * _VALUE_BYTES
        if columns and size <= left:
            left -= size
            chosen.add(key)

    for key in by_count:
        sources = signal_sources(key.type_name)
        take(signals, key, sum(1 + len(source.kind.columns) for source in sources))
    for key in by_count:
        take(fields, key, _OTHER_COLUMNS + len(plotted_fields(schemas[key])))
    return ExactTopics(signals, fields)
