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
Lays out tables: for a terminal so that each line fits, for everything else one row a line.

Too wide for the terminal, a table gives way in this order: headings are broken between words, the
last text is wrapped, a row takes two or three lines, names are shortened in the middle. On a
terminal narrower than that each cell has a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, zip_longest
import textwrap
from typing import Final, NamedTuple
import unicodedata

from fdr_recorder.cli.colours import Paint, Tone, Toned

ELLIPSIS: Final = '…'
MOST_TEXT: Final = 500
"""Characters of a text of users; JSON has all."""
_GAP: Final = 2
_INDENT: Final = 4
_LEAST_NAME: Final = 20
"""A name is not shortened further."""
_LEAST_TEXT: Final = 24
"""A text is not wrapped into less, but goes to another line."""
_LEAST_WIDTH: Final = 20
"""A terminal that says to be narrower is not believed."""


class Column(NamedTuple):
    """
    A column.

    Attributes:
        heading: What stands above it.
        sign: How it gives way: `>` not at all, it is a number and stands at the right; `~` it is a
            name, which is shortened in the middle; `&` it is a text, which may go to the second
            line of a row; otherwise empty.

    """

    heading: Toned
    sign: str

    @classmethod
    def of(cls, text: str) -> Column:
        """Return the column of a heading with its sign in front, for example `>size`."""
        sign = text[:1] if text[:1] in ('>', '~', '&') else ''
        return cls(Toned(text.removeprefix(sign), Tone.HEADING), sign)


class Table:
    """A table of printable cells."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint
    ) -> None:
        """Take headings with their signs (`Column`), and what colours cells and headings."""
        self._columns = [Column.of(text) for text in columns]
        self._rows = rows
        self._paint = paint
        self._cell_widths = [
            max((text_width(row[place]) for row in rows), default=0)
            for place in range(len(self._columns))
        ]

    def lines(self, width: int | None) -> Iterator[str]:
        """Yield the lines; none is wider than `width`, if that is given."""
        widths = [
            max(text_width(column.heading), cells)
            for column, cells in zip(self._columns, self._cell_widths, strict=True)
        ]
        if width is None or _total(widths) <= width:
            yield from self._in_lines([_Line(list(range(len(widths))), widths)])
            return
        width = max(width, _LEAST_WIDTH)
        plan = self._plan(width)
        yield from self._in_lines(plan) if plan else self._in_blocks(width)

    # --- one row below the other ---------------------------------------------------------

    def _plan(self, width: int) -> list[_Line]:
        """Return what stands in which line of a row; nothing if all would be too narrow."""
        for may_shorten in (False, True):
            for groups in self._groupings():
                plan: list[_Line] = []
                for group in filter(None, groups):
                    indent = _INDENT if plan else 0
                    widths = self._fit(group, width - indent, may_shorten=may_shorten)
                    plan.append(_Line(group, widths, indent))
                if all(line.widths for line in plan):
                    return plan
        return []

    def _groupings(self) -> Iterator[tuple[list[int], ...]]:
        """Yield ways of sharing the columns out to lines, the best first."""
        places = range(len(self._columns))
        texts = [place for place in places if self._columns[place].sign == '&']
        for count in range(len(texts) + 1):
            for below in combinations(reversed(texts), count):
                yield [place for place in places if place not in below], sorted(below)
        names = [place for place in places if self._columns[place].sign == '~']
        if names:
            others = [place for place in places if place not in (*names, *texts)]
            yield sorted((*names, *texts)), others
            yield names, texts, others

    def _fit(self, places: list[int], width: int, *, may_shorten: bool) -> list[int]:
        """Return the widths with which columns fit into one line; nothing if they do not."""
        widths = [max(self._heading_width(place), self._cell_widths[place]) for place in places]
        room = width - _total(widths)
        if room < 0 and self._columns[places[-1]].sign == '&':
            least = min(max(_LEAST_TEXT, self._heading_width(places[-1])), widths[-1])
            take = min(-room, widths[-1] - least)
            widths[-1] -= take
            room += take
        while room < 0 and may_shorten:
            names = [
                (widths[number], number)
                for number, place in enumerate(places)
                if self._columns[place].sign == '~' and widths[number] > _LEAST_NAME
            ]
            if not names:
                break
            widths[max(names)[1]] -= 1
            room += 1
        for number, place in enumerate(places):  # headings that need not be broken
            more = text_width(self._columns[place].heading) - widths[number]
            if 0 < more <= room:
                widths[number] += more
                room -= more
        return widths if room >= 0 else []

    def _heading_width(self, place: int) -> int:
        """Return how wide a heading is that is broken between words."""
        return max(map(text_width, self._columns[place].heading.split()), default=0)

    def _in_lines(self, plan: list[_Line]) -> Iterator[str]:
        headings = [column.heading for column in self._columns]
        for row in (headings, *self._rows):
            for line in plan:
                yield from self._line(line, row, is_heading=row is headings)

    def _line(self, line: _Line, row: Sequence[str], *, is_heading: bool) -> Iterator[str]:
        cells = []
        for place, width in zip(line.places, line.widths, strict=True):
            text, column = row[place], self._columns[place]
            if text_width(text) <= width:
                pieces = [text]
            elif is_heading or column.sign == '&':
                pieces = wrap(text, width)
            else:
                pieces = [shorten(text, width)]
            cells.append([self._align(piece, width, place, text) for piece in pieces])
        empty = [' ' * width for width in line.widths]
        for beside in zip_longest(*cells):
            there = [piece or blank for piece, blank in zip(beside, empty, strict=True)]
            text = ' ' * line.indent + (' ' * _GAP).join(there)
            if not line.indent or text.strip():
                yield text.rstrip()

    def _align(self, piece: str, width: int, place: int, cell: str) -> str:
        padding = ' ' * (width - text_width(piece))
        shown = self._paint(cell, piece) if piece else ''
        return padding + shown if self._columns[place].sign == '>' else shown + padding

    # --- one cell below the other --------------------------------------------------------

    def _in_blocks(self, width: int) -> Iterator[str]:
        left = max(text_width(column.heading) for column in self._columns) + _GAP
        left = min(left, width // 2)
        for number, row in enumerate(self._rows):
            if number:
                yield ''
            for column, cell in zip(self._columns, row, strict=True):
                heading = shorten(column.heading, left - _GAP)
                head = self._paint(column.heading, heading) + ' ' * (left - text_width(heading))
                for piece in wrap(cell, width - left) or ['']:
                    yield (head + self._paint(cell, piece)).rstrip()
                    head = ' ' * left


class _Line(NamedTuple):
    """Which columns stand in one line of a row, how wide, and how far it is indented."""

    places: list[int]
    widths: list[int]
    indent: int = 0


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def text_width(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_sign_width, text))


def _sign_width(sign: str) -> int:
    if unicodedata.category(sign) in ('Mn', 'Me'):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in ('W', 'F') else 1


def shorten(text: str, width: int) -> str:
    """Return a text that is not wider than given: its middle is left out if it has to be."""
    if text_width(text) <= width:
        return text
    room = max(width - 1, 0)
    tail = ''
    for sign in reversed(text):
        if text_width(sign + tail) > room // 2:
            break
        tail = sign + tail
    head = ''
    for sign in text:
        if text_width(head + sign) > room - text_width(tail):
            break
        head += sign
    return head + ELLIPSIS + tail


def brief(text: str) -> str:
    """Return a text of users, who may have written pages, as a table has it."""
    return shorten(text, MOST_TEXT) if len(text) > MOST_TEXT else text


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines, between words where that is possible."""
    lines = []
    for line in textwrap.wrap(text, width, break_on_hyphens=False):
        rest = line
        while text_width(rest) > width:  # wide characters count as one for `textwrap`
            piece = ''
            for sign in rest:
                if piece and text_width(piece + sign) > width:
                    break
                piece += sign
            lines.append(piece)
            rest = rest[len(piece):]
        lines.append(rest)
    return lines
