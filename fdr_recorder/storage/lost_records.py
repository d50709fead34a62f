# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Records that are lost: how many, and from when to when they were received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fdr_recorder.capture.client import MAX_TIME_NS
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import Channel

Span = tuple[int, int]
"""Two log times, the earlier one first; zeros for that of no record."""
NO_SPAN: Final = (0, 0)


@dataclass(frozen=True)
class LostRecords:
    """Records that were in a file and are lost: how many of each channel, and their log times."""

    counts: Mapping[Channel, int]
    span: Span = NO_SPAN


def joint_span(one: Span, other: Span) -> Span:
    """Return the span of all records of two spans."""
    if NO_SPAN in (one, other):
        return one if other == NO_SPAN else other
    return min(one[0], other[0]), max(one[1], other[1])


def span_of(batch: Sequence[QueuedRecord], clock: SteadyClock) -> Span:
    """Return the span of records out of a ring; a time that is none counts as now."""
    times = [_log_time(record[0], clock) for record in batch]
    return (min(times), max(times)) if times else NO_SPAN


def _log_time(time_ns: object, clock: SteadyClock) -> int:
    if type(time_ns) is int and 0 < (log_time_ns := clock.at(time_ns)) <= MAX_TIME_NS:
        return log_time_ns
    return clock.now_ns()
