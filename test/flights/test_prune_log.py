# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""What `fdr prune` leaves of the flights that it removes."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

from conftest import MakeWriter, Record
from disk_faults import SystemCall
from fdr_recorder.cli.main import main
from fdr_recorder.config import SealConfig
from fdr_recorder.flights.directory import flights_in
from producers import make_client, open_flight, send
import pytest
from sealed_flight import entries_of, vehicle_key
from ssh_tools import is_accepted, make_key, needs_openssh, public_line

pytestmark = needs_openssh
pytest.importorskip('cryptography')


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    directory = tmp_path / 'keys'
    directory.mkdir()
    return vehicle_key(directory)


@pytest.fixture
def sealed(make_writer: MakeWriter, keys: tuple[Path, Path], root: Path) -> list[str]:
    """Record three sealed flights; return the hashes of their newest seals."""
    writer, client = make_writer(seal=SealConfig(key_file=str(keys[0]))), make_client()
    writer.register(client)
    for name in ('a', 'b', 'c'):
        open_flight(writer, name)
        send(client, range(10))
        writer.close_flight(name)
    writer.stop()
    return [entries_of(root / name / 'SEALS')[-1].hash for name in ('a', 'b', 'c')]


def entries_in(root: Path) -> list[str]:
    return [f'{part}\n\n' for part in (root / '.fdr.pruned').read_text().split('\n\n')[:-1]]


def lines_of(entry: str) -> dict[str, str]:
    text = entry.partition('-----BEGIN')[0]
    return dict(line.partition(': ')[::2] for line in text.splitlines()[1:] if line)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_flight_leaves_a_signed_entry(
    sealed: list[str], root: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path / 'ops')
    line = f'ops namespaces="fdr-prune" {public_line(key)}'
    size = sum(path.stat().st_size for path in (root / 'a').glob('*.mcap'))
    assert main(['prune', str(root), '--keep', '2', '--key', str(key)]) == 0
    assert main(['prune', str(root), '--max-bytes', '1', '--key', str(key)]) == 1
    assert [path.name for path in flights_in(root)] == ['c']
    first, second = entries_in(root)
    for entry in (first, second):
        text, begin, armor = entry.partition('-----BEGIN')
        assert text.startswith('fdr-prune-v1\n')
        signature = begin + armor.removesuffix('\n')
        assert is_accepted(tmp_path, signature, 'fdr-prune', text.encode(), line, 'ops')
        changed = text.replace('flight: ', 'flight: x').encode()
        assert not is_accepted(tmp_path, signature, 'fdr-prune', changed, line, 'ops')
    said = lines_of(first)
    assert (said['flight'], said['number'], said['seal']) == ('a', '1', sealed[0])
    assert (said['bytes'], said['cause'], said['previous']) == (str(size), 'keep 2', '')
    said = lines_of(second)
    assert (said['flight'], said['seal'], said['cause']) == ('b', sealed[1], 'max_bytes 1')
    assert said['previous'] == sha256(first)


def test_without_a_key_each_flight_leaves_an_entry_that_is_not_signed(
    sealed: list[str], record_flight: Record, root: Path
) -> None:
    record_flight('plain', close=True)
    assert main(['prune', str(root), '--keep', '0']) == 0
    entries = entries_in(root)
    assert [lines_of(entry)['flight'] for entry in entries] == ['a', 'b', 'c', 'plain']
    assert [lines_of(entry)['seal'] for entry in entries] == [*sealed, '']
    assert 'SIGNATURE' not in ''.join(entries)


def test_a_torn_entry_stays_and_is_named_by_the_next(sealed: list[str], root: Path) -> None:
    (root / '.fdr.pruned').write_text('fdr-prune-v1\nfli')
    assert main(['prune', str(root), '--keep', '2']) == 0
    torn, entry = entries_in(root)
    assert torn == 'fdr-prune-v1\nfli\n\n'
    assert lines_of(entry)['previous'] == sha256(torn)


def test_nothing_goes_that_cannot_be_noted(
    sealed: list[str],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ['prune', str(root), '--keep', '0']
    assert main([*arguments, '--key', str(tmp_path / 'none')]) == 3
    (root / '.fdr.pruned').mkdir()
    assert main(arguments) == 3
    assert [path.name for path in flights_in(root)] == ['a', 'b', 'c']
    (root / '.fdr.pruned').rmdir()
    fsync = SystemCall(monkeypatch, 'fsync')
    fsync.fail(errno.EIO)
    capsys.readouterr()
    assert main(arguments) == 3
    assert f'{root}/.fdr.pruned: Input/output error; so a is not removed' in (
        capsys.readouterr().err
    )
    assert [path.name for path in flights_in(root)] == ['a', 'b', 'c']
    assert (root / '.fdr.pruned').read_bytes() == b''
