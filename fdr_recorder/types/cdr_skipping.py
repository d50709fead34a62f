# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Find where the elements of a list begin in a serialised message (CDR)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import struct
from typing import Any, Final

from fdr_recorder.types.cdr_layout import Items, Node, Number, Struct, Text
from fdr_recorder.types.columns import Integers
import numpy as np

_Skip = Callable[[memoryview, int, int], int]
"""Takes the buffer, a position, and where the message ends; returns the position behind."""

_COUNTS: Final = {'<': struct.Struct('<I'), '>': struct.Struct('>I')}


class _ShortError(Exception):
    """The message ends within what was to be skipped."""


@dataclass(frozen=True)
class Steps:
    """
    Where elements begin that take as many bytes whenever they begin at the same alignment.

    Attributes:
        first: Where the first ones begin; the first of all at its alignment (0 to 7).
        cycle: From which one on the alignments repeat.
        stride: Bytes from there until they repeat.

    """

    first: Integers
    cycle: int
    stride: int

    def at(self, number: Integers) -> Integers:
        """Return where elements begin, by their numbers; the number of all gives the end."""
        period = len(self.first) - self.cycle
        beyond = np.maximum(number - self.cycle, 0)
        place = np.where(number < self.cycle, number, self.cycle + beyond % period)
        starts: Integers = self.first[place] + beyond // period * self.stride
        return starts


class Skipper:
    """Knows, for the types of one definition, how to step over values of them."""

    def __init__(self) -> None:
        """Start without knowing any."""
        self._steps: dict[tuple[int, int], Steps] = {}
        self._skips: dict[tuple[int, str], _Skip] = {}

    # --- of equal size -------------------------------------------------------------------

    def steps(self, node: Node, residue: int) -> Steps:
        """Return where elements of a fixed size begin, if the first one has this alignment."""
        key = id(node), residue
        if key not in self._steps:
            starts = [residue]
            seen = {residue: 0}
            while (end := self._end(node, starts[-1])) & 7 not in seen:
                seen[end & 7] = len(starts)
                starts.append(end)
            cycle = seen[end & 7]
            first = np.array(starts, np.int64)
            self._steps[key] = Steps(first, cycle, end - starts[cycle])
        return self._steps[key]

    def _end(self, node: Node, at: int) -> int:
        """Return where a value of a fixed size ends that begins at a position."""
        if isinstance(node, Number):
            return ((at + node.width - 1) & -node.width) + node.width
        if isinstance(node, Struct):
            for _, field in node.fields:
                at = self._end(field, at)
            return at
        assert isinstance(node, Items)
        assert node.count is not None
        if not node.count:
            return at
        residue = at & 7
        end = self.steps(node.element, residue).at(np.array([min(node.count, 1 << 40)]))
        return at - residue + int(end[0])

    # --- of different sizes --------------------------------------------------------------

    def starts(
        self,
        node: Node,
        buffer: memoryview,
        order: str,
        at: Integers,
        end: Integers,
        counts: Integers,
    ) -> tuple[Integers, Any]:
        """
        Return where elements begin, and which of the lists go beyond their messages.

        Args:
            node: What an element consists of.
            buffer: Holds all messages.
            order: Their byte order, `<` or `>`.
            at: Where the first element of each list begins.
            end: Where the message of each list ends.
            counts: How many elements each list has.

        """
        skip = self._skip(node, order)
        starts: list[int] = []
        is_bad = np.zeros(len(at), bool)
        each = zip(at.tolist(), end.tolist(), counts.tolist(), strict=True)
        for place, (position, limit, count) in enumerate(each):
            try:
                for _ in range(count):
                    starts.append(position)
                    position = skip(buffer, position, limit)
            except (_ShortError, struct.error):
                is_bad[place] = True
        return np.array(starts, np.int64), is_bad

    def _skip(self, node: Node, order: str) -> _Skip:
        key = id(node), order
        if key not in self._skips:
            self._skips[key] = self._make_skip(node, order)
        return self._skips[key]

    def _make_skip(self, node: Node, order: str) -> _Skip:
        if node.is_fixed:
            lengths = [self._end(node, residue) - residue for residue in range(8)]
            return lambda _buffer, at, _end: at + lengths[at & 7]
        unpack = _COUNTS[order].unpack_from
        if isinstance(node, Text):
            width = 4 if node.wide else 1

            def skip_text(buffer: memoryview, at: int, end: int) -> int:
                at = (at + 3) & -4
                at += 4 + unpack(buffer, at)[0] * width
                if at > end:
                    raise _ShortError
                return at

            return skip_text
        if isinstance(node, Struct):
            skips = [self._skip(field, order) for _, field in node.fields]

            def skip_fields(buffer: memoryview, at: int, end: int) -> int:
                for skip in skips:
                    at = skip(buffer, at, end)
                if at > end:
                    raise _ShortError
                return at

            return skip_fields
        assert isinstance(node, Items)
        return self._skip_list(node, order)

    def _skip_list(self, node: Items, order: str) -> _Skip:
        element, fixed_count = node.element, node.count
        unpack = _COUNTS[order].unpack_from
        least = max(element.min_bytes, 1)
        skip = self._skip(element, order)

        def skip_items(buffer: memoryview, at: int, end: int) -> int:
            count = fixed_count
            if count is None:
                at = (at + 3) & -4
                count = unpack(buffer, at)[0]
                at += 4
            if count * least > end - at:
                raise _ShortError
            if isinstance(element, Number):
                return at if not count else ((at + least - 1) & -least) + count * least
            if element.is_fixed:
                return self._end(Items(element, count), at)
            for _ in range(count):
                at = skip(buffer, at, end)
            return at

        return skip_items
