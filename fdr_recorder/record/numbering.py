# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the sequence numbers of one publisher say: which are missing, and which came before."""

from __future__ import annotations

from collections import deque
from dataclasses import field
from typing import Final, NamedTuple

from fdr_recorder.quick_dataclass import dataclass

NOTHING_EXPECTED: Final = -1 << 70
"""In place of the next number: no message has it."""
MOST_GAPS: Final = 256
"""That may be open at a time; with one more, nothing fills the oldest any more."""
HISTORY_S: Final = 4.0
"""How long after it was first heard a latched publisher may still send what it holds."""


class NumberGap(NamedTuple):
    """Numbers that are missing, and when that was noticed, by the caller's clock."""

    first: int
    last: int
    noticed_ns: int = 0


@dataclass(eq=False)
class Numbering:
    """
    Follows the numbers of one publisher.

    A number that is not the expected one either opens a gap, or fills one, or comes late, or the
    numbers begin anew: then its message was published later than all before. Messages of topics
    with keys come in another order by design. Memory is bounded.

    Attributes:
        next_number: The number after the highest one; `NOTHING_EXPECTED` before the first.
        newest_ns: The latest publish time; whoever follows only unexpected numbers must set it
            before.
        missing: How many numbers were given up, which nothing fills any more.

    """

    next_number: int = NOTHING_EXPECTED
    newest_ns: int = 0
    missing: int = 0
    _first_number: int = 0
    _gaps: list[NumberGap] = field(default_factory=list)
    """In the order of their numbers, and of the times at which they were noticed."""
    _given_up: deque[NumberGap] = field(default_factory=lambda: deque(maxlen=MOST_GAPS))

    @property
    def has_gaps(self) -> bool:
        """Whether numbers are missing that may still come."""
        return bool(self._gaps)

    def has_sent(self, number: int, published_ns: int) -> bool:
        """Tell whether a message of this number came before, and was not published since."""
        return (
            self._first_number <= number < self.next_number
            and published_ns <= self.newest_ns
            and not any(
                gap.first <= number <= gap.last for gap in (*self._gaps, *self._given_up)
            )
        )

    def follow(
        self, number: int, published_ns: int, now_ns: int = 0, *, is_history: bool = False
    ) -> None:
        """
        Note a message; its number may be the expected one or not.

        Args:
            number: Its number.
            published_ns: Its publish time.
            now_ns: For the gap, if there is one.
            is_history: Whether it was published before its publisher was heard, and came within
                `HISTORY_S`. A latched publisher holds the last messages of each key: what lies
                between is not missing.

        """
        expected = self.next_number
        if number >= expected and expected != NOTHING_EXPECTED:
            if number > expected:
                gap = NumberGap(expected, number - 1, now_ns)
                (self._given_up if is_history else self._gaps).append(gap)
            if len(self._gaps) > MOST_GAPS:
                self._give_up_oldest()
            self.next_number = number + 1
        elif expected == NOTHING_EXPECTED or (
            not self._fill(number) and published_ns > self.newest_ns
        ):
            self.give_up()  # the numbers begin, or begin anew
            self._given_up.clear()
            self._first_number, self.next_number = number, number + 1
        self.newest_ns = max(self.newest_ns, published_ns)

    def _fill(self, number: int) -> bool:
        """Take a number out of the gap that it is in; return whether there is one."""
        for index in range(len(self._gaps) - 1, -1, -1):
            first, last, noticed_ns = self._gaps[index]
            if number > last:
                break
            if number >= first:
                del self._gaps[index]
                if number < last:
                    self._gaps.insert(index, NumberGap(number + 1, last, noticed_ns))
                if number > first:
                    self._gaps.insert(index, NumberGap(first, number - 1, noticed_ns))
                return True
        return False

    def give_up(self, before_ns: int | None = None) -> None:
        """Give up the gaps that were noticed before a time, or all of them."""
        while self._gaps and (before_ns is None or self._gaps[0].noticed_ns < before_ns):
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        gap = self._gaps.pop(0)
        self._given_up.append(gap)
        self.note_missing(gap)

    def note_missing(self, gap: NumberGap) -> None:
        """Note numbers that are given up."""
        self.missing += gap.last - gap.first + 1

    def stop(self) -> None:
        """Forget everything: the numbers say nothing."""
        self.next_number = NOTHING_EXPECTED
        self._gaps.clear()
