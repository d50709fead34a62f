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

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
import re
from typing import Final

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.report.sampling import Axis, Extremes
from fdr_recorder.types.cdr_to_columns import ColumnExtractor, Floats, Integers
import numpy as np

MAX_SIGNALS: Final = 24
"""Of all kinds together; further ones are not plotted."""

_QUATERNION: Final = ('x', 'y', 'z', 'w')
_POINT: Final = ('x', 'y', 'z')
_SETPOINT: Final = re.compile(r'set_?point|target|desired|reference|command|cmd', re.IGNORECASE)
_MOST: Final = 1e9
"""No measured angle, distance or voltage is this large; such values are left out."""
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
    status, latitude, longitude, altitude = fields
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
        _Source(GLOBAL, ('status.status', 'latitude', 'longitude', 'altitude'), _global),
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
        extremes: Those of its samples that are plotted.

    """

    topic: str
    type: str
    kind: Kind
    extremes: Extremes
    _convert: Callable[[Floats], Floats]
    _last_yaw: float = float('nan')

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Return the sort key: measurements before setpoints, then the higher rate first."""
        is_setpoint = _SETPOINT.search(self.topic) is not None
        return is_setpoint, self.kind is not GLOBAL, -self.extremes.samples, self.topic

    def add(self, times_ns: Integers, fields: Floats) -> None:
        """Add messages: when they were received, and the fields that the kind needs."""
        values = self._convert(fields)
        with np.errstate(invalid='ignore'):
            values[~(np.abs(values) < _MOST)] = np.nan
        if self.kind is ATTITUDE:
            values[2] = self._unwrapped(values[2])
        self.extremes.add(times_ns, values)

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


class SignalTable:
    """
    All signals of a flight.

    Attributes:
        axis: The buckets of the plots.
        is_complete: False if there were more signals than `MAX_SIGNALS`.

    """

    def __init__(self, axis: Axis) -> None:
        """Start without signals."""
        self.axis = axis
        self.is_complete = True
        self._signals: dict[tuple[str, str, str], Signal] = {}
        self._extractors: dict[tuple[Schema, str], ColumnExtractor | None] = {}

    def find(self, topic: str, schema: Schema) -> list[tuple[Signal, ColumnExtractor]]:
        """Return the signals that a channel has, and what extracts their fields."""
        found = []
        for source in _SOURCES.get(schema.name, ()):
            key = (topic, schema.name, source.kind.name)
            if key not in self._signals and len(self._signals) == MAX_SIGNALS:
                self.is_complete = False
                continue
            extractor = self._extractor(schema, source)
            if extractor is None:
                continue
            if key not in self._signals:
                extremes = Extremes(self.axis, len(source.kind.columns))
                self._signals[key] = Signal(
                    topic, schema.name, source.kind, extremes, source.convert
                )
            found.append((self._signals[key], extractor))
        return found

    def _extractor(self, schema: Schema, source: _Source) -> ColumnExtractor | None:
        key = (schema, source.kind.name)
        if key not in self._extractors:
            try:
                self._extractors[key] = ColumnExtractor(schema, source.paths)
            except RecordError:  # a type of this name with other fields
                self._extractors[key] = None
        return self._extractors[key]

    def signals(self) -> list[Signal]:
        """Return the signals that have samples, the best of each kind first."""
        found = [signal for signal in self._signals.values() if signal.extremes.samples]
        return sorted(found, key=lambda signal: signal.rank)
