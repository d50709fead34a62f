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
A multirotor's flight as functions of time: up, once or more around a circle, down.

Position is given in closed form. What the sensors say follows from it: a multirotor can push only
along its own z axis, so the acceleration (with gravity) is the direction of that axis, and the
axis with the heading is the attitude. So IMU, attitude and GPS tell of one and the same motion.
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

GRAVITY = 9.80665
IMU_HZ, ATTITUDE_HZ, GPS_HZ, BATTERY_HZ = 200, 100, 10, 1

# Shares of the flight's time: standing, climb, circle, descent, standing.
_CLIMB_FROM, _CIRCLE_FROM, _DESCENT_FROM, _LANDED_FROM = 0.05, 0.30, 0.75, 0.95
_SECONDS_PER_TURN = 20.0
_ACCELERATION_LIMIT = 0.4 * GRAVITY
_SMOOTH_TOP_SPEED, _SMOOTH_TOP_ACCELERATION = 2.1875, 7.5132  # of smooth()

_HOME_LATITUDE, _HOME_LONGITUDE, _HOME_ALTITUDE = 47.397742, 8.545594, 535.3
_EARTH_RADIUS = 6_378_137.0

_ACCELEROMETER_NOISE, _GYRO_NOISE = 0.03, 0.002
_GPS_NOISE_ACROSS, _GPS_NOISE_UP = 0.4, 0.8

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
    Return the way from 0 to 1, and its two derivatives.

    At both ends even the third derivative is zero: it is what a multirotor's turn rate follows,
    so a gyroscope sees no step where one part of the flight goes over into the next.
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


class Trajectory:
    """The path of one flight of `seconds` seconds; short flights are lower and narrower."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        climb_s = (_CIRCLE_FROM - _CLIMB_FROM) * seconds
        self._circle_s = (_DESCENT_FROM - _CIRCLE_FROM) * seconds
        self._turns = max(1, round(self._circle_s / _SECONDS_PER_TURN))
        self.height = min(
            20.0, _ACCELERATION_LIMIT * climb_s * climb_s / _SMOOTH_TOP_ACCELERATION
        )
        top_turn_rate = math.tau * self._turns * _SMOOTH_TOP_SPEED / self._circle_s
        self.radius = min(15.0, _ACCELERATION_LIMIT / (top_turn_rate * top_turn_rate))

    def _phase(self, t: float, start: float, end: float) -> tuple[float, float, float]:
        """Return :func:`smooth` between two shares of the flight, derivatives per second."""
        length = (end - start) * self.seconds
        value, rate, rate2 = smooth((t - start * self.seconds) / length)
        return value, rate / length, rate2 / (length * length)

    def at(self, t: float) -> State:
        """Return the state `t` seconds after the start."""
        up, _, up2 = self._phase(t, _CLIMB_FROM, _CIRCLE_FROM)
        down, _, down2 = self._phase(t, _DESCENT_FROM, _LANDED_FROM)
        around, around1, around2 = self._phase(t, _CIRCLE_FROM, _DESCENT_FROM)
        angle, rate, rate2 = (math.tau * self._turns * a for a in (around, around1, around2))
        cos, sin, radius = math.cos(angle), math.sin(angle), self.radius
        position = (radius * (cos - 1.0), radius * sin, self.height * (up - down))
        acceleration = (
            radius * (-cos * rate * rate - sin * rate2),
            radius * (-sin * rate * rate + cos * rate2),
            self.height * (up2 - down2),
        )
        force = (acceleration[0], acceleration[1], acceleration[2] + GRAVITY)
        yaw = angle + math.pi / 2  # the nose points along the circle
        return State(
            position=position,
            acceleration=acceleration,
            attitude=multiply(tilt_to(force), about_z(yaw)),
            thrust=math.hypot(*force),
        )

    def angular_velocity(self, t: float) -> Vector:
        """Return the body's turn rate, rad/s, FLU: the difference of two attitudes close by."""
        step = 1e-3
        before, after = self.at(t - step / 2).attitude, self.at(t + step / 2).attitude
        w, x, y, z = multiply(conjugate(before), after)
        scale = math.copysign(2.0 / step, w)
        return (scale * x, scale * y, scale * z)

    def standing(self, t: float) -> bool:
        """Return whether the vehicle is on the ground, with its motors idle."""
        return not _CLIMB_FROM * self.seconds < t < _LANDED_FROM * self.seconds


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

    @property
    def seconds(self) -> float:
        """Return the length of the flight."""
        return self._trajectory.seconds

    def samples(self) -> Iterator[Sample]:
        """All four streams, merged by time."""
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
        east, north, up = self._trajectory.at(t).position
        gauss = self._noise.gauss
        east += gauss(0.0, _GPS_NOISE_ACROSS)
        north += gauss(0.0, _GPS_NOISE_ACROSS)
        up += gauss(0.0, _GPS_NOISE_UP)
        across = _EARTH_RADIUS * math.cos(math.radians(_HOME_LATITUDE))
        return {
            'status': {'status': 0, 'service': 1},  # STATUS_FIX, SERVICE_GPS
            'latitude': _HOME_LATITUDE + math.degrees(north / _EARTH_RADIUS),
            'longitude': _HOME_LONGITUDE + math.degrees(east / across),
            'altitude': _HOME_ALTITUDE + up,
            'position_covariance': diagonal(
                _GPS_NOISE_ACROSS**2, _GPS_NOISE_ACROSS**2, _GPS_NOISE_UP**2
            ),
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
