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
What a publisher process publishes: topics, and samples with their times.

Sources do not use ROS: a message is its field values by name. A test can therefore call the
simulation and the PX4 mapping without a middleware.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Fields = Mapping[str, Any]
"""The values of a message by field name; a nested message is a nested mapping."""


@dataclass(frozen=True)
class Topic:
    """One topic of a source; every message type of the demo has a header."""

    name: str
    type: str
    """As ROS writes it: ``sensor_msgs/msg/Imu``."""
    frame_id: str
    depth: int
    """
    How many messages the publisher keeps for a subscriber that is behind. It is seconds' worth
    of the topic's rate: were a message pushed out before the recorder acknowledged it, the loss
    would be the demo's and not the recorder's.
    """


@dataclass(frozen=True)
class Sample:
    """One message and when it is due."""

    due_ns: int
    """Nanoseconds after take-off."""
    topic: str
    fields: Fields


class Source(Protocol):
    """Something that flies: the simulated autopilot, its camera, a PX4 log."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Return all topics; known before the first sample."""

    @property
    def seconds(self) -> float:
        """Return the length of the flight."""

    def samples(self) -> Iterator[Sample]:
        """Yield all samples in the order of their times."""


def xyz(v: tuple[float, float, float]) -> Fields:
    """Return the fields of a Vector3 or Point."""
    return {'x': v[0], 'y': v[1], 'z': v[2]}


def wxyz(q: tuple[float, float, float, float]) -> Fields:
    """Return the fields of a Quaternion."""
    return {'w': q[0], 'x': q[1], 'y': q[2], 'z': q[3]}


def diagonal(x: float, y: float, z: float) -> list[float]:
    """Return a row-major 3x3 covariance with these variances."""
    return [x, 0.0, 0.0, 0.0, y, 0.0, 0.0, 0.0, z]
