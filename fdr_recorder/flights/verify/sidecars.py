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
Checks the files beside the segments of a sealed flight: SHA256SUMS, `metadata.yaml`, SEALS.

SHA256SUMS, its signature and `metadata.yaml` are replaced together; a recorder that was killed in
between leaves some of them under the names of their temporaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
import hashlib
from itertools import product
import os
from pathlib import Path
import re
import stat
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.flights.verify.chain import Place
from fdr_recorder.flights.verify.seal_reading import FoundSeal, read_entries, SignerOf
from fdr_recorder.seal.sidecars import SEALS_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.files import temporary_name

MAX_SIDECAR_BYTES: Final = 1 << 28
"""A file beside the segments that is larger is not read."""
_MOST_SIGNATURE_BYTES: Final = 1 << 17
_BLOCK_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r'([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9._-]{0,99})\n')

SumsSigner = Callable[[bytes, str], str]
"""Takes the text of SHA256SUMS and its signature; returns who signed it, empty for the recorder;
or raises `SealError`."""


@dataclass
class Sums:
    """
    What SHA256SUMS says.

    Attributes:
        listed: SHA-256 by name.
        signer: Who signed it; empty for the recorder.
        fault: What is wrong with it; empty if nothing is.
        is_there: Whether there is one, or a signature.
        metadata_fits: Whether `metadata.yaml` is the one that it lists.
        leftovers: Temporaries that a recorder which was killed has left.
        superseded: Files that fit to none of the others, while temporaries do: older ones, if
            nobody has changed them.
        unknown: Whose key has signed one that is left out of account, because nobody trusts it.
        names: The names of SHA256SUMS and its signature, or of their temporaries.

    """

    listed: Mapping[str, str] = field(default_factory=dict)
    signer: str = ''
    fault: str = ''
    is_there: bool = True
    metadata_fits: bool = True
    leftovers: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    unknown: str = ''
    names: tuple[str, str] = (SUMS_NAME, SUMS_SIGNATURE_NAME)


def read_sums(flight: Path, signer_of: SumsSigner) -> Sums:
    """Read SHA256SUMS, by its own name or that of its temporary, with what fits to it."""
    names = {
        name: [there for there in (name, temporary_name(name)) if os.path.lexists(flight / there)]
        for name in (SUMS_NAME, SUMS_SIGNATURE_NAME, bag_metadata.FILE_NAME)
    }
    leftovers = [there for found in names.values() for there in found if there.startswith('.')]
    if not names[SUMS_NAME] and not names[SUMS_SIGNATURE_NAME]:
        return Sums(is_there=False, metadata_fits=False, leftovers=leftovers)
    lacks = SUMS_NAME if not names[SUMS_NAME] else SUMS_SIGNATURE_NAME
    result = Sums(fault=f'{lacks} is missing', leftovers=leftovers)
    fitting: set[str] = set()
    for sums_name, signature_name in product(names[SUMS_NAME], names[SUMS_SIGNATURE_NAME]):
        try:
            text = read_small(flight / sums_name, MAX_SIDECAR_BYTES)
            signature = read_small(flight / signature_name, _MOST_SIGNATURE_BYTES).decode('ascii')
            signer = signer_of(text, signature)
            listed = parse_sums(text)
        except (SealError, UnicodeDecodeError) as error:
            is_text = isinstance(error, SealError)
            if result.fault:
                result.fault = str(error) if is_text else 'its signature is not in ASCII'
            continue
        said = listed.get(bag_metadata.FILE_NAME)
        metadata = {
            name for name in names[bag_metadata.FILE_NAME] if hash_file(flight / name) == said
        }
        fitting |= {sums_name, signature_name, *metadata}
        if result.fault or (metadata and not result.metadata_fits):
            result = Sums(
                listed,
                signer,
                metadata_fits=bool(metadata),
                leftovers=leftovers,
                names=(sums_name, signature_name),
            )
    if leftovers and not result.fault:
        result.superseded = [name for name in names if name in names[name] and name not in fitting]
    return result


def parse_sums(text: bytes) -> dict[str, str]:
    """Return SHA-256 by name; raise `SealError` if the text is not written as a recorder does."""
    listed: dict[str, str] = {}
    try:
        lines = text.decode('ascii').splitlines(keepends=True)
    except UnicodeDecodeError:
        lines = ['']
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or match[2] in listed:
            raise SealError('it is not written as a recorder does')
        listed[match[2]] = match[1]
    return listed


@dataclass
class Entries:
    """
    What SEALS has.

    Attributes:
        seals: Its entries, without those that are faulty.
        faults: What is wrong with it.
        is_torn: Whether its end is torn.

    """

    seals: list[FoundSeal] = field(default_factory=list)
    faults: list[Place] = field(default_factory=list)
    is_torn: bool = False


def read_seals(flight: Path, signer_of: SignerOf, *, is_closed: bool) -> Entries:
    """Read SEALS; of a flight that was not closed the last entry may be torn."""
    path = flight / SEALS_NAME
    if not os.path.lexists(path):
        return Entries()
    try:
        data = read_small(path, MAX_SIDECAR_BYTES)
    except SealError as error:
        return Entries(faults=[Place(SEALS_NAME, 0, 0, str(error))])
    found, end = read_entries(data, signer_of)
    result = Entries([seal for seal in found if not seal.fault])
    rest = data[end:]
    size = max((seal.entry_bytes for seal in result.seals), default=len(rest) + 1)
    may_be_torn = not is_closed and (len(rest) < size or 0 in rest)
    result.is_torn = bool(rest) and may_be_torn
    if rest and not may_be_torn:
        what = 'this is no seal with its signature'
        result.faults.append(Place(SEALS_NAME, end, len(data), what))
    for seal in found:
        if seal.fault:
            result.faults.append(Place(SEALS_NAME, seal.offset, seal.end, seal.fault))
    numbers = [seal.number for seal in result.seals]
    if numbers != sorted(set(numbers)) and is_closed:
        what = 'its seals are not in their order'
        result.faults.append(Place(SEALS_NAME, 0, len(data), what))
    return result


def read_small(path: Path, limit: int) -> bytes:
    """Return a file that is not large; raise `SealError` for one that is, or no regular file."""
    return b''.join(_blocks(path, limit))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read, or is no regular file."""
    digest = hashlib.sha256()
    try:
        for block in _blocks(path, None):
            digest.update(block)
    except SealError:
        return ''
    return digest.hexdigest()


def _blocks(path: Path, limit: int | None) -> Iterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, 'rb') as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise SealError('it is no regular file')
            if limit is not None and status.st_size > limit:
                raise SealError(f'it is too large to be one ({status.st_size:,} bytes)')
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise SealError(f'it cannot be read: {error.strerror}') from error
