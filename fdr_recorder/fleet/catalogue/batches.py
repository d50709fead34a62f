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
The catalogue in the store: batches of rows, which are never changed.

    catalogue/BATCH/topics.parquet ... flights.parquet     the tables of one batch

A batch is there when its `flights.parquet` is. Whoever joins several into one names them in the
new one (`replaces`), and deletes them after that. Readers leave out what is replaced; a flight
that stands in several batches counts in the one with the newest manifest. So nobody needs a lock:
what two write at once, or one that was killed has left, is twice there for a while, never twice
counted, and never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
import json
import re
import secrets
from typing import Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.catalogue.arrow_rows import schema_of
from fdr_recorder.fleet.catalogue.columns import (
    BATCH,
    CATALOGUE_VERSION,
    FLIGHTS,
    Table,
    TABLES,
)
from fdr_recorder.fleet.errors import BatchError, StoreUnreachableError
from fdr_recorder.fleet.layout import CATALOGUE
from fdr_recorder.fleet.store import Store, StoredObject
from fdr_recorder.units import NS_PER_S, short

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise ExtraMissingError(error.name or 'pyarrow', 'fleet') from None

_BATCH: Final = re.compile(r'[0-9]{8}T[0-9]{12}Z-[0-9a-f]{16}', re.ASCII)
_KEY: Final = re.compile(rf'{CATALOGUE}({_BATCH.pattern})/([a-z]+)\.parquet', re.ASCII)
_TIME: Final = '%Y%m%dT%H%M%S%f'
_LISTINGS: Final = 20
_REPLACES: Final = b'fdr_replaces'
_HAS: Final = b'fdr_tables'
_TABLE: Final = b'fdr_table'
_VERSION: Final = b'fdr_catalogue'
_ROWS_PER_GROUP: Final = 65_536
_DEAD_AFTER_NS: Final = 24 * 3600 * NS_PER_S
"""A batch that has no `flights.parquet` after so long belongs to somebody who was killed."""


@dataclass(frozen=True)
class Listing:
    """
    What of the catalogue is in the store.

    Attributes:
        batches: Names of the batches that are there, the newest first.
        torn: Names of those that lack `flights.parquet`, and when the newest file was written.

    """

    batches: tuple[str, ...]
    torn: Mapping[str, int]


@dataclass(frozen=True)
class BatchNote:
    """
    What `flights.parquet` says of its batch.

    Attributes:
        flights: How many it has.
        tables: The tables that it has rows in, besides `flights`.
        replaces: Names of the batches in whose place it is.

    """

    flights: int
    tables: tuple[str, ...]
    replaces: frozenset[str]


def key_of(batch: str, table: str) -> str:
    """Return the key of a file."""
    return f'{CATALOGUE}{batch}/{table}.parquet'


def list_batches(store: Store) -> Listing:
    """
    List the catalogue; what else lies there is passed over.

    A listing is not of one moment: it might miss a new batch and the old ones that it replaces.
    So it is done until it says the same twice.

    Raises:
        StoreError: The store refuses, or does not answer.

    """
    before = _list_batches(store)
    for _ in range(_LISTINGS):
        now = _list_batches(store)
        if now.batches == before.batches:
            return now
        before = now
    raise StoreUnreachableError(store.url, 'the catalogue changes all the time; try again')


def _list_batches(store: Store) -> Listing:
    found: dict[str, dict[str, StoredObject]] = {}
    for item in store.objects(CATALOGUE):
        match = _KEY.fullmatch(item.key)
        if match is not None and match[2] in TABLES:
            found.setdefault(match[1], {})[match[2]] = item
    return Listing(
        tuple(sorted((name for name, files in found.items() if FLIGHTS.name in files))[::-1]),
        {
            name: max(item.modified_ns for item in files.values())
            for name, files in found.items()
            if FLIGHTS.name not in files
        },
    )


def new_batch(replaces: Iterable[str] = ()) -> str:
    """Return the name of a new batch, which comes after those of all that it replaces."""
    now = datetime.now(timezone.utc)
    for name in replaces:
        then = datetime.strptime(name.partition('Z')[0], _TIME).replace(tzinfo=timezone.utc)
        now = max(now, then + timedelta(microseconds=1))
    return f'{now:{_TIME}}Z-{secrets.token_hex(8)}'


def write_batch(store: Store, tables: Mapping[str, pa.Table], replaces: Sequence[str] = ()) -> str:
    """
    Write a batch; return its name.

    Args:
        store: The store.
        tables: All tables, by name; the column `batch` is filled in.
        replaces: Names of the batches in whose place it is.

    Raises:
        StoreError: The store refuses, or does not answer; then there is no such batch.

    """
    batch = new_batch(replaces)
    note = {
        _VERSION: CATALOGUE_VERSION.encode(),
        _REPLACES: json.dumps(sorted(set(replaces))).encode(),
        _HAS: json.dumps(_with_rows(tables)).encode(),
    }
    for name in sorted(tables, key=lambda name: name == FLIGHTS.name):
        if tables[name].num_rows or name == FLIGHTS.name:
            said = {**note, _TABLE: name.encode()}
            store.put(key_of(batch, name), _encoded(tables[name], batch, said))
    return batch


def _with_rows(tables: Mapping[str, pa.Table]) -> list[str]:
    return [name for name in tables if tables[name].num_rows and name != FLIGHTS.name]


def _encoded(rows: pa.Table, batch: str, note: Mapping[bytes, bytes]) -> bytes:
    place = rows.schema.get_field_index(BATCH)
    rows = rows.set_column(place, BATCH, pa.repeat(pa.scalar(batch), rows.num_rows))
    order = [('vehicle', 'ascending'), ('flight', 'ascending')]
    rows = rows.sort_by(order).replace_schema_metadata(dict(note))
    sink = pa.BufferOutputStream()
    parquet.write_table(
        rows, sink, compression='zstd', row_group_size=_ROWS_PER_GROUP, version='2.6'
    )
    found: bytes = sink.getvalue().to_pybytes()
    return found


def read_note(metadata: parquet.FileMetaData) -> BatchNote:
    """
    Return what the metadata of a `flights.parquet` say.

    Raises:
        BatchError: They do not say it, or are of a version that is not known.

    """
    said = metadata.metadata or {}
    version = said.get(_VERSION, b'').decode('ascii', 'replace')
    if version.split('.')[0] != CATALOGUE_VERSION.split('.')[0]:
        raise BatchError(f'it is of version {short(version)!r}, which is not known here')
    try:
        replaces, tables = json.loads(said[_REPLACES]), json.loads(said[_HAS])
        if not all(_BATCH.fullmatch(name) for name in replaces):
            raise ValueError
        if not {*tables} < TABLES.keys():
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BatchError('it does not say what it has, and what it replaces') from None
    return BatchNote(metadata.num_rows, tuple(tables), frozenset(replaces))


def check_schema(table: Table, schema: pa.Schema) -> None:
    """
    Check that a file has columns of the right types; it may lack some, or have more.

    Raises:
        BatchError: One is of another type, or it does not say which flight is meant.

    """
    wanted = schema_of(table)
    if (schema.metadata or {}).get(_TABLE) != table.name.encode():
        raise BatchError(f'it has not the table {table.name}')
    for name in ('vehicle', 'flight', BATCH):
        if name not in schema.names:
            raise BatchError(f'it has no column {name}')
    for field in schema:
        if schema.names.count(field.name) > 1:
            raise BatchError(f'it has two columns {field.name}')
        place = wanted.get_field_index(field.name)
        if place >= 0 and wanted.field(place).type != field.type:
            raise BatchError(f'its column {field.name} is of type {field.type}')


def delete_batches(store: Store, names: Iterable[str]) -> None:
    """Delete batches: first what they are known by."""
    for name in names:
        store.delete([key_of(name, FLIGHTS.name)])
        store.delete([key_of(name, table) for table in TABLES if table != FLIGHTS.name])


def delete_torn(store: Store, listing: Listing, now_ns: int) -> int:
    """Delete what is left of batches that were never whole; return how many."""
    dead = [name for name, ns in listing.torn.items() if now_ns - ns > _DEAD_AFTER_NS]
    for name in dead:
        store.delete([key_of(name, table) for table in TABLES])
    return len(dead)
