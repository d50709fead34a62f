# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Whether something that is said again and again holds: debounced, with a delay at its end."""

from __future__ import annotations


class Switch:
    """
    Decide from what is said whether it is on.

    It goes on once that has been said for `debounce_s`. It goes off `delay_s` after the opposite
    was first said (`debounce_s` if that is longer), unless it is said to be on again before.

    Attributes:
        says: What was said last; None before the first.
        since: Since when that has been said (monotonic seconds).

    """

    def __init__(self, debounce_s: float, delay_s: float = 0.0) -> None:
        self._debounce_s = debounce_s
        self._until_off_s = max(debounce_s, delay_s)
        self._is_on: bool | None = None
        self.since = 0.0
        self.says: bool | None = None

    def hear(self, says: bool, now: float) -> None:
        """Take what is said (`now`: monotonic seconds)."""
        if says != self.says:
            self.says, self.since = says, now

    def is_on(self, now: float) -> bool | None:
        """Return whether it is on now (monotonic seconds); None while unknown."""
        held_s = now - self.since
        if self.says and held_s >= self._debounce_s:
            self._is_on = True
        elif self.says is False and held_s >= self._until_off_s:
            self._is_on = False
        return self._is_on
