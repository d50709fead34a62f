# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The free space of the disk: watched, and won by dropping segments before it runs out."""

from __future__ import annotations

from collections.abc import Callable
import errno
import os

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.storage.retention import why_none_drops
from fdr_recorder.storage.root_keeper import RootKeeper
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import format_size


class FreeSpace:
    """Keeps `min_free_bytes` free, as `on_low_space` says. Used by the writer's thread alone."""

    def __init__(
        self,
        log: SegmentLog,
        alerts: AlertBoard,
        drop_oldest: Callable[[int], SegmentRollover],
        keeper: RootKeeper,
    ) -> None:
        """Take the flight's segments, alerts, what drops a segment, what removes flights."""
        self._keeper = keeper
        self._log = log
        self._root = log.root
        self._directory = log.directory
        self._alerts = alerts
        self._drop_oldest = drop_oldest

    def check_beginning(self) -> None:
        """Raise `OSError` if there is too little space to begin a flight."""
        free = self._free_bytes()
        least = self._log.config.min_free_bytes
        if free is not None and free < least:
            what = f'{format_size(free)} free, less than writer.min_free_bytes'
            raise OSError(errno.ENOSPC, f'{what} ({format_size(least)})')

    def watch(self) -> None:
        """
        Raise an alert before the disk is full, and drop segments if that is configured.

        Raises:
            OSError: Less than `min_free_bytes` is free, and no segment can be dropped.

        """
        limit = self._log.config.min_free_bytes
        free = self._free_bytes()
        if free is None:
            return
        text = f'{free >> 20} MiB left in {self._directory.path.parent}'
        if free >= limit:
            self._keeper.satisfied()
        if free >= 2 * limit:
            self._alerts.clear('disk_low', text)
            return
        self._alerts.raise_alert('disk_low', text, values={'free_bytes': free})
        if free < limit and not self._is_coming(limit - free):
            self._free(limit - free)

    def make_room(self) -> None:
        """Free the space to go on recording for longer than a chunk; raises as `watch`."""
        free = self._free_bytes()
        if free is not None and free < self._enough_bytes:
            size = self._enough_bytes - free
            if self._is_coming(size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # not yet: try again
            self._free(size)

    def _is_coming(self, size: int) -> bool:
        """Ask for the space of older flights, if they may go; tell whether some is to come."""
        return self._log.config.on_low_space != 'degrade' and self._keeper.ask(size)

    def restore_reserve(self) -> None:
        """Allocate the reserve again after it was given up, as soon as there is room."""
        size = self._log.config.reserve_bytes
        if size and not self._root.has_reserve:
            free = self._free_bytes()
            if free is None or free >= self._enough_bytes:
                self._root.allocate_reserve(size)

    def _free_bytes(self) -> int | None:
        """Return the space left where the flight is; None if the file system does not say."""
        try:
            return free_bytes(self._directory.fd)
        except OSError:
            return None

    @property
    def _enough_bytes(self) -> int:
        config = self._log.config
        return config.min_free_bytes + config.reserve_bytes + 2 * config.chunk_size_bytes

    def _free(self, size: int) -> None:
        """Drop segments of this flight, the oldest first, until so many bytes are free."""
        directory = self._directory
        if self._log.config.on_low_space == 'degrade' or why_none_drops(directory):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        size -= sum(segment.bytes for segment in directory.dropped)  # not unlinked yet
        while size > 0 and not why_none_drops(directory):
            size -= self._drop_oldest(self._log.config.min_free_bytes).bytes
