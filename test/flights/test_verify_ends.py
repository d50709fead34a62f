# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sealed flights whose recorder, or whose recovery, was ended between two steps."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import os
from pathlib import Path
import shutil
from typing import Any

from fdr_recorder.cli.main import main
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Authenticity, Verdict
from fdr_recorder.flights.verify import verify
from fdr_recorder.storage.flight_directory import FlightDirectory
import pytest
from sealed_ground import allow, make_key, record_sealed, sizes
from ssh_tools import needs_openssh

pytest.importorskip('cryptography')
pytestmark = needs_openssh

UP_TO = Authenticity.AUTHENTIC_UP_TO


class Ground:
    """The vehicle's key and a stranger's, the file that names the first, and flights."""

    def __init__(self, path: Path) -> None:
        self.key, self.strange = make_key(path / 'identity'), make_key(path / 'strange')
        self.keys = allow(path / 'allowed', self.key)
        root = path / 'root'
        root.mkdir()
        self.closed = record_sealed(root, self.key, 'x')
        self.killed = record_sealed(root, self.key, 'y', close=False)
        self.almost = self._almost_closed(root, path / 'almost' / 'z')

    def _almost_closed(self, root: Path, copy: Path) -> Path:
        """Return a flight as it is when its footer is on the disk, and nothing says so yet."""
        real = FlightDirectory.replace_metadata

        def replace(self: FlightDirectory, text: Sequence[bytes], sums: Any = ()) -> None:
            if b'clean_shutdown: "true"' in b''.join(text):
                shutil.copytree(self.path, copy)
            real(self, text, sums)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FlightDirectory, 'replace_metadata', replace)
            record_sealed(root, self.key, copy.name)
        return copy


@pytest.fixture(scope='module')
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp('ground'))


def copy_of(flight: Path, root: Path) -> Path:
    return Path(shutil.copytree(flight, root / flight.name))


@pytest.mark.parametrize('has_key', [False, True])
def test_a_kill_between_footer_and_metadata(ground: Ground, root: Path, has_key: bool) -> None:
    flight = copy_of(ground.almost, root)
    found = verify(flight, keys=ground.keys).authentication
    assert found.state is UP_TO, found
    assert recover(flight, key_file=ground.key if has_key else '')
    found = verify(flight, keys=ground.keys).authentication
    assert (found.state, found.recovered_by) == (UP_TO, 'drone-7' if has_key else ''), found
    assert 'recovery has completed it' in found.sentence
    assert [place.file for place in found.uncovered] == ([] if has_key else ['metadata.yaml'])
    segment = flight / 'segment_000001.mcap'
    data = segment.read_bytes()
    segment.write_bytes(data[:3000] + b'x' + data[3001:])
    assert verify(flight, keys=ground.keys).verdict is Verdict.NOT_AUTHENTIC


def test_a_recoverer_whom_nobody_knows_proves_nothing(ground: Ground, root: Path) -> None:
    flight = copy_of(ground.killed, root)
    assert recover(flight, key_file=ground.strange)
    found = verify(flight, keys=ground.keys).authentication
    assert (found.state, found.recovered_by, found.faults) == (UP_TO, '', []), found
    assert any('its key is not in the file' in note for note in found.notes)
    assert {'metadata.yaml', max(sizes(flight))} <= {place.file for place in found.uncovered}
    both = allow(root / 'both', ground.key, ground.strange)
    found = verify(flight, keys=both).authentication
    assert (found.state, found.recovered_by) == (UP_TO, 'drone-7')
    assert 'metadata.yaml' not in {place.file for place in found.uncovered}


@pytest.mark.parametrize('who', ['key', 'strange'])
def test_he_signs_a_closed_flight_anew(ground: Ground, root: Path, who: str) -> None:
    """The vehicle's key, or another that is trusted, is for the recovery of other flights."""
    flight = copy_of(ground.closed, root)
    before = (flight / 'metadata.yaml').read_bytes()
    after = before.replace(b'message_count: ', b'message_count: 1', 1)
    assert after != before
    (flight / 'metadata.yaml').write_bytes(after)
    was, now = (hashlib.sha256(data).hexdigest() for data in (before, after))
    sums = (flight / 'SHA256SUMS').read_text().replace(was, now)
    (flight / 'SHA256SUMS').write_text(sums)
    from fdr_recorder.seal import certificates, sshsig
    from fdr_recorder.seal.identity import load_identity
    from fdr_recorder.seal.keys import SessionKey

    key = SessionKey.generate()
    with load_identity(getattr(ground, who)) as identity:
        certificate = certificates.issue(
            identity, key.public, key_id='fdr-flight x', principals=('drone-7',), serial=1
        )
    signature = sshsig.sign(key.with_certificate(certificate), 'fdr-flight', sums.encode())
    (flight / 'SHA256SUMS.sig').write_text(signature)
    state = verify(flight, keys=ground.keys).authentication.state
    assert state is (UP_TO if who == 'key' else Authenticity.NOT_AUTHENTIC)


def test_names_that_cannot_be_given_in_flight_wait(
    ground: Ground, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits `metadata.yaml` is there as a temporary until the disk gives it its name."""
    real, copies = os.rename, []

    def rename(source: Any, target: Any, **fds: int) -> None:
        if target == 'SHA256SUMS' and len(copies) < 3 and list((root / 'x').glob('*0001.mcap')):
            copies.append(shutil.copytree(root / 'x', tmp_path / f'copy_{len(copies)}'))
            raise OSError(5, 'Input/output error')
        real(source, target, **fds)

    monkeypatch.setattr(os, 'rename', rename)
    flight = record_sealed(root, ground.key)
    monkeypatch.undo()
    assert len(copies) == 3
    for copy in copies:
        found = verify(copy, keys=ground.keys).authentication
        assert (found.state, found.faults) == (UP_TO, [])
    assert verify(flight, keys=ground.keys).authentication.state is Authenticity.AUTHENTIC


def test_an_older_copy_beside_a_flight_is_no_forgery(
    ground: Ground, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = record_sealed(root, ground.key, 'one', close=False)
    record_sealed(root, ground.key, 'two', batches=(5,))
    older = shutil.copytree(flight, root / 'one.bak')
    os.truncate(older / max(sizes(older)), 3000)
    assert main(['verify', str(root), '--keys', str(ground.keys)]) == 8
    assert 'one.bak: it is an older copy of one' in capsys.readouterr().out
    shutil.rmtree(flight)
    assert main(['verify', str(root), '--keys', str(ground.keys)]) == 7
