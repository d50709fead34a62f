"""Checks a flight: every byte as it was written, every message accounted for.

Reads everything once, front to back, one chunk in memory at a time, and changes nothing. What is
wrong with the files is *damage*. What the recording itself says is missing, and why, is a *loss*:
a flight with losses can be perfectly sound.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.contents import SegmentContents, read_contents
from fdr_recorder.flights.reader import SegmentFile, own_record, segment_files
from fdr_recorder.flights.recover import read_metadata
from fdr_recorder.flights.segment_reader import Message, SegmentReader
from fdr_recorder.record.identity import iso_time
from fdr_recorder.record.kinds import (
    OWN_TOPIC_PREFIX,
    FlightFooter,
    FlightHeader,
    Overrun,
    Payload,
    ProducerCounters,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.flight_root import LOCK_NAME

_SEQUENCE_RANGE: Final = 1 << 32
_MAX_DAMAGE: Final = 100
"""A broken flight is broken after so many findings; a list without end helps nobody."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been read."""


class Verdict(Enum):
    """What came out; the value is the exit code of `fdr verify`."""

    CLEAN = 0
    LOSSES = 1
    DAMAGED = 2


@dataclass(frozen=True)
class Loss:
    """Something that the recording does not contain, and says so.

    Attributes:
        cause: `transport`, `overrun`, `write_error`, `capacity`, or `unclean`.
        records: How many records; 0 if nobody knows.
        topic: Of which topic; empty if of any.
        publisher: Of which publisher.
        first_ns: From when (system clock); 0 if unknown.
        last_ns: Until when.
        segments: Of which segments, where nothing else is known of what is missing.

    """

    cause: str
    records: int = 0
    topic: str = ''
    publisher: str = ''
    first_ns: int = 0
    last_ns: int = 0
    segments: str = ''

    def __str__(self) -> str:
        """Say it in words."""
        if self.segments:
            return f'{self.segments}: not on the disk when the recorder was ended'
        text = {
            'transport': f'{self.records} messages of {self.topic} never reached the recorder',
            'overrun': f'{self.records} records of {self.topic} were refused by a full ring',
            'write_error': f'{self.records} records were discarded: the disk refused them',
            'capacity': f'{self.records} records went with the oldest segments, to free space',
            'unclean': f'{self.records} messages of {self.topic} are missing, and the recorder '
            'was ended before it could say why'
            if self.records
            else 'the flight was not closed: what came last may be missing',
        }[self.cause]
        if self.first_ns:
            text += f', between {iso_time(self.first_ns)} and {iso_time(self.last_ns)}'
        return text


@dataclass
class Verification:
    """What is known of a flight after all of it was read.

    Attributes:
        path: The flight's directory.
        is_being_written: A recorder is at work in its root, and has not closed this flight.
        damage: What is wrong with the files, in words.
        losses: What the recording says is missing.
        segments: How many segments are there.
        records: How many records lie in them.
        bytes: Their size.
        footer: The footer; None for a flight that was not closed.

    """

    path: Path
    is_being_written: bool = False
    damage: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    segments: int = 0
    records: int = 0
    bytes: int = 0
    footer: FlightFooter | None = None

    @property
    def verdict(self) -> Verdict:
        """What came out."""
        if self.damage:
            return Verdict.DAMAGED
        return Verdict.LOSSES if self.losses else Verdict.CLEAN

    def __str__(self) -> str:
        """Say it in words, a line each."""
        lines = [f'{self.path}: {self.segments} segments, {self.records} records']
        if self.is_being_written:
            lines.append('  is being written right now')
        lines += [f'  damaged: {text}' for text in self.damage]
        lines += [f'  missing: {loss}' for loss in self.losses]
        if self.verdict is Verdict.CLEAN:
            lines.append('  clean: every byte is as written, every record accounted for')
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'path': str(self.path),
            'verdict': self.verdict.name.lower(),
            'is_being_written': self.is_being_written,
            'segments': self.segments,
            'records': self.records,
            'bytes': self.bytes,
            'is_closed': self.footer is not None,
            'clean_shutdown': self.footer is not None and self.footer.clean_shutdown,
            'damage': list(self.damage),
            'losses': [asdict(loss) for loss in self.losses],
        }


def verify(flight: Path | str, *, progress: Progress | None = None) -> Verification:
    """Check a flight; see the module.

    Args:
        flight: Its directory.
        progress: Told after each segment how far it is.

    Raises:
        OSError: The directory or a file cannot be read.

    """
    return _Check(Path(flight), progress or _no_progress).run()


def _no_progress(_done: int, _total: int) -> None:
    pass


@dataclass
class _Producer:
    """What the files contain of one producer."""

    written: int = 0
    repeated: int = 0
    lost: int = 0
    """Told by records: transport and overrun."""
    gaps: int = 0
    """Missing sequence numbers."""
    last_sequence: int | None = None


class _Check:
    """One run over a flight."""

    def __init__(self, flight: Path, progress: Progress) -> None:
        self._flight = flight
        self._progress = progress
        self._result = Verification(flight)
        self._producers: dict[tuple[str, str], _Producer] = {}
        self._last: Message | None = None
        self._rollovers: list[SegmentRollover] = []
        self._write_errors = 0

    def run(self) -> Verification:
        """Read all, then compare."""
        result = self._result
        segments = segment_files(self._flight)
        if not segments:
            self._damaged('there is no segment: this is no flight')
            return result
        sizes = [segment.path.stat().st_size for segment in segments]
        result.segments, result.bytes = len(segments), sum(sizes)
        done = 0
        for segment, size in zip(segments, sizes, strict=True):
            self._read(segment, is_last=segment is segments[-1])
            done += size
            self._progress(done, result.bytes)
        result.is_being_written = result.footer is None and _is_locked(self._flight.parent)
        self._check_continuity(segments)
        if result.footer is not None:
            self._check_footer(result.footer)
        elif not result.is_being_written:
            result.losses.append(Loss('unclean'))
        if result.footer is not None and not result.footer.clean_shutdown:
            result.losses.append(Loss('unclean'))
        if not result.is_being_written:
            self._check_gaps()
            self._check_metadata(segments)
        return result

    def _damaged(self, text: str) -> None:
        if len(self._result.damage) < _MAX_DAMAGE:
            self._result.damage.append(text)

    # --- reading -------------------------------------------------------------------------

    def _read(self, segment: SegmentFile, *, is_last: bool) -> None:
        """Read one segment whole."""
        is_first = True
        header_time_ns = -1
        count = 0
        with SegmentReader(segment.path) as reader:
            for message in reader.messages():
                count += 1
                if is_first:
                    is_first = False
                    header_time_ns = message.log_time_ns
                    self._check_header(segment, message)
                self._take(message, header_time_ns)
        self._result.records += count
        may_be_torn = is_last and self._result.footer is None
        if reader.damage is not None and not (may_be_torn and _is_locked(self._flight.parent)):
            self._damaged(str(reader.damage))
        if reader.is_sealed:
            self._check_summary(segment, count)

    def _check_header(self, segment: SegmentFile, message: Message) -> None:
        payload = self._decode(message)
        if not isinstance(payload, FlightHeader):
            self._damaged(f'{segment.path}: does not begin with a flight header')
        elif payload.flight_id != self._flight.name:
            self._damaged(f'{segment.path}: belongs to flight {payload.flight_id[:80]!r}')

    def _check_summary(self, segment: SegmentFile, count: int) -> None:
        contents: SegmentContents | None = None
        try:
            contents = read_contents(segment.path, segment.index)
        except SegmentError as error:
            self._damaged(str(error))
        if contents is None or not contents.is_sealed:
            self._damaged(f'{segment.path}: the summary cannot be used')
        elif contents.records != count:
            self._damaged(
                f'{segment.path}: {count} records, but its summary counts {contents.records}'
            )

    def _take(self, message: Message, header_time_ns: int) -> None:
        """Account for one message."""
        channel = message.channel
        key = (channel.topic, channel.metadata.get('publisher_gid', ''))
        producer = self._producers.get(key)
        if producer is None:
            producer = self._producers[key] = _Producer()
        producer.written += 1
        self._last = message
        if channel.topic.startswith(OWN_TOPIC_PREFIX):
            self._note(self._decode(message))
        elif message.log_time_ns == header_time_ns:
            producer.repeated += 1
        else:
            self._follow(key, producer, message.sequence)

    def _follow(self, key: tuple[str, str], producer: _Producer, sequence: int) -> None:
        """Look for gaps in a publisher's sequence numbers; without a gid they mean nothing."""
        last, producer.last_sequence = producer.last_sequence, sequence
        if last is None or not key[1]:
            return
        step = (sequence - last) % _SEQUENCE_RANGE
        if step == 0 or step > _SEQUENCE_RANGE // 2:  # the intake lets no such pair through
            self._damaged(f'{key[0]}: sequence number {sequence} follows {last}')
            producer.last_sequence = last
        else:
            producer.gaps += step - 1

    def _decode(self, message: Message) -> Payload | None:
        try:
            return own_record(message)
        except RecordError as error:
            self._damaged(str(error))
            return None

    def _note(self, payload: Payload | None) -> None:
        """Take in what the recording says of itself."""
        losses = self._result.losses
        if isinstance(payload, FlightFooter):
            self._result.footer = payload
        elif isinstance(payload, Overrun):
            self._lost(payload.topic, payload.publisher, payload.records)
            first_ns, last_ns = payload.first_drop_ns, payload.last_drop_ns
            losses.append(
                Loss(
                    'overrun', payload.records, payload.topic, payload.publisher, first_ns, last_ns
                )
            )
        elif isinstance(payload, TransportLoss):
            self._lost(payload.topic, payload.publisher, payload.records)
            first_ns, last_ns = payload.first_seen_ns, payload.last_seen_ns
            losses.append(
                Loss(
                    'transport',
                    payload.records,
                    payload.topic,
                    payload.publisher,
                    first_ns,
                    last_ns,
                )
            )
        elif isinstance(payload, WriteError):
            self._write_errors += payload.records
            losses.append(
                Loss(
                    'write_error',
                    payload.records,
                    first_ns=payload.first_error_ns,
                    last_ns=payload.last_error_ns,
                )
            )
        elif isinstance(payload, SegmentRollover):
            self._rollovers.append(payload)

    def _lost(self, topic: str, publisher: str, records: int) -> None:
        self._producers.setdefault((topic, publisher), _Producer()).lost += records

    # --- comparing -----------------------------------------------------------------------

    def _check_continuity(self, segments: list[SegmentFile]) -> None:
        """Find missing segments: only the oldest may be missing, and only if dropped."""
        footer = self._result.footer
        present = [segment.index for segment in segments]
        first = present[0]
        for before, after in pairwise(present):
            if after - before == 1:
                continue
            one = after - before == 2
            names = f'segment {before + 1}' if one else f'segments {before + 1} to {after - 1}'
            if footer is not None and footer.clean_shutdown:
                self._damaged(f'{names} {"is" if one else "are"} missing')
            else:  # file systems without a journal keep names in any order
                self._result.losses.append(Loss('unclean', segments=names))
        dropped = footer.segments_dropped if footer is not None else len(self._rollovers)
        if footer is not None and first != dropped:
            self._damaged(f'{first} segments are missing at the beginning, {dropped} were dropped')
        gone = [rollover for rollover in self._rollovers if rollover.segment_index < first]
        if gone or dropped:
            records = sum(rollover.records for rollover in gone)
            _, counters = read_metadata(self._flight)
            records = max(records, counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0))
            first_ns = min((rollover.first_log_time_ns for rollover in gone), default=0)
            last_ns = max((rollover.last_log_time_ns for rollover in gone), default=0)
            self._result.losses.append(
                Loss('capacity', records, first_ns=first_ns, last_ns=last_ns)
            )

    def _check_footer(self, footer: FlightFooter) -> None:
        """Check both identities, and the footer's counters against what is there."""
        last = self._last
        if last is None or last.channel.topic != FlightFooter.channel_topic():
            self._damaged('the footer is not the last record')
        if footer.bytes_written != self._result.bytes + footer.bytes_dropped:
            self._damaged(
                f'the footer counts {footer.bytes_written} bytes; there are {self._result.bytes}, '
                f'and {footer.bytes_dropped} were dropped'
            )
        if not footer.segments_dropped and footer.records_written != self._result.records:
            self._damaged(
                f'the footer counts {footer.records_written} records; there are '
                f'{self._result.records}'
            )
        for counters in footer.producers:
            self._check_producer(counters, is_whole=not footer.segments_dropped)
        totals = {
            'records_dropped_overrun': 'dropped_overrun',
            'records_lost_transport': 'lost_transport',
            'records_repeated': 'repeated',
        }
        for total, part in totals.items():
            if getattr(footer, total) != sum(getattr(item, part) for item in footer.producers):
                self._damaged(f'{total} is not the sum over the producers')

    def _check_producer(self, counters: ProducerCounters, *, is_whole: bool) -> None:
        accounted = (
            counters.written
            - counters.repeated
            + counters.dropped_overrun
            + counters.dropped_write_error
        )
        if counters.offered != accounted:
            self._damaged(
                f'{counters.topic}: {counters.offered} records were offered, {accounted} are '
                'accounted for'
            )
        found = self._producers.get((counters.topic, counters.publisher), _Producer())
        if is_whole and found.written != counters.written:
            self._damaged(
                f'{counters.topic}: the footer counts {counters.written} records, there are '
                f'{found.written}'
            )

    def _check_gaps(self) -> None:
        """Find sequence numbers that are missing without a trace."""
        footer = self._result.footer
        discarded: Mapping[tuple[str, str], int] = {}
        if footer is not None:
            discarded = {
                (item.topic, item.publisher): item.dropped_write_error for item in footer.producers
            }
        budget = self._write_errors - sum(discarded.values())
        for key, producer in self._producers.items():
            unexplained = producer.gaps - producer.lost - discarded.get(key, 0)
            if unexplained <= 0:
                continue
            if unexplained <= budget:  # a recovered flight does not know whose they were
                budget -= unexplained
                continue
            if footer is None or not footer.clean_shutdown:
                self._result.losses.append(Loss('unclean', unexplained, *key))
            else:
                self._damaged(f'{key[0]}: {unexplained} messages are missing without a trace')

    def _check_metadata(self, segments: list[SegmentFile]) -> None:
        named, _ = read_metadata(self._flight)
        if named != {segment.path.name for segment in segments}:
            self._damaged('metadata.yaml does not name the segments that are there; run recover')


def _is_locked(root: Path) -> bool:
    """Tell whether a writer owns a flight root, without taking it."""
    try:
        fd = os.open(
            root / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    else:
        return False
    finally:
        os.close(fd)
