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
A multirotor's flight as functions of time: up, one or more figures of eight, down.

The position is given in closed form, and what the sensors measure follows from it. A multirotor
can push only along its own z axis, so its acceleration plus gravity is the direction of that
axis; the nose points the way it flies; together that is the attitude. IMU, attitude and GPS
therefore describe one and the same motion.
Axes are those of REP-103: world east-north-up, body forward-left-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import heapq
import math
import random

from demo.rotation import about_z, conjugate, multiply, Quaternion, tilt_to, Vector
from demo.source import diagonal, Fields, Sample, Topic, wxyz, xyz

Course = Callable[[float], tuple[float, float, float]]
"""Takes the share of the time; gives the share of the way, and its first two derivatives."""

GRAVITY = 9.80665
IMU_HZ, ATTITUDE_HZ, GPS_HZ, BATTERY_HZ = 200, 100, 10, 1

# The flight's parts, as shares of its time. The figure of eight begins before the climb
# ends, and ends after the descent has begun: that makes it larger in a short flight.
_CLIMB, _EIGHT, _DESCENT = (0.05, 0.30), (0.15, 0.90), (0.70, 0.95)
_SECONDS_PER_EIGHT = 20.0
_CLIMB_LIMIT, _TURN_LIMIT = 0.4 * GRAVITY, 0.5 * GRAVITY
_HIGHEST, _WIDEST = 20.0, 15.0
_SMOOTH_TOP_ACCELERATION = 7.5132  # of smooth()
_RAMP = 0.25  # share of steady() in which it speeds up, and in which it slows down

_HOME_LATITUDE, _HOME_LONGITUDE, _HOME_ALTITUDE = 47.397742, 8.545594, 535.3
_EARTH_RADIUS = 6_378_137.0

_ACCELEROMETER_NOISE, _GYRO_NOISE = 0.03, 0.002
# A receiver's error drifts over minutes; from one fix to the next it hardly changes.
_GPS_ERRORS, _GPS_DRIFT_S, _GPS_NOISE = (0.4, 0.4, 0.8), 300.0, 0.01

_CELLS, _CAPACITY_AH, _HOVER_AMPERE, _IDLE_AMPERE = 4, 5.0, 18.0, 0.8
_RESISTANCE_OHM = 0.012


@dataclass(frozen=True)
class State:
    """Where the vehicle is at one moment, and what it does there."""

    position: Vector
    """Metres from the take-off point, ENU."""
    acceleration: Vector
    """Of the position, m/s², ENU, without gravity."""
    attitude: Quaternion
    """From body (FLU) to world (ENU)."""
    thrust: float
    """Specific force along the body's z axis, m/s²; standing on the ground it is gravity."""


def smooth(u: float) -> tuple[float, float, float]:
    """
    Return the way from 0 to 1, and its first two derivatives.

    At both ends the third derivative is zero too. A multirotor's turn rate follows it, so a
    gyroscope sees no step where one part of the flight ends and the next begins.
    """
    if u <= 0.0:
        return 0.0, 0.0, 0.0
    if u >= 1.0:
        return 1.0, 0.0, 0.0
    left = u * (1.0 - u)
    return (
        u**4 * (35.0 - u * (84.0 - u * (70.0 - 20.0 * u))),
        140.0 * left**3,
        420.0 * left**2 * (1.0 - 2.0 * u),
    )


def steady(u: float) -> tuple[float, float, float]:
    """
    Return the way from 0 to 1 at a constant speed with smooth ramps, and its two derivatives.

    At both ends the third derivative is zero, as with :func:`smooth`.
    """
    if u > 0.5:
        value, rate, rate2 = steady(1.0 - u)
        return 1.0 - value, rate, -rate2
    top = 1.0 / (1.0 - _RAMP)
    v = max(0.0, u / _RAMP)
    if v >= 1.0:
        return top * (u - _RAMP / 2.0), top, 0.0
    return (
        top * _RAMP * v**4 * (2.5 - v * (3.0 - v)),
        top * v**3 * (10.0 - v * (15.0 - 6.0 * v)),
        top * 30.0 * (v * (1.0 - v)) ** 2 / _RAMP,
    )


def eight(
    around: float, rate: float = 0.0, rate2: float = 0.0
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """
    Return a point of a figure of eight one unit to each side, its acceleration and direction.

    Args:
        around: How far around, in figures; 0, 0.5 and 1 are the crossing.
        rate: The first derivative of `around`.
        rate2: The second derivative of `around`.

    Returns:
        East and north; their second derivatives; the yaw of the tangent, which never jumps.

    """
    angle, rate, rate2 = (math.tau * value for value in (around, rate, rate2))
    sin, cos = math.sin(angle), math.cos(angle)
    sin2, cos2 = math.sin(2.0 * angle), math.cos(2.0 * angle)
    return (
        (sin, sin2 / 2.0),
        (cos * rate2 - sin * rate * rate, cos2 * rate2 - 2.0 * sin2 * rate * rate),
        # Measured from the south: the tangent is never more than 135 degrees from it.
        math.atan2(cos, -cos2) - math.pi / 2,
    )


class Trajectory:
    """The path of one flight of `seconds` seconds; short flights are lower and smaller."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        climb_s = (_CLIMB[1] - _CLIMB[0]) * seconds
        self.height = min(_HIGHEST, _CLIMB_LIMIT * climb_s * climb_s / _SMOOTH_TOP_ACCELERATION)
        self._eights = max(1, round((_EIGHT[1] - _EIGHT[0]) * seconds / _SECONDS_PER_EIGHT))
        accelerations = (self._eight(seconds * n / 1000)[1] for n in range(1000))
        self.reach = min(_WIDEST, _TURN_LIMIT / max(math.hypot(*a) for a in accelerations))
        """Metres from the crossing to the end of either loop."""

    def _phase(
        self, part: tuple[float, float], t: float, course: Course = smooth
    ) -> tuple[float, float, float]:
        """Return how far a part of the flight has come, and its derivatives per second."""
        start, length = part[0] * self.seconds, (part[1] - part[0]) * self.seconds
        value, rate, rate2 = course((t - start) / length)
        return value, rate / length, rate2 / (length * length)

    def _eight(self, t: float) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return :func:`eight` at a time; derivatives are per second."""
        around, rate, rate2 = self._phase(_EIGHT, t, steady)
        return eight(self._eights * around, self._eights * rate, self._eights * rate2)

    def at(self, t: float) -> State:
        """Return the state `t` seconds after the start."""
        up, _, up2 = self._phase(_CLIMB, t)
        down, _, down2 = self._phase(_DESCENT, t)
        position, acceleration, yaw = self._eight(t)
        east, north = (self.reach * value for value in position)
        east2, north2 = (self.reach * value for value in acceleration)
        up2 = self.height * (up2 - down2)
        force = (east2, north2, up2 + GRAVITY)
        return State(
            position=(east, north, self.height * (up - down)),
            acceleration=(east2, north2, up2),
            attitude=multiply(tilt_to(force), about_z(yaw)),
            thrust=math.hypot(*force),
        )

    def angular_velocity(self, t: float) -> Vector:
        """Return the body's turn rate, rad/s, FLU, from two attitudes a millisecond apart."""
        step = 1e-3
        before, after = self.at(t - step / 2).attitude, self.at(t + step / 2).attitude
        w, x, y, z = multiply(conjugate(before), after)
        scale = math.copysign(2.0 / step, w)
        return (scale * x, scale * y, scale * z)

    def standing(self, t: float) -> bool:
        """Return whether the vehicle is on the ground, with its motors idle."""
        return not _CLIMB[0] * self.seconds < t < _DESCENT[1] * self.seconds


class Autopilot:
    """The source of what a flight controller publishes: IMU, attitude, GPS and battery."""

    topics = (
        Topic('/imu/data', 'sensor_msgs/msg/Imu', 'base_link', 10 * IMU_HZ),
        Topic('/attitude', 'geometry_msgs/msg/QuaternionStamped', 'map', 10 * ATTITUDE_HZ),
        Topic('/gps/fix', 'sensor_msgs/msg/NavSatFix', 'gps', 100),
        Topic('/battery', 'sensor_msgs/msg/BatteryState', 'battery', 100),
    )

    def __init__(self, seconds: float, seed: int = 1) -> None:
        self._trajectory = Trajectory(seconds)
        self._noise = random.Random(seed)
        self._consumed_ah = 0.0
        self._gps_error = [self._noise.gauss(0.0, error) for error in _GPS_ERRORS]

    @property
    def seconds(self) -> float:
        """Return the length of the flight."""
        return self._trajectory.seconds

    def samples(self) -> Iterator[Sample]:
        """Yield the samples of all four topics by their time."""
        return heapq.merge(
            _stream('/imu/data', IMU_HZ, self.seconds, self._imu),
            _stream('/attitude', ATTITUDE_HZ, self.seconds, self._attitude),
            _stream('/gps/fix', GPS_HZ, self.seconds, self._gps),
            _stream('/battery', BATTERY_HZ, self.seconds, self._battery),
            key=lambda sample: sample.due_ns,
        )

    def _noisy(self, v: Vector, deviation: float) -> Vector:
        gauss = self._noise.gauss
        return (
            v[0] + gauss(0.0, deviation),
            v[1] + gauss(0.0, deviation),
            v[2] + gauss(0.0, deviation),
        )

    def _imu(self, t: float) -> Fields:
        state = self._trajectory.at(t)
        # An accelerometer feels the thrust and not gravity: at rest it reads +g upward (REP-145).
        force = self._noisy((0.0, 0.0, state.thrust), _ACCELEROMETER_NOISE)
        turn = self._noisy(self._trajectory.angular_velocity(t), _GYRO_NOISE)
        return {
            'orientation': wxyz(state.attitude),
            'orientation_covariance': diagonal(1e-5, 1e-5, 1e-4),
            'angular_velocity': xyz(turn),
            'angular_velocity_covariance': diagonal(*[_GYRO_NOISE**2] * 3),
            'linear_acceleration': xyz(force),
            'linear_acceleration_covariance': diagonal(*[_ACCELEROMETER_NOISE**2] * 3),
        }

    def _attitude(self, t: float) -> Fields:
        return {'quaternion': wxyz(self._trajectory.at(t).attitude)}

    def _gps(self, t: float) -> Fields:
        gauss = self._noise.gauss
        kept = math.exp(-1.0 / (GPS_HZ * _GPS_DRIFT_S))
        self._gps_error = [
            kept * error + gauss(0.0, typical * math.sqrt(1.0 - kept * kept))
            for error, typical in zip(self._gps_error, _GPS_ERRORS, strict=True)
        ]
        east, north, up = (
            true + error + gauss(0.0, _GPS_NOISE)
            for true, error in zip(self._trajectory.at(t).position, self._gps_error, strict=True)
        )
        across = _EARTH_RADIUS * math.cos(math.radians(_HOME_LATITUDE))
        return {
            'status': {'status': 0, 'service': 1},  # STATUS_FIX, SERVICE_GPS
            'latitude': _HOME_LATITUDE + math.degrees(north / _EARTH_RADIUS),
            'longitude': _HOME_LONGITUDE + math.degrees(east / across),
            'altitude': _HOME_ALTITUDE + up,
            'position_covariance': diagonal(*(error**2 for error in _GPS_ERRORS)),
            'position_covariance_type': 2,  # COVARIANCE_TYPE_DIAGONAL_KNOWN
        }

    def _battery(self, t: float) -> Fields:
        standing = self._trajectory.standing(t)
        # Induced power of a rotor grows with thrust to the power of 1.5 (momentum theory).
        load = (self._trajectory.at(t).thrust / GRAVITY) ** 1.5
        current = _IDLE_AMPERE if standing else _HOVER_AMPERE * load
        self._consumed_ah += current / BATTERY_HZ / 3600.0
        charge = max(0.0, 0.98 - self._consumed_ah / _CAPACITY_AH)
        cell = 3.5 + 0.7 * charge - current * _RESISTANCE_OHM / _CELLS
        return {
            'voltage': _CELLS * cell,
            'temperature': 25.0 + 60.0 * self._consumed_ah,
            'current': -current,
            'charge': _CAPACITY_AH * charge,
            'capacity': _CAPACITY_AH,
            'design_capacity': _CAPACITY_AH,
            'percentage': charge,
            'power_supply_status': 2,  # DISCHARGING
            'power_supply_health': 1,  # GOOD
            'power_supply_technology': 3,  # LIPO
            'present': True,
            'cell_voltage': [cell] * _CELLS,
        }


def _stream(
    topic: str, hertz: int, seconds: float, fields: Callable[[float], Fields]
) -> Iterator[Sample]:
    """Yield a topic's samples at a fixed rate; the nth is due at n / rate, so nothing drifts."""
    for number in range(math.ceil(hertz * seconds)):
        yield Sample(number * 1_000_000_000 // hertz, topic, fields(number / hertz))
