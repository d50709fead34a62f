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
What a segment contains, found out without reading more of it than is needed.

A finished segment says it in its summary; a torn one is read front to back, one chunk in memory at
a time. Either way the result is enough to go on writing at the end of the data section, and to
list the segment in `metadata.yaml`. For a torn one it also says what must be written over bytes
that cannot be read, so that every reader passes over them.
"""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.reader import open_segment
from fdr_recorder.flights.recovery.contents import SegmentContents
from fdr_recorder.flights.recovery.from_scan import Scanner
from fdr_recorder.flights.recovery.from_summary import SummaryReader


def read_contents(
    path: Path, index: int, *, was_synced: bool = True, started_ns: int = 0
) -> SegmentContents:
    """
    Find out what a segment contains.

    Args:
        path: The file.
        index: Number of the segment in the flight.
        was_synced: Whether all of it was certainly synced to the disk after it was ended. If
            not, a power cut may have left its summary whole and a chunk before it torn: then all
            of it is read, and such a segment counts as torn.
        started_ns: When the flight began (system clock), if that is known.

    Raises:
        OSError: The file cannot be read.
        SegmentError: It is no segment: not even its beginning is whole.

    """
    with open_segment(path, started_ns=started_ns) as reader:
        try:
            contents = SummaryReader(reader, index).read()
        except SegmentError:
            return Scanner(reader, index).scan()
        if was_synced:
            return contents
        scanned = Scanner(reader, index).scan()
        is_whole = reader.is_closed and (scanned.data_end, scanned.records) == (
            contents.data_end,
            contents.records,
        )
        return contents if is_whole and not (scanned.missing or scanned.patches) else scanned
