# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
What all charts share: the time axis, and inline SVG that needs no script, so that it prints.

A plot is as wide as its place on the page. Shapes over time are in an inner SVG of 1000 units,
which is stretched to that width; text and marks are placed by percent, and are not stretched. The
page also has the numbers behind a chart, from which its script draws any part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Final

from fdr_recorder.report.html import Attribute, Child, h, Html
from fdr_recorder.report.numbers import Numbers
from fdr_recorder.units import NS_PER_S, time_of_day

WIDTH: Final = 1000
_MAX_TICKS: Final = 7
_TIME_STEPS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300,
    600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
)  # fmt: skip
_EDGE: Final = 0.04
"""Share of the axis: a label closer to the edge is aligned to it."""


@dataclass
class Drawing:
    """
    The time axis and the numbers of all charts of a page.

    Attributes:
        start_ns: Where the axis begins (system clock).
        span_s: Its length in seconds.
        numbers: The series, charts and lanes that the page's script draws.

    """

    start_ns: int
    span_s: float
    _ids: int = 0

    def __post_init__(self) -> None:
        """Start without series."""
        self.numbers = Numbers()

    def new_id(self) -> str:
        """Return an id that is unique on the page."""
        self._ids += 1
        return f'c{self._ids}'

    def seconds(self, time_ns: int) -> float:
        """Return a time of the system clock as seconds on the axis."""
        return (time_ns - self.start_ns) / NS_PER_S

    def x(self, seconds: float) -> float:
        """Return a place on the axis, in units of the inner SVG."""
        return WIDTH * min(max(seconds / self.span_s, 0.0), 1.0)

    def percent(self, seconds: float) -> str:
        """Return a place on the axis, in percent."""
        return f'{100 * self.x(seconds) / WIDTH:.3f}%'

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield the ticks of the axis: seconds, and the time of day (UTC)."""
        fitting = (step for step in _TIME_STEPS_S if self.span_s / step <= _MAX_TICKS)
        step = next(fitting, self.span_s / _MAX_TICKS)
        step_ns = max(round(step * NS_PER_S), 1)
        time_ns = -(-self.start_ns // step_ns) * step_ns
        decimals = max(-math.floor(math.log10(step)), 0) if step < 1 else 0
        while (seconds := self.seconds(time_ns)) <= self.span_s:
            yield seconds, time_of_day(time_ns, decimals)
            time_ns += step_ns

    def time_grid(self) -> list[Html]:
        """Return a vertical line at each tick."""
        places = (self.percent(seconds) for seconds, _ in self.ticks())
        return [h('line', x1=place, x2=place, y1='0', y2='100%') for place in places]

    def time_labels(self) -> Html:
        """Return the labels of the ticks, to put below charts."""
        texts = []
        for seconds, label in self.ticks():
            share = seconds / self.span_s
            anchor = 'start' if share < _EDGE else 'end' if share > 1 - _EDGE else 'middle'
            texts.append(h('text', label, x=self.percent(seconds), y='12', text_anchor=anchor))
        axis = h('svg', texts, width='100%', height=16, aria_hidden='true')
        return h('div', h('span', 'UTC'), axis, class_='row axis')


def stretched(shapes: Child, height: int, **attributes: Attribute) -> Html:
    """Return an SVG of 1000 units, stretched to the whole width."""
    return h(
        'svg',
        shapes,
        viewBox=f'0 0 {WIDTH} {height}',
        preserveAspectRatio='none',
        width='100%',
        height=height,
        **attributes,
    )


def plot(
    drawing: Drawing,
    *,
    title: str,
    described: str,
    height: int,
    behind: Child,
    shapes: Child,
    front: Child = None,
    **marks: Attribute,
) -> Html:
    """
    Return a plot: a picture, which the page's script replaces by one to look closer at.

    Args:
        drawing: The page's drawing.
        title: What it is, for screen readers.
        described: What it shows, for screen readers.
        height: In pixels.
        behind: The grid.
        shapes: Shapes over time, in the 1000 units of the inner SVG.
        front: Marks and text, placed by percent.
        marks: Further attributes of the element.

    """
    named, description = drawing.new_id(), drawing.new_id()
    picture = h(
        'svg',
        h('title', title, id=named),
        h('desc', described, id=description),
        h('g', behind, class_='grid'),
        stretched(shapes, height),
        front,
        role='img',
        aria_labelledby=named,
        aria_describedby=description,
        width='100%',
        height=height,
    )
    return h('div', picture, class_='plot', **marks)
