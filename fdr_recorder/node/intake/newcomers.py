# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Publishers that come in flight: what they sent before they were heard is missing."""

from __future__ import annotations

from collections.abc import Iterable
import math
import threading
import time
from typing import Final, NamedTuple

FIRST_DISCOVERY_S: Final = 1.0
"""For so long after configure the graph lists publishers that have been there all the time."""
DISCOVERY_S: Final = 5.0
"""For so long it may still do so: Fast DDS announces itself every 3 s."""
CLEARLY_BEFORE_NS: Final = 10_000_000_000
"""A burst looks like messages of a longer time."""
MOST_LISTED: Final = 10_000
"""Publishers whose first listing is remembered."""


class Arrival(NamedTuple):
    """
    How sure it is that a publisher has come while a flight is open.

    Attributes:
        since_ns: It has not if it began before this time (system clock), as far as its rate tells;
            0: it has come, whatever that tells.
        is_likely: Whether it has if it has no rate.

    """

    since_ns: int = 0
    is_likely: bool = True


SURE: Final = Arrival()


class Newcomers:
    """
    Tells publishers that have come while a flight is open from those that were there before.

    What decides is when the graph first listed a publisher, not when it was first heard. Any
    thread may call any method.
    """

    def __init__(self) -> None:
        """Begin without a publisher and without a flight."""
        self._listed_at: dict[bytes, float] = {}
        self._made_at = time.monotonic()
        self._opened_at = math.inf
        self._opened_ns = 0
        self._lock = threading.Lock()

    def list(self, gids: Iterable[bytes], *, are_old: bool = False) -> None:
        """Note which publishers the graph lists now; old ones were there all the time."""
        now = -math.inf if are_old else time.monotonic()
        with self._lock:
            for gid in gids:
                self._listed_at.setdefault(gid, now)
            while len(self._listed_at) > MOST_LISTED:
                del self._listed_at[next(iter(self._listed_at))]

    def begin_flight(self) -> None:
        """Note that a flight opens now."""
        self._opened_at, self._opened_ns = time.monotonic(), time.time_ns()

    def arrival(self, gid: bytes) -> Arrival | None:
        """Tell whether a publisher has come since the flight was opened; None if it has not."""
        with self._lock:
            listed_at = self._listed_at.get(gid, time.monotonic())
        if listed_at <= self._opened_at:
            return None
        age_s = listed_at - self._made_at
        if age_s > DISCOVERY_S:
            return SURE
        if age_s > FIRST_DISCOVERY_S:
            return Arrival(self._opened_ns - CLEARLY_BEFORE_NS)
        return Arrival(self._opened_ns, is_likely=False)
