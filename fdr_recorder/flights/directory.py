# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The files of a flight's directory, and the flights of a flight root; links are left out."""

from __future__ import annotations

import os
from pathlib import Path
import re
from typing import Final

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.segment_names import SEGMENT_PATTERN

DAMAGED_SUFFIX: Final = '.damaged'
"""Follows the name of a segment that recovery could not read and has set aside."""

TAIL_SUFFIX: Final = '.tail'
"""Follows the name of a segment in the name of what recovery has cut off its end."""
_TAIL_NUMBER: Final = r'(?:\.[1-9][0-9]*)?'


@dataclass(frozen=True)
class KeptFile:
    """What recovery has cut off a segment: the segment's name, and the file."""

    of: str
    path: Path


@dataclass(frozen=True)
class SegmentFile:
    """A segment's file in a flight's directory."""

    index: int
    path: Path


def directory_name(flight: Path) -> str:
    """Return the name of a flight's directory; that of `.` and the like is looked up."""
    return flight.name if flight.name not in ('', '..') else flight.resolve().name


def named(flight: Path, flight_id: str) -> str:
    """Return the path of a flight, and its id if its directory has another name."""
    is_known = flight_id in ('', directory_name(flight))
    return str(flight) if is_known else f'{flight} ({flight_id})'


def segment_files(flight: Path | str) -> list[SegmentFile]:
    """List the segments in a flight's directory by number; raise `OSError` if it is unreadable."""
    return _files(Path(flight), '')


def damaged_files(flight: Path | str) -> list[SegmentFile]:
    """List the unreadable files that recovery has set aside; raise as `segment_files` does."""
    return _files(Path(flight), DAMAGED_SUFFIX)


def numbers_there(flight: Path | str) -> set[int]:
    """Return the numbers of the segments that are there, unreadable ones included."""
    return {file.index for file in (*segment_files(flight), *damaged_files(flight))}


def tail_files(flight: Path | str) -> list[KeptFile]:
    """List what recovery has cut off the segments; raise as `segment_files` does."""
    flight = Path(flight)
    names = filter(_is_tail, _regular_files(flight))
    return [KeptFile(name.partition(TAIL_SUFFIX)[0], flight / name) for name in sorted(names)]


def _is_tail(file_name: str) -> bool:
    name, is_tail, number = file_name.partition(TAIL_SUFFIX)
    is_of_segment = is_tail and SEGMENT_PATTERN.fullmatch(name)
    return bool(is_of_segment and re.fullmatch(_TAIL_NUMBER, number))


def kept_files(flight: Path) -> list[Path]:
    """List what recovery has set aside and cut off; raise as `segment_files` does."""
    return [
        flight / name
        for name in _regular_files(flight)
        if _is_tail(name)
        or (name.endswith(DAMAGED_SUFFIX) and _is_segment(name.removesuffix(DAMAGED_SUFFIX)))
    ]


def _is_segment(file_name: str) -> bool:
    return SEGMENT_PATTERN.fullmatch(file_name) is not None


def _files(flight: Path, suffix: str) -> list[SegmentFile]:
    found = []
    for file_name in _regular_files(flight):
        name = file_name.removesuffix(suffix)
        match = SEGMENT_PATTERN.fullmatch(name)
        if match and file_name == name + suffix:
            found.append(SegmentFile(int(match[1]), flight / file_name))
    return sorted(found, key=lambda file: file.index)


def _regular_files(directory: Path) -> list[str]:
    """List the names of the files in a directory, links left out."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]


def flight_directories(root: Path) -> list[Path]:
    """List by name what may be flights below a root; raise `OSError` if it is unreadable."""
    with os.scandir(root) as entries:
        names = [
            entry.name
            for entry in entries
            if FLIGHT_ID_PATTERN.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return [root / name for name in sorted(names)]


def flights_in(root: Path) -> list[Path]:
    """
    List the directories below a flight root that hold a segment; as `flight_directories`.

    One that may not be read may be a flight, and is listed: whoever reads it is told so.
    """
    return [path for path in flight_directories(root) if _may_be_flight(path)]


def _may_be_flight(path: Path) -> bool:
    try:
        return any(map(_is_segment, _regular_files(path)))
    except PermissionError:
        return True
    except FileNotFoundError:  # it was removed just now
        return False
