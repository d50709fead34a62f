# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Ctrl-C and similar signals, turned into one exception that comes at a safe moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedFlightError(Exception):
    """The user, or the system, wants the demo to end now; the message is the signal's name."""


class Interrupts:
    """
    Raises :class:`InterruptedFlightError` once, when the first such signal comes.

    Not inside :meth:`hold`: a process that was just started must be noted, and one that is being
    ended must be waited for, or it would outlive the demo. Later signals are ignored: the demo is
    ending already, with deadlines on all that it does.
    """

    def __init__(self) -> None:
        self._held = 0
        self._pending: signal.Signals | None = None
        self._raised = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Delay signals until the end of this block."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending is not None and not self._held:
            self._raise(self._pending)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            return
        if self._held:
            self._pending = signal.Signals(number)
        else:
            self._raise(signal.Signals(number))

    def _raise(self, number: signal.Signals) -> None:
        self._raised = True
        self._pending = None
        raise InterruptedFlightError(number.name)
