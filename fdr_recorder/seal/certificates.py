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
Certificates of session keys in the form of OpenSSH (PROTOCOL.certkeys): user certificates.

With one in a signature, `ssh-keygen -Y verify` asks for the key that issued it only.
"""

from __future__ import annotations

from dataclasses import dataclass
import secrets
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal.keys import check_key, check_signature, Signer
from fdr_recorder.seal.openssh import (
    ED25519,
    ED25519_CERTIFICATE,
    has_control_characters,
    MAX_BLOB_BYTES,
    pack_string,
    pack_uint32,
    pack_uint64,
    Reader,
)

USER: Final = 1
"""Kind of a certificate for users; 2 is for hosts."""
FOREVER: Final = (0, (1 << 64) - 1)
"""Validity, in seconds since 1970."""
_NONCE_BYTES: Final = 32
_MAX_PRINCIPALS: Final = 256  # as OpenSSH has it


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """
    A certificate whose signature is valid.

    Attributes:
        public: The key that is certified, as a blob.
        ca: The key that has certified it, as a blob.
        key_id: What it was made for.
        principals: Whose key it is; empty: anybody's.
        serial: A number.
        kind: `USER`, or 2 for hosts.
        valid: From and to, in seconds since 1970.
        critical_options: Empty if there are none.
        extensions: Likewise.

    """

    public: bytes
    ca: bytes
    key_id: str
    principals: tuple[str, ...]
    serial: int
    kind: int
    valid: tuple[int, int]
    critical_options: bytes
    extensions: bytes


def issue(
    ca_signer: Signer, public: bytes, *, key_id: str, principals: tuple[str, ...], serial: int = 0
) -> bytes:
    """
    Return a user certificate that is valid forever, as a blob.

    Args:
        ca_signer: The key that certifies.
        public: An Ed25519 key, as a blob.
        key_id: What it is made for.
        principals: Whose key it is; at least one.
        serial: A number.

    Raises:
        SealError: A name is empty or has control characters, the key is not Ed25519, or the other
            key cannot sign.

    """
    if not principals or len(principals) > _MAX_PRINCIPALS:
        raise SealError(f'a certificate needs 1 to {_MAX_PRINCIPALS} principals')
    if not all((key_id, *principals)) or any(map(has_control_characters, (key_id, *principals))):
        raise SealError('a name in a certificate must not be empty, nor have control characters')
    body = (
        pack_string(ED25519_CERTIFICATE)
        + pack_string(secrets.token_bytes(_NONCE_BYTES))
        + pack_string(_raw_key(public))
        + pack_uint64(serial)
        + pack_uint32(USER)
        + pack_string(key_id)
        + pack_string(b''.join(map(pack_string, principals)))
        + pack_uint64(FOREVER[0])
        + pack_uint64(FOREVER[1])
        + pack_string(b'')  # critical options
        + pack_string(b'')  # extensions
        + pack_string(b'')  # reserved
        + pack_string(ca_signer.public)
    )
    return body + pack_string(ca_signer.sign(body))


def parse(blob: bytes) -> Certificate:
    """
    Read a certificate of an Ed25519 key, and check its signature.

    Raises:
        SealError: It is none, or its signature is not valid.

    """
    reader = Reader(blob, 'the certificate')
    if len(blob) > MAX_BLOB_BYTES or reader.text() != ED25519_CERTIFICATE:
        raise reader.error('it is no certificate of an Ed25519 key')
    reader.string()  # the nonce
    public = pack_string(ED25519) + pack_string(reader.string())
    check_key(public)
    serial, kind = reader.uint64(), reader.uint32()
    key_id = reader.text()
    names = Reader(reader.string(), 'the certificate')
    principals: list[str] = []
    while not names.is_at_end:
        principals.append(names.text())
        if len(principals) > _MAX_PRINCIPALS:
            raise reader.error('it has too many principals')
    valid = reader.uint64(), reader.uint64()
    critical_options, extensions = reader.string(), reader.string()
    if reader.string():
        raise reader.error('a field that should be empty is not')
    ca = reader.string()
    body = blob[: reader.offset]
    signature = reader.string()
    reader.end()
    check_signature(ca, signature, body)
    return Certificate(
        public=public,
        ca=ca,
        key_id=key_id,
        principals=tuple(principals),
        serial=serial,
        kind=kind,
        valid=valid,
        critical_options=critical_options,
        extensions=extensions,
    )


def check(blob: bytes, *, ca: bytes, key_id: str, principal: str | None = None) -> Certificate:
    """
    Read a certificate such as `issue` makes, and check that it is by one key for one purpose.

    Args:
        blob: The certificate.
        ca: The key that must have certified it.
        key_id: What it must have been made for.
        principal: Whose key it must be; None for anybody's.

    Raises:
        SealError: It is not such a certificate.

    """
    certificate = parse(blob)
    if certificate.ca != ca:
        raise SealError('the certificate is by another key')
    if certificate.key_id != key_id:
        raise SealError(f'the certificate is for {certificate.key_id!r}, not for {key_id!r}')
    if principal is not None and certificate.principals != (principal,):
        raise SealError(f'the certificate is not that of {principal!r}')
    options = certificate.critical_options + certificate.extensions
    if certificate.kind != USER or certificate.valid != FOREVER or options:
        raise SealError('the certificate is none as a recorder issues')
    return certificate


def _raw_key(public: bytes) -> bytes:
    """Return the key alone out of the blob of an Ed25519 key."""
    check_key(public)
    reader = Reader(public, 'the key')
    if reader.text() != ED25519:
        raise SealError('only Ed25519 keys are certified')
    return reader.string()
