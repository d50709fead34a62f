# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr offload --prune`: nothing is removed that was not read back, or has no signed receipt."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
from typing import Any

from fdr_recorder.cli.main import main
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.manifest import manifest_hash
from fdr_recorder.fleet.receipt import Receipt
from fdr_recorder.flights.prune_log import removed_flights
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.seal import sshsig
from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.openssh import key_text
from offloading import contents, DirectoryStore, record_flights, stored_flight, VEHICLE
import pytest

KEY = FlightKey(VEHICLE, 'one')
SEGMENT = KEY.file('segment_000001.mcap')

Offload = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record_flights(tmp_path / 'root', 'one')
    return tmp_path / 'root'


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / 'store')


@pytest.fixture
def offload(
    root: Path, store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> Offload:
    """Return a function that runs `fdr offload --prune` and tells what became of the flight."""

    def run(*words: object) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(['offload', str(root), store.url, '--json', *map(str, words)])
        return code, json.loads(capsys.readouterr().out)['flights'][0]

    return run


def test_what_was_read_back_is_removed_and_the_log_says_where_it_is(
    root: Path, store: DirectoryStore, offload: Offload
) -> None:
    there = contents(root / 'one')
    code, flight = offload('--prune')
    assert (code, flight['pruned'], flight['stays']) == (0, True, '')
    assert not (root / 'one').exists()
    assert stored_flight(store.objects(), 'one') == there
    text, _ = removed_flights(root)['one']
    assert f'in the store {store.url}, read back' in text
    assert manifest_hash(store.objects()[KEY.manifest]) in text


@pytest.mark.parametrize('how', ['--prune', '--dry-run'])
@pytest.mark.parametrize('place', ['.', 'one', 'one/store', 'beside', '../link'])
def test_a_store_inside_the_root_is_refused(
    place: str, how: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root.parent / 'link').symlink_to(root / 'one')
    segment = root / 'one/segment_000001.mcap'
    there = segment.read_bytes()
    assert main(['offload', str(root), str(root / place), how]) not in (0, 1, 2)
    assert 'is inside the flight root' in capsys.readouterr().err
    assert segment.read_bytes() == there


def _flip(store: DirectoryStore) -> None:
    data = bytearray(store.objects()[SEGMENT])
    data[len(data) // 2] ^= 1
    store.put(SEGMENT, bytes(data))


def _shorten(store: DirectoryStore) -> None:
    store.put(SEGMENT, store.objects()[SEGMENT][:-1])


def _link(store: DirectoryStore) -> None:
    store.remove(SEGMENT)
    (store.directory / SEGMENT).symlink_to(_source(store))


def _hard_link(store: DirectoryStore) -> None:
    store.remove(SEGMENT)
    (store.directory / SEGMENT).hardlink_to(_source(store))


def _source(store: DirectoryStore) -> Path:
    return store.directory.parent / 'root/one/segment_000001.mcap'


@pytest.mark.parametrize(
    ('change', 'is_noticed_first'),
    [
        (_flip, False),
        (_shorten, False),
        (_link, False),
        (_hard_link, False),
        (lambda store: store.remove(SEGMENT), False),
        (lambda store: store.remove(KEY.manifest), True),
        (lambda store: store.put(KEY.manifest, store.objects()[KEY.manifest] + b' '), False),
    ],
    ids=[
        'one bit', 'a byte less', 'a link', 'a hard link', 'gone', 'no manifest',
        'another manifest',
    ],
)
def test_what_differs_in_the_store_is_sent_again_before_it_goes(
    change: Callable[[DirectoryStore], None],
    is_noticed_first: bool,
    root: Path,
    store: DirectoryStore,
    offload: Offload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = contents(root / 'one')
    assert offload()[0] == 0
    change(store)
    monkeypatch.setattr('fdr_recorder.fleet.offload_root._MOST_LOOKS', 1)
    code, flight = offload('--prune')
    if not is_noticed_first:
        assert (code, flight['state']) == (2, 'pending')
        assert 'sent again' in flight['stays'] or 'written again' in flight['stays']
        assert ('a link and no copy' in flight['stays']) == (change in (_link, _hard_link))
        assert contents(root / 'one') == there
        assert not removed_flights(root)
        code, flight = offload('--prune')
    assert (code, flight['pruned']) == (0, True)
    assert stored_flight(store.objects(), 'one') == there
    assert not (store.directory / SEGMENT).is_symlink()


def test_what_differs_on_the_drone_is_sent_again_before_it_goes(
    root: Path, store: DirectoryStore, offload: Offload
) -> None:
    assert offload()[0] == 0
    segment = root / 'one' / 'segment_000000.mcap'
    status = segment.stat()
    data = bytearray(segment.read_bytes())
    data[-9] ^= 1
    with segment.open('r+b') as file:
        file.write(data)
    os.utime(segment, ns=(status.st_atime_ns, status.st_mtime_ns))  # the journal sees nothing
    code, flight = offload('--prune')
    assert stored_flight(store.objects(), 'one')['segment_000000.mcap'] == bytes(data)
    assert (code, flight['pruned']) == (0, True)


def test_flights_with_pins_or_never_closed_stay(
    root: Path, store: DirectoryStore, offload: Offload, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['pin', str(root / 'one')]) == 0
    code, flight = offload('--prune')
    assert (code, flight['state'], flight['stays']) == (1, 'stored', 'it has pins')
    assert main(['unpin', str(root / 'one')]) == 0
    last = sorted((root / 'one').glob('*.mcap'))[-1]
    (root / 'one' / 'metadata.yaml').unlink()
    with last.open('r+b') as file:
        file.truncate(last.stat().st_size // 2)
    code, flight = offload('--prune')
    assert (code, flight['state'], flight['stays'][:20]) == (1, 'stored', 'it was never closed;')
    recover(root / 'one')
    code, flight = offload('--prune')
    assert (code, flight['pruned']) == (0, True)


def test_what_is_no_file_is_told_and_keeps_the_flight_here(
    root: Path, store: DirectoryStore, offload: Offload, capsys: pytest.CaptureFixture[str]
) -> None:
    there = contents(root / 'one')
    os.mkfifo(root / 'one' / 'pipe')
    (root / 'one' / 'notes').mkdir()
    assert main(['offload', str(root), store.url]) == 0
    said = 'stored, without what is no regular file: notes, pipe\n'
    assert said in capsys.readouterr().out
    code, flight = offload('--prune')
    assert (code, flight['state'], flight['left_out']) == (1, 'stored', ['notes', 'pipe'])
    assert 'not in the store' in flight['stays']
    (root / 'one' / 'pipe').unlink()
    (root / 'one' / 'notes').rmdir()
    code, flight = offload('--prune')
    assert (code, flight['pruned']) == (0, True)
    assert stored_flight(store.objects(), 'one') == there


def test_with_receipts_only_a_signed_one_of_this_manifest_counts(
    root: Path, store: DirectoryStore, offload: Offload, tmp_path: Path
) -> None:
    key, stranger = SessionKey.generate(), SessionKey.generate()
    signers = tmp_path / 'signers'
    signers.write_text(f'fleet namespaces="fdr-receipt" {key_text(key.public)}\n')
    words = '--prune', '--receipt-keys', signers
    assert offload()[0] == 0
    digest = manifest_hash(store.objects()[KEY.manifest])

    def receive(signer: SessionKey, said: object, namespace: str = 'fdr-receipt') -> str:
        data = json.dumps(said).encode()
        path = store.directory / KEY.receipt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.with_name(f'{path.name}.sig').write_text(sshsig.sign(signer, namespace, data))
        code, flight = offload(*words)
        assert code == (0 if flight['pruned'] else 1)
        return 'pruned' if flight['pruned'] else flight['stays']

    good = json.loads(Receipt(KEY, digest, 1, '', 1, arrived=True).to_bytes())
    newer = {'name': 'fdr_recorder/receipt', 'version': '2.0'}
    assert offload(*words)[1]['stays'] == 'there is no signed receipt of it yet'
    assert 'not trusted' in receive(stranger, good)
    assert 'signature' in receive(key, good, 'fdr-prune')
    assert 'another manifest' in receive(key, {**good, 'manifest_sha256': 'a' * 64})
    assert 'not all of it' in receive(key, {**good, 'arrived': False})
    assert 'cannot be read' in receive(key, ['what'])
    assert 'a newer fdr is needed' in receive(key, {**good, 'schema': newer})
    line = signers.read_text()
    for options in ('valid-before="20200101",', 'valid-after="20700101",', 'cert-authority,'):
        signers.write_text(line.replace('namespaces', f'{options}namespaces'))
        assert 'may not sign receipts now' in receive(key, good)
    signers.write_text(line)
    assert (root / 'one').exists()
    _hard_link(store)  # it is replaced by a copy before the flight goes
    assert receive(key, good) == 'pruned'
    assert (store.directory / SEGMENT).stat().st_nlink == 1
    text, _ = removed_flights(root)['one']
    assert 'receipt signed by SHA256:' in text
    assert set(stored_flight(store.objects(), 'one')) > {'metadata.yaml'}
