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
The thread that talks with the ground: hears what recorders tell, sends what the pilot should know.

Nobody waits for it: what others hand over is put into a queue that forgets the oldest, and the
next second tells everything again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
import contextlib
from dataclasses import dataclass, replace
import logging
import math
import os
import select
import threading
import time
from typing import Final

from fdr_recorder.ground.commands import CommandDesk
from fdr_recorder.ground.computer import Computer
from fdr_recorder.ground.line import Line
from fdr_recorder.ground.mavlink import Condition, Heartbeat, Mavlink, Result, Sender
from fdr_recorder.ground.pacing import Fact, Pacing
from fdr_recorder.ground.recorders import Recorders, Status
from fdr_recorder.ground.texts import ENDS, said, Severity

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 1.0
COMPUTER_S: Final = 5.0
TICK_S: Final = 0.1
"""How often it looks while something waits to be sent."""
AWAY_S: Final = 3.5
"""A ground station whose heartbeat has not come for so long was away."""
BEAT_MISSED_S: Final = 1.7
"""Where heartbeats of a ground station are so far apart, one was lost; so may be a text."""
MISSED_S: Final = 30.0
"""So far back a ground station that has come (back) may have missed something."""
MAVLINK: Final = 'mavlink'
MAVROS: Final = 'mavros'
GREETING_S: Final = 1.2
"""A ground station shows no text of a component of which it has heard no heartbeat."""
QUEUE: Final = 1000
PAUSE_S: Final = 1.0
GROUND_STATIONS: Final = 32


@dataclass(frozen=True)
class Outside:
    """
    What MAVROS sends for the bridge.

    Attributes:
        is_there: Whether it is there; must not wait.
        send: Sends a text; must not wait.

    """

    is_there: Callable[[], bool]
    send: Callable[[Severity, str], object]


@dataclass(frozen=True)
class StationStatus:
    """
    How the ground is reached.

    Attributes:
        way: `mavros` or `mavlink`.
        trouble: Why texts cannot be sent; empty if they can.
        texts: How many were sent.
        grounds: Ground stations whose heartbeats come.

    """

    way: str = ''
    trouble: str = 'not opened yet'
    texts: int = 0
    grounds: int = 0


class Station:
    """Runs the thread `fdr_ground`, from `start` to `stop`."""

    def __init__(
        self,
        recorders: Recorders,
        *,
        line: Line | None,
        mavlink: Mavlink | None,
        mavros: Outside | None,
        commands: Collection[str],
        execute: Callable[[str], object],
        seal_interval_s: float,
    ) -> None:
        """
        Put the parts together.

        Args:
            recorders: What is known of the recorders.
            line: Where MAVLink goes; None if MAVROS alone is to be used.
            mavlink: Makes its frames; None likewise.
            mavros: Is used instead while it is there; None if it never is.
            commands: Names of the commands that the ground may send.
            execute: Begins to carry out one of them; called in this thread, must not wait.
            seal_interval_s: How often the newest seal is told, at most; 0 for never.

        """
        self.status = StationStatus()
        self._recorders = recorders
        self._line = line
        self._mavlink = mavlink
        self._mavros = mavros
        self._desk = CommandDesk(commands, execute)
        self._seal_interval_s = seal_interval_s
        self._seals: dict[str, str] = {}
        self._pacing = Pacing()
        self._facts: Mapping[Hashable, Fact] = {}
        self._computer = Computer()
        self._heard: deque[Sequence[Status]] = deque(maxlen=QUEUE)
        self._done: deque[tuple[str, Result, str]] = deque(maxlen=QUEUE)
        self._grounds: dict[Sender, float] = {}
        self._arrivals = 0
        self._texts = 0
        self._way = ''
        self._was_ready = False
        self._silent_until = 0.0
        self._greet_at, self._greet_from = math.inf, 0.0
        self._heartbeat_at = self._computer_at = self._seal_at = 0.0
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name='fdr_ground', daemon=True)

    # --- for other threads ---------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a host name that is being looked up is not waited for long."""
        self._is_stopping = True
        self._wake()
        self._thread.join(2.0)
        if not self._thread.is_alive():
            os.close(self._wake_fd)

    def hear(self, statuses: Sequence[Status]) -> None:
        """Take a message of `/diagnostics`; any thread."""
        self._heard.append(statuses)
        self._wake()

    def done(self, name: str, result: Result, reason: str = '') -> None:
        """Take what became of a command; any thread. Without a reason its alerts give it."""
        self._done.append((name, result, reason))
        self._wake()

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopping:
            now = time.monotonic()
            try:
                self._round(now)
                self._wait(now)
            except Exception as error:  # the ground must hear of the next fault all the same
                logger.exception('the link to the ground failed; it is opened again')
                if self._line is not None and self._mavlink is not None:
                    self._line.fail(error, now)
                    self._mavlink.forget()
                self.status = replace(self.status, trouble=str(error))
                time.sleep(PAUSE_S)
        self._say_goodbye(time.monotonic())

    def _say_goodbye(self, now: float) -> None:
        """Tell that nothing more comes: what is told of recorders may soon be wrong."""
        text = Severity.WARNING, said(ENDS)
        if self._way == MAVROS and self._mavros is not None and self._mavros.is_there():
            self._mavros.send(*text)
        if self._line is not None and self._mavlink is not None:
            if self._was_ready:
                self._line.send(self._mavlink.text(*text), now)
            self._line.close()

    def _wait(self, now: float) -> None:
        """Wait for a message, for the ground, or for the next time at which to send something."""
        is_waiting = self._pacing.is_waiting(now) or self._greet_at < math.inf
        is_busy = is_waiting or self._desk.is_busy or bool(self.status.trouble)
        wait_s = TICK_S if is_busy else min(HEARTBEAT_S, max(self._heartbeat_at - now, 0.0))
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        if self._line is not None and self._line.fd is not None and self._way == MAVLINK:
            poll.register(self._line.fd, select.POLLIN)
        poll.poll(wait_s * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def _round(self, now: float) -> None:
        while self._heard:
            self._recorders.hear(self._heard.popleft(), now)
        while self._done:
            name, result, reason = self._done.popleft()
            self._desk.done(name, result, reason or self._recorders.why_refused(), now)
        self._facts = self._recorders.facts(now)
        self._pacing.update(self._facts, now)
        self._tell_seals(now)
        self._desk.watch(now)
        for severity, text in self._desk.take_texts():
            self._pacing.say(severity, text, now)
        before, self._way = self._way, self._choose_way()
        if self._way != before:
            self._pacing.tell_again(now, over=now - MISSED_S)
        trouble = self._by_mavlink(now) if self._way == MAVLINK else self._by_mavros(now)
        grounds = sum(now - heard_at <= AWAY_S for heard_at in self._grounds.values())
        self.status = StationStatus(self._way, trouble, self._texts, grounds)

    def _choose_way(self) -> str:
        if self._line is None or (self._mavros is not None and self._mavros.is_there()):
            return MAVROS
        return MAVLINK

    # --- MAVROS --------------------------------------------------------------------------

    def _by_mavros(self, now: float) -> str:
        """Send what is due; return why nothing can be sent."""
        if self._line is not None:
            self._line.close()
        self._heartbeat_at = now + HEARTBEAT_S
        if self._mavros is None or not self._mavros.is_there():
            self._way = ''  # once it comes, it is told everything
            return 'MAVROS is not there'
        while (due := self._pacing.next_text(now)) is not None:
            self._mavros.send(*due)
            self._texts += 1
        return ''

    # --- MAVLink -------------------------------------------------------------------------

    def _by_mavlink(self, now: float) -> str:
        """Send and take what is due; return why nothing can be sent."""
        line, mavlink = self._line, self._mavlink
        assert line is not None
        assert mavlink is not None
        is_ready = line.is_ready(now)
        data = line.receive(now)
        for message in mavlink.read(data) if data else ():
            if not isinstance(message, Heartbeat):
                self._desk.take(message, now)
            elif message.is_ground:
                self._meet(message.sender, now)
        if line.arrivals != self._arrivals:
            self._arrivals = line.arrivals
            self._greet(now, now - MISSED_S)
            if not self._was_ready:
                self._silent_until = now + GREETING_S
        self._was_ready = is_ready
        if self._greet_at <= now:
            self._greet_at = math.inf
            self._pacing.tell_again(now, over=self._greet_from)
        is_ready = is_ready and now >= self._silent_until
        for command, result in self._desk.take_answers():
            line.send(mavlink.acknowledge(command, result), now)
        if now >= self._heartbeat_at:
            self._heartbeat_at = max(self._heartbeat_at, now - TICK_S) + HEARTBEAT_S
            line.send(mavlink.heartbeat(self._condition(now)), now)
            if now >= self._computer_at:
                self._computer_at = now + COMPUTER_S
                line.send(mavlink.computer(self._computer.look(), self._recorders.disk()), now)
        while is_ready and (due := self._pacing.next_text(now)) is not None:
            line.send(mavlink.text(*due), now)
            self._texts += 1
            is_ready = line.is_ready(now)
        return line.trouble or ('' if is_ready else 'nobody is there')

    def _condition(self, now: float) -> Condition:
        if any(fact.severity <= Severity.ERROR for fact in self._facts.values()):
            return Condition.CRITICAL
        return Condition.ACTIVE if self._recorders.are_recording(now) else Condition.STANDBY

    def _meet(self, sender: Sender, now: float) -> None:
        """Take a heartbeat of a ground station; tell it everything if it has come (back)."""
        last = self._grounds.get(sender)
        if last is None and len(self._grounds) >= GROUND_STATIONS:
            return
        self._grounds[sender] = now
        if last is None:
            self._greet(now, now)  # it has read nothing that may be over
        elif now - last > AWAY_S:
            self._greet(now, min(last, now - MISSED_S))
        elif now - last > BEAT_MISSED_S:
            self._pacing.tell_again(now, present=last - HEARTBEAT_S, over=last - HEARTBEAT_S)

    def _greet(self, now: float, heard_until: float) -> None:
        """Tell somebody who has come (back) everything, once he has heard a heartbeat."""
        if self._greet_at == math.inf:
            self._greet_from = heard_until
        self._greet_from = min(self._greet_from, heard_until)
        self._greet_at = now + GREETING_S

    # --- seals ---------------------------------------------------------------------------

    def _tell_seals(self, now: float) -> None:
        """Tell the newest seals now and then, and the last one of a flight."""
        if not self._seal_interval_s:
            return
        seals = self._recorders.seals()
        has_ended = not self._recorders.are_recording(now) and self._seals != seals
        if now < self._seal_at and not has_ended:
            return
        for name, text in seals.items():
            if self._seals.get(name) != text:
                self._pacing.say(Severity.INFO, text, now)
                self._seal_at = now + self._seal_interval_s
        self._seals = seals
