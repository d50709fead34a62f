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
Rotation of the identity: the old key says in a signed statement which key comes after it.

Statements lie beside the key file, in `KEY.rotations`, and go into each flight. So whoever trusts
an old key can check flights that a newer one has certified.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
import re
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal import sshsig
from fdr_recorder.seal.keys import check_key, Signer
from fdr_recorder.seal.openssh import ARMOR_ENDS, decode_base64, key_text, parse_key

NAMESPACE: Final = 'fdr-rotation'
"""Namespace of the signatures."""
MAX_FILE_BYTES: Final = 1 << 19
"""A file of rotations that is larger is refused."""

_FIRST_LINE: Final = 'fdr-rotation-v1'
_STATEMENT: Final = re.compile(
    rf'{_FIRST_LINE}\nold: ([^\n]+)\nnew: ([^\n]+)\nat: ([0-9A-Z:.+-]{{1,40}})\n'
)


@dataclass(frozen=True)
class Rotation:
    """
    A statement whose signature is valid.

    Attributes:
        old: The key that has signed it, as a blob.
        new: The key that comes after it, as a blob.
        at: When, by the clock of the computer where it was made (ISO 8601, UTC).
        text: The statement, and its signature below it.

    """

    old: bytes
    new: bytes
    at: str
    text: str

    @property
    def encoded(self) -> str:
        """Return the text in base64, as it stands in the header of a flight."""
        return base64.b64encode(self.text.encode()).decode()


def rotate(old: Signer, new: bytes, at: str) -> Rotation:
    """
    Make a statement.

    Args:
        old: The identity up to now.
        new: The public key of the next one, as a blob.
        at: When (ISO 8601, UTC).

    Raises:
        SealError: The old key cannot sign, or the new one is none.

    """
    check_key(new)
    statement = f'{_FIRST_LINE}\nold: {key_text(old.public)}\nnew: {key_text(new)}\nat: {at}\n'
    return parse_rotation(statement + sshsig.sign(old, NAMESPACE, statement.encode()))


def parse_rotation(text: str) -> Rotation:
    """
    Read a statement with its signature, and check that.

    Raises:
        SealError: It is none, or its signature is not valid.

    """
    match = _STATEMENT.match(text)
    if match is None or len(text) > MAX_FILE_BYTES:
        raise SealError('this is no statement of a rotation')
    old, new = (parse_key(match[number]) for number in (1, 2))
    signer = sshsig.verify(text[match.end():], NAMESPACE, match[0].encode())
    if signer != old or (key_text(old), key_text(new)) != (match[1], match[2]):
        raise SealError('the statement of a rotation is not signed by the old key')
    check_key(new)
    return Rotation(old=old, new=new, at=match[3], text=text)


def decode_rotation(encoded: str) -> Rotation:
    """
    Read a statement out of the header of a flight, see `Rotation.encoded`.

    Raises:
        SealError: It is none, or its signature is not valid.

    """
    data = decode_base64(encoded, 'the statement of a rotation')
    try:
        return parse_rotation(data.decode('ascii'))
    except UnicodeDecodeError:
        raise SealError('this is no statement of a rotation') from None


def parse_rotations(text: str) -> tuple[Rotation, ...]:
    """
    Read a file of statements, oldest first.

    Raises:
        SealError: One of them is none, or its signature is not valid.

    """
    *statements, rest = text.split(ARMOR_ENDS)
    if rest or len(text) > MAX_FILE_BYTES:
        raise SealError('this is no file of rotations, or it is cut')
    return tuple(parse_rotation(statement + ARMOR_ENDS) for statement in statements)


def rotations_to(current: bytes, rotations: Sequence[Rotation]) -> tuple[Rotation, ...]:
    """
    Return those of a file that led to a key: from the oldest to the last one that names it.

    What follows is of a rotation that was interrupted; what does not hang together is left out.
    """
    chain: list[Rotation] = []
    for rotation in reversed(rotations):
        if rotation.new == (chain[-1].old if chain else current):
            chain.append(rotation)
    return tuple(reversed(chain))


def trusted_ancestor(
    current: bytes, trusted: Collection[bytes], rotations: Iterable[Rotation]
) -> bytes | None:
    """
    Return the trusted key from which statements lead to a key, or that key if it is trusted.

    None if there is no such key.
    """
    befores: dict[bytes, list[bytes]] = {}
    for rotation in rotations:
        befores.setdefault(rotation.new, []).append(rotation.old)
    seen, waiting = {current}, [current]
    for key in waiting:  # grows
        if key in trusted:
            return key
        for before in befores.get(key, ()):
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return None
