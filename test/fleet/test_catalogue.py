# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The catalogue loses nothing and counts nothing twice, whoever writes it, and however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import time
from typing import Any

from bench.synthetic_fleet import receipts
from fdr_recorder.fleet.catalogue import batches, cache, compacting
from fdr_recorder.fleet.catalogue.columns import TABLES
from fdr_recorder.fleet.catalogue.compacting import compact
from fdr_recorder.fleet.catalogue.query import Catalogue, MISSING_COLUMNS
from fdr_recorder.fleet.catalogue.writing import BatchWriter, rebuild
from fdr_recorder.fleet.errors import StoreUnreachableError
from fdr_recorder.fleet.receipt import Receipt
from fdr_recorder.fleet.store import Store
from fleet_side import Side, side
import pyarrow as pa
from pyarrow import parquet
import pytest

__all__ = ['side']
NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
COUNTS = 'SELECT count(*), count(DISTINCT vehicle || flight) FROM '


@pytest.fixture(scope='module')
def found() -> list[Receipt]:
    return list(receipts(40, NOW, 4))


def write(store: Store, some: list[Receipt], replaces: tuple[str, ...] = ()) -> str:
    writer = BatchWriter(store)
    for receipt in some:
        writer.add(receipt, is_signed=False)
    return writer.write(replaces)


def assert_whole(side: Side, found: list[Receipt]) -> None:
    """All flights are there, once, with all rows of each table."""
    keys = [tuple(receipt.key) for receipt in found]
    counts = [sum(len(next(iter(item.rows[name].values()))) for item in found) for name in TABLES]
    question = ', '.join(f'(SELECT count(*) FROM {name})' for name in TABLES)
    with Catalogue.of(side.store, question) as catalogue:
        listed = catalogue.ask('SELECT vehicle, flight FROM flights ORDER BY ALL').rows()
        assert listed == sorted(keys)
        assert catalogue.ask(f'SELECT {question}').rows() == [tuple(counts)]


def test_the_columns_are_those_of_the_page(side: Side, found: list[Receipt]) -> None:
    page = Path(__file__).parents[2] / 'docs' / 'fleet.md'
    if not page.is_file():
        pytest.skip('there is no docs/ beside the tests')
    section = page.read_text().partition('\n## The catalogue\n')[2].partition('\n## ')[0]
    rows = [line.split(' | ') for line in section.splitlines() if line.startswith('| `')]
    told = [
        (name, row[1]) for row in rows for name in row[0].strip('| ').replace('`', '').split(', ')
    ]
    write(side.store, found)
    is_there = [
        row[:2]
        for name in (*TABLES, 'missing_flights')
        for row in side.ask(f'DESCRIBE {name} -- {" ".join(TABLES)}')
    ]
    assert told == is_there
    assert [row[0] for row in is_there[-len(MISSING_COLUMNS):]] == list(MISSING_COLUMNS)


def test_small_batches_are_joined(side: Side, found: list[Receipt]) -> None:
    most = 0
    for receipt in found[:20]:
        write(side.store, [receipt])
        compact(side.store)
        most = max(most, len(batches.list_batches(side.store).batches))
    assert most <= 2 * compacting.FEW
    assert_whole(side, found[:20])
    compact(side.store, everything=True)
    assert len(batches.list_batches(side.store).batches) == 1
    assert_whole(side, found[:20])
    left = {item.key.split('/')[1] for item in side.store.objects('catalogue/')}
    assert len(left) == 1


def test_the_newest_manifest_counts(side: Side, found: list[Receipt]) -> None:
    from dataclasses import replace

    old = found[0]
    newer = replace(old, stored_ns=old.stored_ns + 1000, manifest='b' * 64)
    again = replace(newer, received_ns=newer.received_ns + 1000, manifest='c' * 64)
    for some in ([newer], [again], [old]):
        write(side.store, some)
    assert side.flights('manifest') == [('c' * 64,)]
    assert_whole(side, [again])
    compact(side.store, everything=True)
    assert side.flights('manifest') == [('c' * 64,)]
    assert_whole(side, [again])


class Killed(BaseException):
    """The process ends here."""


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    'work',
    ['compact', pytest.param('rebuild', marks=SLOW), pytest.param('write', marks=SLOW)],
)
def test_whoever_is_killed_at_any_moment_harms_nothing(
    side: Side, found: list[Receipt], work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each write and each deletion; and the next one clears up."""
    for receipt in found:
        side.store.put(receipt.key.receipt, receipt.to_bytes())
    for receipt in found[:10]:
        write(side.store, [receipt])
    write(side.store, found[10:])
    works = {
        'compact': lambda: compact(side.store, everything=True),
        'rebuild': lambda: rebuild(side.store),
        'write': lambda: write(side.store, found[:3]),
    }
    put, delete = Store.put, Store.delete
    for calls in range(100):
        left = [calls]

        def dying(
            call: Any, *args: Any, left: list[int] = left, **options: Any
        ) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Store, 'put', lambda *args, **options: dying(put, *args, **options))
            patch.setattr(Store, 'delete', lambda *args: dying(delete, *args))
            try:
                works[work]()
            except Killed:
                assert_whole(side, found)
                continue
        break
    assert calls > 3
    assert_whole(side, found)
    later = time.time_ns() + 2 * 86_400 * 10**9
    compact(side.store, everything=True, now_ns=lambda: later)
    compact(side.store, everything=True, now_ns=lambda: later)
    left_over = {item.key.split('/')[1] for item in side.store.objects('catalogue/')}
    assert len(left_over) == 1
    assert_whole(side, found)


def test_two_who_join_the_same_batches_leave_each_flight_once(
    side: Side, found: list[Receipt], monkeypatch: pytest.MonkeyPatch
) -> None:
    for receipt in found[:10]:
        write(side.store, [receipt])
    real = compacting.write_batch

    def slow(*args: Any) -> str:
        monkeypatch.setattr(compacting, 'write_batch', real)
        compact(side.store, everything=True)  # another one, meanwhile
        return real(*args)

    monkeypatch.setattr(compacting, 'write_batch', slow)
    compact(side.store, everything=True)
    assert len(batches.list_batches(side.store).batches) == 2
    assert_whole(side, found[:10])
    compact(side.store, everything=True)
    assert_whole(side, found[:10])


def test_a_batch_comes_after_those_that_it_replaces() -> None:
    """Whatever the clock says: a listing in order must not miss both."""
    far = f'{99991231}T235959000000Z-{"0" * 16}'.replace('99991231', '20991231')
    assert batches.new_batch([far]) > far


def test_a_reader_goes_on_when_batches_are_replaced_meanwhile(
    side: Side, found: list[Receipt], monkeypatch: pytest.MonkeyPatch
) -> None:
    for receipt in found[:10]:
        write(side.store, [receipt])
    listed = cache.list_batches

    def then_compacted(store: Store) -> batches.Listing:
        listing = listed(store)
        monkeypatch.setattr(cache, 'list_batches', listed)
        before = dict(os.environ)
        os.environ['XDG_CACHE_HOME'] = f'{before["XDG_CACHE_HOME"]}-of-another'
        try:
            compact(store, everything=True)
        finally:
            os.environ.update(before)
        return listing

    monkeypatch.setattr(cache, 'list_batches', then_compacted)
    assert_whole(side, found[:10])


def test_a_catalogue_that_changes_all_the_time_is_no_endless_work(
    side: Side, found: list[Receipt], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(range(1000))
    monkeypatch.setattr(
        batches, '_list_batches', lambda _store: batches.Listing((str(next(names)),), {})
    )
    with pytest.raises(StoreUnreachableError, match='changes all the time'):
        cache.fetch_catalogue(side.store)


def test_it_is_made_again_from_receipts_alone(side: Side, found: list[Receipt]) -> None:
    for receipt in found:
        side.store.put(receipt.key.receipt, receipt.to_bytes())
    side.store.put(f'{found[0].key.receipt}.sig', b'a signature')
    ghost = list(receipts(1, NOW, 1, seed=7))
    write(side.store, ghost)
    result = rebuild(side.store)
    assert (result.flights, result.faults) == (len(found), {})
    assert_whole(side, found)
    signed = side.ask('SELECT vehicle, flight FROM flights WHERE signed')
    assert signed == [tuple(found[0].key)]


# --- what is hostile -----------------------------------------------------------------------------


def spoiled(receipt: Receipt) -> Iterator[bytes]:
    """Yield receipts that are none."""
    yield b''
    yield b'[' * 200_000
    yield b'null'
    yield b'{"schema": {"name": "fdr_recorder/receipt", "version": "2.0"}}'
    said = json.loads(receipt.to_bytes())
    for table, column, value in (
        ('flights', 'lost', ['many']), ('flights', 'lost', [True]), ('flights', 'lost', [1 << 70]),
        ('flights', 'lost', [1, 2]), ('flights', 'lost', []), ('flights', 'lost', 5),
        ('flights', 'started', [-1]), ('flights', 'started', [1 << 62]),
        ('flights', 'verdict', [{}]), ('flights', 'metadata', ['x']),
        ('flights', 'metadata', [{'a': 1}]), ('flights', 'removed_flights', [[1]]),
        ('flights', 'signed', ['yes']), ('flights', 'duration_s', ['1']),
        ('topics', 'topic', ['x'] * 60_000), ('places', 'lat', [None] * 3),
    ):  # fmt: skip
        broken = json.loads(receipt.to_bytes())
        broken['rows'][table][column] = value
        yield json.dumps(broken).encode()
    for key, value in (('rows', []), ('link', 5), ('faults', 5), ('vehicle', 'another'),
                       ('received_ns', -1), ('manifest_sha256', None)):  # fmt: skip
        yield json.dumps({**said, key: value}).encode()


def test_receipts_that_are_none_are_left_out_and_told(side: Side, found: list[Receipt]) -> None:
    for receipt in found:
        side.store.put(receipt.key.receipt, receipt.to_bytes())
    bad = list(spoiled(found[0]))
    for number, data in enumerate(bad):
        side.store.put(f'receipts/{found[0].key.vehicle}/bad_{number}.json', data)
    odd = json.loads(found[0].to_bytes())
    odd['flight'] = 'odd'
    odd['rows']['flights'].update(
        host=['\ud800\0\x1b[31m=1+1<b>' * 2000], lost=[None], duration_s=[float('nan')],
        started=[0], unknown_column=[1],
    )  # fmt: skip
    side.store.put(f'receipts/{found[0].key.vehicle}/odd.json', json.dumps(odd).encode())
    result = rebuild(side.store)
    assert len(result.faults) == len(bad)
    assert result.flights == len(found) + 1
    ((host, duration_s),) = side.ask(
        "SELECT host, duration_s FROM flights WHERE flight = 'odd' AND year(started) = 1970"
    )
    assert host.startswith('\\ud800\0\x1b[31m')
    assert len(host) < 10_000
    assert duration_s is None


def test_files_that_are_none_are_left_out_and_told(side: Side, found: list[Receipt]) -> None:
    write(side.store, found)
    good = {
        item.key.rpartition('/')[2]: side.store.get(item.key)
        for item in side.store.objects('catalogue/')
    }

    def table(name: str, column: str, value: pa.Array) -> bytes:
        rows = parquet.read_table(pa.BufferReader(good[name]))
        metadata = rows.schema.metadata
        rows = rows.set_column(rows.schema.get_field_index(column), column, value)
        sink = pa.BufferOutputStream()
        parquet.write_table(rows.replace_schema_metadata(metadata), sink)
        content: bytes = sink.getvalue().to_pybytes()
        return content

    count = len(found)
    spoiled_files = [
        ('flights.parquet', b''),
        ('flights.parquet', b'PAR1' + b'\xff' * 1000 + b'PAR1'),
        ('flights.parquet', good['flights.parquet'][:-100]),
        ('flights.parquet', good['topics.parquet']),
        ('flights.parquet', table('flights.parquet', 'lost', pa.array(['x'] * count))),
        ('flights.parquet', good['flights.parquet'].replace(b'fdr_replaces', b'fdr_replaced')),
    ]
    for number, (name, data) in enumerate(spoiled_files):
        side.store.put(f'catalogue/20261128T00000000000{number}Z-{number:016x}/{name}', data)
    for other in ('x', 'README.txt', '../y', '20261128T000000000000Z-x/flights.parquet'):
        side.store.put(f'catalogue/{other.replace("..", "_")}', b'hello')
    with Catalogue.of(side.store) as catalogue:
        assert len(catalogue.snapshot.faults) == len(spoiled_files)
        assert catalogue.ask(f'{COUNTS} flights').rows() == [(count, count)]
    assert_whole(side, found)
    for receipt in found:
        side.store.put(receipt.key.receipt, receipt.to_bytes())
    rebuild(side.store)
    compact(side.store, everything=True)
    assert_whole(side, found)
