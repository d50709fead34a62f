# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Signed receipts, seals, and the chain across the flights of a vehicle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import shutil
from threading import Thread

from conftest import MakeWriter, QUICK, Record, SMALL
from fdr_recorder import AlertBoard, FdrConfig, FlightRoot
from fdr_recorder.config import SealConfig
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.receipt import is_signed, Receipt, write_receipt
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.sidecars import SEALS_NAME
from fdr_recorder.storage.pins import everything_pinned, PINS_NAME
from fdr_recorder.storage.record_flight import make_writer as composed_writer
from fleet_side import Side, side, verdicts
from producers import make_client, open_flight, send
import pytest
from sealed_flight import vehicle_key
from ssh_tools import is_accepted, make_key, needs_openssh, public_line
from stored_flights import store_flight
from waiting import wait_until

__all__ = ['side']
pytestmark = needs_openssh
COMPATIBLE = Path(__file__).parents[1] / 'compatibility' / 'flights_0_1_0'


@pytest.fixture
def fleet_key(tmp_path: Path) -> Path:
    return make_key(tmp_path / 'fleet')


def is_valid(side: Side, key: FlightKey, signer: Path, tmp_path: Path) -> bool:
    """Tell whether OpenSSH accepts a receipt."""
    armored = side.store.get(f'{key.receipt}.sig').decode()
    line = f'fleet {public_line(signer)}'
    receipt = side.store.get(key.receipt)
    place = tmp_path / 'judged'
    place.mkdir(exist_ok=True)
    return is_accepted(place, armored, 'fdr-receipt', receipt, line, 'fleet')


def test_receipts_are_signed(side: Side, fleet_key: Path, tmp_path: Path) -> None:
    key = store_flight(side.store, COMPATIBLE / 'closed')
    assert len(side.receive().received) == 1
    assert not is_signed(side.store, key)
    assert side.flights('signed') == [(False,)]
    assert len(side.receive(key=fleet_key).received) == 1
    assert is_valid(side, key, fleet_key, tmp_path)
    assert side.flights('signed') == [(True,)]
    assert side.receive(key=fleet_key).received == []
    assert side.receive().received == []
    assert len(side.receive(again=True).received) == 1
    assert not is_signed(side.store, key), 'there is no signature beside another receipt'
    assert side.flights('signed') == [(False,)]


def test_two_who_sign_at_once_leave_a_receipt_with_its_signature(
    side: Side, fleet_key: Path, tmp_path: Path
) -> None:
    key = FlightKey('drone-7', 'x')
    receipts = [
        Receipt(key, '0' * 64, 1, '', number, arrived=True, rows={}) for number in range(8)
    ]

    def write(receipt: Receipt) -> None:
        with load_identity(fleet_key) as identity:
            for number in range(20):
                newer = replace(receipt, received_ns=receipt.received_ns + 100 * number)
                write_receipt(side.store, newer, identity)

    threads = [Thread(target=write, args=(receipt,)) for receipt in receipts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_valid(side, key, fleet_key, tmp_path)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture
def sealed(make_writer: MakeWriter, root: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Record three sealed flights in a row, and `b` as it was in the middle; return the keys."""
    key, allowed = vehicle_key(tmp_path)
    writer, client = make_writer(**SMALL, seal=SealConfig(key_file=str(key))), make_client()
    for name in ('a', 'b', 'c'):
        if name == 'a':
            open_flight(writer, name, client)
        else:
            open_flight(writer, name)
        send(client, range(100), 500)
        if name == 'b':
            wait_until(lambda: size_of(root / 'b' / SEALS_NAME) > 1000, 'some seals')
            on_its_way = shutil.ignore_patterns('.*.tmp')  # to replace a file
            shutil.copytree(root / 'b', tmp_path / 'cut back', ignore=on_its_way)
        writer.close_flight(name)
    writer.stop()
    return key, allowed


def test_seals_are_checked_with_keys(
    side: Side, sealed: tuple[Path, Path], root: Path, tmp_path: Path
) -> None:
    for name in ('a', 'b', 'c'):
        store_flight(side.store, root / name, '')
    assert not side.receive().is_alarming
    assert side.flights('authenticity', 'previous_flight') == [
        ('sealed', None), ('sealed', 'a'), ('sealed', 'b'),
    ]
    result = side.receive(keys=sealed[1], again=True)
    assert verdicts(result.received) == dict.fromkeys('abc', 'complete')
    assert {row[0] for row in side.flights('authenticity')} == {'authentic'}
    assert not result.missing
    other = make_key(tmp_path / 'other')
    nobody = tmp_path / 'nobody'
    nobody.write_text(f'* namespaces="fdr-seal" {public_line(other)}\n')
    result = side.receive(keys=nobody, again=True)
    assert verdicts(result.received) == dict.fromkeys('abc', 'unproved')
    assert result.is_alarming


def test_a_sealed_flight_that_is_missing_is_told(
    side: Side, sealed: tuple[Path, Path], root: Path
) -> None:
    store_flight(side.store, root / 'a', 'drone-7')
    store_flight(side.store, root / 'c', 'drone-7')
    result = side.receive(keys=sealed[1])
    by_number, by_seal = sorted(result.missing, key=lambda row: row['flight_id'] is not None)
    assert (by_number['first_number'], by_number['last_number']) == (2, 2)
    assert (by_number['after_flight'], by_number['before_flight']) == ('a', 'c')
    assert (by_seal['flight_id'], by_seal['before_flight']) == ('b', 'c')
    store_flight(side.store, root / 'b', 'drone-7')
    assert not side.receive(keys=sealed[1]).missing
    assert not side.ask('FROM missing_flights')


@pytest.mark.parametrize('order', ['bc', 'cb'])
def test_a_flight_that_was_cut_back_is_not_authentic(
    side: Side, sealed: tuple[Path, Path], root: Path, tmp_path: Path, fleet_key: Path, order: str
) -> None:
    """It looks like one that was killed; the flight behind it tells, whichever comes first."""
    places = {'b': tmp_path / 'cut back', 'c': root / 'c'}
    for name in order:
        store_flight(side.store, places[name], '', name)
        result = side.receive(keys=sealed[1], key=fleet_key)
    found = verdicts(result.received)
    assert found['b'] == 'not_authentic'
    key = FlightKey('', 'b')
    assert 'cut back' in side.receipt(key).faults[-1]
    assert is_valid(side, key, fleet_key, tmp_path)
    assert side.flights('flight', 'verdict') == [('b', 'not_authentic'), ('c', 'complete')]
    assert side.receive(keys=sealed[1], key=fleet_key).received == []
    store_flight(side.store, root / 'b', '')
    result = side.receive(keys=sealed[1], key=fleet_key)
    assert verdicts(result.received) == {'b': 'complete'}


def test_a_flight_that_was_removed_on_the_drone_is_told_apart(
    side: Side, record_flight: Record, root: Path
) -> None:
    flights = [record_flight(name, close=True) for name in ('first', 'gone', 'left')]
    (flights[0] / PINS_NAME).write_bytes(everything_pinned('for ever').encode())
    segments = [path for flight in flights for path in flight.glob('*.mcap')]
    most = sum(map(size_of, segments)) * 5 // 6
    options = {'root_cap_bytes': most, 'chunk_size_bytes': 2048, **QUICK}
    config = FdrConfig.from_options({f'writer.{name}': value for name, value in options.items()})
    with FlightRoot.acquire(root) as owned:
        writer = composed_writer(config, owned, AlertBoard())
        writer.start()
        open_flight(writer, 'last', make_client())
        wait_until(lambda: not flights[1].exists(), 'the oldest is gone')
        writer.close_flight('last')
        writer.stop()
    for name in ('first', 'left', 'last'):
        store_flight(side.store, root / name)
    assert not side.receive().missing
    assert side.flights('flight', 'flight_number', 'removed_flights', 'removed_numbers') == [
        ('first', 1, [], []), ('last', 4, ['gone'], [2]), ('left', 3, [], []),
    ]
    question = 'SELECT first_number, last_number, count, removed FROM missing_flights'
    assert side.ask(question) == [(2, 2, 1, 1)]


def test_a_flight_whose_receipt_the_store_refuses_waits_alone(side: Side, fleet_key: Path) -> None:
    """A name that fits the file of a manifest may be too long for that of a signature."""
    flight, long = COMPATIBLE / 'closed', 'a' * 236
    for name in (long, 'closed'):
        store_flight(side.store, flight, name=name)
    result = side.receive(key=fleet_key)
    assert verdicts(result.received) == {'closed': 'complete'}
    [(key, why)] = result.waiting.items()
    assert key.flight == long
    assert 'too long' in why
