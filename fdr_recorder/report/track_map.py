# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The vehicle's track as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Any

from fdr_recorder.report.html import h, Html
from fdr_recorder.report.svg import Drawing


def track_map(
    drawing: Drawing,
    runs: Sequence[Sequence[tuple[float, float, float]]],
    described: str,
    track: Mapping[str, Any],
) -> Html:
    """
    Draw a track seen from above, with the same scale in both directions.

    Args:
        drawing: The page's drawing.
        runs: Points: seconds, metres to the right, metres up.
        described: What the map shows, for screen readers.
        track: What the page's script is told of it: its name, its frame and where its numbers are.

    """
    key, side, pad = drawing.new_id(), 400.0, 28.0
    points = [point for run in runs for point in run]
    right, up = [point[1] for point in points], [point[2] for point in points]
    reach = max(max(right) - min(right), max(up) - min(up), 1.0)
    unit = (side - 2 * pad) / reach
    middle_x, middle_y = (max(right) + min(right)) / 2, (max(up) + min(up)) / 2

    def place(point: tuple[float, float, float]) -> tuple[float, float]:
        _, x, y = point
        return side / 2 + (x - middle_x) * unit, side / 2 - (y - middle_y) * unit

    place_on_map = {'side': side, 'pad': pad, 'unit': unit, 'x0': middle_x, 'y0': middle_y}
    drawing.numbers.tracks.append({'id': key, **track, 'map': place_on_map})
    way = ''.join(
        f'{"L" if number else "M"}{x:.1f} {y:.1f}'
        for run in runs
        for number, (x, y) in enumerate(map(place, run))
    )
    start, end = place(points[0]), place(points[-1])
    bar_m = _nice(reach / 4)
    bar = bar_m * unit
    scale = h(
        'g',
        h('path', d=f'M{pad} {side - 12}v5h{bar:.1f}v-5'),
        h('text', f'{bar_m:g} m', x=f'{pad + bar + 6:.1f}', y=side - 6),
        class_='scale',
    )
    picture = h(
        'svg',
        h('desc', described, id=f'{key}d'),
        h('path', class_='line', d=way),
        h('circle', class_='start', cx=f'{start[0]:.1f}', cy=f'{start[1]:.1f}', r=5),
        h('rect', class_='end', x=f'{end[0] - 4.5:.1f}', y=f'{end[1] - 4.5:.1f}', width=9,
          height=9),
        scale,
        h('circle', class_='dot', r=5, cx=-20, cy=-20),
        viewBox=f'0 0 {side:g} {side:g}',
        role='img',
        aria_label='Track',
        aria_describedby=f'{key}d',
    )  # fmt: skip
    return h('div', picture, h('output'), class_='track', data_track=key)


def _nice(value: float) -> float:
    """Return the next lower of 1, 2, 5, 10, 20, ..."""
    magnitude: float = 10.0 ** math.floor(math.log10(value))
    return max(factor * magnitude for factor in (1, 2, 5) if factor * magnitude <= value)
