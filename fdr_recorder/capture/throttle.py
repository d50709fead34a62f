# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`Throttle`: decides which messages of a topic are left out, so that it stays below a rate."""

from __future__ import annotations

from typing import Final, Protocol

CATCH_UP_NS: Final = 600_000_000
"""Messages that arrive in bunches may be late for so long and cost the rate nothing. In a minute
that is a percent."""
CATCH_UP_PERIODS: Final = 2
"""So many periods more, for the jitter of slow topics."""
SILENCE: Final = 2
"""After silence of more than so many times that, nothing that was not published is made good."""
SET_BACK_NS: Final = 10_000_000_000
"""Arrivals so much before others were dated by a clock that has been set."""


class Holder(Protocol):
    """Holds a message back that is left out once a newer one comes, and recorded if none does."""

    def release(self) -> None:
        """Record that message."""


class Throttle:
    """
    Keeps the messages of one topic, of all its publishers together, at a rate.

    Time runs on a grid of periods, and each message that is recorded takes one: so the rate is
    exact over long times, whatever the jitter. Half a period of tolerance is given in advance.
    Elapsed time is that of arrival: clocks of publishers run fast or slow, are set, stand still.

    Belongs to the producer's thread.

    Attributes:
        rate_hz: Messages a second, at most.
        holders: Who holds messages back, in the order in which they came.

    """

    def __init__(self, rate_hz: float) -> None:
        """Begin before the first message."""
        self.holders: dict[Holder, None] = {}
        self._arrival_ns = 0
        self._credit_ns = 0.0
        """How long the next period has been due; below 0 it is not."""
        self.set_rate(rate_hz)

    def set_rate(self, rate_hz: float) -> None:
        """Set another rate, from the next message on."""
        self.rate_hz = rate_hz
        self._period_ns = 1e9 / rate_hz
        self._most_ns = CATCH_UP_PERIODS * self._period_ns + CATCH_UP_NS
        self._credit_ns = max(self._credit_ns, -self._period_ns)

    def admits(self, arrival_ns: int) -> bool:
        """Tell whether to record a message, given when it arrived (CLOCK_MONOTONIC)."""
        elapsed_ns, most_ns = arrival_ns - self._arrival_ns, self._most_ns
        if elapsed_ns >= SILENCE * most_ns or elapsed_ns < -SET_BACK_NS:
            self._arrival_ns, self._credit_ns = arrival_ns, self._period_ns / 2
        elif elapsed_ns > 0:  # of several publishers, one may be taken after newer ones
            self._arrival_ns = arrival_ns
            self._credit_ns = min(self._credit_ns + elapsed_ns, most_ns)
        if self._credit_ns < 0:
            return False
        self._credit_ns -= self._period_ns
        return True

    def release(self, now_ns: int) -> None:
        """Have messages recorded that are held back, if nothing newer has come in their time."""
        for holder in list(self.holders):
            if self._credit_ns + now_ns - self._arrival_ns < 0:
                return
            self._credit_ns -= self._period_ns
            holder.release()

    def release_all(self) -> None:
        """Have all messages recorded that are held back: the flight ends."""
        for holder in list(self.holders):
            holder.release()


class Pause(Throttle):
    """Leaves out all messages; of latched channels the newest one is held back to its end."""

    def __init__(self) -> None:
        """Leave out all that comes."""
        super().__init__(1.0)
        self.rate_hz = 0.0

    def admits(self, arrival_ns: int) -> bool:
        """Return False."""
        return False

    def release(self, now_ns: int) -> None:
        """Hold on."""
