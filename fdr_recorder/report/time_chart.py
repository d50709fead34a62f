# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Charts of a value over time, and the small ones of a topic's rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
import math
from statistics import median
from typing import Any, Final

from fdr_recorder.report.html import h, Html
from fdr_recorder.report.numbers import Column
from fdr_recorder.report.svg import Drawing, plot, stretched
from fdr_recorder.units import format_number

Run = Sequence[tuple[float, float]]

_PAD: Final = 6
_PEAK: Final = 3
"""Rates above this multiple of the median are cut, and marked."""
_SPARK_HEIGHT: Final = 26
_COLORS: Final = 6
_TICK_DISTANCE: Final = 60
_STEPS: Final = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05)
_ANGLE_STEPS: Final = (180.0, 90.0, 45.0, 30.0, 15.0)


@dataclass(frozen=True)
class Line:
    """
    A value over time.

    Attributes:
        name: What it is.
        unit: The value's unit.
        runs: Points (seconds, value); the line is interrupted between runs.
        decimals: Decimals of the value as it is shown.
        silence_s: Farther than this from the next point, the value is unknown.
        is_area: Whether each value holds until the next, with the area below filled; one run.
        bottom: Lowest value of the scale; None to fit the values.
        series: The ids of the series that the page's script draws; none for what `runs` has.
        legend: What it is called where a chart has several.
        is_setpoint: Whether it is what the first line of the chart should be.

    """

    name: str
    unit: str
    runs: Sequence[Run]
    decimals: int = 1
    silence_s: float = 1.0
    is_area: bool = False
    bottom: float | None = None
    series: tuple[str, ...] = ()
    legend: str = ''
    is_setpoint: bool = False


def time_chart(
    drawing: Drawing,
    line: Line,
    *,
    height: int = 92,
    top: float = -math.inf,
    others: Sequence[Line] = (),
) -> Html:
    """
    Draw a value over time.

    Args:
        drawing: The page's drawing.
        line: The value.
        height: In pixels.
        top: The scale reaches at least up to this.
        others: Further lines, in the same unit.

    """
    lines = (line, *others)
    values = [value for item in lines for run in item.runs for _, value in run]
    low, high = min(values), max(values)
    bottom = low if line.bottom is None else min(low, line.bottom)
    scale = _Scale(bottom, max(high, top), height, line.unit)
    key = drawing.new_id()
    _register(drawing, key, lines, height, top)
    colors = _colors(lines)
    shapes = [
        h(
            'path',
            class_=f'line {color}',
            d=''.join(_path(drawing, item, scale, run) for run in item.runs),
            vector_effect='non-scaling-stroke',
        )
        for item, color in zip(lines, colors, strict=True)
    ]
    if line.is_area:
        first_x = drawing.x(line.runs[0][0][0])
        where = ''.join(_path(drawing, line, scale, run) for run in line.runs)
        shapes.insert(0, h('path', class_='area', d=f'{where}V{height}H{first_x:.2f}Z'))
    bounds = ' to '.join(format_number(value, line.decimals) for value in (low, high))
    picture = plot(
        drawing,
        title=line.name,
        described=f'{line.name} over time, from {bounds} {line.unit}',
        height=height,
        behind=[_value_grid(scale), drawing.time_grid()],
        shapes=shapes,
        data_plot=key,
    )
    keys = [
        h('span', item.legend, class_=f'key {color}')
        for item, color in zip(lines, colors, strict=True)
        if others
    ]
    head = h(
        'div',
        h('h3', line.name, h('small', f' {line.unit}')),
        h('span', keys, class_='keys') if keys else None,
        h('output'),
        class_='head',
    )
    return h('div', head, h('div', _gutter(scale), picture, class_='row'), class_='chart')


def _colors(lines: Iterable[Line]) -> list[str]:
    """Return the classes of the colours of lines; a setpoint has that of what it is for."""
    colors, number = [], -1
    for line in lines:
        number += not line.is_setpoint
        colors.append(f's{max(number, 0) % _COLORS}{" set" if line.is_setpoint else ""}')
    return colors


def _register(
    drawing: Drawing, key: str, lines: Sequence[Line], height: int, top: float
) -> None:
    """Tell the page's script of a chart."""
    numbers, line = drawing.numbers, lines[0]
    series = [
        name
        for item in lines
        for name in item.series
        or (
            numbers.add_line(
                Column(item.name, item.unit, is_step=item.is_area), item.runs, item.silence_s
            ),
        )
    ]
    chart: dict[str, Any] = {
        'id': key,
        'title': line.name,
        'unit': line.unit,
        'series': series,
        'decimals': line.decimals,
        'px': height,
    }
    if line.is_area:
        chart['area'] = True
    if line.bottom is not None:
        chart['low'] = line.bottom
    if math.isfinite(top):
        chart['high'] = top
    numbers.charts.append(chart)


def _path(drawing: Drawing, line: Line, scale: _Scale, run: Run) -> str:
    parts: list[str] = []
    for place, (seconds, value) in enumerate(run):
        x, y = drawing.x(seconds), scale.y(value)
        if line.is_area and place:
            parts.append(f'H{x:.2f}V{y:.1f}')
        else:
            parts.append(f'{"L" if place else "M"}{x:.2f} {y:.1f}')
    if len(run) == 1:
        parts.append('h.01')  # a point, drawn by its round ends
    return ''.join(parts)


class _Scale:
    """The vertical axis: its range and its ticks."""

    def __init__(self, low: float, high: float, height: int, unit: str) -> None:
        if high - low < 1e-9 * max(abs(high), abs(low), 1.0):
            room = max(abs(high) * 0.05, 0.5)
            low, high = low - room, high + room
        self.height = height
        self._low, self._high = low, high
        magnitude = 10.0 ** math.floor(math.log10(high - low))
        steps = [magnitude * factor for factor in _STEPS]
        if unit == '°' and high - low > _ANGLE_STEPS[-1]:
            steps = [*_ANGLE_STEPS, *steps]
        wanted = max(height // _TICK_DISTANCE, 2)
        self._step = next((step for step in steps if self._marks(step) >= wanted), steps[-1])

    def _marks(self, step: float) -> int:
        return math.floor(self._high / step + 1e-9) - math.ceil(self._low / step - 1e-9) + 1

    def y(self, value: float) -> float:
        """Return the place of a value, in pixels from the top."""
        share = (value - self._low) / (self._high - self._low)
        return _PAD + (1 - share) * (self.height - 2 * _PAD)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield the place and the label of each tick."""
        step = self._step
        decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
        first = math.ceil(self._low / step - 1e-9)
        for place in range(first, first + self._marks(step)):
            yield self.y(place * step), format_number(place * step, decimals)


def _gutter(scale: _Scale) -> Html:
    texts = [h('text', label, x='100%', y=f'{y + 4:.1f}') for y, label in scale.ticks()]
    return h('svg', texts, class_='gutter', width='100%', height=scale.height, aria_hidden='true')


def _value_grid(scale: _Scale) -> list[Html]:
    heights = (f'{y:.1f}' for y, _ in scale.ticks())
    return [h('line', x1='0', x2='100%', y1=y, y2=y) for y in heights]


def spark(
    drawing: Drawing, rates: Sequence[float], step_s: float, marks_s: Iterable[float]
) -> Html:
    """
    Draw a small chart of a rate over time.

    Args:
        drawing: The page's drawing.
        rates: The rate in each step of time.
        step_s: The length of a step.
        marks_s: Times of losses.

    """
    key, height = drawing.new_id(), _SPARK_HEIGHT
    drawing.numbers.sparks[key] = {'w': step_s, 'r': [round(rate, 2) for rate in rates]}
    usual = median([rate for rate in rates if rate] or [1.0])
    # a burst must not flatten the rest
    top = min(max(rates, default=usual) or usual, _PEAK * usual)
    area, peaks, previous = [f'M0 {height}'], [], ''
    for place, rate in enumerate(rates):
        x = drawing.x(place * step_s)
        y = f'{height - (height - 4) * min(rate / top, 1.0):.1f}'
        if y != previous:
            area.append(f'H{x:.1f}V{y}')
            previous = y
        if rate > top:
            peaks.append(f'M{x:.1f} 2H{drawing.x((place + 1) * step_s):.1f}')
    area.append(f'H{drawing.x(len(rates) * step_s):.1f}V{height}Z')
    lines = {
        'peak': ''.join(peaks),
        'lost': ''.join(f'M{drawing.x(at):.1f} 0V{height}' for at in marks_s),
    }
    shapes = [
        h('path', class_='area', d=''.join(area)),
        [
            h('path', class_=name, d=where, vector_effect='non-scaling-stroke')
            for name, where in lines.items()
            if where
        ],
    ]
    picture = stretched(shapes, height, aria_hidden='true')
    return h('span', picture, h('output'), class_='plot spark', data_spark=key)
