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
The numbers behind the charts of a page, for its script.

Arrays are not JSON: they lie one behind the other in one block of bytes, little-endian, deflated
and in base64; JSON says where. A browser inflates some megabytes in some hundredths of a second.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math
from typing import Any, Final
import zlib

from fdr_recorder.report.sampling import Axis, Extremes, Samples
from fdr_recorder.types.cdr_to_columns import Floats
from fdr_recorder.units import NS_PER_S, short
import numpy as np
import numpy.typing as npt

MAX_EXACT_BYTES: Final = 5_000_000
"""Of the page, for series of which every sample is in it."""
_MAX_REST_BYTES: Final = 4 << 20
"""Before they are deflated, for the extremes of series that are not shown from the start."""
_POINT_BYTES: Final = 12
_FEWEST_BUCKETS: Final = 50
_ALIGNED: Final = 8
_INTEGERS: Final = ('i1', 'u1', 'i2', 'u2', 'i4', 'u4')

Ref = list[Any]
"""Where an array is: offset and length in bytes, dtype, number of elements."""
Array = npt.NDArray[Any]


class Arrays:
    """The block of all arrays. The same array lies in it once."""

    def __init__(self) -> None:
        """Start empty."""
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._parts: list[bytes] = []
        self._size = 0
        self._known: dict[tuple[str, bytes], Ref] = {}
        self.deflated = 0

    def add(self, arrays: Sequence[Array], limit: float = math.inf) -> list[Ref] | None:
        """
        Add arrays.

        Args:
            arrays: They must be little-endian.
            limit: The size that the deflated block may have then.

        Returns:
            Where they are; None if that would exceed the limit: nothing was added then.

        """
        deflate, size = self._deflate.copy(), self._size
        new: dict[tuple[str, bytes], Ref] = {}
        found, parts = [], []
        for array in arrays:
            content = array.tobytes()
            key = (array.dtype.str[1:], content)
            ref = self._known.get(key) or new.get(key)
            if ref is None:
                room = b'\0' * (-size % _ALIGNED)
                parts.append(deflate.compress(room + content))
                size += len(room)
                ref = new[key] = [size, len(content), key[0], len(array)]
                size += len(content)
            found.append(ref)
        parts.append(deflate.flush(zlib.Z_SYNC_FLUSH))
        deflated = self.deflated + sum(map(len, parts))
        if deflated > limit:
            return None
        self._deflate, self._size, self.deflated = deflate, size, deflated
        self._parts += parts
        self._known.update(new)
        return found

    def text(self) -> str:
        """Return the block as base64."""
        end = self._deflate.copy().flush(zlib.Z_FINISH)
        return base64.b64encode(b''.join((*self._parts, end))).decode()


@dataclass(frozen=True)
class Column:
    """
    What a column of samples is.

    Attributes:
        field: Its dotted name in the message, or a name for what is computed.
        unit: Its unit; empty if unknown.
        wrap: Values are shown modulo this (from minus half of it); 0 if they are not.
        is_step: Each value holds until the next.
        is_rounded: It is computed; 32-bit floats are exact enough.

    """

    field: str
    unit: str = ''
    wrap: float = 0.0
    is_step: bool = False
    is_rounded: bool = False


class Numbers:
    """
    All series of a page.

    Attributes:
        series: What JSON says of each.
        arrays: Their numbers.

    """

    def __init__(self) -> None:
        """Start without series."""
        self.series: list[dict[str, Any]] = []
        self.arrays = Arrays()
        self.charts: list[dict[str, Any]] = []
        self.lanes: list[dict[str, Any]] = []
        self.tracks: list[dict[str, Any]] = []
        self.sparks: dict[str, Any] = {}

    @property
    def bucketed(self) -> int:
        """How many series do not have every sample."""
        return sum(not item['exact'] for item in self.series)

    def add(
        self,
        samples: Samples,
        columns: Sequence[Column | None],
        *,
        topic: str,
        type_name: str,
        gap_s: float,
        buckets: int = 0,
    ) -> list[str]:
        """
        Add the columns of samples as series.

        Args:
            samples: The samples.
            columns: What their columns are; None for one that is not added.
            topic: The topic that they come from.
            type_name: Its type.
            gap_s: After this time without a sample the value is unknown.
            buckets: The number of buckets whose extremes are added, unless every sample is; 0 for
                those that the samples have.

        Returns:
            The id of each series; empty for a column that is not added, or has no values.

        """
        times, values = samples.all
        packed_times = _packed_times(times)
        limit = MAX_EXACT_BYTES * 3 / 4  # base64
        ids = []
        for place, column in enumerate(columns):
            count, low, high = samples.of_column(place) if column is not None else (0, 0.0, 0.0)
            if column is None or not count:
                ids.append('')
                continue
            refs = None
            if samples.is_exact:
                refs = self.arrays.add([packed_times, _packed(values[place], column)], limit)
            if refs is not None:
                (time, value), gap = refs, gap_s
            else:
                time, value, gap = self._extremes(samples.extremes, place, column, gap_s, buckets)
            found = self._describe(column, topic, type_name, count, time, value, gap)
            low, high = (-column.wrap / 2, column.wrap / 2) if column.wrap else (low, high)
            found.update(lo=low, hi=high, exact=refs is not None)
            ids.append(found['id'])
        return ids

    def mark_setpoints(self, setpoints: Sequence[str], actual: Sequence[str]) -> None:
        """Say of series that they are what others should be."""
        of = dict(zip(setpoints, actual, strict=True))
        for item in self.series:
            if of.get(item['id']):
                item['setpoint_of'] = of[item['id']]

    def add_line(
        self,
        column: Column,
        runs: Iterable[Iterable[tuple[float, float]]],
        gap_s: float,
    ) -> str:
        """Add a series of the recorder itself: runs of (seconds, value); return its id."""
        points: list[tuple[float, float]] = []
        for run in runs:
            if points:
                points.append((points[-1][0], math.nan))
            points += run
        rows = np.array(points, np.float64).reshape(-1, 2)
        added = self.arrays.add([_packed_times(rows[:, 0]), _packed(rows[:, 1], column)])
        assert added is not None
        time, value = added
        finite = rows[np.isfinite(rows[:, 1]), 1]
        found = self._describe(column, '', '', len(finite), time, value, gap_s)
        found.update(lo=float(finite.min()), hi=float(finite.max()), exact=True)
        return str(found['id'])

    def add_track(self, rows: Floats) -> list[Ref]:
        """Add the points of a track: times (seconds), then the values of each; return where."""
        found = self.arrays.add([_packed_times(rows[0]), *rows[1:].astype('<f4')])
        assert found is not None
        return found

    def _extremes(
        self, extremes: Extremes, place: int, column: Column, gap_s: float, buckets: int
    ) -> tuple[Ref, Ref, float]:
        """Add the extremes of a column; return where times and values are, and the gap."""
        axis = extremes.axis
        if buckets and buckets < axis.buckets:
            times, values = extremes.points(place, gap_s)
            factor = math.ceil(axis.buckets / buckets)
            gap_s = max(gap_s, 3 * axis.width_ns / NS_PER_S)
            axis = Axis(axis.start_ns, axis.width_ns * factor, math.ceil(axis.buckets / factor))
            extremes, place = Extremes(axis, 1), 0
            times_ns = np.rint(times * NS_PER_S).astype(np.int64) + axis.start_ns
            extremes.add(times_ns, values.reshape(1, -1))
        times, values = extremes.points(place, gap_s)
        refs = self.arrays.add([_packed_times(times), _packed(values, column)])
        assert refs is not None
        return refs[0], refs[1], max(gap_s, 3 * axis.width_ns / NS_PER_S)

    def _describe(
        self,
        column: Column,
        topic: str,
        type_name: str,
        count: int,
        time: Ref,
        value: Ref,
        gap_s: float,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            'id': f's{len(self.series)}',
            'topic': short(topic),
            'type': short(type_name),
            'field': column.field,
            'name': column.field.rpartition('.')[2],
            'unit': column.unit,
            'n': count,
            'gap': round(gap_s, 4),
            't': time,
            'v': value,
        }
        if column.wrap:
            found['wrap'] = column.wrap
        if column.is_step:
            found['step'] = True
        self.series.append(found)
        return found


def rest_buckets(columns: int) -> int:
    """Return how many buckets each of so many columns may have that are not shown at first."""
    return max(_MAX_REST_BYTES // (2 * _POINT_BYTES * max(columns, 1)), _FEWEST_BUCKETS)


def _packed_times(seconds: Floats) -> Array:
    """Return times as differences in microseconds if these fit, else as they are."""
    micros = np.rint(seconds * 1e6)
    steps = np.diff(micros, prepend=0.0)
    if len(steps) and np.abs(steps).max() >= 2**31:
        return seconds.astype('<f8')
    return steps.astype('<i4')


def _packed(values: Floats, column: Column) -> Array:
    """Return values as the smallest type that holds them exactly; angles as 32-bit floats."""
    if column.wrap:  # an angle
        half = column.wrap / 2
        return ((values + half) % column.wrap - half).astype('<f4')
    if np.isfinite(values).all() and (values == np.rint(values)).all():
        low, high = (values.min(), values.max()) if len(values) else (0, 0)
        for name in _INTEGERS:
            bounds = np.iinfo(name)
            if bounds.min <= low and high <= bounds.max:
                return values.astype(f'<{name}')
    with np.errstate(over='ignore', invalid='ignore'):
        single = values.astype('<f4')
    is_same = (single == values) | np.isnan(values)
    return single if is_same.all() or column.is_rounded else values.astype('<f8')
