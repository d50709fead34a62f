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
What a list says of any recording.

Of a flight `listing` finds it out. Of another one the ends of the files are looked at, and what
they, or the `metadata.yaml` of a bag, say of themselves is believed; only where they say nothing
the messages are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.bags.sqlite_file import SqliteFile
from fdr_recorder.flights.directory import directory_name
from fdr_recorder.flights.listing import list_flight, ListedFlight
from fdr_recorder.flights.recording import (
    has_log,
    is_packed,
    Kind,
    Recording,
    recording_at,
)
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.flights.status import Ended, FlightStatus, Integrity, Losses
from fdr_recorder.mcap.foreign import ForeignReader
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.storage.flight_root import RootHolder
from fdr_recorder.units import NS_PER_S

_ENTRY_INTEGERS: Final = 2
"""In an entry of a message index."""


@dataclass
class Contents:
    """How many messages there are, from when to when; 0 and 0 if there is none."""

    records: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, records: int, first_ns: int, last_ns: int) -> None:
        """Take in more messages."""
        if records:
            self.first_ns = min(self.first_ns, first_ns) if self.records else first_ns
            self.last_ns = max(self.last_ns, last_ns)
            self.records += records


def list_recording(path: Path, holder: RootHolder | None = None) -> ListedFlight:
    """
    Find out what a list says of a recording; of a flight as `list_flight`.

    Raises:
        NoFlightError: There is none.
        OSError: It cannot be read.

    """
    recording = recording_at(path)
    if recording.kind is Kind.FLIGHT or not (recording.files or recording.missing):
        return list_flight(path, holder)
    ended, integrity = how_files_end(recording)
    bag = recording.bag
    if bag is not None and bag.records is not None and not recording.faults:
        found = Contents()
        found.add(bag.records, bag.start_ns, bag.start_ns + bag.duration_ns)
    else:
        found = count_messages(recording)
    return listed(recording, found, ended, integrity)


def listed(
    recording: Recording,
    found: Contents,
    ended: Ended,
    integrity: Integrity,
    losses: Losses | None = None,
) -> ListedFlight:
    """Return what a list says of a recording that is no flight, and has such contents."""
    losses = losses or Losses(has_end=ended is Ended.CLOSED, untold=recording.untold)
    return ListedFlight(
        path=recording.path,
        flight_id=directory_name(recording.path),
        status=FlightStatus(ended, integrity, losses, is_empty=not found.records),
        vehicle_id='',
        started_ns=found.first_ns,
        duration_s=(found.last_ns - found.first_ns) / NS_PER_S,
        segments=len(recording.files),
        bytes=recording.bytes,
        records=found.records,
        segments_dropped=0,
        ros_distro=recording.bag.ros_distro if recording.bag is not None else '',
        kind=recording.kind.value,
        notes=tuple(recording.notes),
    )


def how_files_end(recording: Recording) -> tuple[Ended, Integrity]:
    """Tell whether another recording was closed, and what its files are, by their ends."""
    states = [_state(recording, path) for path in recording.files]
    ends = [state is Integrity.UNCHECKED for state in states]
    is_database = any('.db3' in path.suffixes for path in recording.files)
    is_unfinished = recording.kind is Kind.BAG and recording.bag is None and is_database
    is_closed = all(ends) and not is_unfinished
    integrity = Integrity.UNCHECKED if all(ends[-1:]) else Integrity.TORN
    if recording.faults or not all(ends[:-1]) or Integrity.DAMAGED in states:
        integrity = Integrity.DAMAGED
    return Ended.CLOSED if is_closed else Ended.UNKNOWN, integrity


def _state(recording: Recording, path: Path) -> Integrity:
    """Tell what a file is, by its beginning and its end."""
    if has_log(path):
        return Integrity.TORN
    if is_packed(path):  # to look at its end, all of it would have to be uncompressed
        return Integrity.UNCHECKED
    try:
        with recording.open(path) as file:
            if isinstance(file, ForeignReader) and file.size:
                file.check_magic()
            return Integrity.UNCHECKED if file.ends_with_magic else Integrity.TORN
    except SegmentError:
        return Integrity.DAMAGED


def count_messages(recording: Recording) -> Contents:
    """Count the messages, by indexes and statistics as far as there are any."""
    found = Contents()
    for path in recording.files:
        try:
            with recording.open(path) as file:
                for part in _counted(file):
                    found.add(*part)
        except SegmentError:
            continue  # `verify` reports it
    return found


def _counted(file: RecordingFile) -> Iterator[tuple[int, int, int]]:
    """Yield numbers of messages, each with the earliest and the latest log time."""
    if isinstance(file, SqliteFile):
        yield file.counted()
        return
    if isinstance(file, ForeignReader):
        try:
            said = file.take_summary().statistics
        except SegmentError:
            said = None
        if said is not None:
            yield said.records, said.start_ns, said.end_ns
            return
    for chunk in file.chunks():
        if not isinstance(chunk, IndexedChunk):
            times = [message.log_time_ns for message, _ in chunk.messages]
            yield len(times), min(times), max(times)
            continue
        try:
            entries = sum(len(file.index_at(offset)) for offset in chunk.indexes.values())
        except SegmentError:
            continue
        yield entries // _ENTRY_INTEGERS, chunk.start_ns, chunk.end_ns
