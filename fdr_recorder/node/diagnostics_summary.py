# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The content of the recorder's statuses on `/diagnostics`."""

from __future__ import annotations

import os
from pathlib import Path
import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus
from fdr_recorder.node.diagnostics_publisher import key_values
from fdr_recorder.storage.drain import WriterStatus

if TYPE_CHECKING:
    from fdr_recorder.node.graph_watch import GraphWatch


class RecorderSummary:
    """Makes the summary, with the rates since the one before."""

    def __init__(self) -> None:
        self._flight_id = ''
        self._last = (0.0, 0, 0)

    def unconfigured(self, state: str) -> DiagnosticStatus:
        """Return the summary of a node in this state, without flight root, topics and writer."""
        return _summary(state, '', {'topics_subscribed': 0, 'topics_not_published': ''})

    def configured(
        self, state: str, root: Path, watch: GraphWatch, writer: WriterStatus
    ) -> DiagnosticStatus:
        """Return the summary; its level is OK only while a flight is recorded."""
        values: dict[str, object] = {
            'topics_subscribed': watch.subscribed,
            'topics_not_published': ', '.join(watch.missing),
        }
        free = _free_bytes(root)
        if free is not None:
            values |= {'flight_root': root, 'disk_free_bytes': free}
        records_rate, bytes_rate = self._rates(writer)
        values |= {
            'flight_id': writer.flight_id,
            'segment_index': writer.segment_index,
            'segments': writer.segments,
            'flight_bytes': writer.total_bytes,
            'producers': writer.producers,
            'ring_fill_percent': f'{100 * writer.ring_fill:.1f}',
            'records_per_second': f'{records_rate:.1f}',
            'bytes_per_second': f'{bytes_rate:.0f}',
            'degraded': writer.is_degraded,
        }
        if free is not None and bytes_rate > 0:
            values['estimated_seconds_to_full'] = f'{free / bytes_rate:.0f}'
        values |= writer.counters.as_dict()
        return _summary(state, '' if writer.is_degraded else writer.flight_id, values)

    def _rates(self, writer: WriterStatus) -> tuple[float, float]:
        """Return records and bytes per second since the last call."""
        counters = writer.counters
        now = (time.monotonic(), counters.records_written, counters.bytes_written)
        elapsed_s, records, size = (new - old for new, old in zip(now, self._last, strict=True))
        is_same_flight = bool(writer.flight_id) and writer.flight_id == self._flight_id
        self._last, self._flight_id = now, writer.flight_id
        if not is_same_flight or elapsed_s <= 0:
            return 0.0, 0.0
        return records / elapsed_s, size / elapsed_s


def _summary(state: str, recorded: str, values: dict[str, object]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=DiagnosticStatus.OK if recorded else DiagnosticStatus.WARN,
        name='summary',
        message=f'recording {recorded}' if recorded else f'not recording ({state})',
        values=key_values({'state': state, **values}),
    )


def _free_bytes(root: Path) -> int | None:
    try:
        status = os.statvfs(root)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
