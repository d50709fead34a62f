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
Charts as inline SVG, drawn here and not by a script: they are there on paper, too.

Time goes over the whole width of a plot, which is as wide as its place on the page: what is drawn
over time lies in an inner SVG of 1000 units that is stretched, while text and marks are placed by
percent and are not. The values behind a chart go into the page once more as numbers, for a script
to show the exact one under the pointer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import math
from typing import Any, Final

from fdr_recorder.report.html import Attribute, Child, h, Html
from fdr_recorder.units import NS_PER_S, time_of_day

WIDTH: Final = 1000
_MAX_TICKS: Final = 7
_TIME_STEPS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300,
    600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
)  # fmt: skip
_EDGE: Final = 0.04
"""A label so near to the edge of the axis would reach beyond it."""


@dataclass
class Drawing:
    """
    What all charts of a page share.

    Attributes:
        start_ns: Where their time begins (system clock).
        span_s: How long it is.
        data: The numbers behind them, by the key of the chart.

    """

    start_ns: int
    span_s: float
    data: dict[str, Any] = field(default_factory=dict)
    _ids: int = 0

    def new_id(self) -> str:
        """Return an id that nothing else on the page has."""
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
        """Yield where the axis has marks, and what they say: the time of day, UTC."""
        fitting = (step for step in _TIME_STEPS_S if self.span_s / step <= _MAX_TICKS)
        step = next(fitting, self.span_s / _MAX_TICKS)
        step_ns = max(round(step * NS_PER_S), 1)
        time_ns = -(-self.start_ns // step_ns) * step_ns
        decimals = max(-math.floor(math.log10(step)), 0) if step < 1 else 0
        while (seconds := self.seconds(time_ns)) <= self.span_s:
            yield seconds, time_of_day(time_ns, decimals)
            time_ns += step_ns

    def time_grid(self) -> list[Html]:
        """Return a line at each mark of the time axis."""
        places = (self.percent(seconds) for seconds, _ in self.ticks())
        return [h('line', x1=place, x2=place, y1='0', y2='100%') for place in places]

    def time_labels(self) -> Html:
        """Return the labels of the time axis, to stand below charts."""
        texts = []
        for seconds, label in self.ticks():
            share = seconds / self.span_s
            anchor = 'start' if share < _EDGE else 'end' if share > 1 - _EDGE else 'middle'
            texts.append(h('text', label, x=self.percent(seconds), y='12', text_anchor=anchor))
        axis = h('svg', texts, width='100%', height=16, aria_hidden='true')
        return h('div', h('span', 'UTC'), axis, class_='row axis')


def stretched(shapes: Child, height: int, **attributes: Attribute) -> Html:
    """Return an SVG of 1000 units over the whole width, whatever that is."""
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
    key: str,
    *,
    title: str,
    described: str,
    height: int,
    behind: Child,
    shapes: Child,
    front: Child = None,
) -> Html:
    """
    Return the part of a chart that the pointer moves over.

    Args:
        drawing: The page's.
        key: Of the chart's data.
        title: What it is, for who does not see it.
        described: What is to be seen in it, likewise.
        height: In pixels.
        behind: The grid.
        shapes: What is drawn over time, in 1000 units.
        front: Marks and text, placed by percent.

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
    return h('div', picture, h('i', class_='cur'), class_='plot', data_c=key, tabindex=0)
