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
Makes room: removes the oldest flights of a flight root, as `storage/retention.py` decides.

A recorder may be at work in the root. It never returns to a flight that it has closed or
recovered, so such flights can be removed meanwhile. A flight that was not closed would be
recovered by a recorder that starts, so it is removed only while this process owns the root.

Each flight leaves an entry in the root's log of removed flights. It is first renamed to a name
that is not a flight's, which is atomic, and then deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.flights.in_use import held_alone, locked_directory
from fdr_recorder.flights.listing import ListedFlight
from fdr_recorder.flights.prune_log import removal_of
from fdr_recorder.flights.status import Ended
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.removal_log import delete, delete_remains, note_removal, put_away
from fdr_recorder.storage.retention import decide, Decision, KnownFlight, Limits, Reason, State

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.identity import Identity

_STATES: Final = {
    Ended.OPEN: State.OPEN,
    Ended.UNKNOWN: State.UNCLOSED,
    Ended.RECOVERED: State.RECOVERED,
    Ended.CLOSED: State.CLOSED,
}


@dataclass(frozen=True)
class Pruning:
    """
    Which flights to remove, and which stay although they are over a limit.

    Attributes:
        doomed: Flights to remove, oldest first.
        spared: Flights that are over a limit and stay, each with the reason.
        bytes_left: Size of all flights that stay.
        is_enough: Whether the limits hold afterwards.
        causes: Of each of the doomed, which limit it is over.
        decisions: On all flights, oldest first: whether it goes, and why or why not.

    """

    doomed: tuple[ListedFlight, ...]
    spared: tuple[tuple[ListedFlight, str], ...]
    bytes_left: int
    is_enough: bool
    causes: tuple[str, ...] = ()
    decisions: tuple[tuple[ListedFlight, bool, str], ...] = ()


def plan_pruning(
    flights: Sequence[ListedFlight],
    *,
    keep: int | None = None,
    max_bytes: int | None = None,
    unclean: bool = False,
    in_use_by: str = '',
) -> Pruning:
    """
    Choose the flights to remove, so that both limits hold afterwards.

    Never the flight that is being recorded, nor for `max_bytes` the newest one.

    Args:
        flights: All flights of a root.
        keep: Most flights that stay, counted from the newest one; None for any number.
        max_bytes: Most bytes that the flights take together; None for any size.
        unclean: Whether to remove flights that were not closed, recovered ones included.
        in_use_by: Who owns the root; then a flight that needs recovery stays.

    """
    by_name = {flight.path.name: flight for flight in flights}
    may_go = {State.CLOSED, State.RECOVERED, State.UNCLOSED} if unclean else {State.CLOSED}
    known = [_known(flight, in_use_by) for flight in flights]
    decisions = decide(known, Limits(keep, max_bytes), may_go=may_go)
    surplus = len(flights) - keep if keep is not None else 0
    left = sum(flight.bytes for flight in flights)
    is_enough = True
    doomed, causes, spared, told = [], [], [], []
    for position, decision in enumerate(decisions):
        flight, why = by_name[decision.flight.name], _in_words(decision)
        told.append((flight, decision.goes, why))
        if decision.goes:
            doomed.append(flight)
            causes.append(decision.why)
            left -= flight.bytes
        elif decision.reason is not Reason.WITHIN:
            spared.append((flight, why))
            is_enough = is_enough and position >= surplus
    is_enough = is_enough and (max_bytes is None or left <= max_bytes)
    return Pruning(
        tuple(doomed), tuple(spared), left, is_enough, tuple(causes), tuple(told)
    )


def _known(flight: ListedFlight, in_use_by: str) -> KnownFlight:
    """Return a flight as the policy knows it."""
    is_awaited = flight.status.ended is Ended.UNKNOWN and bool(in_use_by)
    return KnownFlight(
        flight.path.name,
        flight.flight_number,
        flight.bytes,
        _STATES[flight.status.ended],
        flight.pins.reasons,
        flight.started_ns,
        f'to be recovered by {in_use_by}' if is_awaited else '',
    )


def _in_words(decision: Decision) -> str:
    state = decision.flight.state
    if decision.reason is Reason.STATE and state is not State.OPEN:
        return f'{decision.why}; --unclean lets it go'
    return decision.why


def prune(
    root: Path,
    pruning: Pruning,
    identity: Identity | None = None,
    *,
    may_go: Callable[[ListedFlight], bool] = lambda _flight: True,
) -> Iterator[ListedFlight]:
    """
    Remove the chosen flights, and the remains of an interrupted call; yield each that is gone.

    Args:
        root: The flight root.
        pruning: Which flights.
        identity: Signs the entry of each in `.fdr.pruned`.
        may_go: Asked when nobody else can change the flight any more; it stays if not.

    Raises:
        SealError: The key cannot sign; the flight stays.
        FlightRootError: A flight that was not closed is to be removed, and the root is not free.
        FlightInUseError: A flight is being written or changed, or so is one of its segments.
        OSError: A flight cannot be removed.

    """
    delete_remains(root)
    for flight, cause in zip(pruning.doomed, pruning.causes, strict=True):
        must_own = flight.status.ended is Ended.UNKNOWN
        with (
            FlightRoot.acquire(root, owner='fdr prune') if must_own else nullcontext(),
            held_alone(flight.path) if must_own else locked_directory(flight.path),
        ):
            if not may_go(flight):
                continue
            note_removal(root, removal_of(flight, cause), identity)
            doomed = put_away(flight.path)
        delete(doomed)
        yield flight
