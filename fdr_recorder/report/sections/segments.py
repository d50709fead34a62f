# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on the segments of the flight."""

from __future__ import annotations

from typing import Final

from fdr_recorder.flights.info import SegmentInfo
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html, table
from fdr_recorder.units import format_size, short, time_of_day

_MOST_ROWS: Final = 500
_TITLES: Final = ('File', 'Size', 'Records', 'From', 'To', 'State')


def segments_section(report: Report) -> Html:
    """List the segments; of too many, the first and the last ones."""
    segments = report.info.segments
    half = _MOST_ROWS // 2
    shown = segments if len(segments) <= _MOST_ROWS else [*segments[:half], *segments[-half:]]
    more = len(segments) - len(shown)
    what = 'flight' if report.is_flight else 'recording'
    listed = h('div', table(_TITLES, map(_segment, shown)), class_='card scroll')
    return h(
        'section',
        h('h2', 'Segments ' if report.is_flight else 'Files ', h('small', f'{len(segments):,}')),
        h('details', h('summary', f'Files of this {what}'), listed),
        h('p', f'{more:,} in the middle are left out.') if more else None,
        id='segments',
    )


def _segment(segment: SegmentInfo) -> Html:
    numbers = (
        format_size(segment.bytes),
        f'{segment.records:,}',
        time_of_day(segment.first_ns) if segment.records else '',
        time_of_day(segment.last_ns) if segment.records else '',
    )
    return h(
        'tr',
        h('td', h('code', short(segment.name))),
        [h('td', text, class_='num') for text in numbers],
        h(
            'td',
            ('closed' if segment.is_closed else 'not closed')
            + (f', pinned: {short(segment.pinned)}' if segment.pinned else ''),
        ),
    )
