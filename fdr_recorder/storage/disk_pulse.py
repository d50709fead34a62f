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
Who may hang, and who watches.

A disk that does not answer (a worn card, a hub that lost its power, a network mount) holds up
each thread that calls it, for seconds or for ever. So the threads that touch the flight root, the
writer's and the syncer's, note in a `DiskPulse` what they are about to do. A `StallWatch` reads
it. It touches no file itself, so it can always tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
import threading
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.units import encodable

STALL_S: Final = 0.9
"""A disk that takes longer than this over one step is stalled. A healthy one needs milliseconds,
a worn card some hundreds of them. A step begins within a second of the last, so that a disk that
stops answering is noticed within two."""
WATCH_INTERVAL_S: Final = 0.25
WRITING: Final = 'writing'
"""What the writer does. While it is held up, nothing is recorded; all other steps are syncs."""


class DiskPulse:
    """
    Since when each thread has been at one step of its work on the disk. Any thread.

    A step is a piece of work that a healthy disk lets end within milliseconds.
    """

    def __init__(self) -> None:
        self._steps: dict[int, tuple[float, str]] = {}
        """By thread: monotonic seconds, and what it does."""
        self.begun = 0
        """How many steps were begun, about: it changes while the threads get on."""

    def step(self, what: str) -> None:
        """Note that the calling thread begins a step, which ends the one before."""
        self._steps[threading.get_ident()] = time.monotonic(), what
        self.begun += 1

    def rest(self) -> None:
        """Note that the calling thread waits for nothing but work."""
        self._steps.pop(threading.get_ident(), None)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Wait for another thread inside the block: that one may hang, this one does not."""
        step = self._steps.pop(threading.get_ident(), None)
        try:
            yield
        finally:
            if step is not None:
                self.step(step[1])

    @property
    def stall(self) -> tuple[float, str]:
        """
        For how many seconds the disk has not answered, and in which step; 0 while it does.

        The step is `WRITING` if the writer is held up, whatever else is.
        """
        now = time.monotonic()
        steps = [(what == WRITING, now - since, what) for since, what in [*self._steps.values()]]
        stalled = [step for step in steps if step[1] > STALL_S]
        _, lasts_s, what = max(stalled, default=(False, 0.0, ''))
        return lasts_s, what


class StallWatch:
    """
    A thread that raises `disk_stalled` while the disk does not answer, and clears it then.

    Meanwhile it also raises `overrun` for rings that refuse records: the writer, which does that
    otherwise and which counts them into the flight, may be the one who hangs.
    """

    def __init__(
        self,
        pulse: DiskPulse,
        alerts: AlertBoard,
        clients: Callable[[], Iterable[FdrClient]],
    ) -> None:
        """Start to watch; `clients` returns those whose rings the writer drains."""
        self._pulse = pulse
        self._alerts = alerts
        self._clients = clients
        self._must_stop = threading.Event()
        self._is_stalled = False
        self._thread = threading.Thread(target=self._run, name='fdr_stall_watch', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and clear the alert. Idempotent."""
        self._must_stop.set()
        self._thread.join()
        self._alerts.clear('disk_stalled', 'the writer has stopped')

    def _run(self) -> None:
        while not self._must_stop.wait(WATCH_INTERVAL_S):
            lasts_s, what = self._pulse.stall
            if lasts_s:
                self._is_stalled = True
                self._tell(lasts_s, what)
            elif self._is_stalled:
                self._is_stalled = False
                self._alerts.clear('disk_stalled', 'the disk answers again')

    def _tell(self, lasts_s: float, what: str) -> None:
        refused = 0
        for client in self._clients():
            records = client.ring.unacknowledged_refusals
            refused += records
            if records:
                topic = encodable(client.channel.topic)
                message = f'records of {topic} were refused: its ring is full, the disk is stalled'
                values = {'topic': topic, 'records': records}
                self._alerts.raise_alert('overrun', message, subject=topic, values=values)
        outcome = 'records wait in the rings'
        if what != WRITING:
            outcome = 'recording goes on, but the newest records would not survive a power cut yet'
        self._alerts.raise_alert(
            'disk_stalled',
            f'the disk has not answered for {lasts_s:.0f} s ({what}); {outcome}',
            values={'seconds': f'{lasts_s:.1f}', 'step': what, 'records_refused': refused},
        )
