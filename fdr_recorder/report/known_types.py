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
What the report knows of message types: which of their fields say how the vehicle flew.

Types of `sensor_msgs`, `nav_msgs` and `geometry_msgs` are in the axes of ROS (REP-103: x forward,
y left, z up; the world's are east, north, up), and so are those of MAVROS, which converts what
MAVLink sends. Those of `px4_msgs` are in the axes of aircraft: x forward, y right, z down; the
world's are north, east, down (NED); quaternions begin with w.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
import re
from typing import Final

from fdr_recorder.types.cdr_to_columns import Floats
import numpy as np

_XYZW: Final = ('x', 'y', 'z', 'w')
_WXYZ: Final = (1, 2, 3, 0)
_POINT: Final = ('x', 'y', 'z')
_NO_FIX: Final = -1
_FIX_2D: Final = 2
_NO_ORIENTATION: Final = -1.0
_IGNORE_POSITION: Final = (1, 2, 4)
_IGNORE_VELOCITY: Final = (8, 16, 32)
_IGNORE_RATES: Final = (1, 2, 4)
_IGNORE_ATTITUDE: Final = (128, 128, 128)
"""Bits of `type_mask` in the messages of MAVLink, and so of MAVROS."""
_VERSION: Final = re.compile(r'V\d+$')


@dataclass(frozen=True)
class Kind:
    """
    A kind of signal.

    Attributes:
        name: Its name in JSON.
        columns: The names of its values.
        units: The unit of each value.
        labels: The title of the chart of each value.
        section: The section of the page that it is in.
        note: What a reader must know of it.

    """

    name: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    labels: tuple[str, ...]
    section: str
    note: str = ''

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield name and unit of each value."""
        return zip(self.columns, self.units, strict=True)


_ANGLES: Final = ('roll', 'pitch', 'yaw')
ATTITUDE: Final = Kind(
    'attitude', _ANGLES, ('°', '°', '°'), ('Roll', 'Pitch', 'Yaw'), 'attitude',
    'Roll right, pitch down and yaw left are positive (REP-103).',
)  # fmt: skip
ATTITUDE_NED: Final = Kind(
    'attitude_ned', _ANGLES, ('°', '°', '°'), ('Roll', 'Pitch', 'Yaw'), 'attitude',
    'Roll right, pitch up and yaw right of north are positive (NED).',
)  # fmt: skip
RATES: Final = Kind(
    'rates', _ANGLES, ('°/s',) * 3, ('Roll rate', 'Pitch rate', 'Yaw rate'), 'rates',
    'Roll right, pitch down and yaw left are positive (REP-103).',
)  # fmt: skip
RATES_NED: Final = Kind(
    'rates_ned', _ANGLES, ('°/s',) * 3, ('Roll rate', 'Pitch rate', 'Yaw rate'), 'rates',
    'Roll right, pitch up and yaw right are positive (NED).',
)  # fmt: skip
GLOBAL: Final = Kind(
    'global_position', ('latitude', 'longitude', 'altitude'), ('°', '°', 'm'),
    ('Latitude', 'Longitude', 'Altitude'), 'position',
)  # fmt: skip
LOCAL: Final = Kind('local_position', _POINT, ('m',) * 3, _POINT, 'position')
LOCAL_NED: Final = Kind(
    'local_position_ned', _POINT, ('m',) * 3, ('x, north', 'y, east', 'z, down'), 'position',
    'In the axes of PX4: north, east, down (NED).',
)  # fmt: skip
VELOCITY: Final = Kind('velocity', _POINT, ('m/s',) * 3, ('vx', 'vy', 'vz'), 'velocity')
VELOCITY_NED: Final = Kind(
    'velocity_ned', _POINT, ('m/s',) * 3, ('vx, north', 'vy, east', 'vz, down'), 'velocity',
    'In the axes of PX4: north, east, down (NED).',
)  # fmt: skip
BATTERY: Final = Kind(
    'battery', ('voltage', 'current', 'percentage'), ('V', 'A', '%'),
    ('Voltage', 'Current', 'Percentage'), 'battery',
    'Current that the vehicle draws is positive.',
)  # fmt: skip


# --- conversions: a row for each field, a column for each message ------------------------------


def same(fields: Floats) -> Floats:
    """Return the fields as they are."""
    return fields


def _attitude(fields: Floats) -> Floats:
    """
    Return roll, pitch and yaw in degrees, about x, y and z, from a quaternion that ends with w.

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


def _attitude_of_px4(fields: Floats) -> Floats:
    """Return the same from a quaternion that begins with w."""
    return _attitude(fields[list(_WXYZ)])


def _fix(fields: Floats, lowest: int = _NO_FIX + 1, scale: float = 1.0) -> Floats:
    """Return latitude, longitude and altitude of the messages that have a fix."""
    latitude, longitude, altitude, status = fields
    if scale != 1.0:
        latitude, longitude, altitude = latitude * scale, longitude * scale, altitude / 1000
    with np.errstate(invalid='ignore'):
        is_none = ~(status >= lowest) | ~(np.abs(latitude) <= 90) | ~(np.abs(longitude) <= 180)
    position = np.vstack([latitude, longitude, altitude])
    position[:, is_none] = np.nan
    return position


def _place(fields: Floats) -> Floats:
    """Return latitude, longitude and altitude where they can be; PX4 says 0, 0 for unknown."""
    is_known = (fields[0] != 0) | (fields[1] != 0)
    return _fix(np.vstack([fields[:3], is_known]), lowest=1)


def _battery(fields: Floats) -> Floats:
    """Return volts, amperes (discharging is positive) and percent."""
    voltage, current, percentage = fields
    return np.vstack([voltage, -current, percentage * 100])


def _battery_of_px4(fields: Floats) -> Floats:
    """Return the same; PX4 says -1 for unknown, and draws positive current."""
    voltage, current, remaining = fields
    current = np.where(current == -1, np.nan, current)
    return np.vstack([voltage, current, np.where(remaining < 0, np.nan, remaining * 100)])


def _unless_ignored(fields: Floats, bits: tuple[int, int, int], scale: float = 1.0) -> Floats:
    """Return three fields where the fourth, a mask of what is to be ignored, allows them."""
    mask = np.nan_to_num(fields[3]).astype(np.int64)
    ignored = (mask & np.array(bits)[:, None]) != 0
    return np.where(ignored, np.nan, fields[:3] * scale)


def _attitude_target(fields: Floats) -> Floats:
    """Return roll, pitch and yaw unless the fifth field says that they are to be ignored."""
    return _unless_ignored(np.vstack([_attitude(fields[:4]), fields[4]]), _IGNORE_ATTITUDE)


# --- types -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignalSource:
    """
    How to get a kind of signal from a message type.

    Attributes:
        kind: The kind.
        paths: The fields that it needs.
        convert: Makes the kind's values of them.
        is_setpoint: Whether the type says what is wanted, and not what is.

    """

    kind: Kind
    paths: tuple[str, ...]
    convert: Callable[[Floats], Floats] = same
    is_setpoint: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names of the values among the fields of the type."""
        if self.convert is same:
            return self.paths
        prefix = ''.join(self.paths[0].rpartition('.')[:2])
        return tuple(f'{prefix}{name}' for name in self.kind.columns)


def _below(prefix: str, names: tuple[str, ...] = _POINT) -> tuple[str, ...]:
    return tuple(f'{prefix}.{name}' for name in names)


def _elements(name: str, count: int = 3) -> tuple[str, ...]:
    return tuple(f'{name}[{place}]' for place in range(count))


def _pose(prefix: str) -> tuple[SignalSource, ...]:
    return (
        SignalSource(ATTITUDE, _below(f'{prefix}.orientation', _XYZW), _attitude),
        SignalSource(LOCAL, _below(f'{prefix}.position')),
    )


def _twist(prefix: str) -> tuple[SignalSource, ...]:
    return (
        SignalSource(VELOCITY, _below(f'{prefix}linear')),
        SignalSource(RATES, _below(f'{prefix}angular'), np.degrees),
    )


_IMU: Final = (*_below('orientation', _XYZW), 'orientation_covariance')
_FIX: Final = ('latitude', 'longitude', 'altitude', 'status.status')

_SOURCES: Final[Mapping[str, tuple[SignalSource, ...]]] = {
    'nav_msgs/msg/Odometry': (*_pose('pose.pose'), *_twist('twist.twist.')),
    'geometry_msgs/msg/PoseStamped': _pose('pose'),
    'geometry_msgs/msg/PoseWithCovarianceStamped': _pose('pose.pose'),
    'geometry_msgs/msg/QuaternionStamped': (
        SignalSource(ATTITUDE, _below('quaternion', _XYZW), _attitude),
    ),
    'geometry_msgs/msg/PointStamped': (SignalSource(LOCAL, _below('point')),),
    'geometry_msgs/msg/Twist': _twist(''),
    'geometry_msgs/msg/TwistStamped': _twist('twist.'),
    'geometry_msgs/msg/TwistWithCovarianceStamped': _twist('twist.twist.'),
    'sensor_msgs/msg/Imu': (
        SignalSource(ATTITUDE, _IMU, _attitude),
        SignalSource(RATES, _below('angular_velocity'), np.degrees),
    ),
    'sensor_msgs/msg/NavSatFix': (SignalSource(GLOBAL, _FIX, _fix),),
    'sensor_msgs/msg/BatteryState': (
        SignalSource(BATTERY, ('voltage', 'current', 'percentage'), _battery),
    ),
    'mavros_msgs/msg/PositionTarget': (
        SignalSource(
            LOCAL, (*_below('position'), 'type_mask'),
            partial(_unless_ignored, bits=_IGNORE_POSITION), is_setpoint=True,
        ),
        SignalSource(
            VELOCITY, (*_below('velocity'), 'type_mask'),
            partial(_unless_ignored, bits=_IGNORE_VELOCITY), is_setpoint=True,
        ),
    ),
    'mavros_msgs/msg/AttitudeTarget': (
        SignalSource(
            ATTITUDE, (*_below('orientation', _XYZW), 'type_mask'), _attitude_target,
            is_setpoint=True,
        ),
        SignalSource(
            RATES, (*_below('body_rate'), 'type_mask'),
            partial(_unless_ignored, bits=_IGNORE_RATES, scale=np.degrees(1.0)),
            is_setpoint=True,
        ),
    ),
    'px4_msgs/msg/VehicleAttitude': (
        SignalSource(ATTITUDE_NED, _elements('q', 4), _attitude_of_px4),
    ),
    'px4_msgs/msg/VehicleAttitudeSetpoint': (
        SignalSource(ATTITUDE_NED, _elements('q_d', 4), _attitude_of_px4, is_setpoint=True),
    ),
    'px4_msgs/msg/VehicleAngularVelocity': (
        SignalSource(RATES_NED, _elements('xyz'), np.degrees),
    ),
    'px4_msgs/msg/SensorCombined': (SignalSource(RATES_NED, _elements('gyro_rad'), np.degrees),),
    'px4_msgs/msg/VehicleRatesSetpoint': (
        SignalSource(RATES_NED, _ANGLES, np.degrees, is_setpoint=True),
    ),
    'px4_msgs/msg/VehicleLocalPosition': (
        SignalSource(LOCAL_NED, _POINT),
        SignalSource(VELOCITY_NED, ('vx', 'vy', 'vz')),
    ),
    'px4_msgs/msg/VehicleLocalPositionSetpoint': (
        SignalSource(LOCAL_NED, _POINT, is_setpoint=True),
        SignalSource(VELOCITY_NED, ('vx', 'vy', 'vz'), is_setpoint=True),
    ),
    'px4_msgs/msg/TrajectorySetpoint': (
        SignalSource(LOCAL_NED, _elements('position'), is_setpoint=True),
        SignalSource(VELOCITY_NED, _elements('velocity'), is_setpoint=True),
    ),
    'px4_msgs/msg/VehicleOdometry': (
        SignalSource(ATTITUDE_NED, _elements('q', 4), _attitude_of_px4),
        SignalSource(LOCAL_NED, _elements('position')),
        SignalSource(VELOCITY_NED, _elements('velocity')),
    ),
    'px4_msgs/msg/VehicleGlobalPosition': (SignalSource(GLOBAL, ('lat', 'lon', 'alt'), _place),),
    'px4_msgs/msg/SensorGps': (
        SignalSource(
            GLOBAL, ('latitude_deg', 'longitude_deg', 'altitude_msl_m', 'fix_type'),
            partial(_fix, lowest=_FIX_2D),
        ),
        SignalSource(
            GLOBAL, ('lat', 'lon', 'alt', 'fix_type'),
            partial(_fix, lowest=_FIX_2D, scale=1e-7),
        ),
    ),
    'px4_msgs/msg/BatteryStatus': (
        SignalSource(BATTERY, ('voltage_v', 'current_a', 'remaining'), _battery_of_px4),
    ),
}  # fmt: skip


def known_type(name: str) -> str:
    """Return a type's name as it is known here: those of PX4 may end with a version."""
    package, _, message = name.rpartition('/')
    return f'px4_msgs/msg/{_VERSION.sub("", message)}' if package.startswith('px4_msgs') else name


def signal_sources(type_name: str) -> tuple[SignalSource, ...]:
    """Return what the messages of a type say of how the vehicle flew."""
    return _SOURCES.get(known_type(type_name), ())
