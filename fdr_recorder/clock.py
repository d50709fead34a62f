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
Steady times: what a flight's records are dated by, whatever the system clock does.

The system clock of a companion computer starts in 1970 or at the last shutdown, and jumps when GPS
or NTP arrives. So records are dated by CLOCK_MONOTONIC, which never jumps, and each flight adds
one number to it: system clock minus CLOCK_MONOTONIC, as it was when the flight began.

CLOCK_MONOTONIC rather than CLOCK_BOOTTIME: it is what publishers and other logs have, too. It
stands still while the machine is suspended; that is recorded as a `clock_step`.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from fdr_recorder.quick_dataclass import dataclass

_TRIES: Final = 5
_UNDISTURBED_NS: Final = 20_000
_NEVER_NS: Final = 1 << 62


def steady_now() -> int:
    """
    Return the present as records in rings have it: CLOCK_MONOTONIC in nanoseconds, negated.

    Rings are filled before the flight begins that sets the base (`preroll_s`). A time of the
    system clock, which a client may give, is not negative: so both can be told apart.
    """
    return -time.monotonic_ns()


class Reading(NamedTuple):
    """
    Both clocks at one moment, in nanoseconds.

    Attributes:
        monotonic_ns: CLOCK_MONOTONIC.
        system_ns: The system clock.
        suspended_ns: For how long the machine was suspended since it has booted.

    """

    monotonic_ns: int
    system_ns: int
    suspended_ns: int = 0

    @property
    def offset_ns(self) -> int:
        """System clock minus CLOCK_MONOTONIC."""
        return self.system_ns - self.monotonic_ns

    @classmethod
    def now(cls) -> Reading:
        """Read the clocks; if the thread was interrupted in between, read them again."""
        best_ns, reading = _NEVER_NS, cls(0, 0)
        for _ in range(_TRIES):
            before_ns = time.monotonic_ns()
            system_ns = time.time_ns()
            boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            took_ns = time.monotonic_ns() - before_ns
            if took_ns < best_ns:
                middle_ns = before_ns + took_ns // 2
                suspended_ns = boot_ns - middle_ns
                best_ns, reading = took_ns, cls(middle_ns, system_ns, suspended_ns)
            if took_ns < _UNDISTURBED_NS:
                break
        return reading


@dataclass(frozen=True)
class SteadyClock:
    """
    The clock of one flight.

    Attributes:
        offset_ns: System clock minus CLOCK_MONOTONIC when the flight began.

    """

    offset_ns: int

    @classmethod
    def begin(cls, now: Reading, oldest_ns: int) -> SteadyClock:
        """
        Return the clock of a flight that begins with a reading.

        Args:
            now: The reading.
            oldest_ns: CLOCK_MONOTONIC of the oldest record that waits already: it must not come to
                lie before 1970, as files have no such times.

        """
        return cls(max(now.offset_ns, -min(oldest_ns, now.monotonic_ns)))

    def at(self, time_ns: int) -> int:
        """Return a time out of a ring as the flight has it; see `steady_now`."""
        return self.offset_ns - time_ns if time_ns < 0 else time_ns

    def at_monotonic(self, monotonic_ns: int) -> int:
        """Return a time of CLOCK_MONOTONIC as the flight has it."""
        return self.offset_ns + monotonic_ns

    def now_ns(self) -> int:
        """Return the present as the flight has it."""
        return time.monotonic_ns() + self.offset_ns


NO_CLOCK: Final = SteadyClock(0)
"""Of files that are no flights: their records come with the times that they have."""
