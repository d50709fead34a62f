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
Makes room: removes the oldest flights of a flight root.

A recorder may be at work in the root. It never returns to a flight that it has closed or
recovered, so such flights can be removed meanwhile. A flight that was not closed would be
recovered by a recorder that starts, so it is removed only while this process owns the root.

A flight that is sealed leaves an entry in the root's log of removed flights; so does each one if
there is a key to sign it.

A flight is first renamed to a name that is not a flight's, which is atomic, and then deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
import shutil
from typing import Final, TYPE_CHECKING

from fdr_recorder.flights.in_use import held_alone, locked_directory
from fdr_recorder.flights.listing import by_age, ListedFlight
from fdr_recorder.flights.prune_log import note_removal
from fdr_recorder.flights.status import Ended
from fdr_recorder.storage.files import sync_directory
from fdr_recorder.storage.flight_root import FlightRoot

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.identity import Identity

_DOOMED_PREFIX: Final = '.fdr.pruned.'


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

    """

    doomed: tuple[ListedFlight, ...]
    spared: tuple[tuple[ListedFlight, str], ...]
    bytes_left: int
    is_enough: bool
    causes: tuple[str, ...] = ()


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
    oldest_first = sorted(flights, key=by_age)
    surplus = len(oldest_first) - keep if keep is not None else 0
    left = sum(flight.bytes for flight in oldest_first)
    is_enough = True
    doomed: list[ListedFlight] = []
    causes: list[str] = []
    spared: list[tuple[ListedFlight, str]] = []
    for position, flight in enumerate(oldest_first):
        is_surplus = position < surplus
        if not is_surplus and (max_bytes is None or left <= max_bytes):
            continue
        reason = _why_not(flight, unclean=unclean, in_use_by=in_use_by)
        if not is_surplus and flight is oldest_first[-1]:
            reason = reason or 'the newest flight'
        if reason:
            spared.append((flight, reason))
            is_enough = is_enough and not is_surplus
        else:
            doomed.append(flight)
            causes.append(f'keep {keep}' if is_surplus else f'max_bytes {max_bytes}')
            left -= flight.bytes
    is_enough = is_enough and (max_bytes is None or left <= max_bytes)
    return Pruning(tuple(doomed), tuple(spared), left, is_enough, tuple(causes))


def _why_not(flight: ListedFlight, *, unclean: bool, in_use_by: str) -> str:
    """Return why a flight must stay; empty if it may be removed."""
    ended = flight.status.ended
    if ended is Ended.OPEN:
        return 'being recorded'
    if ended is not Ended.CLOSED and not unclean:
        return f'{"recovered" if ended is Ended.RECOVERED else "not closed"}; --unclean lets it go'
    if ended is Ended.UNKNOWN and in_use_by:
        return f'to be recovered by {in_use_by}'
    return f'pinned: {flight.pins.reasons}' if flight.pins else ''


def prune(
    root: Path, pruning: Pruning, identity: Identity | None = None
) -> Iterator[ListedFlight]:
    """
    Remove the chosen flights, and the remains of an interrupted call; yield each that is gone.

    Args:
        root: The flight root.
        pruning: Which flights.
        identity: Signs the entry of each in `.fdr.pruned`; without one only flights that are
            sealed have an entry.

    Raises:
        SealError: The key cannot sign; the flight stays.
        FlightRootError: A flight that was not closed is to be removed, and the root is not free.
        FlightInUseError: A flight is being written or changed, or so is one of its segments.
        OSError: A flight cannot be removed.

    """
    for path in root.glob(f'{_DOOMED_PREFIX}*'):
        shutil.rmtree(path)
    for flight, cause in zip(pruning.doomed, pruning.causes, strict=True):
        doomed = root / f'{_DOOMED_PREFIX}{flight.path.name}'
        must_own = flight.status.ended is Ended.UNKNOWN
        with (
            FlightRoot.acquire(root, owner='fdr prune') if must_own else nullcontext(),
            held_alone(flight.path) if must_own else locked_directory(flight.path),
        ):
            note_removal(root, flight, cause, identity)
            flight.path.rename(doomed)
            sync_directory(root)
        shutil.rmtree(doomed)
        yield flight
