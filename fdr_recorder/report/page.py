# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The page as a whole: verdict, key figures, sections, style and script, in one HTML file."""

from __future__ import annotations

from dataclasses import replace
import json
from typing import Any, Final

from fdr_recorder.flights.status import Losses
from fdr_recorder.record.kinds import AlertRecord
from fdr_recorder.report.assets import policy, script_elements, style_elements
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import Child, fact_list, h, Html
from fdr_recorder.report.numbers import Numbers
from fdr_recorder.report.sections.alerts import alerts_section
from fdr_recorder.report.sections.balance import balance_of, balance_section
from fdr_recorder.report.sections.configuration import configuration_section
from fdr_recorder.report.sections.flight_plots import (
    add_fields,
    flight_plot_sections,
    SECTIONS_OF_FLIGHT,
)
from fdr_recorder.report.sections.header import header_section
from fdr_recorder.report.sections.parameters import parameters_section
from fdr_recorder.report.sections.recorder import recorder_section
from fdr_recorder.report.sections.segments import segments_section
from fdr_recorder.report.sections.timeline import timeline_section
from fdr_recorder.report.sections.topics import topics_section
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.true_utc import in_true_utc
from fdr_recorder.report.verdict import findings, Level, verdict
from fdr_recorder.units import (
    format_date,
    format_size,
    NS_PER_S,
    plural,
    precise_duration,
    short,
    time_of_day,
)
from fdr_recorder.version import __version__

GENERATOR: Final = 'fdr report'
"""Marks a page, in its head, as one that may be replaced."""

_CIRCLE: Final = 'M13 1a12 12 0 1 0 .01 0Z'
_BADGES: Final = {
    Level.GOOD: ('Complete', _CIRCLE, 'M7 13.5l4 4 8-9'),
    Level.LIVE: ('Being recorded', _CIRCLE, 'M13 8v6l4 3'),
    Level.LOSS: ('With losses', _CIRCLE, 'M13 7v7M13 18v.5'),
    Level.WARN: ('Not closed', 'M13 1.5L25 24H1Z', 'M13 9.5v6M13 19v.5'),
    Level.BAD: ('Damaged', 'M8 1h10l7 7v10l-7 7H8l-7-7V8Z', 'M8 8l10 10M18 8L8 18'),
}
"""Name, frame and sign of each level."""


def render(report: Report) -> str:
    """Return the page as HTML; its times are true UTC."""
    report = in_true_utc(report)
    span_s = max((report.end_ns - report.start_ns) / NS_PER_S, 1e-3)
    drawing = Drawing(report.start_ns, span_s)
    sections = [
        timeline_section(report, drawing),
        *flight_plot_sections(report, drawing),
        topics_section(report, drawing),
        balance_section(report) if report.is_flight else None,
        recorder_section(report, drawing) if report.is_flight else None,
        alerts_section(report, drawing) if report.is_flight or report.info.events else None,
        header_section(report) if report.is_flight or report.info.header else None,
        configuration_section(report),
        parameters_section(report, drawing),
        segments_section(report),
    ]
    add_fields(report, drawing.numbers)
    flight_id = short(report.info.listed.flight_id)
    end = _end(report, drawing.numbers)
    body = h(
        'body',
        _bar(sections),
        h('main', _top(report), _verdict(report), _facts(report), sections, end),
        h('script', _data(drawing), type='application/json', id='data'),
        h('script', drawing.numbers.arrays.text(), type='text/plain', id='arrays'),
        script_elements(),
    )
    return f'<!doctype html>\n{h("html", _head(flight_id), body, lang="en")}\n'


def _head(flight_id: str) -> Html:
    return h(
        'head',
        h('meta', charset='utf-8'),
        h('meta', http_equiv='Content-Security-Policy', content=policy()),
        h('meta', name='viewport', content='width=device-width, initial-scale=1'),
        h('meta', name='generator', content=f'{GENERATOR} {__version__}'),
        h('meta', name='color-scheme', content='light dark'),
        h('title', f'{flight_id} · flight report'),
        style_elements(),
    )


def _data(drawing: Drawing) -> Html:
    """Return the numbers behind the charts, as JSON that cannot end the script element."""
    numbers = drawing.numbers
    data: dict[str, Any] = {
        't0': drawing.start_ns // 1_000_000,
        'us': drawing.start_ns // 1000 % 1000,
        'span': drawing.span_s,
        'series': numbers.series,
        'charts': numbers.charts,
        'lanes': numbers.lanes,
        'sparks': numbers.sparks,
        'tracks': numbers.tracks,
        'bucketed': numbers.bucketed,
    }
    text = json.dumps(data, separators=(',', ':'), allow_nan=False)
    return Html(text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026'))


def _bar(sections: list[Html | None]) -> Html:
    """Return the navigation bar."""
    names = (
        ('timeline', 'Time line'),
        *SECTIONS_OF_FLIGHT,
        ('topics', 'Topics'),
        ('accounts', 'Accounts'),
        ('recorder', 'Recorder'),
        ('alerts', 'Alerts'),
        ('header', 'Header'),
        ('configuration', 'Configuration'),
        ('parameters', 'Parameters'),
    )
    there = ''.join(section for section in sections if section is not None)
    links = [h('a', title, href=f'#{name}') for name, title in names if f' id="{name}"' in there]
    theme = h('button', '◐', type='button', class_='theme', aria_label='Light or dark')
    return h('header', h('nav', links, aria_label='Sections'), h('output', class_='at'), theme)


def _top(report: Report) -> Html:
    listed = report.info.listed
    nobody = 'Vehicle without a name' if report.is_flight else 'A recording of another program'
    return h(
        'div',
        h('p', 'Flight report' if report.is_flight else 'Report', class_='over'),
        h('h1', short(listed.vehicle_id) or nobody),
        h('p', h('code', short(listed.name))),
        class_='top',
    )


def _verdict(report: Report) -> Html:
    found = verdict(report)
    name, frame, sign = _BADGES[found.level]
    badge = h(
        'svg',
        h('path', d=frame, class_='frame'),
        h('path', d=sign, class_='stroke'),
        viewBox='0 0 26 26',
        role='img',
        aria_label=name,
    )
    more = findings(report)
    return h(
        'div',
        badge,
        h(
            'div',
            h('p', found.headline, class_='headline'),
            [h('p', _with_code(sentence)) for sentence in found.sentences],
            h('ul', [h('li', text) for text in more]) if more else None,
        ),
        class_=f'verdict {found.level.value}',
        role='status',
    )


def _with_code(sentence: str) -> list[Html | str]:
    """Return a sentence; text between backquotes becomes code."""
    return [
        h('code', part) if place % 2 else part for place, part in enumerate(sentence.split('`'))
    ]


def _facts(report: Report) -> Html:
    listed = report.info.listed
    started_ns = listed.started_ns
    levels = [alert.level for _, alert in report.payloads(AlertRecord) if alert.raised]
    losses, balance = listed.status.losses, balance_of(report)
    if balance is not None:  # without the recorder's own records
        losses = replace(losses, capacity=balance.dropped)
    started: Child = [
        time_of_day(started_ns, 0),
        h('small', f'{format_date(started_ns)}, UTC'),
        h('small', class_='local', data_ms=started_ns // 1_000_000),
    ]
    noun = 'segment' if report.is_flight else 'file'
    ended, segments = time_of_day(report.end_ns, 0), plural(listed.segments, noun)
    facts: tuple[tuple[str, Child], ...] = (
        ('Started', started),
        ('Duration', [precise_duration(listed.duration_s), h('small', f'to {ended}')]),
        ('Messages', [f'{report.messages:,}', h('small', plural(len(report.topics), 'topic'))]),
        ('On disk', [format_size(listed.bytes), h('small', segments)]),
        ('Not here', [_not_here(losses), h('small', _causes(losses))]),
        ('Alerts', [f'{len(levels):,}', h('small', _levels(levels))]),
    )
    return fact_list(facts, class_='facts')


def _not_here(losses: Losses) -> str:
    if not (losses.unseen or losses.untold):
        return f'{losses.total:,}'
    return f'at least {losses.total:,}' if losses.total else 'unknown'


def _causes(losses: Losses) -> str:
    causes = (
        (losses.transport, 'transport'),
        (losses.overrun, 'ring full'),
        (losses.write_error, 'disk'),
        (losses.capacity, 'dropped'),
        (losses.removed, 'files removed'),
        (losses.before_match, 'sent before heard'),
    )
    said = [f'{count:,} {cause}' for count, cause in causes if count]
    if losses.unseen:
        said.append(f'transport unknown on {losses.unseen.count}')
    if losses.untold:
        said.append('nobody has counted')
    said = said or ['none known']
    if losses.throttled:
        said.append(f'and {losses.throttled:,} left out, as asked for')
    return ', '.join(said)


def _levels(levels: list[int]) -> str:
    errors = sum(level >= 2 for level in levels)
    counts = ((errors, 'error'), (len(levels) - errors, 'warning'))
    return ', '.join(plural(count, noun) for count, noun in counts if count) or 'none'


def _end(report: Report, numbers: Numbers) -> Html:
    made = f'{format_date(report.made_ns)} {time_of_day(report.made_ns, 0)} UTC'
    notes = [f'Made by {GENERATOR} {__version__} on {made}. All times are UTC.']
    if not report.has_all_signals:
        notes.append('Not every topic that could be plotted is.')
    if numbers.bucketed:
        notes.append(
            f'Of {numbers.bucketed:,} of {plural(len(numbers.series), "field")} this page has the '
            'lowest and the highest value of each of many short times; of the others, all samples.'
        )
    return h('footer', [h('p', note) for note in notes])
