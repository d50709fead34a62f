"""The segments of a flight, one after the other: which is open, when it is synced, what is kept.

`SegmentLog` owns the open segment and the flight's directory. Its methods raise `OSError` where
the disk refuses; `give_up` then leaves everything as good as it can be.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import RECORD_SCHEMA_VERSION, FlightHeader, SegmentRollover
from fdr_recorder.record.schema import encode
from fdr_recorder.storage.bag_metadata import custom_data
from fdr_recorder.storage.counters import Ledger, ProducerAccount
from fdr_recorder.storage.flight import FlightDirectory, segment_name, sync_directory
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.segment import ClosedSegment, Segment
from fdr_recorder.version import __version__

logger = logging.getLogger(__name__)


class SegmentLog:
    """The segments of one flight. Used by the writer's thread alone.

    Attributes:
        directory: The flight's directory, with the closed segments.
        segment: The open segment; None before the first and while the disk refuses.
        has_data: Whether the open segment holds more than every segment begins with.

    """

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        ledger: Ledger,
    ) -> None:
        """Create the flight's directory; no segment yet.

        Raises:
            FlightIdInvalidError: The id cannot be a name.
            FlightExistsError: There is a flight of that id.
            FlightStorageError: The file system refuses.

        """
        self.directory = FlightDirectory.create(
            root.path, header.flight_id, ros_distro=header.ros_distro
        )
        self.segment: Segment | None = None
        self.has_data = False
        self._root = root
        self._header = header
        self._config = config
        self._ledger = ledger
        self._latched: dict[ProducerAccount, QueuedRecord] = {}
        self._next_index = 0
        self._unsealed: Segment | None = None
        """Given up, and even its end was refused; sealed as soon as the disk allows."""
        self._synced_at = time.monotonic()
        self._is_dirty = False
        self._is_metadata_stale = False
        self._is_name_durable = False
        """Whether a power cut cannot take the open segment's name from the directory."""

    @property
    def newest_index(self) -> int:
        """Number of the newest segment."""
        return self._next_index - 1

    @property
    def total_bytes(self) -> int:
        """Size of all segments that are there, the open one included."""
        not_closed = (self.segment, self._unsealed)
        return self.directory.closed_bytes + sum(
            segment.size for segment in not_closed if segment is not None
        )

    # --- records -------------------------------------------------------------------------

    def append(
        self, segment: Segment, channel: Channel, batch: Sequence[QueuedRecord], position: int
    ) -> int:
        """Take records into the open segment, in memory; see `Segment.append`."""
        after = segment.append(channel, batch, position, force=not self.has_data)
        self.has_data = self.has_data or after > position
        return after

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
        segment = Segment(
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
        self.segment = segment
        self.has_data = False
        self._next_index += 1
        self._is_dirty = True
        self._is_name_durable = False

    def _repeat_latched(self, segment: Segment, now_ns: int) -> list[ProducerAccount]:
        """Take the latched messages again, as many as half of a segment has room for.

        All in one chunk: either the segment begins with all of them or there is no segment.
        """
        repeated = []
        limit = self._config.segment_size_bytes // 2
        for account, (_, publish_time_ns, sequence, data, _) in self._latched.items():
            size = segment.sealed_size(more_channel=account.channel, more_bytes=len(data))
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

    def sync(self) -> None:
        """Force what was written to the disk."""
        self._synced_at = time.monotonic()
        if self._is_dirty and self.segment is not None:
            self.segment.sync()
            self._is_dirty = False
        if self._is_metadata_stale:
            self.commit()
        if self.segment is not None and not self._is_name_durable:
            sync_directory(self.directory.path)
            self._is_name_durable = True

    def is_sync_due(self, now: float) -> bool:
        """Tell whether the last sync is `sync_interval_s` ago."""
        return now - self._synced_at >= self._config.sync_interval_s

    def rotate(self) -> ClosedSegment:
        """Close the open segment because it is full, and open the next."""
        closed = self.close_segment()
        self._ledger.rollover_count += 1
        try:
            self.open_next()
        except OSError:
            self.commit()
            raise
        return closed

    def close_segment(self) -> ClosedSegment:
        """Seal the open segment."""
        assert self.segment is not None
        closed = self.segment.seal()
        self.segment = None
        self._is_dirty = False
        self.directory.add(closed)
        return closed

    def drop_oldest(self, cap_bytes: int) -> SegmentRollover:
        """Drop the oldest closed segment; its file goes with a `commit` that unlinks.

        Args:
            cap_bytes: The limit that asked for it, for the record.

        Returns:
            The record that says so, for the caller to write.

        """
        before = self.total_bytes
        segment = self.directory.drop_oldest()
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

    def commit(self, *, clean_shutdown: bool = False, unlink: bool = False) -> None:
        """Renew `metadata.yaml`. Never raises.

        On a full disk with the space of the reserve; if that does not help, with a later `sync`.

        Args:
            clean_shutdown: Whether the flight was closed, with its footer.
            unlink: Remove the files of dropped segments, too.

        """
        counters = self._ledger.totals(self.total_bytes)
        data = custom_data(
            self._header,
            counters,
            records_in_dropped=self._ledger.records_in_dropped,
            clean_shutdown=clean_shutdown,
        )
        self._is_metadata_stale = True
        for _ in range(2):
            try:
                self.directory.commit(data, unlink=unlink)
            except OSError as error:
                self._root.give_up_reserve()
                reason = error.strerror or os.strerror(error.errno or 0)
            else:
                self._is_metadata_stale = False
                self._is_name_durable = True
                return
        logger.warning('%s: metadata.yaml is not renewed: %s', self.directory.path, reason)

    # --- when the disk refuses -----------------------------------------------------------

    def give_up(self) -> int:
        """End the open segment as well as the disk allows, with the space of the reserve.

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
        self._unsealed = segment
        with suppress(OSError):
            self.seal_given_up()
        self.commit()
        return sum(lost.values())

    def seal_given_up(self) -> None:
        """Seal the segment that was given up, if that has not been possible yet.

        Raises:
            OSError: It still is not.

        """
        if self._unsealed is not None:
            closed = self._unsealed.seal()
            self._unsealed = None
            self.directory.add(closed)

    def let_go(self) -> None:
        """Close all files as they are."""
        for segment in (self.segment, self._unsealed):
            if segment is not None:
                segment.close()

    def undo(self) -> None:
        """Leave nothing of a flight that could not begin."""
        segment, self.segment = self.segment, None
        if segment is not None:
            segment.remove()
        self.directory.remove_if_empty()
