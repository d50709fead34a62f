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
from itertools import pairwise
from pathlib import Path

from fdr_recorder.flights.directory import damaged_files, segment_files, SegmentFile
from fdr_recorder.flights.metadata import read_metadata
from fdr_recorder.flights.verify.reading import FlightCheck, Producer
from fdr_recorder.flights.verify.result import Loss, Verification
from fdr_recorder.record.kinds import FlightFooter, ProducerCounters
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.flight_root import root_holder

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been read."""


def verify(flight: Path | str, *, progress: Progress = lambda _done, _total: None) -> Verification:
    """
    Check a flight; see the module.

    Args:
        flight: Its directory.
        progress: Told after each segment how far it is.

    Raises:
        OSError: The directory or a file cannot be read.

    """
    return _Comparison(Path(flight)).run(progress)


class _Comparison:
    """Compares what the files contain with what they, the footer and the directory say."""

    def __init__(self, flight: Path) -> None:
        self._flight = flight
        self._result = Verification(flight)
        self._found = FlightCheck(self._result)
        self._damaged = self._found.damaged

    def run(self, progress: Progress) -> Verification:
        """Read all, then compare."""
        result, found = self._result, self._found
        segments = segment_files(self._flight)
        if not segments:
            found.damaged('there is no segment: this is no flight')
            return result
        sizes = [segment.path.stat().st_size for segment in segments]
        result.segments, result.bytes = len(segments), sum(sizes)
        done = 0
        for segment, size in zip(segments, sizes, strict=True):
            found.read(segment, is_last=segment is segments[-1])
            done += size
            progress(done, result.bytes)
        set_aside = damaged_files(self._flight)
        for path in (file.path for file in set_aside):
            size = path.stat().st_size
            result.losses.append(Loss('unreadable', file_name=path.name, bytes=size))
        holder = root_holder(self._flight.parent) if result.footer is None else None
        result.is_being_written = holder is not None and holder.may_record(found.started_ns)
        if found.tear is not None and not result.is_being_written:
            found.damaged(str(found.tear))
        known = {file.index for file in (*segments, *set_aside)}
        self._check_continuity([index for index in sorted(known) if index <= segments[-1].index])
        if result.footer is not None:
            self._check_footer(result.footer)
        is_closed = result.footer is not None and result.footer.clean_shutdown
        if not is_closed and not (result.footer is None and result.is_being_written):
            result.losses.append(Loss('unclean'))
        if not result.is_being_written:
            self._check_sequences()
            self._check_metadata(segments)
        return result

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
        dropped = footer.segments_dropped if footer is not None else len(self._found.rollovers)
        if footer is not None and first != dropped:
            self._damaged(f'{first} segments are missing at the beginning, {dropped} were dropped')
        gone = [rollover for rollover in self._found.rollovers if rollover.segment_index < first]
        if gone or dropped:
            records = sum(rollover.records for rollover in gone)
            counters = read_metadata(self._flight).counters
            records = max(records, counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0))
            first_ns = min((rollover.first_log_time_ns for rollover in gone), default=0)
            last_ns = max((rollover.last_log_time_ns for rollover in gone), default=0)
            self._result.losses.append(
                Loss('capacity', records, first_ns=first_ns, last_ns=last_ns)
            )

    def _check_footer(self, footer: FlightFooter) -> None:
        """Check both identities, and the footer's counters against what is there."""
        last = self._found.last
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
            found = self._found.producers.get(key, Producer())
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

    def _check_sequences(self) -> None:
        """Find sequence numbers that are missing without a trace."""
        footer = self._result.footer
        discarded: Mapping[tuple[str, str], int] = {}
        if footer is not None:
            discarded = {
                (item.topic, item.publisher): item.dropped_write_error for item in footer.producers
            }
        budget = self._found.write_errors - sum(discarded.values())
        for key, producer in self._found.producers.items():
            unexplained = producer.missing - producer.lost - discarded.get(key, 0)
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
        named = read_metadata(self._flight).segments
        if named != {segment.path.name for segment in segments}:
            self._damaged('metadata.yaml does not name the segments that are there; run recover')
