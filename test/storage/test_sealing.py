# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sealed flights: what is signed, by which key, and what holds when the disk does not."""

from __future__ import annotations

from collections import deque
import hashlib
import os
from pathlib import Path
import socket

from conftest import MakeWriter
from disk_faults import forgetful_sync
from fdr_recorder import (
    AlertBoard,
    CapacityCapPolicy,
    FlightHeader,
    read_info,
    Verdict,
    verify,
)
from fdr_recorder.config import SealConfig
from fdr_recorder.errors import FlightStorageError
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.seal.allowed_signers import line_for
from fdr_recorder.seal.opening import principal_of
from fdr_recorder.seal.openssh import parse_key
from flight_check import check_flight, FlightFiles, open_flight_files
from producers import make_client, open_flight, send
import pytest
from sealed_flight import (
    check_sums,
    entries_of,
    fingerprint_of,
    FoundSeal,
    seals_in,
    vehicle_key,
)
from ssh_tools import needs_openssh, public_line
from waiting import wait_until

pytestmark = needs_openssh
pytest.importorskip('cryptography')

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 2048, 'sync_interval_s': 0.1}


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed disk again twenty times a second: only the pace of these tests."""
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.05)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    directory = tmp_path / 'keys'
    directory.mkdir()
    return vehicle_key(directory)


def lines_of(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in
            (line.partition(':') for line in text.splitlines()[1:])}


def opening_of(flight: FlightFiles) -> str:
    header = read_info(flight.path).header
    assert header is not None
    return header.signing_key_rotation_event


def check_chain(flight: FlightFiles, directory: Path) -> list[FoundSeal]:
    """Check keys and chain of all seals that are there; return them in their order."""
    opening = opening_of(flight)
    by_segment = {path.name: seals_in(path) for path in sorted(flight.path.glob('*.mcap'))}
    entries = {entry['segment']: entry for entry in entries_of(flight.path / 'SEALS')}
    keys = {'0': fingerprint_of(lines_of(opening)['first_key'], directory)}
    for entry in entries.values():
        key = fingerprint_of(entry['next_key'], directory)
        keys[str(int(entry['segment']) + 1)] = key
    chain = sorted(
        {
            seal.text: seal
            for seals in (entries.values(), *by_segment.values()) for seal in seals
        }.values(),
        key=lambda seal: int(seal['number']),
    )
    for seal in chain:
        assert seal.signer(directory) == keys[seal['segment']]
    hashes = {int(seal['number']) + 1: seal.hash for seal in chain}
    hashes[0] = hashlib.sha256(opening.encode()).hexdigest()
    for seal in chain:
        assert seal['previous'] == hashes.get(int(seal['number']), seal['previous'])
    for seals in by_segment.values():
        assert seals[-1]['kind'] == 'end'
        assert entries[seals[-1]['segment']].text == seals[-1].text
    return chain


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_a_flight_is_sealed(
    make_writer: MakeWriter, keys: tuple[Path, Path], tmp_path: Path, compression: str
) -> None:
    """Every segment ends with a seal, and all else of it follows from what that stands for."""
    key, allowed = keys
    writer = make_writer(**SMALL, compression=compression, seal=SealConfig(key_file=str(key)))
    client = make_client()
    open_flight(writer, 'x', client)
    send(client, range(100))
    wait_until(lambda: writer.status.newest_seal.startswith('1 '), 'the second seal')
    for start in range(100, 1000, 100):
        send(client, range(start, start + 100))
        wait_until(
            lambda end=start + 100: writer.status.counters.records_written >= end, 'records'
        )
    flight = check_flight(writer.close_flight('x'))
    assert all(path.stat().st_size <= 64 * 1024 for path in flight.path.glob('*.mcap'))
    chain = check_chain(flight, tmp_path)
    assert [int(seal['number']) for seal in chain] == list(range(len(chain)))
    assert {seal['void_from'] for seal in chain} == {'-1'}
    assert len({seal['segment'] for seal in chain}) == len(flight.segments) > 1
    last = chain[-1]  # a witness of the whole flight
    assert writer.status.newest_seal == f"{last['number'].strip()} {last.hash}"
    said = check_sums(flight.path, allowed)
    assert said.count(': OK') == len(flight.segments) + 1
    assert verify(flight.path).verdict in (Verdict.COMPLETE, Verdict.UNKNOWN)
    segment = flight.path / 'segment_000000.mcap'
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert 'segment_000000.mcap: FAILED' in check_sums(flight.path, allowed, succeeds=False)


def test_a_dropped_segment_leaves_its_last_seal(
    make_writer: MakeWriter, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    key, allowed = keys
    writer = make_writer(**SMALL, seal=SealConfig(key_file=str(key)))
    writer.on_rotation = CapacityCapPolicy(200_000, writer, writer.alerts).on_rotation
    client = make_client()
    open_flight(writer, 'x', client)
    for start in range(0, 3000, 100):
        send(client, range(start, start + 100))
        wait_until(
            lambda end=start + 100: writer.status.counters.records_written >= end, 'records'
        )
    flight = open_flight_files(writer.close_flight('x').path)
    rollovers = flight.payloads(SegmentRollover)
    entries = {entry['segment']: entry for entry in entries_of(flight.path / 'SEALS')}
    assert rollovers
    assert int(min(entries, key=int)) == 0
    for rollover in rollovers:
        entry = entries[str(rollover.segment_index)]
        assert rollover.last_seal == f'{entry.text}{entry.signature}\n'
    check_chain(flight, tmp_path)
    check_sums(flight.path, allowed)


def test_seals_that_the_disk_has_lost_are_told_by_the_next(
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    keys: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    key, allowed = keys
    writer, client = make_writer(**SMALL, seal=SealConfig(key_file=str(key))), make_client()
    fault = forgetful_sync(monkeypatch, 'fdatasync')
    open_flight(writer, 'x', client)
    sent = send(client, range(50))
    wait_until(lambda: fault.calls >= 2, 'a sync')
    fault.lose_next()
    told: list[str] = []
    writer.alerts.listen(lambda alert: told.append(alert.code))

    def is_over() -> bool:
        nonlocal sent
        sent += send(client, range(sent, sent + 5))
        return told.count('write_error') == 2

    wait_until(is_over, 'the fault, while records are sent')
    flight = check_flight(writer.close_flight('x'))
    chain = check_chain(flight, tmp_path)
    numbers = [int(seal['number']) for seal in chain]
    missing = {*range(numbers[-1])} - {*numbers}
    void = [
        number
        for seal in chain if seal['void_from'] != '-1'
        for number in range(int(seal['void_from']), int(seal['void_to']) + 1)
    ]
    assert missing
    assert missing <= {*void}
    check_sums(flight.path, allowed)


def test_flights_are_one_chain(make_writer: MakeWriter, keys: tuple[Path, Path]) -> None:
    writer, client = make_writer(**SMALL, seal=SealConfig(key_file=str(keys[0]))), make_client()
    last = ('', '')
    for name in ('a', 'b', 'c'):
        if name == 'a':
            open_flight(writer, name, client)
        else:
            open_flight(writer, name)
        flight = check_flight(writer.close_flight(name))
        said = lines_of(opening_of(flight))
        assert (said['previous_flight'], said['previous_seal']) == last
        last = name, entries_of(flight.path / 'SEALS')[-1].hash


def test_a_flight_that_cannot_begin_is_no_link_of_the_chain(
    make_writer: MakeWriter, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    writer, client = make_writer(**SMALL, seal=SealConfig(key_file=str(keys[0]))), make_client()
    open_flight(writer, 'a', client)
    check_flight(writer.close_flight('a'))
    with monkeypatch.context() as patch:
        patch.setattr(os, 'writev', lambda *_: (_ for _ in ()).throw(OSError(28, 'full')))
        with pytest.raises(FlightStorageError):
            open_flight(writer, 'b')
    assert not (root / 'b').exists()
    open_flight(writer, 'c')
    said = lines_of(opening_of(check_flight(writer.close_flight('c'))))
    assert said['previous_flight'] == 'a'


@pytest.mark.parametrize(
    'name', ['drone,7', '*', '!x', 'a "b"', '-n', 'a\x1b[31m', '\u0434 7', '']
)
def test_whatever_a_vehicle_is_called_its_flights_can_be_checked(
    make_writer: MakeWriter, keys: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    writer = make_writer(seal=SealConfig(key_file=str(keys[0])))
    writer.open_flight(FlightHeader(flight_id='x', vehicle_id=name))
    flight = writer.close_flight('x').path
    allowed = tmp_path / 'allowed'
    line = public_line(keys[0])
    allowed.write_text(line_for(principal_of(name) or socket.gethostname(), parse_key(line)))
    assert verify(flight, keys=allowed).authentication.state is Authenticity.AUTHENTIC


@pytest.mark.parametrize(
    'content', [None, 'nonsense', ''], ids=['missing', 'nonsense', 'empty']
)
def test_without_a_usable_key_the_flight_is_recorded_and_told(
    make_writer: MakeWriter, alerts: AlertBoard, tmp_path: Path, content: str | None
) -> None:
    key = tmp_path / 'key'
    if content is not None:
        key.write_text(content)
    told: deque[str] = deque()
    alerts.listen(lambda alert: told.append(f'{alert.code} {alert.message}'))
    writer = make_writer(alerts=alerts, seal=SealConfig(key_file=str(key)))
    client = make_client()
    open_flight(writer, 'x', client)
    send(client, range(10))
    flight = check_flight(writer.close_flight('x'))
    assert told[0].startswith('not_sealed the flight is not sealed: ')
    assert str(key) in told[0]
    assert len(flight.of_topic('/blob')) == 10
    names = {path.name for path in flight.path.iterdir()}
    assert names == {'metadata.yaml', 'segment_000000.mcap'}
    assert alerts.present() == ()


def test_segments_that_records_of_drops_fill_do_not_go_on_for_ever(
    make_writer: MakeWriter, keys: tuple[Path, Path]
) -> None:
    """Header, definitions and seals leave the smallest segments room for one such record."""
    size = 16 * 1024
    writer = make_writer(
        segment_size_bytes=size, chunk_size_bytes=2048, seal=SealConfig(key_file=str(keys[0]))
    )
    writer.on_rotation = CapacityCapPolicy(3 * size, writer, writer.alerts).on_rotation
    client = make_client()
    open_flight(writer, 'x', client)
    send(client, range(300))
    summary = writer.close_flight('x')
    assert summary.is_complete
    assert summary.footer.segments_dropped
