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
Reads the seals of one segment while `verify` reads its messages: every byte is read once.

A running SHA-256 goes over all that is read. Where a seal stands, it is compared with what the
seal says. What must follow the data is made anew, as the recorder does, and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import hashlib
from typing import Final, NamedTuple

from fdr_recorder.errors import SealError, SegmentError
from fdr_recorder.flights.recovery.scan_torn_segment import Scanner
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import WholeChunk
from fdr_recorder.mcap.reader import Part, SegmentReader
from fdr_recorder.mcap.record_file import RawRecord
from fdr_recorder.record.kinds import FlightHeader, FlightRemoved, SegmentRollover
from fdr_recorder.seal.seal import (
    entry_of,
    places_of_entries,
    RECORD_NAME,
    Seal,
    seal_record,
    split_entry,
)
from fdr_recorder.seal.sidecars import read_seal

_BLOCK_BYTES: Final = 1 << 20
_MOST_SEALS: Final = 1 << 18
"""In a segment: three days at one a second. Nobody's memory is to be filled by a file."""
SignerOf = Callable[[str, str], str]
"""Takes text and signature of a seal, returns who signed it (as `key_text`); or raises
`SealError`."""


class FoundSeal(NamedTuple):
    """
    A seal, as far as it can be checked alone.

    Attributes:
        segment: Number of the segment in which it is, or of which it says it is.
        is_in_file: Whether it is in that; else in SEALS.
        offset: Where its record begins.
        end: Where that ends.
        fault: What is wrong with its text or its signature; empty if nothing is.
        is_foreign: Whether it is of another segment, or another flight.
        holds: Whether the bytes before it are those that it was made for.
        number: Its number in the flight; -1 if it has none.
        kind: As in `Seal`.
        text_hash: Likewise, as all that follow.
        previous: Hash of the seal before.
        durable: Number of the newest seal on the disk.
        void: Numbers of the first and the last seal that were lost.
        log_time: When it was made.
        utc: By the system clock.
        segments_dropped: How many were dropped by then.
        signer: Who signed it.
        next_key: Who signs the next segment.
        entry_bytes: Size of its entry in SEALS.

    """

    segment: int
    is_in_file: bool
    offset: int
    end: int
    fault: str = ''
    is_foreign: bool = False
    holds: bool = False
    number: int = -1
    kind: str = ''
    text_hash: str = ''
    previous: str = ''
    durable: int = -1
    void: tuple[int, int] = (-1, -1)
    log_time: int = 0
    utc: str = ''
    segments_dropped: int = 0
    signer: str = ''
    next_key: str = ''
    entry_bytes: int = 0

    def of(self, seal: Seal, names: dict[str, str]) -> FoundSeal:
        """Return it with what a text says; equal texts are kept once, in `names`."""
        return self._replace(
            number=seal.number,
            kind=names.setdefault(seal.kind, seal.kind),
            text_hash=seal.text_hash,
            previous=seal.previous,
            durable=seal.durable,
            void=(seal.void_from, seal.void_to),
            log_time=seal.log_time,
            utc=seal.utc,
            segments_dropped=seal.segments_dropped,
            next_key=names.setdefault(seal.next_key, seal.next_key),
        )


@dataclass
class SegmentSeals:
    """
    What a segment has of seals.

    Attributes:
        index: Number of the segment.
        name: Its file.
        size: Size of the file.
        sha256: Of all of it.
        seals: In file order.
        header: The flight's header in it; None if it has none.
        is_ended: Whether the file has a summary, a footer and its end.
        data_end: Where the last whole record of the data section ends.
        wrong_ending: From where to where what follows the data is not what must follow; None if
            it is.
        is_cut: Whether it is, as far as it goes, and ends too early.
        unreadable: From where to where bytes of the data section cannot be read.
        removals: Which other flights were removed, likewise.
        rollovers: Which segments were dropped, as records before the last seal that holds say.

    """

    index: int
    name: str
    size: int
    sha256: str = ''
    seals: list[FoundSeal] = field(default_factory=list)
    header: FlightHeader | None = None
    is_ended: bool = False
    data_end: int = 0
    wrong_ending: tuple[int, int] | None = None
    is_cut: bool = False
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    rollovers: list[SegmentRollover] = field(default_factory=list)
    removals: list[FlightRemoved] = field(default_factory=list)

    @property
    def opening(self) -> str:
        """Return the opening in its header; empty if there is none."""
        return self.header.signing_key_rotation_event if self.header is not None else ''


class SealReading:
    """The seals of a segment that is being read; `take` its parts, then `finish`."""

    def __init__(
        self, reader: SegmentReader, index: int, flight_id: str, signer_of: SignerOf
    ) -> None:
        """Begin before the first part; `flight_id` is empty if it is not known yet."""
        self.flight_id = flight_id
        self._reader = reader
        self._signer_of = signer_of
        self._result = SegmentSeals(index, reader.path.name, reader.size)
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._names: dict[str, str] = {}
        self._scanner: Scanner | None = Scanner(reader, index)
        self._sealed_records = 0
        """How many of the recorder's own records are before the last seal that holds."""

    def take(self, part: Part) -> None:
        """Take the next part of the data section."""
        self._read_up_to(part.offset)
        record = part.record if isinstance(part, WholeChunk) else part
        if isinstance(record, RawRecord) and record.offset == self._hashed:
            if record.opcode == layout.METADATA:
                self._look(record)
            prefix = layout.RECORD_PREFIX.pack(record.opcode, len(record.content))
            self._digest.update(prefix)
            self._digest.update(record.content)
            self._hashed = record.end
        elif not isinstance(part, RawRecord):
            self._result.unreadable.append((part.offset, part.end))
            self._read_up_to(part.end)
        if self._scanner is None:
            return
        try:
            self._scanner.take(part)
        except SegmentError:
            self._scanner = None
            return
        seals = self._result.seals
        if seals and seals[-1].holds and seals[-1].offset == part.offset:
            self._sealed_records = len(self._scanner.contents.own_records)

    def _read_up_to(self, end: int) -> None:
        """Read bytes that are in no part."""
        while self._hashed < end:
            block = self._reader.read(self._hashed, min(_BLOCK_BYTES, end - self._hashed))
            self._digest.update(block)
            self._hashed += len(block)

    def _look(self, record: RawRecord) -> None:
        """Take in a metadata record, if it is a seal."""
        if self._reader.decoder.fields(record).string() != RECORD_NAME:
            return
        found = FoundSeal(self._result.index, True, record.offset, record.end)
        if len(self._result.seals) >= _MOST_SEALS:
            found = found._replace(fault='it is one of too many')
        else:
            found = self._check(found, record)
        if len(self._result.seals) <= _MOST_SEALS:
            self._result.seals.append(found)

    def _check(self, found: FoundSeal, record: RawRecord) -> FoundSeal:
        """Check a seal against what is before it in the file."""
        try:
            text, signature = read_seal(self._reader.path, record)
            seal = Seal.parse(text)
        except (SealError, SegmentError) as error:
            return found._replace(fault=str(error))
        found = found.of(seal, self._names)._replace(
            holds=(seal.offset, seal.sha256) == (found.offset, self._digest.hexdigest()),
            entry_bytes=len(entry_of(text, signature)),
        )
        written = seal_record(text, signature)[layout.RECORD_PREFIX.size:]
        if written != bytes(record.content):
            return found._replace(fault='it is not written as a recorder does')
        if seal.segment != self._result.index:
            return found._replace(fault=f'it is of segment {seal.segment}', is_foreign=True)
        if self.flight_id and seal.flight != self.flight_id:
            what = f'it is of flight {seal.flight[:80]!r}'
            return found._replace(fault=what, is_foreign=True)
        try:
            signer = self._signer_of(text, signature)
        except SealError as error:
            return found._replace(fault=str(error))
        return found._replace(signer=self._names.setdefault(signer, signer))

    def finish(self) -> SegmentSeals:
        """Read the rest of the file; return what was found."""
        reader, result = self._reader, self._result
        self._read_up_to(reader.size)
        result.sha256 = self._digest.hexdigest()
        result.is_ended = reader.is_closed
        result.data_end = reader.whole_bytes
        result.unreadable += [
            (gap.offset, gap.end) for gap in reader.gaps if gap.error is not None
        ]
        if not reader.is_closed:
            result.unreadable.append((reader.whole_bytes, reader.size))
        self._compare_ending()
        return result

    def _compare_ending(self) -> None:
        """Find out where what follows the data is not what must follow."""
        reader, result = self._reader, self._result
        result.wrong_ending = (result.data_end, reader.size)
        if self._scanner is None:
            return
        try:
            contents = self._scanner.finish(reader.tear)
        except SegmentError:
            return
        result.header = contents.header
        sealed = contents.own_records[:self._sealed_records]
        result.rollovers = [item for item in sealed if isinstance(item, SegmentRollover)]
        result.removals = [item for item in sealed if isinstance(item, FlightRemoved)]
        if contents.data_end != result.data_end:
            return
        position, first, last = result.data_end, -1, -1
        for piece in contents.found.ending(result.data_end):
            left = max(reader.size - position, 0)
            there = reader.read(position, min(len(piece), left)) if left else b''
            if there != piece[:len(there)]:
                differing = _differing(there, piece)
                first = differing[0] + position if first < 0 else first
                last = differing[1] + position
            position += len(piece)
        if first < 0 and position == reader.size:
            result.wrong_ending = None
        elif first < 0:
            result.is_cut = position > reader.size
            result.wrong_ending = (min(position, reader.size), reader.size)
        else:
            result.wrong_ending = (first, last + 1 if position == reader.size else reader.size)


def _differing(there: bytes, piece: bytes) -> tuple[int, int]:
    """Return the first and the last place at which two pieces differ."""
    pairs = enumerate(zip(there, piece, strict=False))
    places = [place for place, (one, other) in pairs if one != other]
    return places[0], places[-1]


def read_entries(data: bytes, signer_of: SignerOf) -> tuple[list[FoundSeal], int]:
    """
    Read the entries of SEALS, one after the other.

    Returns:
        The seals, with places in that file and in `segment` of which they say they are; and where
        the last whole entry ends.

    """
    names: dict[str, str] = {}
    found: list[FoundSeal] = []
    end = 0
    for start, end in places_of_entries(data):
        seal = FoundSeal(-1, False, start, end)
        try:
            text, signature = split_entry(data[start:end].decode('ascii'))
            parsed = Seal.parse(text)
            seal = seal.of(parsed, names)._replace(segment=parsed.segment)
            seal = seal._replace(signer=signer_of(text, signature), entry_bytes=end - start)
        except (SealError, UnicodeDecodeError) as error:
            seal = seal._replace(fault=str(error))
        found.append(seal)
    return found, end


def joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, those joined that touch each other."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if result and start <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        elif end > start:
            result.append((start, end))
    return result
