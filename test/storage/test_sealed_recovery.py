# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Recovery of sealed flights: what is sealed stays as it was, byte for byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil

from conftest import MakeWriter
from fdr_recorder import AlertBoard, FlightFooter, read_info, recover, verify
from fdr_recorder.cli.exit_codes import EXIT_REFUSED
from fdr_recorder.cli.main import main
from fdr_recorder.config import SealConfig
from fdr_recorder.errors import FdrError
from fdr_recorder.flights.recovery.recover import needs_recovery
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify.authenticity import Authentication
from fdr_recorder.node.background_recovery import BackgroundRecovery
from fdr_recorder.storage.flight_root import FlightRoot
from flight_check import open_flight_files
from json_documents import errors
from mcap.reader import make_reader
from producers import make_client, open_flight, send
import pytest
from rosbags.highlevel import AnyReader
from sealed_flight import check_sums, entries_of, FoundSeal, seals_in, vehicle_key
from ssh_tools import allow, keygen, make_key, needs_openssh, public_line
from waiting import wait_until

pytestmark = needs_openssh
pytest.importorskip('cryptography')

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 2048, 'sync_interval_s': 0.1}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    directory = tmp_path / 'keys'
    directory.mkdir()
    return vehicle_key(directory)


@pytest.fixture
def killed(
    make_writer: MakeWriter, keys: tuple[Path, Path], root: Path, tmp_path: Path
) -> Path:
    """Return a sealed flight of several segments as a kill in flight leaves it."""
    writer, client = make_writer(**SMALL, seal=SealConfig(key_file=str(keys[0]))), make_client()
    open_flight(writer, 'x', client)
    flight = root / 'x'
    for start in range(0, 1500, 100):
        send(client, range(start, start + 100))
        wait_until(
            lambda end=start + 100: writer.status.counters.records_written >= end, 'records'
        )
    last = sorted(flight.glob('segment_*.mcap'))[-1]
    wait_until(lambda: sealed_bytes(last) > 0, 'a seal in the last segment')
    copy = shutil.copytree(flight, tmp_path / 'killed' / 'x')
    writer.close_flight('x')
    assert len(list(copy.glob('segment_*.mcap'))) > 2
    return copy


def sealed_bytes(segment: Path) -> int:
    """Return where the last seal in a segment ends, closed or not; 0 if it has none."""
    data = segment.read_bytes()
    place = data.rfind(b'\x08\0\0\0fdr_seal')
    if place < 0:
        return 0
    length = int.from_bytes(data[place - 8:place], 'little')
    return place + length if place + length <= len(data) else 0


def sealed_parts(flight: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()[:sealed_bytes(path)]
        for path in sorted(flight.glob('segment_*.mcap'))
    }


def check_unchanged(flight: Path, before: dict[str, bytes]) -> None:
    for name, sealed in before.items():
        assert (flight / name).read_bytes()[:len(sealed)] == sealed, name


def check_summaries(flight: Path) -> None:
    """Let another reader find every seal by the summaries."""
    for path in sorted(flight.glob('segment_*.mcap')):
        with path.open('rb') as file:
            reader = make_reader(file)
            summary = reader.get_summary()
            assert summary is not None
            assert summary.statistics is not None
            seals = [item for item in reader.iter_metadata() if item.name == 'fdr_seal']
            assert len(summary.metadata_indexes) == summary.statistics.metadata_count
            assert len(seals) == summary.statistics.metadata_count - 1
        assert [seal.metadata['seal'] for seal in seals] == [
            seal.text for seal in seals_in(path)
        ]


def newest(flight: Path) -> FoundSeal:
    """Return the seal with the highest number."""
    paths = sorted(flight.glob('segment_*.mcap'))
    found = [seal for path in paths for seal in seals_in(path)]
    return max([*found, *entries_of(flight / 'SEALS')], key=lambda seal: int(seal['number']))


def authentication_of(flight: Path, allowed: Path) -> Authentication:
    return verify(flight, keys=allowed).authentication


def test_without_a_key_no_sealed_byte_changes_and_nothing_is_signed(
    killed: Path, keys: tuple[Path, Path]
) -> None:
    before = sealed_parts(killed)
    sums = [(killed / name).read_bytes() for name in ('SHA256SUMS', 'SHA256SUMS.sig', 'SEALS')]
    torn = sorted(killed.glob('segment_*.mcap'))[-1]
    with torn.open('ab') as file:
        file.write(b'\x06torn')
    found, = recover(killed)
    check_unchanged(killed, before)
    check_summaries(killed)
    added = f'segment_{len(before):06d}.mcap'
    assert (found.added, found.signed_by, found.left) == (added, '', ())
    assert found.torn == (torn.name,)
    assert (killed / f'{torn.name}.tail').read_bytes() == b'\x06torn'
    assert seals_in(killed / added) == []
    after = [(killed / name).read_bytes() for name in ('SHA256SUMS', 'SHA256SUMS.sig', 'SEALS')]
    assert after == sums
    assert not needs_recovery(killed)
    assert recover(killed) == []
    files = open_flight_files(killed)
    footer, = files.payloads(FlightFooter)
    assert footer == found.footer
    assert footer.bytes_written == sum(path.stat().st_size for path in killed.glob('*.mcap'))
    assert footer.records_written == sum(len(item.messages) for item in files.segments)
    info = read_info(killed)
    assert info.header is not None
    assert info.header.signing_key_rotation_event
    assert not verify(killed).damage
    proved = authentication_of(killed, keys[1])
    assert proved.state is Authenticity.AUTHENTIC_UP_TO, proved
    assert proved.recovered_by == ''
    with AnyReader([killed]) as bag:
        assert bag.message_count == footer.records_written


def test_with_a_key_the_recoverer_seals_what_was_added(
    killed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    key, allowed = keys
    torn = sorted(killed.glob('segment_*.mcap'))[-1]
    with torn.open('ab') as file:
        file.write(b'\x06torn')
    (killed / 'segment_000099.mcap').write_bytes(b'no segment at all')
    before, last = sealed_parts(killed), None
    before.pop('segment_000099.mcap')
    found, = recover(killed, key_file=key)
    check_unchanged(killed, before)
    check_summaries(killed)
    said = keygen('-l', '-f', key)
    assert found.signed_by in said
    assert found.added == 'segment_000100.mcap'
    seal, = seals_in(killed / found.added)
    (killed / found.added).rename(tmp_path / 'added')
    last = newest(killed)
    (tmp_path / 'added').rename(killed / found.added)
    assert seal['kind'] == 'recovery'
    assert (int(seal['number']), seal['previous']) == (int(last['number']) + 1, last.hash)
    assert int(seal['records_written']) == found.footer.records_written
    signature = tmp_path / 'seal.sig'
    signature.write_text(seal.signature)
    host = os.uname().nodename
    keygen(
        '-Y', 'verify', '-f', allowed, '-I', host, '-n', 'fdr-seal', '-s', signature,
        stdin=seal.text.encode(),
    )
    said = check_sums(killed, allowed)
    names = {path.name for path in killed.iterdir()} - {'SEALS', 'SHA256SUMS', 'SHA256SUMS.sig'}
    assert {f'{torn.name}.tail', 'segment_000099.mcap.damaged'} <= names
    assert {line.removesuffix(': OK') for line in said.splitlines() if ': OK' in line} == names
    assert not needs_recovery(killed)
    assert found.footer.bytes_written == sum(
        path.stat().st_size for path in killed.glob('*.mcap')
    )
    proved = authentication_of(killed, allowed)
    assert proved.state is Authenticity.AUTHENTIC_UP_TO, proved
    assert proved.recovered_by == host
    with (killed / 'metadata.yaml').open('a') as file:
        file.write('\n')
    check_sums(killed, allowed, succeeds=False)
    assert authentication_of(killed, allowed).state is Authenticity.NOT_AUTHENTIC


def test_a_segment_with_a_gap_in_sealed_bytes_is_left_as_it_is(
    killed: Path, keys: tuple[Path, Path]
) -> None:
    torn = sorted(killed.glob('segment_*.mcap'))[-1]
    data = bytearray(torn.read_bytes())
    middle = sealed_bytes(torn) // 2
    data[middle:middle + 16] = bytes(16)
    torn.write_bytes(data)
    before = {path.name: path.read_bytes() for path in killed.glob('segment_*.mcap')}
    found, = recover(killed, key_file=keys[0])
    assert found.left == (torn.name,)
    assert found.footer.records_written > 0
    assert {name: (killed / name).read_bytes() for name in before} == before
    assert not needs_recovery(killed)
    assert recover(killed) == []
    assert torn.name in check_sums(killed, keys[1])
    proved = authentication_of(killed, keys[1])
    assert proved.state is Authenticity.NOT_AUTHENTIC
    assert any(fault.file == torn.name for fault in proved.faults)


def test_an_interrupted_recovery_goes_on(
    killed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sealed_parts(killed)

    class PowerCut(BaseException):
        """Ends the recovery where it is."""

    def cut(*_args: object, **_more: object) -> None:
        raise PowerCut

    for place in (
        'fdr_recorder.flights.recovery.added_segment.read_contents',
        'fdr_recorder.storage.segment.Segment.finish',
        'fdr_recorder.flights.recovery.work.commit_signed',
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, cut)
            with pytest.raises(PowerCut):
                recover(killed, key_file=keys[0])
        assert needs_recovery(killed)
        check_unchanged(killed, before)
    recover(killed, key_file=keys[0])
    assert len(list(killed.glob('segment_*.mcap'))) == len(before) + 1
    check_unchanged(killed, before)
    check_summaries(killed)
    check_sums(killed, keys[1])


def test_a_key_that_cannot_be_used_changes_nothing(killed: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    with pytest.raises(FdrError, match='none'):
        recover(killed, key_file=tmp_path / 'none')
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before


def test_a_flight_that_is_not_sealed_gets_no_signature(
    make_writer: MakeWriter, keys: tuple[Path, Path], root: Path, tmp_path: Path
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(300))
    wait_until(lambda: writer.status.counters.records_written >= 300, 'records')
    flight = root / 'x'
    copy = shutil.copytree(flight, tmp_path / 'killed' / 'x')
    writer.close_flight('x')
    names = {path.name for path in copy.iterdir()}
    found, = recover(copy, key_file=keys[0])
    assert (found.added, found.signed_by) == ('', '')
    assert {path.name for path in copy.iterdir()} == names


def test_fdr_recover_signs_with_a_key(
    killed: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = make_key(tmp_path / 'locked', passphrase='secret')
    assert main(['recover', str(killed), '--passphrase-file', 'x']) == EXIT_REFUSED
    assert main(['recover', str(killed), '--key', str(locked)]) == EXIT_REFUSED
    assert needs_recovery(killed)
    capsys.readouterr()
    secret = tmp_path / 'secret'
    secret.write_text('secret\n')
    arguments = ['--key', str(locked), '--passphrase-file', str(secret), '--json']
    assert main(['recover', str(killed), *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert errors('recover', document) == []
    recovered = document[0]['recovered']
    assert recovered['signed_by'] in keygen('-l', '-f', f'{locked}.pub')
    assert [seal['kind'] for seal in seals_in(killed / recovered['added'])] == ['recovery']
    check_sums(killed, keys[1], succeeds=False)
    check_sums(killed, vehicle_line(tmp_path, locked))


def vehicle_line(directory: Path, key: Path) -> Path:
    options = 'cert-authority,namespaces="fdr-flight,fdr-seal"'
    return allow(directory, f'{os.uname().nodename} {options} {public_line(key)}')


@pytest.mark.parametrize('is_usable', [True, False])
def test_the_recorder_signs_what_it_recovers(
    killed: Path, keys: tuple[Path, Path], *, is_usable: bool
) -> None:
    key = keys[0] if is_usable else keys[0].with_name('gone')
    alerts = AlertBoard()
    with FlightRoot.acquire(killed.parent, owner='/recorder') as owned:
        seal = SealConfig(key_file=str(key))
        recovery = BackgroundRecovery(owned, alerts, may_change=True, seal=seal)
        wait_until(lambda: not needs_recovery(killed), 'the recovery')
        recovery.stop()
    added = sorted(killed.glob('segment_*.mcap'))[-1]
    assert len(seals_in(added)) == int(is_usable)
    if is_usable:
        check_sums(killed, keys[1])
