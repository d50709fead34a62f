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
Signatures of files in the form of `ssh-keygen -Y sign` (OpenSSH's PROTOCOL.sshsig).

`ssh-keygen -Y verify` checks what `sign` makes, and `verify` what `ssh-keygen -Y sign` makes.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal import certificates
from fdr_recorder.seal.keys import check_signature, Signer
from fdr_recorder.seal.openssh import (
    ARMOR_BEGINS,
    ARMOR_ENDS,
    decode_base64,
    ED25519_CERTIFICATE,
    key_type,
    MAX_BLOB_BYTES,
    pack_string,
    pack_uint32,
    Reader,
)

_MAGIC: Final = b'SSHSIG'
_VERSION: Final = 1
_HASHES: Final = ('sha512', 'sha256')
_BEGIN: Final = f'{ARMOR_BEGINS}\n'
_COLUMNS: Final = 70


def sign(signer: Signer, namespace: str, message: bytes) -> str:
    """
    Return an armored signature of a message.

    Args:
        signer: The key.
        namespace: What the signature is for, for example `fdr-seal`; with another it is invalid.
        message: What is signed.

    Raises:
        SealError: The key cannot sign, such as one in an agent that is gone.

    """
    head = _signed_data(namespace, b'', _HASHES[0], message)
    return _armor(
        _MAGIC
        + pack_uint32(_VERSION)
        + pack_string(signer.public)
        + pack_string(namespace)
        + pack_string(b'')
        + pack_string(_HASHES[0])
        + pack_string(signer.sign(head))
    )


def verify(armored: str, namespace: str, message: bytes) -> bytes:
    """
    Check a signature; return the public key that made it, or the certificate of that key.

    The certificate's own signature is checked, too. Whose key that is, is for the caller to check.
    Only the one form that `sign` and `ssh-keygen` write is valid, so that nothing can be changed
    in a signature without being noticed.

    Raises:
        SealError: It is not a signature of this message in this namespace.

    """
    reader = Reader(_dearmor(armored), 'the signature')
    if reader.raw(len(_MAGIC)) != _MAGIC or reader.uint32() != _VERSION:
        raise reader.error('it is no signature of ssh-keygen, or of a version that is not known')
    public, found, reserved = reader.string(), reader.text(), reader.string()
    algorithm, signature = reader.text(), reader.string()
    reader.end()
    if found != namespace:
        raise SealError(f'the signature is for {found!r}, not for {namespace!r}')
    if algorithm not in _HASHES or reserved:
        raise reader.error(f'its hash is none of {", ".join(_HASHES)}')
    is_certified = key_type(public) == ED25519_CERTIFICATE
    key = certificates.parse(public).public if is_certified else public
    check_signature(key, signature, _signed_data(namespace, reserved, algorithm, message))
    return public


def _signed_data(namespace: str, reserved: bytes, algorithm: str, message: bytes) -> bytes:
    digest = hashlib.new(algorithm, message).digest()
    fields = (namespace.encode(), reserved, algorithm.encode(), digest)
    return _MAGIC + b''.join(map(pack_string, fields))


def _armor(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = (text[at:at + _COLUMNS] for at in range(0, len(text), _COLUMNS))
    return ''.join((_BEGIN, *(f'{line}\n' for line in lines), ARMOR_ENDS))


def _dearmor(armored: str) -> bytes:
    if len(armored) > 2 * MAX_BLOB_BYTES:
        raise SealError('the signature is too large to be one')
    if not armored.startswith(_BEGIN) or not armored.endswith(ARMOR_ENDS):
        raise SealError('the signature is malformed: it is no SSH SIGNATURE')
    text = armored[len(_BEGIN):-len(ARMOR_ENDS)].replace('\n', '')
    blob = decode_base64(text, 'the signature')
    if _armor(blob) != armored:
        raise SealError('the signature is malformed: it is not written as ssh-keygen does')
    return blob
