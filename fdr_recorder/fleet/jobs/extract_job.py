# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The job `extract`: one topic of all flights as one Parquet data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, ClassVar, Final

from fdr_recorder.fleet.errors import JobError
from fdr_recorder.fleet.jobs import dataset
from fdr_recorder.fleet.jobs.flight_job import FlightJob, MOST_DOCUMENT_BYTES
from fdr_recorder.fleet.jobs.task import Outcome, State, Work
from fdr_recorder.fleet.jobs.work import opened
from fdr_recorder.fleet.layout import encoded, FlightKey, RESULTS
from fdr_recorder.fleet.local_file import LocalFile
from fdr_recorder.fleet.manifest import ManifestFile
from fdr_recorder.fleet.pace import Pace
from fdr_recorder.fleet.store import Store
from fdr_recorder.flights.arrow_tables import ParquetTable
from fdr_recorder.flights.export_tables import about, read_header
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.tables import Rows, Table, TableCollector
from fdr_recorder.record.segment_names import SEGMENT_PATTERN

PART_NAME: Final = 'part.parquet'
DOCUMENTS: Final = '_flights/'
"""Readers of data sets leave out what begins with `_`."""
_MOST_TYPES: Final = 50
"""A topic of a flight has more types, or definitions, only if somebody wants to do harm."""


def data_set_name(topic: str) -> str:
    """Return a topic as the name of a directory: `/imu/data` is `imu.data`."""
    return encoded(topic.strip('/').replace('/', '.'))


@dataclass(frozen=True)
class ExtractJob(FlightJob):
    """
    Writes a topic's messages of each flight as a Parquet file of a data set.

    What it finds: `rows`, `bytes`, `first_ns`, `last_ns`, `types`, `left_out` (messages that
    could not be decoded), `damage` (in words), `fields` (the schema that the flight has), and
    `written` (a short name of the schema that its file has).
    A flight without such messages has no file.

    Attributes:
        topic: Its name.
        data_set: The name of the data set below `results/extract/`.
        output: Another store, or directory, for it; empty for the store of the flights.

    """

    name: ClassVar[str] = 'extract'
    topic: str = ''
    data_set: str = ''
    output: str = ''

    def options(self) -> dict[str, Any]:
        """Return the topic."""
        return {'topic': self.topic}

    def store(self, store: Store) -> Store:
        """Return where the data set is."""
        return opened(self.output) if self.output else store

    @property
    def prefix(self) -> str:
        """Return the prefix of the data set there."""
        return '' if self.output else f'{RESULTS}{self.name}/{self.data_set}/'

    def documents(self) -> str:
        """Return the prefix of what is said of each flight."""
        return self.prefix + DOCUMENTS

    def part(self, key: FlightKey) -> str:
        """Return the key of a flight's file."""
        vehicle, flight = encoded(key.vehicle), encoded(key.flight)
        return f'{self.prefix}vehicle={vehicle}/flight={flight}/{PART_NAME}'

    def wants(self, file: ManifestFile) -> bool:
        """Tell whether it is a segment."""
        return SEGMENT_PATTERN.fullmatch(file.name) is not None

    def make(self, flight: Path, work: Work, out: Store, base: str) -> dict[str, Any]:
        """Write the flight's file."""
        del base
        directory, key = work.scratch(), work.task.key
        tables, paths, damage = self._tables(flight, directory)
        rows, left_out = (
            sum(getattr(table, name) for table in tables) for name in ('rows', 'left_out')
        )
        if not paths:
            if damage:
                raise JobError(f'nothing of {self.topic} can be read: {damage[0]}')
            out.delete([self.part(key)])
            return {'rows': 0}
        with_rows = [table for table in tables if table.rows]
        path, fields = _one_file(paths, directory)
        _put(out, self.part(key), path)
        return {
            'rows': rows,
            'bytes': path.stat().st_size,
            'first_ns': min(table.first_ns for table in with_rows),
            'last_ns': max(table.last_ns for table in with_rows),
            'types': sorted({table.schema.name for table in with_rows}),
            'left_out': left_out,
            'damage': damage,
            'fields': fields,
            'written': dataset.digest(fields),
        }

    def _tables(
        self, flight: Path, directory: Path
    ) -> tuple[list[Table], list[Path], list[str]]:
        """Write a file for each definition of the topic's type; return what came of it."""
        query = Query(flight, (self.topic,))
        describe = about(flight, read_header(flight))
        files: dict[Table, ParquetTable] = {}

        def write(table: Table, rows: Rows) -> None:
            if table not in files:
                path = directory / f'{len(files)}.parquet'
                files[table] = ParquetTable(path, table, describe(table), 'zstd')
            files[table].write(rows)

        collector = TableCollector(query, write, most=_MOST_TYPES)
        try:
            collector.run()
        finally:
            for file in files.values():
                file.close()
        damage = list(query.damage)
        if not query.all_topics and not damage:
            damage.append('it has no segment that can be read')
        for table in collector.tables:
            damage += table.damage
        if collector.has_more:
            damage.append(f'{self.topic} has more than {_MOST_TYPES} types')
        return collector.tables, [file.path for file in files.values()], damage

    def summary(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the whole data set is made of."""
        return {
            'rows': int(found['rows']),
            'left_out': int(found.get('left_out', 0)),
            'bytes': int(found.get('bytes', 0)),
            'damage': [str(text) for text in found.get('damage', ())][:3],
            'fields': str(found.get('fields', '')),
            'written': str(found.get('written', '')),
        }


def _put(store: Store, key: str, path: Path) -> None:
    with LocalFile(path) as file:
        store.put_file(key, file, Pace())


def _one_file(paths: list[Path], directory: Path) -> tuple[Path, str]:
    """Return one file of several, and the text of its schema; raise `JobError` if they differ."""
    schemas = [dataset.schema_of(path) for path in paths]
    texts = [dataset.to_text(dataset.renamed(schema)) for schema in schemas]
    fields, odd = dataset.unified(texts)
    if odd:
        raise JobError(f'the topic has several types, which do not fit: {min(odd.values())}')
    if len(paths) == 1 and texts[0] == dataset.to_text(schemas[0]):
        return paths[0], fields
    whole = directory / PART_NAME
    dataset.rewrite(paths, dataset.of_text(fields), whole)
    return whole, fields


@dataclass(frozen=True)
class ConformJob:
    """
    Writes a flight's file of a data set again, with the schema that all flights have.

    Attributes:
        extract: The job that wrote it.
        document: The key of what is said of the flight.
        fields: The text of the schema.

    """

    extract: ExtractJob
    document: str
    fields: str
    name: ClassVar[str] = 'extract'

    def do(self, work: Work) -> Outcome:
        """Write it again, then say so in its document."""
        key, out = work.task.key, self.extract.store(work.store)
        document = json.loads(out.get(self.document, MOST_DOCUMENT_BYTES))
        directory = work.scratch()
        old, new = directory / PART_NAME, directory / f'new.{PART_NAME}'
        with old.open('xb') as file:
            for piece in out.stream(self.extract.part(key)):
                file.write(piece)
        dataset.rewrite([old], dataset.of_text(self.fields), new)
        _put(out, self.extract.part(key), new)
        found = document['found']
        found |= {'bytes': new.stat().st_size, 'written': dataset.digest(self.fields)}
        out.put(self.document, json.dumps(document, indent=1).encode() + b'\n')
        return Outcome(key, State.MADE, self.extract.summary(found))
