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
The files beside the segments of a sealed flight, which `sha256sum` and `ssh-keygen` can check.

SHA256SUMS lists the closed segments and `metadata.yaml`; all three files, with its signature, are
replaced together. SEALS has the last seal of every segment that was closed, also of those that
were dropped since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from fdr_recorder.errors import SealError, SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.fields import Fields
from fdr_recorder.mcap.record_file import RawRecord, RecordFile
from fdr_recorder.record.segment_names import SEGMENT_PATTERN
from fdr_recorder.seal.seal import (
    END,
    KINDS,
    places_of_entries,
    RECORD_NAME,
    Seal,
    SIGNATURE_KEY,
    split_entry,
    SYNC,
    TEXT_KEY,
)

SEALS_NAME: Final = 'SEALS'
SUMS_NAME: Final = 'SHA256SUMS'
SUMS_SIGNATURE_NAME: Final = 'SHA256SUMS.sig'

_MARK: Final = len(RECORD_NAME).to_bytes(4, 'little') + RECORD_NAME.encode()
_BLOCK_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 16 * 1024
"""No record of a seal is larger."""
_MOST_ENTRIES_BYTES: Final = 1 << 28


def sums_line(sha256: str, name: str) -> bytes:
    """Return the line of a file in SHA256SUMS."""
    return f'{sha256}  {name}\n'.encode()


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of the pieces one after the other, hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def newest_seal(flight: Path) -> Seal | None:
    """
    Return the newest seal that the recorder made in a flight, without checking it.

    It looks from the end of the newest segment back; what recovery has sealed does not count.
    None if there is none.

    Raises:
        OSError: The directory or a segment cannot be read.

    """
    names = (entry.name for entry in flight.iterdir())
    matches = filter(None, map(SEGMENT_PATTERN.fullmatch, names))
    for match in sorted(matches, key=lambda match: int(match[1]), reverse=True):
        found = last_seal(flight / match[0], kinds=(SYNC, END))
        if found is not None:
            return found.seal
    return None


class PlacedSeal(NamedTuple):
    """A seal in a segment, and where its record ends."""

    seal: Seal
    end: int


def last_seal(segment: Path, kinds: Collection[str] = KINDS) -> PlacedSeal | None:
    """
    Return the last seal of these kinds in a segment, without checking it; None if there is none.

    It looks from the end back, whatever else can be read of the file.

    Raises:
        OSError: The segment cannot be read.

    """
    try:
        file = RecordFile(segment)
    except SegmentError:
        return None
    try:
        return _last_seal(file, kinds)
    finally:
        file.close()


def _last_seal(file: RecordFile, kinds: Collection[str]) -> PlacedSeal | None:
    end = file.size
    while end > 0:
        start = max(end - _BLOCK_BYTES, 0)
        block = file.read(start, min(end + len(_MARK), file.size) - start)
        place = len(block)
        while (place := block.rfind(_MARK, 0, place + len(_MARK) - 1)) >= 0:
            found = _seal_at(file, start + place - layout.RECORD_PREFIX.size)
            if found is not None and found.seal.kind in kinds:
                return found
        end = start
    return None


def _seal_at(file: RecordFile, offset: int) -> PlacedSeal | None:
    """Return the seal whose record begins there; None if there is none."""
    try:
        place = file.place_at(offset)
        if place.opcode != layout.METADATA or place.length > _MOST_BYTES:
            return None
        text, _ = read_seal(file.path, file.record_at(offset))
        seal = Seal.parse(text)
    except (SealError, SegmentError):
        return None
    return PlacedSeal(seal, place.end) if seal.offset == offset else None


def seal_of_entries(flight: Path) -> Seal | None:
    """
    Return the seal with the highest number in SEALS, without checking it; None if there is none.

    Raises:
        OSError: The file cannot be read.

    """
    try:
        with (flight / SEALS_NAME).open('rb') as file:
            data = file.read(_MOST_ENTRIES_BYTES)
    except FileNotFoundError:
        return None
    seals = []
    for start, end in places_of_entries(data):
        with suppress(SealError, UnicodeDecodeError):
            seals.append(Seal.parse(split_entry(data[start:end].decode('ascii'))[0]))
    return max(seals, key=lambda seal: seal.number, default=None)


def read_seal(path: Path, record: RawRecord) -> tuple[str, str]:
    """
    Return text and signature of the metadata record of a seal.

    Raises:
        SealError: It is none.
        SegmentError: It is no metadata record at all.

    """
    fields = Fields(record.content, path, record.offset)
    name, values = fields.string(), fields.string_map()
    if name != RECORD_NAME or values.keys() != {TEXT_KEY, SIGNATURE_KEY}:
        raise SealError('the record is no seal')
    return values[TEXT_KEY], values[SIGNATURE_KEY]
