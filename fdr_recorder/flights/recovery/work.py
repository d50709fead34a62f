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
Recovers one flight that is held alone: completes its segments, one after the other, and ends it.

In a sealed flight no byte up to a segment's last seal changes: what would need that is left as it
is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.directory import (
    damaged_files,
    DAMAGED_SUFFIX,
    directory_name,
    segment_files,
    SegmentFile,
)
from fdr_recorder.flights.metadata_reader import Metadata
from fdr_recorder.flights.recovery.added_segment import (
    added_segment,
    begin_sealing,
    commit_signed,
    Identify,
    is_sealed,
    own_channel,
    sums_of,
    would_change_sealed,
)
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recount import Drops, find_drops, recounted_footer
from fdr_recorder.flights.recovery.recounted_topics import recounted_topics
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.flights.recovery.tails import keep_tail
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.offered_qos import bag_version_for
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.storage.files import close_fd, sync_directory
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.locks import lock
from fdr_recorder.storage.segment import Segment

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.recovery_sealer import RecoverySealer

logger = logging.getLogger(__name__)


@dataclass
class Work:
    """
    A flight that is being recovered.

    What `metadata` lists was certainly synced; this recovery wrote the ends of those in `_ended`.
    """

    flight: Path
    metadata: Metadata
    identify: Identify
    segments: list[SegmentContents] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    cut_bytes: int = 0
    unreadable_bytes: int = 0
    kept: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    added: str = ''
    signed_by: str = ''
    drops: Drops = field(default_factory=Drops)
    damaged: list[SegmentFile] = field(default_factory=list)
    _ended: set[int] = field(default_factory=set)

    def take(self, segment: SegmentFile) -> None:
        """Read the next segment; complete the one before if it is torn."""
        try:
            was_synced = not self.metadata.counters or segment.path.name in self.metadata.segments
            started_ns = next((item.started_ns for item in self.segments if item.header), 0)
            contents = read_contents(
                segment.path, segment.index, was_synced=was_synced, started_ns=started_ns
            )
        except SegmentError as error:
            if self._is_unused(segment):
                segment.path.unlink()
                return
            logger.warning('%s; set aside as %s%s', error, segment.path.name, DAMAGED_SUFFIX)
            segment.path.rename(segment.path.with_name(segment.path.name + DAMAGED_SUFFIX))
            self.set_aside.append(segment.path.name)
            return
        if self.segments and not self.segments[-1].is_closed:
            self._end(self.segments[-1])
        self.segments.append(contents)

    def _is_unused(self, segment: SegmentFile) -> bool:
        """Tell whether it is the next segment, opened ahead, to which nothing was written."""
        return (
            segment.path.name not in self.metadata.segments
            and segment.path.stat().st_size == 0
            and segment == segment_files(self.flight)[-1]
        )

    def _restore(self, contents: SegmentContents) -> Segment:
        """Open a segment to go on at the end of its data; what is behind it was kept before."""
        if contents.index not in self._ended:
            name = keep_tail(contents.path, contents.data_end)
            self.kept += [name] if name else []
        if not contents.is_closed:
            self.torn.append(contents.path.name)
            self.cut_bytes += contents.size - contents.data_end
            self.unreadable_bytes += contents.unreadable_bytes
            if contents.patches:
                _patch(contents.path, contents.patches)
        segment = Segment.restore(
            contents.path,
            index=contents.index,
            contents=contents.found,
            size=contents.data_end,
            missing=contents.missing,
        )
        if not contents.records:
            try:
                self._write_header(segment, contents)
            except OSError:
                segment.close()
                raise
        return segment

    def _write_header(self, segment: Segment, contents: SegmentContents) -> None:
        """Write a flight header to a segment without a whole chunk."""
        header = self._header()
        times = (
            other.found.last_log_time_ns
            for other in self.segments
            if other.index < contents.index
        )
        time_ns = max(header.flight_started_at_ns, 1, *times)
        record = (time_ns, time_ns, 0, encode(header), 0)
        segment.append(own_channel(FlightHeader, contents), [record], force=True)
        segment.flush()

    def _end(self, contents: SegmentContents) -> None:
        if contents.is_closed or contents.index in self._ended:
            return
        if is_sealed(self.flight, self.segments) and would_change_sealed(contents):
            logger.warning(
                '%s: sealed bytes in it cannot be read; it is left as it is', contents.path
            )
            self.torn.append(contents.path.name)
            self.left.append(contents.path.name)
            self._ended.add(contents.index)
            return
        with closing(self._restore(contents)) as segment:
            contents.size = segment.finish().bytes
        contents.is_closed = True
        self._ended.add(contents.index)

    def finish(self) -> FlightFooter:
        """Write the footer if there is none, and renew `metadata.yaml`."""
        self.damaged = damaged_files(self.flight)
        self.drops = find_drops(self.metadata.counters, self.segments, self.damaged)
        last = self.segments[-1]
        must_add = is_sealed(self.flight, self.segments)
        with self._signer(is_needed=must_add) as sealer:
            footer = self._last_footer(last)
            if footer is None:
                footer = self._add_footer(sealer) if must_add else self._write_footer(last)
            sync_directory(self.flight)
            self._commit(footer, sealer)
        return footer

    @contextmanager
    def _signer(self, *, is_needed: bool) -> Iterator[RecoverySealer | None]:
        """Yield what signs for whoever recovers; None if nobody does."""
        identity = self.identify() if is_needed else None
        if identity is None:
            yield None
            return
        with identity:
            self.signed_by = identity.fingerprint
            sealer = begin_sealing(identity, self.flight, self.segments, self._header())
        try:
            yield sealer
        finally:
            sealer.wipe()

    def _commit(self, footer: FlightFooter, sealer: RecoverySealer | None) -> None:
        """Renew `metadata.yaml`; if somebody signs, SHA256SUMS with it."""
        header = self._header()
        version = self.metadata.bag_version
        directory = FlightDirectory(self.flight, header.ros_distro, bag_version=version)
        for contents in self.segments:
            directory.add(contents.closed())
        data = bag_metadata.custom_data(
            header,
            FlightCounters.in_footer(footer),
            records_in_dropped=self.drops.records,
            records_in_removed=self.drops.records_removed,
            ended=bag_metadata.CLOSED if footer.clean_shutdown else bag_metadata.RECOVERED,
        )
        if sealer is None:
            directory.commit(data)
            return
        directory.sign_sums = sealer.sign_sums
        sums = sums_of(self.flight, self.segments)
        commit_signed(self.flight, directory, directory.render(data), sums)

    def _header(self) -> FlightHeader:
        headers = (contents.header for contents in self.segments if contents.header is not None)
        return next(headers, FlightHeader(flight_id=directory_name(self.flight)))

    def _last_footer(self, last: SegmentContents) -> FlightFooter | None:
        """
        Return the footer if it is there and right; complete its segment if that is torn.

        It is wrong if the recorder was killed before it had removed segments that the footer
        counts as dropped, or if a power cut lost data before it.
        """
        footer = last.footer
        if footer is None:
            return None
        self._end(last)
        size = sum(contents.size for contents in self.segments)
        records = sum(contents.records for contents in self.segments) + self.drops.records
        is_short = (
            footer.segments_dropped == self.drops.segments and footer.records_written > records
        )
        is_true = footer.bytes_written == size + footer.bytes_dropped and not is_short
        return footer if is_true else None

    def _write_footer(self, last: SegmentContents) -> FlightFooter:
        """Write a footer with recounted counters, as the writer does, in one pass."""
        with closing(self._restore(last)) as segment:
            footer = self._append_footer(segment, last)
            last.size = segment.finish().bytes
        last.is_closed = True
        return footer

    def _add_footer(self, sealer: RecoverySealer | None) -> FlightFooter:
        """Write the footer to a segment of its own: no sealed byte changes."""
        self._end(self.segments[-1])
        headers = [item.header for item in self.segments if item.header is not None]
        header = headers[-1] if headers else self._header()
        times = (item.found.last_log_time_ns for item in self.segments)
        time_ns = max(header.flight_started_at_ns, 1, *times)
        version = self.metadata.bag_version or bag_version_for(header.ros_distro)
        with added_segment(
            self.flight, header, time_ns, bag_version=version, sealer=sealer
        ) as added:
            self.segments.append(added.contents)
            footer = self._append_footer(added.segment, added.contents)
            if sealer is not None:
                sealer.counters, sealer.log_time = footer, time_ns
            self.segments[-1] = added.finish()
        self.added = self.segments[-1].path.name
        return footer

    def _append_footer(self, segment: Segment, last: SegmentContents) -> FlightFooter:
        """Append a footer to the last segment, to which nothing but its end follows."""
        others = sum(contents.size for contents in self.segments[:-1])
        time_ns = max(last.found.last_log_time_ns, 1)
        topics = recounted_topics(self.segments, time_ns)
        channel = own_channel(FlightFooter, last)
        recount = partial(
            recounted_footer, self.segments, self._header(), self.drops, topics,
            damaged=self.damaged, ended_at_ns=time_ns,
        )
        size = len(encode(recount(bytes_present=0)))
        finished_size = segment.finished_size(more_channel=channel, more_bytes=size)
        footer = recount(bytes_present=others + finished_size)
        record = (time_ns, time_ns, 0, encode(footer), 0)
        segment.append(channel, [record], force=True)
        return footer


def _patch(path: Path, patches: Iterable[tuple[int, bytes]]) -> None:
    """
    Write over bytes of a file that cannot be read, and sync the file.

    All else relies on that. If it is interrupted, the next recovery repeats it.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        lock(fd)
        for offset, data in patches:
            left = memoryview(data)
            while left:
                left = left[os.pwrite(fd, left, offset + len(data) - len(left)):]
        os.fsync(fd)
    finally:
        close_fd(fd)
