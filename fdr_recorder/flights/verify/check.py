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
Checks a flight: every byte as it was written, every message accounted for.

Reads everything once, front to back, one chunk in memory at a time, and changes nothing. What is
wrong with the files is *damage*. What the recording itself says is missing, and why, is a *loss*:
a flight with losses can be perfectly sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import damaged_files, segment_files, SegmentFile
from fdr_recorder.flights.metadata import read_metadata
from fdr_recorder.flights.reader import open_segment, own_record
from fdr_recorder.flights.recovery.contents import SegmentContents
from fdr_recorder.flights.recovery.read import read_contents
from fdr_recorder.flights.verify.result import Loss, Verification, when
from fdr_recorder.mcap.reader import (
    Gap,
    LOST_TOPIC_PREFIX,
    Message,
)
from fdr_recorder.record.channel import PUBLISHER_KEY
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    Overrun,
    OWN_TOPIC_PREFIX,
    Payload,
    ProducerCounters,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.flight_root import root_holder

_SEQUENCE_RANGE: Final = 1 << 32
_MAX_DAMAGE: Final = 100
"""A broken flight is broken after so many findings; a list without end helps nobody."""

_MAY_BE_HEADER: Final = (FlightHeader.channel_topic(), LOST_TOPIC_PREFIX)

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been read."""


def verify(flight: Path | str, *, progress: Progress | None = None) -> Verification:
    """
    Check a flight; see the module.

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
        self._started_ns = 0
        self._tear: SegmentError | None = None
        """Of the last segment, which may be growing."""

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
        set_aside = damaged_files(self._flight)
        for path in (file.path for file in set_aside):
            size = path.stat().st_size
            result.losses.append(Loss('unreadable', file_name=path.name, bytes=size))
        holder = root_holder(self._flight.parent) if result.footer is None else None
        result.is_being_written = holder is not None and holder.may_record(self._started_ns)
        if self._tear is not None and not result.is_being_written:
            self._damaged(str(self._tear))
        known = {file.index for file in (*segments, *set_aside)}
        self._check_continuity([index for index in sorted(known) if index <= segments[-1].index])
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
        header_time_ns = -1
        count = 0
        with open_segment(segment.path, started_ns=self._started_ns) as reader:
            for message in reader.messages():
                if not count:
                    if message.channel.topic.startswith(_MAY_BE_HEADER):
                        header_time_ns = message.log_time_ns
                    if not reader.gaps:  # else it may be lost
                        self._check_header(segment, message)
                count += 1
                self._take(message, header_time_ns)
        self._result.records += count
        for gap in reader.gaps:
            self._note_gap(gap, segment.path.name)
        if is_last and self._result.footer is None:
            self._tear = reader.tear
        elif reader.tear is not None:
            self._damaged(str(reader.tear))
        if reader.is_closed:
            self._check_summary(segment, count)

    def _note_gap(self, gap: Gap, name: str) -> None:
        """Report bytes that cannot be read; a loss, if a recovery has seen to them."""
        if gap.error is None:
            loss = Loss('unreadable', first_ns=gap.first_ns, last_ns=gap.last_ns)
            self._result.losses.append(replace(loss, file_name=name, bytes=gap.size))
        else:
            between = when(gap.first_ns, gap.last_ns)
            self._damaged(f'{gap.error}; {gap.size} bytes cannot be read{between}')

    def _check_header(self, segment: SegmentFile, message: Message) -> None:
        payload = self._decode(message)
        if not isinstance(payload, FlightHeader):
            self._damaged(f'{segment.path}: does not begin with a flight header')
        elif payload.flight_id != self._flight.name:
            self._damaged(f'{segment.path}: belongs to flight {payload.flight_id[:80]!r}')
        elif not self._started_ns:
            self._started_ns = payload.flight_started_at_ns or message.log_time_ns

    def _check_summary(self, segment: SegmentFile, count: int) -> None:
        contents: SegmentContents | None = None
        try:
            contents = read_contents(segment.path, segment.index)
        except SegmentError as error:
            self._damaged(str(error))
        if contents is None or not contents.is_closed:
            self._damaged(f'{segment.path}: the summary cannot be used')
        elif contents.records != count:
            self._damaged(
                f'{segment.path}: {count} records, but its summary counts {contents.records}'
            )

    def _take(self, message: Message, header_time_ns: int) -> None:
        """Account for one message."""
        channel = message.channel
        key = (channel.topic, channel.metadata.get(PUBLISHER_KEY, ''))
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

    def _check_continuity(self, present: list[int]) -> None:
        """Find missing segments: only the oldest may be missing, and only if dropped."""
        footer = self._result.footer
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
        written: Counter[tuple[str, str]] = Counter()
        for counters in footer.producers:
            self._check_producer(counters)
            written[counters.topic, counters.publisher] += counters.written
        for key, count in written.items():  # who has left and come back has two accounts
            found = self._producers.get(key, _Producer())
            if not footer.segments_dropped and found.written != count:
                self._damaged(
                    f'{key[0]}: the footer counts {count} records, there are {found.written}'
                )
        totals = {
            'records_dropped_overrun': 'dropped_overrun',
            'records_lost_transport': 'lost_transport',
            'records_repeated': 'repeated',
        }
        for total, part in totals.items():
            if getattr(footer, total) != sum(getattr(item, part) for item in footer.producers):
                self._damaged(f'{total} is not the sum over the producers')

    def _check_producer(self, counters: ProducerCounters) -> None:
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
