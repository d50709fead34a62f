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
Copies of the catalogue's batches on this machine, in `$XDG_CACHE_HOME/fdr/fleet`.

Batches never change, so each file is fetched once. What the store does not have any more is
removed a day after it was used last: another process may be reading it.
"""

from __future__ import annotations

import atexit
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
import errno
import hashlib
import os
from pathlib import Path
import shutil
import tempfile
import time
from typing import Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.catalogue.batches import (
    BatchNote,
    check_schema,
    key_of,
    list_batches,
    Listing,
    read_note,
)
from fdr_recorder.fleet.catalogue.columns import FLIGHTS, TABLES
from fdr_recorder.fleet.errors import (
    BatchError,
    CacheError,
    NotStoredError,
    StoreUnreachableError,
)
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import short

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise ExtraMissingError(error.name or 'pyarrow', 'fleet') from None

_TRIES: Final = 20
_FETCHERS: Final = 16
_UNUSED_S: Final = 24 * 3600.0
_MOST_BYTES: Final = 8 << 30
"""Of a file; one of a million flights is smaller."""
_PERSONAL: Final = 0o700

_temporary: dict[str, Path] = {}
"""By the place of a store: what this process uses instead of a cache that cannot be written."""


@dataclass(frozen=True)
class Snapshot:
    """
    The catalogue at one moment, on this machine.

    Attributes:
        notes: What each batch says of itself that counts, by name.
        files: Their files, by table and batch.
        listing: What there was in the store.
        faults: What is wrong with batches that were left out, in words, by name.

    """

    notes: Mapping[str, BatchNote]
    files: Mapping[str, Mapping[str, Path]]
    listing: Listing
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def flights(self) -> int:
        """Return how many rows of flights there are; some flights may be in several batches."""
        return sum(note.flights for note in self.notes.values())


def cache_directory(place: str) -> Path:
    """Return where the copies of a store's catalogue are; raise `OSError` without a home."""
    told = os.environ.get('XDG_CACHE_HOME', '')
    try:
        base = Path(told) if Path(told).is_absolute() else Path('~/.cache').expanduser()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, 'there is no home directory', '~/.cache') from None
    return base / 'fdr' / 'fleet' / hashlib.sha256(place.encode()).hexdigest()[:16]


def fetch_catalogue(store: Store, tables: Collection[str] = TABLES) -> Snapshot:
    """
    Fetch what is new in the catalogue, and return all of it.

    Where the cache cannot be written, all of it is fetched into a temporary directory, which this
    process keeps until it ends; the user is told.

    Args:
        store: The store.
        tables: Which tables, besides `flights`.

    Raises:
        StoreError: The store refuses, or does not answer.
        CacheError: That directory cannot be written, either.

    """
    trouble = ''
    if store.place not in _temporary:
        try:
            return _fetch(store, cache_directory(store.place), tables)
        except OSError as error:
            trouble = _said(error)
    try:
        directory = _temporary.get(store.place) or Path(tempfile.mkdtemp(prefix='fdr_fleet_'))
        if store.place not in _temporary:
            _temporary[store.place] = directory
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
            what = f'the cache of the catalogue cannot be used ({trouble})'
            store.tell(f'{what}: it is fetched into {directory}, and again the next time')
        return _fetch(store, directory, tables)
    except OSError as error:
        raise CacheError(trouble, _said(error)) from None


def _fetch(store: Store, directory: Path, tables: Collection[str]) -> Snapshot:
    directory.mkdir(_PERSONAL, parents=True, exist_ok=True)
    for _ in range(_TRIES):
        listing = list_batches(store)
        with suppress(NotStoredError):  # it was replaced since it was listed
            found = _Fetching(store, directory, listing, tables).run()
            _forget(directory, {*listing.batches})
            return found
    raise StoreUnreachableError(store.url, 'the catalogue changes all the time; try again')


def _said(error: OSError) -> str:
    where = f'{error.filename}: ' if error.filename else ''
    return f'{where}{error.strerror or error}'


class _Fetching:
    """Fetches what a listing names."""

    def __init__(
        self, store: Store, directory: Path, listing: Listing, tables: Collection[str]
    ) -> None:
        self._tables = {*tables}
        self._store = store
        self._directory = directory
        self._listing = listing
        self._faults: dict[str, str] = {}

    def run(self) -> Snapshot:
        with ThreadPoolExecutor(_FETCHERS) as pool:
            named = self._listing.batches
            notes = dict(zip(named, pool.map(self._note, named), strict=True))
            replaced = {name for note in notes.values() if note for name in note.replaces}
            count = {name: note for name, note in notes.items() if note and name not in replaced}
            wanted = [
                (name, table)
                for name, note in count.items()
                for table in note.tables
                if table in self._tables
            ]
            fetched = list(pool.map(lambda pair: self._fetched(*pair), wanted))
        files: dict[str, dict[str, Path]] = {
            name: {} for name in TABLES if name in self._tables or name == FLIGHTS.name
        }
        for (name, table), path in zip(wanted, fetched, strict=True):
            if path is not None:
                files[table][name] = path
        for name in count:
            files[FLIGHTS.name][name] = self._path(name, FLIGHTS.name)
        return Snapshot(count, files, self._listing, self._faults)

    def _path(self, batch: str, table: str) -> Path:
        return self._directory / batch / f'{table}.parquet'

    def _note(self, batch: str) -> BatchNote | None:
        path = self._fetched(batch, FLIGHTS.name)
        if path is None:
            return None
        with suppress(OSError):
            os.utime(path.parent)  # it is in use
        try:
            return read_note(parquet.read_metadata(path))
        except (BatchError, pa.ArrowException, OSError) as error:
            self._faults[batch] = f'{key_of(batch, FLIGHTS.name)}: {short(str(error))}'
            return None

    def _fetched(self, batch: str, table: str) -> Path | None:
        """Return a file, which is fetched if it is not here; None if it is none as it must be."""
        path = self._path(batch, table)
        if _is_whole(path, table):
            return path
        path.parent.mkdir(_PERSONAL, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            draft = Path(file.name)
            try:
                size = 0
                for piece in self._store.stream(key_of(batch, table)):
                    size += len(piece)
                    if size > _MOST_BYTES:
                        raise BatchError(f'it is larger than {_MOST_BYTES:,} bytes')
                    file.write(piece)
                file.flush()
                check_schema(TABLES[table], parquet.read_schema(draft))
                draft.replace(path)
            except (BatchError, pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # of the disk; those of Arrow, about a file, have no number
                self._faults[batch] = f'{key_of(batch, table)}: {short(str(error))}'
                return None
            finally:
                draft.unlink(missing_ok=True)
        return path


def _is_whole(path: Path, table: str) -> bool:
    """Tell whether a file is here, and was not cut, as by a full disk or a power cut."""
    try:
        check_schema(TABLES[table], parquet.read_schema(path))
    except (BatchError, pa.ArrowException, OSError):
        return False
    return True


def _forget(directory: Path, listed: set[str]) -> None:
    """Remove batches that the store does not have, and that nobody has used for a day."""
    for path in _unlisted(directory, listed):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(path, ignore_errors=True)


def _unlisted(directory: Path, listed: set[str]) -> Iterator[Path]:
    yield from (path for path in directory.iterdir() if path.name not in listed)
