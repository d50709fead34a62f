# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
What seals prove of a flight, and which byte of it could be changed unseen: none.

The second part is written as an attacker's list: what he does, and where `verify` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
from pathlib import Path
import shutil
import sys
import threading
from typing import Any
from unittest import mock

from fdr_recorder.cli.main import main
from fdr_recorder.errors import SealError
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify import Verdict, Verification, verify
from fdr_recorder.mcap import encode, layout
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.rotation import rotate
from json_documents import errors
import pytest
from sealed_ground import (
    allow,
    change,
    flip,
    make_key,
    names_place,
    record_sealed,
    records_of,
    sizes,
    VEHICLE,
)
from ssh_tools import public_line

AUTHENTIC, UP_TO = Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO
SIDECARS = ('SEALS', 'SHA256SUMS', 'SHA256SUMS.sig', 'metadata.yaml')


class Ground:
    """Keys, and flights that nobody changes; `copy` is for whoever does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copies = 0
        self.key = make_key(path / 'identity')
        self.keys = allow(path / 'allowed', self.key)
        self.root = path / 'flights'
        self.root.mkdir()
        self.closed = record_sealed(self.root, self.key, 'closed')
        self.killed = record_sealed(self.root, self.key, 'killed', close=False)
        self.capped = record_sealed(
            self.root, self.key, 'capped', batches=(150, 150, 60), cap_bytes=128 * 1024
        )

    def copy(self, flight: Path) -> Path:
        self._copies += 1
        return Path(shutil.copytree(flight, self._path / str(self._copies) / flight.name))

    def verify(self, flight: Path) -> Verification:
        return verify(flight, keys=self.keys)


@pytest.fixture(scope='module')
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Return keys, and sealed flights of all kinds."""
    return Ground(tmp_path_factory.mktemp('ground'))


def assert_found(ground: Ground, flight: Path, file: str, offset: int = 0) -> None:
    """Assert that a flight is not authentic, and that the finding is about this place."""
    verification = ground.verify(flight)
    found = verification.authentication
    assert found.state is Authenticity.NOT_AUTHENTIC, str(verification)
    assert verification.verdict is Verdict.NOT_AUTHENTIC
    assert names_place(verification, file, offset), [str(place) for place in found.faults]


# --- what is proved ----------------------------------------------------------------------------


def test_a_closed_flight_is_authentic(ground: Ground) -> None:
    verification = ground.verify(ground.closed)
    found = verification.authentication
    assert (found.state, verification.verdict) == (AUTHENTIC, Verdict.COMPLETE), str(verification)
    assert found.faults == found.uncovered == []
    assert found.vehicle == VEHICLE
    assert 'seals: Authentic: all is as it was sealed by drone-7' in str(verification)
    assert len(sizes(ground.closed)) > 2


def test_so_is_one_whose_oldest_segments_were_dropped(ground: Ground) -> None:
    assert 'segment_000000.mcap' not in sizes(ground.capped)
    assert ground.verify(ground.capped).authentication.state is AUTHENTIC


def test_a_killed_flight_is_authentic_up_to_its_last_seal(ground: Ground) -> None:
    verification = ground.verify(ground.killed)
    found = verification.authentication
    assert (found.state, verification.verdict) == (UP_TO, Verdict.PARTLY_AUTHENTIC)
    assert f'Authentic up to {found.utc} (seal {found.seal})' in str(verification)
    assert not found.faults
    last = max(sizes(ground.killed))
    for place in found.uncovered:
        assert (place.file, place.end) == (last, sizes(ground.killed)[last])
    assert verify(ground.killed).verdict is Verdict.UNCLOSED  # nobody asked


def test_a_key_that_came_after_a_trusted_one(root: Path, tmp_path: Path) -> None:
    old, new = make_key(tmp_path / 'old'), make_key(tmp_path / 'new')
    with load_identity(old) as before, load_identity(new) as after:
        statement = rotate(before, after.public, '2026-11-28T12:00:00Z').text
    keys = allow(tmp_path / 'allowed', old)
    flight = record_sealed(root, new, 'a', batches=(5,))
    assert verify(flight, keys=keys).verdict is Verdict.UNPROVED
    (tmp_path / 'new.rotations').write_text(statement)
    flight = record_sealed(root, new, 'b', batches=(5,))
    assert verify(flight, keys=keys).authentication.state is AUTHENTIC


@pytest.mark.parametrize('kind', ['ecdsa', 'rsa'])
def test_identity_keys_of_other_types(kind: str, root: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / 'key', kind)
    flight = record_sealed(root, key, batches=(5,))
    found = verify(flight, keys=allow(tmp_path / 'allowed', key)).authentication
    assert found.state is AUTHENTIC


def test_without_keys_it_is_sealed_and_no_more(ground: Ground) -> None:
    verification = verify(ground.closed)
    assert verification.verdict is Verdict.COMPLETE
    assert verification.authentication.state is Authenticity.UNCHECKED
    assert 'not known to be authentic: name a file of trusted keys' in str(verification)


def test_a_flight_that_is_not_sealed_proves_nothing(ground: Ground, root: Path) -> None:
    flight = record_sealed(root, None, batches=(5,))
    assert verify(flight).verdict is Verdict.COMPLETE
    assert 'seals:' not in str(verify(flight))
    verification = ground.verify(flight)
    assert verification.verdict is Verdict.UNPROVED
    assert 'Not sealed: the recorder has signed nothing' in str(verification)


def test_the_key_must_be_in_the_file_and_for_that_vehicle(ground: Ground, tmp_path: Path) -> None:
    other = allow(tmp_path / 'other', make_key(tmp_path / 'key'))
    wrong = allow(tmp_path / 'wrong', ground.key, principal='drone-8')
    for keys, words in ((other, 'is not in the file'), (wrong, 'but not for seals of')):
        verification = verify(ground.closed, keys=keys)
        assert verification.verdict is Verdict.UNPROVED
        assert words in str(verification)


def test_a_file_of_keys_that_cannot_be_used_is_an_error(ground: Ground, tmp_path: Path) -> None:
    (tmp_path / 'bad').write_text('drone-7 ssh-ed25519 nonsense\n')
    for name in ('bad', 'missing'):
        with pytest.raises(SealError):
            verify(ground.closed, keys=tmp_path / name)


def test_what_checks_seals_need_not_be_installed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith('fdr_recorder.')]:
        if '.seal.' in name or name.endswith(('verify.seals', 'verify.trust')):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'cryptography.exceptions', None)
    verification = verify(ground.closed)
    assert verification.verdict is Verdict.COMPLETE
    assert verification.authentication.state is Authenticity.UNCHECKED
    assert 'this needs cryptography' in str(verification)


def test_exit_codes_and_json(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    for flight, code, verdict in (
        (ground.closed, 0, 'complete'),
        (ground.killed, 8, 'partly_authentic'),
    ):
        assert main(['verify', str(flight), '--keys', str(ground.keys), '--json']) == code
        document = json.loads(capsys.readouterr().out)
        assert errors('verify', document) == []
        assert document[0]['verdict'] == verdict
    assert document[0]['seals']['authenticity'] == 'authentic up to a time'
    assert main(['verify', str(ground.killed)]) == 6
    capsys.readouterr()


def test_info_and_ls_say_that_it_is_sealed(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['info', str(ground.closed)]) == 0
    found = ground.verify(ground.closed).authentication
    line = f'with key {found.fingerprint}, {found.seals} seals, the newest of {found.utc}'
    assert line in capsys.readouterr().out
    assert main(['ls', str(ground.root), '--json']) == 0
    for item in json.loads(capsys.readouterr().out)['flights']:
        assert item['status']['authenticity'] == 'sealed'


def test_a_flight_that_is_being_recorded(ground: Ground, root: Path) -> None:
    states = set()
    thread = threading.Thread(
        target=record_sealed,
        args=(root, ground.key),
        kwargs={'batches': (60,) * 12, 'cap_bytes': 128 * 1024},
    )
    thread.start()
    try:
        while thread.is_alive():
            if any((root / 'x').glob('segment_*')):
                verification = ground.verify(root / 'x')
                states.add(verification.authentication.state)
                assert not verification.authentication.faults, str(verification)
    finally:
        thread.join()
    assert UP_TO in states


# --- the flight may not have been closed -------------------------------------------------------


@pytest.mark.parametrize('size', [0, 8, 100, 1200])
def test_a_kill_before_the_header_is_written_is_no_forgery(ground: Ground, size: int) -> None:
    flight = ground.copy(ground.killed)
    for name in (*list(sizes(flight))[1:], 'SEALS'):
        (flight / name).unlink(missing_ok=True)
    os.truncate(flight / 'segment_000000.mcap', size)
    before = ground.verify(flight).authentication
    has_recovered = bool(recover(flight))
    assert has_recovered == (size == 1200)  # else there is no segment
    for found in (before, ground.verify(flight).authentication)[: 1 + has_recovered]:
        assert (found.state, found.faults) == (Authenticity.NOT_SEALED, [])
        assert 'nothing was sealed' in found.reason


def test_a_kill_while_the_files_beside_the_segments_are_replaced(ground: Ground) -> None:
    names = SIDECARS[1:]
    new = ('metadata.yaml', 'SHA256SUMS', 'SHA256SUMS.sig')
    assert set(names) == set(new)
    for done in range(len(new)):
        flight = ground.copy(ground.killed)
        for name in new[done:]:
            (flight / name).rename(flight / f'.{name}.tmp')
        found = ground.verify(flight).authentication
        assert found.state is UP_TO, (done, [str(place) for place in found.faults])


@pytest.mark.parametrize('name', ['', *SIDECARS[1:]])
def test_he_changes_a_file_that_was_about_to_be_replaced(ground: Ground, name: str) -> None:
    flight = ground.copy(ground.killed)
    for other in SIDECARS[1:]:
        shutil.copy(flight / other, flight / f'.{other}.tmp')
    if name:
        flip(flight / name, (flight / name).stat().st_size // 2)
    found = ground.verify(flight).authentication
    assert found.state is UP_TO
    told = {place.file for place in found.uncovered} & {*SIDECARS}
    assert told == ({name} if name else set())


def test_segments_that_were_still_to_be_removed_are_not_missing(root: Path) -> None:
    unlink = os.unlink

    def is_killed_before(*args: Any, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            unlink(*args, **options)

    with mock.patch('os.unlink', is_killed_before):
        flight = record_sealed(
            root, None, close=False, batches=(150, 150, 60), cap_bytes=128 * 1024
        )
    assert 'segments_dropped: "0"' not in (flight / 'metadata.yaml').read_text()
    assert next(iter(sizes(flight))) == 'segment_000000.mcap'
    assert [loss.cause for loss in verify(flight).losses] == ['unclean']


def test_the_newest_entry_of_seals_may_be_torn(ground: Ground) -> None:
    flight = ground.copy(ground.killed)
    with (flight / 'SEALS').open('ab') as file:
        file.write(b'fdr-seal-v1\nflight: ki')
    assert ground.verify(flight).authentication.state is UP_TO
    flight = ground.copy(ground.closed)
    size = (flight / 'SEALS').stat().st_size
    with (flight / 'SEALS').open('ab') as file:
        file.write(b'fdr-seal-v1\nflight: ki')
    assert_found(ground, flight, 'SEALS', size)


@pytest.mark.parametrize('kind', ['closed', 'killed'])
@pytest.mark.parametrize('which', [0, -1])
def test_a_segment_is_in_seals_before_sha256sums_lists_it(
    ground: Ground, kind: str, which: int
) -> None:
    flight = ground.copy(getattr(ground, kind))
    path, mark = flight / 'SEALS', b'-----END SSH SIGNATURE-----\n\n'
    *entries, _ = path.read_bytes().split(mark)
    entries.pop(which)
    path.write_bytes(b''.join(entry + mark for entry in entries))
    assert_found(ground, flight, 'SEALS')


def test_a_power_cut_takes_what_was_not_on_the_disk(ground: Ground) -> None:
    """Zeros behind the newest durable seal are no forgery; before it they are."""
    flight = ground.copy(ground.killed)
    last = flight / max(sizes(flight))
    seals = [item for item in records_of(last) if item.opcode == layout.METADATA][1:]
    assert len(seals) >= 2, 'the flight must have two seals in its last segment'
    start, end = seals[-2].end, seals[-1].offset
    change(last, lambda data: data.__setitem__(slice(start, end), bytes(end - start)))
    found = ground.verify(flight).authentication
    assert found.state is UP_TO, [str(place) for place in found.faults]
    assert any(place.start <= start and end <= place.end for place in found.uncovered)
    first = flight / 'segment_000001.mcap'
    change(first, lambda data: data.__setitem__(slice(3000, 3512), bytes(512)))
    assert_found(ground, flight, first.name, 3000)


# --- the attacker ------------------------------------------------------------------------------


def test_he_changes_a_record_of_any_kind(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    path = flight / 'segment_000001.mcap'
    original = path.read_bytes()
    records = records_of(path)
    opcodes = {record.opcode for record in records}
    assert len(opcodes) >= 6
    kinds = [[it for it in records if it.opcode == opcode] for opcode in opcodes]
    some = [record for kind in kinds for record in [*kind[:2], *kind[2:][-2:]]]
    places = [record.offset for record in some] + [record.end - 1 for record in some]
    end = records[-1].end
    places += list(range(end, len(original), 97))
    for place in places:
        flip(path, place)
        assert_found(ground, flight, path.name, place)
        path.write_bytes(original)
    assert ground.verify(flight).authentication.state is AUTHENTIC


@pytest.mark.parametrize('name', SIDECARS)
def test_he_changes_or_removes_a_file_beside_the_segments(ground: Ground, name: str) -> None:
    flight = ground.copy(ground.closed)
    original = (flight / name).read_bytes()
    for place in range(0, len(original), max(len(original) // 12, 1)):
        flip(flight / name, place)
        assert_found(ground, flight, name, place)
    (flight / name).write_bytes(original + b'\n')
    assert_found(ground, flight, name, len(original))
    (flight / name).unlink()
    assert_found(ground, flight, name)
    (flight / name).mkdir()
    assert ground.verify(flight).authentication.state is Authenticity.NOT_AUTHENTIC


def test_he_reorders_or_repeats_entries_of_seals(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    mark = b'-----END SSH SIGNATURE-----\n\n'
    first, second, rest = (flight / 'SEALS').read_bytes().split(mark, 2)
    for pieces in ((second, first, rest), (first, first, second, rest), (first, rest)):
        (flight / 'SEALS').write_bytes(mark.join(pieces))
        assert_found(ground, flight, 'SEALS')


def cut(data: bytearray) -> None:
    del data[5000:5100]


def insert(data: bytearray) -> None:
    data[5000:5000] = b'inserted'


def shorten(data: bytearray) -> None:
    del data[5000:]


@pytest.mark.parametrize('edit', [cut, insert, shorten])
@pytest.mark.parametrize('kind', ['closed', 'killed', 'capped'])
def test_he_cuts_out_or_inserts(
    ground: Ground, kind: str, edit: Callable[[bytearray], None]
) -> None:
    flight = ground.copy(getattr(ground, kind))
    name = sorted(sizes(flight))[1]
    change(flight / name, edit)
    assert_found(ground, flight, name, 5000)


def test_he_cuts_out_the_end_of_a_record_and_half_of_the_seal_behind_it(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    path = flight / 'segment_000001.mcap'
    data = path.read_bytes()
    seal = data.index(b'fdr_seal', 5000)
    for before in (10, 20):  # the seal's record begins 13 bytes before its name
        path.write_bytes(data[: seal - before] + data[seal + 512 - before:])
        assert_found(ground, flight, path.name, seal - before)


@pytest.mark.parametrize('kind', ['closed', 'killed', 'capped'])
def test_he_removes_a_segment(ground: Ground, kind: str) -> None:
    for place in (0, 1):
        flight = ground.copy(getattr(ground, kind))
        name = sorted(sizes(flight))[place]
        (flight / name).unlink()
        assert_found(ground, flight, name)


def test_he_swaps_segments(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    one, other = flight / 'segment_000000.mcap', flight / 'segment_000001.mcap'
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert_found(ground, flight, one.name)
    assert_found(ground, flight, other.name)


@pytest.mark.parametrize('kind', ['closed', 'killed'])
def test_he_adds_a_segment(ground: Ground, root: Path, kind: str) -> None:
    flight = ground.copy(getattr(ground, kind))
    unsealed = record_sealed(root, None, kind, batches=(5,))
    more = flight / f'segment_{len(sizes(flight)):06}.mcap'
    shutil.copy(unsealed / 'segment_000000.mcap', more)
    assert_found(ground, flight, more.name)


def test_he_splices_two_flights_of_the_same_vehicle(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    name = 'segment_000001.mcap'
    shutil.copy(ground.killed / name, flight / name)
    assert_found(ground, flight, name)


def test_he_records_the_flight_anew_with_a_key_of_his_own(
    ground: Ground, root: Path, tmp_path: Path
) -> None:
    forged = record_sealed(root, make_key(tmp_path / 'his'), 'closed')
    assert ground.verify(forged).verdict is Verdict.UNPROVED
    flight = ground.copy(ground.closed)
    shutil.copy(forged / 'segment_000001.mcap', flight / 'segment_000001.mcap')
    assert_found(ground, flight, 'segment_000001.mcap')
    for name in ('SHA256SUMS', 'SHA256SUMS.sig', 'metadata.yaml'):
        flight = ground.copy(ground.closed)
        shutil.copy(forged / name, flight / name)
        assert ground.verify(flight).verdict is Verdict.NOT_AUTHENTIC


def test_he_takes_all_seals_away(ground: Ground, root: Path) -> None:
    flight = record_sealed(root, None, 'closed')
    assert ground.verify(flight).verdict is Verdict.UNPROVED
    shutil.copy(ground.closed / 'SEALS', flight / 'SEALS')
    assert_found(ground, flight, 'segment_000000.mcap')
    assert verify(flight).verdict is Verdict.NOT_AUTHENTIC  # no keys are needed for that


def test_he_cuts_a_flight_back_and_the_next_one_tells(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['verify', str(ground.root), '--keys', str(ground.keys)]) == 8
    root = ground.copy(ground.root)
    last = root / 'killed' / max(sizes(root / 'killed'))
    seal = [item for item in records_of(last) if item.opcode == layout.METADATA][-1]
    os.truncate(last, seal.offset)
    assert ground.verify(root / 'killed').authentication.state is UP_TO
    capsys.readouterr()
    assert main(['verify', str(root), '--keys', str(ground.keys)]) == 7
    assert 'does not have the seal that the flight after it names (capped)' in (
        capsys.readouterr().out
    )


def test_he_removes_a_flight_and_the_next_one_tells(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ground.copy(ground.root)
    shutil.rmtree(root / 'killed')
    assert main(['verify', str(root), '--keys', str(ground.keys)]) == 8
    said = 'the flight before it, killed, is missing, and no log says that it was removed'
    assert said in capsys.readouterr().out


@pytest.mark.parametrize('is_signed', [True, False])
def test_a_log_that_a_key_has_signed_tells_of_a_flight_that_was_removed(
    ground: Ground,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    is_signed: bool,
) -> None:
    for name in ('first', 'second'):
        record_sealed(root, ground.key, name, batches=(5,))
    key = ('--key', str(ground.key)) if is_signed else ()
    assert main(['prune', str(root), '--keep', '1', *key]) == 0
    keys = tmp_path / 'allowed_signers'
    line = f'ops namespaces="fdr-prune" {public_line(ground.key)}'
    keys.write_text(f'{ground.keys.read_text()}\n{line}\n')
    code = main(['verify', str(root), '--keys', str(keys)])
    said = 'first, is missing, and the log that says it was removed is not signed'
    assert (said in capsys.readouterr().out) == (not is_signed)
    assert code == (0 if is_signed else 8)


@pytest.mark.parametrize('digits', [64, 24])
def test_a_witness_tells_what_was_cut_back(ground: Ground, digits: int) -> None:
    witness = ground.verify(ground.killed).authentication.seal_hash[:digits]
    found = verify(ground.killed, keys=ground.keys, witness=witness).authentication
    assert found.state is UP_TO
    assert verify(ground.closed, keys=ground.keys, witness=witness).verdict is (
        Verdict.NOT_AUTHENTIC
    )


def test_what_a_proof_leaves_out_is_told(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    (flight / 'segment_000001.mcap').unlink()
    (flight / 'PROOF').write_text('segment_000001.mcap\n')
    found = ground.verify(flight).authentication
    assert found.state is UP_TO, [str(place) for place in found.faults]
    assert 'pieces were left out on purpose' in found.sentence


# --- files that are made to do harm ------------------------------------------------------------


def test_no_seal_can_do_harm(ground: Ground) -> None:
    for name in ('fdr_seal', 'fdr_recorder'):
        for text in ('', '\x1b]0;x\x07', 'fdr-seal-v1\n' + 'number: 9\n' * 300, 'x' * 200_000):
            flight = ground.copy(ground.killed)
            last = flight / max(sizes(flight))
            os.truncate(last, records_of(last)[-1].end)
            with last.open('ab') as file:
                for _ in range(100):
                    file.write(encode.metadata(name, {'seal': text, 'signature': text}))
            verification = ground.verify(flight)
            found = verification.authentication
            is_changed = found.state is Authenticity.NOT_AUTHENTIC
            assert is_changed is (name == 'fdr_seal'), str(verification)
            assert len(str(verification)) < 10_000
            assert '\x1b' not in str(verification)


def hostile(flight: Path) -> Iterator[None]:
    """Do something to the files of a flight, one after the other."""
    for name in ('SEALS', 'SHA256SUMS', 'SHA256SUMS.sig', 'PROOF'):
        path = flight / name
        data = path.read_bytes() if path.exists() else b''
        for other in (b'', b'\0' * 5000, b'\n' * 100_000, b'\x1b]0;x\x07' * 100, data * 3):
            path.write_bytes(other)
            yield
        path.unlink()
        os.mkfifo(path)
        yield
        path.unlink()
        path.symlink_to('/dev/zero')
        yield
        path.unlink()
        with path.open('wb') as file:
            file.truncate(1 << 40)
        yield
        path.unlink()
        if data:
            path.write_bytes(data)


def test_no_file_beside_the_segments_can_do_harm(ground: Ground) -> None:
    flight = ground.copy(ground.closed)
    for _ in hostile(flight):
        verification = ground.verify(flight)
        assert verification.authentication.state is not AUTHENTIC
        assert '\x1b' not in str(verification)
