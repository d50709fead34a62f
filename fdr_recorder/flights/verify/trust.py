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
Whose keys are trusted, and what they have signed.

Importing this module may raise `ExtraMissingError`: checking a signature needs a library that not
everybody has.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal import certificates, sshsig
from fdr_recorder.seal.allowed_signers import AllowedSigner, read_allowed_signers, trusted_keys
from fdr_recorder.seal.opening import (
    FIRST_KEY_ID,
    Opening,
    principal_of,
    RECOVERY_KEY_ID,
    SUMS_KEY_ID,
    SUMS_NAMESPACE,
)
from fdr_recorder.seal.openssh import fingerprint, key_text, parse_key
from fdr_recorder.seal.rotation import decode_rotation, Rotation, trusted_ancestor
from fdr_recorder.seal.seal import NAMESPACE

_MOST_ROTATIONS: Final = 256


def signer_of(text: str, signature: str) -> str:
    """Return who signed a seal, as `key_text`; raise `SealError` if the signature is not valid."""
    return key_text(sshsig.verify(signature, NAMESPACE, text.encode()))


@dataclass(frozen=True)
class OpenedBy:
    """
    Who opened a flight, by its opening.

    Attributes:
        identity: The identity key, as a blob.
        principal: For whom the certificates are.
        first_key: The key of the first segment, as `key_text`.
        sums_key: The certificate of the key that signs SHA256SUMS, as a blob.
        rotations: How the identity key came after others.
        utc_s: When, in seconds since 1970; None if that cannot be read.

    """

    identity: bytes
    principal: str
    first_key: str
    sums_key: bytes
    rotations: tuple[Rotation, ...]
    utc_s: float | None

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the identity key."""
        return fingerprint(self.identity)


def opened_by(opening: Opening) -> OpenedBy:
    """Check what an opening says against itself; raise `SealError` if it is no true one."""
    identity = parse_key(opening.identity)
    if key_text(identity) != opening.identity:
        raise SealError('the identity key is not written as a recorder does')
    found = []
    for text, role in ((opening.first_key, FIRST_KEY_ID), (opening.sums_key, SUMS_KEY_ID)):
        blob = parse_key(text)
        certificate = certificates.check(blob, ca=identity, key_id=role + opening.flight)
        if key_text(blob) != text or len(certificate.principals) != 1:
            raise SealError('a certificate is none as a recorder issues')
        found.append((blob, certificate))
    (_, first), (sums_key, sums) = found
    if first.principals != sums.principals:
        raise SealError('the two certificates are not for the same vehicle')
    if opening.vehicle and first.principals != (principal_of(opening.vehicle),):
        raise SealError('the certificates are for another vehicle')
    if len(opening.rotation) > _MOST_ROTATIONS:
        raise SealError('it has too many rotations of the identity')
    rotations = tuple(map(decode_rotation, opening.rotation))
    utc_s = None
    with suppress(ValueError):
        utc_s = datetime.fromisoformat(opening.opened.replace('Z', '+00:00')).timestamp()
    return OpenedBy(
        identity, first.principals[0], key_text(first.public), sums_key, rotations, utc_s
    )


class Trust:
    """The keys in a file of allowed signers."""

    def __init__(self, signers: tuple[AllowedSigner, ...]) -> None:
        self._signers = signers

    @classmethod
    def of_file(cls, path: Path) -> Trust:
        """Read a file; raise `SealError` if that is impossible, or it names nobody."""
        signers = read_allowed_signers(path)
        if not signers:
            raise SealError(f'{path} names no key; `fdr keys show KEY` prints a line for it')
        return cls(signers)

    def doubt(self, opened: OpenedBy) -> str:
        """Return why the identity key of a flight is not trusted; empty if it is."""
        who = f'the key {opened.fingerprint}'
        trusted = self._keys(opened.principal, NAMESPACE, opened.utc_s)
        if trusted_ancestor(opened.identity, trusted, opened.rotations) is not None:
            return ''
        if opened.identity not in {signer.key for signer in self._signers}:
            return f'{who} of {opened.principal!r} is not in the file'
        return f'{who} is in the file, but not for seals of {opened.principal!r} at that time'

    def has_signed(self, text: str, signature: str, namespace: str) -> bool:
        """Return whether a key in the file, which is for that, has signed a text."""
        try:
            key = sshsig.verify(signature, namespace, text.encode())
        except SealError:
            return False
        return key in {line.key for line in trusted_keys(self._signers, namespace=namespace)}

    def _keys(self, principal: str, namespace: str, utc_s: float | None) -> set[bytes]:
        lines = trusted_keys(
            self._signers, principal=principal, namespace=namespace, utc_s=utc_s
        )
        return {line.key for line in lines}

    def recoverer(self, certificate_blob: bytes, role: str, flight_id: str) -> str:
        """
        Return who certified a key of recovery; empty if the file does not name him.

        Raises:
            SealError: It is not for this.

        """
        certificate = certificates.parse(certificate_blob)
        certificates.check(certificate_blob, ca=certificate.ca, key_id=role + flight_id)
        namespace = NAMESPACE if role == RECOVERY_KEY_ID else SUMS_NAMESPACE
        for principal in certificate.principals:
            if certificate.ca in self._keys(principal, namespace, None):
                return principal
        return ''


def sums_signer(
    text: bytes, signature: str, *, opened: OpenedBy, flight_id: str, trust: Trust | None
) -> str:
    """
    Return who signed SHA256SUMS; empty for the recorder of the flight.

    Raises:
        SealError: The signature is not valid, or by somebody who is not trusted.

    """
    public = sshsig.verify(signature, SUMS_NAMESPACE, text)
    if public == opened.sums_key:
        return ''
    certificate = certificates.parse(public)
    certificates.check(public, ca=certificate.ca, key_id=SUMS_KEY_ID + flight_id)
    known = trust.recoverer(public, SUMS_KEY_ID, flight_id) if trust is not None else ''
    if trust is not None and not known:
        raise SealError(f'it is signed by {fingerprint(certificate.ca)}, which is not in the file')
    return known or fingerprint(certificate.ca)
