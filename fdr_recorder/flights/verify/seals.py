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
Finds out whether a flight is what the recorder sealed, while and after `verify` reads it.

What is read of each segment (`seal_reading`), the files beside them (`sidecars`) and the keys that
are trusted (`trust`) come together here; the rules for the chain of seals are in `chain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
import os
from pathlib import Path
import re
from typing import Final, NamedTuple

from fdr_recorder.errors import SealError
from fdr_recorder.flights.sealed import has_sidecars, is_opening
from fdr_recorder.flights.status import Authenticity, Ended
from fdr_recorder.flights.verify.authenticity import Authentication, shown
from fdr_recorder.flights.verify.chain import Chain, check_chain, Place
from fdr_recorder.flights.verify.seal_reading import (
    FoundSeal,
    SealReading,
    SegmentSeals,
)
from fdr_recorder.flights.verify.sidecars import (
    hash_file,
    MAX_SIDECAR_BYTES,
    parse_sums,
    read_seals,
    read_small,
    read_sums,
    Sums,
)
from fdr_recorder.flights.verify.trust import (
    opened_by,
    OpenedBy,
    signer_of,
    sums_signer,
    Trust,
)
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.record.dropped import DroppedAccount
from fdr_recorder.record.segment_names import SEGMENT_PATTERN
from fdr_recorder.seal.opening import Opening, RECOVERY_KEY_ID
from fdr_recorder.seal.openssh import parse_key
from fdr_recorder.seal.seal import NONE
from fdr_recorder.seal.sidecars import (
    newest_seal,
    SEALS_NAME,
    SUMS_NAME,
    SUMS_SIGNATURE_NAME,
)
from fdr_recorder.storage import bag_metadata

PROOF_NAME: Final = 'PROOF'
"""File in a copy of a flight that lists the pieces that were left out."""
_MOST_PROOF_BYTES: Final = 1 << 24


class Question(NamedTuple):
    """
    What is to be found out of a flight's seals.

    Attributes:
        trust: The keys that are trusted; None if nobody said.
        witness: SHA-256 of a seal that must be there, as somebody saw it in flight, or how that
            begins; or empty.

    """

    trust: Trust | None = None
    witness: str = ''


class FlightState(NamedTuple):
    """
    What is known of a flight beside its seals.

    Attributes:
        flight_id: Its id, by its header.
        ended: How it ended.
        tails: Files that recovery has set aside or cut off.

    """

    flight_id: str
    ended: Ended
    tails: Sequence[str] = ()


class FlightSeals:
    """
    The seals of a flight that is being read.

    Attributes:
        chain: What they prove, once they have been judged.
        opening: The opening of the flight, likewise; None if there is none.

    """

    def __init__(self, flight: Path, question: Question) -> None:
        self.chain = Chain()
        self.opening: Opening | None = None
        self._flight = flight
        self._question = question
        self._segments: list[SegmentSeals] = []
        self._result = Authentication()
        self._opened: OpenedBy | None = None
        self._faults = self._result.faults

    def reading(self, reader: SegmentReader, index: int, flight_id: str) -> SealReading:
        """Return what reads the seals of a segment."""
        return SealReading(reader, index, flight_id, signer_of)

    def add(self, seals: SegmentSeals) -> None:
        """Take in a segment that was read."""
        self._segments.append(seals)

    # --- the judgement -------------------------------------------------------------------

    def _has_just_begun(self, state: FlightState) -> bool:
        """
        Tell whether the recorder came no further than the files that precede the header.

        Recovery has added a header then, without an opening.
        """
        has_header = any(item.header is not None for item in self._segments)
        is_written = has_header and state.ended is not Ended.RECOVERED
        is_kept = os.path.lexists(self._flight / SEALS_NAME)
        has_seals = any(item.seals for item in self._segments)
        return not (is_written or has_seals or is_kept or state.ended is Ended.CLOSED)

    def judge(self, state: FlightState) -> Authentication:
        """Say what the seals prove, once all segments have been taken in."""
        result = self._result
        openings = [item for item in self._segments if is_opening(item.header)]
        if not openings:
            is_sealed = has_sidecars(self._flight) or any(item.seals for item in self._segments)
            if self._has_just_begun(state):
                result.reason = 'its header was not on the disk yet, and so nothing was sealed'
            elif is_sealed:
                what = 'there are seals, but no header says who opened the flight'
                self._faults.append(Place(self._segments[0].name, 0, 0, what))
                result.state = Authenticity.NOT_AUTHENTIC
            elif self._question.trust is not None:
                result.reason = 'the recorder has signed nothing'
            return result
        self._find_opening(openings, state)
        if self._opened is not None and self.opening is not None:
            state = self._check(self._opened, self.opening, state)
        self._faults.sort(key=lambda place: place.file in (SUMS_NAME, SEALS_NAME))
        result.state = self._state(state)
        return result

    def _find_opening(self, openings: Sequence[SegmentSeals], state: FlightState) -> None:
        """Find the opening: the one that is trusted, where segments do not have the same."""
        trust = self._question.trust
        texts = list(dict.fromkeys(item.opening for item in openings))
        reasons: dict[str, str] = {}
        for text in texts[:8]:
            try:
                opening = Opening.parse(text)
                opened = opened_by(opening)
                if opening.flight != state.flight_id:
                    raise SealError(f'it is that of flight {shown(opening.flight)}')
            except SealError as error:
                reasons[text] = f'the opening in its header is not genuine: {error}'
                continue
            doubt = trust.doubt(opened) if trust is not None else ''
            if self._opened is None or (self._result.reason and not doubt):
                self.opening, self._opened, self._result.reason = opening, opened, doubt
        chosen = self.opening.text if self.opening is not None else ''
        for item in self._segments:
            if item.header is not None and item.opening != chosen:
                what = reasons.get(item.opening, 'its header is not that of the sealed flight')
                self._faults.append(Place(item.name, 0, item.size, what))

    def _check(self, opened: OpenedBy, opening: Opening, state: FlightState) -> FlightState:
        """Check everything; return how the flight ended, by what is signed of that."""
        result = self._result
        result.vehicle, result.fingerprint = opened.principal, opened.fingerprint
        sums = self._read_sums(opened, opening, state)
        if state.ended is Ended.CLOSED and self._is_by_recovery(sums):
            state = state._replace(ended=Ended.RECOVERED)
        is_closed = state.ended is Ended.CLOSED
        entries = read_seals(self._flight, signer_of, is_closed=is_closed)
        left_out = self._left_out()
        if state.ended is Ended.OPEN:  # SEALS is newer than what was read of the segments
            there = {item.index for item in self._segments}
            entries.seals = [entry for entry in entries.seals if entry.segment not in there]
            left_out = {entry.segment for entry in entries.seals}
        chain = self.chain = check_chain(
            self._segments,
            entries.seals,
            opening_hash=opening.text_hash,
            first_key=opened.first_key,
            is_closed=is_closed,
            left_out=left_out or (),
            removed=self._removed(),
        )
        self._faults += chain.faults
        if state.ended is not Ended.OPEN:
            self._faults += entries.faults
        result.seals = len(chain.seals)
        result.previous_flight = opening.previous_flight
        result.previous_seal = opening.previous_seal
        newest = chain.newest
        result.hashes = chain.hashes
        last = newest_seal(self._flight)  # a power cut may have left one behind a hole
        if last is not None and last.durable <= (newest.number if newest is not None else NONE):
            result.hashes += (last.text_hash,)
        if newest is not None:
            result.seal, result.seal_hash = newest.number, newest.text_hash
            result.utc, result.log_time_ns = newest.utc, newest.log_time
        if state.ended is not Ended.OPEN:
            self._check_sums(sums, state, left_out)
            if sums.is_there and not sums.fault and not sums.signer:
                self._check_entries(sums, entries.seals)
        if sums.signer and not sums.fault:
            result.recovered_by = sums.signer
        result.removed_flights = frozenset(
            (record.flight_id, record.newest_seal)
            for item in self._segments
            for record in item.removals
        )
        self._check_recovery(chain.recovered, opening.flight)
        result.uncovered += chain.uncovered
        self._check_witness()
        return state

    def _removed(self) -> list[tuple[int, int, int]]:
        """Return first and last numbers of segments that are gone, and how many, as is sealed."""
        told = [record for item in self._segments for record in item.rollovers]
        account = DroppedAccount.of_flight(told, [item.index for item in self._segments])
        return [(run.first_index, run.last_index, run.segments) for run in account.segments]

    def _left_out(self) -> set[int] | None:
        """Return the numbers of the segments that a proof leaves out; None if this is none."""
        if not os.path.lexists(self._flight / PROOF_NAME):
            return None
        try:
            text = read_small(self._flight / PROOF_NAME, _MOST_PROOF_BYTES).decode('ascii')
        except (SealError, UnicodeDecodeError):
            return set()
        matches = map(SEGMENT_PATTERN.fullmatch, re.split(r'\s+', text))
        return {int(match[1]) for match in matches if match}

    # --- the files beside the segments ---------------------------------------------------

    def _read_sums(self, opened: OpenedBy, opening: Opening, state: FlightState) -> Sums:
        """Read SHA256SUMS; one that only an unknown key has signed, for a recovery, is none."""
        signer = partial(sums_signer, opened=opened, flight_id=opening.flight)
        sums = read_sums(self._flight, partial(signer, trust=self._question.trust))
        if not sums.fault or state.ended is not Ended.RECOVERED:
            return sums
        unknown = read_sums(self._flight, partial(signer, trust=None))
        return sums if unknown.fault else Sums(is_there=False, unknown=unknown.signer)

    def _is_by_recovery(self, sums: Sums) -> bool:
        """
        Tell whether recovery has closed a flight whose footer says that the recorder did.

        The recorder was killed between the two: it has not signed that all is there.
        """
        is_listed = self._segments[-1].name in sums.listed
        return sums.is_there and not sums.fault and (bool(sums.signer) or not is_listed)

    def _check_sums(
        self, sums: Sums, state: FlightState, left_out: set[int] | None
    ) -> None:
        """Compare the files with SHA256SUMS."""
        is_recovered = state.ended is Ended.RECOVERED
        path = self._flight / bag_metadata.FILE_NAME
        size = path.stat().st_size if path.is_file() else 0
        uncovered = self._result.uncovered
        for name in state.tails:
            if name not in sums.listed:
                kept = (self._flight / name).stat().st_size
                uncovered.append(Place(name, 0, kept, 'kept by recovery, and not signed'))
        if not sums.is_there:
            what = 'there is no SHA256SUMS with its signature'
            if sums.unknown:
                what = f'recovery has renewed it, signed by {sums.unknown}, not in the file'
            if is_recovered or (state.ended is Ended.UNKNOWN and not os.path.lexists(path)):
                uncovered.append(Place(path.name, 0, size, what))
            else:
                self._faults.append(Place(SUMS_NAME, 0, 0, f'is missing: {what}'))
            return
        if sums.fault:
            name = SUMS_SIGNATURE_NAME if self._are_listed() else SUMS_NAME
            there = self._flight / name
            size = there.stat().st_size if there.is_file() else 0
            self._faults.append(Place(name, 0, size, f'it is not genuine: {sums.fault}'))
            return
        if not sums.metadata_fits:
            what = 'it is not the one that SHA256SUMS lists'
            if is_recovered and not sums.signer:
                what = 'recovery has renewed it, and nobody signed that'
                uncovered.append(Place(path.name, 0, size, what))
            else:
                self._faults.append(Place(path.name, 0, size, what))
        for name in sums.superseded:
            what = 'it fits to none of the newer files that were to replace it'
            uncovered.append(Place(name, 0, 0, what))
        self._check_listed(sums, left_out)
        if state.ended is Ended.CLOSED or sums.signer:
            for item in self._segments:
                if item.name not in sums.listed:
                    what = 'SHA256SUMS does not list it'
                    self._faults.append(Place(item.name, 0, item.size, what))
        if state.ended is Ended.CLOSED:
            for name in sums.leftovers:
                size = (self._flight / name).stat().st_size
                what = 'it waits for its name: the recorder was ended before it had it'
                uncovered.append(Place(name, 0, size, what))

    def _are_listed(self) -> bool:
        """Tell whether SHA256SUMS, whose signature is wrong, lists just what is there."""
        try:
            sums = parse_sums(read_small(self._flight / SUMS_NAME, MAX_SIDECAR_BYTES))
        except SealError:
            return False
        said = {item.name: item.sha256 for item in self._segments if item.name in sums}
        path = self._flight / bag_metadata.FILE_NAME
        return {**said, path.name: hash_file(path)} == sums

    def _check_listed(self, sums: Sums, left_out: set[int] | None) -> None:
        """Compare what SHA256SUMS lists with what is there."""
        hashes = {item.name: (item.sha256, item.size) for item in self._segments}
        found = {place.file for place in self._faults}
        for name, said in sums.listed.items():
            match = SEGMENT_PATTERN.fullmatch(name)
            index = int(match[1]) if match else -1
            is_gone = index in self.chain.dropped or index in (left_out or ())
            if name == bag_metadata.FILE_NAME or name in found:
                continue
            if name not in hashes and match is None:
                sha256 = hash_file(self._flight / name)
            elif name not in hashes:
                sha256 = said if is_gone else ''
            else:
                sha256 = hashes[name][0]
            if not sha256:
                self._faults.append(Place(name, 0, 0, 'is missing, and SHA256SUMS lists it'))
            elif sha256 != said:
                size = hashes[name][1] if name in hashes else 0
                what = 'it is not the one that SHA256SUMS lists'
                self._faults.append(Place(name, 0, size, what))

    def _check_entries(self, sums: Sums, entries: Iterable[FoundSeal]) -> None:
        """Find segments that are not in SEALS: they get there before SHA256SUMS lists them."""
        known = {entry.segment for entry in entries}
        for item in self._segments:
            if item.name in sums.listed and item.index not in known:
                what = f'the last seal of {item.name} is missing'
                self._faults.append(Place(SEALS_NAME, 0, 0, what))

    def _check_recovery(self, seals: Iterable[FoundSeal], flight_id: str) -> None:
        """Check who made the seals of recovery."""
        trust, result = self._question.trust, self._result
        for seal in seals:
            try:
                if trust is not None:
                    blob = parse_key(seal.signer)
                    recoverer = trust.recoverer(blob, RECOVERY_KEY_ID, flight_id)
                    if not recoverer:
                        what = 'a seal of recovery proves nothing: its key is not in the file'
                        result.notes.append(what)
                        continue
                    result.recovered_by = recoverer
                if not seal.holds:
                    raise SealError('the bytes before it were changed')
            except SealError as error:
                what = f'the seal of recovery is not genuine: {error}'
                name = next(item.name for item in self._segments if item.index == seal.segment)
                self._faults.append(Place(name, seal.offset, seal.end, what))

    def _check_witness(self) -> None:
        """Find the seal that somebody saw in flight."""
        witness = self._question.witness
        if not witness:
            return
        seals = self.chain.holding.values()
        is_here = any(seal.text_hash.startswith(witness) for seal in seals)
        if is_here:
            self._result.notes.append('the witness is the hash of a seal of this flight')
        elif self.chain.dropped:
            what = 'the witness is no seal that is here; it may be in a segment that is gone'
            self._result.uncovered.append(Place('witness', 0, 0, what))
        else:
            what = 'the seal that the witness names is not here: cut back, or another flight'
            self._faults.append(Place(self._segments[-1].name, 0, 0, what))

    # --- in a word -----------------------------------------------------------------------

    def _state(self, state: FlightState) -> Authenticity:
        """Return what all that comes to, and why it is no better."""
        result, trust = self._result, self._question.trust
        if self._faults:
            return Authenticity.NOT_AUTHENTIC
        is_proof = os.path.lexists(self._flight / PROOF_NAME)
        reasons = {
            Ended.OPEN: 'it is being recorded',
            Ended.UNKNOWN: 'the flight was not closed',
            Ended.RECOVERED: 'the flight was not closed, and recovery has completed it',
        }
        why = reasons.get(state.ended, '')
        why = why or ('pieces were left out on purpose' if is_proof else '')
        why = why or ('not all is covered' if result.uncovered else '')
        if trust is None:
            result.reason = 'name a file of trusted keys with --keys'
            return Authenticity.UNCHECKED
        if result.reason:
            return Authenticity.UNCHECKED
        if result.seal < 0:
            result.reason = f'{why}: it has no seal yet' if why else 'it has no seal'
            return Authenticity.AUTHENTIC_UP_TO
        result.reason = why
        return Authenticity.AUTHENTIC_UP_TO if why else Authenticity.AUTHENTIC
