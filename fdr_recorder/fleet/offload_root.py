# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Brings the flights of a root into a store, once or for as long as the process runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
import random
import time
from typing import Final

from fdr_recorder.errors import FdrError, FlightRootMissingError
from fdr_recorder.fleet.errors import NotCompleteError, StoreError, StoreUnreachableError
from fdr_recorder.fleet.layout import decoded, FlightKey, manifests_prefix, vehicle_prefix
from fdr_recorder.fleet.offload_flight import Arrival, FlightOffload, Outcome
from fdr_recorder.fleet.prune_stored import StoredPruner
from fdr_recorder.flights.directory import flight_directories, segment_files
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.root_flights import end_of_metadata
from fdr_recorder.units import short

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_REFUSED_PAUSE_S: Final = 60.0
_ASK_AGAIN_S: Final = 600.0
"""So often what could not be removed is looked at again."""
_SWEEP_S: Final = 3600.0
_MOST_ASKED: Final = 20
"""Flights that are asked whose they are."""
_MOST_REFUSED: Final = 3
"""When the store refuses so many flights, it is not about these flights."""
_MOST_UNREACHED: Final = 4
_MOST_LOOKS: Final = 5
"""So often a flight that changes all the time is looked at, if nobody watches."""
_MOST_NAMED: Final = 3

Tell = Callable[[str], None]


class RootOffload:
    """
    Brings all flights of a root, or one, into a store. Used by one thread.

    Attributes:
        outcomes: Of each flight, by name, what became of it the last time.

    """

    def __init__(
        self,
        root: Path,
        offload: FlightOffload,
        *,
        only: Path | None = None,
        pruner: StoredPruner | None = None,
        tell: Tell = lambda _text: None,
    ) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._root = root
        self._offload = offload
        self._only = only
        self._pruner = pruner
        self._tell = tell
        self._settled: dict[str, tuple[int, int]] = {}
        """Flights that are in the store, with their directory's time and inode."""
        self._ask_again: dict[str, float] = {}
        """When to look again at flights that could not be removed."""
        self._unreached: Counter[str] = Counter()
        """How often in a row the store did not answer, by flight."""
        self._manifests: dict[str, dict[str, int]] = {}
        self._told: dict[str, str] = {}
        self._sweep_at = 0.0
        self._has_told_no_vehicle = False

    def run_pass(self) -> None:
        """
        Look at every flight that may have changed, the oldest first.

        Raises:
            FlightRootMissingError: There is no such root.
            StoreError: The store refuses, is full, or does not answer.
            StoppedError: The work was told to end.

        """
        there = self._there()
        refusal: StoreError | None = None
        refused = 0
        to_do = self._to_do(there)
        if to_do and not self._offload.usual_vehicle:
            newest_first = sorted(there, key=_age, reverse=True)
            self._offload.learn_vehicle(newest_first[:_MOST_ASKED])
        for flight in to_do:
            try:
                with suppress(FileNotFoundError):  # it was removed just now
                    self._one(flight)
            except StoreUnreachableError:
                self._unreached[flight.name] += 1
                raise
            except StoreError as error:  # it may be about this flight alone
                refusal = refusal or error
                refused += 1
                if refused >= _MOST_REFUSED:
                    raise refusal from None
            else:
                self._unreached.pop(flight.name, None)
        if refusal is not None:
            raise refusal
        if self._only is None:
            self._gone({path.name for path in there})
        if time.monotonic() >= self._sweep_at:
            self.sweep()

    @property
    def is_pending(self) -> bool:
        """Whether another look would help."""
        return any(item.arrival is Arrival.PENDING for item in self.outcomes.values())

    def sweep(self) -> None:
        """Remove what uploads have left that nobody will complete."""
        vehicles = {outcome.key.vehicle for outcome in self.outcomes.values()}
        for vehicle in sorted(vehicles):
            self._offload.store.sweep(vehicle_prefix(vehicle), self._is_settled)
        self._sweep_at = time.monotonic() + _SWEEP_S

    def _there(self) -> list[Path]:
        if self._only is not None:
            return [self._only]
        try:
            return flight_directories(self._root)
        except (FileNotFoundError, NotADirectoryError):
            raise FlightRootMissingError(self._root) from None

    def _to_do(self, there: list[Path]) -> list[Path]:
        """Return the flights that may have changed, the oldest first."""
        found = []
        now = time.monotonic()
        for flight in there:
            try:
                place = _place(flight)
                if self._settled.get(flight.name) == place:
                    if now < self._ask_again.get(flight.name, now + 1):
                        continue
                elif not segment_files(flight):
                    continue
            except OSError as error:
                self._failed(flight, error)
                continue
            found.append(flight)
        return sorted(found, key=lambda flight: (self._is_stuck(flight.name), _age(flight)))

    def _is_stuck(self, name: str) -> bool:
        """Tell whether others come first, because of this flight nothing arrives at all."""
        return self._unreached[name] >= _MOST_UNREACHED

    def _one(self, flight: Path) -> None:
        place = _place(flight)
        try:
            outcome = self._is_there(flight) or self._offload.offload(flight)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._failed(flight, error)
            return
        if outcome.arrival is Arrival.STORED and self._pruner is not None:
            outcome = self._pruner.prune(outcome)
        self._note(outcome)
        self._ask_again.pop(flight.name, None)
        self._settle(flight, place, outcome)

    def _settle(self, flight: Path, place: tuple[int, int], outcome: Outcome) -> None:
        """Leave a flight alone as long as nothing changes."""
        if outcome.arrival in (Arrival.ONGOING, Arrival.PENDING) or outcome.is_pruned:
            self._settled.pop(flight.name, None)
            return
        self._settled[flight.name] = place
        self._offload.journal.forget_in_memory(flight.name)
        if outcome.arrival is not Arrival.STORED:
            self._ask_again[flight.name] = time.monotonic() + _REFUSED_PAUSE_S
        elif outcome.stays:
            self._ask_again[flight.name] = time.monotonic() + _ASK_AGAIN_S

    def _is_there(self, flight: Path) -> Outcome | None:
        """Return what became of a flight that arrived before; None if that is to be found out."""
        facts = self._offload.journal.of(flight.name).facts
        if facts is None:
            return None
        if facts.vehicle not in self._manifests:
            self._manifests[facts.vehicle] = {
                item.key: item.size
                for item in self._offload.store.objects(manifests_prefix(facts.vehicle))
            }
        return self._offload.is_there(flight, self._manifests[facts.vehicle])

    def _note(self, outcome: Outcome) -> None:
        """Keep what became of a flight, and tell it once."""
        name = outcome.path.name
        if outcome.arrival is Arrival.STORED:
            known = self._manifests.setdefault(outcome.key.vehicle, {})
            known[outcome.key.manifest] = 0
        if outcome.key.vehicle == '' and outcome.arrival is not Arrival.FAILED:
            self._tell_no_vehicle()
        before = self.outcomes.get(name)
        sent = outcome.sent_bytes + (before.sent_bytes if before is not None else 0)
        self.outcomes[name] = replace(outcome, sent_bytes=sent)
        said = in_words(outcome)
        if self._told.get(name) != said:
            self._told[name] = said
            self._tell(said)

    def _tell_no_vehicle(self) -> None:
        """Tell once that nobody has said which vehicle this is."""
        if not self._has_told_no_vehicle:
            self._tell(
                'WARN: the flights name no vehicle, so those of all such drones come together; '
                'set vehicle_id of the recorder, or say --vehicle NAME'
            )
        self._has_told_no_vehicle = True

    def _failed(self, flight: Path, error: OSError) -> None:
        why = f'{flight} cannot be read: {error.strerror or error}'
        key = FlightKey('', flight.name)
        self._note(Outcome(flight, key, Arrival.FAILED, why=why))

    def _gone(self, there: set[str]) -> None:
        """See to flights that are no longer on the drone."""
        journal = self._offload.journal
        if not journal.is_there:
            return  # the disk with the root has been unmounted
        for name in journal.flights():
            if name in there:
                continue
            try:
                outcome = self._offload.offload_gone(name, self._root)
            except FdrError as error:
                if isinstance(error, StoreError):
                    raise
                outcome = None
            facts = journal.of(name).facts
            if outcome is not None:
                self._tell(f'{outcome.key}: it is no longer on the drone; what arrived is kept')
            if facts is not None:
                prefix = FlightKey(facts.vehicle, name).files
                self._offload.store.sweep(prefix, lambda _key: True)
            journal.remove(name)
            self._settled.pop(name, None)
            self._ask_again.pop(name, None)

    def _is_settled(self, key: str) -> bool | None:
        """Tell whether nothing is to come for the key of a file; None: it is none of ours."""
        parts = key.split('/')
        if len(parts) != 5:
            return None
        name = decoded(parts[3])
        outcome = self.outcomes.get(name)
        if outcome is None or outcome.key.vehicle != decoded(parts[1]):
            return None
        return outcome.arrival is Arrival.STORED


class Patience:
    """
    How long to wait for a store that does not answer: longer each time, and not for ever.

    Args:
        offload: Whose waiting ends when the work is told to end.
        timeout_s: Given up after so long without anything that arrived; None for never.

    """

    def __init__(self, offload: FlightOffload, timeout_s: float | None) -> None:
        self._pace = offload.pace
        self._timeout_s = timeout_s
        self._pause_s = _FIRST_PAUSE_S
        self._since = time.monotonic()

    def progress(self) -> None:
        """Note that something has arrived."""
        self._pause_s = _FIRST_PAUSE_S
        self._since = time.monotonic()

    def pause(self) -> None:
        """Wait a moment; raise `StoppedError` if the work is told to end."""
        self._pace.wait(_FIRST_PAUSE_S)

    def wait(self, error: StoreError) -> None:
        """
        Wait before the next try.

        Raises:
            NotCompleteError: It was tried for long enough.
            StoppedError: The work was told to end.

        """
        waited_s = time.monotonic() - self._since
        if self._timeout_s is not None and waited_s + self._pause_s > self._timeout_s:
            raise NotCompleteError(
                f'{error}; given up after {waited_s:.0f} s without anything that arrived. What '
                'has arrived stays: run it again, and it goes on there'
            ) from None
        pause_s = self._pause_s * random.uniform(0.5, 1.0)  # not all drones at once
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self._pace.wait(pause_s)


def offload_once(root: RootOffload, patience: Patience, tell: Tell) -> None:
    """
    Bring what is there into the store.

    Raises:
        FdrError: The root is missing, the store refuses, or does not answer for too long.
        StoppedError: The work was told to end.

    """
    told = ''
    looks = 0
    while True:
        try:
            root.run_pass()
            looks += 1
            if root.is_pending and looks < _MOST_LOOKS:
                patience.pause()
                continue
            root.sweep()
        except StoreUnreachableError as error:
            if told != str(error):
                told = str(error)
                tell(f'{error}; trying again')
            patience.wait(error)
        else:
            return


def offload_for_ever(
    root: RootOffload, offload: FlightOffload, patience: Patience, tell: Tell, poll_s: float
) -> None:
    """
    Bring what is there and what comes into the store, until the work is told to end.

    A fault is told once, and its end.

    Raises:
        StoppedError: The work was told to end.

    """
    fault = ''
    while True:
        try:
            root.run_pass()
        except (StoreError, FlightRootMissingError, OSError) as error:
            if fault != str(error):
                fault = str(error)
                tell(f'{error}; trying again')
            if isinstance(error, StoreUnreachableError):
                patience.wait(error)
            else:
                is_local = isinstance(error, FlightRootMissingError)
                offload.pace.wait(poll_s if is_local else _REFUSED_PAUSE_S)
        else:
            if fault:
                tell('it goes on')
            fault = ''
            patience.progress()
            offload.pace.wait(poll_s)


def in_words(outcome: Outcome) -> str:
    """Return a line about a flight."""
    key = outcome.key
    if outcome.is_pruned:
        return f'{key}: stored, and removed from the drone'
    if outcome.arrival is Arrival.STORED:
        stays = f'; stays on the drone: {outcome.stays}' if outcome.stays else ''
        left_out = ', '.join(map(short, outcome.left_out[:_MOST_NAMED]))
        if len(outcome.left_out) > _MOST_NAMED:
            left_out += ' ...'
        without = f', without what is no regular file: {left_out}' if left_out else ''
        return f'{key}: stored{without}{stays}'
    if outcome.arrival is Arrival.ONGOING:
        return f'{key}: is being recorded; its closed segments are brought as they come'
    return f'{key}: {outcome.arrival.value}: {outcome.why or outcome.stays}'


def _place(flight: Path) -> tuple[int, int]:
    status = flight.stat()
    return status.st_mtime_ns, status.st_ino


def _age(flight: Path) -> tuple[int, str]:
    number = end_of_metadata(flight).get(bag_metadata.FLIGHT_NUMBER_KEY, '')
    return int(number) if number.isdigit() and len(number) < 20 else 0, flight.name
