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
Unit quaternions, and the conversion from PX4's axes to those of ROS.

PX4 states attitude as the rotation from the body (x forward, y right, z down: FRD) to the local
world (north, east, down: NED). ROS wants body x forward, y left, z up (FLU) and world east,
north, up (ENU): REP-103, "Axis Orientation", https://www.ros.org/reps/rep-0103.html.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
"""w, x, y, z: PX4's order. ROS messages name their four fields, so order is no matter there."""

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)

# Swapping x and y and turning z over is half a turn about the axis halfway between x and y.
_NED_TO_ENU: Quaternion = (0.0, math.sqrt(0.5), math.sqrt(0.5), 0.0)
# Forward-right-down and forward-left-up differ by half a turn about x; it is its own inverse.
_FLU_TO_FRD: Quaternion = (0.0, 1.0, 0.0, 0.0)


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation that does `b` first and `a` after it."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def conjugate(q: Quaternion) -> Quaternion:
    """Return the inverse of a unit quaternion."""
    return (q[0], -q[1], -q[2], -q[3])


def rotate(q: Quaternion, v: Vector) -> Vector:
    """Turn the vector `v` by `q`."""
    _, x, y, z = multiply(multiply(q, (0.0, *v)), conjugate(q))
    return (x, y, z)


def about_z(angle: float) -> Quaternion:
    """Return the turn by `angle` radians about z (yaw, anticlockwise seen from above in ENU)."""
    return (math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2))


def tilt_to(up: Vector) -> Quaternion:
    """Return the shortest turn that brings the z axis to the direction of `up` (not downward)."""
    x, y, z = up
    length = math.sqrt(x * x + y * y + z * z)
    # Half-angle form of (1 + z.up, z cross up), normalised.
    w = math.sqrt((1.0 + z / length) / 2.0)
    return (w, -y / (2.0 * w * length), x / (2.0 * w * length), 0.0)


def frd_to_flu(v: Vector) -> Vector:
    """Turn a vector in PX4's body axes (FRD) into ROS body axes (FLU), REP-103."""
    return (v[0], -v[1], -v[2])


def ned_to_enu(v: Vector) -> Vector:
    """Turn a vector in PX4's local world (NED) into that of ROS (ENU), REP-103."""
    return (v[1], v[0], -v[2])


def px4_attitude_to_ros(q: Quaternion) -> Quaternion:
    """Turn PX4's attitude (FRD body to NED world) into that of ROS (FLU body to ENU world)."""
    return multiply(multiply(_NED_TO_ENU, q), _FLU_TO_FRD)


def px4_heading_to_ros_yaw(heading: float) -> float:
    """Turn a heading (clockwise from north) into a yaw (anticlockwise from east), radians."""
    return math.remainder(math.pi / 2 - heading, math.tau)
