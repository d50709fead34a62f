# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads the log of removed flights, and says what it must of a flight that is to go."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.listing import ListedFlight
from fdr_recorder.mcap.record_file import RecordFile
from fdr_recorder.seal.openssh import ARMOR_BEGINS
from fdr_recorder.seal.sidecars import newest_seal
from fdr_recorder.storage.removal_log import ENTRY_ENDS, FIRST_LINE, LOG_NAME, Removal

_MOST_BYTES: Final = 64 << 20
"""More of a log is not read."""


def removal_of(flight: ListedFlight, cause: str) -> Removal:
    """
    Return what the log is to say of a flight that is still there.

    Raises:
        OSError: The flight cannot be read.

    """
    seal = newest_seal(flight.path)
    text_hash = seal.text_hash if seal is not None else ''
    return Removal(flight.flight_id, flight.flight_number, flight.bytes, cause, text_hash)


def removed_flights(root: Path) -> dict[str, tuple[str, str]]:
    """
    Return the flights that a root's log says were removed: by id, entry and signature.

    The signature may be empty; nothing is checked. What is no entry is passed over.

    Raises:
        OSError: The log is there and cannot be read.

    """
    try:
        file = RecordFile(root / LOG_NAME)
    except FileNotFoundError:
        return {}
    except SegmentError:
        return {}
    try:
        entries = file.read(0, min(file.size, _MOST_BYTES))
    finally:
        file.close()
    found = {}
    for entry in entries.decode('ascii', 'replace').split(ENTRY_ENDS.decode()):
        text, begin, armor = entry.partition(ARMOR_BEGINS)
        first, *lines = text.split('\n')
        name, _, flight = lines[0].partition(': ') if lines else ('', '', '')
        if first == FIRST_LINE and name == 'flight':
            found[flight] = (text, f'{begin}{armor}\n' if begin else '')
    return found
