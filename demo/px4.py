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
The rules that turn PX4's messages into ROS messages.

PX4's messages have no ROS type outside ``px4_msgs``, so each is mapped to the standard message
with the same meaning, in ROS's axes and units (REP-103, REP-145): metres, radians, tesla, pascal,
world east-north-up, body forward-left-up. Field names have changed between PX4 versions; most of
them are known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any

from demo.rotation import (
    about_z,
    frd_to_flu,
    ned_to_enu,
    px4_attitude_to_ros,
    px4_heading_to_ros_yaw,
    Vector,
)
from demo.source import diagonal, Fields, wxyz, xyz

_NEVER_MEASURED = 2**31 - 1  # PX4's RELATIVE_TIMESTAMP_INVALID
_TESLA_PER_GAUSS = 1e-4
_UNKNOWN = [0.0] * 9  # sensor_msgs: an all-zero covariance is unknown
_NOT_GIVEN = [-1.0] + [0.0] * 8  # sensor_msgs/Imu: there is no such measurement at all


class MissingFieldError(Exception):
    """A PX4 message lacks a field that its mapping needs."""


class Columns:
    """A PX4 message's samples, column by column, with the older and newer names of a field."""

    def __init__(self, data: Mapping[str, Sequence[Any]]) -> None:
        self._data = data

    def find(self, *names: str) -> Sequence[Any] | None:
        """Return the first column that exists."""
        return next((self._data[name] for name in names if name in self._data), None)

    def one(self, *names: str) -> Sequence[Any]:
        """
        Return the first column that exists.

        Raises:
            MissingFieldError: there is no such column.

        """
        column = self.find(*names)
        if column is None:
            raise MissingFieldError(f'it has no field {" or ".join(names)}')
        return column

    def vector(self, name: str) -> Sequence[Vector]:
        """Return the three columns ``name[0]`` to ``name[2]`` as one of vectors."""
        return list(zip(*(self.one(f'{name}[{i}]') for i in range(3)), strict=True))

    def attitude(self, name: str) -> Sequence[tuple[float, float, float, float]]:
        """Return the four columns of a quaternion as one."""
        return list(zip(*(self.one(f'{name}[{i}]') for i in range(4)), strict=True))


Row = Callable[[int], 'Fields | None']
"""Makes the nth sample's message, or None where that sample measured nothing new."""


@dataclass(frozen=True)
class Rule:
    """How one PX4 message becomes one ROS topic."""

    message: str
    topic: str
    type: str
    frame_id: str
    bind: Callable[[Columns], Row]


def _imu(log: Columns) -> Row:
    force, turn = log.vector('accelerometer_m_s2'), log.vector('gyro_rad')
    return lambda n: {
        'orientation_covariance': _NOT_GIVEN,
        'angular_velocity': xyz(frd_to_flu(turn[n])),
        'angular_velocity_covariance': _UNKNOWN,
        'linear_acceleration': xyz(frd_to_flu(force[n])),
        'linear_acceleration_covariance': _UNKNOWN,
    }


def _magnetic(gauss: Vector) -> Fields:
    x, y, z = frd_to_flu(gauss)
    field = (x * _TESLA_PER_GAUSS, y * _TESLA_PER_GAUSS, z * _TESLA_PER_GAUSS)
    return {'magnetic_field': xyz(field), 'magnetic_field_covariance': _UNKNOWN}


def _combined_magnetometer(log: Columns) -> Row:
    """Old logs repeat the last measurement in each IMU sample: only the new ones are taken."""
    gauss = log.vector('magnetometer_ga')
    relative = log.one('magnetometer_timestamp_relative')
    measured = [at + ago for at, ago in zip(log.one('timestamp'), relative, strict=True)]

    def row(n: int) -> Fields | None:
        if relative[n] == _NEVER_MEASURED or (n and measured[n] == measured[n - 1]):
            return None
        return _magnetic(gauss[n])

    return row


def _magnetometer(log: Columns) -> Row:
    gauss = log.vector('magnetometer_ga')
    return lambda n: _magnetic(gauss[n])


def _sensor_magnetometer(log: Columns) -> Row:
    x, y, z = log.one('x'), log.one('y'), log.one('z')
    return lambda n: _magnetic((x[n], y[n], z[n]))


def _pressure(log: Columns) -> Row:
    pascal = log.one('baro_pressure_pa')
    return lambda n: {'fluid_pressure': pascal[n], 'variance': 0.0}


def _attitude(name: str) -> Callable[[Columns], Row]:
    def bind(log: Columns) -> Row:
        attitude = log.attitude(name)
        return lambda n: {'quaternion': wxyz(px4_attitude_to_ros(attitude[n]))}

    return bind


def _rates(log: Columns) -> Row:
    roll, pitch, yaw = log.one('roll'), log.one('pitch'), log.one('yaw')
    return lambda n: {'vector': xyz(frd_to_flu((roll[n], pitch[n], yaw[n])))}


def _local_pose(log: Columns) -> Row:
    x, y, z = log.one('x'), log.one('y'), log.one('z')
    heading = log.one('heading', 'yaw')
    return lambda n: {
        'pose': {
            'position': xyz(ned_to_enu((x[n], y[n], z[n]))),
            'orientation': wxyz(about_z(px4_heading_to_ros_yaw(heading[n]))),
        }
    }


def _local_velocity(log: Columns) -> Row:
    x, y, z = log.one('vx'), log.one('vy'), log.one('vz')
    return lambda n: {'twist': {'linear': xyz(ned_to_enu((x[n], y[n], z[n])))}}


def _scaled(log: Columns, scale: float, *, old: str, new: str) -> Callable[[int], float]:
    """Return a column that is a float in new logs and was a scaled integer in old ones."""
    now = log.find(new)
    if now is not None:
        return now.__getitem__
    before = log.one(old, new)
    if not isinstance(before[0], int):
        return before.__getitem__
    return lambda n: float(before[n] * scale)


def _fix(log: Columns) -> Row:
    latitude = _scaled(log, 1e-7, old='lat', new='latitude_deg')
    longitude = _scaled(log, 1e-7, old='lon', new='longitude_deg')
    # NavSatFix has the altitude above the ellipsoid; above mean sea level is the second best.
    ellipsoid = log.find('altitude_ellipsoid_m', 'alt_ellipsoid') is not None
    altitude = (
        _scaled(log, 1e-3, old='alt_ellipsoid', new='altitude_ellipsoid_m')
        if ellipsoid
        else _scaled(log, 1e-3, old='alt', new='altitude_msl_m')
    )
    fix, across, up = log.find('fix_type'), log.find('eph'), log.find('epv')

    def row(n: int) -> Fields:
        known = across is not None and up is not None
        # PX4: below 2 no position, 4 to 6 corrected from the ground (RTCM, RTK), 8 extrapolated.
        status = 0 if fix is None else -1 if fix[n] < 2 else 2 if fix[n] in (4, 5, 6) else 0
        return {
            'status': {'status': status, 'service': 0},
            'latitude': latitude(n),
            'longitude': longitude(n),
            'altitude': altitude(n),
            'position_covariance': (
                diagonal(across[n] ** 2, across[n] ** 2, up[n] ** 2)
                if across is not None and up is not None
                else _UNKNOWN
            ),
            'position_covariance_type': 1 if known else 0,  # APPROXIMATED, UNKNOWN
        }

    return row


def _battery(log: Columns) -> Row:
    volt = log.one('voltage_v')
    ampere, left = log.find('current_a'), log.find('remaining')
    celsius, cells = log.find('temperature'), log.find('cell_count')
    present = log.find('connected')

    def known(column: Sequence[Any] | None, n: int) -> float:
        """PX4 writes -1 for what it does not know, sensor_msgs wants NaN."""
        return math.nan if column is None or column[n] < 0 else float(column[n])

    return lambda n: {
        'voltage': volt[n],
        'current': -known(ampere, n),  # positive is a discharge in PX4, a charge in sensor_msgs
        'charge': math.nan,
        'capacity': math.nan,
        'design_capacity': math.nan,
        'percentage': known(left, n),
        'temperature': math.nan if celsius is None else float(celsius[n]),
        'power_supply_status': 2,  # DISCHARGING
        'present': present is None or bool(present[n]),
        'cell_voltage': [math.nan] * (0 if cells is None else max(0, int(cells[n]))),
    }


def _range(log: Columns) -> Row:
    distance, nearest, farthest = (
        log.one('current_distance'),
        log.one('min_distance'),
        log.one('max_distance'),
    )
    width, kind = log.find('h_fov'), log.find('type')
    return lambda n: {
        # PX4's 1 is ultrasound; laser, infrared and radar are nearest to a narrow beam.
        'radiation_type': 0 if kind is not None and kind[n] == 1 else 1,
        'field_of_view': 0.0 if width is None else width[n],
        'min_range': nearest[n],
        'max_range': farthest[n],
        'range': distance[n],
    }


_IMU, _FIELD = 'sensor_msgs/msg/Imu', 'sensor_msgs/msg/MagneticField'
_QUATERNION, _FIX = 'geometry_msgs/msg/QuaternionStamped', 'sensor_msgs/msg/NavSatFix'

RULES = (
    Rule('sensor_combined', '/imu/data', _IMU, 'base_link', _imu),
    Rule('sensor_combined', '/imu/mag', _FIELD, 'base_link', _combined_magnetometer),
    Rule('vehicle_magnetometer', '/imu/mag', _FIELD, 'base_link', _magnetometer),
    Rule('sensor_mag', '/imu/mag_raw', _FIELD, 'base_link', _sensor_magnetometer),
    Rule('vehicle_air_data', '/baro', 'sensor_msgs/msg/FluidPressure', 'base_link', _pressure),
    Rule('vehicle_attitude', '/attitude', _QUATERNION, 'map', _attitude('q')),
    Rule('vehicle_attitude_setpoint', '/attitude/setpoint', _QUATERNION, 'map', _attitude('q_d')),
    Rule(
        'vehicle_rates_setpoint',
        '/rates/setpoint',
        'geometry_msgs/msg/Vector3Stamped',
        'base_link',
        _rates,
    ),
    Rule(
        'vehicle_local_position',
        '/local_position/pose',
        'geometry_msgs/msg/PoseStamped',
        'map',
        _local_pose,
    ),
    Rule(
        'vehicle_local_position',
        '/local_position/velocity',
        'geometry_msgs/msg/TwistStamped',
        'map',
        _local_velocity,
    ),
    Rule('vehicle_gps_position', '/gps/fix', _FIX, 'gps', _fix),
    Rule('vehicle_global_position', '/global_position', _FIX, 'map', _fix),
    Rule('battery_status', '/battery', 'sensor_msgs/msg/BatteryState', 'battery', _battery),
    Rule('distance_sensor', '/range', 'sensor_msgs/msg/Range', 'rangefinder', _range),
)
