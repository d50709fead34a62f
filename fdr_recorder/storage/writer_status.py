# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the writer is doing at a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fdr_recorder.storage.counters import FlightCounters


@dataclass(frozen=True)
class WriterStatus:
    """
    What the writer is doing, for displays; renewed several times a second.

    Attributes:
        flight_id: The open flight; empty if there is none.
        path: Its directory.
        segment_index: Number of the newest segment.
        segments: Number of closed segments that were not dropped.
        total_bytes: Size of all segments that were not dropped.
        counters: The counters of the open flight, or else of the last one.
        is_degraded: Whether the disk refuses data.
        ring_fill: How full the fullest ring is: 0 to 1.
        producers: Number of registered clients.

    """

    flight_id: str = ''
    path: Path | None = None
    segment_index: int = 0
    segments: int = 0
    total_bytes: int = 0
    counters: FlightCounters = field(default_factory=FlightCounters)
    is_degraded: bool = False
    ring_fill: float = 0.0
    producers: int = 0
