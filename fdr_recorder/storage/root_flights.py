# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What other flights are in a root, as far as the policy of retention needs to know them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
import os
from pathlib import Path
import re
from typing import Final

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.flight_numbers import MAX_FLIGHT_NUMBER
from fdr_recorder.storage.pins import read_pins
from fdr_recorder.storage.retention import KnownFlight, State

_TAIL_BYTES: Final = 1 << 16
_OF_FLIGHT: Final = 'segment_'
"""How the names begin of what counts: segments, and what recovery has kept of them."""
_STATES: Final = {'closed': State.CLOSED, 'recovered': State.RECOVERED}


class RootFlights:
    """The flights of a root, but the one that is recorded. Used by one thread; it may block."""

    def __init__(self, root: Path, own: str) -> None:
        """Take the root, and the name of the flight that is recorded."""
        self._root = root
        self._own = own
        self._settled: dict[str, KnownFlight] = {}
        """What was closed or recovered, without its pins."""

    def look(self) -> list[KnownFlight]:
        """Return them as they are now; raise `OSError` if the root cannot be read."""
        names = {
            name
            for name in os.listdir(self._root)
            if name != self._own and FLIGHT_ID_PATTERN.fullmatch(name)
        }
        self._settled = {name: self._settled[name] for name in names & self._settled.keys()}
        flights = []
        for name in sorted(names):
            with suppress(OSError):  # it was removed just now, or is not readable: left alone
                flight = self._settled.get(name) or self.known(name)
                if flight is None:
                    continue
                if flight.state in (State.CLOSED, State.RECOVERED):
                    self._settled[name] = flight
                pins = read_pins(self._root / name)
                flights.append(replace(flight, pinned=pins.reasons if pins else ''))
        return flights

    def known(self, name: str) -> KnownFlight | None:
        """Return a flight by the name of its directory, without pins; None if it is none."""
        path = self._root / name
        sizes = [
            entry.stat(follow_symlinks=False).st_size
            for entry in os.scandir(path)
            if entry.name.startswith(_OF_FLIGHT)
        ]
        if not sizes:
            return None
        said = end_of_metadata(path)
        number = said.get(bag_metadata.FLIGHT_NUMBER_KEY, '')
        known = int(number) if number.isdigit() and int(number) <= MAX_FLIGHT_NUMBER else 0
        ended = said.get('ended') or ('closed' if said.get('clean_shutdown') == 'true' else '')
        state = _STATES.get(ended, State.UNCLOSED)
        started_ns = int(path.stat().st_mtime_ns)
        return KnownFlight(name, known, sum(sizes), state, started_ns=started_ns)


def end_of_metadata(flight: Path) -> dict[str, str]:
    """Return the short values at the end of `metadata.yaml`; empty if it cannot be read."""
    try:
        with (flight / bag_metadata.FILE_NAME).open('rb') as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            text = file.read(_TAIL_BYTES).decode('utf-8', 'replace')
    except OSError:
        return {}
    return dict(re.findall(r'^    (\w+): "([^"\\]*)"$', text, re.MULTILINE))
