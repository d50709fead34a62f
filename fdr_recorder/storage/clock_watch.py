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
Watches the system clock while a flight is open: each step is recorded and told, drift recorded.

In a thread of its own: the writer's may hang in a disk that does not answer. What it records waits
for the writer with the time at which it was noticed.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
import threading
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.clock import Reading
from fdr_recorder.record.kinds import ClockStatus, ClockStep
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.clock_discipline import read_discipline
from fdr_recorder.units import NS_PER_S, precise_duration

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S: Final = 0.2
"""Several steps within this time are one."""
STATUS_INTERVAL_S: Final = 60.0
SETTLE_S: Final = 5.0
"""After a step the state is recorded again so much later: then the program that has set the clock
has told the kernel what it thinks of it."""
ALERT_HOLD_S: Final = 5.0
"""A step is an event: its alert is cleared after this time."""
FAILURE_PAUSE_S: Final = 5.0
"""Pause after a look that failed: the next one may fail, too."""
_STOP_DEADLINE_S: Final = 1.0
_SUSPENDED_NS: Final = 50_000_000


class ClockWatch:
    """
    Compares the system clock with CLOCK_MONOTONIC, five times a second.

    `start` and `stop` belong to the writer's thread.
    """

    def __init__(
        self,
        began: Reading,
        step_s: float,
        alerts: AlertBoard,
        emit: Callable[[Payload], None],
    ) -> None:
        """
        Prepare; nothing is watched before `start`.

        Args:
            began: The reading with which the flight began.
            step_s: By how much the difference of the clocks must change at once to be a step.
            alerts: The board for the alert `clock_step`.
            emit: Writes records; called in this thread.

        """
        self._step_ns = int(step_s * NS_PER_S)
        self._alerts = alerts
        self._emit = emit
        self._last = self._recorded = began
        self._status_due_ns = began.monotonic_ns + int(STATUS_INTERVAL_S * NS_PER_S)
        self._clear_due_ns = 0
        self._must_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='fdr_clock', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and look once more. Idempotent."""
        if self._must_stop.is_set():
            return
        self._must_stop.set()
        self._thread.join(_STOP_DEADLINE_S)
        if not self._thread.is_alive():
            self._try_to_look()

    def _run(self) -> None:
        while not self._must_stop.wait(WATCH_INTERVAL_S):
            if not self._try_to_look():
                self._must_stop.wait(FAILURE_PAUSE_S)

    def _try_to_look(self) -> bool:
        try:
            self.look()
        except Exception:
            logger.exception('a look at the system clock has failed; recording goes on')
            return False
        return True

    def look(self) -> None:
        """Compare the clocks now."""
        now = Reading.now()
        moved_ns = now.offset_ns - self._last.offset_ns
        suspended_ns = max(now.suspended_ns - self._last.suspended_ns, 0)
        self._last = now
        if abs(moved_ns) > self._step_ns:
            self._note_step(now, moved_ns, suspended_ns if suspended_ns > _SUSPENDED_NS else 0)
        elif self._clear_due_ns and now.monotonic_ns >= self._clear_due_ns:
            self._clear_due_ns = 0
            self._alerts.clear('clock_step', f'none for {ALERT_HOLD_S:.0f} s')
        drifted_ns = now.offset_ns - self._recorded.offset_ns
        if now.monotonic_ns >= self._status_due_ns or abs(drifted_ns) > self._step_ns:
            self._note_status(now)

    def _note_step(self, now: Reading, moved_ns: int, suspended_ns: int) -> None:
        self._recorded = now
        self._status_due_ns = min(
            self._status_due_ns, now.monotonic_ns + int(SETTLE_S * NS_PER_S)
        )
        self._clear_due_ns = now.monotonic_ns + int(ALERT_HOLD_S * NS_PER_S)
        step = ClockStep(
            monotonic_ns=now.monotonic_ns,
            before_ns=now.system_ns - moved_ns,
            after_ns=now.system_ns,
            suspended_ns=suspended_ns,
        )
        self._emit(step)
        by = precise_duration(abs(moved_ns) / NS_PER_S)
        text = f'the system clock was set {"ahead" if moved_ns > 0 else "back"} by {by}'
        if suspended_ns:
            text += f'; the machine was suspended for {precise_duration(suspended_ns / NS_PER_S)}'
        values = {'before_ns': step.before_ns, 'after_ns': step.after_ns}
        self._alerts.clear('clock_step', 'the clock was set again')
        self._alerts.raise_alert('clock_step', text, values=values)

    def _note_status(self, now: Reading) -> None:
        self._recorded = now
        self._status_due_ns = now.monotonic_ns + int(STATUS_INTERVAL_S * NS_PER_S)
        discipline = read_discipline()
        self._emit(
            ClockStatus(
                monotonic_ns=now.monotonic_ns,
                system_ns=now.system_ns,
                suspended_ns=now.suspended_ns,
                clock_state=discipline.state,
                source=discipline.source,
                values=discipline.values,
            )
        )
