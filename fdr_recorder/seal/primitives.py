# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""What is used of `cryptography`. Only this module imports it, and says what is missing."""

from __future__ import annotations

from fdr_recorder.errors import ExtraMissingError

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import (
        ECDSA,
        EllipticCurve,
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
        SECP256R1,
        SECP384R1,
        SECP521R1,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers
    from cryptography.hazmat.primitives.asymmetric.utils import (
        decode_dss_signature,
        encode_dss_signature,
    )
    from cryptography.hazmat.primitives.hashes import HashAlgorithm, SHA256, SHA384, SHA512
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        load_pem_private_key,
        load_ssh_private_key,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )
except ImportError as error:
    raise ExtraMissingError('cryptography', 'seal') from error

__all__ = (
    'ECDSA',
    'SECP256R1',
    'SECP384R1',
    'SECP521R1',
    'SHA256',
    'SHA384',
    'SHA512',
    'BestAvailableEncryption',
    'Ed25519PrivateKey',
    'Ed25519PublicKey',
    'EllipticCurve',
    'EllipticCurvePrivateKey',
    'EllipticCurvePublicKey',
    'Encoding',
    'HashAlgorithm',
    'InvalidSignature',
    'NoEncryption',
    'PKCS1v15',
    'PrivateFormat',
    'PublicFormat',
    'RSAPrivateKey',
    'RSAPublicNumbers',
    'UnsupportedAlgorithm',
    'decode_dss_signature',
    'encode_dss_signature',
    'load_pem_private_key',
    'load_ssh_private_key',
)
