# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Restores the pins of a flight that the recorder could not write to PINS any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.record.kinds import Pin
from fdr_recorder.storage.files import replace_file
from fdr_recorder.storage.pins import PINS_NAME, read_pins, Window


def restore_pins(flight: Path, segments: Iterable[SegmentContents]) -> None:
    """
    Add to PINS what is pinned by the records of a flight that was not closed.

    Raises:
        OSError: The file cannot be written.

    """
    pins = read_pins(flight)
    is_new = False
    for contents in segments:
        for record in contents.own_records:
            if isinstance(record, Pin) and record.from_ns <= record.to_ns:
                window = Window(record.from_ns, record.to_ns, (record.why,))
                if not pins.covers(window):
                    pins.add(window)
                    is_new = True
    if is_new:
        replace_file(flight / PINS_NAME, [pins.encode()], is_of_flight=True)
