# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Makes the files of identity keys, as `ssh-keygen` would: a private one, and `.pub` beside it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.util import find_spec
import os
from pathlib import Path
import stat
from typing import Final

from fdr_recorder.errors import ExtraMissingError, SealError
from fdr_recorder.seal.identity import (
    load_identity,
    MAX_PASSPHRASE_BYTES,
    read_public,
    read_rotations,
    rotations_path,
)
from fdr_recorder.seal.keys import public_blob
from fdr_recorder.seal.openssh import key_text
from fdr_recorder.seal.primitives import (
    BestAvailableEncryption,
    Ed25519PrivateKey,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from fdr_recorder.seal.private_files import read_small_file
from fdr_recorder.seal.rotation import rotate, Rotation, rotations_to
from fdr_recorder.units import iso_time

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


@dataclass(frozen=True)
class RotatedKey:
    """
    What a rotation has made.

    Attributes:
        path: The file of the new key.
        public: The new public key, as a blob.
        rotation: The statement of the old key.
        kept: Where the old key is now.

    """

    path: Path
    public: bytes
    rotation: Rotation
    kept: Path


def make_key_file(path: Path, passphrase: bytes | None = None, comment: str = '') -> bytes:
    """
    Make a new Ed25519 key; return its public part, as a blob.

    Args:
        path: The file of the private key (mode 0600); `PATH.pub` is that of the public one. Its
            directory is made if it does not exist.
        passphrase: Encrypts the file; None: it is not encrypted.
        comment: Stands in the public file.

    Raises:
        SealError: One of the files is there already: none is ever overwritten.
        ExtraMissingError: It is to be encrypted, and `bcrypt` is not installed.

    """
    public_path = _beside(path, '.pub')
    for existing in (path, public_path, rotations_path(path)):
        if os.path.lexists(existing):
            raise SealError(
                f'{existing} exists already, and a key is never overwritten: name another file, '
                f'or replace the key by `fdr keys rotate {path}`'
            )
    private, public = _new_key(passphrase)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(path, private, _PRIVATE)
    try:
        _write_new(public_path, _public_line(public, comment), _PUBLIC)
    except BaseException:
        path.unlink()
        raise
    _sync_directory(path.parent)
    return public


def rotate_key_file(path: Path, passphrase: bytes | None, comment: str = '') -> RotatedKey:
    """
    Replace a key by a new one with the same passphrase; the old one signs that.

    At every moment `path` is a whole key: the old one, or the new one. Owner and permissions stay
    as they are, also if root does this, so that the recorder can read the new key.

    Args:
        path: The private key. It is kept as `PATH.old-TIME`.
        passphrase: Of the old key, if it is encrypted, and of the new one.
        comment: Stands in the new public file.

    Raises:
        SealError: The old key cannot be used, or a file is in the way.
        OSError: A file cannot be written.

    """
    now = datetime.now(timezone.utc)
    with load_identity(path, passphrase) as identity:
        if identity.is_in_agent:
            raise SealError(
                f'{path} is a public key: make the next key, and name it: '
                f'fdr keys rotate {path} --to NEW.pub'
            )
        before = rotations_to(identity.public, read_rotations(path))
        private, public = _new_key(passphrase if identity.is_encrypted else None)
        rotation = rotate(identity, public, iso_time(int(now.timestamp() * 1e9)))
        old_public = identity.public
    owner = path.stat()
    private_mode = stat.S_IMODE(owner.st_mode)
    kept = _beside(path, f'.old-{now:%Y%m%dT%H%M%SZ}')
    _write_new(kept, read_small_file(path, 'restore it')[0], private_mode, owner)
    _write_new(_beside(kept, '.pub'), _public_line(old_public, 'replaced'), _PUBLIC, owner)
    statements = ''.join(one.text for one in (*before, rotation)).encode()
    for target, data, mode in (
        (rotations_path(path), statements, _PUBLIC),
        (path, private, private_mode),
        (_beside(path, '.pub'), _public_line(public, comment), _PUBLIC),
    ):
        temporary = _beside(target, '.new')
        temporary.unlink(missing_ok=True)
        _write_new(temporary, data, mode, owner)
        temporary.replace(target)
        _sync_directory(path.parent)
    return RotatedKey(path, public, rotation, kept)


def rotate_to(path: Path, passphrase: bytes | None, new: Path) -> RotatedKey:
    """
    Let a key sign that another one, which exists, comes after it; both files stay as they are.

    Args:
        path: The old key, or its public key, if ssh-agent has the private one.
        passphrase: Of the old key, if it is encrypted.
        new: The new key, or its public key. The statement goes into `NEW.rotations`.

    Raises:
        SealError: A key cannot be used, or the new one has statements already.
        OSError: A file cannot be written.

    """
    public = read_public(new)
    target = rotations_path(new)
    if os.path.lexists(target):
        raise SealError(f'{target} exists already: the new key came after another one')
    now = datetime.now(timezone.utc)
    with load_identity(path, passphrase) as identity:
        if identity.public == public:
            raise SealError(f'{path} and {new} are the same key')
        before = rotations_to(identity.public, read_rotations(path))
        rotation = rotate(identity, public, iso_time(int(now.timestamp() * 1e9)))
    _write_new(target, ''.join(one.text for one in (*before, rotation)).encode(), _PUBLIC)
    _sync_directory(target.parent)
    return RotatedKey(new, public, rotation, path)


def _new_key(passphrase: bytes | None) -> tuple[bytes, bytes]:
    """Return a new private key as the text of a file, and its public part."""
    if passphrase and find_spec('bcrypt') is None:  # with which cryptography encrypts
        raise ExtraMissingError('bcrypt', 'seal')
    if passphrase and len(passphrase) > MAX_PASSPHRASE_BYTES:
        raise SealError(f'a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes')
    private = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    return text, public_blob(private)


def _public_line(public: bytes, comment: str) -> bytes:
    return f'{key_text(public)} {comment}'.strip().encode() + b'\n'


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _write_new(
    path: Path, data: bytes | bytearray, mode: int, owner: os.stat_result | None = None
) -> None:
    """Write a file that does not exist, and force it to the disk; leave none if that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        with os.fdopen(descriptor, 'wb') as file:
            if owner is not None:
                with suppress(PermissionError):  # only root may give files away
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # not every file system can
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
