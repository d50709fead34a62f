# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on the configuration that the flight was recorded with."""

from __future__ import annotations

from typing import Any, Final

from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.untrusted_yaml import load_yaml
from fdr_recorder.record.kinds import ConfigChange, FlightHeader
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html, table
from fdr_recorder.units import plural, short, time_of_day
import yaml

_MOST_OPTIONS: Final = 500
_MOST_CHARACTERS: Final = 50_000
"""Shown of a configuration that is not what a recorder writes."""
_LONGEST: Final = 2000
"""Characters of a value that was changed."""
_MINUS: Final = '\N{MINUS SIGN}'
_LONGEST_YAML: Final = 256 * 1024


def config_options(header: FlightHeader) -> dict[str, Any]:
    """Return the configuration in a header by option; empty if it cannot be read."""
    options = load_yaml(header.config_snapshot, _LONGEST_YAML)
    return options if isinstance(options, dict) else {}


def configuration_section(report: Report) -> Html | None:
    """Show the options that are not the default, and the others folded."""
    header = report.info.header
    if header is None or not header.config_snapshot:
        return None
    options = config_options(header)
    if not options:
        text = h('pre', header.config_snapshot[:_MOST_CHARACTERS])
        return h(
            'section', h('h2', 'Configuration'), h('div', text, class_='card'), id='configuration'
        )
    defaults = FdrConfig().to_options()
    changed: list[Html] = []
    same: list[Html] = []
    for name, value in list(options.items())[:_MOST_OPTIONS]:
        row = h('div', h('dt', h('code', short(str(name)))), h('dd', h('code', _shown(value))))
        (same if _shown(value) == _shown(defaults.get(name)) else changed).append(row)
    said = 'These options are not the default of this version.'
    return h(
        'section',
        h('h2', 'Configuration'),
        h('p', said if changed else 'Every option is the default.', class_='source'),
        h('div', h('dl', changed, class_='options'), class_='card') if changed else None,
        h(
            'details',
            h('summary', f'{plural(len(same), "option")} with the default of this version'),
            h('div', h('dl', same, class_='options'), class_='card'),
        )
        if same
        else None,
        _changes(report),
        id='configuration',
    )


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(str, value)) or 'none'
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix('...\n')
    return short(text.strip(), 2000)


def _changes(report: Report) -> Html | None:
    """Show which options were changed in flight, and which topics began or ended with that."""
    rows = []
    for time_ns, change in report.payloads(ConfigChange)[:_MOST_OPTIONS]:
        topics = [
            h('div', f'{"+" if item.is_recorded else _MINUS} {short(item.topic)}')
            for item in change.topics[:_MOST_OPTIONS]
        ]
        cells = (time_of_day(time_ns, 1), short(change.option), short(change.before, _LONGEST),
                 short(change.after, _LONGEST), topics)  # fmt: skip
        rows.append(h('tr', [h('td', cell) for cell in cells]))
    if not rows:
        return None
    columns = ('Changed at', 'Option', 'Before', 'After', 'Topics')
    return h('div', h('h3', 'Changed in flight'), table(columns, rows), class_='card scroll')
