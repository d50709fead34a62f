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
The opening of a sealed flight: which keys may seal it, and which flight came before it.

It stands in the header of the flight. The vehicle's identity key has signed the certificates in
it, and nothing else of the flight; the first seal names its hash.
"""

from __future__ import annotations

from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.seal.seal import hash_of

FIRST_KEY_ID: Final = 'fdr-seal '
"""Key id of the certificate of the first segment's key, before the flight's id."""
SUMS_KEY_ID: Final = 'fdr-flight '
"""Likewise of the key that signs SHA256SUMS."""
RECOVERY_KEY_ID: Final = 'fdr-recovery '
"""Likewise of a key that seals what recovery has added."""
SUMS_NAMESPACE: Final = 'fdr-flight'
"""Namespace of the signature of SHA256SUMS."""

_FIRST_LINE: Final = 'fdr-opening-v1'
_NAMES: Final = (
    'flight', 'vehicle', 'number', 'opened', 'previous_flight', 'previous_seal', 'identity',
    'first_key', 'sums_key',
)
_ROTATION: Final = 'rotation'
_OF_PATTERNS: Final = frozenset('*?!,"\\')
MAX_TEXT_BYTES: Final = 1 << 20


def principal_of(vehicle_id: str) -> str:
    """
    Return the name for which the keys of a vehicle are certified; empty for one without a name.

    What has a meaning of its own in a file of allowed signers becomes `-`, as white space does.
    """
    name = '-'.join(vehicle_id.split())
    return ''.join(
        '-' if mark in _OF_PATTERNS or not mark.isprintable() else mark for mark in name
    )


@dataclass(frozen=True, kw_only=True)
class Opening:
    """
    What an opening says.

    Attributes:
        flight: Id of the flight.
        vehicle: As configured; may be empty.
        number: Number of the flight in its root.
        opened: When, by the system clock (ISO 8601).
        previous_flight: The sealed flight before it in the same root; empty if there is none.
        previous_seal: SHA-256 of the text of that flight's newest seal.
        identity: The vehicle's public identity key, as all keys in the form of OpenSSH.
        first_key: Certificate of the first segment's key.
        sums_key: Certificate of the key that signs SHA256SUMS.
        rotation: How the identity key came after others, oldest first (base64).

    """

    flight: str
    vehicle: str = ''
    number: int = 0
    opened: str = ''
    previous_flight: str = ''
    previous_seal: str = ''
    identity: str = ''
    first_key: str = ''
    sums_key: str = ''
    rotation: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it as it stands in the header."""
        named = [f'{name}: {getattr(self, name)}\n' for name in _NAMES]
        rotation = [f'{_ROTATION}: {statement}\n' for statement in self.rotation]
        return ''.join((f'{_FIRST_LINE}\n', *named, *rotation))

    @property
    def text_hash(self) -> str:
        """Return the SHA-256 of its text, which the first seal names."""
        return hash_of(self.text)

    @classmethod
    def parse(cls, text: str) -> Opening:
        """
        Read a text that `text` has made, to the letter.

        Raises:
            SealError: It is none.

        """
        if len(text) > MAX_TEXT_BYTES:
            raise SealError('the opening is too long')
        first, *lines = text.split('\n')
        pairs = [line.partition(': ')[::2] for line in lines[:-1]]
        names = tuple(name for name, _ in pairs)
        most = len(_NAMES)
        if first != _FIRST_LINE or names[:most] != _NAMES or {*names[most:]} - {_ROTATION}:
            raise SealError('the opening is none of this version')
        values: dict[str, str] = dict(pairs[:most])
        number = values.pop('number')
        if not number.isascii() or not number.isdigit() or len(number) > 20:
            raise SealError('the number of the flight is none')
        rotation = tuple(statement for _, statement in pairs[most:])
        opening = cls(number=int(number), rotation=rotation, **values)
        if opening.text != text:
            raise SealError('the opening is not written as a recorder does')
        return opening
