# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The capacity cap: drops the oldest closed segments when the flight grows too large."""

from __future__ import annotations

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.retention import PINNED_SEGMENTS, SegmentStore, why_none_drops


class CapacityCapPolicy:
    """
    Keeps the segments of a flight below a size.

    Set the writer's hook `on_rotation` to the method of that name. The segment that was just
    closed is never dropped, so that there is always one to read, nor is one that is pinned. If
    these alone are larger than the cap, an alert says that it is misconfigured, and recording goes
    on.

    Example:
        >>> policy = CapacityCapPolicy(64 * GIB, writer, alerts)
        >>> writer.on_rotation = policy.on_rotation

    """

    def __init__(
        self,
        cap_bytes: int,
        store: SegmentStore,
        alerts: AlertBoard,
        option: str = 'writer.flight_cap_bytes',
    ) -> None:
        """Set the limit in bytes; take the writer, the alert board, and what sets the limit."""
        self.cap_bytes = cap_bytes
        self._option = option
        self._store = store
        self._alerts = alerts

    def on_rotation(self, closed: ClosedSegment) -> None:
        """Drop segments until the flight is below the cap; writer's thread."""
        store, cap_bytes = self._store, self.cap_bytes
        if closed.own_records + closed.repeated >= closed.records:
            return  # records of drops have filled it: to drop more for that would never end
        while store.total_bytes > cap_bytes and not why_none_drops(store):
            dropped = store.drop_oldest_segment(cap_bytes)
            self._alerts.raise_alert(
                'segments_dropped',
                f'the flight has reached its cap of {cap_bytes} bytes: its oldest segments are '
                'being dropped',
                values={'segment': dropped.file_name, 'cap_bytes': cap_bytes},
            )
        if store.total_bytes <= cap_bytes:
            self._alerts.clear('cap_misconfigured', 'the flight is below its cap')
            return
        if why_none_drops(store) == PINNED_SEGMENTS:
            message = (
                f'the segments that are pinned exceed {self._option} ({cap_bytes}): '
                'nothing more can be dropped, recording goes on above the cap'
            )
            self._alerts.raise_alert('cap_misconfigured', message)
            return
        message = (
            f'{self._option} ({cap_bytes}) is too small for a segment of {closed.bytes} '
            'bytes: nothing more can be dropped, recording goes on above the cap; raise it, or '
            'lower writer.segment_size_bytes'
        )
        self._alerts.raise_alert('cap_misconfigured', message)
