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
Checks a recording that is no flight: what it promises, and no more.

A flight promises that every message is accounted for. No other recording does: nobody knows what
it lost. What it has instead differs: CRCs, indexes, statistics, the counts of `metadata.yaml`.
What is there is checked, and what is not is told.
"""

from __future__ import annotations

from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.bags.bag_metadata import BagMetadata
from fdr_recorder.flights.bags.sqlite_file import SqliteFile
from fdr_recorder.flights.bags.unpacked import UnpackedMessages
from fdr_recorder.flights.directory import directory_name, SegmentFile
from fdr_recorder.flights.list_recording import how_files_end
from fdr_recorder.flights.reader import Advance, read_chunks
from fdr_recorder.flights.recording import Kind, Recording
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.flights.status import Ended
from fdr_recorder.flights.verify.mcap_check import (
    describe_checks,
    Findings,
    McapCheck,
    UNPROTECTED,
)
from fdr_recorder.flights.verify.reading import FlightReading
from fdr_recorder.flights.verify.result import Verification
from fdr_recorder.mcap.foreign import ForeignReader
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.segment_names import SEGMENT_PATTERN
from fdr_recorder.units import iso_time, plural

_LOSSES: Final = 'what was lost before it was recorded'
_SQLITE: Final = 'the structure of SQLite files'
_NO_SQLITE_CRC: Final = 'the bytes of messages: SQLite has no CRC'
_COUNTS: Final = 'counts and times against metadata.yaml'


def verify_other(recording: Recording, advance: Advance) -> Verification:
    """Check a recording that is no flight; see the module, and `verify`."""
    result = Verification(
        recording.path,
        flight_id=directory_name(recording.path),
        kind=recording.kind.value,
        untold=recording.untold,
        segments=len(recording.files),
    )
    result.ended, _ = how_files_end(recording)
    if recording.kind is Kind.SEGMENT:
        _check_segment(result, recording, advance)
    else:
        _check_files(result, recording, advance)
    result.notes += recording.notes
    result.unchecked.append(_LOSSES)
    return result


def _check_segment(result: Verification, recording: Recording, advance: Advance) -> None:
    """Check a segment as a flight's are checked; what the others hold is unknown."""
    path = recording.path.resolve()
    match = SEGMENT_PATTERN.fullmatch(path.name)
    reading = FlightReading(result)
    reading.read(SegmentFile(int(match[1]) if match else 0, path), is_last=True)
    result.footer = None  # it counts the whole flight
    result.tear = '; '.join(reading.tears.values())
    result.ended = Ended.UNKNOWN if result.tear else Ended.CLOSED
    result.bytes = path.stat().st_size
    result.checked.append('everything that one segment alone can tell')
    result.unchecked.append('the other segments of the flight')
    advance(result.bytes)


def _check_files(result: Verification, recording: Recording, advance: Advance) -> None:
    found = Findings(damage=list(recording.faults))
    for path in recording.files:
        found.bytes += path.stat().st_size
        try:
            with recording.open(path) as file:
                _check_file(file, found, advance)
        except SegmentError as error:
            found.damaged(str(error))
    last = recording.files[-1].name if recording.files else ''
    for name, tear in found.tears.items():
        if name != last:
            found.damaged(tear)
        else:
            result.tear = tear
            result.ended = Ended.UNKNOWN
    if recording.bag is not None and not recording.bag.fault:
        _compare(found, recording.bag)
    result.records, result.bytes = found.records, found.bytes
    result.damage += found.damage
    result.checked, result.unchecked = describe_checks(found)
    result.is_protected = not any(found.unchecked[what] for what in (*UNPROTECTED, _NO_SQLITE_CRC))
    if found.disorder:
        result.notes.append(found.disorder)
    if found.attachments:
        result.notes.append(f'it has {plural(found.attachments, "attachment")}')


def _check_file(file: RecordingFile, found: Findings, advance: Advance) -> None:
    inner = file.packed if isinstance(file, UnpackedMessages) else file
    if isinstance(inner, ForeignReader):
        McapCheck(inner, found).run(advance)
        if inner is not file:
            for _ in file.chunks():  # each message is uncompressed
                pass
            for error in file.errors:
                found.damaged(str(error))
        return
    before = found.records
    for chunk in read_chunks(file, advance):
        if not isinstance(chunk, IndexedChunk):
            for message, _ in chunk.messages:
                found.take(message)
    found.file_counts[file.path.name] = found.records - before
    if isinstance(inner, SqliteFile):
        for fault in inner.check():
            found.damaged(f'{file.path}: SQLite says: {fault}')
        found.checked[_SQLITE] += 1
        found.unchecked[_NO_SQLITE_CRC] += 1
    if file.tear is not None:
        found.tears[file.path.name] = str(file.tear)
    for error in file.errors:
        if error is not file.tear:
            found.damaged(str(error))


def _compare(found: Findings, bag: BagMetadata) -> None:
    """Compare what is there with what `metadata.yaml` counts."""
    if bag.records is not None and bag.records != found.records:
        text = f'metadata.yaml counts {plural(bag.records, "message")}'
        found.damaged(f'{text}; there are {found.records:,}')
    topics = [(key.topic, count, found.counts[key]) for key, count in bag.counts.items()]
    topics += [
        (key.topic, 0, count) for key, count in found.counts.items() if key not in bag.counts
    ]
    for topic, said, there in sorted(topics):
        if said != there:
            text = f'metadata.yaml counts {plural(said, "message")} of {topic}'
            found.damaged(f'{text}; there are {there:,}')
    for name, said in bag.file_counts.items():
        there = found.file_counts.get(name, said)
        if said != there:
            text = f'metadata.yaml counts {plural(said, "message")} in {name}'
            found.damaged(f'{text}; there are {there:,}')
    if found.records and bag.start_ns:
        for verb, told_ns, there_ns in (
            ('begins', bag.start_ns, found.first_ns),
            ('ends', bag.start_ns + bag.duration_ns, found.last_ns),
        ):
            if told_ns != there_ns:
                text = f'metadata.yaml says that it {verb} at {iso_time(told_ns)}'
                found.damaged(f'{text}; it {verb} at {iso_time(there_ns)}')
    found.checked[_COUNTS] += 1
