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
Makes the seals of one flight while it is recorded.

Every segment has a key of its own. Each announces the next in its seals, and is forgotten when its
segment is closed: whoever reads the recorder's memory finds no key of an earlier segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import hashlib
import logging
import time
from typing import Final, NamedTuple

from fdr_recorder.seal import certificates, openssh, sshsig
from fdr_recorder.seal.identity import Identity
from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.opening import FIRST_KEY_ID, Opening, SUMS_KEY_ID, SUMS_NAMESPACE
from fdr_recorder.seal.seal import (
    Digest,
    entry_of,
    hash_of,
    NAMESPACE,
    NONE,
    Seal,
    seal_record,
    SYNC,
)
from fdr_recorder.units import iso_time

logger = logging.getLogger(__name__)

COUNTERS: Final = (
    'records_written', 'records_dropped_overrun', 'records_dropped_write_error',
    'records_lost_transport', 'records_before_match', 'segments_dropped', 'bytes_dropped',
)
"""The counters of the flight that a seal tells."""


class MadeSeal(NamedTuple):
    """A seal with its signature: its number, its MCAP record, its entry in SEALS, its hash."""

    number: int
    record: bytes
    entry: bytes
    text_hash: str


class Witness(NamedTuple):
    """A seal that is on the disk: its number in the flight, and the SHA-256 of its text."""

    number: int
    text_hash: str

    def __str__(self) -> str:
        """Return it for displays."""
        return f'{self.number} {self.text_hash}'


class FlightSealer:
    """
    The chain of seals of one flight. Used by the writer's thread.

    `sign_sums` is for the thread that syncs.

    Attributes:
        opening: What the flight's header says of its keys.
        witness: The newest seal that is on the disk; None before the first.
        failure: Why no more seals can be made; None as long as they can.
        counters: Returns the counters of the flight, for a seal to tell.
        now_ns: Returns the time by the flight's clock (ns).
        on_begun: Called once, when the first seal is on the disk; as the flight is opened.
        on_failure: Called once if a seal cannot be made; the flight is sealed up to there.

    """

    def __init__(
        self,
        identity: Identity,
        *,
        flight: str,
        vehicle: str,
        principal: str,
        number: int,
        previous: tuple[str, str] = ('', ''),
    ) -> None:
        """
        Have the identity key certify the keys of a new flight; it is not used after that.

        Args:
            identity: The vehicle's identity key.
            flight: Id of the flight.
            vehicle: As configured; may be empty.
            principal: For whom the keys are certified.
            number: Number of the flight in its root.
            previous: The sealed flight before it, and the hash of its newest seal.

        Raises:
            SealError: The identity key cannot sign.

        """
        self.counters: Callable[[], object] = object
        self.now_ns: Callable[[], int] = time.time_ns
        self.on_begun: Callable[[], object] = lambda: None
        self.on_failure: Callable[[Exception], object] = lambda _error: None
        self.witness: Witness | None = None
        self.failure: Exception | None = None
        self._announced = SessionKey.generate()
        """The key of the next segment."""

        def certificate(key: SessionKey, role: str) -> bytes:
            return certificates.issue(
                identity,
                key.public,
                key_id=role + flight,
                principals=(principal,),
                serial=number,
            )

        sums_key = SessionKey.generate()
        sums_certificate = certificate(sums_key, SUMS_KEY_ID)
        self._sums_signer = sums_key.with_certificate(sums_certificate)
        self.opening = Opening(
            flight=flight,
            vehicle=vehicle,
            number=number,
            opened=iso_time(time.time_ns()),
            previous_flight=previous[0],
            previous_seal=previous[1],
            identity=openssh.key_text(identity.public),
            first_key=openssh.key_text(certificate(self._announced, FIRST_KEY_ID)),
            sums_key=openssh.key_text(sums_certificate),
            rotation=tuple(identity.rotations),
        )
        self._signature_bytes = len(sshsig.sign(SessionKey.generate(), NAMESPACE, b''))
        self._number = 0
        self._previous = self.opening.text_hash
        self._outstanding: dict[int, str] = {}
        """Seals that are not known to be on the disk: their hashes, by number."""
        self._void: set[int] = set()
        """Seals that failed syncs have lost; no seal that tells of it is on the disk yet."""
        self._telling: dict[int, set[int]] = {}
        """Of which of those a seal tells, by its number, until it is on the disk, or lost."""

    def for_segment(self, index: int) -> SegmentSealer | None:
        """Return what seals the segment that is begun next; call `begun` if it could begin."""
        try:
            return SegmentSealer(self, index, self._announced, SessionKey.generate())
        except Exception as error:  # whatever the library raises: recording goes on
            self.fail(error)
            return None

    def begun(self, sealer: SegmentSealer) -> None:
        """Note that the segment has begun."""
        self._announced = sealer.next_key

    def sign_sums(self, text: bytes) -> str | None:
        """Sign the text of SHA256SUMS; None if that is not possible."""
        try:
            return sshsig.sign(self._sums_signer, SUMS_NAMESPACE, text)
        except Exception as error:  # whatever the library raises: recording goes on
            self.fail(error)
            return None

    def fail(self, error: Exception) -> None:
        """Note that no seal can be made from now on."""
        if self.failure is None:
            self.failure = error
            logger.error('the flight is sealed only up to here', exc_info=error)
            self.on_failure(error)

    # --- the chain ------------------------------------------------------------------------

    def make(self, sealer: SegmentSealer, kind: str, offset: int, sha256: str) -> MadeSeal:
        """Make the next seal of the chain; `add` it once it is in the file."""
        seal = self._compose(sealer, kind, offset, sha256)
        text = seal.text
        signature = sshsig.sign(sealer.key, NAMESPACE, text.encode())
        entry = entry_of(text, signature).encode()
        return MadeSeal(self._number, seal_record(text, signature), entry, seal.text_hash)

    def record_bytes(self, sealer: SegmentSealer) -> int:
        """Return the size of the record of any seal of a segment."""
        text = self._compose(sealer, SYNC, 0, hash_of('')).text
        return len(seal_record(text, ' ' * self._signature_bytes))

    def _compose(self, sealer: SegmentSealer, kind: str, offset: int, sha256: str) -> Seal:
        counted = self.counters()
        return Seal(
            flight=self.opening.flight,
            segment=sealer.index,
            number=self._number,
            kind=kind,
            offset=offset,
            sha256=sha256,
            previous=self._previous,
            durable=min(self._outstanding, default=self._number) - 1,
            void_from=min(self._void, default=NONE),
            void_to=max(self._void, default=NONE),
            log_time=self.now_ns(),
            utc=iso_time(time.time_ns()),
            next_key=openssh.key_text(sealer.next_key.public),
            **{name: getattr(counted, name, 0) for name in COUNTERS},
        )

    def add(self, made: MadeSeal) -> None:
        """Note that a seal is in the file."""
        self._outstanding[made.number] = self._previous = made.text_hash
        self._number = made.number + 1
        if self._void:
            self._telling[made.number] = set(self._void)

    def confirm(self, numbers: Iterable[int]) -> None:
        """Note that seals are on the disk."""
        for number in numbers:
            text_hash = self._outstanding.pop(number, None)
            self._void -= self._telling.pop(number, set())
            if text_hash and self.witness is None:
                self.on_begun()
            if text_hash and (self.witness is None or number > self.witness.number):
                self.witness = Witness(number, text_hash)

    def void(self, numbers: Iterable[int]) -> None:
        """Note that the disk has lost seals, and that they were cut off: the next ones tell."""
        for number in numbers:
            self._outstanding.pop(number, None)
            self._telling.pop(number, None)
            self._void.add(number)


class SegmentSealer:
    """
    Seals one segment with its own key. Used by the writer's thread; `wipe` by any.

    Attributes:
        index: Number of the segment.
        next_key: The key of the segment after this one.

    """

    def __init__(
        self, flight: FlightSealer, index: int, key: SessionKey, next_key: SessionKey
    ) -> None:
        """Take the key of this segment, and that of the next."""
        self.index = index
        self.next_key = next_key
        self._flight = flight
        self._key: SessionKey | None = key
        self._record_bytes = flight.record_bytes(self)

    @property
    def key(self) -> SessionKey:
        """Return the key of this segment."""
        assert self._key is not None
        return self._key

    @property
    def record_bytes(self) -> int:
        """Size of the record of a seal; 0 if none can be made."""
        return 0 if self._flight.failure else self._record_bytes

    def digest(self) -> Digest:
        """Return a new SHA-256, for the bytes of the segment."""
        return hashlib.sha256()

    def seal(self, kind: str, offset: int, sha256: str) -> MadeSeal | None:
        """Make the next seal of the flight; None if none can be made."""
        if self._flight.failure is not None:
            return None
        try:
            return self._flight.make(self, kind, offset, sha256)
        except Exception as error:  # whatever the library raises: recording goes on
            self._flight.fail(error)
            return None

    def add(self, made: MadeSeal) -> None:
        """Note that a seal is in the file."""
        self._flight.add(made)

    def confirm(self, numbers: Iterable[int]) -> None:
        """Note that seals are on the disk."""
        self._flight.confirm(numbers)

    def void(self, numbers: Iterable[int]) -> None:
        """Note that seals are no longer in the file."""
        self._flight.void(numbers)

    def wipe(self) -> None:
        """Forget the key: the segment is closed. Idempotent."""
        self._key = None
