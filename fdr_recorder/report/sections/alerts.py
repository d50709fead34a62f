# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on alerts."""

from __future__ import annotations

from typing import Final

from fdr_recorder.record.kinds import AlertRecord
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import Child, h, Html, table
from fdr_recorder.report.svg import Drawing
from fdr_recorder.units import plural, short, time_into_flight, time_of_day

_MOST_ROWS: Final = 500
_MOST_VALUES: Final = 10
_UNFOLDED: Final = 20
_ERROR: Final = 2
_LEVELS: Final = {1: ('warn', 'WARN'), 2: ('bad', 'ERROR')}


def alerts_section(report: Report, drawing: Drawing) -> Html:
    """List the alerts in order."""
    alerts = report.payloads(AlertRecord)
    rows = [_alert(drawing, time_ns, alert) for time_ns, alert in alerts[:_MOST_ROWS]]
    titles = ('UTC', 'Into flight', 'Level', 'Alert', 'Message')
    content = table(titles, rows, class_='alerts') if rows else h('p', 'None.')
    listed = h('div', content, class_='card scroll')
    if len(rows) > _UNFOLDED:
        errors = sum(alert.raised and alert.level == _ERROR for _, alert in alerts)
        words = f'All of them; {plural(errors, "error")} among them'
        listed = h('details', h('summary', words), listed)
    more = len(alerts) - len(rows)
    partial = 'Those in segments that were dropped are not here.'
    return h(
        'section',
        h('h2', 'Alerts ', h('small', f'{len(alerts):,}')),
        listed,
        h('p', f'And {more:,} more.') if more else None,
        h('p', partial, class_='source') if report.info.listed.segments_dropped else None,
        id='alerts',
    )


def _alert(drawing: Drawing, time_ns: int, alert: AlertRecord) -> Html:
    style, level = _LEVELS.get(alert.level, ('note', str(alert.level)))
    values = [f'{short(key, 60)} {short(value, 80)}' for key, value in alert.values.items()]
    said: list[Child] = [short(alert.message, 400)]
    if values and alert.raised:
        said.append(h('small', ' · '.join(values[:_MOST_VALUES])))
    state = h('b', level, class_=f'tag {style}') if alert.raised else h('b', 'over', class_='tag')
    code = [h('code', short(alert.code, 60)), h('small', short(alert.subject))]
    return h(
        'tr',
        h('td', time_of_day(time_ns), class_='num'),
        h('td', time_into_flight(drawing.seconds(time_ns)), class_='num'),
        h('td', state),
        h('td', code),
        h('td', said),
    )
