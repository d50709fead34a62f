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
Checks the chain of seals of one flight: pure functions over what was found in its files.

Each segment is sealed by a key of its own, which the seals of the segment before announce; the
opening announces the first. All seals of a flight are numbered, and each names the one before.

Not every seal that is missing is a sign of forgery. It may be in a segment that was dropped, whose
last seal is kept; a failed sync may have lost it, and a later seal says so; or the flight was
never closed, and a power cut took what was not known to be on the disk. Every seal says what was
(`durable`), and that counts even where the bytes that it was made for are not there any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from fdr_recorder.flights.verify.seal_reading import FoundSeal, joined, SegmentSeals
from fdr_recorder.record.segment_names import segment_name
from fdr_recorder.seal.seal import END, NONE, RECOVERY


class Place(NamedTuple):
    """Bytes of a file, from `start` up to `end`, and what is to be said of them."""

    file: str
    start: int
    end: int
    what: str

    def __str__(self) -> str:
        """Say it in words."""
        if self.start >= self.end:
            return f'{self.file}: {self.what}'
        return f'{self.file}: bytes {self.start:,} to {self.end - 1:,}: {self.what}'


@dataclass
class Chain:
    """
    What the seals of a flight prove.

    Attributes:
        faults: What cannot be as the recorder wrote it.
        uncovered: For what no seal of the recorder stands, and that is no fault.
        seals: Those of the chain, by number.
        holding: Those of them whose bytes are there, as they were sealed.
        recovered: What recovery has sealed.
        dropped: Numbers of segments that were dropped.

    """

    faults: list[Place] = field(default_factory=list)
    uncovered: list[Place] = field(default_factory=list)
    seals: dict[int, FoundSeal] = field(default_factory=dict)
    holding: dict[int, FoundSeal] = field(default_factory=dict)
    recovered: list[FoundSeal] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)

    @property
    def newest(self) -> FoundSeal | None:
        """Return the newest seal that holds; None if there is none."""
        return self.holding[max(self.holding)] if self.holding else None

    @property
    def hashes(self) -> tuple[str, ...]:
        """Return the hashes of all seals, the oldest first."""
        return tuple(self.seals[number].text_hash for number in sorted(self.seals))

    @property
    def durable(self) -> int:
        """Return the number of the newest seal of which it is said that it is on the disk."""
        return max((seal.durable for seal in self.seals.values()), default=NONE)


def check_chain(
    segments: Sequence[SegmentSeals],
    entries: Sequence[FoundSeal],
    *,
    opening_hash: str,
    first_key: str,
    is_closed: bool,
    left_out: Collection[int] = (),
    removed: Collection[tuple[int, int, int]] = (),
) -> Chain:
    """
    Check the seals of a flight.

    Args:
        segments: The segments that are there, by number.
        entries: What SEALS has, without those that are faulty.
        opening_hash: SHA-256 of the opening.
        first_key: The key that it announces.
        is_closed: Whether the recorder has closed the flight: then all must be covered.
        left_out: Segments that are left out of a proof on purpose.
        removed: First and last number of segments that are gone, and how many of these, as the
            recording says.

    """
    check = _Check(segments, entries, is_closed=is_closed)
    check.follow_keys(first_key)
    check.find_dropped(left_out, removed)
    check.link(opening_hash)
    check.check_segments()
    check.tell_gaps()
    return check.chain


class _Check:
    def __init__(
        self,
        segments: Sequence[SegmentSeals],
        entries: Sequence[FoundSeal],
        *,
        is_closed: bool,
    ) -> None:
        self.chain = Chain()
        self._segments = {segment.index: segment for segment in segments}
        self._entries: dict[int, list[FoundSeal]] = {}
        for entry in entries:
            self._entries.setdefault(entry.segment, []).append(entry)
        self._is_closed = is_closed
        self._sealed: dict[int, list[FoundSeal]] = {}
        """Seals of the chain by segment, in file order, entries of SEALS behind them."""
        self._in_file: dict[int, list[FoundSeal]] = {}
        """Of these, those in the segment's own file."""
        self._strange: set[int] = set()
        self._gaps: list[tuple[FoundSeal | None, FoundSeal, str]] = []
        """Where seals are missing: the seal before, the one behind, and what is missing."""

    def _fault(self, index: int, start: int, end: int, what: str) -> None:
        self.chain.faults.append(Place(segment_name(index), start, end, what))

    def _not_covered(self, index: int, start: int, end: int, what: str) -> None:
        if start < end:
            self.chain.uncovered.append(Place(segment_name(index), start, end, what))

    # --- keys and numbers ----------------------------------------------------------------

    def follow_keys(self, first_key: str) -> None:
        """Find the seals of the chain: each segment's are by the key that was announced."""
        key, last = first_key, -1
        for index in sorted(self._segments.keys() | self._entries.keys()):
            segment = self._segments.get(index)
            in_file = segment.seals if segment is not None else []
            sound = [seal for seal in (*in_file, *self._entries.get(index, ())) if not seal.fault]
            self.chain.recovered += [seal for seal in sound if seal.kind == RECOVERY]
            sound = [seal for seal in sound if seal.kind != RECOVERY]
            own = [seal for seal in sound if seal.signer == key]
            strange = [seal for seal in sound if seal.signer != key]
            if strange and not own and index > last + 1 and not self._is_closed:
                self._strange.add(index)  # the segment that announced its key may be lost
                continue
            if strange:
                what = f'its seal {strange[0].number} is by another key than the one announced'
                self._fault_of(strange[0], segment, own, what)
            if not own:
                continue
            self._sealed[index] = own
            self._in_file[index] = [seal for seal in own if seal.is_in_file]
            key, last = own[-1].next_key, index
            if len({seal.next_key for seal in own}) > 1:
                self._fault_of(own[-1], segment, [], 'its seals announce several keys')
            for seal in own:
                known = self.chain.seals.setdefault(seal.number, seal)
                if known.text_hash != seal.text_hash:
                    self._fault_of(seal, segment, [], f'there are two seals {seal.number}')

    def _fault_of(
        self, seal: FoundSeal, segment: SegmentSeals | None, own: Iterable[FoundSeal], what: str
    ) -> None:
        """Note what is wrong with a seal, in a segment or in SEALS."""
        if segment is None or not seal.is_in_file:
            self.chain.faults.append(Place('SEALS', seal.offset, seal.end, what))
            return
        before = [known.end for known in own if known.holds and known.end <= seal.offset]
        start = seal.offset if seal.holds else max(before, default=0)
        self._fault(segment.index, start, seal.end, what)

    def find_dropped(
        self, left_out: Collection[int], removed: Collection[tuple[int, int, int]]
    ) -> None:
        """Find segments that are not there any more; those of which nothing is said are faults."""
        gone = sorted(self._sealed.keys() - self._segments.keys())
        oldest = min(self._segments, default=0)
        most = max((seal.segments_dropped for seal in self.chain.seals.values()), default=0)
        excused = Counter[int]()
        for place, index in enumerate(gone):
            is_dropped = index < oldest and place < most
            is_removed = False
            for run, (first, last, count) in enumerate(removed):
                if first <= index <= last and excused[run] < count:
                    excused[run] += 1
                    is_removed = True
                    break
            if is_dropped or is_removed or index in left_out:
                self.chain.dropped.add(index)
            else:
                self._fault(index, 0, 0, 'is missing, and no seal says that it was dropped')

    def link(self, opening_hash: str) -> None:
        """Check numbers, and what each seal says of the one before it."""
        chain = self.chain
        numbers = sorted(chain.seals)
        if not numbers:
            return
        explained = self._explained()
        before, text_hash = -1, opening_hash
        for number in numbers:
            seal = chain.seals[number]
            if number == before + 1:
                if seal.previous != text_hash:
                    named = f'seal {before}' if before >= 0 else 'the opening of the flight'
                    self._fault_of(
                        seal, self._segments.get(seal.segment), [], f'does not name {named}'
                    )
            else:
                self._check_gap(before, number, explained)
            before, text_hash = number, seal.text_hash

    def _explained(self) -> list[tuple[int, int]]:
        """Return from which number up to which seals may be missing, ends excluded."""
        ranges = [
            (seal.void[0], seal.void[1] + 1)
            for seal in self.chain.seals.values()
            if 0 <= seal.void[0] <= seal.void[1] < seal.number
        ]
        first = 0
        for index in sorted(self._sealed):
            numbers = [seal.number for seal in self._sealed[index]]
            if index in self.chain.dropped:
                ranges.append((first, max(numbers) + 1))
            first = max(first, min(numbers))
        return joined(ranges)

    def _check_gap(
        self, before: int, number: int, explained: Sequence[tuple[int, int]]
    ) -> None:
        """Check seals that are missing between two."""
        missing = before + 1
        for start, end in explained:
            if start <= missing < end:
                missing = end
        if missing >= number or (not self._is_closed and missing > self.chain.durable):
            return
        which = f'seal {missing}' if missing + 1 == number else f'seals {missing} to {number - 1}'
        what = f'{which} {"is" if missing + 1 == number else "are"} missing'
        self._gaps.append((self.chain.seals.get(before), self.chain.seals[number], what))

    def tell_gaps(self) -> None:
        """Tell of seals that are missing, unless what is wrong with a segment explains it."""
        for last, seal, what in self._gaps:
            first = last.segment if last is not None else 0
            faulty = files_of(self.chain.faults)
            known = self._segments.keys() | self._sealed.keys()
            between = [index for index in known if first <= index <= seal.segment]
            if any(segment_name(index) in faulty for index in between):
                continue
            segment = self._segments.get(first)
            if last is not None and segment is not None and last.kind != END:
                self._fault(first, last.end, segment.size, what)
            else:
                self._fault(seal.segment, 0, 0, f'{what} before it')

    # --- what the seals stand for --------------------------------------------------------

    def check_segments(self) -> None:
        """Check the bytes of each segment against its seals."""
        newest = max(self._sealed, default=-1)
        for index, segment in sorted(self._segments.items()):
            own = self._in_file.get(index, [])
            holding = [seal for seal in own if seal.holds]
            for seal in holding:
                self.chain.holding[seal.number] = seal
            end = max((seal.end for seal in holding), default=0)
            of_recorder = [seal for seal in segment.seals if seal.kind != RECOVERY]
            behind = [seal for seal in of_recorder if seal.offset >= end]
            numbers = [seal.number for seal in own]
            if numbers != sorted(set(numbers)):
                self._fault(index, 0, segment.size, 'its seals are not in their order')
            if index in self._strange:
                what = 'the segment that announced its key is not there'
                self._not_covered(index, 0, segment.size, what)
            elif behind:
                self._check_behind(segment, end, behind)
            elif holding:
                self._check_tail(segment, holding[-1])
            else:
                self._check_unsealed(segment, is_newest=index > newest)
            if segment.name in files_of(self.chain.faults):
                continue
            for entry in self._entries.get(index, ()):
                if not own or entry.text_hash != own[-1].text_hash:
                    what = f'its last seal is not seal {entry.number}, which SEALS has'
                    self._fault(index, end, segment.size, what)

    def _check_behind(self, segment: SegmentSeals, end: int, behind: list[FoundSeal]) -> None:
        """Check what follows the last seal that holds, if more seals follow that."""
        first = behind[0]
        start, stop = end, first.offset if not first.fault else first.end
        if first.is_foreign:
            start, stop = 0, segment.size
        unreadable = _within(segment.unreadable, start, stop)
        signed = [seal.number for seal in behind if not seal.fault]
        may_be_lost = not self._is_closed and min(signed, default=-1) > self.chain.durable
        if may_be_lost and unreadable:
            what = 'cannot be read, as a power cut leaves what was not on the disk yet'
            self._not_covered(segment.index, start, segment.size, what)
            return
        what = 'changed after it was sealed'
        if first.fault:
            what = f'the seal is not genuine: {first.fault}'
        self._fault(segment.index, start, stop, what)

    def _check_tail(self, segment: SegmentSeals, last: FoundSeal) -> None:
        """Check what follows the last seal, which holds."""
        index, size = segment.index, segment.size
        if last.kind != END:
            if self._is_closed:
                self._fault(index, last.end, size, 'the seals behind it are missing')
            else:
                self._not_covered(index, last.end, size, 'behind the last seal')
            return
        if segment.wrong_ending is None:
            return
        start, end = segment.wrong_ending
        has_more = segment.data_end > last.end  # no records may stand behind that seal
        start = last.end if has_more else max(start, last.end)
        may_be_lost = not self._is_closed and last.number > self.chain.durable
        if may_be_lost and (segment.is_cut or not segment.is_ended):
            what = 'the summary ends too early, as a power cut leaves it'
            self._not_covered(index, start, max(end, start), what)
            return
        what = 'the summary is cut off' if segment.is_cut else 'not what must follow the data'
        self._fault(index, last.end, max(end, size), what)

    def _check_unsealed(self, segment: SegmentSeals, *, is_newest: bool) -> None:
        """Check a segment without a seal of the chain."""
        index, size = segment.index, segment.size
        if not self._is_closed:  # a recovery may have ended it, and not come further
            what = 'no seal stands for it'
            self._not_covered(index, 0, size, f'{what}: begun last' if is_newest else what)
        else:
            self._fault(index, 0, size, 'no seal of this flight stands for it')


def _within(
    ranges: Sequence[tuple[int, int]], start: int, stop: int
) -> list[tuple[int, int]]:
    """Return the parts of ranges that are between two places, in order."""
    return joined([(max(start, at), min(stop, until)) for at, until in ranges])


def files_of(places: Iterable[Place]) -> Set[str]:
    """Return the names of the files."""
    return {place.file for place in places}
