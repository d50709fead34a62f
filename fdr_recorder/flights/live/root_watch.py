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
Watches a flight root: which flight is being recorded, and how its recorder is.

It is told from the files, from who locks them, and from what the kernel says of that process. A
recorder that does not answer, a disk that is full, and a process that is gone look alike in a file
that has stopped growing: these tell them apart.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
import time
from typing import Final

from fdr_recorder.errors import NoFlightError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.ending import how_it_ended
from fdr_recorder.flights.follow import by_number, is_recorded
from fdr_recorder.flights.live.flight_watch import FlightWatch
from fdr_recorder.flights.live.process import recorder_pid, why_held_up
from fdr_recorder.flights.live.status import Disk, LiveFlight, LiveStatus, State
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.flights.status import Ended
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.storage.flight_root import root_holder, RootHolder
from fdr_recorder.units import format_duration, format_size, NS_PER_S

QUIET_S: Final = 3.0
"""A recorder that gets messages writes several times a second."""
HANG_S: Final = 75.0
"""It writes a record of the clock once a minute, whatever comes."""
_PAST_S: Final = 0.25
"""How long one look may read what was recorded before."""
_BEGINNING_NS: Final = 30 * NS_PER_S
"""A flight's directory is there before its first segment, on a slow disk for seconds."""
_DISK_ALERTS: Final = ('disk_full', 'write_error', 'disk_stalled')


class RootWatch:
    """Looks at a flight root again and again. Used by one thread."""

    def __init__(self, root: Path, flight: Path | None = None) -> None:
        """Take a root, and a flight in it if only that is of interest."""
        self.root = root
        self._only = flight
        self._watch: FlightWatch | None = None
        self._changed_ns = 0

    def close(self) -> None:
        """Close the file that is read. Idempotent."""
        if self._watch is not None:
            self._watch.close()

    def look(self, *, thorough: bool = False) -> LiveStatus:
        """
        Read what is new; return how it is.

        Args:
            thorough: Read all that was recorded before, however long that takes.

        Raises:
            OSError: The root or a flight cannot be read.

        """
        try:
            return self._look(thorough=thorough)
        except FileNotFoundError:
            if self._watch is None or self._watch.flight.exists():
                raise
        self._watch.close()  # the flight was removed
        self._watch, self._changed_ns = None, 0
        return self._look(thorough=thorough)

    def _look(self, *, thorough: bool) -> LiveStatus:
        holder = root_holder(self.root)
        watch = self._choose(holder)
        flight: LiveFlight | None = None
        state, reason = State.IDLE if holder else State.NOT_RUNNING, ''
        if watch is not None:
            is_open = is_recorded(watch.flight, holder)
            watch.read(3600.0 if thorough else _PAST_S)
            if thorough:
                watch.read(0.0)  # what was the end of the file a moment ago is whole
            ended = self._how_ended(watch, is_open=is_open)
            flight = watch.said(ended.value)
            if ended is Ended.OPEN:
                state, reason = self._how_it_records(watch, flight)
            elif ended is Ended.UNKNOWN and holder is None:
                state, reason = State.KILLED, 'the flight was not closed; `fdr recover` does it'
        disk = self._disk(watch, flight)
        return LiveStatus(
            made_ns=time.time_ns(),
            root=str(self.root),
            in_use_by=holder.text if holder else None,
            state=state,
            reason=reason,
            disk=disk,
            flight=flight,
        )

    # --- which flight --------------------------------------------------------------------

    def _choose(self, holder: RootHolder | None) -> FlightWatch | None:
        """Return what watches the flight that is recorded now, or the newest; None without one."""
        watch = self._watch
        changed_ns = self.root.stat().st_mtime_ns
        is_new = changed_ns != self._changed_ns or watch is None
        if not is_new or (watch is not None and is_recorded(watch.flight, holder)):
            return watch
        is_settled = time.time_ns() - changed_ns > _BEGINNING_NS
        self._changed_ns = changed_ns if is_settled else 0
        flight = self._only or self._newest(holder)
        if watch is not None and flight != watch.flight:
            watch.close()
            watch = self._watch = None
        if watch is None and flight is not None:
            with suppress(NoFlightError, FileNotFoundError):  # it is being made, or was removed
                self._watch = FlightWatch(flight)
            if self._watch is None:
                self._changed_ns = 0
        return self._watch

    def _newest(self, holder: RootHolder | None) -> Path | None:
        flights = by_number(self.root)
        recorded = (flight for flight in flights if holder and is_recorded(flight, holder))
        return next(recorded, flights[0] if flights else None)

    # --- how it is -----------------------------------------------------------------------

    def _how_ended(self, watch: FlightWatch, *, is_open: bool) -> Ended:
        footer = watch.footer if watch.is_complete else None
        if footer is None:
            return Ended.OPEN if is_open else Ended.UNKNOWN
        if is_open:
            return Ended.OPEN  # its files are being completed
        names = {file.path.name for file in segment_files(watch.flight)}
        return how_it_ended(footer, read_metadata(watch.flight), names, is_open=False)

    def _how_it_records(self, watch: FlightWatch, flight: LiveFlight) -> tuple[State, str]:
        for alert in flight.alerts:
            if alert.code in _DISK_ALERTS:
                return State.DEGRADED, alert.message
        if watch.quiet_s < QUIET_S:
            return State.RECORDING, ''
        since = f'nothing was written for {format_duration(watch.quiet_s)}'
        why = why_held_up(recorder_pid(watch.flight))
        if why:
            return State.HANGS, f'{since}: {why}'
        with suppress(OSError):
            free, least = free_bytes(self.root), watch.option('writer.min_free_bytes')
            if free < max(least, watch.option('writer.chunk_size_bytes')):
                of_it = f', {format_size(least)} of which are not to be used' if least else ''
                return State.DEGRADED, f'{since}: {format_size(free)} are free{of_it}'
        if watch.quiet_s > HANG_S:
            return State.HANGS, f'{since}, though the clock is recorded once a minute'
        return State.SILENT, f'{since}: no messages come, or the recorder is held up'

    def _disk(self, watch: FlightWatch | None, flight: LiveFlight | None) -> Disk:
        free = free_bytes(self.root)
        if watch is None or flight is None or flight.ended != Ended.OPEN.value:
            return Disk(free)
        kept = watch.option('writer.min_free_bytes')
        cap = watch.option('writer.flight_cap_bytes')
        rate = flight.bytes_per_second
        usable = max(free - kept, 0)
        return Disk(
            free,
            kept,
            cap,
            usable / rate if rate else None,
            cap / rate if rate and cap else None,
        )
