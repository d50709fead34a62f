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
The segments of a flight, one after the other: opening, rotating, ending, dropping them.

A segment is first *ended* (its summary is written), then *closed* once `Durability` has forced all
of it to the disk. Methods raise `OSError` where the disk refuses; `give_up` then ends the open
segment as well as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
import logging
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import NO_CLOCK, steady_now, SteadyClock
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    RECORD_SCHEMA_VERSION,
    SegmentRollover,
)
from fdr_recorder.record.record_parts import TopicActivity
from fdr_recorder.record.requested import Told
from fdr_recorder.record.segment_names import segment_name
from fdr_recorder.storage.access import access_of
from fdr_recorder.storage.bag_metadata import CLOSED, custom_data, NOT_CLOSED
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import FlightCounters, Ledger, ProducerAccount
from fdr_recorder.storage.crc_ahead import CrcAhead
from fdr_recorder.storage.durability import Durability
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.invalid_records import InvalidRecords
from fdr_recorder.storage.latched_repeats import LatchedRepeats
from fdr_recorder.storage.sealing import begin_sealing
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.told_records import rollover_of
from fdr_recorder.version import __version__

logger = logging.getLogger(__name__)

GONE_CAP_BYTES: Final = 0  # of a segment that no limit has dropped, but another program

HEADER_SHARE: Final = 8  # a larger part of a segment is no header that tells of topics


class SegmentLog:
    """
    The segments of one flight. Used by the writer's thread alone.

    Attributes:
        directory: The flight's directory, with its closed segments.
        durability: Forces segments and `metadata.yaml` to the disk.
        segment: The open segment; None before the first and while the disk refuses.
        announce: Tells the CRC thread which records will be appended next.
        root: The flight root.
        header: The flight's header, with the options as they are now.
        config: Sizes, intervals and limits; replaced as a whole, by any thread.
        ledger: The flight's accounts.
        told: What was told of what the header asks for.
        ended_ns: Log time at which the flight has ended; 0 before.
        latched: The messages that each segment begins with.
        clock: Dates the records.
        sealer: Makes the seals; None unless the flight is sealed.
        newest_index: Number of the newest segment; -1 before the first.
        lost_rollovers: Records of drops that failed syncs have lost: number of the segment that
            they were in, and how many.

    """

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        invalid: InvalidRecords,
        clock: SteadyClock = NO_CLOCK,
        alerts: AlertBoard | None = None,
    ) -> None:
        """Create the flight's directory, no segment yet; raises as `FlightDirectory.create`."""
        self.directory = FlightDirectory.create(
            root.path,
            header.flight_id,
            ros_distro=header.ros_distro,
            bag_version=config.bag_version,
            access=access_of(config),
        )
        self.segment: Segment | None = None
        self.newest_index = -1
        self.root = root
        self.header = header = replace(header, flight_number=root.flight_numbers.take())
        self.sealer = begin_sealing(config.seal, root.path, header, alerts or AlertBoard())
        if self.sealer is not None:
            self.header = replace(header, signing_key_rotation_event=self.sealer.opening.text)
            self.directory.sign_sums = self.sealer.sign_sums
            self.sealer.counters, self.sealer.now_ns = self.counters, clock.now_ns
        self.ledger = Ledger()
        self.told = Told(self.header.requested)
        self.ended_ns = 0
        self.config = config
        self.latched = LatchedRepeats(clock, config.segment_size_bytes)
        self.clock = clock
        self._invalid = invalid
        self._unended: list[tuple[Segment, bool]] = []
        """Segments before the open one that are not ended yet, and whether they were full."""
        self._crc_ahead = CrcAhead()
        self.announce = self._crc_ahead.announce
        self._is_shut_down = False
        self.lost_rollovers: list[tuple[int, int]] = []
        self.durability = Durability(
            self.directory, root, config, self._custom_data, self._count_lost
        )

    @property
    def total_bytes(self) -> int:
        """Size of all segments that were not dropped, the open one included."""
        return self.directory.closed_bytes + sum(segment.size for segment in self._unlisted())

    def _unlisted(self) -> list[Segment]:
        """Return the segments that are not ended."""
        previous = [segment for segment, _ in self._unended]
        return previous + ([self.segment] if self.segment is not None else [])

    def counters(self) -> FlightCounters:
        """Return the counters as they are now."""
        return self.ledger.totals(self.total_bytes)

    # --- records -------------------------------------------------------------------------

    @property
    def has_data(self) -> bool:
        """Whether the open segment holds more than its header and repeated messages."""
        return self.segment is not None and self.segment.has_data

    def _refuse_invalid(self, channel: Channel, records: int) -> None:
        account = self.ledger.account_of(channel)
        self._invalid.refuse(account, records, 'the data are not bytes')

    def _count_lost(self, index: int, channel: Channel, records: int) -> None:
        self.ledger.count_lost(channel, records)
        if channel is self.ledger.own_account(SegmentRollover).channel:
            self.lost_rollovers.append((index, records))

    # --- segments ------------------------------------------------------------------------

    def open_next(self) -> None:
        """Create the next segment, and write its header and the latched messages."""
        config = self.config
        self.directory.remove_unbegun()
        index = self.directory.next_number(self.newest_index)
        name = segment_name(index)
        sealer = self.sealer.for_segment(index) if self.sealer else None
        segment = Segment.create(
            self.directory.path / name,
            index=index,
            max_bytes=config.segment_size_bytes,
            chunk_size_bytes=config.chunk_size_bytes,
            compression=config.compression,
            metadata={
                'flight_id': self.header.flight_id,
                'segment_index': str(index),
                'record_schema_version': RECORD_SCHEMA_VERSION,
                'software_version': __version__,
            },
            on_written=self.ledger.count_written,
            on_invalid=self._refuse_invalid,
            crc=self._crc_ahead.crc32,
            clock=self.clock,
            keeps_parts=True,
            dir_fd=self.directory.fd,
            bag_version=self.directory.bag_version,
            sealer=sealer,
        )
        own = self.ledger.own_account(FlightHeader)
        now_ns = steady_now()
        header = (now_ns, now_ns, own.offered, self._encoded_header(), 0)
        try:
            segment.append(own.channel, [header], force=True)
            repeated = self.latched.append_to(segment, now_ns)
            segment.flush()
        except BaseException:
            if not segment.remove():
                self.directory.unbegun.append(name)
            raise
        own.count_own()
        if self.sealer and sealer:
            self.sealer.begun(sealer)
        for account in repeated:
            account.repeated += 1
        segment.repeated = len(repeated)
        segment.has_data = False
        self.segment = segment
        self.newest_index = index
        self.latched.begun_ns = now_ns
        self.durability.has_new_names = True

    def _encoded_header(self) -> bytes:
        """Encode the header of the next segment; what became of topics outlives cap and crash."""
        if self.newest_index >= 0:
            topics = self.topics()
            requested = self.told.became(topics, is_over=False)
            data = encode(replace(self.header, requested=requested, topics=topics))
            if len(data) <= self.config.segment_size_bytes // HEADER_SHARE:
                return data
        return encode(self.header)

    def topics(self) -> tuple[TopicActivity, ...]:
        """Return what is known of each topic, records included that are not in the file yet."""
        waiting = [segment.waiting() for segment in self._unlisted()]
        return tuple(self.ledger.topics(self.ended_ns or self.clock.now_ns(), waiting))

    def flush(self) -> None:
        """Write the open chunk."""
        if self.segment is not None:
            self.segment.flush()

    def rotate(self) -> None:
        """
        Open the next segment, and end the open one because it is full.

        If the next cannot be opened, the open one stays as it is.
        """
        previous = self.segment
        assert previous is not None
        self.open_next()
        self._unended.append((previous, True))
        self.ledger.rollover_count += 1
        self._end(previous)
        self.durability.submit(self.segment, time.monotonic())  # both names at once

    def end_segment(self) -> None:
        """End the open segment; it is closed once it is on the disk."""
        assert self.segment is not None
        self._unended.append((self.segment, False))
        segment, self.segment = self.segment, None
        self._end(segment)

    @property
    def has_unended(self) -> bool:
        """Whether segments that were open before could not be ended yet."""
        return bool(self._unended)

    def end_previous(self, *, leave_bad: bool = False) -> None:
        """
        End the segments that were open before, if that has not been possible yet.

        Args:
            leave_bad: Whether those may stay as they are that the disk refuses to end although
                it has taken a newer one.

        """
        for segment, _ in list(self._unended):
            try:
                self._end(segment)
            except OSError:
                if not leave_bad or segment.index == self.newest_index:
                    raise

    def _end(self, segment: Segment) -> None:
        segment.end()
        is_full = next(full for unended, full in self._unended if unended is segment)
        self._unended.remove((segment, is_full))
        self.durability.add_ended(segment, is_full=is_full)

    def drop_oldest(self, cap_bytes: int) -> SegmentRollover:
        """
        Drop a segment as `FlightDirectory.drop_oldest`; `Durability` unlinks its file later.

        Returns the record of the drop, for the caller to write.
        """
        before = self.total_bytes
        segment = self.directory.drop_oldest()
        return self._count_dropped(segment, before, cap_bytes)

    def _count_dropped(
        self, segment: ClosedSegment, before: int, cap_bytes: int
    ) -> SegmentRollover:
        self.durability.is_metadata_stale = True
        self.ledger.count_dropped(segment, is_removed=cap_bytes == GONE_CAP_BYTES)
        size, flight_id = self.config.segment_size_bytes, self.header.flight_id
        return rollover_of(segment, flight_id, before, cap_bytes, size)

    def begin_anew(
        self, discard: Callable[[ProducerAccount, Sequence[QueuedRecord]], None]
    ) -> list[SegmentRollover]:
        """
        Make the directory again, which is gone with all segments; the next is not opened yet.

        Records that are in no file are given to `discard`.

        Returns:
            For each segment the record that it is gone, for the caller to write.

        """
        with suppress(OSError):
            if self.segment is not None:
                self.end_segment()
        for account, batch in self.give_up():
            discard(account, batch)
        with suppress(OSError):  # of a stale mount, which takes nothing more
            self.end_previous()
        self.directory.make_anew()
        for unended, _ in self._unended:
            self.directory.add(unended.closed())
            unended.close()
        self._unended.clear()
        gone = []
        while self.directory.closed_segments:
            before = self.total_bytes
            segment = self.directory.drop_oldest(is_gone=True)
            self.durability.seals.extend(filter(None, [segment.last_seal]))
            gone.append(self._count_dropped(segment, before, GONE_CAP_BYTES))
        self.directory.dropped.clear()
        self.durability.is_metadata_stale = True
        self.durability.are_pins_stale = bool(self.directory.pins)
        self.durability.forget_ended()
        return gone

    def take_out_removed(self) -> list[SegmentRollover]:
        """
        Take out segments whose files another program has removed; the open one is ended.

        Returns:
            For each the record that it is gone, for the caller to write.

        """
        durability, gone = self.durability, []
        removed, durability.removed = durability.removed, []
        unlinked, durability.unlinked_open = durability.unlinked_open, None
        if unlinked is not None and unlinked.is_unlinked:
            if unlinked is self.segment:
                self.end_segment()
            removed.append(unlinked.index)
        listed = self.directory.missing((), self.newest_index) if removed else []
        for index in sorted({*removed}.intersection(listed)):
            before = self.total_bytes
            durability.forget(index)
            gone.append(
                self._count_dropped(self.directory.remove(index), before, GONE_CAP_BYTES)
            )
        return gone

    # --- the end -------------------------------------------------------------------------

    def end(self) -> None:
        """Note that the flight ends now: the time until it is closed is no silence of topics."""
        self.ended_ns = self.ended_ns or self.clock.now_ns()
        self.told.end()

    def shut_down(self, *, is_clean: bool = True) -> None:
        """Have `metadata.yaml` say that the flight was closed, once its footer is synced."""
        self._is_shut_down = is_clean
        self.durability.is_metadata_stale = True

    @property
    def is_closed(self) -> bool:
        """
        Whether the flight is closed for whoever reads it.

        It is if both the footer and `metadata.yaml`, which names all segments that are there, say
        so on the disk.
        """
        durability = self.durability
        is_told = not (durability.is_metadata_stale or durability.are_pins_stale)
        is_told = is_told and not (durability.seals or self.directory.dropped)
        return self._is_shut_down and is_told

    @property
    def has_footer(self) -> bool:
        """Whether the footer is written, and not lost since."""
        return self.ledger.own_account(FlightFooter).written > 0

    def take_back_footer(self) -> None:
        """Cut off the footer: the disk refuses to sync it."""
        self.durability.take_back_last()

    def begin_metadata(self) -> None:
        """Have `metadata.yaml` say that the flight is not closed, before there is a segment."""
        self.directory.replace_metadata(self.directory.render(self._custom_data()))

    def _custom_data(self) -> Mapping[str, str]:
        return custom_data(
            self.header,
            self.counters(),
            records_in_dropped=self.ledger.records_in_dropped,
            records_in_removed=self.ledger.records_in_removed,
            ended=CLOSED if self._is_shut_down else NOT_CLOSED,
        )

    # --- when the disk refuses -----------------------------------------------------------

    def give_up(self) -> list[tuple[ProducerAccount, list[QueuedRecord]]]:
        """
        End the open segment as well as the disk allows, using the space of the reserve.

        Returns:
            The records of the open chunk, by producer, if that could not be written.

        """
        if self.segment is not None:
            self._unended.append((self.segment, False))
            self.segment = None
        if not self._unended:
            return []
        self.root.give_up_reserve()
        self.durability.is_metadata_stale = True
        with suppress(OSError):
            self.end_previous()
        waiting = [
            (self.ledger.account_of(channel), batch)
            for segment, _ in self._unended
            for channel, batch in segment.take_back()
        ]
        with suppress(OSError):
            self.end_previous()
        return waiting

    def close(self) -> None:
        """End all threads, and close all files as they are."""
        self.durability.close()
        self._crc_ahead.stop()
        for segment in self._unlisted():
            segment.close()
        self.directory.close()

    def undo(self) -> None:
        """Remove all of a flight that could not begin."""
        segment, self.segment = self.segment, None
        if segment is not None:
            segment.remove()
        self.close()
        self.directory.remove_if_empty()
