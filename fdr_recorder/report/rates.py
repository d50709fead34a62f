# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Message counts of each topic over time, and the silences of all topics together."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Final

from fdr_recorder.report.sampling import Axis, fine_axis
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.columns import Integers
from fdr_recorder.units import NS_PER_S
import numpy as np

MAX_TOPICS: Final = 2000
"""Further topics are not counted."""
_OCTAVES: Final = 64
_MIN_SILENCE_S: Final = 1.0
_SILENCE_PERIODS: Final = 5.0
_MAX_QUIET: Final = 200


class Rates:
    """
    Counts messages by topic, type and time. Memory does not grow with their number.

    Attributes:
        axis: The buckets of time.

    """

    def __init__(self, axis: Axis) -> None:
        """Start without topics."""
        self.axis = axis
        self._moved_ns = 0
        self._numbers: dict[TopicType, int] = {}
        self._counts = np.zeros((MAX_TOPICS, axis.buckets), np.int32)
        self._last = np.full(MAX_TOPICS, -1, np.int64)
        self._steps = np.zeros((MAX_TOPICS, _OCTAVES), np.int64)
        self._quiet = QuietTimes(fine_axis(axis.start_ns, axis.end_ns))

    def number(self, topic: TopicType) -> int:
        """Return a number for a topic, for `add`; -1 if there are too many topics."""
        number = self._numbers.get(topic)
        if number is None:
            if len(self._numbers) == MAX_TOPICS:
                return -1
            number = self._numbers[topic] = len(self._numbers)
        return number

    def add(self, topic: Integers, times_ns: Integers) -> None:
        """
        Count messages.

        Args:
            topic: For each message, the number of its topic.
            times_ns: For each message, when it was received.

        """
        is_listed = topic >= 0
        topic, times_ns = topic[is_listed], times_ns[is_listed]
        if not len(topic):
            return
        bucket = self.axis.place(times_ns)
        is_inside = (bucket >= 0) & (bucket < self.axis.buckets)
        cells = topic[is_inside] * self.axis.buckets + bucket[is_inside]
        cells, counts = np.unique(cells, return_counts=True)
        self._counts.reshape(-1)[cells] += counts.astype(np.int32)
        self._follow(topic, times_ns)
        self._quiet.add(times_ns)

    def _follow(self, topic: Integers, times: Integers) -> None:
        """Count the times between consecutive messages of a topic, by powers of two."""
        order = np.lexsort((times, topic))
        topic, times = topic[order], times[order]
        starts = np.flatnonzero(np.diff(topic, prepend=-1))
        ends = np.r_[starts[1:], len(topic)] - 1
        last = self._last[topic[starts]]
        before = np.r_[times[:1], times[:-1]]
        before[starts] = np.where(last < 0, times[starts], last)
        steps = np.maximum(times - before, 0)  # chunks overlap a little
        octave = np.frexp(steps.astype(np.float64))[1]
        cells, counts = np.unique(topic * _OCTAVES + octave, return_counts=True)
        self._steps.reshape(-1)[cells] += counts
        self._last[topic[starts]] = np.maximum(last, times[ends])

    def counts(self, topic: TopicType) -> list[int]:
        """Return the number of messages of a topic in each bucket."""
        number = self._numbers.get(topic, -1)
        return self._counts[number].tolist() if number >= 0 else []

    def period_s(self, topic: TopicType) -> float:
        """Return the median time between messages of a topic; 0 if unknown."""
        number = self._numbers.get(topic, -1)
        return _usual_step_s(self._steps[number]) if number >= 0 else 0.0

    def quiet_times(self) -> list[tuple[int, int]]:
        """Return the silences of all topics together: from when to when, in order."""
        usual_s = _usual_step_s(self._steps.sum(axis=0))
        found = self._quiet.longer_than(shortest_silence_s(usual_s))
        return [(start + self._moved_ns, end + self._moved_ns) for start, end in found]

    def moved(self, moved_ns: int) -> Rates:
        """Return the same with all times later by so much."""
        other = copy(self)
        other.axis = replace(self.axis, start_ns=self.axis.start_ns + moved_ns)
        other._moved_ns += moved_ns
        return other


class QuietTimes:
    """Finds times without any message, even if chunks overlap."""

    def __init__(self, axis: Axis) -> None:
        """
        Start without messages.

        Args:
            axis: The buckets; a quiet time within one bucket is not found.

        """
        self._axis = axis
        self._first = np.full(axis.buckets, np.iinfo(np.int64).max)
        self._last = np.full(axis.buckets, -1, np.int64)

    def add(self, times_ns: Integers) -> None:
        """Add the times of messages."""
        bucket = self._axis.place(times_ns)
        is_inside = (bucket >= 0) & (bucket < self._axis.buckets)
        np.minimum.at(self._first, bucket[is_inside], times_ns[is_inside])
        np.maximum.at(self._last, bucket[is_inside], times_ns[is_inside])

    def longer_than(self, seconds: float) -> list[tuple[int, int]]:
        """Return the quiet times above a length: from when to when, in order."""
        used = np.flatnonzero(self._last >= 0)
        length = self._first[used[1:]] - self._last[used[:-1]]
        found = np.flatnonzero(length > seconds * NS_PER_S)
        found = found[np.argsort(length[found])[-_MAX_QUIET:]]
        return sorted(
            (int(self._last[used[row]]), int(self._first[used[row + 1]])) for row in found
        )


def shortest_silence_s(period_s: float) -> float:
    """Return from what length a time without messages is silence, and not jitter."""
    return max(_MIN_SILENCE_S, _SILENCE_PERIODS * period_s)


def _usual_step_s(octaves: Integers) -> float:
    """Return the median of the time between messages, to within a factor of 1.4."""
    counts = octaves.copy()
    counts[0] = 0  # a first message, and messages at the same time
    total = int(counts.sum())
    if total < 2:
        return 0.0
    octave = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    return float(2.0 ** (octave - 0.5) / NS_PER_S)
