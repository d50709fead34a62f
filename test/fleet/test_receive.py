# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""What drones have brought is checked, whatever it is, and receipts say what was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any

from conftest import Record
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.errors import UnlistableError
from fdr_recorder.fleet.layout import FlightKey, manifests_prefix
from fdr_recorder.fleet.manifest import Manifest, manifest_hash, ManifestFile, MOST_MANIFEST_BYTES
from fdr_recorder.fleet.receiving import receive_job
from fdr_recorder.fleet.store import Store, StoredObject
from fleet_side import Side, side, verdicts
import pytest
from stored_flights import manifest_of, store_flight

__all__ = ['side']
FLIGHTS = Path(__file__).parents[1] / 'compatibility' / 'flights_0_1_0'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_each_flight_gets_a_receipt_of_its_manifest(side: Side, tmp_path: Path) -> None:
    broken = shutil.copytree(FLIGHTS / 'closed', tmp_path / 'broken')
    segment = broken / 'segment_000001.mcap'
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    keys = [store_flight(side.store, FLIGHTS / name) for name in ('closed', 'capped', 'killed')]
    keys.append(store_flight(side.store, broken))
    result = side.receive()
    assert verdicts(result.received) == {
        'closed': 'complete', 'capped': 'losses', 'killed': 'unclosed', 'broken': 'damaged',
    }
    assert result.is_alarming
    assert not result.waiting
    for key in keys:
        receipt = side.receipt(key)
        assert receipt.arrived
        assert receipt.manifest == sha256(side.store.get(key.manifest))
    assert side.receipt(keys[3]).verification['damage']
    assert 'fdr-fleet-' not in side.store.get(keys[3].receipt).decode()
    assert side.flights('flight', 'verdict', 'lost', 'how_ended') == [
        ('broken', 'damaged', 0, 'closed'),
        ('capped', 'losses', 5, 'closed'),
        ('closed', 'complete', 0, 'closed'),
        ('killed', 'unclosed', 5, 'unknown'),
    ]
    again = side.receive()
    assert (again.received, again.catalogued, again.is_alarming) == ([], 0, False)


def spoiled_flights(store: Store) -> dict[str, str]:
    """Store flights that are not what their manifests say; return a word of what is said."""
    flight = FLIGHTS / 'closed'

    def stored(name: str) -> FlightKey:
        return store_flight(store, flight, name=name)

    def changed(name: str, **values: Any) -> None:
        key = stored(name)
        store.put(key.manifest, replace(manifest_of(flight, key), **values).to_bytes())

    key = stored('another content')
    data = store.get(key.file('segment_000000.mcap'))
    store.put(key.file('segment_000000.mcap'), data[:-1] + b'x')
    key = stored('too short')
    store.put(key.file('segment_000000.mcap'), data[:-1])
    key = stored('too long')
    store.put(key.file('segment_000000.mcap'), data + b'x')
    key = stored('a file is missing')
    store.delete([key.file('segment_000002.mcap')])
    for name, content in (
        ('no manifest', b'hello'),
        ('deep', b'[' * 100_000),
        ('a list', b'[]'),
        ('infinite', b'{"files": 1e999}'),
    ):
        store.put(stored(name).manifest, content)
    store.put(stored('of another').manifest, store.get(key.manifest))
    empty = sha256(b'')
    store.put(stored('huge manifest').manifest, b' ' * (MOST_MANIFEST_BYTES + 1))
    changed('larger than any disk', files=(ManifestFile('segment_000000.mcap', 1 << 62, empty),))
    names = ['n' * 256, '../x', '..', 'a/b', 'a\0b', '\ud800', '']
    for number, name in enumerate(names):
        said = json.loads(store.get(stored(f'named {number}').manifest))
        said['files'].append({'name': name, 'size': 0, 'sha256': empty})
        store.put(FlightKey('drone-7', f'named {number}').manifest, json.dumps(said).encode())
    changed('too many', files=tuple(ManifestFile(f'{n}', 0, empty) for n in range(100_001)))
    return {
        'another content': 'not what the manifest says', 'too short': 'not what the manifest says',
        'too long': 'not what the manifest says', 'a file is missing': 'not in the store',
        'no manifest': 'no manifest', 'deep': 'manifest', 'a list': 'manifest',
        'larger than any disk': 'not what the manifest says',
        'huge manifest': 'larger than 32', 'infinite': 'manifest', 'of another': 'it is that of',
        'too many': '100,000 files',
        **{f'named {number}': '' for number in range(len(names))},
    }


def test_whatever_is_wrong_with_one_the_others_are_received(side: Side, tmp_path: Path) -> None:
    expected = spoiled_flights(side.store)
    good = store_flight(side.store, FLIGHTS / 'closed')
    outside = set(tmp_path.iterdir())
    result = side.receive()
    assert not result.waiting
    found = {receipt.key.flight: receipt for receipt in result.received}
    assert found.pop(good.flight).verdict == 'complete'
    assert found.keys() == expected.keys()
    for name, word in expected.items():
        receipt = found[name]
        assert (receipt.arrived, receipt.verdict) == (False, 'bad_upload'), name
        assert word in receipt.faults[0], name
    rows = dict(side.flights('flight', 'upload'))
    assert rows.pop('closed') == ''
    assert all(rows.values())
    assert set(tmp_path.iterdir()) - outside == {tmp_path / 'cache'}
    assert side.receive().received == []


def test_names_of_a_drone_that_are_no_text_or_have_line_breaks(
    side: Side, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ('a\nb', '\udcff'):
        store_flight(side.store, FLIGHTS / 'closed', 'drone-7', name)
    assert main(['fleet', 'receive', side.store.url]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert side.receive().catalogued == 0


def test_a_vehicle_that_cannot_be_listed_waits_alone(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vehicle in ('drone-6', 'drone-7'):
        store_flight(side.store, FLIGHTS / 'closed', vehicle)
    listed = Store.objects

    def objects(store: Store, prefix: str = '') -> Iterator[StoredObject]:
        if prefix == manifests_prefix('drone-6'):
            raise UnlistableError(store.url, 'no')
        return listed(store, prefix)

    monkeypatch.setattr(Store, 'objects', objects)
    result = side.receive()
    assert [receipt.key.vehicle for receipt in result.received] == ['drone-7']
    assert [*result.waiting] == [FlightKey('drone-6', '')]
    assert result.is_alarming


def test_a_flight_that_was_mended_is_received_again(side: Side) -> None:
    """The manifest is the same, byte for byte, but written again."""
    key = store_flight(side.store, FLIGHTS / 'closed')
    side.store.delete([key.file('segment_000002.mcap')])
    (bad,) = side.receive().received
    assert not bad.arrived
    store_flight(side.store, FLIGHTS / 'closed')
    (good,) = side.receive().received
    assert good.arrived
    assert good.manifest == bad.manifest
    assert side.flights('verdict') == [('complete',)]
    store_flight(side.store, FLIGHTS / 'closed')
    result = side.receive()
    assert (result.received, result.catalogued) == ([], 1)
    assert side.receive().catalogued == 0


def test_a_manifest_that_is_replaced_counts_in_its_newest_form(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store_flight(side.store, FLIGHTS / 'closed')
    verify = receive_job.verify
    others = [b'no manifest', manifest_of(FLIGHTS / 'closed', key).to_bytes()]

    def replacing(*args: Any, **options: Any) -> Any:
        if others:
            side.store.put(key.manifest, others.pop(0))
        return verify(*args, **options)

    monkeypatch.setattr(receive_job, 'verify', replacing)
    (receipt,) = side.receive().received
    assert receipt.verdict == 'bad_upload'
    assert receipt.manifest == manifest_hash(b'no manifest')
    side.store.put(key.manifest, others[0])
    (receipt,) = side.receive().received
    assert receipt.verdict == 'complete'
    assert side.flights('verdict', 'manifest') == [('complete', receipt.manifest)]


def test_a_receipt_that_is_not_in_the_catalogue_is_taken_in(side: Side) -> None:
    key = store_flight(side.store, FLIGHTS / 'closed')
    side.receive()
    side.store.delete([item.key for item in side.store.objects('catalogue/')])
    side.store.delete([key.file('segment_000000.mcap')])  # it is not fetched again
    result = side.receive()
    assert (result.received, result.catalogued) == ([], 1)
    assert side.flights('flight') == [('closed',)]


def test_a_flight_that_does_not_fit_waits(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    store_flight(side.store, FLIGHTS / 'closed')
    usage = shutil.disk_usage('/')
    with monkeypatch.context() as patch:
        patch.setattr(shutil, 'disk_usage', lambda _path: usage._replace(free=1000))
        result = side.receive()
    assert result.is_alarming
    assert not result.received
    (why,) = result.waiting.values()
    assert '1000 B free' in why
    assert len(side.receive().received) == 1


def test_a_check_that_takes_too_long_is_given_up(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object, **_options: object) -> None:
        while True:
            with suppress(Exception):
                sum(range(1000))

    monkeypatch.setattr(receive_job, '_LEAST_S', 0.02)
    monkeypatch.setattr(receive_job, 'verify', endless)
    key = store_flight(side.store, FLIGHTS / 'capped')
    assert verdicts(side.receive().received) == {'capped': 'not_checked'}
    assert 'takes more than' in side.receipt(key).faults[0]


def test_a_vehicle_with_many_flights_does_not_hold_up_others(side: Side) -> None:
    for vehicle, name in (('drone-1', 'a'), ('drone-1', 'b'), ('drone-1', 'c'), ('drone-2', 'd')):
        side.store.put(FlightKey(vehicle, name).manifest, b'')
    flights = [receipt.key.flight for receipt in side.receive().received]
    assert flights == ['a', 'd', 'b', 'c']


def test_a_check_that_fails_fails_alone(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('closed', 'capped'):
        store_flight(side.store, FLIGHTS / name)
    verify = receive_job.verify

    def failing(flight: Path, **options: Any) -> Any:
        if flight.name == 'capped':
            raise ZeroDivisionError('what nobody has thought of')
        return verify(flight, **options)

    monkeypatch.setattr(receive_job, 'verify', failing)
    result = side.receive()
    assert verdicts(result.received) == {'closed': 'complete', 'capped': 'not_checked'}
    assert side.receipt(FlightKey('drone-7', 'capped')).arrived
    assert side.receive().received == []
    monkeypatch.undo()


def test_two_vehicles_have_a_flight_of_the_same_name(side: Side, record_flight: Record) -> None:
    flight = record_flight('x', close=True)
    names = ['drone-7', 'дрон 8', '<b>9</b>', '../10', '=1+1', 'a\x1b[31m', '~', '']
    for name in names:
        store_flight(side.store, flight, name)
    result = side.receive()
    assert len(result.received) == len(names)
    assert not result.is_alarming
    assert sorted(side.flights('vehicle', 'flight')) == sorted((name, 'x') for name in names)


def test_a_flight_of_another_vehicle_is_told(side: Side) -> None:
    store_flight(side.store, FLIGHTS / 'closed', 'drone-8')
    (receipt,) = side.receive().received
    assert receipt.arrived
    assert "of vehicle 'drone-7'" in receipt.faults[0]


def test_flights_without_messages_and_directories_without_flights(
    side: Side, record_flight: Record, tmp_path: Path
) -> None:
    store_flight(side.store, record_flight('x', close=True, count=0))
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'a.txt').write_text('hello')
    key = FlightKey('drone-7', 'other')
    side.store.put(key.file('a.txt'), b'hello')
    files = (ManifestFile('a.txt', 5, sha256(b'hello')),)
    manifest = Manifest(key, '', 0, 0, 'unknown', '1', files)
    side.store.put(key.manifest, manifest.to_bytes())
    assert verdicts(side.receive().received) == {'x': 'not_as_asked', 'other': 'damaged'}
    assert side.flights('flight', 'messages') == [('other', None), ('x', 0)]
