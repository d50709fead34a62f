# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How long messages took from their source to the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Final

from fdr_recorder.report.sampling import Axis, Samples
from fdr_recorder.types.cdr_to_columns import Floats, Messages
import numpy as np

_MOST_S: Final = 60.0
"""A longer delay is of a clock that is not the recorder's, or of a message from long before."""
_LEAST_MS: Final = 1e-3
_PER_OCTAVE: Final = 8
_BINS: Final = 26 * _PER_OCTAVE
_MS: Final = 1e6
_RECENT: Final = 64
"""Times of messages that are known again if the recorder repeats them in its next segment."""


@dataclass(frozen=True)
class Delay:
    """
    The delay of a topic's messages, in milliseconds; to within a tenth, but `longest_ms`.

    Attributes:
        messages: How many it is known of.
        median_ms: Half of them took no longer.
        most_ms: 99 of 100 took no longer.
        longest_ms: The longest.
        earliest_ms: The shortest; below zero if the source's clock is ahead.

    """

    messages: int
    median_ms: float
    most_ms: float
    longest_ms: float
    earliest_ms: float


class Delays:
    """
    Follows the delay of one topic's messages: from their source's clock to their reception.

    Attributes:
        samples: The delay over time, in milliseconds.

    """

    def __init__(
        self, axis: Axis, clock_steps: Sequence[tuple[int, int]], *, is_exact: bool
    ) -> None:
        """
        Begin.

        Args:
            axis: The buckets of the plots.
            clock_steps: Log time and size of each step of the system clock: log times go on
                evenly, sources follow the clock.
            is_exact: Keep every sample.

        """
        self.samples = Samples(axis, 1, is_exact=is_exact, with_rows=False)
        self._steps_at = np.array([time_ns for time_ns, _ in clock_steps], np.int64)
        self._offsets = np.cumsum([0, *(by_ns for _, by_ns in clock_steps)])
        self._counts = np.zeros(_BINS + 1, np.int64)
        self._recent_ns = np.zeros(0, np.int64)
        self._bounds = (math.inf, -math.inf)

    def add(self, messages: Messages) -> None:
        """Add messages; of one that is repeated, only the first counts."""
        published = messages.published_ns
        if published is None or not len(published):
            return
        different, first = np.unique(published, return_index=True)
        is_new = np.zeros(len(published), np.bool_)
        is_new[first] = ~np.isin(different, self._recent_ns)
        is_new &= published != messages.log_time_ns  # by the recorder's own clock
        self._recent_ns = np.union1d(self._recent_ns, different)[-_RECENT:]
        times = messages.log_time_ns[is_new]
        offset = self._offsets[np.searchsorted(self._steps_at, times, side='right')]
        delay_ms = (times - published[is_new] + offset) / _MS
        is_known = np.abs(delay_ms) < _MOST_S * 1e3
        delay_ms, times = delay_ms[is_known], times[is_known]
        if not len(delay_ms):
            return
        place = np.ceil(np.log2(np.maximum(delay_ms, _LEAST_MS) / _LEAST_MS) * _PER_OCTAVE)
        np.add.at(self._counts, np.clip(place, 0, _BINS).astype(np.int64), 1)
        low, high = self._bounds
        self._bounds = min(low, float(delay_ms.min())), max(high, float(delay_ms.max()))
        self.samples.add(times, delay_ms.reshape(1, -1))

    @property
    def result(self) -> Delay | None:
        """Return what was found; None if the delay of no message is known."""
        count = int(self._counts.sum())
        if not count:
            return None
        total: Floats = np.cumsum(self._counts) / count
        median, most = (
            float(_LEAST_MS * 2 ** (np.searchsorted(total, share) / _PER_OCTAVE))
            for share in (0.5, 0.99)
        )
        earliest, longest = self._bounds
        return Delay(count, min(median, longest), min(most, longest), longest, earliest)
