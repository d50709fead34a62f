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
Turns rows as they stand in a receipt into tables of Arrow, and trusts none of it.

A receipt is written by the fleet's side, but from what drones say; and a store has many writers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import math
from typing import Any, Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.catalogue.columns import BATCH, ETAG, Kind, Rows, Table, TABLES
from fdr_recorder.fleet.errors import RowsError
from fdr_recorder.units import encodable

try:
    import pyarrow as pa
except ImportError as error:
    raise ExtraMissingError(error.name or 'pyarrow', 'fleet') from None

_MOST_ROWS: Final = 50_000
_LONGEST: Final = 4096
_MOST_ITEMS: Final = 20_000

_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    Kind.TEXT: pa.string(),
    Kind.COUNT: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.TIME: pa.timestamp('us'),
    Kind.FLAG: pa.bool_(),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.COUNTS: pa.list_(pa.int64()),
    Kind.MAP: pa.map_(pa.string(), pa.string()),
}


def schema_of(table: Table) -> pa.Schema:
    """Return what is in the files of a table."""
    fields = [(name, _ARROW[kind]) for name, kind in table.all_columns.items()]
    hidden = [ETAG, BATCH] if table.name == 'flights' else [BATCH]
    return pa.schema([*fields, *((name, pa.string()) for name in hidden)])


def checked_rows(value: Any) -> Rows:  # noqa: ANN401 - of JSON
    """
    Return rows, if they are of the types that they must be; what is not there is null.

    Raises:
        RowsError: They are not.

    """
    if not isinstance(value, dict):
        raise RowsError('rows are no object')
    found: Rows = {}
    for name, table in TABLES.items():
        columns = value.get(name, {})
        if not isinstance(columns, dict):
            raise RowsError(f'{name} is no table')
        lengths = {len(column) for column in columns.values() if isinstance(column, list)}
        rows = max(lengths, default=0)
        if len(lengths) > 1 or rows > _MOST_ROWS or (name == 'flights' and rows != 1):
            raise RowsError(f'{name} has columns of different or impossible lengths')
        found[name] = {
            column: _column(f'{name}.{column}', kind, columns.get(column), rows)
            for column, kind in table.columns.items()
        }
    return found


def _column(name: str, kind: Kind, values: Any, rows: int) -> list[Any]:  # noqa: ANN401
    if values is None:
        return [None] * rows
    if not isinstance(values, list):
        raise RowsError(f'{name} is no column')
    check = _CHECKS[kind]
    try:
        return [None if value is None else check(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise RowsError(f'{name} has what is no {kind.name.lower()}') from None


def _text(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise TypeError
    return encodable(value[:_LONGEST])


def _count(value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
        raise TypeError
    return value


def _time(value: Any) -> int:  # noqa: ANN401
    """Return a time that every program can show: to the year 2262."""
    if not 0 <= _count(value) < (1 << 63) // 1000:
        raise ValueError
    return int(value)


def _number(value: Any) -> float | None:  # noqa: ANN401
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError
    return float(value) if math.isfinite(value) else None


def _flag(value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise TypeError
    return [_text(item) for item in value]


def _counts(value: Any) -> list[int]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise TypeError
    return [_count(item) for item in value]


def _map(value: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    if not isinstance(value, dict) or len(value) > _MOST_ITEMS:
        raise TypeError
    return list({_text(key): _text(item) for key, item in value.items()}.items())


_CHECKS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: _text,
    Kind.COUNT: _count,
    Kind.NUMBER: _number,
    Kind.TIME: _time,
    Kind.FLAG: _flag,
    Kind.TEXTS: _texts,
    Kind.COUNTS: _counts,
    Kind.MAP: _map,
}


class TableBuilder:
    """Collects rows of many flights, which have been checked, as columns of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[str, list[Any]] = {name: [] for name in schema_of(table).names}

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._columns['vehicle'])

    def add(self, vehicle: str, flight: str, rows: Rows, **same: str) -> None:
        """Add the rows of a flight; `same` are columns that are alike in all of them."""
        columns = rows[self._table.name]
        count = len(next(iter(columns.values())))
        for name, values in self._columns.items():
            if name in columns:
                values += columns[name]
            elif name in ('vehicle', 'flight'):
                values += [encodable(vehicle if name == 'vehicle' else flight)] * count
            else:
                values += [same.get(name)] * count

    def table(self) -> pa.Table:
        """Return the rows, in the order in which they are asked for fastest."""
        return pa.Table.from_pydict(self._columns, schema=schema_of(self._table))
