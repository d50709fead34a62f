# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Read the `metadata.yaml` of a flight, which may be missing, damaged or another program's."""

from __future__ import annotations

from collections.abc import Mapping, Set
import os
from pathlib import Path
import re
import stat
from types import MappingProxyType
from typing import Final, NamedTuple

from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.units import NS_PER_S

_MAX_BYTES: Final = 64 << 20
"""Far more than the file has for a flight of 64 GiB in the smallest segments."""
_SEGMENT_NAME: Final = re.compile(r'"(segment_\d+\.mcap)"')
_COUNTER: Final = re.compile(r'^    (\w+): "(\d{1,19})"$', re.MULTILINE)
_MESSAGE_COUNT: Final = re.compile(r'^  message_count: (\d{1,18})$', re.MULTILINE)
_DURATION: Final = re.compile(r'^  duration: \{nanoseconds: (\d{1,19})\}$', re.MULTILINE)
_VERSION: Final = re.compile(r'^  version: (\d{1,2})$', re.MULTILINE)
_CLOSED: Final = re.compile(r'^    clean_shutdown: "true"$', re.MULTILINE)
_RECOVERED: Final = re.compile(r'^    ended: "recovered"$', re.MULTILINE)
_MOST_NAMED: Final = 5
_HEAD_CHARACTERS: Final = 4096


class Metadata(NamedTuple):
    """
    What reading and recovery use.

    Attributes:
        segments: Names of the listed files.
        counters: The numbers in `custom_data`.
        records: Number of records in the listed files.
        bag_version: Version of the bag metadata; 0 if unknown.
        duration_s: Seconds from the first to the last record in the listed files.
        says_closed: Whether it says that the recorder has closed the flight.
        says_recovered: Whether it says that the flight was recovered; releases before 0.2.0 did
            not write it.

    """

    segments: frozenset[str] = frozenset()
    counters: Mapping[str, int] = MappingProxyType({})
    records: int = 0
    bag_version: int = 0
    duration_s: float = 0.0
    says_closed: bool = False
    says_recovered: bool = False

    def follows(self, footer: FlightFooter) -> bool:
        """Tell whether it has been renewed since the footer was written."""
        return self.counters.get('bytes_written') == footer.bytes_written

    def fault(self, present: Set[str], *, has_footer: bool) -> str:
        """
        Say how the files of a flight differ from what it says; empty if they do not.

        Args:
            present: Names of the segments that are there.
            has_footer: Whether the last of them has the flight's footer.

        """
        has_ended = self.says_closed or self.says_recovered
        if has_ended and not has_footer:
            how = 'closed' if self.says_closed else 'recovered'
            return f'metadata.yaml says that the flight was {how}; its footer is gone'
        more = sorted(present - self.segments)
        if has_ended and more:
            return f'metadata.yaml does not name {", ".join(more[:_MOST_NAMED])}'
        gone = sorted(self.segments - present)
        if gone and has_footer:
            return f'metadata.yaml names {", ".join(gone[:_MOST_NAMED])}: not there; run recover'
        return ''


def read_metadata(flight: Path) -> Metadata:
    """
    Read the `metadata.yaml` of a flight.

    It is empty if the file cannot be read or is no regular file: a link that leads elsewhere, or a
    FIFO that would block for ever.

    Raises:
        PermissionError: It may not be read; what it says is unknown then.

    """
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(flight / FILE_NAME, flags), 'rb') as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_BYTES).decode() if is_regular else ''
    except PermissionError:
        raise
    except (OSError, UnicodeDecodeError):
        return Metadata()
    count = _MESSAGE_COUNT.search(text, 0, _HEAD_CHARACTERS)
    version = _VERSION.search(text, 0, _HEAD_CHARACTERS)
    duration = _DURATION.search(text, 0, _HEAD_CHARACTERS)
    return Metadata(
        frozenset(_SEGMENT_NAME.findall(text)),
        {name: int(value) for name, value in _COUNTER.findall(text)},
        int(count[1]) if count else 0,
        int(version[1]) if version else 0,
        int(duration[1]) / NS_PER_S if duration else 0.0,
        _CLOSED.search(text) is not None,
        _RECOVERED.search(text) is not None,
    )
