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
What `fdr ls` says of a flight. Reads little of it.

For a closed flight the last segment is enough. For others the segments that `metadata.yaml` does
not list are read, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from fdr_recorder.errors import NoFlightError, SegmentError
from fdr_recorder.flights.directory import (
    damaged_files,
    DAMAGED_SUFFIX,
    directory_name,
    kept_files,
    segment_files,
    SegmentFile,
)
from fdr_recorder.flights.ending import has_its_end, has_no_message, how_it_ended
from fdr_recorder.flights.in_use import is_being_recorded
from fdr_recorder.flights.metadata_reader import Metadata, read_metadata
from fdr_recorder.flights.recording import Kind
from fdr_recorder.flights.recovery.last_segment import (
    are_all_ended,
    are_listed_ended,
    LastSegment,
    read_last_segment,
    requested_up_to,
)
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recount import dropped_account
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.flights.sealed import is_opening
from fdr_recorder.flights.status import (
    Authenticity,
    Ended,
    FlightStatus,
    Integrity,
    Losses,
    losses_in,
    not_recorded,
)
from fdr_recorder.flights.utc import utc_times, UtcTimes
from fdr_recorder.record.dropped import DroppedAccount, REMOVED
from fdr_recorder.record.kinds import ClockStatus, ClockStep, FlightFooter, FlightHeader
from fdr_recorder.record.loss_detection import unseen_in_channels, unseen_in_footer
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.storage.flight_numbers import MAX_FLIGHT_NUMBER
from fdr_recorder.storage.flight_root import RootHolder
from fdr_recorder.storage.pins import Pins, read_pins
from fdr_recorder.units import NS_PER_S

_CLOCK_SEGMENTS: Final = 8
"""Of a flight without footer, in so many segments a record of the clock is looked for."""


@dataclass(frozen=True)
class ListedFlight:
    """
    A flight in a list of flights.

    Attributes:
        path: Its directory.
        flight_id: Its id, by its header; the name of its directory if it has none.
        status: What became of it, as far as its end and `metadata.yaml` tell.
        vehicle_id: Which vehicle.
        started_ns: When it was opened, by the clock of its log times.
        flight_number: Orders the flights of a root, see `by_age`; 0 if unknown.
        kept_bytes: Size of what recovery has cut off or set aside, and kept; part of `bytes`.
        duration_s: How long it lasted, or has so far.
        segments: Segments that are there.
        bytes: Their size, and that of the files which recovery has kept.
        records: Records in them. While it is being recorded: in those that are closed, and in the
            open one as far as it was written when it was looked at.
        segments_dropped: Segments that were removed to free space.
        ros_distro: What it was recorded with; empty if unknown.
        utc: What its log times are in true UTC.
        kind: A `flight`, or another recording: `bag`, `file`, `segment`.
        notes: What is unusual about another recording, a sentence each.
        pins: What of it no cap and no `fdr prune` removes.
        metadata: What was configured to be known of it, by key: pilot, site ...

    """

    path: Path
    flight_id: str
    status: FlightStatus
    vehicle_id: str
    started_ns: int
    duration_s: float
    segments: int
    bytes: int
    records: int
    segments_dropped: int
    ros_distro: str
    flight_number: int = 0
    kept_bytes: int = 0
    utc: UtcTimes = field(default_factory=UtcTimes)
    kind: str = Kind.FLIGHT.value
    notes: tuple[str, ...] = ()
    pins: Pins = field(default_factory=Pins)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what people are told: its id, and its directory if that has another name."""
        directory = directory_name(self.path)
        return self.flight_id + (f' (in {directory})' if directory != self.flight_id else '')

    @property
    def ended_ns(self) -> int:
        """When it was closed, or when its last record was received, as `started_ns`."""
        return self.started_ns + round(self.duration_s * NS_PER_S)

    @property
    def utc_started_ns(self) -> int:
        """When it was opened, in true UTC."""
        return self.utc.at(self.started_ns)

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = asdict(self)
        del values['utc']
        values['status'] = self.status.to_dict()
        values['losses'] = self.status.losses.to_dict()
        values['left_out'] = self.status.losses.throttled
        values['unseen'] = str(self.status.losses.unseen)
        values['utc_started_ns'] = self.utc_started_ns
        values['utc_ended_ns'] = self.utc.at(self.ended_ns)
        values.update(path=str(self.path), notes=list(self.notes), pins=self.pins.to_dict())
        return values


def by_age(flight: ListedFlight) -> tuple[int, int, str]:
    """
    Return the key that sorts the flights of a root, oldest first.

    Their numbers decide, not the clock, which may have been set back. Flights without a number,
    of version 0.2.0 and before, are the oldest, in the order of their start. The same number twice
    comes from flights of another root: then the start decides.
    """
    return flight.flight_number, flight.started_ns, flight.path.name


def list_flight(flight: Path, holder: RootHolder | None = None) -> ListedFlight:
    """
    Find out what a list says of a flight, whose root the holder owns.

    Raises:
        NoFlightError: It has no segment.
        OSError: It cannot be read.

    """
    segments = segment_files(flight)
    if not segments:
        raise NoFlightError(flight, 'there is no flight: it has no segment_*.mcap')
    last = read_last_segment(segments[-1])
    footer = last.footer if last is not None else None
    header = (last.header if last is not None else None) or _first_header(segments)
    started_ns = header.flight_started_at_ns or _first_ns(segments, last)
    last_ns = last.last_ns if last is not None else 0
    kept = kept_files(flight)
    kept_bytes = sum(map(_size, kept))
    metadata = read_metadata(flight)
    named, counters = metadata.segments, metadata.counters
    is_open = footer is None and is_being_recorded(flight, holder, started_ns)
    names = {segment.path.name for segment in segments}
    ended = how_it_ended(footer, metadata, names, is_open=is_open)
    number = header.flight_number or counters.get(bag_metadata.FLIGHT_NUMBER_KEY, 0)
    in_dropped = counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0)
    in_removed = min(counters.get(bag_metadata.RECORDS_IN_REMOVED_KEY, 0), in_dropped)
    if segments[-1].index >= len(segments) and not counters:  # the segments alone tell
        gone = _dropped(segments, damaged_files(flight))
        in_dropped, in_removed = gone.total('records'), gone.total('records', cause=REMOVED)
    if last is not None and footer is not None:
        if header.flight_started_at_monotonic_ns:  # the system clock may have been set meanwhile
            last_ns = started_ns + (
                footer.flight_ended_at_monotonic_ns - header.flight_started_at_monotonic_ns
            )
        counters = FlightCounters.in_footer(footer).as_dict()
        records = footer.records_written - in_dropped
        is_empty = has_no_message(footer)
        told: Mapping[str, int] = {}
        unseen = unseen_in_footer(footer, header)
        requested = footer.requested
    else:
        unlisted = [
            last.contents if last and segment is segments[-1] else _read(segment)
            for segment in segments
            if segment.path.name not in named or segment is segments[-1]
        ]
        there = [contents for contents in unlisted if contents is not None]
        is_empty = False  # it may hold some in the segments that were not read
        told = losses_in(record for contents in there for record in contents.own_records)
        records = metadata.records + sum(
            contents.records for contents in there if contents.path.name not in named
        )
        requested = () if is_open else requested_up_to(last)
        unseen = unseen_in_channels(
            (
                (channel.topic, channel.publisher, channel.loss_detection)
                for contents in there
                for channel in contents.found.counts
            ),
            header,
        )
    losses = Losses.counted(
        counters,
        capacity=in_dropped - in_removed,
        removed=in_removed,
        unreadable_bytes=sum(_size(path) for path in kept if path.suffix == DAMAGED_SUFFIX),
        has_end=has_its_end(footer, ended),
        unseen=unseen,
    ).at_least(told)
    integrity = Integrity.UNCHECKED
    if not is_open:
        integrity = _integrity(segments, kept, metadata, last, ended)
    return ListedFlight(
        path=flight,
        flight_id=header.flight_id or directory_name(flight),
        status=FlightStatus(
            ended,
            integrity,
            losses,
            not_recorded(requested),
            is_empty=is_empty,
            authenticity=Authenticity.UNCHECKED if is_opening(header) else Authenticity.NOT_SEALED,
        ),
        vehicle_id=header.vehicle_id,
        started_ns=started_ns,
        duration_s=max(last_ns - started_ns, 0) / NS_PER_S,
        segments=len(segments),
        bytes=sum(_size(segment.path) for segment in segments) + kept_bytes,
        kept_bytes=kept_bytes,
        records=max(records, 0),
        segments_dropped=counters.get('segments_dropped', 0),
        ros_distro=header.ros_distro,
        flight_number=number if number <= MAX_FLIGHT_NUMBER else 0,
        utc=utc_times(header, footer, _clock_records(segments, last, header)),
        pins=read_pins(flight),
        metadata=header.metadata,
    )


def _read(segment: SegmentFile) -> SegmentContents | None:
    """Return what a segment contains; None if it is unreadable, or was dropped just now."""
    try:
        return read_contents(segment.path, segment.index)
    except (SegmentError, FileNotFoundError):
        return None


def _first_ns(segments: list[SegmentFile], last: LastSegment | None) -> int:
    """Return the earliest log time of the first segment, be it dropped; 0 if there is none."""
    if segments[0].index:
        gone = _dropped(segments, damaged_files(segments[0].path.parent)).segments
        times = [item.first_log_time_ns for item in gone if item.first_log_time_ns]
        if times:
            return min(times)
    if last is not None and len(segments) == 1:
        return last.first_ns
    first = _read(segments[0])
    return first.found.first_log_time_ns if first is not None else 0


def _integrity(
    segments: list[SegmentFile],
    kept: Sequence[Path],
    metadata: Metadata,
    last: LastSegment | None,
    ended: Ended,
) -> Integrity:
    """Return what the files of a flight are that nobody writes, as far as they are looked at."""
    footer = last.footer if last is not None else None
    names = {segment.path.name for segment in segments}
    if ended in (Ended.CLOSED, Ended.RECOVERED):
        is_sound = last is not None and are_all_ended(segments, metadata, last)
    else:
        is_sound = are_listed_ended(segments[:-1], metadata)
    if footer is not None and footer.clean_shutdown:
        is_sound = is_sound and _has_all(segments, kept, footer)
    if not is_sound or metadata.fault(names, has_footer=footer is not None):
        return Integrity.DAMAGED
    is_torn = last is None or not last.is_closed
    return Integrity.TORN if is_torn else Integrity.UNCHECKED


def _has_all(
    segments: list[SegmentFile], kept: Sequence[Path], footer: FlightFooter
) -> bool:
    """Tell whether there are as many segments as a flight that was closed must have."""
    set_aside = sum(path.suffix == DAMAGED_SUFFIX for path in kept)
    return segments[-1].index + 1 == len(segments) + set_aside + footer.segments_dropped


def _dropped(segments: list[SegmentFile], damaged: list[SegmentFile]) -> DroppedAccount:
    """Return what all segments tell of those that are gone."""
    return dropped_account([item for item in map(_read, segments) if item is not None], damaged)


def _clock_records(
    segments: list[SegmentFile], last: LastSegment | None, header: FlightHeader
) -> Sequence[Payload]:
    """Return the newest records of the clock, if the footer does not tell about it."""
    footer = last.footer if last is not None else None
    if not header.log_time_offset_ns or (footer is not None and footer.flight_ended_at_ns):
        return last.own_records if last is not None else []
    for segment in segments[:-_CLOCK_SEGMENTS - 1:-1]:
        contents = last if last and segment is segments[-1] else _read(segment)
        records = contents.own_records if contents is not None else []
        if any(isinstance(record, ClockStep | ClockStatus) for record in records):
            return records
    return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _first_header(segments: list[SegmentFile]) -> FlightHeader:
    """Return the header from any segment; an empty one if none has it."""
    headers = (contents.header for contents in map(_read, segments) if contents is not None)
    return next(filter(None, headers), FlightHeader())
