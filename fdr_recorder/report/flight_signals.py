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

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
import re
from typing import Final

from fdr_recorder.mcap.schema import Schema
from fdr_recorder.report.sampling import Axis, Extremes, Samples
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import (
    ColumnExtractor,
    Floats,
    Integers,
    Messages,
    numeric_fields,
    NumericField,
)
import numpy as np

MAX_FIELDS: Final = 3000
"""Of all topics together; topics that come when there are so many are not plotted."""
MAX_SIGNALS: Final = 24
"""Of all kinds together; further ones are not plotted."""

_QUATERNION: Final = ('x', 'y', 'z', 'w')
_POINT: Final = ('x', 'y', 'z')
_SETPOINT: Final = re.compile(r'set_?point|target|desired|reference|command|cmd', re.IGNORECASE)
_MOST: Final = 1e9
"""No measured angle, distance or voltage is this large; such values are left out."""
_EXACT_BYTES: Final = 24 << 20
_NO_FIX: Final = -1
_NO_ORIENTATION: Final = -1.0


@dataclass(frozen=True)
class Kind:
    """
    A kind of signal.

    Attributes:
        name: Its name in JSON.
        columns: The names of its values.
        units: The unit of each value.

    """

    name: str
    columns: tuple[str, ...]
    units: tuple[str, ...]

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield name and unit of each value."""
        return zip(self.columns, self.units, strict=True)


ATTITUDE: Final = Kind('attitude', ('roll', 'pitch', 'yaw'), ('°', '°', '°'))
GLOBAL: Final = Kind('global_position', ('latitude', 'longitude', 'altitude'), ('°', '°', 'm'))
LOCAL: Final = Kind('local_position', ('x', 'y', 'z'), ('m', 'm', 'm'))
BATTERY: Final = Kind('battery', ('voltage', 'current', 'percentage'), ('V', 'A', '%'))


@dataclass(frozen=True)
class _Source:
    """How to get a kind of signal from a message type: the fields, and how to convert them."""

    kind: Kind
    paths: tuple[str, ...]
    convert: Callable[[Floats], Floats]


def _below(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f'{prefix}.{name}' for name in names)


def _attitude(fields: Floats) -> Floats:
    """
    Return roll, pitch and yaw in degrees (REP-103: about x, y, z; yaw is left of east).

    `sensor_msgs/Imu` gives a fifth row: it is -1 where a message has no orientation.
    """
    x, y, z, w = fields[:4]
    norm = x * x + y * y + z * z + w * w
    with np.errstate(invalid='ignore', divide='ignore'):
        is_none = ~(np.abs(norm - 1) < 0.1)
        if len(fields) > 4:
            is_none |= fields[4] == _NO_ORIENTATION
        roll = np.arctan2(2 * (w * x + y * z), w * w - x * x - y * y + z * z)
        pitch = np.arcsin(np.clip(2 * (w * y - z * x) / norm, -1, 1))
        yaw = np.arctan2(2 * (w * z + x * y), w * w + x * x - y * y - z * z)
    angles: Floats = np.degrees(np.vstack([roll, pitch, yaw]))
    angles[:, is_none] = np.nan
    return angles


def _global(fields: Floats) -> Floats:
    """Return latitude, longitude and altitude of the messages that have a fix."""
    latitude, longitude, altitude, status = fields
    with np.errstate(invalid='ignore'):
        is_none = ~(status > _NO_FIX) | ~(np.abs(latitude) <= 90) | ~(np.abs(longitude) <= 180)
    position = np.vstack([latitude, longitude, altitude])
    position[:, is_none] = np.nan
    return position


def _battery(fields: Floats) -> Floats:
    """Return volts, amperes (discharging is positive) and percent."""
    voltage, current, percentage = fields
    return np.vstack([voltage, -current, percentage * 100])


def _same(fields: Floats) -> Floats:
    return fields


def _pose(prefix: str) -> tuple[_Source, ...]:
    return (
        _Source(ATTITUDE, _below(f'{prefix}.orientation', _QUATERNION), _attitude),
        _Source(LOCAL, _below(f'{prefix}.position', _POINT), _same),
    )


_SOURCES: Final[Mapping[str, tuple[_Source, ...]]] = {
    'nav_msgs/msg/Odometry': _pose('pose.pose'),
    'geometry_msgs/msg/PoseStamped': _pose('pose'),
    'geometry_msgs/msg/PoseWithCovarianceStamped': _pose('pose.pose'),
    'geometry_msgs/msg/QuaternionStamped': (
        _Source(ATTITUDE, _below('quaternion', _QUATERNION), _attitude),
    ),
    'sensor_msgs/msg/Imu': (
        _Source(
            ATTITUDE, (*_below('orientation', _QUATERNION), 'orientation_covariance'), _attitude
        ),
    ),
    'sensor_msgs/msg/NavSatFix': (
        _Source(GLOBAL, ('latitude', 'longitude', 'altitude', 'status.status'), _global),
    ),
    'sensor_msgs/msg/BatteryState': (
        _Source(BATTERY, ('voltage', 'current', 'percentage'), _battery),
    ),
}


@dataclass
class Signal:
    """
    A signal of one topic.

    Attributes:
        topic: The topic's name.
        type: The topic's type.
        kind: What the signal is.
        prefix: Of the names of its values among the fields of the type.
        samples: Its samples.

    """

    topic: str
    type: str
    kind: Kind
    prefix: str
    samples: Samples
    _convert: Callable[[Floats], Floats]
    _last_yaw: float = float('nan')

    @property
    def extremes(self) -> Extremes:
        """Return the samples that a small plot needs."""
        return self.samples.extremes

    @property
    def is_setpoint(self) -> bool:
        """Whether the topic says what is wanted, and not what is."""
        return _SETPOINT.search(self.topic) is not None

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Return the sort key: measurements before setpoints, then the higher rate first."""
        return self.is_setpoint, self.kind is not GLOBAL, -self.samples.count, self.topic

    def add(self, times_ns: Integers, fields: Floats) -> None:
        """Add messages: when they were received, and the fields that the kind needs."""
        values = self._convert(fields)
        with np.errstate(invalid='ignore'):
            values[~(np.abs(values) < _MOST)] = np.nan
        if self.kind is ATTITUDE:
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

    """

    def __init__(self, topic: str, schema: Schema, axis: Axis, *, is_exact: bool) -> None:
        """Start without messages; a type whose definition cannot be used has no fields."""
        self.topic = topic
        self.type = schema.name
        self.fields = plotted_fields(schema)
        paths = [item.path for item in self.fields]
        self.samples = Samples(axis, len(paths), is_exact=is_exact, with_rows=False)
        self.signals: list[Signal] = []
        self._rows: list[list[int]] = []
        row_of = {name: row for row, item in enumerate(self.fields) for name in item.names}
        for source in _SOURCES.get(schema.name, ()):
            if not row_of.keys() >= set(source.paths):  # a type of this name with other fields
                continue
            samples = Samples(axis, len(source.kind.columns), is_exact=is_exact, with_rows=True)
            prefix = ''.join(source.paths[0].rpartition('.')[:2])
            self.signals.append(
                Signal(topic, schema.name, source.kind, prefix, samples, source.convert)
            )
            self._rows.append([row_of[path] for path in source.paths])
        self._extractor = ColumnExtractor(schema, paths) if paths else None

    def add(self, messages: Messages) -> None:
        """Add messages of the topic."""
        if self._extractor is None:
            return
        values = self._extractor.extract(messages)
        self.samples.add(messages.log_time_ns, values)
        for signal, rows in zip(self.signals, self._rows, strict=True):
            signal.add(messages.log_time_ns, values[rows])


def plotted_fields(schema: Schema) -> list[NumericField]:
    """Return the numeric fields of a type that can be plotted: all but those of stamps."""
    fields = numeric_fields(schema)
    seconds = {
        item.path.removesuffix('.nanosec') for item in fields if item.path.endswith('.nanosec')
    }
    stamps = {f'{path}{part}' for path in seconds for part in ('.sec', '.nanosec')}
    return [item for item in fields if item.path not in stamps]


class SignalTable:
    """
    All that is plotted of a flight's topics.

    Attributes:
        axis: The buckets of the plots.
        is_complete: False if there were more topics or signals than are taken.

    """

    def __init__(self, axis: Axis, exact: Set[TopicType] = frozenset()) -> None:
        """
        Start without topics.

        Args:
            axis: The buckets of the plots.
            exact: The topics whose every sample is kept.

        """
        self.axis = axis
        self.is_complete = True
        self._exact = exact
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
            found = TopicData(topic, schema, self.axis, is_exact=key in self._exact)
            self._topics[key] = found
            self._fields += len(found.fields)
        return found if found.fields else None

    def topics(self) -> list[TopicData]:
        """Return the topics that have samples, those with fewer samples first."""
        found = [topic for topic in self._topics.values() if topic.samples.count]
        return sorted(found, key=lambda topic: (topic.samples.count, topic.topic))

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
        return found[:MAX_SIGNALS]


def choose_exact(
    schemas: Mapping[TopicType, Schema], counts: Mapping[TopicType, int]
) -> Set[TopicType]:
    """
    Choose the topics whose every sample is kept, within a limit of memory.

    Those that are shown from the start come first, then those with fewer messages.
    """
    left, chosen = _EXACT_BYTES, set[TopicType]()

    def rank(key: TopicType) -> tuple[bool, int, TopicType]:
        return key.type_name not in _SOURCES, counts.get(key, 0), key

    for key in sorted(schemas, key=rank):
        columns = 2 + len(plotted_fields(schemas[key]))
        size = counts.get(key, 0) * columns * 8
        if size <= left:
            left -= size
            chosen.add(key)
    return chosen
