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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
import math
from typing import Final

from fdr_recorder.report.chunk_reading import Span
from fdr_recorder.types.cdr_to_columns import Floats
from fdr_recorder.types.columns import Integers
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

    Attributes:
        axis: The buckets.
        columns: Number of values in a sample.
        samples: How many samples had a value.
        counts: How many values each column had.

    """

    def __init__(self, axis: Axis, columns: int, *, with_rows: bool = True) -> None:
        """
        Start without samples.

        Args:
            axis: The buckets.
            columns: Number of values in a sample.
            with_rows: Keep all values of an extreme sample, for `rows`; else its own one only.

        """
        self.axis = axis
        self.columns = columns
        self.samples = 0
        self.counts = np.zeros(columns, np.int64)
        self._has_rows = with_rows
        # indexes: column, lowest or highest, value of the sample (time first), bucket
        width = 1 + columns if with_rows else 2
        self._kept = np.full((columns, 2, width, axis.buckets), np.nan)
        self._first = np.full(axis.buckets, np.inf)
        self._last = np.full(axis.buckets, -np.inf)

    def add(self, times_ns: Integers, values: Floats) -> None:
        """Add samples, one in each column of `values`; NaN where one has no such value."""
        bucket = self.axis.place(times_ns)
        is_finite = np.isfinite(values)
        use = (bucket >= 0) & (bucket < self.axis.buckets) & is_finite.any(axis=0)
        if not use.any():
            return
        values = np.where(is_finite, values, np.nan)
        if not use.all():
            times_ns, bucket, values = times_ns[use], bucket[use], values[:, use]
        if (np.diff(bucket) < 0).any():
            order = np.argsort(bucket, kind='stable')
            times_ns, bucket, values = times_ns[order], bucket[order], values[:, order]
        seconds = (times_ns - self.axis.start_ns) / NS_PER_S
        self.samples += len(seconds)
        self.counts += np.isfinite(values).sum(axis=1)
        edges = np.flatnonzero(np.diff(bucket, prepend=-1))
        used = bucket[edges]
        self._first[used] = np.minimum(self._first[used], np.minimum.reduceat(seconds, edges))
        self._last[used] = np.maximum(self._last[used], np.maximum.reduceat(seconds, edges))
        for side, best in enumerate((np.fmin, np.fmax)):
            self._keep(side, seconds, values, edges, used, best.reduceat(values, edges, axis=1))

    def _keep(
        self,
        side: int,
        seconds: Floats,
        values: Floats,
        edges: Integers,
        used: Integers,
        best: Floats,
    ) -> None:
        """Keep the first sample with the best value of each bucket, if none is as good."""
        kept = self._kept[:, side]
        own = np.arange(self.columns) + 1 if self._has_rows else np.ones(self.columns, np.int64)
        known = kept[np.arange(self.columns)[:, None], own[:, None], used]
        is_better = ~(best >= known) if side == 0 else ~(best <= known)
        column, place = np.nonzero(is_better & np.isfinite(best))
        if not len(column):
            return
        lengths = np.diff(edges, append=len(seconds))
        is_best = values == np.repeat(best, lengths, axis=1)
        number = np.where(is_best, np.arange(len(seconds)), len(seconds))
        sample = np.minimum.reduceat(number, edges, axis=1)[column, place]
        if self._has_rows:
            rows = np.vstack([seconds, values])
            kept[column, :, used[place]] = rows[:, sample].T
        else:
            kept[column, 0, used[place]] = seconds[sample]
            kept[column, 1, used[place]] = best[column, place]

    def points(self, column: int, silence_s: float) -> tuple[Floats, Floats]:
        """Return times (seconds) and values of the extremes of one column; NaN at silences."""
        own = 1 + column if self._has_rows else 1
        times, values = self._kept[column, :, 0], self._kept[column, :, own]
        times, values = self._broken(times.reshape(1, -1), values.reshape(1, -1), silence_s)
        return times, values[0]

    def _broken(self, times: Floats, values: Floats, silence_s: float) -> tuple[Floats, Floats]:
        """Return samples in order, each once, with a value of NaN inside each silence."""
        used = np.flatnonzero(np.isfinite(self._first))
        before, behind = self._last[used[:-1]], self._first[used[1:]]
        is_silent = behind - before > silence_s
        pauses = ((before + behind) / 2)[is_silent]
        known = np.isfinite(times[0])
        times, values = times[0, known], values[:, known]
        order = np.lexsort((values[0], times))
        times, values = times[order], values[:, order]
        before, behind = values[:, :-1], values[:, 1:]
        is_same = (behind == before) | np.isnan(behind) | np.isnan(before)
        is_new = np.ones(len(times), np.bool_)
        is_new[1:] = (np.diff(times) > 0) | ~is_same.all(axis=0)
        times, values = times[is_new], values[:, is_new]
        at = np.searchsorted(times, pauses)
        inner = (at > 0) & (at < len(times))
        times = np.insert(times, at[inner], pauses[inner])
        return times, np.insert(values, at[inner], np.nan, axis=1)

    def bounds(self, column: int) -> tuple[float, float]:
        """Return the lowest and the highest value of a column; NaN if it has none."""
        own = 1 + column if self._has_rows else 1
        low, high = self._kept[column, 0, own], self._kept[column, 1, own]
        if not np.isfinite(low).any():
            return math.nan, math.nan
        return float(np.nanmin(low)), float(np.nanmax(high))

    def line(self, column: int, silence_s: float) -> list[list[tuple[float, float]]]:
        """Return the extremes of one column: runs of (seconds, value), broken at silences."""
        times, values = self.points(column, silence_s)
        return [
            list(zip(run[0].tolist(), run[1].tolist(), strict=True))
            for run in _runs(np.vstack([times, values]))
        ]

    def rows(self, silence_s: float) -> list[list[tuple[float, ...]]]:
        """Return every kept sample with all its values: runs of (seconds, values...)."""
        kept = self._kept.transpose(2, 0, 1, 3).reshape(1 + self.columns, -1)
        times, values = self._broken(kept[:1], kept[1:], silence_s)
        return [list(zip(*run.tolist(), strict=True)) for run in _runs(np.vstack([times, values]))]


def _runs(rows: Floats) -> Iterator[Floats]:
    """Yield the stretches between samples (a time each, and values) that have no value at all."""
    is_pause = np.isnan(rows[1:]).all(axis=0)
    starts = np.r_[0, np.flatnonzero(is_pause) + 1]
    ends = np.r_[np.flatnonzero(is_pause), rows.shape[1]]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end > start:
            yield rows[:, start:end]


class Samples:
    """
    Samples of some values that belong together: all of them, or the extremes of each bucket.

    Attributes:
        columns: Number of values in a sample.
        is_exact: Whether every sample is kept.

    """

    def __init__(self, axis: Axis, columns: int, *, is_exact: bool, with_rows: bool) -> None:
        """
        Start without samples.

        Args:
            axis: The buckets.
            columns: Number of values in a sample.
            is_exact: Keep every sample; memory grows with them.
            with_rows: As for `Extremes`.

        """
        self.columns = columns
        self.is_exact = is_exact
        self._axis = axis
        self._with_rows = with_rows
        self._times: list[Integers] = []
        self._values: list[Floats] = []

    @cached_property
    def extremes(self) -> Extremes:
        """Return the extremes of each bucket; if `is_exact`, once all samples were added."""
        extremes = Extremes(self._axis, self.columns, with_rows=self._with_rows)
        if self.is_exact:
            extremes.add(*self._sorted)
        return extremes

    @property
    def all(self) -> tuple[Floats, Floats]:
        """
        Every sample in order of time: seconds since the axis begins, and values.

        To be asked for once all were added; there are none unless `is_exact`.
        """
        times, values = self._sorted
        return (times - self._axis.start_ns) / NS_PER_S, values

    @cached_property
    def _sorted(self) -> tuple[Integers, Floats]:
        if not self._times:
            return np.zeros(0, np.int64), np.zeros((self.columns, 0))
        times, values = np.concatenate(self._times), np.concatenate(self._values, axis=1)
        self._times, self._values = [], []
        if (np.diff(times) < 0).any():
            order = np.argsort(times, kind='stable')
            times, values = times[order], values[:, order]
        return times, values

    def add(self, times_ns: Integers, values: Floats) -> None:
        """Add samples, one in each column of `values`; NaN where one has no such value."""
        if not self.is_exact:
            self.extremes.add(times_ns, values)
            return
        bucket = self._axis.place(times_ns)
        is_finite = np.isfinite(values)
        use = (bucket >= 0) & (bucket < self._axis.buckets) & is_finite.any(axis=0)
        if use.any():
            self._times.append(times_ns[use])
            self._values.append(np.where(is_finite, values, np.nan)[:, use])

    @property
    def count(self) -> int:
        """How many samples have a value; to be asked for once all were added."""
        return len(self._sorted[0]) if self.is_exact else self.extremes.samples

    def of_column(self, column: int) -> tuple[int, float, float]:
        """Return how many values a column has, the lowest and the highest; NaN if it has none."""
        if not self.is_exact:
            return int(self.extremes.counts[column]), *self.extremes.bounds(column)
        values = self._sorted[1][column]
        count = int(np.isfinite(values).sum())
        if not count:
            return 0, math.nan, math.nan
        return count, float(np.nanmin(values)), float(np.nanmax(values))
