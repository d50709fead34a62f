# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What other threads ask of the intake thread."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Final

from fdr_recorder.node.intake.subscription_protocol import Subscriber
from fdr_recorder.node.quarantine import Quarantine

DEADLINE_S: Final = 2.0
"""How long another thread waits until the intake thread has answered its request."""
_WAKE: Final = 'the intake cannot be woken'
_ANSWER: Final = 'a request to the intake has failed'


class Requests:
    """
    Calls that the intake thread makes for other threads, in their order.

    A call that fails is told by the alert `intake_failed`; the others are made all the same.

    Attributes:
        pending: The calls that are not made yet.
        has_thread: Whether there is a thread that makes them; else `make` does, at once.

    """

    def __init__(self, subscriber: Subscriber, quarantine: Quarantine) -> None:
        """Begin without a thread; `subscriber` wakes it."""
        self.pending: list[Callable[[], None]] = []
        self.has_thread = False
        self._subscriber = subscriber
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._is_asked = threading.Event()

    def make(self, call: Callable[[], None], *, is_urgent: bool = False) -> None:
        """Have the intake thread make a call, after a rest unless it `is_urgent`; any thread."""
        with self._lock:
            self.pending.append(call)
        if self.has_thread:
            self.wake(is_urgent=is_urgent)
        else:
            self.answer()

    def make_and_wait(self, call: Callable[[], None]) -> bool:
        """Have the intake thread make a call; return whether it did within `DEADLINE_S`."""
        done = threading.Event()

        def call_and_tell() -> None:
            try:
                call()
            finally:
                done.set()

        self.make(call_and_tell, is_urgent=True)
        return done.wait(DEADLINE_S)

    def wake(self, *, is_urgent: bool = True) -> None:
        """End the thread's wait, and its rest; if that fails, the wait ends after a second."""
        if is_urgent:
            self._is_asked.set()
        with self._quarantine.guard('', _WAKE, 'intake_failed'):
            self._subscriber.wake()

    def rest(self, seconds: float) -> None:
        """Do nothing until that time is over, or somebody cannot wait; the intake thread."""
        self._is_asked.wait(seconds)

    def answer(self) -> None:
        """Make the calls that are pending; the intake thread, or any if there is none."""
        with self._lock:
            self._is_asked.clear()
            calls, self.pending = self.pending, []
        for call in calls:
            with self._quarantine.guard('', _ANSWER, 'intake_failed'):
                call()
