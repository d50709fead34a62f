# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Fetches the files of a flight, as its manifest says they are."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
from pathlib import Path
import shutil
from typing import Final

from fdr_recorder.fleet.errors import JobError, NotAsSaidError
from fdr_recorder.fleet.layout import encoded, FlightKey
from fdr_recorder.fleet.manifest import ManifestFile
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import format_size, short

_SPARE_BYTES: Final = 256 << 20
"""So much of a disk is left free."""
_LONGEST_NAME: Final = 200


def fetch(
    store: Store, key: FlightKey, files: Sequence[ManifestFile], directory: Path
) -> Path:
    """
    Fetch files of a flight; return the flight's directory, which is made in `directory`.

    Raises:
        NotAsSaidError: A file is not what the manifest says.
        JobError: The disk is too small.
        StoreError: The store does not give them.
        OSError: They cannot be written.

    """
    size = sum(file.size for file in files)
    free = shutil.disk_usage(directory).free
    if size + _SPARE_BYTES > free:
        _check_sizes(store, key, files)
        raise JobError(
            f'it has {format_size(size)}, and {directory.parent} has {format_size(free)} free; '
            'name a larger disk with --temporary'
        )
    flight = directory / _directory_name(key.flight)
    flight.mkdir()
    for file in files:
        _fetch_file(store, key, file, flight / file.name)
    return flight


def _check_sizes(store: Store, key: FlightKey, files: Sequence[ManifestFile]) -> None:
    """Raise `NotAsSaidError` if a file has another size: a disk would never be large enough."""
    for file in sorted(files, key=lambda file: -file.size):
        found = store.head(key.file(file.name))
        if found is None or found.size != file.size:
            raise _not_as_said(file)


def _not_as_said(file: ManifestFile) -> NotAsSaidError:
    return NotAsSaidError(f'{short(file.name)} in the store is not what the manifest says')


def _fetch_file(store: Store, key: FlightKey, file: ManifestFile, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with path.open('xb') as out:
        for piece in store.stream(key.file(file.name)):
            size += len(piece)
            if size > file.size:
                break
            digest.update(piece)
            out.write(piece)
    if size != file.size or digest.hexdigest() != file.sha256:
        raise _not_as_said(file)


def _directory_name(flight: str) -> str:
    name = encoded(flight)
    if len(name) > _LONGEST_NAME:
        return hashlib.sha256(name.encode()).hexdigest()
    return name
