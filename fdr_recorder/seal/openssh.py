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
The wire format of OpenSSH (RFC 4251, section 5), and public keys as text and as fingerprints.

A *blob* is a public key or a certificate in this format: the type's name, then its fields. What
comes from a file or an agent may be hostile: each reader raises `SealError` for all that is not
written exactly as OpenSSH would, and reads no more than what is there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from typing import Final

from fdr_recorder.errors import SealError

MAX_BLOB_BYTES: Final = 1 << 16
"""A key, certificate or signature that is larger is refused."""
ED25519: Final = 'ssh-ed25519'
ED25519_CERTIFICATE: Final = 'ssh-ed25519-cert-v01@openssh.com'

_MAX_MPINT_BYTES: Final = 16384 // 8 + 1
_U32: Final = struct.Struct('>I')
_U64: Final = struct.Struct('>Q')
_TYPE: Final = '[!-~]{1,64}'
_PUBLIC: Final = r'([!-~]{1,64})[ \t]+([A-Za-z0-9+/=]+)([ \t]+.*)?'
ARMOR_BEGINS: Final = '-----BEGIN SSH SIGNATURE-----'
"""How the text of a signature begins."""
ARMOR_ENDS: Final = '-----END SSH SIGNATURE-----\n'
"""How it ends."""


def pack_uint32(value: int) -> bytes:
    """Return an unsigned 32-bit number."""
    return _U32.pack(value)


def pack_uint64(value: int) -> bytes:
    """Return an unsigned 64-bit number."""
    return _U64.pack(value)


def pack_string(data: bytes | str) -> bytes:
    """Return bytes, or text in UTF-8, with their length in front."""
    raw = data.encode() if isinstance(data, str) else data
    return _U32.pack(len(raw)) + raw


def pack_mpint(value: int) -> bytes:
    """Return a number of any size, not below zero."""
    return pack_string(value.to_bytes(value.bit_length() // 8 + 1, 'big') if value else b'')


class Reader:
    """
    Reads fields one after the other; each raises `SealError` if it is not there, or is not valid.

    Args:
        data: What is read; of a view each field is copied when it is read.
        what: What it is called in errors, for example `the certificate`.

    """

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def error(self, reason: str) -> SealError:
        """Return an error that names what is read."""
        return SealError(f'{self._what} is malformed: {reason}')

    def raw(self, size: int) -> bytes:
        """Return so many bytes."""
        end = self._at + size
        if end > len(self._data):
            raise self.error('it ends too early')
        field = self._data[self._at:end]
        self._at = end
        return bytes(field)

    def uint8(self) -> int:
        """Return a byte as a number."""
        return self.raw(1)[0]

    def uint32(self) -> int:
        """Return an unsigned 32-bit number."""
        return int(_U32.unpack(self.raw(_U32.size))[0])

    def uint64(self) -> int:
        """Return an unsigned 64-bit number."""
        return int(_U64.unpack(self.raw(_U64.size))[0])

    def string(self) -> bytes:
        """Return bytes that have their length in front."""
        return self.raw(self.uint32())

    def text(self) -> str:
        """Return text in UTF-8 without control characters."""
        try:
            text = self.string().decode()
        except UnicodeDecodeError:
            raise self.error('a text is not UTF-8') from None
        if has_control_characters(text):
            raise self.error('a text has control characters')
        return text

    def mpint(self) -> int:
        """Return a number above zero, which must not be longer than it needs to be."""
        raw = self.string()
        if not raw or len(raw) > _MAX_MPINT_BYTES:
            raise self.error('a number is zero or too large')
        value = int.from_bytes(raw, 'big')
        if raw[0] & 0x80 or value == 0 or pack_mpint(value)[_U32.size:] != raw:
            raise self.error('a number is not in its shortest form')
        return value

    @property
    def offset(self) -> int:
        """Return how many bytes were read."""
        return self._at

    @property
    def is_at_end(self) -> bool:
        """Return whether all was read."""
        return self._at == len(self._data)

    def end(self) -> None:
        """Raise `SealError` unless all was read."""
        if not self.is_at_end:
            raise self.error('something follows its last field')


def has_control_characters(text: str) -> bool:
    """Return whether a text would break a line, or steer a terminal."""
    return any(sign < ' ' or '\x7f' <= sign <= '\x9f' for sign in text)


def key_type(blob: bytes) -> str:
    """
    Return the type of a key or certificate, for example `ssh-ed25519`.

    Raises:
        SealError: It is none.

    """
    if len(blob) > MAX_BLOB_BYTES:
        raise SealError('the key is too large to be one')
    name = Reader(blob, 'the key').text()
    if not re.fullmatch(_TYPE, name):
        raise SealError('the key is malformed: it has no type')
    return name


def key_text(blob: bytes) -> str:
    """
    Return a key or certificate as OpenSSH writes it into files: `ssh-ed25519 AAAA...`.

    Raises:
        SealError: It is none.

    """
    return f'{key_type(blob)} {base64.b64encode(blob).decode()}'


def parse_key(text: str) -> bytes:
    """
    Return the blob of a line of a `.pub` file: type, base64, and perhaps a comment.

    Raises:
        SealError: It is none.

    """
    is_short = len(text) <= 2 * MAX_BLOB_BYTES
    if not is_short or (match := re.fullmatch(_PUBLIC, text.strip('\r\n'))) is None:
        raise SealError('this is no public key of OpenSSH (ssh-ed25519 AAAA...)')
    blob = decode_base64(match[2], 'the key')
    if key_type(blob) != match[1]:
        raise SealError(f'the key is malformed: it says {match[1]}, and is another type')
    return blob


def decode_base64(text: str, what: str) -> bytes:
    """
    Return what a text in base64 stands for; only the one form that encoding gives is taken.

    Raises:
        SealError: It is no such text.

    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b''
    if not data or base64.b64encode(data).decode() != text:
        raise SealError(f'{what} is malformed: it is not in base64')
    return data


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a key, as `ssh-keygen -l` shows it: `SHA256:...`."""
    return 'SHA256:' + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')
