# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder's statuses on `/diagnostics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import socket
import time
from typing import Final

from diagnostic_msgs.msg import DiagnosticStatus
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher, key_values
from fdr_recorder.storage.drain import WriterStatus
from rclpy.node import Node

GROUPS: Final = {
    'disk': (
        'disk_full',
        'write_error',
        'disk_low',
        'flight_root_locked',
        'flight_root_unusable',
    ),
    'capacity': ('cap_misconfigured', 'segments_dropped'),
    'rings': ('overrun',),
    'transport': ('transport_loss',),
    'topics': (
        'topic_missing',
        'topic_stale',
        'type_unknown',
        'type_conflict',
        'qos_incompatible',
    ),
    'recorder': (
        'config_invalid',
        'transition_refused',
        'writer_failed',
        'intake_failed',
        'unclean_flight_recovered',
    ),
}
"""Alert codes by fault group; each group is one status, named after the node and the group."""


@dataclass(frozen=True)
class RecorderStatus:
    """
    The content of the summary.

    Attributes:
        state: Lifecycle state of the node.
        root: The flight root; None while unconfigured.
        vehicle_id: Name of the vehicle.
        subscribed: Number of subscribed topics.
        missing: Wanted topics without a publisher so far.
        writer: The writer's status; None while unconfigured.

    """

    state: str
    root: Path | None = None
    vehicle_id: str = ''
    subscribed: int = 0
    missing: tuple[str, ...] = ()
    writer: WriterStatus | None = None


class RecorderDiagnostics:
    """Publish the recorder's statuses: a summary, and one for each fault group."""

    def __init__(
        self, node: Node, topic: str, board: AlertBoard, status: Callable[[], RecorderStatus]
    ) -> None:
        """Publish from now on, until `stop`."""
        self.topic = topic
        self._status = status
        self._rates = _Rates()
        self._reporter = DiagnosticsPublisher(
            node,
            topic,
            board,
            groups=GROUPS,
            summarize=self._summary,
            hardware_id=lambda: status().vehicle_id or socket.gethostname(),
        )

    def stop(self) -> None:
        """Stop publishing."""
        self._reporter.stop()

    def _summary(self) -> DiagnosticStatus:
        """Return the summary; its level is OK only while a flight is recorded."""
        status = self._status()
        writer = status.writer
        recorded = '' if writer is None or writer.is_degraded else writer.flight_id
        return DiagnosticStatus(
            level=DiagnosticStatus.OK if recorded else DiagnosticStatus.WARN,
            name='summary',
            message=f'recording {recorded}' if recorded else f'not recording ({status.state})',
            values=key_values(self._values(status)),
        )

    def _values(self, status: RecorderStatus) -> dict[str, object]:
        values: dict[str, object] = {
            'state': status.state,
            'topics_subscribed': status.subscribed,
            'topics_not_published': ', '.join(status.missing),
        }
        free = _free_bytes(status.root)
        if free is not None:
            values['flight_root'] = status.root
            values['disk_free_bytes'] = free
        writer = status.writer
        if writer is None:
            return values
        records_rate, bytes_rate = self._rates.update(writer)
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
        return values | dict(writer.counters.as_dict())


class _Rates:
    """Records and bytes per second between two summaries."""

    def __init__(self) -> None:
        self._flight_id = ''
        self._last = (0.0, 0, 0)

    def update(self, writer: WriterStatus) -> tuple[float, float]:
        now = time.monotonic()
        counters = writer.counters
        before, self._last = self._last, (now, counters.records_written, counters.bytes_written)
        same_flight = writer.flight_id and writer.flight_id == self._flight_id
        self._flight_id = writer.flight_id
        elapsed = now - before[0]
        if not same_flight or elapsed <= 0:
            return 0.0, 0.0
        records = (counters.records_written - before[1]) / elapsed
        return records, (counters.bytes_written - before[2]) / elapsed


def _free_bytes(root: Path | None) -> int | None:
    if root is None:
        return None
    try:
        status = os.statvfs(root)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
