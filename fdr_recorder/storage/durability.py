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
What must be forced to the disk, and when: segments, their names, `metadata.yaml`.

What is *written* to a segment becomes *synced*, and a segment with its summary *closed*. What a
failed sync leaves *in doubt* is either confirmed by the same job, or remains in doubt (the disk
refuses: the next job tries again), or is lost; see `unsynced_tail`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
import errno
import os
import time
from typing import Final

from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.record.channel import Channel
from fdr_recorder.seal.sidecars import SEALS_NAME
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.lost_records import joint_span, LostRecords, NO_SPAN, Span
from fdr_recorder.storage.pins import PINS_NAME
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.syncer import Syncer, SyncJob

SYNC_SHARE: Final = 0.8
"""A sync begins after this share of `sync_interval_s`. The rest is for the disk."""
METADATA_INTERVAL_S: Final = 0.1
"""`metadata.yaml` is renewed at every rotation, but not more often than this: that of a flight of
ten thousand segments has megabytes."""
METADATA_RETRY_S: Final = 1.0
NOT_RENEWED: Final = f'{FILE_NAME} is not renewed'
CHECK_S: Final = 10.0
"""For so long after a sync that failed, what the next ones cover is read back."""
LOOK_INTERVAL_S: Final = 10.0
"""How often to find out whether files of closed segments are still there."""
MAX_ENDED: Final = 2
"""The writer takes no more records while more ended segments than this are not on the disk yet."""


class Durability:
    """
    Decides what a `Syncer` forces to the disk, and notes how far that has come.

    Used by the writer's thread alone. Methods raise `OSError` where the disk refuses data.

    Attributes:
        rotated: Segments that were closed because they were full, for policies to act on.
        has_new_names: Whether a power cut can remove a segment's name from the directory; set to
            True by who creates a segment.
        is_metadata_stale: Whether `metadata.yaml` must be renewed; set to True by who changes
            what it says.
        are_pins_stale: Whether PINS must be renewed; set to True by who pins.
        seals: What SEALS does not have yet: the last seals of segments that were closed.
        ended: Segments to force to the disk, each with whether it was full.
        is_gone: Whether the directory was found to be gone; set to False by who makes it anew.
        unlinked_open: The open segment, if its file was found to have lost its name.
        removed: Numbers of closed segments whose files were found to be gone.
        on_moved: Called when the directory was renamed.
        on_confirmed: Called with the error of a sync by which nothing was lost.
        on_refused: Called each time that `metadata.yaml` could not be renewed, or a dropped file
            not removed, with that and the error; with None as error when it succeeds again.

    """

    def __init__(
        self,
        directory: FlightDirectory,
        root: FlightRoot,
        config: FdrWriterConfig,
        custom_data: Callable[[], Mapping[str, str]],
        count_lost: Callable[[int, Channel, int], None],
    ) -> None:
        """
        Start the thread that syncs.

        Args:
            directory: The flight's directory.
            root: The flight root.
            config: How often to sync.
            custom_data: Returns what `metadata.yaml` says of the flight.
            count_lost: Counts written records that the disk has lost, by number of the segment
                and channel.

        """
        self.rotated: deque[ClosedSegment] = deque()
        self.has_new_names = False
        self.is_metadata_stale = True
        self.are_pins_stale = False
        self.seals: deque[bytes] = deque()
        self.ended: deque[tuple[Segment, bool]] = deque()
        self.on_confirmed: Callable[[OSError], None] = lambda _error: None
        self.on_moved: Callable[[], None] = lambda: None
        self.on_refused: Callable[[str, OSError | None], None] = lambda _what, _error: None
        self.is_gone = False
        self.unlinked_open: Segment | None = None
        self.removed: list[int] = []
        self._looked_at = time.monotonic()
        self._directory = directory
        self._root = root
        self._sync_after_s = config.sync_interval_s * SYNC_SHARE
        self._custom_data = custom_data
        self._syncer = Syncer(root.pulse)
        self._synced_at = time.monotonic()
        self._count_lost = count_lost
        self._lost, self._lost_span = 0, NO_SPAN
        self._check_until = 0.0
        self._submitted: tuple[Segment | None, int] = None, 0
        """The open segment of the last sync, and its size then; forgotten if that failed."""
        self._metadata_at = 0.0
        self._metadata_failures = 0
        self._metadata_retry_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether something is being forced to the disk."""
        return self._syncer.is_busy

    @property
    def is_behind(self) -> bool:
        """Whether too many ended segments are not on the disk yet."""
        return len(self.ended) > MAX_ENDED

    def is_sync_due(self, now: float) -> bool:
        """Tell whether the last sync began long enough ago for the next."""
        return now - self._synced_at >= self._sync_after_s

    def add_ended(self, segment: Segment, *, is_full: bool) -> None:
        """List an ended segment as closed, and force it to the disk with the next job."""
        self._directory.add(segment.closed())
        self.ended.append((segment, is_full))
        self.is_metadata_stale = True

    def submit(
        self,
        segment: Segment | None,
        now: float,
        *,
        may_unlink: bool = False,
        hurry: bool = False,
    ) -> bool:
        """
        Begin to force to the disk what is due, unless a job is under way already.

        Args:
            segment: The open segment; None if there is none.
            now: Monotonic seconds.
            may_unlink: Whether all drops are recorded, so that the dropped files may go.
            hurry: Whether everything is due.

        Returns:
            True if a job is under way now.

        Raises:
            OSError: The open chunk cannot be written, or a segment that was cut back not ended.

        """
        if self._syncer.is_busy:
            return True
        ended = [segment for segment, _ in self.ended]
        self._end_again(ended)
        is_metadata_due = now >= self._metadata_retry_at and (
            hurry or now - self._metadata_at >= METADATA_INTERVAL_S
        )
        unlink: list[str] = []
        if may_unlink and is_metadata_due:
            unlink = [dropped.file_name for dropped in self._directory.dropped]
        opened = None
        if hurry or unlink or self.is_sync_due(now):
            if segment is not None:
                segment.flush()
                if self._submitted != (segment, segment.size):
                    segment.seal()
                    opened = segment
                    self._submitted = segment, segment.size
            self._synced_at = now
        seals = [*self.seals] if is_metadata_due else []
        metadata: list[bytes] = []
        if self.is_metadata_stale and is_metadata_due:
            metadata, self.is_metadata_stale = self._directory.render(self._custom_data()), False
            self._metadata_at = now
            seals += filter(None, (segment.closed().last_seal for segment in ended))
        pins = b''
        if self.are_pins_stale and is_metadata_due:
            pins, self.are_pins_stale = self._directory.pins.encode(), False
        if not (self.ended or opened or seals or metadata or pins or unlink):
            return False
        is_look_due = hurry or now - self._looked_at >= LOOK_INTERVAL_S
        if is_look_due:
            self._looked_at = now
        self._syncer.submit(
            SyncJob(
                self._directory,
                ended,
                opened,
                self.has_new_names,
                seals,
                metadata,
                self._directory.sums() if metadata else (),
                pins,
                unlink,
                is_checked=now < self._check_until,
                look=is_look_due,
                newest_listed=self._directory.newest_listed,
            )
        )
        self.has_new_names = False
        return True

    def take_outcome(self, *, wait: bool = False) -> None:
        """
        Learn how far the job under way has come, if it is done.

        A `metadata.yaml` that cannot be renewed raises no error: that is tried again at once, with
        the space of the reserve, and then once a second; `on_refused` tells. The flight goes on,
        but it is not complete as long as `is_metadata_stale`.

        Args:
            wait: Wait until the job is done.

        Raises:
            OSError: The disk refuses data, which will be part of the next job again.

        """
        job = self._syncer.take_back(wait=wait)
        if job is None:
            return
        if job.place is None and job.error is None:
            self.is_gone = True
            self._submitted = None, 0
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if job.place is not None and job.place != self._directory.path:
            self._directory.path = job.place
            self.on_moved()
        if job.is_open_unlinked:
            self.unlinked_open = job.open
        if job.found is not None:
            self.removed += self._directory.missing(job.found, job.newest_listed)
        for segment in (*job.ended, *([job.open] if job.open is not None else ())):
            segment.note_synced()
        for _ in range(job.closed):
            segment, is_full = self.ended.popleft()
            closed = segment.closed()
            if closed.last_seal:
                self.seals.append(closed.last_seal)
            if is_full:
                self.rotated.append(closed)
        for seal in job.seals[:job.kept_seals]:
            self.seals.remove(seal)
        for _ in range(job.unlinked):
            self._directory.dropped.popleft()
        if job.metadata and not job.is_metadata_durable:
            self.is_metadata_stale = True
        if job.pins and not job.are_pins_durable:
            self.are_pins_stale = True
        if job.confirmed or not job.is_data_durable:
            self._check_until = time.monotonic() + CHECK_S
        for confirmed in job.confirmed:
            self.on_confirmed(confirmed)
        error = job.error
        if error is None:
            if (job.metadata or job.pins or job.unlink) and self._metadata_failures:
                self._metadata_failures = 0
                self.on_refused(f'{FILE_NAME} is renewed', None)
            return
        if not job.is_data_durable:
            self.has_new_names = True
            self._submitted = None, 0  # it may not be on the disk
            self._cut_lost(job)
            raise error
        if not isinstance(error, OSError):
            raise error
        self._metadata_failures += 1
        self._root.give_up_reserve()
        if self._metadata_failures > 1:
            self._metadata_retry_at = time.monotonic() + METADATA_RETRY_S
            is_renewed = job.is_metadata_durable or not job.metadata
            what = 'a dropped segment is not removed' if is_renewed else NOT_RENEWED
            what = f'{SEALS_NAME} is not renewed' if job.kept_seals < len(job.seals) else what
            what = f'{PINS_NAME} is not renewed' if self.are_pins_stale else what
            self.on_refused(what, error)

    def _cut_lost(self, job: SyncJob) -> None:
        """Take out of a segment what the disk has lost, and count it."""
        if job.closed < len(job.ended):
            segment: Segment | None = job.ended[job.closed]
        else:
            segment = job.open
        if segment is None or not segment.unsynced.is_lost:
            return
        self._count(segment, segment.cut_lost())

    def take_back_last(self) -> None:
        """Cut the newest chunk off the newest ended segment, if it is not synced."""
        if self.ended:
            segment, _ = self.ended[-1]
            self._count(segment, segment.take_back_last())

    def _count(self, segment: Segment, lost: LostRecords) -> None:
        if any(segment is ended for ended, _ in self.ended):
            self._relist()
        if any(segment.index == dropped.index for dropped in self._directory.dropped):
            return  # its records are counted with it
        for channel, records in lost.counts.items():
            self._count_lost(segment.index, channel, records)
            self._lost += records
        self._lost_span = joint_span(self._lost_span, lost.span)

    def _relist(self) -> None:
        self._directory.relist([segment.closed() for segment, _ in self.ended])
        self.is_metadata_stale = True

    def _end_again(self, ended: Sequence[Segment]) -> None:
        """Write the summaries of segments that were cut back."""
        if not all(segment.is_ended for segment in ended):
            try:
                for segment in ended:
                    segment.end()
            except OSError as error:
                if error.errno == errno.ESTALE:  # no job will find out
                    self.is_gone = self._directory.where() is None
                raise
            self._relist()

    @property
    def has_lost(self) -> bool:
        """Whether failed syncs have lost records since the last `take_lost`."""
        return self._lost > 0

    def take_lost(self) -> tuple[int, Span]:
        """Return how many records failed syncs have lost since the last call, and their span."""
        lost, self._lost = (self._lost, self._lost_span), 0
        self._lost_span = NO_SPAN
        return lost

    def catch_up(self, segment: Segment | None) -> None:
        """Wait until the disk is no longer behind; `segment` is the open one."""
        while self.is_behind:
            self.submit(segment, time.monotonic())
            self.take_outcome(wait=True)

    def settle(self, segment: Segment | None, *, may_unlink: bool = False) -> None:
        """Force everything to the disk, and wait until it is there; arguments as for `submit`."""
        self.take_outcome(wait=True)
        self._metadata_failures = min(self._metadata_failures, 1)  # which is tried again at once
        self._metadata_retry_at = 0.0
        while self.submit(segment, time.monotonic(), may_unlink=may_unlink, hurry=True):
            self.take_outcome(wait=True)

    def forget(self, index: int) -> None:
        """Close a segment as it is, if it is an ended one; no job is under way."""
        for segment, _ in self.ended:
            if segment.index == index:
                segment.close()
        self.ended = deque(entry for entry in self.ended if entry[0].index != index)

    def forget_ended(self) -> None:
        """Close the ended segments as they are: they are gone with their directory."""
        self._syncer.take_back(wait=True)  # it found nothing, either
        self.is_gone, self.unlinked_open = False, None
        self.removed.clear()
        for segment, _ in self.ended:
            segment.close()
        self.ended.clear()
        self.rotated.clear()

    def close(self) -> None:
        """End the thread that syncs, and close ended segments as they are."""
        self._syncer.stop()
        for segment, _ in self.ended:
            segment.close()
