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
import threading
import time
from typing import Final, NamedTuple, TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus
from fdr_recorder.node.diagnostics_publisher import key_values
from fdr_recorder.storage.disk_pulse import WRITING
from fdr_recorder.storage.drain import WriterStatus

if TYPE_CHECKING:
    from fdr_recorder.node.graph_watch import GraphWatch


STALE_S: Final = 2.0
"""An older status of the writer says nothing about the present."""
MEASURE_S: Final = 0.05
"""How long to wait for the disk to tell its free space; a healthy one needs microseconds."""


class RecorderSummary:
    """Makes the summary, with the rates since the one before."""

    def __init__(self) -> None:
        self._disk = _DiskSpace()
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
        disk = self._disk.of(root)
        free = disk.free if disk is not None else None
        if disk is not None:
            values |= {'flight_root': root}
            values |= {'disk_free_bytes': disk.free, 'disk_bytes': disk.total}
        age_s = time.monotonic() - writer.made_at if writer.flight_id else 0.0
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
            'disk_stalled_seconds': f'{writer.stalled_s:.1f}',
            'status_age_seconds': f'{age_s:.1f}',
        }
        if free is not None and bytes_rate > 0:
            values['estimated_seconds_to_full'] = f'{free / bytes_rate:.0f}'
        values |= writer.counters.as_dict()
        if writer.newest_seal:
            values['newest_seal'] = writer.newest_seal
        unseen = str(writer.unseen)
        if unseen:
            values['unseen_losses'] = unseen
            values['records_lost_transport'] = values['records_lost_transport'] or 'unknown'
        is_held_up = writer.is_degraded or writer.stalled_step == WRITING
        is_recording = not is_held_up and age_s < STALE_S
        return _summary(state, writer.flight_id if is_recording else '', values, unseen)

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


def _summary(
    state: str, recorded: str, values: dict[str, object], remark: str = ''
) -> DiagnosticStatus:
    message = f'recording {recorded}' if recorded else f'not recording ({state})'
    return DiagnosticStatus(
        level=DiagnosticStatus.OK if recorded else DiagnosticStatus.WARN,
        name='summary',
        message=f'{message}; {remark}' if remark else message,
        values=key_values({'state': state, **values}),
    )


class _Space(NamedTuple):
    """Bytes of a file system: those that are free for us, and all."""

    free: int
    total: int


class _DiskSpace:
    """Measures space in threads of its own: a disk that does not answer would hang them."""

    def __init__(self) -> None:
        self._space: _Space | None = None
        self._thread: threading.Thread | None = None

    def of(self, root: Path) -> _Space | None:
        """Return the space on the disk of a flight root; None if the disk does not tell."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._measure, args=[root], daemon=True)
            self._thread.start()
            self._thread.join(MEASURE_S)
        return None if self._thread.is_alive() else self._space

    def _measure(self, root: Path) -> None:
        try:
            status = os.statvfs(root)
        except OSError:
            self._space = None
        else:
            unit = status.f_frsize
            self._space = _Space(status.f_bavail * unit, status.f_blocks * unit)
