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
Seals what a recovery adds to a flight, by the key of whoever recovers it.

The recorder's keys are gone. A fresh key signs, and its certificate by the recoverer's identity is
the public key inside the signature: so nobody takes it for a seal of the recorder.
"""

from __future__ import annotations

from collections.abc import Iterable
import hashlib
import time

from fdr_recorder.seal import certificates, sshsig
from fdr_recorder.seal.flight_sealer import COUNTERS, MadeSeal
from fdr_recorder.seal.identity import Identity
from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.opening import RECOVERY_KEY_ID, SUMS_KEY_ID, SUMS_NAMESPACE
from fdr_recorder.seal.seal import (
    Digest,
    entry_of,
    hash_of,
    NAMESPACE,
    NONE,
    RECOVERY,
    Seal,
    seal_record,
)
from fdr_recorder.units import iso_time


class RecoverySealer:
    """
    Makes the seal of the segment that a recovery adds, and signs SHA256SUMS. Used by one thread.

    Attributes:
        counters: The flight's footer, of which the seal tells the counters.
        log_time: Log time of the seal (ns).

    """

    def __init__(
        self,
        identity: Identity,
        *,
        flight: str,
        principal: str,
        flight_number: int,
        segment: int,
        before: Seal | None,
        opening_hash: str,
    ) -> None:
        """
        Have the identity key certify two fresh keys; it is not used after that.

        Args:
            identity: The key of whoever recovers.
            flight: Id of the flight.
            principal: For whom the keys are certified.
            flight_number: Number of the flight in its root.
            segment: Number of the segment that is added.
            before: The seal with the highest number that was found; None if there is none.
            opening_hash: SHA-256 of the flight's opening.

        Raises:
            SealError: The identity key cannot sign.

        """
        self.counters: object = object()
        self.log_time = 0
        self._flight = flight
        self._segment = segment
        self._number = before.number + 1 if before is not None else 0
        self._previous = before.text_hash if before is not None else opening_hash
        self._durable = before.durable if before is not None else NONE

        def certified(role: str) -> SessionKey:
            key = SessionKey.generate()
            certificate = certificates.issue(
                identity,
                key.public,
                key_id=role + flight,
                principals=(principal,),
                serial=flight_number,
            )
            return key.with_certificate(certificate)

        self._key: SessionKey | None = certified(RECOVERY_KEY_ID)
        self._sums_key = certified(SUMS_KEY_ID)
        self._record_bytes = len(self._make(0, hash_of('')).record)

    @property
    def record_bytes(self) -> int:
        """Size of the record of the seal; 0 once it is made."""
        return self._record_bytes if self._key is not None else 0

    def digest(self) -> Digest:
        """Return a new SHA-256, for the bytes of the segment."""
        return hashlib.sha256()

    def seal(self, _kind: str, offset: int, sha256: str) -> MadeSeal | None:
        """Make the seal, at the segment's end."""
        return self._make(offset, sha256)

    def _make(self, offset: int, sha256: str) -> MadeSeal:
        assert self._key is not None
        counters: dict[str, int] = {name: getattr(self.counters, name, 0) for name in COUNTERS}
        seal = Seal(
            flight=self._flight,
            segment=self._segment,
            number=self._number,
            kind=RECOVERY,
            offset=offset,
            sha256=sha256,
            previous=self._previous,
            durable=self._durable,
            log_time=self.log_time,
            utc=iso_time(time.time_ns()),
            next_key='',
            **counters,
        )
        signature = sshsig.sign(self._key, NAMESPACE, seal.text.encode())
        entry = entry_of(seal.text, signature).encode()
        return MadeSeal(self._number, seal_record(seal.text, signature), entry, seal.text_hash)

    def add(self, made: MadeSeal) -> None:
        """Note that the seal is in the file."""

    def confirm(self, numbers: Iterable[int]) -> None:
        """Note that the seal is on the disk."""

    def void(self, numbers: Iterable[int]) -> None:
        """Note that the seal is no longer in the file."""

    def wipe(self) -> None:
        """Forget the key of the seal: the segment is closed. Idempotent."""
        self._key = None

    def sign_sums(self, text: bytes) -> str:
        """Sign the text of SHA256SUMS."""
        return sshsig.sign(self._sums_key, SUMS_NAMESPACE, text)
