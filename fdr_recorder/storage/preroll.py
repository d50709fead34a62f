# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Pre-roll: while no flight is open, rings keep the last seconds, for the flight to begin with."""

from __future__ import annotations

from collections.abc import Iterable
import time
from typing import Final

from fdr_recorder.capture.client import FdrClient

_MOST_FILL: Final = 0.5
"""A fuller ring discards its oldest records, so that it never refuses the newest."""
_SHRINK, _GROW = 0.8, 1.1


class Preroll:
    """
    Trims the rings while no flight is open. Used by the writer's thread alone.

    Rings keep less than the wanted seconds where their bounds or shared budget are too small.
    """

    def __init__(self, seconds: float) -> None:
        """Set how many seconds to keep."""
        self._wanted_ns = self._window_ns = int(seconds * 1e9)

    def trim(self, clients: Iterable[FdrClient]) -> None:
        """Discard records that are too old now, and what was missing before those that stay."""
        oldest_ns = time.monotonic_ns() - self._window_ns
        given_oldest_ns = time.time_ns() - self._window_ns
        budget_fill = 0.0
        for client in clients:
            ring = client.ring
            if ring.budget is not None:
                budget_fill = max(budget_fill, ring.budget.fill)
            ring.discard_oldest(given_oldest_ns, _MOST_FILL, steady_before_ns=-oldest_ns)
            if ring.refusals.last_ns < oldest_ns:
                ring.acknowledge_refusals()
            if client.losses.last_ns < oldest_ns:
                client.acknowledge_losses()
            client.forget_throttled()
        if budget_fill > _MOST_FILL:
            self._window_ns = int(self._window_ns * _SHRINK)
        else:
            self._window_ns = min(int(self._window_ns * _GROW) + 1, self._wanted_ns)
