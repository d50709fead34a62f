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
What middlewares tell of a message, for tests: fakes at the place where messages are taken.

Each is one row of the table in docs/topics-and-qos.md, as read in the sources of the middleware.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import itertools
import random
import struct
import time
from typing import Any

from fdr_recorder.node.intake.subscription_protocol import NOT_NUMBERED, RawMessage


def as_it_is(message: RawMessage) -> RawMessage:
    return message


class Handles:
    """Gives publishers numbers of the process's own instead of the gids of the graph."""

    def __init__(self) -> None:
        self._numbers = itertools.count(0x1A2B3C)
        self._known: dict[bytes, bytes] = {}

    def of(self, gid: bytes) -> bytes:
        """Return what stands in the place of a gid."""
        if gid not in self._known:
            self._known[gid] = struct.pack('<Q8x', next(self._numbers))
        return self._known[gid]


class CycloneOnKilted:
    """rmw_cyclonedds_cpp: no numbers, a handle in place of the gid, the time of the take."""

    number: int | None = None

    def __init__(self) -> None:
        self._handles = Handles()

    def __call__(self, message: RawMessage) -> RawMessage:
        data, source_ns, _, _, gid = message
        return data, source_ns, time.time_ns(), self.number, self._handles.of(gid)


class CycloneOnJazzy(CycloneOnKilted):
    """The same, in the words of `rmw_message_info_t`."""

    number = NOT_NUMBERED


def rclpy_of_jazzy(message: RawMessage) -> RawMessage:
    """Fast DDS by rclpy 7, which does not tell the publisher."""
    return (*message[:4], b'')


def rclpy_of_humble(message: RawMessage) -> RawMessage:
    """Any middleware by rclpy 3, which tells times alone."""
    return (*message[:3], None, b'')


class Unknown:
    """A middleware that tells nonsense, another one for each message."""

    def __init__(self) -> None:
        self._chance = random.Random(1)

    def __call__(self, message: RawMessage) -> RawMessage:
        choose = self._chance.choice
        number: Any = choose((None, -1, 0, 7, 2**63, NOT_NUMBERED, 1 << 80))
        source_ns = choose((0, -1, 2**62, -(2**63), message[1]))
        received_ns = choose((0, -1, 2**63 - 1, message[2]))
        return message[0], source_ns, received_ns, number, self._chance.randbytes(16)


MIDDLEWARES: dict[str, tuple[Callable[[], Callable[[RawMessage], RawMessage]], str]] = {
    'Fast DDS, Kilted': (lambda: as_it_is, 'sequence'),
    'Zenoh': (lambda: as_it_is, 'sequence'),
    'Cyclone DDS, Kilted': (CycloneOnKilted, 'none'),
    'Cyclone DDS, Jazzy': (CycloneOnJazzy, 'none'),
    'rclpy of Jazzy': (lambda: rclpy_of_jazzy, 'none'),
    'Humble': (lambda: rclpy_of_humble, 'none'),
    'unknown': (Unknown, 'none'),
}
"""What each makes of a message as Fast DDS tells it, and how losses can be seen then."""


@dataclass
class FakeSubscription:
    """A subscription whose messages a test puts there."""

    messages: deque[RawMessage]
    matched: int = 1

    def take(self) -> RawMessage | None:
        return self.messages.popleft() if self.messages else None

    def has_changed(self) -> bool:
        return False

    def destroy(self) -> None:
        self.messages.clear()
