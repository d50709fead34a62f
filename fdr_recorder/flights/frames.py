# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A topic of a recording as one table of Apache Arrow, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdr_recorder.errors import ExportError, RecordError
from fdr_recorder.flights.arrow_tables import ArrowTable, load_pyarrow
from fdr_recorder.flights.export_tables import about, read_header
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.tables import Rows, Table, TableCollector

if TYPE_CHECKING:
    import pyarrow as pa


def read_frames(query: Query) -> tuple[pa.Table, list[str]]:
    """
    Return the messages of one topic as a table, in the order of log times; and what is not in it.

    Raises:
        ExportError: There is no message, or the topic has several types.
        ExtraMissingError: `pyarrow` is not installed.
        OSError: A file cannot be read.
        RecordError: Nothing of the topic can be decoded.

    """
    arrow = load_pyarrow()
    describe = about(query.flight, read_header(query.flight))
    makers: dict[Table, ArrowTable] = {}
    batches: dict[Table, list[pa.RecordBatch]] = {}

    def keep(table: Table, rows: Rows) -> None:
        if table not in makers:
            makers[table], batches[table] = ArrowTable(table, describe(table)), []
        batches[table].append(makers[table].batch(rows))

    collector = TableCollector(query, keep)
    collector.run()
    types = sorted({table.schema.name for table in collector.tables})
    if len(types) > 1:
        texts = ', '.join(types)
        raise ExportError(query.flight, f'has several types on this topic: choose one of {texts}')
    damage = [*query.damage, *(text for table in collector.tables for text in table.damage)]
    if not makers:
        if collector.tables:
            raise RecordError('; '.join(damage))
        raise ExportError(query.flight, query.why_nothing())
    parts = [arrow.Table.from_batches(batches[table], makers[table].schema) for table in makers]
    whole = arrow.concat_tables(parts, promote_options='permissive')
    return _in_order(whole), damage


def _in_order(table: pa.Table) -> pa.Table:
    """Return the rows sorted by log time; those of the same time keep their order."""
    name = table.schema.names[0]
    times = table.column(name).cast('int64').to_numpy()
    if (times[1:] >= times[:-1]).all():
        return table
    return table.take(times.argsort(kind='stable'))
