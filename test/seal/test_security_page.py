# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The lines of docs/security.md by which a flight is checked by hand, run as they stand there."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from pathlib import Path
import re
import shutil
import subprocess

from fdr_recorder.cli.main import main
import pytest
from sealed_ground import change, make_key, record_sealed
from ssh_tools import needs_openssh, public_line

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'security.md'
pytestmark = [
    needs_openssh,
    pytest.mark.skipif(not PAGE.is_file(), reason='there is no docs/ beside the tests'),
]
pytest.importorskip('cryptography')


def lines_of_page() -> list[str]:
    """Return the blocks: of the whole flight, of one seal, of the key that was announced."""
    text = PAGE.read_text(encoding='utf-8').partition('## Check by hand')[2].partition('\n## ')[0]
    blocks = re.findall(r'^```sh\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    return list(blocks)


def signers_of_page(*keys: Path) -> str:
    """Return the lines of allowed signers, with these keys in place of those."""
    text = PAGE.read_text(encoding='utf-8').partition('## Check by hand')[2].partition('```sh')[0]
    [block] = re.findall(r'^```\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)
    options = [line.rsplit(' ', 2)[0] for line in block.splitlines()]
    lines = zip(options, map(public_line, keys), strict=True)
    return ''.join(f'{option} {key}\n' for option, key in lines)


def run(block: str, flight: Path) -> tuple[bool, str]:
    """Run lines in a flight's directory; tell whether each succeeded, and what they said."""
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', block],
        cwd=flight, capture_output=True, text=True, check=False, timeout=60,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope='module')
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp('by_hand')
    key = make_key(directory / 'identity')
    (directory / 'allowed_signers').write_text(signers_of_page(key, key))
    flight = record_sealed(directory, key)
    assert (flight / 'segment_000003.mcap').exists()
    return flight


def test_the_line_for_what_was_removed(good: Path, tmp_path: Path) -> None:
    """The line of a vehicle is not for that; that of whoever removes flights is."""
    root, key = tmp_path / 'root', make_key(tmp_path / 'ops')
    root.mkdir()
    for name in ('one', 'two'):
        record_sealed(root, good.parent / 'identity', name, batches=(5,))
    assert main(['prune', str(root), '--keep', '1', '--key', str(key)]) == 0
    allowed = tmp_path / 'allowed_signers'
    allowed.write_text(signers_of_page(good.parent / 'identity', key))
    assert main(['verify', str(root), '--keys', str(allowed)]) == 0
    entry, begin, signature = (root / '.fdr.pruned').read_text().partition('-----BEGIN')
    (tmp_path / 'entry').write_text(entry)
    (tmp_path / 'entry.sig').write_text(begin + signature)
    command = 'ssh-keygen -Y verify -f allowed_signers -I {} -n fdr-prune -s entry.sig < entry'
    assert run(command.format('ops'), tmp_path)[0]
    assert not run(command.format('drone-7'), tmp_path)[0]


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    shutil.copy(good.parent / 'allowed_signers', tmp_path)
    return Path(shutil.copytree(good, tmp_path / good.name))


def test_a_good_flight_passes(good: Path) -> None:
    whole, seal, announced = lines_of_page()
    assert len(whole.splitlines()) == 2
    assert len(seal.splitlines()) == 5
    is_accepted, said = run(whole, good)
    assert is_accepted, said
    assert 'Good "fdr-flight" signature for drone-7' in said
    assert said.count(': OK') == len([*good.glob('*.mcap'), good / 'metadata.yaml'])
    is_accepted, said = run(seal, good)
    assert is_accepted, said
    assert '-: OK' in said
    [fingerprint] = re.findall(r'SHA256:\S+', said)
    is_accepted, said = run(announced, good)
    assert is_accepted
    assert fingerprint in said


def flip(data: bytearray) -> None:
    data[3000] ^= 1


def cut(data: bytearray) -> None:
    del data[3000:3100]


def insert(data: bytearray) -> None:
    data[3000:3000] = b'inserted'


@pytest.mark.parametrize('edit', [flip, cut, insert])
def test_a_changed_segment_does_not(copy: Path, edit: Callable[[bytearray], None]) -> None:
    whole, seal, _ = lines_of_page()
    name = 'segment_000002.mcap'
    change(copy / name, edit)
    assert run(whole, copy)[0] is False
    assert f'{name}: FAILED' in run(whole, copy)[1]
    assert run(seal, copy)[0] is False


def test_nor_with_its_sum_made_right_again(copy: Path) -> None:
    whole, _, _ = lines_of_page()
    path, sums = copy / 'segment_000002.mcap', copy / 'SHA256SUMS'
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    change(path, flip)
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    sums.write_text(sums.read_text().replace(before, after))
    is_accepted, said = run(whole, copy)
    assert not is_accepted
    assert 'Good' not in said


def test_a_changed_seal_does_not(copy: Path) -> None:
    _, seal, _ = lines_of_page()
    text = (copy / 'SEALS').read_text()
    (copy / 'SEALS').write_text(text.replace('records_written: ', 'records_written:1'))
    assert run(seal, copy)[0] is False
