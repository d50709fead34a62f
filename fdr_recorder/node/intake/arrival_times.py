# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""When messages arrived: the middleware's reception times, made steady."""

from __future__ import annotations

from typing import Any

from fdr_recorder.clock import Reading


class ArrivalTimes:
    """
    Dates messages by their age at the take: reception to take, by the system clock.

    The difference of the clocks is read once a round, not for every message. If the system clock
    was set since the round before, messages that arrived before that are dated by the difference
    of then. What is still impossible becomes the nearest possible time: no message has arrived
    later than now, nor before its topic was found empty. Belongs to the intake thread.

    Attributes:
        round_ns: When this round began (CLOCK_MONOTONIC).
        emptied_ns: When the round before began: what a topic has now, it did not have then.
        shift_ns: Add this to a reception time for its CLOCK_MONOTONIC.

    """

    def __init__(self) -> None:
        """Begin with a first round."""
        now = Reading.now()
        self.round_ns = self.emptied_ns = now.monotonic_ns
        self.shift_ns = self._former_shift_ns = -now.offset_ns
        self._late = 0
        """Messages of this round that are dated after its beginning: all of them where the
        middleware dates them at the take, else those that arrive during the round."""
        self._are_late = False

    def begin_round(self) -> None:
        """Read the clocks; call it before the topics are looked at one after the other."""
        now = Reading.now()
        self.emptied_ns, self.round_ns = self.round_ns, now.monotonic_ns
        self._former_shift_ns, self.shift_ns = self.shift_ns, -now.offset_ns
        self._late = 0

    def are_late(self, taken: int) -> bool:
        """Tell whether messages are dated when they are taken, if the round took so many."""
        if taken:
            self._are_late = self._late == taken
        return self._are_late

    def place(self, received_ns: Any, floor_ns: int) -> int:  # noqa: ANN401 - as it was told
        """
        Return the CLOCK_MONOTONIC of an arrival that `shift_ns` makes impossible.

        Args:
            received_ns: The reception time that the middleware tells (system clock); anything else
                than a positive integer is unknown.
            floor_ns: CLOCK_MONOTONIC of before it arrived.

        """
        now = Reading.now()
        latest_ns = max(now.monotonic_ns, floor_ns)
        if type(received_ns) is not int or received_ns <= 0:
            self._late += 1
            return latest_ns
        dates = [
            received_ns + shift_ns
            for shift_ns in (-now.offset_ns, self.shift_ns, self._former_shift_ns)
        ]
        for time_ns in dates:
            if floor_ns <= time_ns <= latest_ns:
                self._late += time_ns > self.round_ns
                return time_ns
        return min(max(dates[0], floor_ns), latest_ns)
