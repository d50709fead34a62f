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
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.errors import ExtraMissingError, RecordError, SegmentError
from fdr_recorder.flights.directory import (
    damaged_files,
    segment_files,
    SegmentFile,
    tail_files,
)
from fdr_recorder.flights.ending import how_it_ended, left_out_by_topic
from fdr_recorder.flights.in_use import holder_of_root, is_being_recorded
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.reader import Advance, own_record
from fdr_recorder.flights.recording import Kind, recording_at
from fdr_recorder.flights.recovery.last_segment import read_last_segment, requested_up_to
from fdr_recorder.flights.sealed import has_sidecars, is_opening
from fdr_recorder.flights.status import Authenticity, Ended, not_recorded
from fdr_recorder.flights.verify.holes import missing_holes
from fdr_recorder.flights.verify.other import verify_other
from fdr_recorder.flights.verify.reading import FlightReading, Producer
from fdr_recorder.flights.verify.result import Loss, Verification
from fdr_recorder.record.dropped import CAPACITY, COUNTER_OF, DroppedAccount
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.loss_detection import unseen_in_flight
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.storage import bag_metadata
from fdr_recorder.units import are, plural

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.flights.verify.seals import FlightSeals

_TOLD: Final = ('before_match', 'transport', 'overrun')
"""Causes of losses each of which has a record, or is told by the record of a drop."""
_SUMMED: Final = ('dropped_overrun', 'lost_transport', 'repeated', 'before_match', 'throttled')
"""Counters of producers whose sums are in the footer."""
_LATEST_NS: Final = 60 * 10**9
"""A record of a loss lies in a file at most so long before the gap: for so long, records that
arrived before the loss may have waited in a ring."""


def verify(
    flight: Path | str,
    advance: Advance = lambda _bytes: None,
    *,
    keys: Path | str | None = None,
    witness: str = '',
) -> Verification:
    """
    Check a flight; see the module.

    Args:
        flight: Its directory, or another recording: see `other`.
        advance: Called after each segment with the number of bytes in it.
        keys: A file of allowed signers, as `ssh-keygen -Y verify` takes it: whose seals count.
            Then `authentication` says what they prove, and the verdict is that, too.
        witness: SHA-256 of a seal that was seen in flight, in hexadecimal: it must be there.

    Raises:
        OSError: The directory or a file cannot be read.
        SealError: The file of allowed signers cannot be used.
        ExtraMissingError: Keys are given, and what is needed to check seals is not installed.

    """
    recording = recording_at(flight)
    is_proof_wanted = keys is not None
    if is_proof_wanted and recording.kind is not Kind.FLIGHT:
        _seals_of(Path(flight), keys, witness)  # whether the keys can be used
    if recording.kind is not Kind.FLIGHT and (recording.files or recording.missing):
        result = verify_other(recording, advance)
        result.is_proof_wanted = is_proof_wanted
        return result
    result = Verification(Path(flight), is_proof_wanted=is_proof_wanted)
    seals = None
    if is_proof_wanted or _is_sealed(Path(flight)):
        try:
            seals = _seals_of(Path(flight), keys, witness)
        except ExtraMissingError as error:
            if is_proof_wanted:
                raise
            result.authentication.state = Authenticity.UNCHECKED
            result.authentication.reason = str(error)
    return _Comparison(result, seals).run(advance)


def _seals_of(flight: Path, keys: Path | str | None, witness: str) -> FlightSeals:
    from fdr_recorder.flights.verify.seals import (  # noqa: PLC0415 - needs an extra
        FlightSeals,
        Question,
    )
    from fdr_recorder.flights.verify.trust import Trust  # noqa: PLC0415

    trust = Trust.of_file(Path(keys)) if keys is not None else None
    return FlightSeals(flight, Question(trust, witness))


def _is_sealed(flight: Path) -> bool:
    """Tell whether a flight says that it is sealed; reads one chunk of it at most."""
    if has_sidecars(flight):
        return True
    for segment in segment_files(flight)[:1]:
        try:
            with open_segment(segment.path) as reader:
                for chunk in reader.whole_chunks():
                    payload = own_record(chunk.messages[0][0])
                    return isinstance(payload, FlightHeader) and is_opening(payload)
        except (SegmentError, RecordError, FileNotFoundError):
            continue
    return False


class _Comparison(FlightReading):
    """Compares what the files contain with what they, the footer and the directory say."""

    def _is_being_recorded(self) -> bool:
        path = self.result.path
        return is_being_recorded(path, holder_of_root(path), self.started_ns)

    def run(self, advance: Advance) -> Verification:
        """Read all, then compare."""
        result = self.result
        was_open = self._is_being_recorded()
        listed = segment_files(result.path)
        segments = [item for item in listed if self._has_read(item, listed[-1], advance)]
        if not segments:
            self.damaged('there is no segment: this is no flight')
            return result
        result.segments = len(segments)
        self.finish()
        result.flight_id = self.flight_id
        set_aside = damaged_files(result.path)
        for path in (file.path for file in set_aside):
            size = path.stat().st_size
            result.losses.append(Loss('unreadable', file_name=path.name, bytes=size))
        tails = [file.path for file in tail_files(result.path)]
        result.kept = {path.name: path.stat().st_size for path in tails}
        footer = result.footer
        metadata = self.metadata
        is_open = footer is None and (was_open or self._is_being_recorded())
        names = {segment.path.name for segment in segments}
        result.ended = how_it_ended(footer, metadata, names, is_open=is_open)
        if result.ended in (Ended.CLOSED, Ended.RECOVERED):
            result.damage += self.tears.values()
        elif not is_open:
            result.tear = '; '.join(self.tears.values())
        if footer is not None:
            result.not_recorded = not_recorded(footer.requested)
        elif not is_open:
            requested = requested_up_to(read_last_segment(segments[-1]))
            result.not_recorded = not_recorded(requested)
        known = {file.index for file in (*segments, *set_aside)}
        channels = ((*key, producer.loss_detection) for key, producer in self.producers.items())
        result.unseen = unseen_in_flight(footer, channels, self.header)
        self._check_continuity([index for index in sorted(known) if index <= segments[-1].index])
        if footer is not None:
            self._check_footer(footer)
            result.left_out = left_out_by_topic(footer)
        if not self.is_closed and not is_open:
            last_ns = self.last.log_time_ns if self.last is not None else 0
            result.losses.append(Loss('unclean', first_ns=last_ns))
        if not is_open:
            self._check_sequences()
            fault = metadata.fault(names, has_footer=footer is not None)
            if fault:
                self.damaged(fault)
        self._judge_seals([path.name for path in (*tails, *(file.path for file in set_aside))])
        return result

    def _judge_seals(self, kept: list[str]) -> None:
        """Say what the seals prove, if there are any."""
        if self.seals is None:
            return
        from fdr_recorder.flights.verify.seals import FlightState  # noqa: PLC0415 - needs an extra

        state = FlightState(self.flight_id, self.result.ended, kept)
        self.result.authentication = self.seals.judge(state)

    def _has_read(self, segment: SegmentFile, last: SegmentFile, advance: Advance) -> bool:
        """Read a segment; return False if it was dropped just now, to free space."""
        try:
            size = segment.path.stat().st_size
            self.read(segment, is_last=segment is last)
        except FileNotFoundError:
            return False
        self.result.bytes += size
        advance(size)
        return True

    @property
    def is_closed(self) -> bool:
        """Whether the recorder has closed the flight."""
        return self.result.footer is not None and self.result.footer.clean_shutdown

    def _check_continuity(self, present: list[int]) -> None:
        """Find missing segments that were not dropped: what is recorded of these, and how many."""
        account = DroppedAccount.of_flight(self.rollovers, present)
        footer, first = self.result.footer, present[0]
        for holes in missing_holes(present, account.segments):
            names = ' and '.join(
                f'segment {start}' if start == end else f'segments {start} to {end}'
                for start, end in holes
            )
            if self.is_closed:
                one = holes[0][0] == holes[-1][1]
                self.damaged(f'{names} {"is" if one else "are"} missing')
            else:  # file systems without a journal keep names in any order
                self.result.losses.append(Loss('unclean', segments=names))
        behind = sum(run.segments for run in account.segments if run.first_index > first)
        dropped = account.total('segments')
        if footer is not None:
            dropped = footer.segments_dropped
        elif self.result.ended is not Ended.OPEN:
            dropped = max(dropped, self.metadata.counters.get('segments_dropped', 0))
        if self.is_closed and first != dropped - behind:
            text = f'{plural(first, "segment")} missing at the beginning, {dropped:,} dropped'
            self.damaged(text)
        elif self.result.ended is not Ended.OPEN and (gone := first - (dropped - behind)) > 0:
            names = f'{plural(gone, "segment")} before segment {first}'
            self.result.losses.append(Loss('unclean', segments=names))
        for item in account.segments:
            times = item.first_log_time_ns, item.last_log_time_ns
            self.result.losses.append(Loss(item.cause, item.records, '', '', *times))
        counters = self.metadata.counters
        untold = counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0) - account.total('records')
        absent = present[-1] + 1 - len(present)  # a kill may leave what was to be dropped
        if min(dropped, absent) > account.total('segments') and untold > 0:  # by an older recorder
            loss = Loss(CAPACITY, untold, first_ns=self.started_ns, last_ns=self.first_ns)
            self.result.losses.append(loss)
        for told in account.losses:
            self.take_loss(told, explains=told.last_ns > self.first_ns - _LATEST_NS)

    def _check_footer(self, footer: FlightFooter) -> None:
        """Check both identities, and the footer's counters against what is there."""
        result = self.result
        if self.last is None or self.last.channel.topic != FlightFooter.channel_topic():
            self.damaged('the footer is not the last record')
        if footer.bytes_written != result.bytes + footer.bytes_dropped and not result.tear:
            self.damaged(
                f'the footer counts {plural(footer.bytes_written, "byte")}; '
                f'there are {result.bytes:,}, '
                f'and {footer.bytes_dropped} were dropped'
            )
        if not footer.segments_dropped and footer.records_written != result.records:
            self.damaged(
                f'the footer counts {plural(footer.records_written, "record")}; there: '
                f'{result.records:,}'
            )
        for counters in footer.producers:
            self._check_producer(counters)
        if not footer.segments_dropped:
            self._check_written(footer)
        self._note_untold(footer)
        for part in _SUMMED:
            total = f'records_{part}'
            if getattr(footer, total) != sum(getattr(item, part) for item in footer.producers):
                self.damaged(f'{total} is not the sum over the producers')

    def _note_untold(self, footer: FlightFooter) -> None:
        """Take in losses of which no record tells: those of older recorders were dropped."""
        for cause in _TOLD:
            untold: Counter[str] = Counter()
            for counters in footer.producers:
                untold[counters.topic] += getattr(counters, COUNTER_OF[cause])
            for loss in self.result.losses:
                if loss.cause == cause:
                    untold[loss.topic] -= loss.records
            several = -untold.pop('', 0)  # of topics that are not named
            for topic, records in (+untold).items():
                named = min(records, several)
                several -= named
                if records > named:
                    last_ns = self.first_ns if footer.segments_dropped else 0
                    loss = Loss(cause, records - named, topic, last_ns=last_ns)
                    self.result.losses.append(loss)

    def _check_written(self, footer: FlightFooter) -> None:
        """Compare what the footer counts with what is there; folded accounts by topic and type."""
        written: Counter[tuple[str, str]] = Counter()  # who came back may have two accounts
        folded: Counter[tuple[str, str]] = Counter()
        for counters in footer.producers:
            if counters.folded:
                folded[counters.topic, counters.type] += counters.written
            else:
                written[counters.topic, counters.publisher] += counters.written
        for key, producer in self.producers.items():
            of = key[0], producer.type
            if of in folded and producer.written >= written[key]:
                folded[of] -= producer.written - written[key]
                written[key] = producer.written
        for key, count in written.items():
            found = self.producers.get(key, Producer()).written
            if found != count:
                counted = plural(count, 'record')
                self.damaged(f'{key[0]}: the footer counts {counted}, there are {found:,}')
        for (topic, _), count in folded.items():
            if count:
                self.damaged(
                    f'{topic}: of publishers that left, {plural(abs(count), "record")} '
                    f'{are(abs(count))} not {"there" if count > 0 else "counted by the footer"}'
                )

    def _check_producer(self, counters: ProducerCounters) -> None:
        accounted = counters.written - counters.repeated
        accounted += counters.dropped_overrun + counters.dropped_write_error
        if counters.offered != accounted:
            self.damaged(
                f'{counters.topic}: {plural(counters.offered, "record")} offered, '
                f'{accounted:,} accounted for'
            )

    def _check_sequences(self) -> None:
        """Find sequence numbers that are missing without a trace."""
        footer = self.result.footer
        discarded: Counter[tuple[str, str]] = Counter()
        of_folded: Counter[tuple[str, str]] = Counter()
        gone: Counter[tuple[str, str]] = Counter()  # told in segments that were dropped
        has_folded = set()
        for item in footer.producers if footer is not None else ():
            if footer is not None and footer.segments_dropped:
                gone[item.topic, item.publisher] += item.dropped_overrun + item.throttled
            if item.folded:
                has_folded.add((item.topic, item.type))
                of_folded[item.topic, item.type] += item.dropped_write_error
            else:
                discarded[item.topic, item.publisher] += item.dropped_write_error
        budget = self.write_errors - discarded.total() - of_folded.total()
        if budget < 0:  # no `write_error` record tells of them: they were invalid
            self.result.losses.append(Loss('write_error', -budget))
        for key, producer in self.producers.items():
            unexplained = producer.missing - producer.lost - discarded[key]
            if unexplained <= 0:
                continue
            of = key[0], producer.type
            if unexplained <= of_folded[of]:
                of_folded[of] -= unexplained
            elif unexplained <= gone[key] - producer.lost:
                continue
            elif of in has_folded and self._has_returned(key):
                loss = Loss('transport', unexplained, *key, *producer.gaps_ns)
                self.result.losses.append(loss)
            elif unexplained <= budget:  # a recovered flight does not know whose they were
                budget -= unexplained
            elif self.is_closed:
                text = plural(unexplained, 'message')
                self.damaged(f'{key[0]}: {text} {are(unexplained)} missing without a trace')
            else:
                self.result.losses.append(Loss('unclean', unexplained, *key, *producer.gaps_ns))

    def _has_returned(self, key: tuple[str, str]) -> bool:
        """Tell whether a publisher may have been found again after its account was folded."""
        footer = self.result.footer
        assert footer is not None
        counted = sum(
            item.written
            for item in footer.producers
            if (item.topic, item.publisher) == key and not item.folded
        )
        return counted < self.producers[key].written
