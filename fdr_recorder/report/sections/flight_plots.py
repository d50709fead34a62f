# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The sections on what was flown: attitude, position, battery and so on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
import math
from typing import Any, Final

from fdr_recorder.report.field_units import unit_of
from fdr_recorder.report.flight_signals import Signal
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html
from fdr_recorder.report.known_types import ATTITUDE, GLOBAL, LOCAL, LOCAL_NED
from fdr_recorder.report.numbers import Column, Numbers, rest_buckets
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.time_chart import Line, Run, time_chart
from fdr_recorder.report.track_map import track_map
from fdr_recorder.units import short
import numpy as np

_EARTH_RADIUS_M: Final = 6_371_008.8
_TRACK_HEIGHT: Final = 382
_HEAD_HEIGHT: Final = 30
_HEIGHT: Final = 92
_MOST_SETPOINTS: Final = 3
_UNBOUND: Final = (None, -math.inf)
SECTIONS_OF_FLIGHT: Final = (
    ('attitude', 'Attitude'),
    ('rates', 'Turn rates'),
    ('position', 'Position'),
    ('velocity', 'Velocity'),
    ('battery', 'Battery'),
)
_BOUNDS: Final[Mapping[str, tuple[float | None, float]]] = {
    'yaw': (-180.0, 180.0),
    'percentage': (0.0, 100.0),
}
DELAY_FIELD: Final = 'delay from source to reception'
_BREAK: Final = (math.nan, math.nan)
_DECIMALS: Final = {'V': 2, 'A': 1, '%': 0, 'm': 1, '°': 1, 'm/s': 2, '°/s': 1}


def flight_plot_sections(report: Report, drawing: Drawing) -> list[Html]:
    """Return a section for each of them that the flight has topics for."""
    sections = []
    for section, title in SECTIONS_OF_FLIGHT:
        signals = [signal for signal in report.signals if signal.kind.section == section]
        shown: list[Html] = []
        for signal, setpoints in _paired(signals):
            plots = _signal(report, drawing, signal, setpoints)
            shown.append(_folded(signal, plots) if shown else plots)
        if shown:
            sections.append(h('section', h('h2', title), shown, id=section))
    return sections


def _paired(signals: Sequence[Signal]) -> list[tuple[Signal, list[Signal]]]:
    """Return each signal with its setpoints: those of its kind whose names are most like its."""
    found: list[tuple[Signal, list[Signal]]] = [
        (signal, []) for signal in signals if not signal.is_setpoint
    ]
    alone = []
    for signal in signals:
        fitting = [pair for pair in found if pair[0].kind is signal.kind]
        if signal.is_setpoint and fitting:
            best = max(fitting, key=lambda pair: _common_parts(pair[0].topic, signal.topic))
            best[1].append(signal)
        elif signal.is_setpoint:
            alone.append((signal, list[Signal]()))
    return [(signal, setpoints[:_MOST_SETPOINTS]) for signal, setpoints in (*found, *alone)]


def _common_parts(one: str, other: str) -> int:
    """Return how many parts at the beginning of two names are the same."""
    pairs = zip(one.split('/'), other.split('/'), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def add_fields(report: Report, numbers: Numbers) -> None:
    """Add every numeric field of every topic, which the page's script can show."""
    columns = sum(
        1 + len(topic.fields) for topic in report.topic_data if not topic.samples.is_exact
    )
    shown = {(item['topic'], item['type'], item['field']) for item in numbers.series}
    for topic in report.topic_data:
        about = short(topic.topic), short(topic.type)
        numbers.add(
            topic.samples,
            [
                None
                if (*about, item.path) in shown
                else Column(item.path, unit_of(topic.type, item.path))
                for item in topic.fields
            ],
            topic=topic.topic,
            type_name=topic.type,
            gap_s=report.gap_s(topic),
            buckets=rest_buckets(columns),
        )
        numbers.add(
            topic.delays.samples,
            [Column(DELAY_FIELD, 'ms')],
            topic=topic.topic,
            type_name=topic.type,
            gap_s=report.gap_s(topic),
            buckets=rest_buckets(columns),
        )


def _series(report: Report, drawing: Drawing, signal: Signal) -> list[str]:
    """Add the signal's values as series; return the id of each."""
    is_angle = signal.kind.name.startswith(ATTITUDE.name)
    columns = [
        Column(field, unit, wrap=360 if is_angle and name == 'yaw' else 0, is_rounded=is_angle)
        for field, (name, unit) in zip(signal.source.fields, signal.kind.values(), strict=True)
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


@dataclass(frozen=True)
class _Drawn:
    """A signal with the ids of its series; in `setpoints`, what it should be."""

    signal: Signal
    series: list[str]
    silence_s: float
    setpoints: tuple[_Drawn, ...] = ()

    def line(self, place: int, *, is_setpoint: bool = False) -> Line:
        """Return the line of a value; it may have no points."""
        kind = self.signal.kind
        name, unit = kind.columns[place], kind.units[place]
        runs: Sequence[Run] = self.signal.extremes.line(place, self.silence_s)
        if name == 'yaw' and unit == '°':
            runs = list(_wrapped(runs))
        return Line(
            kind.labels[place],
            unit,
            runs,
            _DECIMALS[unit],
            self.silence_s,
            bottom=_BOUNDS.get(name, _UNBOUND)[0] if unit in '°%' else None,
            series=(self.series[place],),
            legend=short(self.signal.topic),
            is_setpoint=is_setpoint,
        )

    def chart(self, drawing: Drawing, place: int, height: int = _HEIGHT) -> Html | None:
        """Draw a value and its setpoints; return None if it has no points."""
        line = self.line(place)
        others = [item.line(place, is_setpoint=True) for item in self.setpoints]
        others = [item for item in others if item.runs]
        if not line.runs:
            return None
        name, unit = self.signal.kind.columns[place], line.unit
        top = _BOUNDS.get(name, _UNBOUND)[1] if unit in '°%' else -math.inf
        return time_chart(drawing, line, height=height, top=top, others=others)


def _signal(
    report: Report, drawing: Drawing, signal: Signal, setpoints: Sequence[Signal]
) -> Html:
    series = _series(report, drawing, signal)
    wanted = []
    for item in setpoints:
        names = _series(report, drawing, item)
        drawing.numbers.mark_setpoints(names, series)
        wanted.append(_Drawn(item, names, report.gap_s(item)))
    drawn = _Drawn(signal, series, report.gap_s(signal), tuple(wanted))
    if signal.kind in (GLOBAL, LOCAL, LOCAL_NED):
        shown = _position(drawing, drawn)
    else:
        charts = [drawn.chart(drawing, place) for place in range(len(signal.kind.columns))]
        shown = h('div', charts, drawing.time_labels(), class_='card')
    sources = [
        h('span', h('code', short(item.topic)), f' {item.type}, {item.samples.count:,} samples. ')
        for item in (signal, *setpoints)
    ]
    return h('div', h('p', sources, signal.kind.note, class_='source'), shown)


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


def _position(drawing: Drawing, drawn: _Drawn) -> Html:
    signal = drawn.signal
    rows = signal.extremes.rows(drawn.silence_s)
    runs = [[row for row in run if math.isfinite(row[1] + row[2])] for run in rows]
    runs = [run for run in runs if run]
    if signal.kind is GLOBAL:
        points = _metres(runs)
        described = 'The way over ground, north is up'
        places: tuple[int, ...] = (2,)
    elif signal.kind is LOCAL_NED:
        points = [[(seconds, east, north) for seconds, north, east, _ in run] for run in runs]
        described = 'The way seen from above, north (x) is up and east (y) is right'
        places = (0, 1, 2)
    else:
        points = [[(seconds, x, y) for seconds, x, y, _ in run] for run in runs]
        described = 'The way seen from above, x is right and y is up'
        places = (0, 1, 2)
    height = _TRACK_HEIGHT // len(places) - _HEAD_HEIGHT
    charts = [drawn.chart(drawing, place, height) for place in places]
    series = drawn.series
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
    frame = {GLOBAL: 'lat/lon', LOCAL_NED: 'NED'}.get(signal.kind, 'ENU')
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
