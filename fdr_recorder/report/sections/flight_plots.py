# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The sections on what was flown: attitude, position, battery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import math
from typing import Any, Final

from fdr_recorder.report.flight_signals import ATTITUDE, BATTERY, GLOBAL, LOCAL, Signal
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html
from fdr_recorder.report.numbers import Column, Numbers, rest_buckets
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.time_chart import Line, Run, time_chart
from fdr_recorder.report.track_map import track_map
from fdr_recorder.units import short
import numpy as np

_EARTH_RADIUS_M: Final = 6_371_008.8
_TRACK_HEIGHT: Final = 382
_HEAD_HEIGHT: Final = 30
_BOUNDS: Final = {'yaw': (-180.0, 180.0), 'percentage': (0.0, 100.0)}
_BREAK: Final = (math.nan, math.nan)
_DECIMALS: Final = {'V': 2, 'A': 1, '%': 0, 'm': 1, '°': 1}


def flight_plot_sections(report: Report, drawing: Drawing) -> list[Html]:
    """Return a section for each of them that the flight has topics for."""
    titles = (
        ('attitude', 'Attitude', (ATTITUDE,)),
        ('position', 'Position', (GLOBAL, LOCAL)),
        ('battery', 'Battery', (BATTERY,)),
    )
    sections = []
    for section, title, kinds in titles:
        shown: list[Html] = []
        for signal in report.signals:
            if signal.kind in kinds:
                plots = _signal(report, drawing, signal)
                shown.append(_folded(signal, plots) if shown else plots)
        if shown:
            sections.append(h('section', h('h2', title), shown, id=section))
    return sections


def add_fields(report: Report, numbers: Numbers) -> None:
    """Add every numeric field of every topic, which the page's script can show."""
    columns = sum(
        len(topic.fields) for topic in report.topic_data if not topic.samples.is_exact
    )
    shown = {(item['topic'], item['type'], item['field']) for item in numbers.series}
    for topic in report.topic_data:
        about = short(topic.topic), short(topic.type)
        numbers.add(
            topic.samples,
            [
                Column(item.path) if (*about, item.path) not in shown else None
                for item in topic.fields
            ],
            topic=topic.topic,
            type_name=topic.type,
            gap_s=report.gap_s(topic),
            buckets=rest_buckets(columns),
        )


def _series(report: Report, drawing: Drawing, signal: Signal) -> list[str]:
    """Add the signal's values as series; return the id of each."""
    columns = [
        Column(
            f'{signal.prefix}{name}',
            unit,
            wrap=360 if name == 'yaw' else 0,
            is_rounded=signal.kind is ATTITUDE,
        )
        for name, unit in signal.kind.values()
    ]
    return drawing.numbers.add(
        signal.samples,
        columns,
        topic=signal.topic,
        type_name=signal.type,
        gap_s=report.gap_s(signal),
    )


def _folded(signal: Signal, plots: Html) -> Html:
    return h('details', h('summary', 'also ', h('code', short(signal.topic))), plots)


def _signal(report: Report, drawing: Drawing, signal: Signal) -> Html:
    silence_s = report.gap_s(signal)
    series = _series(report, drawing, signal)
    if signal.kind in (GLOBAL, LOCAL):
        shown = _position(drawing, signal, silence_s, series)
    else:
        charts = _charts(drawing, signal, silence_s, series)
        shown = h('div', charts, drawing.time_labels(), class_='card')
    note = {
        ATTITUDE: 'Roll right, pitch down and yaw left are positive (REP-103).',
        BATTERY: 'Current that the vehicle draws is positive.',
    }.get(signal.kind)
    source = h(
        'p',
        h('code', short(signal.topic)),
        f' {signal.type}, {signal.samples.count:,} samples. ',
        note,
        class_='source',
    )
    return h('div', source, shown)


def _charts(
    drawing: Drawing, signal: Signal, silence_s: float, series: Sequence[str]
) -> list[Html]:
    charts = []
    for place, (name, unit) in enumerate(signal.kind.values()):
        runs: Sequence[Run] = signal.extremes.line(place, silence_s)
        if name == 'yaw':
            runs = list(_wrapped(runs))
        if runs:
            bottom, top = _BOUNDS.get(name, (None, -math.inf))
            line = Line(
                name.capitalize(),
                unit,
                runs,
                _DECIMALS[unit],
                silence_s,
                bottom=bottom,
                series=(series[place],),
            )
            charts.append(time_chart(drawing, line, top=top))
    return charts


def _wrapped(runs: Iterable[Run]) -> Iterable[Run]:
    """Return angles between -180 and 180 degrees; a new run begins at each jump."""
    for run in runs:
        part: list[tuple[float, float]] = []
        for seconds, angle in run:
            wrapped = (angle + 180) % 360 - 180
            if part and abs(wrapped - part[-1][1]) > 180:
                yield part
                part = []
            part.append((seconds, wrapped))
        yield part


# --- position --------------------------------------------------------------------------------


def _position(
    drawing: Drawing, signal: Signal, silence_s: float, series: Sequence[str]
) -> Html:
    rows = signal.extremes.rows(silence_s)
    runs = [[row for row in run if math.isfinite(row[1] + row[2])] for run in rows]
    runs = [run for run in runs if run]
    if signal.kind is GLOBAL:
        points = _metres(runs)
        described = 'The way over ground, north is up'
        lines = [('Altitude', 2)]
    else:
        points = [[(seconds, x, y) for seconds, x, y, _ in run] for run in runs]
        described = 'The way seen from above, x is right and y is up'
        lines = [('x', 0), ('y', 1), ('z', 2)]
    height = _TRACK_HEIGHT // len(lines) - _HEAD_HEIGHT
    charts = []
    for name, place in lines:
        runs_of = signal.extremes.line(place, silence_s)
        line = Line(name, 'm', runs_of, 1, silence_s, series=(series[place],))
        if line.runs:
            charts.append(time_chart(drawing, line, height=height))
    if not points:
        return h('div', charts, drawing.time_labels(), class_='card')
    return h(
        'div',
        h(
            'div',
            track_map(drawing, points, described, _track(drawing, signal, points, series)),
            h('p', h('b', '○ '), 'start ', h('b', '□ '), f'end. {described}.', class_='key'),
            class_='card',
        ),
        h('div', charts, drawing.time_labels(), class_='card'),
        class_='position',
    )


def _track(
    drawing: Drawing,
    signal: Signal,
    points: Sequence[Sequence[tuple[float, float, float]]],
    series: Sequence[str],
) -> dict[str, Any]:
    """Tell the page's script of a track."""
    rows = np.array([point for run in points for point in (*run, (run[-1][0], *_BREAK))])
    time, x, y = drawing.numbers.add_track(rows.T)
    frame = 'lat/lon' if signal.kind is GLOBAL else 'ENU'
    return {
        'name': short(signal.topic),
        'frame': frame,
        't': time,
        'x': x,
        'y': y,
        'values': [name for name in series if name],
    }


def _metres(runs: Sequence[Sequence[tuple[float, ...]]]) -> list[list[tuple[float, float, float]]]:
    """Return latitude and longitude as metres east and north of the first fix."""
    if not runs:
        return []
    _, latitude_0, longitude_0, _ = runs[0][0]
    north = math.radians(1) * _EARTH_RADIUS_M
    east = north * math.cos(math.radians(latitude_0))
    return [
        [
            (
                seconds,
                ((longitude - longitude_0 + 180) % 360 - 180) * east,
                (latitude - latitude_0) * north,
            )
            for seconds, latitude, longitude, _ in run
        ]
        for run in runs
    ]
