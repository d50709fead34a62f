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
The vehicle's camera: it looks straight down on a chequered field and moves over it.

A picture is put together from a few ready-made rows, so 15 of them a second cost next to nothing
and the machine's time is left to the recorder.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
import math

from demo.multirotor import Trajectory
from demo.rotation import Vector
from demo.source import Fields, Sample, Topic

WIDTH, HEIGHT, FRAME_HZ = 640, 480, 15
_CELL = 40
_PIXELS_PER_METRE = 40.0
_LIGHT, _DARK, _FURROW = b'\xb8\xc4\x7a', b'\x4e\x7a\x3a', b'\x8a\x6a\x3c'


def _row(first: bytes, second: bytes) -> bytes:
    """Return a row of cells two cells wider than the picture, so that it can be shifted."""
    cells = WIDTH // _CELL + 2
    pair = _FURROW + first * (_CELL - 1) + _FURROW + second * (_CELL - 1)
    return pair * (cells // 2 + 1)


_ROWS = (_row(_LIGHT, _DARK), _row(_DARK, _LIGHT))
_FURROW_ROW = _FURROW * WIDTH


def picture(position: Vector) -> bytes:
    """Return what the camera sees from a position (metres, ENU) as rgb8, row by row."""
    shift_x = int(position[0] * _PIXELS_PER_METRE) % (2 * _CELL)
    shift_y = int(-position[1] * _PIXELS_PER_METRE) % (2 * _CELL)
    rows = [row[3 * shift_x:3 * (shift_x + WIDTH)] for row in _ROWS]
    lines = [rows[number // _CELL % 2] for number in range(shift_y, shift_y + HEIGHT)]
    for number in range(-shift_y % _CELL, HEIGHT, _CELL):
        lines[number] = _FURROW_ROW
    return b''.join(lines)


class Camera:
    """The source of the picture stream."""

    topics = (Topic('/camera/image_raw', 'sensor_msgs/msg/Image', 'camera', 4 * FRAME_HZ),)

    def __init__(self, seconds: float) -> None:
        self._trajectory = Trajectory(seconds)

    @property
    def seconds(self) -> float:
        """Return the length of the flight."""
        return self._trajectory.seconds

    def samples(self) -> Iterator[Sample]:
        """Yield a picture every 1/15 s."""
        for number in range(math.ceil(FRAME_HZ * self.seconds)):
            due_ns = number * 1_000_000_000 // FRAME_HZ
            yield Sample(due_ns, '/camera/image_raw', self._frame(number / FRAME_HZ))

    def _frame(self, t: float) -> Fields:
        return {
            'height': HEIGHT,
            'width': WIDTH,
            'encoding': 'rgb8',
            'is_bigendian': 0,
            'step': 3 * WIDTH,
            # The generated message copies an array as one block, bytes one by one.
            'data': array('B', picture(self._trajectory.at(t).position)),
        }
