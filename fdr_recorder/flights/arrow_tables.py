# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tables of Apache Arrow, and Parquet files of them. `pyarrow` is loaded here alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TYPE_CHECKING

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.flights.tables import Rows, Table, Times
from fdr_recorder.flights.text_tables import MAX_TIME_NS, own_names
from fdr_recorder.types.cdr_layout import FILLER, Items, Node, Number, Struct, Text
from fdr_recorder.types.columns import Column, Lists, Numbers, Texts
import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def load_pyarrow() -> Any:  # noqa: ANN401 - the module, which has no types
    """Return the module `pyarrow`; raise `ExtraMissingError` if it is not installed."""
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissingError('pyarrow', 'data') from error
    return pyarrow


class ArrowTable:
    """
    Makes record batches of the rows of a table.

    Attributes:
        schema: Their schema, with what is known of the table.

    """

    def __init__(self, table: Table, about: Mapping[str, str]) -> None:
        """
        Prepare the schema.

        Raises:
            ExtraMissingError: `pyarrow` is not installed.

        """
        self._pa = pa = load_pyarrow()
        assert table.decoder is not None
        layout = dict(_flat_nodes(table.decoder.layout))
        time = pa.timestamp('ns', tz='UTC')
        own = zip(own_names(list(layout)), (time, time, pa.uint32(), pa.string()), strict=True)
        fields = {**dict(own), **{name: self._type(node) for name, node in layout.items()}}
        self.schema = pa.schema(list(fields.items()), metadata=dict(about))

    def batch(self, rows: Rows) -> pa.RecordBatch:
        """Return rows as a record batch."""
        own = [
            self._times(rows.log_time_ns),
            self._times(rows.publish_time_ns),
            self._pa.array(rows.sequence),
            self._pa.array(rows.publisher, self._pa.string()),
        ]
        arrays = [*own, *map(self._array, rows.columns.values())]
        return self._pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _type(self, node: Node) -> Any:  # noqa: ANN401 - of pyarrow
        pa = self._pa
        if isinstance(node, Number):
            return pa.bool_() if node.dtype == '?' else pa.from_numpy_dtype(np.dtype(node.dtype))
        if isinstance(node, Text):
            return pa.string()
        if isinstance(node, Items):
            return pa.binary() if node.is_bytes else pa.list_(self._type(node.element))
        return pa.struct([(name, self._type(field)) for name, field in node.fields])

    def _array(self, column: Column) -> Any:  # noqa: ANN401 - of pyarrow
        pa = self._pa
        if isinstance(column, Numbers):
            return pa.array(column.values)
        if isinstance(column, Texts):
            kind = pa.binary() if column.is_binary else pa.string()
            offsets = pa.py_buffer(column.offsets.astype(np.int32))
            data = pa.py_buffer(np.ascontiguousarray(column.data))
            return pa.Array.from_buffers(kind, len(column.offsets) - 1, [None, offsets, data])
        if isinstance(column, Lists):
            items = self._array(column.items)
            return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), items)
        arrays = list(map(self._array, column.fields.values()))
        return pa.StructArray.from_arrays(arrays, list(column.fields))

    def _times(self, times: Times) -> Any:  # noqa: ANN401 - of pyarrow
        is_unknown = times > MAX_TIME_NS
        kind = self._pa.timestamp('ns', tz='UTC')
        mask = is_unknown if is_unknown.any() else None
        return self._pa.array(times.astype(np.int64), mask=mask).cast(kind)


class ParquetTable:
    """A Parquet file with a table; each part that is written is a row group."""

    def __init__(
        self, path: Path, table: Table, about: Mapping[str, str], compression: str
    ) -> None:
        """Create the file."""
        self.path = path
        self._arrow = ArrowTable(table, about)
        self._writer = parquet_writer(path, self._arrow.schema, compression)

    def write(self, rows: Rows) -> None:
        """Append rows."""
        self._writer.write_batch(self._arrow.batch(rows))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def parquet_writer(path: Path, schema: pa.Schema, compression: str) -> Any:  # noqa: ANN401
    """Create a Parquet file; texts are kept once each, by their numbers."""
    texts = [name for name in schema.names if str(schema.field(name).type) == 'string']
    return load_pyarrow().parquet.ParquetWriter(
        path, schema, compression=compression, use_dictionary=texts
    )


def _flat_nodes(layout: Struct, prefix: str = '') -> Iterator[tuple[str, Node]]:
    """Yield the nodes in structures by dotted names, as `flattened` does with columns."""
    for name, node in layout.fields:
        if isinstance(node, Struct):
            yield from _flat_nodes(node, f'{prefix}{name}.')
        elif name != FILLER:
            yield prefix + name, node
