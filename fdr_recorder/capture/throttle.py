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

CATCH_UP_NS: Final = 100_000_000
"""A source or an intake that was late for less may catch up; after longer silence, nothing that
was not published is made good."""
MOST_PERIODS: Final = 3
"""The same for slow topics, in periods."""
DISTRUST_NS: Final = 10_000_000_000
"""For so long, source times that went back are not used."""
MOST_DRIFT_NS: Final = 30_000_000_000
"""Source times that have moved so far against those of arrival are not used either."""


class Holder(Protocol):
    """Holds a message back that is left out once a newer one comes, and recorded if none does."""

    def release(self) -> None:
        """Record that message."""


class Throttle:
    """
    Keeps the messages of one topic, of all its publishers together, at a rate.

    Time runs on a grid of periods, and each message that is recorded takes one: so the rate is
    exact over long times, whatever the jitter. Half a period of tolerance is given in advance.
    Elapsed time is that of the sources, as long as it only goes forward; else that of arrival.

    Belongs to the producer's thread.

    Attributes:
        rate_hz: Messages a second, at most.
        holders: Who holds messages back, in the order in which they came.

    """

    def __init__(self, rate_hz: float) -> None:
        """Begin before the first message."""
        self.holders: dict[Holder, None] = {}
        self._arrival_ns = 0
        self._published_ns = 0
        self._drift_ns = 0
        self._by_arrival_until_ns = 0
        self._credit_ns = 0.0
        """How long the next period has been due; below 0 it is not."""
        self.set_rate(rate_hz)

    def set_rate(self, rate_hz: float) -> None:
        """Set another rate, from the next message on."""
        self.rate_hz = rate_hz
        self._period_ns = 1e9 / rate_hz
        self._most_ns = max(MOST_PERIODS * self._period_ns, CATCH_UP_NS)
        self._credit_ns = max(self._credit_ns, -self._period_ns)

    def admits(self, arrival_ns: int, published_ns: int) -> bool:
        """
        Tell whether to record a message, given when it arrived (CLOCK_MONOTONIC) and was sent.

        One that does not tell when it was published has 0.
        """
        elapsed_ns = self._elapsed_ns(arrival_ns, published_ns)
        most_ns = self._most_ns
        if elapsed_ns >= most_ns:
            self._credit_ns = self._period_ns / 2
        else:
            self._credit_ns = min(self._credit_ns + elapsed_ns, most_ns)
        return self._take()

    def _elapsed_ns(self, arrival_ns: int, published_ns: int) -> int:
        """Return the time since the message before."""
        elapsed_ns = arrival_ns - self._arrival_ns
        by_source_ns = published_ns - self._published_ns
        is_first = not self._published_ns
        self._arrival_ns, self._published_ns = arrival_ns, published_ns
        self._drift_ns += 0 if is_first else by_source_ns - elapsed_ns
        if by_source_ns <= 0 or not published_ns or abs(self._drift_ns) > MOST_DRIFT_NS:
            self._by_arrival_until_ns = arrival_ns + DISTRUST_NS
            self._drift_ns = 0
        if arrival_ns < self._by_arrival_until_ns:
            return max(elapsed_ns, 0)
        return by_source_ns

    def _take(self) -> bool:
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

    def admits(self, arrival_ns: int, published_ns: int) -> bool:
        """Return False."""
        return False

    def release(self, now_ns: int) -> None:
        """Hold on."""
