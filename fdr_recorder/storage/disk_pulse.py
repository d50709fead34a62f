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

STALL_S: Final = 0.9
"""A disk that takes longer than this over one step is stalled. A healthy one needs milliseconds,
a worn card some hundreds of them. A step begins within a second of the last, so that a disk that
stops answering is noticed within two."""
WATCH_INTERVAL_S: Final = 0.1


class DiskPulse:
    """
    Since when each thread has been at one step of its work on the disk. Any thread.

    A step is a piece of work that a healthy disk lets end within milliseconds.
    """

    def __init__(self) -> None:
        self._steps: dict[int, tuple[float, str]] = {}
        """By thread: monotonic seconds, and what it does."""

    def step(self, what: str) -> None:
        """Note that the calling thread begins a step, which ends the one before."""
        self._steps[threading.get_ident()] = time.monotonic(), what

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

    def longest(self) -> tuple[float, str]:
        """Return for how long (seconds) the oldest step lasts, and what it is; 0 without one."""
        since, what = min(list(self._steps.values()), default=(0.0, ''))
        return (time.monotonic() - since if what else 0.0), what

    @property
    def stalled_s(self) -> float:
        """For how many seconds the disk has not answered; 0 while it does."""
        lasts_s, _ = self.longest()
        return lasts_s if lasts_s > STALL_S else 0.0


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
            lasts_s, what = self._pulse.longest()
            if lasts_s > STALL_S:
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
                topic = client.channel.topic
                message = f'records of {topic} were dropped: its ring is full, the disk is stalled'
                values = {'topic': topic, 'records': records}
                self._alerts.raise_alert('overrun', message, subject=str(topic), values=values)
        self._alerts.raise_alert(
            'disk_stalled',
            f'the disk has not answered for {lasts_s:.0f} s ({what}); records wait in the rings',
            values={'seconds': f'{lasts_s:.1f}', 'step': what, 'records_refused': refused},
        )
