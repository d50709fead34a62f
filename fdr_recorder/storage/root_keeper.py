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
Keeps a flight root below its cap while a flight is recorded: removes the oldest other flights.

Deleting may take seconds, so a thread of its own does it, which nobody waits for. It removes only
what was closed or recovered, has no pins, and is locked by nobody; first the entry in the root's
log of removed flights is on the disk, then the flight that is recorded gets a record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import logging
import os
from pathlib import Path
import threading
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.record.kinds import FlightRemoved
from fdr_recorder.record.payload import Payload
from fdr_recorder.seal.sidecars import newest_seal
from fdr_recorder.storage.files import close_fd, free_bytes
from fdr_recorder.storage.locks import lock
from fdr_recorder.storage.pins import read_pins
from fdr_recorder.storage.removal_log import (
    delete,
    delete_remains,
    note_removal,
    put_away,
    Removal,
)
from fdr_recorder.storage.retention import decide, Decision, KnownFlight, Limits, State
from fdr_recorder.storage.root_flights import end_of_metadata, RootFlights
from fdr_recorder.storage.segment_log import SegmentLog

logger = logging.getLogger(__name__)

MAY_GO: Final = frozenset({State.CLOSED, State.RECOVERED})
PROMISE_S: Final = 10.0
"""For so long the writer waits for space that is to come of other flights."""
REFUSED_S: Final = 60.0
"""What could not be removed is tried again after this."""
STOP_S: Final = 2.0
_ROOT_CAP: Final = 'root_cap_bytes'
_NEWEST: Final = 1 << 62


class RootKeeper:
    """
    Watches the root of a flight that is recorded, from the first `watch` with a cap to `stop`.

    The writer's thread calls all methods; none of them waits for the disk.

    Attributes:
        allowance: Most bytes that the flight that is recorded may have, because nothing else may
            go; None if that is not limited. Replaced by the keeper's thread.

    """

    def __init__(
        self, log: SegmentLog, alerts: AlertBoard, emit: Callable[[Payload], None]
    ) -> None:
        """Take the flight that is recorded, and what writes a record to it."""
        self.allowance: int | None = None
        self._log = log
        self._root = log.root.path
        self._name = log.directory.path.name
        self._alerts = alerts
        self._emit = emit
        self._own_bytes = 0
        self._wanted = 0
        self._asked_at = 0.0
        self._promised = 0
        self._wake = threading.Event()
        self._is_over = False
        self._refused: dict[str, tuple[str, float]] = {}
        self._thread: threading.Thread | None = None

    # --- the writer's thread -------------------------------------------------------------

    def watch(self, own_bytes: int) -> None:
        """Look after the root, of which the flight that is recorded has so many bytes."""
        self._own_bytes = own_bytes
        if self._thread is None:
            if not self._log.config.root_cap_bytes:
                return
            self._thread = threading.Thread(target=self._run, name='fdr_keeper', daemon=True)
            self._thread.start()
        self._wake.set()

    def ask(self, size: int) -> bool:
        """Ask for free space; tell whether some is to come soon."""
        now = time.monotonic()
        if self._thread is None or not self._log.config.root_cap_bytes or not self._promised:
            return False
        if not self._wanted:
            self._asked_at = now
        self._wanted = size
        self._wake.set()
        return now - self._asked_at < PROMISE_S

    def satisfied(self) -> None:
        """Tell that there is space enough."""
        self._wanted = 0

    def stop(self) -> None:
        """Remove nothing more; the thread ends once what it deletes is gone."""
        self._is_over = True
        if self._thread is not None:
            self._wake.set()
            self._thread.join(STOP_S)

    # --- the keeper's thread -------------------------------------------------------------

    def _run(self) -> None:
        flights = RootFlights(self._root, self._name)
        is_first = True
        while not self._is_over:
            try:
                if is_first:
                    delete_remains(self._root)
                    is_first = False
                while not self._is_over and self._remove_one(flights):
                    pass
            except OSError as error:
                logger.warning('%s: the root cannot be looked after: %s', self._root, error)
            self._wake.wait()
            self._wake.clear()

    def _remove_one(self, flights: RootFlights) -> bool:
        """Remove the oldest flight that must go, if there is one; tell whether it was tried."""
        cap = self._log.config.root_cap_bytes
        known = [self._with_refusal(flight) for flight in flights.look()]
        own = KnownFlight(self._name, _NEWEST, self._own_bytes, State.OPEN)
        total = own.bytes + sum(flight.bytes for flight in known)
        limits = Limits(most_bytes=cap or total, name=_ROOT_CAP)
        lacking = self._lacking_bytes()
        if lacking and total - lacking < (cap or total):
            limits = Limits(most_bytes=max(total - lacking, 0), name='min_free_bytes')
        decisions = decide([*known, own], limits, may_go=MAY_GO)
        self._promised = sum(flight.bytes for flight in known if _may_go(flight))
        doomed = next((decision for decision in decisions if decision.goes), None)
        if doomed is None:
            self._judge(cap, total, decisions)
            return False
        self._remove(doomed, limits, total)
        return True

    def _lacking_bytes(self) -> int:
        """Return how much free space is wanted and not there."""
        if not self._wanted:
            return 0
        config = self._log.config
        least = config.min_free_bytes + config.reserve_bytes + 2 * config.chunk_size_bytes
        return max(least - free_bytes(self._root), 0)

    def _with_refusal(self, flight: KnownFlight) -> KnownFlight:
        why, until = self._refused.get(flight.name, ('', 0.0))
        return replace(flight, refused=why) if time.monotonic() < until else flight

    def _judge(self, cap: int, total: int, decisions: list[Decision]) -> None:
        """Set how much the flight that is recorded may have, now that nothing else can go."""
        staying = sum(
            item.flight.bytes
            for item in decisions
            if item.flight.name != self._name and not _may_go(item.flight)
        )
        self.allowance = cap - staying if staying < cap else None  # else no drop would help
        if not cap or total <= cap:
            self._alerts.clear('cap_misconfigured', 'the root is below its cap', subject=_ROOT_CAP)
        elif self.allowance is None:
            message = (
                f'flights that must stay have {staying} bytes, above writer.root_cap_bytes '
                f'({cap}): they are pinned, or were not closed, or are in use; recording goes on'
            )
            self._alerts.raise_alert('cap_misconfigured', message, subject=_ROOT_CAP)

    def _remove(self, decision: Decision, limits: Limits, total: int) -> None:
        flight = decision.flight
        path = self._root / flight.name
        try:
            why_not, doomed = self._put_away(path, flight, limits.name, total)
        except OSError as error:
            why_not, doomed = str(error), None
            logger.warning('%s: not removed: %s', path, error)
            self._log.root.give_up_reserve()  # the log of removals may lack space
        if doomed is None:
            self._refused[flight.name] = why_not, time.monotonic() + REFUSED_S
            return
        if not self._is_over:
            self._tell(flight, limits.name)
        delete(doomed)

    def _limit_of(self, cause: str) -> int:
        config = self._log.config
        return config.root_cap_bytes if cause == _ROOT_CAP else config.min_free_bytes

    def _tell(self, flight: KnownFlight, cause: str) -> None:
        self._alerts.raise_alert(
            'flights_removed',
            f'writer.{cause} ({self._limit_of(cause)} bytes) is reached: the oldest flights are '
            'being removed',
            values={'flight': flight.name, 'bytes': flight.bytes},
        )

    def _put_away(
        self, path: Path, flight: KnownFlight, cause: str, total: int
    ) -> tuple[str, Path | None]:
        """Rename a flight so that it is none any more, with its records; or say why not."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                if not lock(fd):
                    return 'its file system has no locks', None
            except BlockingIOError:
                return 'in use', None
            if read_pins(fd):
                return 'pinned', None
            seal = newest_seal(path)
            said = end_of_metadata(path)
            removal = Removal(
                said.get('flight_id') or flight.name,
                flight.number,
                flight.bytes,
                f'{cause} {self._limit_of(cause)}',
                seal.text_hash if seal is not None else '',
            )
            if self._is_over:
                return 'the flight ends', None
            note_removal(self._root, removal)
            self._emit(
                FlightRemoved(
                    flight_id=removal.flight_id,
                    flight_number=removal.number,
                    bytes=removal.bytes,
                    cause=cause,
                    limit_bytes=self._limit_of(cause),
                    root_bytes_before=total,
                    root_bytes_after=total - removal.bytes,
                    newest_seal=removal.seal_hash,
                )
            )
            return '', put_away(path)
        finally:
            close_fd(fd)


def _may_go(flight: KnownFlight) -> bool:
    return flight.state in MAY_GO and not flight.pinned and not flight.refused
