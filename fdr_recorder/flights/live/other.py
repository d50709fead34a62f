# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A recording that no recorder of ours writes: what it holds, as one look that never changes."""

from __future__ import annotations

from pathlib import Path
import time

from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.live.status import Disk, LiveFlight, LiveStatus, LiveTopic, State
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.units import NS_PER_S


def look_at_other(recording: Path, root: Path) -> LiveStatus:
    """Return what it holds; raise `OSError` if it cannot be read."""
    info = read_info(recording)
    listed = info.listed
    topics = [
        LiveTopic(
            name=topic.name,
            type=topic.type,
            messages=topic.messages,
            last_ns=topic.last_ns,
            age_s=max(listed.ended_ns - topic.last_ns, 0) / NS_PER_S if topic.last_ns else None,
            lost=topic.lost,
        )
        for topic in info.topics.values()
        if not topic.is_own
    ]
    made_ns = time.time_ns()
    flight = LiveFlight(
        path=str(recording),
        flight_id=listed.flight_id,
        vehicle_id=listed.vehicle_id,
        ended=listed.status.ended.value,
        started_ns=listed.started_ns,
        duration_s=listed.duration_s,
        age_s=max(made_ns - round(recording.stat().st_mtime_ns), 0) / NS_PER_S,
        segments=listed.segments,
        bytes=listed.bytes,
        topics=tuple(sorted(topics, key=lambda topic: (topic.name, topic.type))),
    )
    return LiveStatus(
        made_ns=made_ns,
        root=str(root),
        in_use_by=None,
        state=State.NOT_RUNNING,
        reason='this is no flight of a recorder: it is shown as it is',
        disk=Disk(free_bytes(root)),
        flight=flight,
    )
