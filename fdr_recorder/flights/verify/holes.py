# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Finds holes in the numbers of segments that the records of drops do not explain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from fdr_recorder.record.record_parts import DroppedSegments

Hole = tuple[int, int]
"""First and last number of segments that are not there."""


def missing_holes(
    present: Sequence[int], dropped: Sequence[DroppedSegments]
) -> Iterator[list[Hole]]:
    """
    Yield holes between the segments that are there where another number of segments was dropped.

    Several holes come together if one entry counts drops in all of them, as it does in a flight
    with very many pins. What is missing before the first segment is not among them.

    Args:
        present: Numbers of the segments that are there, in order.
        dropped: What is recorded of segments that are gone.

    """
    holes = [(one + 1, other - 1) for one, other in pairwise(present) if other - one > 1]
    runs = sorted(dropped, key=lambda run: run.first_index)
    place = 0
    while place < len(holes):
        group, reach = [holes[place]], holes[place][1]
        for run in runs:
            if run.first_index <= reach and run.last_index >= group[0][0]:
                reach = max(reach, run.last_index)
            while place + len(group) < len(holes) and holes[place + len(group)][0] <= reach:
                group.append(holes[place + len(group)])
                reach = max(reach, group[-1][1])
        place += len(group)
        start, end = group[0][0], group[-1][1]
        inside = [run for run in runs if run.last_index >= start and run.first_index <= end]
        if any(run.first_index < present[0] for run in inside):
            continue  # that counts drops before the first segment, too: the total tells
        if sum(last - first + 1 for first, last in group) != sum(run.segments for run in inside):
            yield group
