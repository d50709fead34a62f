# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What may not be read is told as such, with what to do; it is never "no flights"."""

from __future__ import annotations

import json
import os
from pathlib import Path

from conftest import Record
from fdr_program import run_fdr
from fdr_recorder.flights.recovery.recover import needs_recovery
import pytest
from without_override import give_away

PLACES = {
    'flight': ('theirs', 0o700),
    'flight that can be listed': ('theirs', 0o744),
    'first segment': ('theirs/segment_000000.mcap', 0o600),
    'last segment': ('theirs/last', 0o600),
    'metadata': ('theirs/metadata.yaml', 0o640),
}


@pytest.fixture
def flights(record_flight: Record, root: Path) -> Path:
    record_flight('ours', close=True)
    theirs = record_flight('theirs', close=True)
    last = max(theirs.glob('*.mcap'))
    PLACES['last segment'] = (f'theirs/{last.name}', 0o600)
    return root


def fdr(
    *arguments: object, cwd: Path | None = None, **environment: str
) -> tuple[int, str, str]:
    done = run_fdr(*arguments, cwd=cwd, environment=environment, stopped_by_permissions=True)
    return done.returncode, done.stdout, done.stderr


def check_told(error: str, place: Path) -> None:
    assert 'Permission denied' in error
    assert str(place) in error
    assert 'belongs to' in error
    assert 'sudo' in error
    assert 'Traceback' not in error
    if os.geteuid() == 0:
        assert 'user 54321, group 54321, mode 0' in error


@pytest.mark.parametrize('mode', [0o700, 0o711])
def test_a_root_of_somebody_else(flights: Path, mode: int) -> None:
    give_away(flights, mode)
    for verb in ('ls', 'verify', 'recover'):
        code, text, error = fdr(verb, flights)
        assert (code, text) == (3, ''), verb
        check_told(error, flights)
    code, text, error = fdr('prune', flights, '--keep', 1)
    assert (code, text) == (3, '')
    if mode != 0o711:  # then one may read what one knows the name of
        for verb in ('info', 'cat'):
            code, text, error = fdr(verb, flights / 'ours')
            assert (code, text) == (3, ''), verb
            check_told(error, flights)
    code, text, error = fdr('ls', FDR_FLIGHT_ROOT=str(flights))
    assert (code, text) == (3, '')
    check_told(error, flights)


def test_the_default_root_of_somebody_else(flights: Path, tmp_path: Path) -> None:
    home = tmp_path / 'home'
    home.mkdir()
    flights.rename(home / 'fdr_flights')
    give_away(home / 'fdr_flights', 0o700)
    code, text, error = fdr('ls', cwd=tmp_path, HOME=str(home))
    assert (code, text) == (3, '')
    check_told(error, home / 'fdr_flights')


def test_a_current_directory_of_somebody_else(flights: Path, tmp_path: Path) -> None:
    home = tmp_path / 'home'
    (home / 'fdr_flights').mkdir(parents=True)
    give_away(flights, 0o711)
    code, text, error = fdr('ls', cwd=flights, HOME=str(home))
    assert (code, text.strip()) == (0, f'0 flights, 0 B, in {home}/fdr_flights')
    assert 'the current directory cannot be read' in error


@pytest.mark.parametrize('what', PLACES)
def test_one_flight_of_several(flights: Path, what: str) -> None:
    name, mode = PLACES[what]
    give_away(flights / name, mode)
    for verb in (('verify',), ('recover', '--dry-run')):
        code, text, error = fdr(*verb, flights)
        assert code == 3, verb
        assert 'ours' in text
        check_told(error, flights / name)
    code, text, error = fdr('ls', cwd=flights)
    assert code == 3
    assert 'ours' in text
    assert '1 flight, ' in text
    assert 'and 1 that cannot be read' in text
    code, text, error = fdr('ls', flights, '--json')
    found = json.loads(text)
    assert code == 3
    assert [flight['flight_id'] for flight in found['flights']] == ['ours']
    (unreadable,) = found['unreadable']
    assert unreadable['path'] == str(flights / 'theirs')
    check_told(unreadable['reason'], flights / name)
    code, text, error = fdr('prune', flights, '--keep', 0)
    assert (code, text) == (3, '')
    assert (flights / 'ours').exists()
    for verb in (('info',), ('verify',)):
        code, text, error = fdr(*verb, flights / 'theirs')
        assert (code, text) == (3, '')
        check_told(error, flights / name)


def test_metadata_that_may_not_be_read_asks_for_no_recovery(flights: Path) -> None:
    metadata = flights / 'theirs' / 'metadata.yaml'
    before = metadata.read_bytes()
    give_away(metadata, 0o600)
    code, _, error = fdr('recover', flights)
    assert code == 3
    check_told(error, metadata)
    metadata.chmod(0o600)
    assert metadata.read_bytes() == before
    assert not needs_recovery(flights / 'theirs')


def test_whoever_is_told_to_join_a_group_may_read_then(flights: Path) -> None:
    give_away(flights / 'theirs', 0o750)
    _, _, error = fdr('ls', flights)
    assert os.geteuid() != 0 or 'sudo usermod -aG 54321' in error
    (flights / 'theirs').chmod(0o700)
    _, _, error = fdr('ls', flights)
    assert 'usermod' not in error


def test_many_are_not_all_told(root: Path) -> None:
    for number in range(30):
        (root / f'flight_{number:02}').mkdir()
        give_away(root / f'flight_{number:02}', 0o700)
    code, _, error = fdr('ls', root)
    assert code == 3
    assert len(error.splitlines()) == 11
    assert 'and 20 flights more' in error
