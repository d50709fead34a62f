# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A topic of all flights as one Parquet data set, as others read it."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from fdr_recorder.cli.main import main
from fdr_recorder.fleet.store import Store
from job_workers import InlineWorkers
import pytest
from small_fleet import COUNT, NEW, OLD, OTHER, record_tiny, START_NS
from stored_flights import store_flight

duckdb = pytest.importorskip('duckdb')
dataset = pytest.importorskip('pyarrow.dataset')
TOPIC = '/battery'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / 'store'))


Extract = Callable[..., Any]


@pytest.fixture
def extract(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, store: Store
) -> Extract:
    """Extract the topic in this process; return what the verb prints as JSON."""
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)

    def run(*words: object, topic: str = TOPIC, code: int = 0) -> Any:
        command = ['fleet', 'extract', store.url, '--topic', topic, *map(str, words), '--json']
        assert main(command) == code
        return json.loads(capsys.readouterr().out)

    return run


def rows_of(directory: Path | str) -> list[dict[str, Any]]:
    """Return what two readers of data sets agree on."""
    table = dataset.dataset(directory, format='parquet', partitioning='hive').to_table()
    rows: list[dict[str, Any]] = table.to_pylist()
    columns = ', '.join(f'"{name}"' for name in table.column_names if 'time' not in name)
    found = duckdb.sql(f"SELECT {columns} FROM read_parquet('{directory}/*/*/*.parquet')")
    others = [
        {name: value for name, value in row.items() if 'time' not in name} for row in rows
    ]
    assert sorted(map(str, found.fetchall())) == sorted(str((*row.values(),)) for row in others)
    return rows


def test_flights_of_several_versions_are_one_data_set(
    store: Store, root: Path, extract: Extract
) -> None:
    for name in ('a', 'b'):
        store_flight(store, record_tiny(root, name), 'drone-1')
    store_flight(store, record_tiny(root, 'c', NEW), 'drone 2/Ü')
    store_flight(store, record_tiny(root, 'd', topic='/gps'), 'drone-1')
    found = extract()
    assert (found['rows'], found['made'], found['without_topic']) == (3 * COUNT, 4, 1)
    assert 'fields' not in found['flights'][0]
    rows = rows_of(found['output'])
    assert len(rows) == 3 * COUNT
    for row in rows:
        number = int(row['voltage'])
        assert row['cycles'] == (100 + number if row['flight'] == 'c' else None)
        assert row['vehicle'] == ('drone~202~2F~C3~9C' if row['flight'] == 'c' else 'drone-1')
        assert row['log_time'].timestamp() == pytest.approx(START_NS / 1e9)
    before = {path: path.read_bytes() for path in Path(found['output']).rglob('*.parquet')}
    assert len(before) == 3
    again = extract()
    assert (again['there'], again['rows'], again['bytes']) == (4, found['rows'], found['bytes'])
    assert extract('--again')['made'] == 4
    assert before == {path: path.read_bytes() for path in before}


def test_a_newer_flight_gives_the_older_ones_its_columns(
    store: Store, root: Path, tmp_path: Path, extract: Extract
) -> None:
    store_flight(store, record_tiny(root, 'a'), 'drone-1')
    extract()
    store_flight(store, record_tiny(root, 'b', NEW), 'drone-2')
    found = extract('--vehicle', 'drone-2')
    assert [item['flight'] for item in found['flights']] == ['b']
    assert [row['cycles'] for row in rows_of(found['output'])] == [None] * COUNT + [100, 101, 102]
    whole = extract('--output', tmp_path / 'whole')
    assert whole['output'] == str(tmp_path / 'whole')
    for path in (tmp_path / 'whole').rglob('*.parquet'):
        same = Path(found['output']) / path.relative_to(tmp_path / 'whole')
        assert same.read_bytes() == path.read_bytes()


def test_a_flight_of_another_type_is_left_out_and_told(
    store: Store, root: Path, extract: Extract
) -> None:
    store_flight(store, record_tiny(root, 'a', OTHER), 'drone-1')
    for name in ('b', 'c'):
        store_flight(store, record_tiny(root, name), 'drone-1')
    found = extract(code=1)
    assert [item['state'] for item in found['flights']] == ['failed', 'made', 'made']
    why = 'left out: its field voltage is string, in most flights float'
    assert found['flights'][0]['why'] == why
    assert len(rows_of(found['output'])) == 2 * COUNT
    assert extract(code=1)['failed'] == 1  # as it is still so


def test_a_flight_may_have_the_topic_in_several_types(
    store: Store, root: Path, extract: Extract
) -> None:
    old, new, other = (
        record_tiny(root, name, schema)
        for name, schema in (('a', OLD), ('b', NEW), ('c', OTHER))
    )
    (new / 'segment_000000.mcap').rename(old / 'segment_000001.mcap')
    store_flight(store, old)
    found = extract()
    assert [row['cycles'] for row in rows_of(found['output'])] == [None] * COUNT + [100, 101, 102]
    (other / 'segment_000000.mcap').rename(old / 'segment_000002.mcap')
    store_flight(store, old)
    assert 'which do not fit' in extract(code=1)['flights'][0]['why']


def test_what_cannot_be_read_is_told(store: Store, root: Path, extract: Extract) -> None:
    flight = record_tiny(root, 'a')
    store_flight(store, flight)
    good = (flight / 'segment_000000.mcap').rename(flight / 'segment_000001.mcap')
    (flight / 'segment_000000.mcap').write_bytes(b'no segment' * 100)
    store_flight(store, flight)
    found = extract(code=1)
    assert found['failed'] == 0
    assert found['rows'] == COUNT
    (damage,) = found['flights'][0]['damage'][-1:]
    assert damage.startswith('a/segment_000000.mcap: ')
    good.unlink()
    store_flight(store, flight)
    (item,) = extract(code=1)['flights']
    assert item['state'] == 'failed'
    assert f'nothing of {TOPIC} can be read' in item['why']


def test_a_data_set_is_of_one_topic(
    store: Store, root: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    store_flight(store, record_tiny(root, 'a'))
    extract('--name', 'mine')
    command = ['fleet', 'extract', store.url, '--topic', '/gps', '--name', 'mine']
    assert main(command) == 3
    assert 'results/extract/mine/ has another topic' in capsys.readouterr().err
    assert extract(topic='/gps')['without_topic'] == 1
