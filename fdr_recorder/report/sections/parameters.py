# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on the parameters of the vehicle's nodes."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from fdr_recorder.flights.node_parameters import ParameterValues
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html, table
from fdr_recorder.report.svg import Drawing
from fdr_recorder.units import plural, short, time_into_flight

_MOST_ROWS: Final = 5000
_MOST_CHANGES: Final = 20
_LONGEST: Final = 300


def parameters_section(report: Report, drawing: Drawing) -> Html | None:
    """List the parameters by node, folded; None if the flight tells of none."""
    parameters = report.info.parameters
    if not parameters:
        return None
    known = list(parameters)
    nodes = [
        _node(drawing, node, list(found))
        for node, found in groupby(known[:_MOST_ROWS], key=lambda item: item.node)
    ]
    more = len(known) - _MOST_ROWS
    return h(
        'section',
        h('h2', 'Parameters ', h('small', f'{len(known):,}')),
        nodes,
        h('p', f'And {more:,} more.') if more > 0 else None,
        [
            h('p', f'{short(node)}: {short(why, _LONGEST)}', class_='source')
            for node, why in sorted(parameters.failures.items())
        ],
        id='parameters',
    )


def _node(drawing: Drawing, node: str, found: list[ParameterValues]) -> Html:
    changes = sum(len(item.values) - 1 for item in found)
    changed = f', {plural(changes, "change")} in flight' if changes else ''
    rows = [
        h(
            'tr',
            h('td', h('code', short(item.name, _LONGEST))),
            h('td', [_value(drawing, item, place) for place in range(len(item.values))]),
        )
        for item in found
    ]
    return h(
        'details',
        h('summary', h('code', short(node)), f' {plural(len(found), "parameter")}{changed}'),
        h('div', table(('Parameter', 'Value'), rows), class_='card scroll'),
    )


def _value(drawing: Drawing, item: ParameterValues, place: int) -> Html | None:
    if place >= _MOST_CHANGES:
        return None
    time_ns, text = item.values[place]
    code = h('code', short(text, _LONGEST))
    if not place:
        return code
    return h('div', code, h('small', f' at {time_into_flight(drawing.seconds(time_ns))}'))
