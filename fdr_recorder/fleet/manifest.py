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
What the drone says a flight in the store is: its files, with size and SHA-256.

It is written last: a flight is in the store when its manifest is. Whoever reads one trusts
nothing in it: a drone may be stolen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
import hashlib
import json
import re
from typing import Any, Final

from fdr_recorder.fleet.errors import ManifestError
from fdr_recorder.fleet.json_values import count, text
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.units import format_size, plural, short

MANIFEST_SCHEMA: Final = '1.0'
MOST_MANIFEST_BYTES: Final = 32 << 20
"""What is larger is none; so many files take less."""
_MOST_FILES: Final = 100_000

_LONGEST_NAME: Final = 255
"""Bytes; no file system has longer ones."""
_SHA256: Final = re.compile('[0-9a-f]{64}')


@dataclass(frozen=True, order=True)
class ManifestFile:
    """A file of a flight: name in its directory, size in bytes, SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """
    What the drone says a flight is.

    Attributes:
        key: Vehicle, and name of the flight's directory.
        flight_id: The flight's id, by its header; empty if no header could be read.
        flight_number: Its number on the drone, which orders its flights; 0 if unknown.
        started_ns: When it was opened, by the drone; nanoseconds since 1970 UTC; 0 if unknown.
        ended: How it ended: `closed`, `recovered`, `unknown`; see `flights/status.py`.
        recorder: Version of the program that wrote the manifest.
        files: The files, in the order of their names, none twice.

    """

    key: FlightKey
    flight_id: str
    flight_number: int
    started_ns: int
    ended: str
    recorder: str
    files: tuple[ManifestFile, ...]

    @property
    def size(self) -> int:
        """Return the size of all files, in bytes."""
        return sum(file.size for file in self.files)

    def to_bytes(self) -> bytes:
        """Return it as JSON, the same for the same flight."""
        values = {
            'schema': MANIFEST_SCHEMA,
            'vehicle': self.key.vehicle,
            'flight': self.key.flight,
            'flight_id': self.flight_id,
            'flight_number': self.flight_number,
            'started_ns': self.started_ns,
            'ended': self.ended,
            'recorder': self.recorder,
            'files': [asdict(file) for file in self.files],
        }
        return json.dumps(values, indent=1).encode() + b'\n'

    @classmethod
    def parse(cls, data: bytes, key: FlightKey) -> Manifest:
        """
        Read a manifest that lies where that of a flight belongs.

        Raises:
            ManifestError: It is none, or that of another flight.

        """
        if len(data) > MOST_MANIFEST_BYTES:
            raise ManifestError(f'it is larger than {format_size(MOST_MANIFEST_BYTES)}')
        try:
            values = json.loads(data)
            if not str(values['schema']).startswith('1.'):
                raise ManifestError(
                    f'its schema is {short(str(values["schema"]))}: a newer fdr is needed'
                )
            found = cls(
                key=FlightKey(text(values['vehicle']), text(values['flight'])),
                flight_id=text(values['flight_id']),
                flight_number=count(values['flight_number']),
                started_ns=count(values['started_ns']),
                ended=text(values['ended']),
                recorder=text(values['recorder']),
                files=tuple(
                    ManifestFile(_name(file['name']), count(file['size']), _hash(file['sha256']))
                    for file in values['files']
                ),
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ManifestError(f'it is no manifest: {short(str(error))}') from None
        if found.key != key:
            raise ManifestError(f'it is that of {short(str(found.key))}')
        if len(found.files) > _MOST_FILES:
            raise ManifestError(f'it names more than {plural(_MOST_FILES, "file")}')
        if len({file.name for file in found.files}) != len(found.files):
            raise ManifestError('it names a file twice')
        return found


def manifest_hash(data: bytes) -> str:
    """Return the SHA-256 by which receipts and results name a manifest, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _name(value: Any) -> str:  # noqa: ANN401
    name = text(value)
    is_long = len(name.encode()) > _LONGEST_NAME
    if not name or is_long or '/' in name or '\0' in name or name in ('.', '..'):
        raise ValueError(f'{short(name)!r} is no name of a file')
    return name


def _hash(value: Any) -> str:  # noqa: ANN401
    digest = text(value)
    if not _SHA256.fullmatch(digest):
        raise ValueError(f'{digest!r} is no SHA-256')
    return digest
