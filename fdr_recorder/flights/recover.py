"""Makes flights whole that were not closed: a crash, a power cut, a disk that was full.

An unclean flight has no footer, or a segment without its summary, or a `metadata.yaml` that does
not name all segments. Recovering it cuts each torn segment behind its last whole record, appends
what belongs there, ends the flight with a footer that says `clean_shutdown: false`, and renews
`metadata.yaml`. Every step can be interrupted: the next recovery finds a flight that is unclean
still, and goes on. A flight that is clean is not touched.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.contents import SegmentContents, read_contents
from fdr_recorder.flights.reader import SegmentFile, segment_files
from fdr_recorder.flights.segment_reader import SegmentReader
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.identity import iso_time
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    Overrun,
    Payload,
    ProducerCounters,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.record.schema import encode
from fdr_recorder.storage import bag_metadata, mcap
from fdr_recorder.storage.counters import FlightCounters, Ledger
from fdr_recorder.storage.flight import FlightDirectory, sync_directory
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.segment import Segment

logger = logging.getLogger(__name__)

DAMAGED_SUFFIX: Final = '.damaged'
_SEGMENT_NAME = re.compile(r'"(segment_\d+\.mcap)"')
_MAX_METADATA_BYTES: Final = 64 << 20
"""That of a flight of 64 GiB, in the smallest segments that there are, is not larger by far."""
_COUNTER = re.compile(r'^    (\w+): "(\d{1,19})"$', re.MULTILINE)
_MAX_COUNT: Final = (1 << 63) - 1
_PayloadT = TypeVar('_PayloadT', bound=Payload)
_FOOTER_TOPIC: Final = FlightFooter.channel_topic()


@dataclass(frozen=True)
class RecoveredFlight:
    """What was done to a flight.

    Attributes:
        path: Its directory.
        footer: The footer it ends with now.
        sealed: Names of the segments that were torn.
        cut_bytes: How many bytes of them were not whole.
        set_aside: Names of files that are no segments; they have `.damaged` behind their names.
        seconds: How long it took.

    """

    path: Path
    footer: FlightFooter
    sealed: tuple[str, ...]
    cut_bytes: int
    set_aside: tuple[str, ...]
    seconds: float


class RecoveryStoppedError(Exception):
    """`should_stop` said so; nothing is lost, the next recovery goes on."""


def flight_directories(root: Path) -> list[Path]:
    """List what may be flights below a flight root, by name; links are left out.

    Raises:
        OSError: The root cannot be read.

    """
    return sorted(
        path
        for path in root.iterdir()
        if FLIGHT_ID_PATTERN.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def is_unclean(flight: Path) -> bool:
    """Tell whether a flight needs to be recovered; reads little of it.

    A directory without any segment is no flight, and clean.
    """
    segments = segment_files(flight)
    if not segments:
        return False
    named, counters = read_metadata(flight)
    if named != {segment.path.name for segment in segments}:
        return True
    try:
        if not all(map(_has_end, segments)):
            return True
        last = read_contents(segments[-1].path, segments[-1].index)
        footer = last.own_records[-1] if last.own_records else None
        if not (last.is_sealed and isinstance(footer, FlightFooter)):
            return True
        return counters.get('bytes_written') != footer.bytes_written  # not renewed since
    except (OSError, SegmentError):
        return True


def _has_end(segment: SegmentFile) -> bool:
    """Tell whether a segment ends as a sealed one does; reads nothing but that."""
    with SegmentReader(segment.path) as reader:
        end = mcap.MAGIC
        return reader.size > len(end) and reader.read(reader.size - len(end), len(end)) == end


def recover_root(
    root: FlightRoot,
    *,
    flights: Iterable[Path] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[RecoveredFlight]:
    """Recover the unclean flights of a flight root that this process owns, one after the other.

    A flight that cannot be recovered is logged and passed over.

    Args:
        root: The owned root: no other writer is at work below it.
        flights: Which flights to look at; all that are there, if not given.
        should_stop: Asked between segments; True ends the recovery where it is.

    """
    for flight in flight_directories(root.path) if flights is None else flights:
        try:
            recovered = recover_flight(flight, should_stop=should_stop)
        except RecoveryStoppedError:
            return
        except OSError as error:
            logger.error('%s: not recovered: %s', flight, error)
            continue
        if recovered is not None:
            yield recovered


def recover(path: Path | str) -> list[RecoveredFlight]:
    """Recover a flight, or every unclean flight of a flight root; takes the root meanwhile.

    Args:
        path: A flight's directory or a flight root.

    Raises:
        FlightRootError: The root is missing, read-only, or in use by a writer.
        OSError: A file cannot be read or written.

    """
    path = Path(path).expanduser().absolute()
    is_flight = bool(path.is_dir() and segment_files(path))
    with FlightRoot.acquire(path.parent if is_flight else path, owner='fdr recover') as root:
        return list(recover_root(root, flights=[path] if is_flight else None))


def recover_flight(
    flight: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> RecoveredFlight | None:
    """Recover one flight, whose root must be owned by the caller.

    Returns:
        What was done; None if the flight is clean, or nothing of it can be read as a segment.

    Raises:
        OSError: A file cannot be read or written.
        RecoveryStoppedError: `should_stop` said so.

    """
    if should_stop():
        raise RecoveryStoppedError
    if not is_unclean(flight):
        return None
    started_at = time.monotonic()
    work = _Work(flight)
    for segment in segment_files(flight):
        if should_stop():
            raise RecoveryStoppedError
        work.take(segment)
    if not work.segments:
        return None
    footer = work.finish()
    return RecoveredFlight(
        flight,
        footer,
        tuple(work.sealed),
        work.cut_bytes,
        tuple(work.set_aside),
        time.monotonic() - started_at,
    )


@dataclass(frozen=True)
class _Drops:
    """What policies had dropped from a flight when it ended."""

    segments: int
    bytes: int
    records: int


def read_metadata(flight: Path) -> tuple[set[str], dict[str, int]]:
    """Return the segments that `metadata.yaml` names, and its counters; nothing if unreadable."""
    try:
        # not a link that leads elsewhere, not a FIFO that waits for ever
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(flight / bag_metadata.FILE_NAME, flags), 'rb') as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_METADATA_BYTES).decode() if is_regular else ''
    except (OSError, UnicodeDecodeError):
        return set(), {}
    counters = {name: int(value) for name, value in _COUNTER.findall(text)}
    return set(_SEGMENT_NAME.findall(text)), counters


def _drops(counters: Mapping[str, int], segments: Sequence[SegmentContents]) -> _Drops:
    """Find out what was dropped.

    `metadata.yaml` counts a drop when the record of it is on the disk already and the file is
    there still. Without it, the records that have survived must do. A segment that is there was
    not dropped, whatever a record says.
    """
    present = {contents.index: contents for contents in segments}
    rollovers = {
        record.segment_index: record
        for contents in segments
        for record in contents.own_records
        if isinstance(record, SegmentRollover)
    }
    if 'segments_dropped' not in counters:
        gone = [record for index, record in rollovers.items() if index not in present]
        return _Drops(
            len(gone), sum(record.bytes for record in gone), sum(r.records for r in gone)
        )
    kept = [
        contents
        for index, contents in present.items()
        if index < counters['segments_dropped']  # the oldest go first
    ]
    return _Drops(
        counters['segments_dropped'] - len(kept),
        counters.get('bytes_dropped', 0) - sum(contents.size for contents in kept),
        counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0)
        - sum(contents.records for contents in kept),
    )


@dataclass
class _Work:
    """A flight that is being recovered."""

    flight: Path
    segments: list[SegmentContents] = field(default_factory=list)
    named: set[str] = field(init=False)
    counters: dict[str, int] = field(init=False)
    sealed: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    cut_bytes: int = 0
    drops: _Drops = field(default_factory=lambda: _Drops(0, 0, 0))

    def __post_init__(self) -> None:
        """Look up which segments were certainly forced to the disk: those that are listed."""
        self.named, self.counters = read_metadata(self.flight)

    def take(self, segment: SegmentFile) -> None:
        """Read the next segment; seal the one before if it is torn."""
        try:
            was_synced = not self.counters or segment.path.name in self.named
            contents = read_contents(segment.path, segment.index, was_synced=was_synced)
        except SegmentError as error:
            logger.warning('%s; set aside as %s%s', error, segment.path.name, DAMAGED_SUFFIX)
            segment.path.rename(segment.path.with_name(segment.path.name + DAMAGED_SUFFIX))
            self.set_aside.append(segment.path.name)
            return
        if self.segments and not self.segments[-1].is_sealed:
            self._seal(self.segments[-1])
        self.segments.append(contents)

    def _restore(self, contents: SegmentContents) -> Segment:
        if not contents.is_sealed:
            self.sealed.append(contents.path.name)
            self.cut_bytes += contents.size - contents.data_end
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
        """Begin a segment of which not even the first chunk was whole, as every segment does."""
        header = self._header()
        time_ns = max(
            (other.found.last_log_time_ns for other in self.segments),
            default=header.flight_started_at_ns,
        )
        time_ns = max(time_ns, header.flight_started_at_ns, 1)
        record = (time_ns, time_ns, 0, encode(header), 0)
        segment.append(_own_channel(contents, FlightHeader), [record], force=True)
        segment.flush()

    def _seal(self, contents: SegmentContents) -> None:
        segment = self._restore(contents)
        try:
            contents.size = segment.seal().bytes
        finally:
            segment.close()
        contents.is_sealed = True

    def finish(self) -> FlightFooter:
        """Write the footer if there is none, and renew `metadata.yaml`."""
        self.drops = _drops(self.counters, self.segments)
        last = self.segments[-1]
        footer = self._last_footer(last) or self._write_footer(last)
        sync_directory(self.flight)
        header = self._header()
        directory = FlightDirectory(self.flight, header.ros_distro)
        for contents in self.segments:
            directory.note(contents.closed())
        counters = FlightCounters(
            **{name: getattr(footer, name) for name in FlightCounters().as_dict()}
        )
        data = bag_metadata.custom_data(
            header,
            counters,
            records_in_dropped=self.drops.records,
            clean_shutdown=footer.clean_shutdown,
        )
        directory.commit(data)
        return footer

    def _header(self) -> FlightHeader:
        headers = [contents.header for contents in self.segments if contents.header is not None]
        return headers[0] if headers else FlightHeader(flight_id=self.flight.name)

    def _last_footer(self, last: SegmentContents) -> FlightFooter | None:
        """Return the footer if it is there and true; only the end of its file may be missing.

        It is not true if the recorder was killed before it had removed segments that the footer
        counts as dropped.
        """
        footer = last.own_records[-1] if last.own_records else None
        if not isinstance(footer, FlightFooter):
            return None
        if not last.is_sealed:
            self._seal(last)
        size = sum(contents.size for contents in self.segments)
        return footer if footer.bytes_written == size + footer.bytes_dropped else None

    def _write_footer(self, last: SegmentContents) -> FlightFooter:
        """End the flight with what can be said of it; as the writer does, in one pass."""
        others = sum(contents.size for contents in self.segments[:-1])
        segment = self._restore(last)
        try:
            channel = _own_channel(last, FlightFooter)
            time_ns = max(last.found.last_log_time_ns, 1)
            accounts = _Accounts(self.segments, self._header(), self.drops, time_ns)
            size = len(encode(accounts.footer(bytes_present=0)))
            sealed_size = segment.sealed_size(more_channel=channel, more_bytes=size)
            footer = accounts.footer(bytes_present=others + sealed_size)
            record = (time_ns, time_ns, 0, encode(footer), 0)
            segment.append(channel, [record], force=True)
            closed = segment.seal()
        finally:
            segment.close()
        last.size, last.is_sealed = closed.bytes, True
        return footer


class _Accounts:
    """The counters of a flight, recomputed from what is in its segments."""

    def __init__(
        self,
        segments: Sequence[SegmentContents],
        header: FlightHeader,
        drops: _Drops,
        ended_at_ns: int,
    ) -> None:
        self._header = header
        self._ended_at_ns = ended_at_ns
        self._segments = segments
        self._records: list[Payload] = [
            record for contents in segments for record in contents.own_records
        ]
        self._drops = drops

    def footer(self, bytes_present: int) -> FlightFooter:
        """Return the footer; it counts itself."""
        producers = self._producers()
        write_errors = [record for record in self._records if isinstance(record, WriteError)]
        started = self._header
        elapsed = max(self._ended_at_ns - started.flight_started_at_ns, 0)
        footer = FlightFooter(
            flight_id=started.flight_id,
            flight_ended_at_iso=iso_time(self._ended_at_ns),
            flight_ended_at_monotonic_ns=started.flight_started_at_monotonic_ns + elapsed,
            records_written=sum(contents.records for contents in self._segments)
            + self._drops.records
            + 1,
            records_dropped_overrun=sum(producer.dropped_overrun for producer in producers),
            bytes_written=bytes_present + self._drops.bytes,
            rollover_count=max(self._segments[-1].index - len(write_errors), 0),
            clean_shutdown=False,
            segments_dropped=self._drops.segments,
            bytes_dropped=self._drops.bytes,
            records_dropped_write_error=sum(record.records for record in write_errors),
            records_lost_transport=sum(producer.lost_transport for producer in producers),
            records_repeated=sum(producer.repeated for producer in producers),
            producers=tuple(map(_bounded, producers)),
        )
        return _bounded(footer)

    def _producers(self) -> list[ProducerCounters]:
        sums: dict[tuple[str, str], dict[str, Any]] = {}
        for contents in self._segments:
            for channel, count in contents.found.counts.items():
                values = sums.setdefault(_key(channel), {'type': channel.schema.name})
                _add(values, 'written', count)
                _add(values, 'repeated', contents.repeated.get(channel, 0))
        for record in self._records:
            if isinstance(record, Overrun):
                values = sums.setdefault((record.topic, record.publisher), {})
                _add(values, 'dropped_overrun', record.records)
            elif isinstance(record, TransportLoss):
                values = sums.setdefault((record.topic, record.publisher), {})
                _add(values, 'lost_transport', record.records)
        footer = sums.setdefault((_FOOTER_TOPIC, ''), {'type': FlightFooter.type_name()})
        _add(footer, 'written', 1)
        return [
            ProducerCounters(
                topic=topic,
                publisher=publisher,
                offered=values.get('written', 0)
                - values.get('repeated', 0)
                + values.get('dropped_overrun', 0),
                **values,
            )
            for (topic, publisher), values in sums.items()
        ]


def _own_channel(contents: SegmentContents, payload_type: type[Payload]) -> Channel:
    """Return the channel for one kind of own records: the segment's, if it has such a one."""
    channel = Ledger().own_account(payload_type).channel
    for known in contents.found.counts:
        if known.topic == channel.topic and known.schema == channel.schema:
            return known
    return channel


def _key(channel: Channel) -> tuple[str, str]:
    return channel.topic, channel.publisher


def _add(values: dict[str, Any], name: str, count: int) -> None:
    values[name] = values.get(name, 0) + count


def _bounded(payload: _PayloadT) -> _PayloadT:
    """Return a payload whose numbers can be written, whatever a broken file has led to."""
    numbers: dict[str, Any] = {}
    for name in payload.known_keys():
        value = getattr(payload, name)
        if type(value) is int:
            numbers[name] = min(max(value, 0), _MAX_COUNT)
    return replace(payload, **numbers)
