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
What is kept of a flight root, and what goes: the one policy, for the recorder and for `fdr prune`.

The oldest goes first, by the number of the flight, then by that of the segment; as much as the
limits ask for. Something stays whatever they ask:

- what is pinned;
- a flight that is being recorded, apart from its own oldest segments (below);
- a flight that was not closed: nobody knows yet what is in it. A recorder lets those go that were
  recovered, `fdr prune` only if that is asked for;
- the newest: of a root its newest flight (the one that is recorded, while one is), and of the
  flight that is recorded its open segment and the newest closed one.

Of other flights than the one that is recorded all goes, or nothing: one with pins stays whole. All
here are pure functions over what is known; who calls them removes, and records it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final, Protocol

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import SegmentRollover


class State(Enum):
    """What became of a flight."""

    OPEN = 'being recorded'
    UNCLOSED = 'not closed'
    RECOVERED = 'recovered'
    CLOSED = 'closed'


class Reason(Enum):
    """Why a flight goes or stays."""

    OVER = 'over a limit'
    WITHIN = 'within the limits'
    STATE = 'its state'
    PINNED = 'pinned'
    NEWEST = 'the newest flight'
    REFUSED = 'refused'


@dataclass(frozen=True)
class KnownFlight:
    """
    A flight, as far as the policy needs to know it.

    Attributes:
        name: Of its directory.
        number: Orders the flights; 0 for the oldest.
        bytes: Its size.
        state: What became of it.
        pinned: Why it is pinned; empty if it is not.
        started_ns: Orders flights of the same number.
        refused: Why it cannot be removed now, in words; empty if nothing is known against it.

    """

    name: str
    number: int
    bytes: int
    state: State
    pinned: str = ''
    started_ns: int = 0
    refused: str = ''

    @property
    def age(self) -> tuple[int, int, str]:
        """Return the key that sorts flights, oldest first."""
        return self.number, self.started_ns, self.name


@dataclass(frozen=True)
class Limits:
    """
    What a root may have.

    Attributes:
        most_flights: Number of flights; None for any.
        most_bytes: Size of all flights together; None for any.
        name: What asks for `most_bytes`, for people.

    """

    most_flights: int | None = None
    most_bytes: int | None = None
    name: str = 'max_bytes'


@dataclass(frozen=True)
class Decision:
    """Whether a flight goes, and why, also in words."""

    flight: KnownFlight
    goes: bool
    reason: Reason
    why: str


def decide(
    flights: Sequence[KnownFlight], limits: Limits, *, may_go: Collection[State]
) -> list[Decision]:
    """
    Decide on all flights of a root, oldest first.

    Args:
        flights: All of them, in any order.
        limits: What must hold afterwards, as far as that is possible.
        may_go: In which states a flight may be removed.

    """
    oldest_first = sorted(flights, key=lambda flight: flight.age)
    surplus = 0
    if limits.most_flights is not None:
        surplus = len(oldest_first) - limits.most_flights
    left = sum(flight.bytes for flight in oldest_first)
    decisions = []
    for position, flight in enumerate(oldest_first):
        is_surplus = position < surplus
        if not is_surplus and (limits.most_bytes is None or left <= limits.most_bytes):
            decisions.append(Decision(flight, False, Reason.WITHIN, Reason.WITHIN.value))
            continue
        against = _why_not(flight, may_go)
        if against is None and not is_surplus and flight is oldest_first[-1]:
            against = Reason.NEWEST, Reason.NEWEST.value
        if against is not None:
            decisions.append(Decision(flight, False, *against))
            continue
        cause = f'{limits.name} {limits.most_bytes}'
        cause = f'keep {limits.most_flights}' if is_surplus else cause
        decisions.append(Decision(flight, True, Reason.OVER, cause))
        left -= flight.bytes
    return decisions


def _why_not(flight: KnownFlight, may_go: Collection[State]) -> tuple[Reason, str] | None:
    """Return why a flight must stay; None if it may be removed."""
    if flight.state not in may_go:
        return Reason.STATE, flight.state.value
    if flight.refused:
        return Reason.REFUSED, flight.refused
    if flight.pinned:
        return Reason.PINNED, f'pinned: {flight.pinned}'
    return None


# --- segments of the flight that is recorded -------------------------------------------------

PINNED_SEGMENTS: Final = 'all closed segments but the newest are pinned'
NEWEST_SEGMENT: Final = 'only the newest closed segment is left'


class SegmentStore(Protocol):
    """
    The segments of the flight that is recorded, as far as the policy needs to know them.

    What it costs does not depend on the number of segments.
    """

    @property
    def closed_segments(self) -> int:
        """Count the closed segments that were not dropped."""

    @property
    def droppable_segments(self) -> int:
        """Count the closed segments that pins let go, the newest included."""

    @property
    def total_bytes(self) -> int:
        """Size of all segments that were not dropped."""

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """Drop the oldest closed segment that is not pinned, and record the drop."""


class _Counted(Protocol):
    """The part of `SegmentStore` that counts."""

    @property
    def closed_segments(self) -> int:
        """Count the closed segments that were not dropped."""

    @property
    def droppable_segments(self) -> int:
        """Count the closed segments that pins let go, the newest included."""


def why_none_drops(store: _Counted) -> str:
    """Return why no segment of the flight that is recorded may go; empty if the oldest may."""
    if store.droppable_segments > 1:
        return ''
    return PINNED_SEGMENTS if store.closed_segments > 1 else NEWEST_SEGMENT
