# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Pins a flight after landing, or takes pins away: changes PINS, and no other file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fdr_recorder.errors import NoFlightError, UsageError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.in_use import locked_directory
from fdr_recorder.flights.recovery.recover import needs_recovery
from fdr_recorder.storage.files import replace_file
from fdr_recorder.storage.pins import FIRST_NS, LAST_NS, Pins, PINS_NAME, read_pins, Window


@dataclass(frozen=True)
class Selection:
    """
    What of a flight is pinned or not: segments, or a time, or without both all of it.

    Attributes:
        segments: Numbers of segments.
        from_ns: First log time; None for the beginning.
        to_ns: Last log time; None for the end.

    """

    segments: tuple[int, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None

    @property
    def has_time(self) -> bool:
        """Whether a time is selected."""
        return self.from_ns is not None or self.to_ns is not None

    @property
    def times(self) -> tuple[int, int]:
        """Return first and last log time."""
        first_ns = FIRST_NS if self.from_ns is None else self.from_ns
        return first_ns, LAST_NS if self.to_ns is None else self.to_ns


def pin(flight: Path, selection: Selection, why: str) -> Pins:
    """
    Pin a flight or a part of it; return all its pins.

    Raises:
        FlightInUseError: Another program writes or changes it.
        NoFlightError: It has no such segment.
        OSError: PINS cannot be written.

    """
    with locked_directory(flight):
        _check(flight, selection.segments)
        pins = read_pins(flight)
        for index in selection.segments:
            pins.segments[index] = why
        if selection.has_time or not selection.segments:
            pins.add(Window(*selection.times, (why,)))
        _store(flight, pins)
    return pins


def unpin(flight: Path, selection: Selection) -> Pins:
    """
    Take the pins of a flight away, or those of a part of it; return what is left. As `pin`.

    A segment that is named loses the pin of its own; windows of times stay.

    Raises:
        UsageError: The flight was never closed: recovery would restore its pins.

    """
    if needs_recovery(flight):
        raise UsageError(f'{flight} was never closed: `fdr recover` it first')
    with locked_directory(flight):
        _check(flight, selection.segments)
        pins = read_pins(flight)
        for index in selection.segments:
            pins.segments.pop(index, None)
        if selection.has_time:
            pins.take_away(*selection.times)
        elif not selection.segments:
            pins = Pins()
        _store(flight, pins)
    return pins


def _check(flight: Path, segments: Iterable[int]) -> None:
    missing = {*segments} - {file.index for file in segment_files(flight)}
    if missing:
        raise NoFlightError(flight, f'has no segment {min(missing)}; `fdr info` lists them')


def _store(flight: Path, pins: Pins) -> None:
    """Renew PINS."""
    replace_file(flight / PINS_NAME, [pins.encode()], is_of_flight=True)
