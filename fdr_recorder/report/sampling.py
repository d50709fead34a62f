# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight's time cut into buckets, and the extreme samples that are kept in each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from fdr_recorder.report.chunk_reading import Span
from fdr_recorder.types.cdr_to_columns import Floats, Integers
from fdr_recorder.units import NS_PER_S
import numpy as np

NS_PER_DAY: Final = 86_400 * NS_PER_S

RATE_BUCKETS: Final = 240
PLOT_BUCKETS: Final = 800
_FINE_BUCKETS: Final = 200_000
_FINE_WIDTH_NS: Final = NS_PER_S // 10
_NICE_WIDTHS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


@dataclass(frozen=True)
class Axis:
    """
    A stretch of time, cut into buckets of the same width.

    Attributes:
        start_ns: Where it begins (system clock).
        width_ns: Width of a bucket.
        buckets: Number of buckets.

    """

    start_ns: int
    width_ns: int
    buckets: int

    @property
    def end_ns(self) -> int:
        """Where it ends."""
        return self.start_ns + self.width_ns * self.buckets

    def place(self, times_ns: Integers) -> Integers:
        """Return the bucket of each time; -1 before the first one, `buckets` after the last."""
        return np.clip((times_ns - self.start_ns) // self.width_ns, -1, self.buckets)


def plot_axis(start_ns: int, end_ns: int) -> Axis:
    """Return an axis fine enough for a plot."""
    return Axis(start_ns, max(-(-(end_ns - start_ns + 1) // PLOT_BUCKETS), 1), PLOT_BUCKETS)


def rate_axis(start_ns: int, end_ns: int) -> Axis:
    """Return an axis whose buckets are 1, 2, 5, ... seconds wide; it may end a little later."""
    span_s = (end_ns - start_ns + 1) / NS_PER_S
    widths = (width for width in _NICE_WIDTHS_S if width * RATE_BUCKETS >= span_s)
    width_ns = int(next(widths, span_s // RATE_BUCKETS + 1)) * NS_PER_S
    return Axis(start_ns, width_ns, max(-(-(end_ns - start_ns + 1) // width_ns), 1))


def fine_axis(start_ns: int, end_ns: int) -> Axis:
    """Return an axis fine enough to find silences of a second in a flight of some hours."""
    width_ns = max(-(-(end_ns - start_ns + 1) // _FINE_BUCKETS), _FINE_WIDTH_NS)
    return Axis(start_ns, width_ns, -(-(end_ns - start_ns + 1) // width_ns))


def flight_time(spans: Iterable[Span]) -> tuple[int, int]:
    """
    Return the start and the end of a flight, given the times of its chunks.

    A vehicle without a battery-backed clock starts in 1970, and its clock is set in flight. On one
    axis both parts would shrink to points, so the smaller part is left out.
    """
    parts = sorted(spans)
    while len(parts) > 1:
        ends = np.maximum.accumulate(np.array([part.end_ns for part in parts], np.int64))
        gaps = [after.start_ns - int(end) for end, after in zip(ends, parts[1:], strict=False)]
        widest = int(np.argmax(gaps))
        rest = int(ends[-1]) - parts[0].start_ns - gaps[widest]
        if gaps[widest] < max(NS_PER_DAY, 10 * rest):
            break
        sides = parts[: widest + 1], parts[widest + 1:]
        parts = max(sides, key=lambda side: sum(part.bytes for part in side))
    if not parts:
        return 0, 0
    return parts[0].start_ns, max(part.end_ns for part in parts)


class Extremes:
    """
    Keeps the samples with the lowest and the highest value in each bucket, for each column.

    So a spike of a single sample is shown, however long the flight.
    """

    def __init__(self, axis: Axis, columns: int) -> None:
        """
        Start without samples.

        Args:
            axis: The buckets.
            columns: Number of values in a sample.

        """
        self.axis = axis
        self.columns = columns
        self.samples = 0
        # indexes: column, lowest or highest, value of the sample (time first), bucket
        self._kept = np.full((columns, 2, 1 + columns, axis.buckets), np.nan)
        self._first = np.full(axis.buckets, np.inf)
        self._last = np.full(axis.buckets, -np.inf)

    def add(self, times_ns: Integers, values: Floats) -> None:
        """Add samples, one in each column of `values`; NaN where one has no such value."""
        bucket = self.axis.place(times_ns)
        is_finite = np.isfinite(values)
        use = (bucket >= 0) & (bucket < self.axis.buckets) & is_finite.any(axis=0)
        if not use.any():
            return
        bucket, values, is_finite = bucket[use], values[:, use], is_finite[:, use]
        seconds = (times_ns[use] - self.axis.start_ns) / NS_PER_S
        self.samples += len(seconds)
        np.minimum.at(self._first, bucket, seconds)
        np.maximum.at(self._last, bucket, seconds)
        rows = np.vstack([seconds, values])
        for column in range(self.columns):
            finite = np.flatnonzero(is_finite[column])
            if not len(finite):
                continue
            order = finite[np.lexsort((values[column, finite], bucket[finite]))]
            edges = np.flatnonzero(np.diff(bucket[order])) + 1
            lowest, highest = order[np.r_[0, edges]], order[np.r_[edges - 1, len(order) - 1]]
            for side, chosen in enumerate((lowest, highest)):
                kept = self._kept[column, side]
                known, new = kept[1 + column, bucket[chosen]], values[column, chosen]
                is_better = ~(new >= known) if side == 0 else ~(new <= known)
                better = chosen[is_better]
                kept[:, bucket[better]] = rows[:, better]

    def line(self, column: int, silence_s: float) -> list[list[tuple[float, float]]]:
        """Return the extremes of one column: runs of (seconds, value), broken at silences."""
        return [
            [(float(row[0]), float(row[1 + column])) for row in run]
            for run in self._runs(self._kept[column], silence_s)
        ]

    def rows(self, silence_s: float) -> list[list[tuple[float, ...]]]:
        """Return every kept sample with all its values: runs of (seconds, values...)."""
        kept = self._kept.reshape(self.columns * 2, 1 + self.columns, self.axis.buckets)
        return [[tuple(map(float, row)) for row in run] for run in self._runs(kept, silence_s)]

    def _runs(self, kept: Floats, silence_s: float) -> list[list[Floats]]:
        """Return samples ordered by time; a run ends before more than `silence_s` without one."""
        used = [int(bucket) for bucket in np.flatnonzero(np.isfinite(self._first))]
        runs: list[list[Floats]] = [[]]
        for before, bucket in pairwise([-1, *used]):
            if before >= 0 and self._first[bucket] - self._last[before] > silence_s:
                runs.append([])
            here = kept[:, :, bucket]
            samples = {float(sample[0]): sample for sample in here[np.isfinite(here[:, 0])]}
            runs[-1] += [samples[time] for time in sorted(samples)]
        return [run for run in runs if run]
