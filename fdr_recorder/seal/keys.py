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
Keys that sign, and signatures that are checked, for every type of key that OpenSSH has.

Session keys are Ed25519. An identity key may also be ECDSA or RSA, or lie in a FIDO token: those
sign in ssh-agent, and their signatures are checked here like all others.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from fdr_recorder.errors import SealError
from fdr_recorder.seal.openssh import (
    ED25519,
    key_type,
    MAX_BLOB_BYTES,
    pack_mpint,
    pack_string,
    Reader,
)
from fdr_recorder.seal.primitives import (
    decode_dss_signature,
    ECDSA,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    encode_dss_signature,
    Encoding,
    HashAlgorithm,
    InvalidSignature,
    PKCS1v15,
    PublicFormat,
    RSAPrivateKey,
    RSAPublicNumbers,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    SHA256,
    SHA384,
    SHA512,
    UnsupportedAlgorithm,
)

PrivateKeys = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
"""Private keys that can be an identity."""

_RSA: Final = 'ssh-rsa'
_SK_ED25519: Final = 'sk-ssh-ed25519@openssh.com'
_SK_ECDSA: Final = 'sk-ecdsa-sha2-nistp256@openssh.com'
KEY_TYPES: Final = frozenset(
    (ED25519, _SK_ED25519, _RSA, _SK_ECDSA, *(f'ecdsa-sha2-nistp{n}' for n in (256, 384, 521)))
)
"""Types of keys whose signatures can be checked."""
_RSA_BITS: Final = range(1024, 16384 + 1)
_RSA_HASHES: Final[dict[str, HashAlgorithm]] = {
    'rsa-sha2-512': SHA512(),
    'rsa-sha2-256': SHA256(),
}
_CURVES: Final[dict[str, tuple[EllipticCurve, HashAlgorithm]]] = {
    'nistp256': (SECP256R1(), SHA256()),
    'nistp384': (SECP384R1(), SHA384()),
    'nistp521': (SECP521R1(), SHA512()),
}
_CURVE_NAMES: Final = {'secp256r1': 'nistp256', 'secp384r1': 'nistp384', 'secp521r1': 'nistp521'}


class Signer(Protocol):
    """What signs: a session key, an identity."""

    @property
    def public(self) -> bytes:
        """Return the public key, or a certificate of it, as a blob of OpenSSH."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data, as a blob of OpenSSH."""


class SessionKey:
    """
    An Ed25519 key that lives in memory only.

    The private part is made by OpenSSL, and stays there: it is never a value of Python. OpenSSL
    overwrites it when the last reference to this object, or to one made by `with_certificate`, is
    gone.

    Attributes:
        public: The public key, or the certificate of it, as a blob.

    """

    def __init__(self, private: Ed25519PrivateKey, public: bytes) -> None:
        self._private = private
        self.public = public

    @classmethod
    def generate(cls) -> SessionKey:
        """Make a new key."""
        private = Ed25519PrivateKey.generate()
        return cls(private, public_blob(private))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data, as a blob."""
        return pack_string(ED25519) + pack_string(self._private.sign(data))

    def with_certificate(self, certificate: bytes) -> SessionKey:
        """Return the same key, whose signatures name a certificate instead of the public key."""
        return SessionKey(self._private, certificate)


class PrivateKey:
    """
    A private key out of a file.

    Attributes:
        public: The public key, as a blob.

    """

    def __init__(self, private: PrivateKeys) -> None:
        self._private = private
        self.public = public_blob(private)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data, as a blob; of RSA `rsa-sha2-512`."""
        private = self._private
        if isinstance(private, Ed25519PrivateKey):
            return pack_string(ED25519) + pack_string(private.sign(data))
        if isinstance(private, RSAPrivateKey):
            raw = private.sign(data, PKCS1v15(), SHA512())
            return pack_string('rsa-sha2-512') + pack_string(raw)
        curve = _CURVE_NAMES[private.curve.name]
        r, s = decode_dss_signature(private.sign(data, ECDSA(_CURVES[curve][1])))
        return pack_string(f'ecdsa-sha2-{curve}') + pack_string(pack_mpint(r) + pack_mpint(s))


def public_blob(private: PrivateKeys) -> bytes:
    """
    Return the public part of a private key, as a blob.

    Raises:
        SealError: It is ECDSA on a curve that OpenSSH does not have.

    """
    if isinstance(private, Ed25519PrivateKey):
        return pack_string(ED25519) + pack_string(private.public_key().public_bytes_raw())
    if isinstance(private, RSAPrivateKey):
        numbers = private.public_key().public_numbers()
        return pack_string(_RSA) + pack_mpint(numbers.e) + pack_mpint(numbers.n)
    curve = _CURVE_NAMES.get(private.curve.name)
    if curve is None:
        raise SealError(f'OpenSSH has no keys on the curve {private.curve.name}')
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return pack_string(f'ecdsa-sha2-{curve}') + pack_string(curve) + pack_string(point)


def check_key(public: bytes) -> None:
    """
    Raise `SealError` unless a blob is a public key whose signatures can be checked.

    A certificate is none: see `certificates.parse`.
    """
    _verifier(public)


def check_signature(public: bytes, signature: bytes, data: bytes) -> None:
    """
    Check a signature.

    Args:
        public: A public key, as a blob.
        signature: Likewise.
        data: What was signed.

    Raises:
        SealError: The signature is not of this key and these data, or key or signature is
            malformed.

    """
    if len(signature) > MAX_BLOB_BYTES:
        raise SealError('the signature is too large to be one')
    verify, application = _verifier(public)
    reader = Reader(signature, 'the signature')
    algorithm, raw = reader.text(), reader.string()
    if application is not None:  # FIDO: the token signs more than what it was given
        flags, counter = reader.raw(1), reader.raw(4)
        digest = hashlib.sha256(data).digest()
        data = hashlib.sha256(application).digest() + flags + counter + digest
    reader.end()
    try:
        verify(algorithm, raw, data)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        raise SealError(f'the signature is not by the key {key_type(public)}') from None


class _Verify(Protocol):

    def __call__(self, algorithm: str, raw: bytes, data: bytes, /) -> None: ...


def _verifier(public: bytes) -> tuple[_Verify, bytes | None]:
    """Return what checks signatures of a key, and, of a FIDO key, what it was made for."""
    name = key_type(public)
    if name not in KEY_TYPES:
        raise SealError(f'keys of type {name} are not supported')
    reader = Reader(public, 'the key')
    reader.string()
    try:
        if name in (ED25519, _SK_ED25519):
            verify = _verify_ed25519(name, reader)
        elif name == _RSA:
            verify = _verify_rsa(reader)
        else:
            verify = _verify_ecdsa(name, reader)
    except (ValueError, UnsupportedAlgorithm):
        raise SealError(f'the key is malformed: it is no {name} key') from None
    application = reader.string() if name in (_SK_ED25519, _SK_ECDSA) else None
    reader.end()
    return verify, application


def _verify_ed25519(name: str, reader: Reader) -> _Verify:
    key = Ed25519PublicKey.from_public_bytes(reader.string())

    def verify(algorithm: str, raw: bytes, data: bytes) -> None:
        if algorithm != name:
            raise InvalidSignature
        key.verify(raw, data)

    return verify


def _verify_rsa(reader: Reader) -> _Verify:
    e, n = reader.mpint(), reader.mpint()
    if n.bit_length() not in _RSA_BITS or e.bit_length() > 64:
        raise reader.error(f'RSA keys have {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits here')
    key = RSAPublicNumbers(e, n).public_key()
    size = (n.bit_length() + 7) // 8

    def verify(algorithm: str, raw: bytes, data: bytes) -> None:
        if algorithm not in _RSA_HASHES or len(raw) > size:
            raise InvalidSignature
        padded = raw.rjust(size, b'\0')  # an agent may leave zeros in front away
        key.verify(padded, data, PKCS1v15(), _RSA_HASHES[algorithm])

    return verify


def _verify_ecdsa(name: str, reader: Reader) -> _Verify:
    curve = reader.text()
    if curve not in _CURVES or name not in (f'ecdsa-sha2-{curve}', _SK_ECDSA):
        raise reader.error('its curve is not that of its type')
    point = reader.string()
    if not point.startswith(b'\x04'):
        raise reader.error('its point is compressed')
    key = EllipticCurvePublicKey.from_encoded_point(_CURVES[curve][0], point)

    def verify(algorithm: str, raw: bytes, data: bytes) -> None:
        if algorithm != name:
            raise InvalidSignature
        numbers = Reader(raw, 'the signature')
        r, s = numbers.mpint(), numbers.mpint()
        numbers.end()
        key.verify(encode_dss_signature(r, s), data, ECDSA(_CURVES[curve][1]))

    return verify
