# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Two subscriptions of one topic: what both of them have taken is recorded once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
import math
import time
from typing import Final

from fdr_recorder.node.intake.subscription_protocol import is_numbered

MOST_TAKEN: Final = 20_000
"""Messages that a subscription remembers for its successor: more than the middleware keeps."""
SETTLE_S: Final = 5.0
"""How long after it has begun a subscription may still receive what the one before had received:
a publisher sends once more what was not acknowledged, Fast DDS after 3 s."""

Key = tuple[bytes, int | None, int]
"""What a message is known by: gid, number, publish time. It need not be unique: without numbers,
a publisher with a coarse clock sends several of the same key. So keys are counted."""


def key_of(gid: bytes, number: int | None, published_ns: int) -> Key:
    """Return what a message is known by; a number that says nothing is left out."""
    return gid, number if is_numbered(number) else None, published_ns


class Overlap:
    """
    Leave out what a former subscription of the topic has taken. Belongs to the intake thread.

    Attributes:
        is_recording: Whether there will be another subscription: what is taken is remembered.
        ends_at: When this is over (monotonic seconds).

    """

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self.is_recording = False
        self.ends_at = math.inf
        self._former: Counter[Key] = Counter()
        self._current: deque[Key] = deque(maxlen=MOST_TAKEN)

    def begin(self, earlier: Iterable[Key] = ()) -> None:
        """Remember from now on what is taken: there will be another subscription."""
        self._current.clear()
        self._current.extend(earlier)
        self.is_recording, self.ends_at = True, math.inf

    def take_over(self) -> None:
        """Leave out from now on what is remembered: messages come from the next subscription."""
        self.leave_out(self._current)
        self._current.clear()
        self.is_recording, self.ends_at = False, time.monotonic() + SETTLE_S

    def leave_out(self, known: Iterable[Key]) -> None:
        """Leave out these, too, which another subscription has taken."""
        self._former.update(known)
        if not self.is_recording:
            self.ends_at = time.monotonic() + SETTLE_S

    def is_new(self, key: Key) -> bool:
        """Tell whether a message is to be recorded, and remember it."""
        if self.is_recording:
            self._current.append(key)
        if self._former.get(key, 0) <= 0:
            return True
        self._former[key] -= 1
        return False
