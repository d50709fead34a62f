# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Shows what the catalogue answers: as a table, CSV, JSON or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
import csv
from datetime import date, datetime, time
from decimal import Decimal
import json
import math
from pathlib import Path
import sys
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.console import say, table
from fdr_recorder.units import plural

if TYPE_CHECKING:
    from fdr_recorder.fleet.catalogue.query import Answer

_NUMBERS: Final = ('BIGINT', 'DOUBLE', 'FLOAT', 'HUGEINT', 'INTEGER', 'DECIMAL', 'SMALLINT', 'U')
_FORMULA: Final = ('=', '+', '-', '@', '\t', '\r')
"""Spreadsheets run a cell that begins with one of these."""


def json_value(value: Any, kind: str = '') -> Any:  # noqa: ANN401 - whatever SQL has
    """Return a value for `json.dumps`: times as texts of ISO 8601, in UTC."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return None if math.isnan(value) else ('Infinity' if value > 0 else '-Infinity')
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + 'Z'
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list) and kind.startswith('MAP('):
        return {str(key): json_value(item) for key, item in value}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    return str(value)


def rows_for_json(answer: Answer) -> list[list[Any]]:
    """Return the rows for `json.dumps`."""
    return [list(map(json_value, row, answer.types)) for row in answer.rows()]


def documents(answer: Answer) -> list[dict[str, Any]]:
    """Return each row as an object, by the names of the columns."""
    return [dict(zip(answer.columns, row, strict=True)) for row in rows_for_json(answer)]


def show(answer: Answer) -> None:
    """Print the rows as a table, and how many there are."""
    signs = ['>' if kind.startswith(_NUMBERS) else '&' for kind in answer.types]
    headings = [f'{sign}{name}' for sign, name in zip(signs, answer.columns, strict=True)]
    rows = [
        [_cell(value, kind) for value, kind in zip(row, answer.types, strict=True)]
        for row in answer.rows()
    ]
    if rows:
        table(headings, rows)
        print()
    say(plural(len(rows), 'row'))


def write_csv(answer: Answer) -> None:
    """
    Print the rows as CSV (RFC 4180); null is an empty cell.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = csv.writer(sys.stdout, lineterminator='\r\n')
    out.writerow(map(_harmless, answer.columns))
    for row in rows_for_json(answer):
        out.writerow([_csv_cell(value) for value in row])


def write_parquet(answer: Answer, path: Path) -> None:
    """
    Write the rows as a file of Parquet.

    Raises:
        ExportError: Something is there already, or the directory is missing.
        QueryError: A column has what Parquet cannot hold.
        OSError: It cannot be written.

    """
    from fdr_recorder.fleet.errors import QueryError
    from fdr_recorder.flights.output import new_output
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with new_output(path) as draft:
            parquet.write_table(answer.table, draft, compression='zstd')
    except pa.ArrowException as error:
        raise QueryError(f'this cannot be written as Parquet: {error}') from None


def _cell(value: Any, kind: str) -> str:  # noqa: ANN401
    """Return a value as it stands in a table."""
    if value is None:
        return '-'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, float):
        return f'{value:.10g}'
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(sep=' ', timespec='milliseconds')
        return text.removesuffix('.000')
    found = json_value(value, kind)
    if isinstance(found, dict | list):
        return json.dumps(found, ensure_ascii=False)
    return str(found)


def _csv_cell(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def quoted(names: Sequence[str]) -> str:
    """Return names of columns for SQL."""
    return ', '.join(f'"{name}"' for name in names)
