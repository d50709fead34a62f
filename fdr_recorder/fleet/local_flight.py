# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What of a flight on the drone belongs into the store, and what is known of the flight."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import re
from typing import Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.fleet.journal import FlightFacts
from fdr_recorder.fleet.local_file import FileState
from fdr_recorder.flights.directory import segment_files, SegmentFile
from fdr_recorder.flights.follow import is_recorded
from fdr_recorder.flights.in_use import holder_of_root, lock_on
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.reader import own_record
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.record.segment_names import SEGMENT_PATTERN
from fdr_recorder.storage.flight_numbers import MAX_FLIGHT_NUMBER

HEAD_BYTES: Final = 1 << 16
"""At the beginning of a segment; what says whose it is lies there."""
_FLIGHT_ID: Final = re.compile(rb'\x09\0\0\0flight_id([\x01-\xff]\0\0\0)([ -~]{1,64})')
_TEMPORARY: Final = re.compile(r'\..*\.tmp')


def files_of(flight: Path) -> dict[str, FileState]:
    """
    Return the files of a flight by name, segments first and in their order.

    Links are left out, and what is on its way to replace a file.

    Raises:
        OSError: The directory cannot be read.

    """
    found = {}
    with os.scandir(flight) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and not _TEMPORARY.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    found[entry.name] = FileState.of(entry.stat(follow_symlinks=False))
    return {name: found[name] for name in sorted(found, key=_order)}


def left_out_of(flight: Path) -> tuple[str, ...]:
    """Return the names of what is no regular file in a flight: links, pipes, directories."""
    with suppress(OSError), os.scandir(flight) as entries:
        names = (item.name for item in entries if not item.is_file(follow_symlinks=False))
        return tuple(sorted(names))
    return ()


def closed_files(flight: Path) -> frozenset[str]:
    """Return the names of the segments that will not change, of a flight that goes on."""
    return read_metadata(flight).segments


def is_in_use(flight: Path) -> bool:
    """Tell whether a flight is being recorded, or changed."""
    return lock_on(flight) is not None or is_recorded(flight, holder_of_root(flight))


def read_facts(flight: Path, vehicle: str | None, usual_vehicle: str) -> FlightFacts:
    """
    Find out which flight it is.

    Args:
        flight: Its directory.
        vehicle: Which vehicle it shall be; None for the one that its header names.
        usual_vehicle: Whose it is if no header can be read, or it names none.

    """
    header = _header(flight)
    if header is None:
        return FlightFacts(usual_vehicle if vehicle is None else vehicle, '', 0, 0)
    number = header.flight_number if header.flight_number <= MAX_FLIGHT_NUMBER else 0
    return FlightFacts(
        (header.vehicle_id or usual_vehicle) if vehicle is None else vehicle,
        header.flight_id,
        number,
        header.flight_started_at_ns,
    )


def flight_id_in(head: bytes) -> str:
    """Return of which flight the segment is that begins so; empty if it does not say it."""
    match = _FLIGHT_ID.search(head)
    if match is None:
        return ''
    length = int.from_bytes(match[1], 'little')
    return match[2][:length].decode('ascii') if length <= len(match[2]) else ''


def _header(flight: Path) -> FlightHeader | None:
    """Return the header of a flight from the first segment that has a readable one."""
    for segment in segment_files(flight):
        with suppress(SegmentError, RecordError, OSError):
            header = _header_in(segment)
            if header is not None:
                return header
    return None


def _header_in(segment: SegmentFile) -> FlightHeader | None:
    with open_segment(segment.path) as reader:
        for chunk in reader.chunks():
            whole = reader.chunk_at(chunk.offset) if isinstance(chunk, IndexedChunk) else chunk
            for message, _ in whole.messages:
                record = own_record(message)
                if isinstance(record, FlightHeader):
                    return record
            break
    return None


def _order(name: str) -> tuple[int, int, str]:
    match = SEGMENT_PATTERN.fullmatch(name)
    return (0, int(match[1]), name) if match else (1, 0, name)
