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
A seal: what the recorder signs of a segment, as a text that can be read and checked by hand.

It says how many bytes of which file it stands for and their SHA-256, names the seal before it, and
announces the key of the next segment. Within a flight all seals have the same length, so that the
size of a file is known before its last seal is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
import hashlib
import re
from typing import Final, Protocol

from fdr_recorder.errors import SealError
from fdr_recorder.mcap import encode
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.seal.openssh import ARMOR_BEGINS, ARMOR_ENDS

RECORD_NAME: Final = 'fdr_seal'
"""Name of the MCAP metadata record that holds a seal."""
NAMESPACE: Final = 'fdr-seal'
"""Namespace of its signature, see `ssh-keygen -Y sign`."""
TEXT_KEY: Final = 'seal'
SIGNATURE_KEY: Final = 'signature'

SYNC: Final = 'sync'
END: Final = 'end'
RECOVERY: Final = 'recovery'
KINDS: Final = (SYNC, END, RECOVERY)

NONE: Final = -1
"""Instead of the number of a seal."""

_FIRST_LINE: Final = 'fdr-seal-v1'
_NUMBER_WIDTH: Final = 20
_KIND_WIDTH: Final = max(map(len, KINDS))
MAX_TEXT_BYTES: Final = 4096
"""A text that is larger is no seal."""
_LINE: Final = re.compile(r'([a-z][a-z0-9_]*): *(\S|\S.*\S|)')
_SHA256: Final = re.compile(r'[0-9a-f]{64}')
_ENTRY_ENDS: Final = f'{ARMOR_ENDS}\n'.encode()


class Digest(Protocol):
    """A running hash, as `hashlib` makes them."""

    def update(self, data: bytes, /) -> None:
        """Go on over more bytes."""

    def copy(self) -> Digest:
        """Return another that goes on from here."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes up to here."""


@dataclass(frozen=True, kw_only=True)
class Seal:
    """
    What a seal says.

    Attributes:
        flight: Id of the flight.
        segment: Number of the segment.
        number: Its number in the flight, from 0; those that a disk has lost count, too.
        kind: `sync`, made when the segment was forced to the disk; `end`, the segment's last one;
            `recovery`, made by whoever recovered the flight.
        offset: It stands for so many bytes, from the file's beginning, and lies behind them.
        sha256: Of these bytes, hexadecimal.
        previous: SHA-256 of the text of the seal before it in the flight; for the first, of the
            flight's opening.
        durable: Number of the newest seal that was known to be on the disk; -1 for none.
        void_from: First number of the seals that failed syncs have lost, and of which no seal on
            the disk told when this was made; -1 for none. Others between the two may be there.
        void_to: The last of those.
        log_time: When it was made (ns, steady clock of the flight).
        utc: Likewise, by the system clock (ISO 8601).
        records_written: Counter of the flight, as the next ones, see `FlightFooter`.
        records_dropped_overrun: Refused by full rings.
        records_dropped_write_error: Discarded because the disk refused them.
        records_lost_transport: Never reached the recorder.
        records_before_match: Sent by publishers before they were heard.
        segments_dropped: Deleted to stay below a limit.
        bytes_dropped: Their size.
        next_key: Public key of the segment that is begun next, as in an `authorized_keys` file.

    """

    flight: str
    segment: int
    number: int
    kind: str
    offset: int
    sha256: str
    previous: str
    durable: int = NONE
    void_from: int = NONE
    void_to: int = NONE
    log_time: int = 0
    utc: str = ''
    records_written: int = 0
    records_dropped_overrun: int = 0
    records_dropped_write_error: int = 0
    records_lost_transport: int = 0
    records_before_match: int = 0
    segments_dropped: int = 0
    bytes_dropped: int = 0
    next_key: str = ''

    @property
    def text(self) -> str:
        """Return it as it is signed."""
        return ''.join((f'{_FIRST_LINE}\n', *map(self._line, _FIELDS)))

    def _line(self, name: str) -> str:
        value = getattr(self, name)
        if name in _NUMBERS:
            return f'{name}: {value:>{_NUMBER_WIDTH}}\n'
        return f'{name}: {value:<{_KIND_WIDTH}}\n' if name == 'kind' else f'{name}: {value}\n'

    @classmethod
    def parse(cls, text: str) -> Seal:
        """
        Read a text that `text` has made, to the letter.

        Raises:
            SealError: It is none.

        """
        if len(text) > MAX_TEXT_BYTES or not text.isascii():
            raise SealError('it is too long, or not ASCII')
        first, *lines = text.split('\n')
        found = [_LINE.fullmatch(line.rstrip(' ')) for line in lines[:-1]]
        names = tuple(match[1] for match in found if match)
        if first != _FIRST_LINE or names != _FIELDS:
            raise SealError('it is no seal of this version')
        values: dict[str, str | int] = {match[1]: match[2] for match in found if match}
        for name in _NUMBERS:
            try:
                values[name] = int(str(values[name])[:_NUMBER_WIDTH])
            except ValueError:
                raise SealError(f'{name} is no number') from None
        seal = cls(**values)  # type: ignore[arg-type]
        if seal.kind not in KINDS or not all(map(_is_hash, (seal.sha256, seal.previous))):
            raise SealError('its kind or a hash is none')
        if seal.text != text:
            raise SealError('it is not written as a recorder does')
        return seal

    @property
    def text_hash(self) -> str:
        """Return the SHA-256 of its text, by which the next seal names it."""
        return hash_of(self.text)


_FIELDS: Final = tuple(field.name for field in fields(Seal))
_NUMBERS: Final = frozenset(field.name for field in fields(Seal) if field.type == 'int')


def _is_hash(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal_record(text: str, signature: str) -> bytes:
    """Return the MCAP record of a seal."""
    return encode.metadata(RECORD_NAME, {TEXT_KEY: text, SIGNATURE_KEY: signature})


def entry_of(text: str, signature: str) -> str:
    """Return the entry of a seal in the file SEALS: text, signature and an empty line."""
    return f'{text}{signature}\n'


def places_of_entries(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each whole entry of SEALS begins and ends; what is behind the last is torn."""
    start = 0
    while (place := data.find(_ENTRY_ENDS, start)) >= 0:
        end = place + len(_ENTRY_ENDS)
        yield start, end
        start = end


def split_entry(entry: str) -> tuple[str, str]:
    """
    Return text and signature of an entry of SEALS.

    Raises:
        SealError: It is none.

    """
    text, begins, rest = entry.partition(ARMOR_BEGINS)
    signature = begins + rest.removesuffix('\n')
    if entry_of(text, signature) != entry:
        raise SealError('it is no seal with its signature')
    return text, signature
