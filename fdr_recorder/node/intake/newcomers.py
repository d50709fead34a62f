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
from typing import Final

DISCOVERY_S: Final = 1.0
"""For so long after configure the graph may list publishers that have been there all the time."""
MOST_LISTED: Final = 10_000
"""Publishers whose first listing is remembered."""


class Newcomers:
    """
    Tells publishers that have come while a flight is open from those that were there before.

    What decides is when the graph first listed a publisher, not when it was first heard. Any
    thread may call any method.
    """

    def __init__(self) -> None:
        """Begin without a publisher and without a flight."""
        self._listed_at: dict[bytes, float] = {}
        self._settled_at = time.monotonic() + DISCOVERY_S
        self._opened_at = math.inf
        self._lock = threading.Lock()

    def list(self, gids: Iterable[bytes]) -> None:
        """Note which publishers the graph lists now."""
        now = time.monotonic()
        with self._lock:
            for gid in gids:
                self._listed_at.setdefault(gid, now)
            while len(self._listed_at) > MOST_LISTED:
                del self._listed_at[next(iter(self._listed_at))]

    def begin_flight(self) -> None:
        """Note that a flight opens now."""
        self._opened_at = time.monotonic()

    def is_one(self, gid: bytes) -> bool:
        """Tell whether a publisher has come since the flight was opened."""
        with self._lock:
            listed_at = self._listed_at.get(gid, math.inf)
        return max(self._opened_at, self._settled_at) < listed_at
