# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One schema for tables of many flights: fields that came later, and types that grew."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
import hashlib
from pathlib import Path
from typing import Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.flights.arrow_tables import parquet_writer

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise ExtraMissingError(error.name or 'pyarrow', 'fleet') from None

PARTITIONS: Final = ('vehicle', 'flight')
"""In the names of directories; a field of a message so called gets a `_` in front."""


def to_text(schema: pa.Schema) -> str:
    """Return a schema's fields as text, without what its metadata say of one flight."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode()


def of_text(text: str) -> pa.Schema:
    """Return the schema of a text; raise `ValueError` if it is none."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))


def schema_of(path: Path) -> pa.Schema:
    """Return the schema of a Parquet file."""
    return parquet.read_schema(path)


def digest(schema: str) -> str:
    """Return a short name of a schema's text."""
    return hashlib.sha256(schema.encode()).hexdigest()[:16]


def unified(schemas: Iterable[str]) -> tuple[str, dict[str, str]]:
    """
    Return one schema for all, and which cannot follow it and why, by schema.

    It depends on the schemas alone, not on their order. What most flights have wins.

    Args:
        schemas: The text of each flight's schema.

    """
    counts = Counter(schemas)
    common: pa.Schema | None = None
    odd = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        schema = of_text(text)
        try:
            common = schema if common is None else _both(common, schema)
        except (pa.ArrowException, ValueError, TypeError) as error:
            odd[text] = _why(common, schema) or str(error)
    return '' if common is None else to_text(common), odd


def _both(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    return pa.unify_schemas([one, other], promote_options='permissive')


def _why(common: pa.Schema, schema: pa.Schema) -> str:
    for field in schema:
        if field.name in common.names:
            try:
                _both(pa.schema([common.field(field.name)]), pa.schema([field]))
            except (pa.ArrowException, ValueError, TypeError):
                other = common.field(field.name).type
                return f'its field {field.name} is {field.type}, in most flights {other}'
    return ''


def rewrite(paths: Sequence[Path], schema: pa.Schema, out: Path) -> None:
    """
    Write Parquet files, one behind the other, as one of a schema; fields they lack are null.

    Raises:
        ValueError: A value does not fit its new type.
        OSError: A file cannot be read or written.

    """
    about: Mapping[bytes, bytes] = parquet.read_schema(paths[0]).metadata or {}
    writer = parquet_writer(out, schema.with_metadata(_without_arrow(about)), 'zstd')
    try:
        for path in paths:
            with parquet.ParquetFile(path) as file:
                for number in range(file.num_row_groups):
                    writer.write_table(_fitted(file.read_row_group(number), schema))
    finally:
        writer.close()


def _without_arrow(about: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: value for key, value in about.items() if key != b'ARROW:schema'}


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    table = table.rename_columns(column_names(table.column_names))
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def renamed(schema: pa.Schema) -> pa.Schema:
    """Return a schema in which no field has the name of a partition."""
    names = column_names(schema.names)
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def column_names(names: Sequence[str]) -> list[str]:
    """Return the names of columns for those of a table: a partition's gets `_` in front."""
    found = []
    for name in names:
        if name in PARTITIONS:
            while name in (*PARTITIONS, *names):
                name = f'_{name}'
        found.append(name)
    return found
