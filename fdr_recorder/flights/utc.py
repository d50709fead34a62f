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
True UTC of a flight's times.

`log_time` is steady and begins with the system clock, which may have been wrong then. The flight
has both clocks at its start, at each step, each minute and at its end. True is what the system
clock says after the last step to a synchronised clock, or, if none is known to be synchronised,
after the last step: a clock is set because it was wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.reader import own_record, read_chunks, read_segments
from fdr_recorder.flights.recording import Kind, recording_at
from fdr_recorder.mcap.decode import Message
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.kinds import ClockStatus, ClockStep, FlightFooter, FlightHeader
from fdr_recorder.record.payload import Payload

_SYNCHRONISED: Final = 2
_STEP_NS: Final = 150_000_000
"""Readings that differ by more are of a clock that was set in between."""
_SAME_NS: Final = 1_000_000
"""Below this the clock was right all along, as far as it can be told."""
_SOURCES: Final = {
    kind.channel_topic() for kind in (FlightHeader, FlightFooter, ClockStep, ClockStatus)
}


class _Reading(NamedTuple):
    """Both clocks at one moment; `error_ns` is the system clock minus the steady one."""

    log_time_ns: int
    error_ns: int
    suspended_ns: int
    state: int = 0


@dataclass(frozen=True)
class UtcTimes:
    """
    Turns log times of a flight into true UTC. Without anything known, both are the same.

    Attributes:
        offsets: Log time, and UTC minus log time: in between it changes evenly, before the first
            and behind the last it stays.
        suspensions: Log time of each suspension of the machine, and how long all have lasted.

    """

    offsets: Sequence[tuple[int, int]] = ()
    suspensions: Sequence[tuple[int, int]] = ()

    @property
    def is_shifted(self) -> bool:
        """Whether log times are not UTC."""
        return bool(self.offsets)

    def at(self, log_time_ns: int) -> int:
        """Return the UTC of a log time (nanoseconds)."""
        return log_time_ns + self.offset_ns(log_time_ns)

    def offset_ns(self, log_time_ns: int) -> int:
        """Return UTC minus log time, at a log time."""
        if not self.offsets:
            return 0
        place = bisect_right(self.offsets, log_time_ns, key=_first)
        if place in (0, len(self.offsets)):
            offset_ns = self.offsets[max(place - 1, 0)][1]
        else:
            (start, first), (end, last) = self.offsets[place - 1:place + 1]
            offset_ns = first + (last - first) * (log_time_ns - start) // (end - start)
        slept = bisect_right(self.suspensions, log_time_ns, key=_first)
        return offset_ns + (self.suspensions[slept - 1][1] if slept else 0)

    def log_time(self, utc_ns: int) -> int:
        """Return the log time of a UTC time."""
        log_time_ns = utc_ns
        for _ in range(4):  # offsets change slowly: this converges
            log_time_ns = utc_ns - self.offset_ns(log_time_ns)
        return log_time_ns


def _first(pair: tuple[int, int]) -> int:
    return pair[0]


def utc_times(
    header: FlightHeader | None, footer: FlightFooter | None, records: Iterable[Payload]
) -> UtcTimes:
    """
    Return the UTC of a flight's times.

    Args:
        header: Its header, if it has one.
        footer: Its footer, if it has one.
        records: Its records of kinds `ClockStep` and `ClockStatus`, in order, as far as they are
            known; others are ignored.

    """
    if header is None or not header.log_time_offset_ns:
        return UtcTimes()  # of an older version: the log time is the system clock
    readings = sorted(_readings(header, footer, records))
    lives: list[list[_Reading]] = [[readings[0]]]
    for before, after in pairwise(readings):
        slept_ns = after.suspended_ns - before.suspended_ns
        if abs(after.error_ns - before.error_ns - slept_ns) > _STEP_NS:
            lives.append([])
        lives[-1].append(after)
    right = [life for life in lives if any(item.state == _SYNCHRONISED for item in life)]
    true = (right or lives)[-1]
    base_ns = readings[0].suspended_ns
    offsets = {item.log_time_ns: item.error_ns - item.suspended_ns + base_ns for item in true}
    suspensions = [
        (after.log_time_ns, after.suspended_ns - base_ns)
        for before, after in pairwise(readings)
        if after.suspended_ns - before.suspended_ns > _SAME_NS
    ]
    if not suspensions and all(abs(offset) < _SAME_NS for offset in offsets.values()):
        return UtcTimes()
    return UtcTimes(sorted(offsets.items()), suspensions)


def _readings(
    header: FlightHeader, footer: FlightFooter | None, records: Iterable[Payload]
) -> Iterator[_Reading]:
    base_ns = header.log_time_offset_ns
    suspended_ns = header.host_suspended_ns
    began_ns = header.flight_started_at_monotonic_ns + base_ns
    error_ns = header.flight_started_at_ns - began_ns if header.flight_started_at_ns else 0
    if not header.flight_started_at_ns:  # a program without ROS need not fill it in
        began_ns = 0
    yield _Reading(began_ns, error_ns, suspended_ns, header.clock_state)
    for record in records:
        if isinstance(record, ClockStep):
            suspended_ns += record.suspended_ns
            log_time_ns = record.monotonic_ns + base_ns
            yield _Reading(log_time_ns, record.after_ns - log_time_ns, suspended_ns)
        elif isinstance(record, ClockStatus):
            suspended_ns = record.suspended_ns
            log_time_ns = record.monotonic_ns + base_ns
            error_ns = record.system_ns - log_time_ns
            yield _Reading(log_time_ns, error_ns, suspended_ns, record.clock_state)
    if footer is not None and footer.flight_ended_at_ns:
        log_time_ns = footer.flight_ended_at_monotonic_ns + base_ns
        error_ns = footer.flight_ended_at_ns - log_time_ns
        yield _Reading(log_time_ns, error_ns, footer.host_suspended_ns, footer.clock_state)


def read_utc(flight: Path) -> UtcTimes:
    """
    Read what a flight says of its clock; only the chunks that tell of it are read.

    Raises:
        OSError: A file cannot be read.

    """
    header: FlightHeader | None = None
    footer: FlightFooter | None = None
    records: list[Payload] = []
    for message in _sources(flight):
        payload = None
        with suppress(RecordError):
            payload = own_record(message)
        if isinstance(payload, FlightHeader):
            header = header or payload
        elif isinstance(payload, FlightFooter):
            footer = payload
        elif payload is not None:
            records.append(payload)
    return utc_times(header, footer, records)


def _sources(flight: Path) -> Iterator[Message]:
    recording = recording_at(flight)
    if recording.kind not in (Kind.FLIGHT, Kind.SEGMENT):
        return  # of another one nothing is known
    for reader in read_segments(recording, []):
        for chunk in read_chunks(reader, lambda _bytes: None):
            if isinstance(chunk, IndexedChunk):
                if not any(reader.channels[number].topic in _SOURCES for number in chunk.indexes):
                    continue
                try:
                    chunk = reader.chunk_at(chunk.offset)
                except SegmentError:  # `verify` reports it
                    continue
            for message, _ in chunk.messages:
                if message.channel.topic in _SOURCES:
                    yield message
