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
Asks the catalogue, by SQL, with DuckDB.

Questions read the files of the catalogue and nothing else: no other file, no network, no
extension, no settings; and as they are statements of the type SELECT, they write nothing.
Only this module imports `duckdb`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.catalogue.arrow_rows import schema_of
from fdr_recorder.fleet.catalogue.cache import fetch_catalogue, Snapshot
from fdr_recorder.fleet.catalogue.columns import BATCH, TABLES
from fdr_recorder.fleet.errors import NoCatalogueError, QueryError
from fdr_recorder.fleet.store import Store

try:
    import duckdb
    import pyarrow as pa
except ImportError as error:
    raise ExtraMissingError(error.name or 'duckdb', 'fleet') from None

MEMORY_VARIABLE: Final = 'FDR_FLEET_MEMORY'
_MEMORY: Final = '2GB'
_OPTIONS: Final = 'union_by_name = true, hive_partitioning = false'

_MISSING_FLIGHTS: Final = """
CREATE VIEW missing_flights AS
WITH numbered AS (
    SELECT vehicle, flight_number, min(flight) AS flight
    FROM flights WHERE vehicle != '' AND flight_number > 0 GROUP BY ALL
),
gaps AS (
    SELECT
        vehicle,
        lag(flight_number) OVER before_it + 1 AS first_number,
        flight_number - 1 AS last_number,
        lag(flight) OVER before_it AS after_flight,
        flight AS before_flight
    FROM numbered WINDOW before_it AS (PARTITION BY vehicle ORDER BY flight_number)
),
removed AS (
    SELECT DISTINCT vehicle, unnest(removed_numbers) AS number FROM flights
),
by_seal AS (
    SELECT vehicle, previous_flight AS flight_id, min(flight) AS before_flight
    FROM flights WHERE previous_flight IS NOT NULL GROUP BY ALL
)
SELECT
    gaps.vehicle, NULL::VARCHAR AS flight_id, first_number, last_number,
    last_number - first_number + 1 AS count,
    (
        SELECT count(*) FROM removed
        WHERE removed.vehicle = gaps.vehicle AND number BETWEEN first_number AND last_number
    ) AS removed,
    after_flight, before_flight
FROM gaps WHERE last_number >= first_number
UNION ALL
SELECT
    vehicle, flight_id, NULL, NULL, 1,
    (
        SELECT count(*) > 0
        FROM (SELECT vehicle, unnest(removed_flights) AS gone FROM flights) AS told
        WHERE told.vehicle = by_seal.vehicle AND gone = flight_id
    )::BIGINT,
    NULL, before_flight
FROM by_seal
WHERE NOT EXISTS (
    FROM flights WHERE flights.vehicle = by_seal.vehicle AND flights.flight_id = by_seal.flight_id
)
"""

MISSING_COLUMNS: Final[Mapping[str, str]] = {
    'vehicle': 'VARCHAR',
    'flight_id': 'VARCHAR',
    'first_number': 'BIGINT',
    'last_number': 'BIGINT',
    'count': 'BIGINT',
    'removed': 'BIGINT',
    'after_flight': 'VARCHAR',
    'before_flight': 'VARCHAR',
}
"""Of the view `missing_flights`."""


@dataclass(frozen=True)
class Answer:
    """
    What a question gives.

    Attributes:
        table: Its rows.
        types: The type of each column, as SQL calls it.

    """

    table: pa.Table
    types: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.table.column_names)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows as values of Python."""
        columns = [column.to_pylist() for column in self.table.columns]
        return list(zip(*columns, strict=True)) if columns else []


class Catalogue:
    """
    The catalogue of a store, as it was at one moment. Close it; one thread uses it.

    Attributes:
        snapshot: Its files.

    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        threads = len(os.sched_getaffinity(0))
        self._connection = duckdb.connect(
            ':memory:',
            config={
                'threads': threads,
                'memory_limit': os.environ.get(MEMORY_VARIABLE) or _MEMORY,
                'temp_directory': '',
                'autoinstall_known_extensions': False,
                'autoload_known_extensions': False,
                'allow_community_extensions': False,
                'python_enable_replacements': False,
            },
        )
        try:
            self._make_views()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def of(cls, store: Store, question: str = '') -> Catalogue:
        """
        Return the catalogue that a store has now: the tables that a question names, and `flights`.

        Raises:
            NoCatalogueError: It has none.
            StoreError: The store refuses, or does not answer.
            CacheError: It cannot be kept on this machine.

        """
        asked = question.lower()
        snapshot = fetch_catalogue(store, [name for name in TABLES if name in asked])
        if not snapshot.listing.batches:
            raise NoCatalogueError(store.url)
        return cls(snapshot)

    def _make_views(self) -> None:
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        there = {name: TABLES[name] for name in self.snapshot.files}
        for name, table in there.items():
            self._connection.register(f'no_{name}', schema_of(table).empty_table())
            files = [_quoted(path) for path in self.snapshot.files[name].values()]
            found = f'UNION ALL BY NAME FROM read_parquet([{", ".join(files)}], {_OPTIONS})'
            run(f'CREATE VIEW every_{name} AS FROM no_{name} {found if files else ""}')
        run(
            f"""
            CREATE TABLE superseded AS
            WITH several AS (
                SELECT vehicle, flight FROM every_flights GROUP BY ALL HAVING count(*) > 1
            )
            SELECT vehicle, flight, {BATCH} FROM every_flights
            SEMI JOIN several USING (vehicle, flight)
            QUALIFY row_number() OVER (
                PARTITION BY vehicle, flight
                ORDER BY stored_at DESC NULLS LAST, received_at DESC NULLS LAST, {BATCH} DESC
            ) > 1
            """
        )
        count = run('SELECT count(*) FROM superseded').fetchone()
        without = f'ANTI JOIN superseded USING (vehicle, flight, {BATCH})'
        for name, table in there.items():
            columns = ', '.join(f'"{column}"' for column in table.all_columns)
            source = f'every_{name} {without if count and count[0] else ""}'
            run(f'CREATE VIEW {name} AS SELECT {columns} FROM {source}')
        run(_MISSING_FLIGHTS)
        paths = [path for some in self.snapshot.files.values() for path in some.values()]
        run(f'SET allowed_paths = [{", ".join(map(_quoted, paths))}]')
        run('SET enable_external_access = false')
        run('SET lock_configuration = true')

    def ask(self, question: str, parameters: Sequence[object] = ()) -> Answer:
        """
        Answer a question: one statement of SQL that reads.

        Raises:
            QueryError: It is none, or wrong, or needs too much memory; the text says why.

        """
        try:
            statements = self._connection.extract_statements(question)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QueryError('ask with one statement that begins with SELECT, WITH or FROM')
            relation = self._connection.sql(question, params=list(parameters))
            return Answer(relation.to_arrow_table(), [str(kind) for kind in relation.types])
        except duckdb.Error as error:
            raise QueryError(_said(error)) from None
        except pa.ArrowException as error:
            raise QueryError(str(error)) from None

    def every(self, name: str) -> pa.Table:
        """Return what counts of a table, with the columns that only its files have."""
        without = f'ANTI JOIN superseded USING (vehicle, flight, {BATCH})'
        columns = ', '.join(f'"{column}"' for column in schema_of(TABLES[name]).names)
        return self.ask(f'SELECT {columns} FROM every_{name} {without}').table

    def close(self) -> None:
        """Forget it."""
        self._connection.close()

    def __enter__(self) -> Catalogue:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def tables_text() -> str:
    """Return the tables and their columns, a line each, for whoever asked wrongly."""
    tables = {name: table.all_columns for name, table in TABLES.items()}
    lines = [f'{name}: {", ".join(columns)}' for name, columns in tables.items()]
    return '\n'.join((*lines, f'missing_flights: {", ".join(MISSING_COLUMNS)}'))


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _said(error: duckdb.Error) -> str:
    """Return what DuckDB says, without what only its developers need."""
    return str(error).strip()
