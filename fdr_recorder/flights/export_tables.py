# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Exports messages of a recording as tables: a Parquet, CSV or JSON lines file for each topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import re
from typing import Final, Protocol

from fdr_recorder.errors import ExportError, RecordError, SegmentError
from fdr_recorder.flights.arrow_tables import load_pyarrow, ParquetTable
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import Advance, own_record, read_segments
from fdr_recorder.flights.tables import Rows, Table, TableCollector
from fdr_recorder.flights.text_tables import CsvTable, JsonTable
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.storage.files import DIRECTORY_MODE, sync_directory
from fdr_recorder.version import __version__

INDEX_NAME: Final = 'tables.json'
_MOST_FILES: Final = 200
"""So many Parquet files are open at a time; with more tables the recording is read again."""
_SAFE: Final = re.compile(r'[A-Za-z0-9_\-/]')
_LONGEST_STEM: Final = 200


class _File(Protocol):

    def write(self, rows: Rows) -> None: ...


@dataclass(frozen=True)
class ExportedTable:
    """
    A table of an export.

    Attributes:
        file: Name of its file; empty if no message could be decoded.
        topic: Name of the topic.
        type: Full name of the type.
        rows: Messages in it.
        left_out: Messages of the topic and type that could not be decoded.
        bytes: Size of the file.

    """

    file: str
    topic: str
    type: str
    rows: int
    left_out: int
    bytes: int


@dataclass(frozen=True)
class WrittenTables:
    """
    What was written.

    Attributes:
        tables: Each table.
        first_ns: Earliest log time.
        last_ns: Latest log time.
        damage: What could not be read or decoded, in words.

    """

    tables: tuple[ExportedTable, ...]
    first_ns: int
    last_ns: int
    damage: tuple[str, ...]


def write_tables(
    query: Query, directory: Path, form: str, compression: str, advance: Advance
) -> WrittenTables:
    """
    Write a file for each topic, and each definition of its type, into a new directory.

    Args:
        query: The messages.
        directory: Where to; it is created.
        form: `parquet`, `csv` or `jsonl`.
        compression: Of Parquet: `none`, `lz4` or `zstd`.
        advance: Told of progress.

    Raises:
        ExportError: There is no message, or none can be decoded.
        ExtraMissingError: `pyarrow` is needed, and is not installed.
        OSError: A file cannot be read or written.

    """
    if form == 'parquet':
        load_pyarrow()
    directory.mkdir(DIRECTORY_MODE)
    tables: list[Table] = []
    written: list[ExportedTable] = []
    damage: list[str] = []
    header = read_header(query.flight)
    stems = _Stems()
    has_more = True
    while has_more:
        part = query.again()
        with _Files(directory, form, compression, about(query.flight, header), stems) as files:
            collector = TableCollector(part, files.write, tables, _MOST_FILES)
            collector.run(advance)
        advance = _ignore  # the bar is full
        written += [_exported(table, files.paths.get(table)) for table in collector.tables]
        tables += collector.tables
        damage = part.damage
        query.all_topics |= part.all_topics
        has_more = collector.has_more
    for table in tables:
        damage += table.damage
    rows = [table for table in tables if table.rows]
    if not rows:
        raise ExportError(query.flight, _why_none(query, damage))
    _write_index(directory, written)
    return WrittenTables(
        tuple(written),
        min(table.first_ns for table in rows),
        max(table.last_ns for table in rows),
        tuple(damage),
    )


def _ignore(_bytes: int) -> None:
    pass


def _why_none(query: Query, damage: Sequence[str]) -> str:
    if not damage:
        return query.why_nothing()
    more = f' (and {len(damage) - 1} more)' if len(damage) > 1 else ''
    return f'has no message that can be exported: {damage[0]}{more}'


def read_header(flight: Path) -> FlightHeader | None:
    """Return the header of a flight; None if its first chunk has none, or it is no flight."""
    for reader in read_segments(flight, []):
        for chunk in reader.chunks():
            with suppress(RecordError, SegmentError):
                whole = reader.chunk_at(chunk.offset) if isinstance(chunk, IndexedChunk) else chunk
                for message, _ in whole.messages:
                    record = own_record(message)
                    if isinstance(record, FlightHeader):
                        return record
            break
        break
    return None


def about(flight: Path, header: FlightHeader | None) -> Callable[[Table], dict[str, str]]:
    """Return a function that says what is known of a table, for who finds its file later."""

    def describe(table: Table) -> dict[str, str]:
        values = {
            'flight_id': header.flight_id if header else flight.absolute().name,
            'topic': table.topic,
            'type': table.schema.name,
            'type_hash': table.type_hash,
            'definition': table.schema.definition,
            'definition_encoding': table.schema.encoding,
            'recorder_version': header.software_version if header else '',
            'exported_by': f'fdr_recorder {__version__}',
        }
        known = {key: value for key, value in values.items() if value}
        return {key: text.encode('utf-8', 'replace').decode() for key, text in known.items()}

    return describe


def _exported(table: Table, path: Path | None) -> ExportedTable:
    return ExportedTable(
        path.name if path else '',
        table.topic,
        table.schema.name,
        table.rows,
        table.left_out,
        path.stat().st_size if path else 0,
    )


def _write_index(directory: Path, written: Sequence[ExportedTable]) -> None:
    """Say which file has what: a name alone may not tell."""
    index = [vars(table) for table in written if table.file]
    text = json.dumps({'tables': index}, indent=2)
    (directory / INDEX_NAME).write_text(text + '\n', encoding='utf-8')
    for path in directory.iterdir():
        with path.open('rb') as file:
            os.fsync(file.fileno())
    sync_directory(directory)


class _Files(ExitStack):
    """
    The files of tables; each is created with its first rows.

    Attributes:
        paths: Where each is.

    """

    def __init__(
        self,
        directory: Path,
        form: str,
        compression: str,
        about_table: Callable[[Table], Mapping[str, str]],
        stems: _Stems,
    ) -> None:
        super().__init__()
        self.paths: dict[Table, Path] = {}
        self._files: dict[Table, _File] = {}
        self._directory = directory
        self._form = form
        self._compression = compression
        self._about = about_table
        self._stems = stems

    def write(self, table: Table, rows: Rows) -> None:
        """Append rows to the file of a table."""
        file = self._files.get(table)
        if file is None:
            stem = self._stems.take(table.topic)
            self.paths[table] = path = self._directory / f'{stem}.{self._form}'
            self._files[table] = file = self._create(path, table)
        file.write(rows)

    def _create(self, path: Path, table: Table) -> _File:
        if self._form == 'csv':
            return CsvTable(path)
        if self._form == 'jsonl':
            return JsonTable(path)
        file = ParquetTable(path, table, self._about(table), self._compression)
        self.callback(file.close)
        return file


class _Stems:
    """Names of files: safe on every file system, and no two are the same on any."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, topic: str) -> str:
        """Return the name for a topic's next table, without a suffix."""
        stem = name = file_stem(topic)
        number = 1
        while name.lower() in self._taken:
            number += 1
            name = f'{stem}~{number}'
        self._taken.add(name.lower())
        return name


def file_stem(topic: str) -> str:
    """
    Return a topic as the name of a file: `/imu/data` is `imu.data`.

    What is neither a letter, a digit, `_`, `-` nor `/` is written as `%2E`, a topic that does not
    begin with `/` with a `+` in front. A name that is too long ends with a hash instead.
    """
    name = topic[1:] if topic.startswith('/') else topic
    stem = '' if topic.startswith('/') else '+'
    for sign in name:
        in_bytes = sign.encode('utf-8', 'surrogatepass')
        stem += sign if _SAFE.fullmatch(sign) else ''.join(f'%{byte:02X}' for byte in in_bytes)
    stem = stem.replace('/', '.')
    if not stem or stem[0] in '.-':  # hidden, or an option for a shell
        stem = f'%2F{stem}'
    if len(stem) > _LONGEST_STEM:
        digest = hashlib.sha256(topic.encode('utf-8', 'surrogatepass')).hexdigest()
        stem = f'{stem[:_LONGEST_STEM - 20]}%{digest[:16]}'
    return stem
