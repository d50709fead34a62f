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
When the open segment is full: the next is opened, and policies act on those that were closed.

The next is opened before the last is ended. If it cannot be opened (no inodes, no permission, too
many open files), the last grows beyond its size: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable
import errno
import logging
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.disk_errors import describe, has_no_inodes, RETRY_INTERVAL_S
from fdr_recorder.storage.segment_log import SegmentLog

logger = logging.getLogger(__name__)

RotationHook = Callable[[ClosedSegment], None]
"""Called with every segment that was closed because it was full."""

MAX_DESCRIPTORS: Final = 64
"""A rotation waits for the disk when this many ended segments are not on it yet."""


class Rotation:
    """
    Goes on to the next segment. Used by the writer's thread alone.

    Methods raise `OSError` where the disk refuses data.
    """

    def __init__(
        self, log: SegmentLog, alerts: AlertBoard, on_rotation: RotationHook | None
    ) -> None:
        """Take the flight's segments, and what is called with those that were closed."""
        self._log = log
        self._alerts = alerts
        self._on_rotation = on_rotation
        self._refused: OSError | None = None
        """Why the next segment could not be opened."""
        self._retry_at = 0.0
        """When to try again (monotonic seconds)."""

    def rotate(self) -> None:
        """Begin the next segment; let the open one grow if that cannot be opened."""
        log, now = self._log, time.monotonic()
        previous = log.segment
        assert previous is not None
        if self._refused is None or now >= self._retry_at:
            if len(log.durability.ended) >= MAX_DESCRIPTORS:
                log.durability.catch_up(previous)
            try:
                log.rotate()
            except OSError as error:
                if log.segment is not previous:
                    raise
                self._refused, self._retry_at = error, now + RETRY_INTERVAL_S
                self._tell(error)
            else:
                self._refused = None
                self._alerts.clear('segment_not_opened', 'the next segment is open')
                log.durability.take_outcome()
                self.call_hook()
                return
        assert self._refused is not None
        if not previous.grow(log.config.chunk_size_bytes):
            raise self._refused

    def rotate_if_due(self, now: float) -> None:
        """Rotate by age, or because the next segment could not be opened before."""
        segment, duration = self._log.segment, self._log.config.segment_duration_s
        if segment is not None and segment.has_data:
            is_due = bool(duration) and now - segment.opened_at >= duration
            if self._refused is not None:
                is_due = now >= self._retry_at
            if is_due:
                self.rotate()

    def call_hook(self) -> None:
        """Let the policies act on segments that were closed."""
        rotated = self._log.durability.rotated
        while rotated:
            closed = rotated.popleft()
            if self._on_rotation is not None:
                try:
                    self._on_rotation(closed)
                except Exception:
                    logger.exception('the rotation hook failed; recording goes on')

    def _tell(self, error: OSError) -> None:
        path = self._log.directory.path
        if error.errno == errno.ENOSPC and not has_no_inodes(path):
            return  # the next chunk tells, if it has no space either
        cause = describe(error, path)
        message = f'the next segment cannot be opened, the open one grows: {cause}'
        values = {'errno': errno.errorcode.get(error.errno or 0, error.errno)}
        self._alerts.raise_alert('segment_not_opened', message, values=values)
