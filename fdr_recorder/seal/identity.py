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
The vehicle's identity: a key of OpenSSH that certifies the keys of each flight.

It is read when a flight is opened, from a file or by asking ssh-agent, and forgotten after that.
"""

from __future__ import annotations

import os
from pathlib import Path
import stat
from types import TracebackType
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal import private_files, rotation
from fdr_recorder.seal.agent import agent_has, AgentKey
from fdr_recorder.seal.keys import check_key, PrivateKey, Signer
from fdr_recorder.seal.openssh import fingerprint, key_type, parse_key
from fdr_recorder.seal.private_files import read_small_file, wipe

MAX_PASSPHRASE_BYTES: Final = 1000
_ADVICE: Final = 'make a key with `fdr keygen`, or correct seal.key_file'


class Identity:
    """
    An identity key that can sign. Close it when it is not needed any more.

    Attributes:
        public: The public key, as a blob.
        source: Where the private part is, for people.
        is_in_agent: Whether ssh-agent signs.
        is_encrypted: Whether the file needs a passphrase.
        rotations: Statements of how it came after other keys, oldest first, in base64; see
            `rotation.decode_rotation`.
        warnings: What is wrong with it and does not keep it from being used; sentences.

    """

    def __init__(
        self,
        signer: Signer,
        source: str,
        rotations: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        *,
        is_encrypted: bool = False,
    ) -> None:
        self.public = signer.public
        self.source = source
        self.is_in_agent = isinstance(signer, AgentKey)
        self.is_encrypted = is_encrypted
        self.rotations = rotations
        self.warnings = warnings
        self._signer: Signer | None = signer

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint, as `ssh-keygen -l` shows it."""
        return fingerprint(self.public)

    def sign(self, data: bytes) -> bytes:
        """
        Return the signature of data, as a blob.

        Raises:
            SealError: The agent does not sign, or the identity is closed.

        """
        if self._signer is None:
            raise SealError('the identity key was forgotten; load it again')
        return self._signer.sign(data)

    def close(self) -> None:
        """Forget the private key. May be called again."""
        self._signer = None

    def __enter__(self) -> Identity:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load_identity(key_file: Path | str, passphrase: bytes | None = None) -> Identity:
    """
    Read the identity key, or find it in ssh-agent.

    Args:
        key_file: A private key of OpenSSH or PEM: Ed25519, ECDSA or RSA. Or a public key (`.pub`),
            whose private part is in the ssh-agent of SSH_AUTH_SOCK; a key in a FIDO token, too.
        passphrase: Of an encrypted key; see `read_passphrase`.

    Raises:
        SealError: It cannot be used; the message says what to do. After `agent.TIMEOUT_S`, if an
            agent does not answer.
        ExtraMissingError: The key is encrypted, and `bcrypt` is not installed.

    """
    path = expanded(key_file)
    data, mode = read_small_file(path, _ADVICE)
    warnings = []
    needs_passphrase = False
    try:
        public = _public_of_text(path, data)
        if public is not None:
            signer: Signer = _in_agent(path, public)
        else:
            needs_passphrase = private_files.is_encrypted(path, data)
            signer = PrivateKey(private_files.load_private(path, data, passphrase))
            if stat.S_IMODE(mode) & 0o077:
                warnings.append(f'{path} can be read by others: chmod 600 {path}')
    finally:
        wipe(data)
    source = str(path) if public is None else f'ssh-agent ({path})'
    try:
        rotations = rotation.rotations_to(signer.public, read_rotations(path))
    except SealError as error:
        warnings.append(f'flights will not say which keys came before this one: {error}')
        rotations = ()
    encoded = tuple(one.encoded for one in rotations)
    return Identity(signer, source, encoded, tuple(warnings), is_encrypted=needs_passphrase)


def _in_agent(path: Path, public: bytes) -> AgentKey:
    check_key(public)
    if not agent_has(public):
        private = path.with_suffix('') if path.suffix == '.pub' else 'FILE'
        raise SealError(
            f'ssh-agent has no key {fingerprint(public)}: ssh-add {private}, or name the file of '
            'the private key'
        )
    return AgentKey(public)


def read_public(key_file: Path | str) -> bytes:
    """
    Return the public key of a private key's file, encrypted or not, or of a `.pub` file.

    Raises:
        SealError: It cannot be read, or is encrypted in a form that hides the public key.

    """
    path = expanded(key_file)
    data, _ = read_small_file(path, _ADVICE)
    try:
        public = _public_of_text(path, data) or private_files.public_in_clear(path, data)
        if public is None:
            public = PrivateKey(private_files.load_private(path, data, None)).public
    finally:
        wipe(data)
    check_key(public)
    return public


def is_encrypted(key_file: Path | str) -> bool:
    """
    Return whether a file is a private key that needs a passphrase.

    Raises:
        SealError: It cannot be read, or cannot be used.

    """
    path = expanded(key_file)
    data, _ = read_small_file(path, _ADVICE)
    try:
        return private_files.is_private(data) and private_files.is_encrypted(path, data)
    finally:
        wipe(data)


def read_rotations(key_file: Path) -> tuple[rotation.Rotation, ...]:
    """
    Return the statements that lie beside a key file, oldest first.

    Raises:
        SealError: They cannot be read, or are not valid.

    """
    path = rotations_path(key_file)
    if not os.path.lexists(path):
        return ()
    data, _ = read_small_file(path, 'restore it', limit=rotation.MAX_FILE_BYTES)
    try:
        return rotation.parse_rotations(data.decode('ascii'))
    except (SealError, UnicodeDecodeError) as error:
        raise SealError(f'{path}: {error}') from None


def rotations_path(key_file: Path) -> Path:
    """Return where the statements of a key lie: `KEY.rotations`, also for `KEY.pub`."""
    private = key_file.with_suffix('') if key_file.suffix == '.pub' else key_file
    return private.with_name(f'{private.name}.rotations')


def read_passphrase(path: Path | str) -> bytes | None:
    """
    Return the passphrase in a file: its first line; None if the path is empty.

    Raises:
        SealError: The file cannot be read, or is empty; the message says what to do.

    """
    if not str(path):
        return None
    path = expanded(path)
    data, _ = read_small_file(path, 'correct seal.passphrase_file')
    passphrase = bytes(data.split(b'\n', 1)[0].removesuffix(b'\r'))
    if not passphrase or len(passphrase) > MAX_PASSPHRASE_BYTES:
        most = f'of at most {MAX_PASSPHRASE_BYTES} bytes'
        raise SealError(f'{path} has no passphrase {most} in its first line')
    return passphrase


def expanded(path: Path | str) -> Path:
    """Return a path with `~` replaced, where that stands for a directory."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # of a user who is not known
        return Path(path)


def _public_of_text(path: Path, data: bytearray) -> bytes | None:
    """Return the key of a `.pub` file; None if it is a private key."""
    if private_files.is_private(data):
        return None
    try:
        public = parse_key(data.decode().strip())
    except (SealError, UnicodeDecodeError):
        raise SealError(f'{path} is no key of OpenSSH; make one with `fdr keygen`') from None
    if '-cert-' in key_type(public):
        raise SealError(f'{path} is a certificate: name the key itself')
    return public
