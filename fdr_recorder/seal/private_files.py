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
Files of private keys, of OpenSSH and of PEM, and other small files that may be hostile.

What is read of a private key is overwritten as soon as it is not needed. Of an Ed25519 key without
a passphrase no copy is made outside of OpenSSL; of others some may be left in freed memory.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
import os
from pathlib import Path
import re
import stat
from typing import Final, NamedTuple

from fdr_recorder.errors import ExtraMissingError, SealError
from fdr_recorder.seal.keys import check_key, PrivateKeys
from fdr_recorder.seal.openssh import ED25519, key_type, Reader
from fdr_recorder.seal.primitives import (
    Ed25519PrivateKey,
    EllipticCurvePrivateKey,
    load_pem_private_key,
    load_ssh_private_key,
    RSAPrivateKey,
    UnsupportedAlgorithm,
)

MAX_FILE_BYTES: Final = 1 << 16
"""A file of a key, or of a passphrase, that is larger is refused."""
MAX_KDF_ROUNDS: Final = 256
"""Of bcrypt, seconds; ssh-keygen takes 16 to 24 if it is not told otherwise."""

_BEGIN: Final = b'-----BEGIN OPENSSH PRIVATE KEY-----'
_END: Final = b'-----END OPENSSH PRIVATE KEY-----'
_PEM: Final = re.compile(rb'-----BEGIN (?:RSA |EC |ENCRYPTED )?PRIVATE KEY-----')
_PEM_ENCRYPTED: Final = b'-----BEGIN ENCRYPTED PRIVATE KEY-----'
_OLD_PEM_ENCRYPTED: Final = b'Proc-Type: 4,ENCRYPTED'
_OLD_PEM_CIPHER: Final = re.compile(
    rb'\nDEK-Info: (?:AES-(?:128|192|256)-CBC,[0-9A-F]{32}|DES-EDE3-CBC,[0-9A-F]{16})\r?\n'
)
_CIPHERS: Final = ('aes256-ctr', 'aes256-cbc', 'aes256-gcm@openssh.com')
_MAGIC: Final = b'openssh-key-v1\0'
_ALPHABET: Final = b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
_VALUES: Final = {sign: value for value, sign in enumerate(_ALPHABET)}
_SEED_BYTES: Final = 32


class _Head(NamedTuple):
    """What a private key of OpenSSH says in clear, and where its private part begins."""

    public: bytes
    cipher: str
    kdf_options: bytes
    end: int


def read_small_file(
    path: Path, advice: str, *, limit: int = MAX_FILE_BYTES
) -> tuple[bytearray, int]:
    """
    Return a small regular file, and its mode. It never waits, as for a FIFO.

    Args:
        path: The file.
        advice: What to do if there is none; a part of a sentence.
        limit: A file of more bytes is refused.

    Raises:
        SealError: It cannot be read; the message says what to do.

    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            advice = 'give the user who runs this the right to read it'
        reason = error.strerror if isinstance(error, OSError) else 'it is no name of a file'
        raise SealError(f'{path} cannot be read ({reason}): {advice}') from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SealError(f'{path} is not a file: {advice}')
        data = bytearray(min(status.st_size, limit) + 1)
        size = os.readv(descriptor, [data])
    except OSError as error:
        raise SealError(f'{path} cannot be read ({error.strerror})') from None
    finally:
        os.close(descriptor)
    if size > limit:
        raise SealError(f'{path} is too large ({limit} bytes at most): {advice}')
    del data[size:]
    return data, status.st_mode


def wipe(data: bytearray) -> None:
    """Overwrite bytes."""
    data[:] = bytes(len(data))


def is_private(data: bytearray) -> bool:
    """Return whether a file looks like that of a private key."""
    return _BEGIN in data or _PEM.search(data) is not None


def public_in_clear(path: Path, data: bytearray) -> bytes | None:
    """
    Return the public key that a private one of OpenSSH has in clear; None if it is of PEM.

    Raises:
        SealError: It is malformed.

    """
    raw = _decode(path, data)
    try:
        return _read_head(path, raw).public if raw else None
    finally:
        wipe(raw)


def is_encrypted(path: Path, data: bytearray) -> bool:
    """
    Return whether a private key needs a passphrase.

    Raises:
        SealError: It is malformed, or cannot be used; the message says what to do.
        ExtraMissingError: It is encrypted, and `bcrypt` is not installed.

    """
    raw = _decode(path, data)
    try:
        return _check_head(path, _read_head(path, raw)) if raw else _is_pem_encrypted(path, data)
    finally:
        wipe(raw)


def load_private(path: Path, data: bytearray, passphrase: bytes | None) -> PrivateKeys:
    """
    Return the private key in a file.

    Args:
        path: The file, for messages.
        data: What it contains.
        passphrase: If it is encrypted.

    Raises:
        SealError: It cannot be used; the message says what to do.
        ExtraMissingError: It is encrypted, and `bcrypt` is not installed.

    """
    raw = _decode(path, data)
    try:
        if not raw:
            needs_passphrase = _is_pem_encrypted(path, data)
        else:
            head = _read_head(path, raw)
            needs_passphrase = _check_head(path, head)
            if not needs_passphrase and key_type(head.public) == ED25519:
                return _plain_ed25519(path, raw, head)
        if needs_passphrase and not passphrase:
            raise SealError(
                f'{path} is encrypted: put its passphrase into a file and name that in '
                f'seal.passphrase_file, or load it into ssh-agent and name {path}.pub'
            )
        load = load_ssh_private_key if raw else load_pem_private_key
        return _load_with(load, path, data, passphrase if needs_passphrase else None)
    finally:
        wipe(raw)


def _load_with(
    load: Callable[..., object], path: Path, data: bytearray, passphrase: bytes | None
) -> PrivateKeys:
    try:
        key = load(data, passphrase)
    except (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm) as error:
        if passphrase and not isinstance(error, UnsupportedAlgorithm):
            raise SealError(f'the passphrase of {path} is wrong, or the file is damaged') from None
        raise SealError(f'{path} cannot be used as identity key: {error}') from None
    if not isinstance(key, (Ed25519PrivateKey, EllipticCurvePrivateKey, RSAPrivateKey)):
        raise SealError(f'{path} is a key that cannot be an identity: use Ed25519, ECDSA or RSA')
    return key


def _plain_ed25519(path: Path, raw: bytearray, head: _Head) -> Ed25519PrivateKey:
    """Hand the seed of a key without passphrase to OpenSSL, without another copy of it."""
    reader = Reader(memoryview(raw)[head.end:], str(path))
    reader.uint32()  # the length of all that follows
    is_whole = reader.uint32() == reader.uint32()
    if not is_whole or reader.text() != ED25519 or not head.public.endswith(reader.string()):
        raise reader.error('its parts do not fit together')
    start = head.end + reader.offset + 4
    if reader.uint32() != 2 * _SEED_BYTES or start + 2 * _SEED_BYTES > len(raw):
        raise reader.error('its private part has another length')
    key = Ed25519PrivateKey.from_private_bytes(memoryview(raw)[start:start + _SEED_BYTES])
    if not head.public.endswith(key.public_key().public_bytes_raw()):
        raise reader.error('its parts do not fit together')
    return key


def _is_pem_encrypted(path: Path, data: bytearray) -> bool:
    if _OLD_PEM_ENCRYPTED not in data:
        return _PEM_ENCRYPTED in data
    if not _OLD_PEM_CIPHER.search(data):  # cryptography does not survive a malformed one
        raise SealError(f'{path} is malformed: its cipher is not known')
    return True


def _check_head(path: Path, head: _Head) -> bool:
    """Return whether a private key needs a passphrase; refuse what cannot be loaded."""
    if key_type(head.public).startswith('sk-'):
        raise SealError(
            f'{path} is a key in a FIDO token, which only ssh-agent can use: ssh-add {path}, and '
            f'name {path}.pub'
        )
    try:
        check_key(head.public)
    except SealError as error:
        raise SealError(f'{path} cannot be used as identity key: {error}') from None
    if head.cipher == 'none':
        return False
    if head.cipher not in _CIPHERS:
        raise SealError(
            f'{path} is encrypted with {head.cipher}: give it a passphrase again, with another '
            f'cipher: ssh-keygen -p -Z aes256-ctr -f {path}'
        )
    kdf = Reader(head.kdf_options, str(path))
    kdf.string()
    if kdf.uint32() > MAX_KDF_ROUNDS:
        raise SealError(
            f'{path} takes too long to decrypt: give it a passphrase again, with fewer rounds: '
            f'ssh-keygen -p -a 24 -f {path}'
        )
    if find_spec('bcrypt') is None:  # with which cryptography decrypts
        raise ExtraMissingError('bcrypt', 'seal')
    return True


def _read_head(path: Path, raw: bytearray) -> _Head:
    reader = Reader(memoryview(raw), str(path))
    if reader.raw(len(_MAGIC)) != _MAGIC:
        raise reader.error('it is no private key of OpenSSH')
    cipher, _, options, count = reader.text(), reader.text(), reader.string(), reader.uint32()
    if count != 1:
        raise reader.error('it must hold one key')
    return _Head(reader.string(), cipher, options, reader.offset)


def _decode(path: Path, data: bytearray) -> bytearray:
    """
    Return what a private key of OpenSSH has in base64, to be overwritten; empty if it is of PEM.

    Not by `base64`, which returns `bytes`: they cannot be overwritten.
    """
    start, end = data.find(_BEGIN), data.find(_END)
    if start < 0:
        return bytearray()
    raw = bytearray(len(data))  # one that grew would leave copies behind
    bits = count = size = 0
    with memoryview(data) as view:
        for at in range(start + len(_BEGIN), max(end, 0)):
            sign = view[at]
            value = _VALUES.get(sign)
            if value is not None:
                bits, count = bits << 6 | value, count + 6
                if count >= 8:
                    count -= 8
                    raw[size] = bits >> count
                    size += 1
                    bits &= (1 << count) - 1
            elif sign not in b'\r\n\t =':
                break
    del raw[size:]
    if not raw:
        raise SealError(f'{path} is malformed: it is no private key of OpenSSH')
    return raw
