# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What `fdr top` shows: one look at a flight root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class State(Enum):
    """What the recorder does, as far as its files and the kernel tell."""

    RECORDING = 'recording'
    SILENT = 'silent'
    """A flight is open, and nothing was written for a while; it may be that nothing comes."""
    HANGS = 'hangs'
    """A flight is open, and nothing is written although it should be."""
    DEGRADED = 'degraded'
    """The disk is full, or refuses data."""
    IDLE = 'idle'
    """A recorder owns the root, and no flight is open."""
    KILLED = 'killed'
    """The last flight was not closed, and no recorder is there."""
    NOT_RUNNING = 'not running'

    @property
    def is_good(self) -> bool:
        """Tell whether a flight is being recorded, and nothing is wrong."""
        return self is State.RECORDING


@dataclass(frozen=True)
class LiveTopic:
    """
    A topic of a flight.

    Attributes:
        name: Its name.
        type: Its type; empty if no message has come.
        messages: How many messages since the flight began; None if that is not known.
        rate_hz: Messages a second, over the last seconds.
        bytes_per_second: Their data.
        last_ns: Log time of the last message; 0 if none has come.
        age_s: How long ago that was; None if none has come.
        lost: Messages that are missing, by all causes, as far as it is told.

    """

    name: str
    type: str = ''
    messages: int | None = 0
    rate_hz: float = 0.0
    bytes_per_second: float = 0.0
    last_ns: int = 0
    age_s: float | None = None
    lost: int = 0


@dataclass(frozen=True)
class LiveAlert:
    """An alert that is present: code, level (1 warning, 2 error), topic, sentence, since when."""

    code: str
    level: int
    subject: str
    message: str
    since_ns: int


@dataclass(frozen=True)
class Disk:
    """
    The disk of the flight root.

    Attributes:
        free_bytes: What is free.
        kept_free_bytes: What the recorder leaves free (`writer.min_free_bytes`).
        cap_bytes: The most that a flight may take (`writer.flight_cap_bytes`); 0 if unknown.
        seconds_to_full: Until the recorder may write no more, at this rate; None without one.
        cap_seconds: How much of a flight the cap keeps, at this rate; None without one.

    """

    free_bytes: int = 0
    kept_free_bytes: int = 0
    cap_bytes: int = 0
    seconds_to_full: float | None = None
    cap_seconds: float | None = None


@dataclass(frozen=True)
class LiveFlight:
    """
    The flight that is being recorded, or the last one.

    Attributes:
        path: Its directory.
        flight_id: Its id.
        vehicle_id: Which vehicle.
        ended: How it ended: `open`, `closed`, `recovered`, or `unknown` if it was not closed.
        started_ns: When it began, as log times.
        duration_s: From then to what was written last.
        age_s: How long ago that was.
        segments: Segments that are there.
        segments_dropped: Segments that are gone, to free space.
        bytes: Size of those that are there.
        rate_hz: Messages a second, of all topics.
        bytes_per_second: What grows on the disk.
        losses: Messages that are missing, by cause.
        left_out: Messages that were left out, as asked for, by topic.
        unread_segments: Segments that are not read yet: losses and alerts may be more.
        alerts: Those that are present.
        topics: By name; those that were asked for by name and never came are among them.
        ring_fill_percent: How full the fullest ring is; None if the flight does not tell.

    """

    path: str
    flight_id: str
    vehicle_id: str = ''
    ended: str = 'open'
    started_ns: int = 0
    duration_s: float = 0.0
    age_s: float = 0.0
    segments: int = 0
    segments_dropped: int = 0
    bytes: int = 0
    rate_hz: float = 0.0
    bytes_per_second: float = 0.0
    losses: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    unread_segments: int = 0
    alerts: tuple[LiveAlert, ...] = ()
    topics: tuple[LiveTopic, ...] = ()
    ring_fill_percent: float | None = None


@dataclass(frozen=True)
class LiveStatus:
    """
    One look at a flight root.

    Attributes:
        made_ns: When (system clock).
        root: The flight root.
        in_use_by: The process that owns it, in words; None if none does.
        state: What the recorder does.
        reason: What that is concluded from, in words; empty while all is well.
        disk: The disk.
        flight: The flight that is being recorded, or the last one; None if there is none.

    """

    made_ns: int
    root: str
    in_use_by: str | None
    state: State
    reason: str
    disk: Disk
    flight: LiveFlight | None

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = asdict(self)
        values['state'] = self.state.value
        return values
