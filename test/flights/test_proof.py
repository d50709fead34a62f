# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Whole sealed pieces of a flight, as evidence."""

from __future__ import annotations

import errno
import json
from pathlib import Path
import shutil
import subprocess

from conftest import MakeWriter, Record
from disk_faults import SystemCall
from fdr_recorder import verify
from fdr_recorder.cli.main import main
from fdr_recorder.config import SealConfig
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.status import Authenticity
from json_documents import errors
from producers import make_client, open_flight, send
import pytest
from sealed_flight import check_sums, vehicle_key
from ssh_tools import needs_openssh
from waiting import wait_until

pytestmark = needs_openssh
pytest.importorskip('cryptography')

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 2048, 'sync_interval_s': 0.1}
SIDECARS = {'SEALS', 'SHA256SUMS', 'SHA256SUMS.sig', 'metadata.yaml'}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    directory = tmp_path / 'keys'
    directory.mkdir()
    return vehicle_key(directory)


@pytest.fixture
def sealed(make_writer: MakeWriter, keys: tuple[Path, Path], root: Path, tmp_path: Path) -> Path:
    """Record a sealed flight of several segments; a copy as it was in flight is in `killed`."""
    writer = make_writer(**SMALL, seal=SealConfig(key_file=str(keys[0])))
    client, late = make_client('/early'), make_client('/late')
    open_flight(writer, 'x', client, late)
    for start in range(0, 1600, 100):
        send(client if start < 800 else late, range(start, start + 100))
        wait_until(
            lambda end=start + 100: writer.status.counters.records_written >= end, 'records'
        )
    shutil.copytree(root / 'x', tmp_path / 'killed' / 'x')
    writer.close_flight('x')
    writer.stop()
    return root / 'x'


def with_topic(flight: Path, topic: str) -> set[str]:
    """Return the names of the segments that have messages of a topic."""
    found = set()
    for path in flight.glob('segment_*.mcap'):
        if any(True for _ in Query(path, topics=(topic,)).messages()):
            found.add(path.name)
    return found


def test_the_segments_of_a_topic_are_copied_and_checked(
    sealed: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in sealed.iterdir()}
    out = tmp_path / 'proof'
    arguments = ['export', str(sealed), '--proof', str(out), '-t', '/early', '--json']
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert errors('export', document) == []
    wanted = with_topic(sealed, '/early')
    every = {path.name for path in sealed.glob('segment_*.mcap')}
    assert 0 < len(wanted) < len(every)
    assert {*document['segments']} == wanted
    copied = {path.name: path.read_bytes() for path in out.iterdir()}
    proof = copied.pop('PROOF').decode()
    assert copied.keys() == wanted | SIDECARS
    assert copied.items() <= before.items()
    assert proof == ''.join(
        f'{line}\n' for line in ('fdr-proof-v1', 'flight: x', *sorted(every - wanted))
    )
    proved = verify(out, keys=keys[1]).authentication
    assert proved.faults == []
    assert proved.state in (Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO)
    done = subprocess.run(
        ['sha256sum', '-c', '--ignore-missing', 'SHA256SUMS'],
        cwd=out, capture_output=True, text=True, check=True, timeout=60,
    )
    assert done.stdout.count(': OK') == len(wanted) + 1
    changed = out / sorted(wanted)[0]
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    assert verify(out, keys=keys[1]).authentication.state is Authenticity.NOT_AUTHENTIC


def test_a_whole_flight_and_one_that_was_killed_are_proved(
    sealed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / 'whole'
    assert main(['export', str(sealed), '--proof', str(out)]) == 0
    check_sums(out, keys[1])
    assert not (out / 'PROOF').exists()
    proved = verify(out, keys=keys[1]).authentication
    assert proved.state is Authenticity.AUTHENTIC, proved
    out = tmp_path / 'torn'
    assert main(['export', str(tmp_path / 'killed' / 'x'), '--proof', str(out)]) == 0
    proved = verify(out, keys=keys[1]).authentication
    assert proved.state is Authenticity.AUTHENTIC_UP_TO, proved


def test_a_part_in_time_has_the_segments_of_that_time(sealed: Path, tmp_path: Path) -> None:
    out = tmp_path / 'end'
    assert main(['export', str(sealed), '--proof', str(out), '--start', '-0.01']) == 0
    last = sorted(sealed.glob('segment_*.mcap'))[-1].name
    names = {path.name for path in out.iterdir()}
    assert last in names
    assert 'segment_000000.mcap' not in names


def test_what_cannot_be_proved_is_refused(
    sealed: Path, record_flight: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'proof'
    plain = record_flight('plain', close=True)
    for arguments, reason in (
        ([plain, '--proof', out], 'is not sealed'),
        ([sealed, '--proof', out, '-t', '/nothing'], 'has none of the topics'),
        ([sealed, '--proof', out, '--format', 'csv'], 'as they are'),
        ([sealed, '--proof', tmp_path], 'is there already'),
    ):
        assert main(['export', *map(str, arguments)]) == 3
        assert reason in capsys.readouterr().err
    for more in ([], ['--proof', out, '-o', 'x.mcap']):
        with pytest.raises(SystemExit, match='3'):
            main(['export', *map(str, (sealed, *more))])
    assert not out.exists()


def test_nothing_is_left_where_the_disk_is_full(
    sealed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'media' / 'proof'
    out.parent.mkdir()
    fsync = SystemCall(monkeypatch, 'fsync')
    fsync.fail(errno.ENOSPC)
    assert main(['export', str(sealed), '--proof', str(out)]) == 3
    said = capsys.readouterr().err
    assert f'{out}: cannot be written: No space left on device' in said
    assert list(out.parent.iterdir()) == []
