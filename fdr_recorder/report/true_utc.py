# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Moves a report to true UTC: every time that a page shows, and its axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from fdr_recorder.flights.info import Event
from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.report.gather import Report

_T = TypeVar('_T')


def in_true_utc(report: Report) -> Report:
    """Return a report whose times are true UTC; the same one if its log times are that already."""
    utc = report.info.listed.utc
    if not utc.is_shifted:
        return report

    def moved(item: _T, *names: str) -> _T:
        """Return a dataclass with these times moved; a time of 0 is unknown, and stays."""
        times = {name: getattr(item, name) for name in names}
        change: Callable[..., Any] = replace
        changed = {name: utc.at(time_ns) if time_ns else 0 for name, time_ns in times.items()}
        return change(item, **changed)  # type: ignore[no-any-return]

    info = report.info
    events = [
        Event(
            utc.at(event.time_ns),
            moved(event.payload, 'first_log_time_ns', 'last_log_time_ns')
            if isinstance(event.payload, SegmentRollover)
            else event.payload,
        )
        for event in info.events
    ]
    return replace(
        report,
        info=replace(
            info,
            listed=moved(info.listed, 'started_ns'),
            topics={
                name: moved(topic, 'first_ns', 'last_ns', 'gap_at_ns')
                for name, topic in info.topics.items()
            },
            segments=[moved(segment, 'first_ns', 'last_ns') for segment in info.segments],
            events=events,
            dropped=info.dropped.moved(utc.at),
        ),
        verification=replace(
            report.verification,
            losses=[moved(loss, 'first_ns', 'last_ns') for loss in report.verification.losses],
        ),
        start_ns=utc.at(report.start_ns),
        end_ns=utc.at(report.end_ns),
        rates=report.rates.moved(utc.offset_ns(report.start_ns)),
    )
