# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sets the pins of a flight that is being recorded: on request, and when an alert is raised."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Final

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import Pin
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.pins import FIRST_NS, LAST_NS, Window
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import encodable, NS_PER_S


@dataclass(frozen=True)
class PinRules:
    """
    What pins a time of a flight by itself, and how long a time.

    Attributes:
        codes: Alerts that pin when they are raised.
        before_s: The window of a pin begins so many seconds before it...
        after_s: ...and ends so many seconds after it.

    """

    codes: frozenset[str] = frozenset()
    before_s: float = 30.0
    after_s: float = 30.0

    def around(
        self, why: str, now_ns: int, before_s: float | None = None, after_s: float | None = None
    ) -> Window:
        """Return the window of a pin that is set at a time, of any clock."""
        before_s = self.before_s if before_s is None else before_s
        after_s = self.after_s if after_s is None else after_s
        before_ns, after_ns = round(before_s * NS_PER_S), round(after_s * NS_PER_S)
        return Window(now_ns - before_ns, now_ns + after_ns, (' '.join(encodable(why).split()),))


NO_PIN_RULES: Final = PinRules()


class Pinning:
    """Sets pins. Any thread may ask for one; the rest is for the writer's thread alone."""

    def __init__(
        self, log: SegmentLog, rules: PinRules, emit: Callable[[Payload], None]
    ) -> None:
        """Take the flight's segments, and what writes the record of a pin."""
        self._log = log
        self._rules = rules
        self._emit = emit
        self._asked: deque[Window] = deque()

    def on_alert(self, code: str) -> None:
        """Ask for a pin around an alert that was raised just now, if the rules say so."""
        if code in self._rules.codes:
            self.ask(f'alert {code}')

    def ask(
        self, why: str, before_s: float | None = None, after_s: float | None = None
    ) -> None:
        """Ask for a pin around this moment; the writer sets it with its next round."""
        self._asked.append(self._rules.around(why, time.monotonic_ns(), before_s, after_s))

    def apply(self) -> None:
        """Set the pins that were asked for, with a record of each."""
        directory, clock = self._log.directory, self._log.clock
        while self._asked:
            asked = self._asked.popleft()
            from_ns = max(clock.at_monotonic(asked.from_ns), FIRST_NS)
            to_ns = min(clock.at_monotonic(asked.to_ns), LAST_NS)
            directory.pins.add(Window(from_ns, to_ns, asked.why))
            self._log.durability.are_pins_stale = True
            until_ns = directory.dropped_until_ns
            self._emit(
                Pin(
                    why=asked.why[0],
                    from_ns=from_ns,
                    to_ns=to_ns,
                    dropped_until_ns=until_ns if until_ns >= from_ns else 0,
                )
            )
