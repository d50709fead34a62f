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
When the pilot is told: each change once, the newest state only, and never more than he can read.

A fault that comes and goes faster than that is told as it is when its turn comes: a text that says
that something has begun is never sent after it is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
import math
from typing import Final

from fdr_recorder.ground.texts import Severity

RATE_HZ: Final = 1.0
BURST: Final = 5
"""Texts that may be sent at once after a silence; then `RATE_HZ`."""
REPEAT_S: Final = 30.0
"""After so long an error that is still present is told again."""
KEPT_S: Final = 120.0
"""So long it is known what is over, for a ground station that may have missed it."""
FEW: Final = 2
"""So many facts of a kind are told one by one; more of them only as long as a burst lasts."""
SAYINGS: Final = 8
"""So many texts that are said once can wait; then the oldest is left out."""


@dataclass(frozen=True)
class Fact:
    """
    Something that is so, for the pilot.

    Attributes:
        text: What to say of it.
        severity: How urgent it is.
        over: What to say once it is no longer so; empty if nothing.
        kind: Facts of a kind can be told by one text; None for one that stands alone.
        several: Returns the text for this one and so many more that begin, or else are over.

    """

    text: str
    severity: Severity
    over: str = ''
    kind: Hashable = None
    several: Callable[[int, bool], str] = field(default=lambda _count, _begins: '', compare=False)


@dataclass(eq=False)
class _Item:
    """A fact, what was told of it, when, and since when there is something to tell."""

    fact: Fact
    told: str = ''
    told_at: float = 0.0
    since: float = 0.0
    is_present: bool = True

    @property
    def text(self) -> str:
        return self.fact.text if self.is_present else self.fact.over

    @property
    def severity(self) -> Severity:
        return self.fact.severity if self.is_present else Severity.INFO

    def is_like(self, other: _Item) -> bool:
        """Tell whether one text can tell of both."""
        kinds = (self.fact.kind, self.is_present), (other.fact.kind, other.is_present)
        return self.fact.kind is not None and kinds[0] == kinds[1]

    def is_due(self, now: float) -> bool:
        if self.told != self.text:
            return True
        is_error = self.severity <= Severity.ERROR
        return is_error and self.is_present and now - self.told_at >= REPEAT_S


class Pacing:
    """Decides which text to send now. Used by one thread; times are monotonic seconds."""

    def __init__(self) -> None:
        self._items: dict[Hashable, _Item] = {}
        self._sayings: deque[_Item] = deque(maxlen=SAYINGS)
        self._tokens = float(BURST)
        self._filled_at = 0.0

    def update(self, facts: Mapping[Hashable, Fact], now: float) -> None:
        """Take what is so now: all of it. What is missing is over."""
        for key, fact in facts.items():
            item = self._items.get(key)
            if item is None:
                self._items[key] = _Item(fact, since=now)
            elif item.fact != fact or not item.is_present:
                item.fact, item.is_present, item.since = fact, True, now
        for key, item in [*self._items.items()]:
            if key in facts:
                continue
            if item.is_present:
                item.is_present, item.since = False, now
            if not item.told or not item.text or self._is_history(item, now):
                del self._items[key]  # nobody was told that it had begun, or all that it is over

    def _is_history(self, item: _Item, now: float) -> bool:
        return item.told == item.text and now - item.told_at > KEPT_S

    def say(self, severity: Severity, text: str, now: float) -> None:
        """Say something once."""
        self._sayings.append(_Item(Fact(text, severity), since=now))

    def tell_again(self, now: float, *, present: float = -math.inf, over: float) -> None:
        """
        Tell again what was told since a time: a ground station may have missed it.

        Args:
            now: Now.
            present: Since when, of what is present; everything by default.
            over: Since when, of what is over.

        """
        for item in self._items.values():
            if item.told_at >= (present if item.is_present else over):
                item.told, item.since = (' ' if item.told else ''), now

    def next_text(self, now: float) -> tuple[Severity, str] | None:
        """Return what to send now, as if it were sent; None if there is nothing, or too much."""
        elapsed_s = now - self._filled_at
        self._tokens = min(BURST, self._tokens + elapsed_s * RATE_HZ)
        self._filled_at = now
        due = [*(item for item in self._items.values() if item.is_due(now)), *self._sayings]
        if not due or self._tokens < 1.0:
            return None
        item = min(due, key=lambda item: (item.severity > Severity.ERROR, item.since))
        alike = [other for other in due if other.is_like(item)]
        if len(alike) > max(self._tokens, FEW):
            text = item.fact.several(len(alike) - 1, item.is_present)
        else:
            alike, text = [item], item.text
        self._tokens -= 1.0
        if item in self._sayings:
            self._sayings.remove(item)
        for other in alike:
            other.told, other.told_at, other.since = other.text, now, now
        return item.severity, text

    def is_waiting(self, now: float) -> bool:
        """Tell whether there is something to say."""
        return bool(self._sayings) or any(item.is_due(now) for item in self._items.values())
