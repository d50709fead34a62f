# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on the recorder: what it wrote, and how full its rings and the disk were."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html
from fdr_recorder.report.recorder_history import SILENCE_S
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.time_chart import Line, Run, time_chart
from fdr_recorder.units import NS_PER_S

_MIB: Final = 1 << 20


def recorder_section(report: Report, drawing: Drawing) -> Html:
    """Show what was written, and how full the disk and the rings were."""
    axis = report.rates.axis
    step_s = axis.width_ns / NS_PER_S
    until_s = [min(step_s, drawing.span_s - place * step_s) for place in range(axis.buckets)]
    rates = [
        count / max(length, 0.1) / _MIB
        for count, length in zip(report.bytes_by_time, until_s, strict=True)
    ]
    written = [(place * step_s, rate) for place, rate in enumerate(rates)]
    written.append((drawing.span_s, rates[-1]))
    on_disk = _on_disk(report, drawing, step_s)
    lines = [
        Line('Written to disk', 'MiB/s', [written], 2, step_s, is_area=True, bottom=0.0),
        Line('Flight on disk', 'MiB', [on_disk], 1, step_s, bottom=0.0),
    ]
    ring, disk = report.history.ring_fill(), report.history.disk_free()
    note = None
    if ring:
        free = [[(seconds, count / _MIB) for seconds, count in run] for run in disk]
        lines += [
            Line('Fullest ring', '%', ring, 1, SILENCE_S, bottom=0.0),
            Line('Free on disk', 'MiB', free, 1, SILENCE_S, bottom=0.0),
        ]
    else:
        note = h(
            'p',
            'How full the rings were, and how much space was left on the disk, this recording '
            'does not say. The recorder publishes both on its diagnostics topic: record that '
            'topic, and they are shown here.',
            class_='source',
        )
    charts = [time_chart(drawing, line) for line in lines]
    return h(
        'section',
        h('h2', 'Recorder'),
        note,
        h('div', charts, drawing.time_labels(), class_='card'),
        id='recorder',
    )


def _on_disk(report: Report, drawing: Drawing, step_s: float) -> Run:
    """Return the size of the flight over time, in MiB; drops count as far as they are known."""
    changes = [(place + 1) * step_s for place in range(len(report.bytes_by_time))]
    sizes = list(zip(changes, report.bytes_by_time, strict=True))
    for time_ns, dropped in report.payloads(SegmentRollover):
        sizes.append((drawing.seconds(dropped.last_log_time_ns), dropped.bytes))
        sizes.append((drawing.seconds(time_ns), -dropped.bytes))
    sizes.sort()
    totals = accumulate(count for _, count in sizes)
    points = [
        (min(max(seconds, 0.0), drawing.span_s), total / _MIB)
        for (seconds, _), total in zip(sizes, totals, strict=True)
    ]
    return [(0.0, 0.0), *points]
