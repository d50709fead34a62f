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
The segments of a flight, one after the other: which is open, what is synced, what is kept.

`SegmentLog` owns the open segment, the flight's directory and the thread that syncs both. A
segment is first *ended* (its summary is written), then *closed* when all of it is on the disk.
Methods raise `OSError` where the disk refuses; `give_up` then leaves everything as good as it can
be.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
import logging
import os
import time
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightHeader, RECORD_SCHEMA_VERSION, SegmentRollover
from fdr_recorder.storage.bag_metadata import custom_data
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import Ledger, ProducerAccount
from fdr_recorder.storage.crc_ahead import CrcAhead
from fdr_recorder.storage.flight_directory import FlightDirectory, segment_name
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.syncer import Syncer, SyncJob
from fdr_recorder.version import __version__

logger = logging.getLogger(__name__)

SYNC_SHARE: Final = 0.8
"""A sync begins at this share of `sync_interval_s`. The rest is for the disk."""
METADATA_INTERVAL_S: Final = 0.1
"""`metadata.yaml` is renewed at every rotation, unless they come more often than this: a flight of
ten thousand segments has one of megabytes."""
METADATA_RETRY_S: Final = 1.0
MAX_ENDED: Final = 2
"""So many segments may wait for the disk before the writer takes more records..."""
MAX_DESCRIPTORS: Final = 64
"""...and so many while it writes those that it has taken."""


class SegmentLog:
    """
    The segments of one flight. Used by the writer's thread alone.

    Attributes:
        directory: The flight's directory, with the closed segments.
        segment: The open segment; None before the first and while the disk refuses.
        rotated: Segments that were closed because they were full, for policies to look at.

    """

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        ledger: Ledger,
    ) -> None:
        """
        Create the flight's directory; no segment yet.

        Raises:
            FlightIdInvalidError: The id cannot be a name.
            FlightExistsError: There is a flight of that id.
            FlightStorageError: The file system refuses.

        """
        self.directory = FlightDirectory.create(
            root.path, header.flight_id, ros_distro=header.ros_distro
        )
        self.segment: Segment | None = None
        self._root = root
        self._header = header
        self._config = config
        self._ledger = ledger
        self._latched: dict[ProducerAccount, QueuedRecord] = {}
        self._next_index = 0
        self._unended: Segment | None = None
        """Given up, and even its end was refused; ended as soon as the disk allows."""
        self._ended: deque[tuple[Segment, ClosedSegment | None]] = deque()
        """To be forced to the disk; with what `rotated` gets then."""
        self.rotated: deque[ClosedSegment] = deque()
        self._syncer = Syncer()
        self._crc_ahead = CrcAhead()
        self.announce = self._crc_ahead.announce
        """Say which records are about to be appended."""
        self._synced_at = time.monotonic()
        self._is_dirty = False
        self._are_names_new = False
        """Whether a power cut can take a segment's name from the directory."""
        self._is_metadata_stale = True
        self._metadata_at = 0.0
        self._metadata_failures = 0
        self._metadata_retry_at = 0.0
        self._is_shut_down = False

    @property
    def newest_index(self) -> int:
        """Return the number of the newest segment."""
        return self._next_index - 1

    @property
    def total_bytes(self) -> int:
        """Size of all segments that are there, the open one included."""
        unlisted = (self._unended, self.segment)
        return self.directory.closed_bytes + sum(
            segment.size for segment in unlisted if segment is not None
        )

    # --- records -------------------------------------------------------------------------

    @property
    def has_data(self) -> bool:
        """Whether the open segment holds more than every segment begins with."""
        return self.segment is not None and self.segment.has_data

    def latch(self, account: ProducerAccount, record: QueuedRecord) -> None:
        """Remember a transient-local message, to repeat it at the start of each segment."""
        self._latched[account] = record

    # --- segments ------------------------------------------------------------------------

    def open_next(self) -> None:
        """Create the next segment; its header and the latched messages are in the file then."""
        config = self._config
        index = self._next_index
        path = self.directory.path / segment_name(index)
        if os.path.lexists(path):  # somebody else's: it is left alone
            logger.error('%s: is there already; its number is passed over', path)
            self._next_index += 1
            index += 1
            path = self.directory.path / segment_name(index)
        segment = Segment.create(
            path,
            index=index,
            max_bytes=config.segment_size_bytes,
            chunk_size_bytes=config.chunk_size_bytes,
            compression=config.compression,
            metadata={
                'flight_id': self._header.flight_id,
                'segment_index': str(index),
                'record_schema_version': RECORD_SCHEMA_VERSION,
                'software_version': __version__,
            },
            on_written=self._ledger.count_written,
            crc=self._crc_ahead.crc32,
        )
        account = self._ledger.own_account(FlightHeader)
        now_ns = time.time_ns()
        header = (now_ns, now_ns, account.count_own(), encode(self._header), 0)
        try:
            segment.append(account.channel, [header], force=True)
            repeated = self._repeat_latched(segment, now_ns)
            segment.flush()
        except BaseException:
            account.take_back_own()
            segment.remove()
            raise
        for account in repeated:
            account.repeated += 1
        segment.has_data = False
        self.segment = segment
        self._next_index += 1
        self._is_dirty = True
        self._are_names_new = True

    def _repeat_latched(self, segment: Segment, now_ns: int) -> list[ProducerAccount]:
        """
        Take the latched messages again, as many as half of a segment has room for.

        All in one chunk: either the segment begins with all of them or there is no segment.
        """
        repeated = []
        limit = self._config.segment_size_bytes // 2
        for account, (_, publish_time_ns, sequence, data, _) in self._latched.items():
            size = segment.finished_size(more_channel=account.channel, more_bytes=len(data))
            if size <= limit:
                record = (now_ns, publish_time_ns, sequence, data, 0)
                segment.append(account.channel, [record], force=True)
                repeated.append(account)
        return repeated

    def flush(self) -> None:
        """Write the open chunk."""
        if self.segment is not None:
            size = self.segment.size
            self.segment.flush()
            self._is_dirty = self._is_dirty or self.segment.size > size

    @property
    def is_behind(self) -> bool:
        """Whether too many segments are still to be forced to the disk."""
        return len(self._ended) > MAX_ENDED

    def catch_up(self) -> None:
        """
        Wait until the disk is not behind any more.

        Raises:
            OSError: The disk refuses data.

        """
        while self.is_behind:
            self.submit(time.monotonic(), may_unlink=False)
            self.take_outcome(wait=True)

    def rotate(self) -> None:
        """End the open segment because it is full, and open the next."""
        self.end_segment(is_full=True)
        self._ledger.rollover_count += 1
        if len(self._ended) >= MAX_DESCRIPTORS:
            self.catch_up()
        self.open_next()
        self.submit(time.monotonic(), may_unlink=False)  # both names at once

    def end_segment(self, *, is_full: bool = False) -> None:
        """Complete the open segment; it is closed when it is on the disk."""
        assert self.segment is not None
        self.segment.end()
        self._take_in(self.segment, is_full=is_full)
        self.segment = None
        self._is_dirty = False

    def _take_in(self, segment: Segment, *, is_full: bool) -> None:
        closed = segment.closed()
        self.directory.add(closed)
        self._ended.append((segment, closed if is_full else None))
        self._is_metadata_stale = True

    def drop_oldest(self, cap_bytes: int) -> SegmentRollover:
        """
        Drop the oldest closed segment; its file goes with a job that may unlink.

        Args:
            cap_bytes: The limit that asked for it, for the record.

        Returns:
            The record that says so, for the caller to write.

        """
        before = self.total_bytes
        segment = self.directory.drop_oldest()
        self._is_metadata_stale = True
        self._ledger.segments_dropped += 1
        self._ledger.bytes_dropped += segment.bytes
        self._ledger.records_in_dropped += segment.records
        return SegmentRollover(
            flight_id=self._header.flight_id,
            segment_index=segment.index,
            file_name=segment.file_name,
            bytes=segment.bytes,
            records=segment.records,
            first_log_time_ns=segment.first_log_time_ns,
            last_log_time_ns=segment.last_log_time_ns,
            total_bytes_before=before,
            total_bytes_after=before - segment.bytes,
            cap_bytes=cap_bytes,
        )

    # --- on the disk ---------------------------------------------------------------------

    @property
    def is_syncing(self) -> bool:
        """Whether something is being forced to the disk."""
        return self._syncer.is_busy

    def is_sync_due(self, now: float) -> bool:
        """Tell whether the last sync began long enough ago for the next."""
        return now - self._synced_at >= self._config.sync_interval_s * SYNC_SHARE

    def submit(self, now: float, *, may_unlink: bool, hurry: bool = False) -> bool:
        """
        Begin to force to the disk what is due, unless that is being done already.

        Args:
            now: Monotonic seconds.
            may_unlink: Whether dropped segments are recorded as dropped, and their files may go.
            hurry: Whether everything is due.

        Returns:
            True if something is being done now.

        """
        if self._syncer.is_busy:
            return True
        is_metadata_due = now >= self._metadata_retry_at and (
            hurry or now - self._metadata_at >= METADATA_INTERVAL_S
        )
        unlink = self.directory.dropped_names if may_unlink and is_metadata_due else ()
        opened = None
        if hurry or unlink or self.is_sync_due(now):
            self.flush()
            self._synced_at = now
            if self._is_dirty:
                opened, self._is_dirty = self.segment, False
        metadata: list[bytes] = []
        if self._is_metadata_stale and is_metadata_due:
            metadata, self._is_metadata_stale = self._metadata(), False
            self._metadata_at = now
        if not (self._ended or opened or metadata or unlink):
            return False
        job = SyncJob(
            directory=self.directory.path,
            ended=tuple(segment for segment, _ in self._ended),
            open=opened,
            names=self._are_names_new,
            metadata=metadata,
            unlink=unlink,
        )
        self._are_names_new = False
        self._syncer.submit(job)
        return True

    def take_outcome(self, *, wait: bool = False) -> None:
        """
        Note what has come to be on the disk since.

        A `metadata.yaml` that cannot be renewed is no error: it is tried again at once, with the
        space of the reserve, and then once a second.

        Args:
            wait: Wait until what is being done is done.

        Raises:
            OSError: The disk refuses data; they are part of the next job again.

        """
        outcome = self._syncer.take_outcome(wait=wait)
        if outcome is None:
            return
        job, error = outcome.job, outcome.error
        for _ in range(outcome.ended):
            _, closed = self._ended.popleft()
            if closed is not None:
                self.rotated.append(closed)
        self.directory.note_unlinked(outcome.unlinked)
        if job.metadata and not outcome.is_metadata_durable:
            self._is_metadata_stale = True
        if error is None:
            self._metadata_failures = 0
            return
        if not outcome.is_data_durable:
            self._are_names_new = True
            self._is_dirty = self._is_dirty or job.open is self.segment is not None
            raise error
        if not isinstance(error, OSError):
            raise error
        self._metadata_failures += 1
        self._root.give_up_reserve()
        if self._metadata_failures > 1:
            self._metadata_retry_at = time.monotonic() + METADATA_RETRY_S
            reason = error.strerror or os.strerror(error.errno or 0)
            logger.warning('%s: metadata.yaml is not renewed: %s', self.directory.path, reason)

    def settle(self, *, may_unlink: bool = False) -> None:
        """
        Force everything to the disk, and wait until it is there.

        Raises:
            OSError: The disk refuses data.

        """
        self.take_outcome(wait=True)
        self._metadata_failures = 0
        self._metadata_retry_at = 0.0
        while self.submit(time.monotonic(), may_unlink=may_unlink, hurry=True):
            self.take_outcome(wait=True)

    def shut_down(self) -> None:
        """Note that the flight was closed, with its footer; `settle` makes it known."""
        self._is_shut_down = True
        self._is_metadata_stale = True

    def _metadata(self) -> list[bytes]:
        return self.directory.render(
            custom_data(
                self._header,
                self._ledger.totals(self.total_bytes),
                records_in_dropped=self._ledger.records_in_dropped,
                clean_shutdown=self._is_shut_down,
            )
        )

    # --- when the disk refuses -----------------------------------------------------------

    def give_up(self) -> int:
        """
        End the open segment as well as the disk allows, with the space of the reserve.

        Returns:
            How many records could not be written; they are counted.

        """
        segment, self.segment = self.segment, None
        if segment is None:
            return 0
        lost = segment.discard()
        for channel, records in lost.items():
            self._ledger.count_write_error(channel, records)
        self._root.give_up_reserve()
        self._unended = segment
        with suppress(OSError):
            self.end_given_up()
        self._is_metadata_stale = True
        return sum(lost.values())

    def end_given_up(self) -> None:
        """
        Complete the segment that was given up, if that has not been possible yet.

        Raises:
            OSError: It still is not.

        """
        if self._unended is not None:
            self._unended.end()
            self._take_in(self._unended, is_full=False)
            self._unended = None

    def close(self) -> None:
        """End the thread that syncs, and close all files as they are."""
        self._syncer.stop()
        self._crc_ahead.stop()
        ended = (segment for segment, _ in self._ended)
        for segment in (*ended, self._unended, self.segment):
            if segment is not None:
                segment.close()

    def undo(self) -> None:
        """Leave nothing of a flight that could not begin."""
        segment, self.segment = self.segment, None
        self.close()
        if segment is not None:
            segment.remove()
        self.directory.remove_if_empty()
