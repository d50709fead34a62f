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

from importlib.util import find_spec
import os
from pathlib import Path
import re
import stat
from types import TracebackType
from typing import Final

from fdr_recorder.errors import ExtraMissingError, SealError
from fdr_recorder.seal import rotation
from fdr_recorder.seal.agent import agent_has, AgentKey
from fdr_recorder.seal.keys import check_key, PrivateKey, PrivateKeys, Signer
from fdr_recorder.seal.openssh import decode_base64, fingerprint, key_type, parse_key, Reader
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
MAX_PASSPHRASE_BYTES: Final = 1000
MAX_KDF_ROUNDS: Final = 4096
"""Of bcrypt, 2 minutes; ssh-keygen takes 16 to 24 if it is not told otherwise."""

_OPENSSH: Final = re.compile(
    rb'-----BEGIN OPENSSH PRIVATE KEY-----\r?\n(.+?)-----END OPENSSH PRIVATE KEY-----', re.DOTALL
)
_PEM: Final = re.compile(rb'-----BEGIN (?:RSA |EC |ENCRYPTED )?PRIVATE KEY-----')
_PEM_ENCRYPTED: Final = (b'-----BEGIN ENCRYPTED PRIVATE KEY-----', b'Proc-Type: 4,ENCRYPTED')
_CIPHERS: Final = ('aes256-ctr', 'aes256-cbc', 'aes256-gcm@openssh.com')
_ADVICE: Final = 'make a key with `fdr keygen`, or correct seal.key_file'
_MAGIC: Final = b'openssh-key-v1\0'


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
    needs_passphrase = False
    public = _public_of_text(path, data)
    warnings = []
    if public is not None:
        check_key(public)
        signer: Signer = AgentKey(public)
        if not agent_has(public):
            private = path.with_suffix('') if path.suffix == '.pub' else 'FILE'
            raise SealError(
                f'ssh-agent has no key {fingerprint(public)}: ssh-add {private}, or name the file '
                'of the private key'
            )
        source = f'ssh-agent ({path})'
    else:
        needs_passphrase = _is_encrypted(path, data)
        signer = PrivateKey(_load_private(path, data, passphrase))
        source = str(path)
        if stat.S_IMODE(mode) & 0o077:
            warnings.append(f'{path} can be read by others: chmod 600 {path}')
    try:
        rotations = rotation.rotations_to(signer.public, read_rotations(path))
    except SealError as error:
        warnings.append(f'flights will not say which keys came before this one: {error}')
        rotations = ()
    encoded = tuple(one.encoded for one in rotations)
    return Identity(signer, source, encoded, tuple(warnings), is_encrypted=needs_passphrase)


def read_public(key_file: Path | str) -> bytes:
    """
    Return the public key of a private key's file, encrypted or not, or of a `.pub` file.

    Raises:
        SealError: It cannot be read, or is encrypted in a form that hides the public key.

    """
    path = expanded(key_file)
    data, _ = read_small_file(path, _ADVICE)
    public = _public_of_text(path, data)
    if public is None:
        match = _OPENSSH.search(data)
        public = _read_head(path, match)[0] if match else None
    if public is None:
        public = PrivateKey(_load_private(path, data, None)).public
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
    return _public_of_text(path, data) is None and _is_encrypted(path, data)


def read_rotations(key_file: Path) -> tuple[rotation.Rotation, ...]:
    """
    Return the statements that lie beside a key file, oldest first.

    Raises:
        SealError: They cannot be read, or are not valid.

    """
    path = rotations_path(key_file)
    if not path.exists():
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


def read_passphrase(path: Path | str) -> bytes:
    """
    Return the passphrase in a file: its first line.

    Raises:
        SealError: The file cannot be read, or is empty; the message says what to do.

    """
    path = expanded(path)
    data, _ = read_small_file(path, 'correct seal.passphrase_file')
    passphrase = data.split(b'\n', 1)[0].removesuffix(b'\r')
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


def read_small_file(
    path: Path, advice: str, *, limit: int = MAX_FILE_BYTES
) -> tuple[bytes, int]:
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
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SealError(f'{path} is not a file: {advice}')
        data = os.read(descriptor, limit + 1)
    except OSError as error:
        raise SealError(f'{path} cannot be read ({error.strerror})') from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise SealError(f'{path} is too large ({limit} bytes at most): {advice}')
    return data, mode


def _load_private(path: Path, data: bytes, passphrase: bytes | None) -> PrivateKeys:
    needs_passphrase = _is_encrypted(path, data)
    if needs_passphrase and not passphrase:
        raise SealError(
            f'{path} is encrypted: put its passphrase into a file and name that in '
            f'seal.passphrase_file, or load it into ssh-agent and name {path}.pub'
        )
    load = load_ssh_private_key if _OPENSSH.search(data) else load_pem_private_key
    try:
        key = load(data, passphrase if needs_passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if needs_passphrase and not isinstance(error, UnsupportedAlgorithm):
            raise SealError(f'the passphrase of {path} is wrong, or the file is damaged') from None
        raise SealError(f'{path} cannot be used as identity key: {error}') from None
    if not isinstance(key, (Ed25519PrivateKey, EllipticCurvePrivateKey, RSAPrivateKey)):
        raise SealError(f'{path} is a key that cannot be an identity: use Ed25519, ECDSA or RSA')
    return key


def _public_of_text(path: Path, data: bytes) -> bytes | None:
    """Return the key of a `.pub` file; None if it is a private key."""
    if _OPENSSH.search(data) or _PEM.search(data):
        return None
    try:
        public = parse_key(data.decode().strip())
    except (SealError, UnicodeDecodeError):
        raise SealError(f'{path} is no key of OpenSSH; make one with `fdr keygen`') from None
    if '-cert-' in key_type(public):
        raise SealError(f'{path} is a certificate: name the key itself')
    return public


def _is_encrypted(path: Path, data: bytes) -> bool:
    """Return whether a private key needs a passphrase; refuse what cannot be loaded."""
    match = _OPENSSH.search(data)
    if match is None:
        return any(sign in data for sign in _PEM_ENCRYPTED)
    public, cipher, options = _read_head(path, match)
    if key_type(public).startswith('sk-'):
        raise SealError(
            f'{path} is a key in a FIDO token, which only ssh-agent can use: ssh-add {path}, and '
            f'name {path}.pub'
        )
    if cipher == 'none':
        return False
    if cipher not in _CIPHERS:
        raise SealError(
            f'{path} is encrypted with {cipher}: give it a passphrase again, with another cipher: '
            f'ssh-keygen -p -Z aes256-ctr -f {path}'
        )
    kdf = Reader(options, str(path))
    kdf.string()
    if kdf.uint32() > MAX_KDF_ROUNDS:
        raise SealError(
            f'{path} takes too long to decrypt: give it a passphrase again, with fewer rounds: '
            f'ssh-keygen -p -a 24 -f {path}'
        )
    if find_spec('bcrypt') is None:  # with which cryptography decrypts
        raise ExtraMissingError('bcrypt', 'seal')
    return True


def _read_head(path: Path, match: re.Match[bytes]) -> tuple[bytes, str, bytes]:
    """Return public key, cipher, and how its key is made, of a private key of OpenSSH."""
    text = b''.join(match[1].split()).decode('ascii', errors='replace')
    raw = decode_base64(text, str(path))
    if not raw.startswith(_MAGIC):
        raise SealError(f'{path} is malformed: it is no private key of OpenSSH')
    reader = Reader(raw[len(_MAGIC):], str(path))
    cipher, _, options, count = reader.text(), reader.text(), reader.string(), reader.uint32()
    if count != 1:
        raise reader.error('it must hold one key')
    return reader.string(), cipher, options
