# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Rows of a time line: what was from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fdr_recorder.report.html import h, Html
from fdr_recorder.report.svg import Drawing, plot


@dataclass(frozen=True)
class Mark:
    """
    Something that was from one time to another.

    Attributes:
        from_s: When it began.
        to_s: When it ended.
        words: What it was.
        style: Class of its colour.
        label: Written on it, where there is room.

    """

    from_s: float
    to_s: float
    words: str
    style: str
    label: str = ''


_SIGNS: Final = {
    'diamond': 'M0-5 5 0 0 5-5 0Z',
    'triangle': 'M0-5 5 4H-5Z',
    'square': 'M-4-4H4V4H-4Z',
    'circle': 'M0-4.5A4.5 4.5 0 1 1-.01-4.5Z',
}
"""So that not colour alone tells one kind of mark from another."""
_HEIGHT: Final = 24
_CHARACTER_SHARE: Final = 0.011
"""Of the width of a narrow screen."""
_MOST_DESCRIBED: Final = 50


def lane(drawing: Drawing, name: str, marks: Sequence[Mark], sign: str = '') -> Html:
    """
    Draw what was when, in a row of the time line.

    Args:
        drawing: The page's.
        name: Of the row.
        marks: What is in it.
        sign: The shape that marks the beginning of each; empty for bars alone.

    """
    marks = [mark for mark in marks if mark.to_s >= 0 and mark.from_s <= drawing.span_s]
    title = h('span', name, class_='name')
    if not marks:
        return h('div', title, h('span', 'none', class_='none'), class_='row lane')
    key = drawing.new_id()
    drawing.data[key] = {
        'n': name,
        'e': [[round(mark.from_s, 4), round(mark.to_s, 4), mark.words] for mark in marks],
    }
    picture = plot(
        drawing,
        key,
        title=name,
        described='; '.join(mark.words for mark in marks[:_MOST_DESCRIBED]),
        height=_HEIGHT,
        behind=drawing.time_grid(),
        shapes=[_bar(drawing, mark, 8 if sign else 4) for mark in marks],
        front=[_front(drawing, mark, sign) for mark in marks],
    )
    return h('div', title, picture, class_='row lane')


def _bar(drawing: Drawing, mark: Mark, edge: int) -> Html:
    left, right = drawing.x(mark.from_s), drawing.x(mark.to_s)
    return h(
        'rect',
        class_=mark.style,
        x=f'{left:.2f}',
        width=f'{right - left:.2f}',
        y=edge,
        height=_HEIGHT - 2 * edge,
        vector_effect='non-scaling-stroke',
    )


def _front(drawing: Drawing, mark: Mark, sign: str) -> Html | None:
    """Return what is not stretched: the sign of a mark, or its label where that has room."""
    if sign:
        shape = h('path', class_=mark.style, d=_SIGNS[sign])
        return h('svg', shape, x=drawing.percent(mark.from_s), y=_HEIGHT // 2, class_='sign')
    room_s = _CHARACTER_SHARE * len(mark.label) * drawing.span_s
    if not mark.label or mark.to_s - mark.from_s < room_s:
        return None
    at = drawing.percent((max(mark.from_s, 0.0) + min(mark.to_s, drawing.span_s)) / 2)
    return h('text', mark.label, x=at, y=_HEIGHT // 2 + 4, text_anchor='middle')
