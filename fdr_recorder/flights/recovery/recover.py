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
Completes flights that were not closed: after a crash, a power cut or a full disk.

A flight that was not closed has no footer, or a segment without its summary, or a `metadata.yaml`
that does not name all segments. Recovery cuts each torn segment after its last whole record, keeps
what it cuts in a file beside the segment, appends the missing records, ends the flight with a
footer that says `clean_shutdown: false`, and renews `metadata.yaml`. Gaps stay where they are and
become a record that readers skip. Every step can be interrupted: the next recovery continues. A
closed flight is not touched, and none that somebody writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
import errno
from functools import partial
import logging
import os
from pathlib import Path
import time
from typing import Any

from fdr_recorder.errors import FlightInUseError, RecoveryStoppedError, SegmentError
from fdr_recorder.flights.directory import (
    damaged_files,
    DAMAGED_SUFFIX,
    directory_name,
    flight_directories,
    segment_files,
    SegmentFile,
)
from fdr_recorder.flights.in_use import held_alone
from fdr_recorder.flights.metadata_reader import Metadata, read_metadata
from fdr_recorder.flights.recovery.last_segment import are_all_ended, read_last_segment
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recount import Drops, find_drops, recounted_footer
from fdr_recorder.flights.recovery.recounted_topics import recounted_topics
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.flights.recovery.tails import keep_tail
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, Payload
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.counters import FlightCounters, Ledger
from fdr_recorder.storage.files import close_fd, sync_directory
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.locks import lock
from fdr_recorder.storage.segment import Segment

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecoveredFlight:
    """
    The result of a recovery.

    Attributes:
        path: Its directory.
        footer: Its footer.
        torn: Names of the segments that were torn.
        cut_bytes: Bytes that were cut from their ends.
        set_aside: Names of files that were no segments; `.damaged` follows their names now.
        seconds: How long it took.
        unreadable_bytes: Bytes in gaps; they stay in the segments.
        kept: Names of the files that have what was cut off the ends of segments.

    """

    path: Path
    footer: FlightFooter
    torn: tuple[str, ...]
    cut_bytes: int
    set_aside: tuple[str, ...]
    seconds: float
    unreadable_bytes: int = 0
    kept: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = {'sealed' if key == 'torn' else key: value for key, value in asdict(self).items()}
        return {**values, 'path': str(self.path)}


def needs_recovery(flight: Path) -> bool:
    """
    Tell whether a flight needs to be recovered; reads little of it.

    False for a directory without a segment, which is no flight.
    """
    segments = segment_files(flight)
    if not segments:
        return False
    try:
        metadata = read_metadata(flight)
        if not are_all_ended(segments, metadata):
            return True
        last = read_last_segment(segments[-1])
    except OSError:
        return True
    return last is None or not last.ends(metadata)


Failure = OSError | FlightInUseError


def _log_failure(flight: Path, error: Failure) -> None:
    logger.error('%s: not recovered: %s', flight, error)


def recover_root(
    root: FlightRoot,
    *,
    flights: Iterable[Path] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_failure: Callable[[Path, Failure], None] = _log_failure,
) -> Iterator[RecoveredFlight]:
    """
    Recover the flights of a root that were not closed, one after the other.

    A flight that cannot be recovered is skipped.

    Args:
        root: The owned root: no other writer is at work below it.
        flights: Which flights to look at; all that are there, if not given.
        should_stop: Asked between segments; True ends the recovery where it is.
        on_failure: Told which flight cannot be recovered, and why; logs it, if not given.

    """
    for flight in flight_directories(root.path) if flights is None else flights:
        try:
            recovered = recover_flight(flight, should_stop=should_stop, root=root)
        except RecoveryStoppedError:
            return
        except (OSError, FlightInUseError) as error:
            on_failure(flight, error)
            continue
        if recovered is not None:
            yield recovered


def recover(path: Path | str) -> list[RecoveredFlight]:
    """
    Recover a flight, or every flight of a flight root that was not closed; own the root meanwhile.

    Args:
        path: A flight's directory or a flight root.

    Raises:
        FlightRootError: The root is missing, read-only, or in use by a writer.
        FlightInUseError: A flight, or one of its segments, is being written; it is left alone. All
            other flights have been recovered.
        OSError: A file cannot be read or written. All other flights have been recovered.

    """
    path = Path(path).expanduser().resolve()  # the root in which it really is
    is_flight = bool(path.is_dir() and segment_files(path))
    failures: dict[Path, Failure] = {}
    with FlightRoot.acquire(path.parent if is_flight else path, owner='fdr recover') as root:
        flights = [path] if is_flight else None
        recovered = list(recover_root(root, flights=flights, on_failure=failures.__setitem__))
    if failures:
        raise next(iter(failures.values()))
    return recovered


def recover_flight(
    flight: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    root: FlightRoot | None = None,
) -> RecoveredFlight | None:
    """
    Recover one flight, whose root must be owned by the caller; hold it alone meanwhile.

    On a full disk it gives up the reserve that a former recorder has left in `root`, if that is
    given; not that of a flight which is being recorded.

    Args:
        flight: Its directory.
        should_stop: Asked between segments; True ends the recovery where it is.
        root: Its root.

    Returns:
        The result; None if the flight is closed, or nothing in it can be read as a segment.

    Raises:
        FlightInUseError: The flight, or one of its segments, is being written; it is left alone.
        OSError: A file cannot be read or written, or the file system has no locks.
        RecoveryStoppedError: `should_stop` said so.

    """
    try:
        return _recover_flight(flight, should_stop)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not is_full or root is None or root.has_reserve or not root.give_up_reserve():
            raise
    return _recover_flight(flight, should_stop)


def _recover_flight(flight: Path, should_stop: Callable[[], bool]) -> RecoveredFlight | None:
    if should_stop():
        raise RecoveryStoppedError
    if not needs_recovery(flight):
        return None
    with held_alone(flight):
        return _change_flight(flight, should_stop)


def _change_flight(flight: Path, should_stop: Callable[[], bool]) -> RecoveredFlight | None:
    if not needs_recovery(flight):  # closed or recovered before it could be held
        return None
    started_at = time.monotonic()
    work = _Work(flight, read_metadata(flight))
    for segment in segment_files(flight):
        if should_stop():
            raise RecoveryStoppedError
        work.take(segment)
    if not work.segments:
        return None
    return RecoveredFlight(
        flight,
        work.finish(),
        tuple(work.torn),
        work.cut_bytes,
        tuple(work.set_aside),
        time.monotonic() - started_at,
        work.unreadable_bytes,
        tuple(work.kept),
    )


@dataclass
class _Work:
    """
    A flight that is being recovered.

    What `metadata` lists was certainly synced; this recovery wrote the ends of those in `_ended`.
    """

    flight: Path
    metadata: Metadata
    segments: list[SegmentContents] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    cut_bytes: int = 0
    unreadable_bytes: int = 0
    kept: list[str] = field(default_factory=list)
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
        segment.append(_own_channel(contents, FlightHeader), [record], force=True)
        segment.flush()

    def _end(self, contents: SegmentContents) -> None:
        with closing(self._restore(contents)) as segment:
            contents.size = segment.finish().bytes
        contents.is_closed = True
        self._ended.add(contents.index)

    def finish(self) -> FlightFooter:
        """Write the footer if there is none, and renew `metadata.yaml`."""
        self.damaged = damaged_files(self.flight)
        self.drops = find_drops(self.metadata.counters, self.segments, self.damaged)
        last = self.segments[-1]
        footer = self._last_footer(last) or self._write_footer(last)
        sync_directory(self.flight)
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
        directory.commit(data)
        return footer

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
        if not last.is_closed:
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
        others = sum(contents.size for contents in self.segments[:-1])
        time_ns = max(last.found.last_log_time_ns, 1)
        topics = recounted_topics(self.segments, time_ns)
        with closing(self._restore(last)) as segment:
            channel = _own_channel(last, FlightFooter)
            recount = partial(
                recounted_footer, self.segments, self._header(), self.drops, topics,
                damaged=self.damaged, ended_at_ns=time_ns,
            )
            size = len(encode(recount(bytes_present=0)))
            finished_size = segment.finished_size(more_channel=channel, more_bytes=size)
            footer = recount(bytes_present=others + finished_size)
            record = (time_ns, time_ns, 0, encode(footer), 0)
            segment.append(channel, [record], force=True)
            last.size = segment.finish().bytes
        last.is_closed = True
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


def _own_channel(contents: SegmentContents, payload_type: type[Payload]) -> Channel:
    """Return the channel for one kind of own records: the segment's, if it has one."""
    channel = Ledger().own_account(payload_type).channel
    for known in contents.found.counts:
        if known.topic == channel.topic and known.schema == channel.schema:
            return known
    return channel
