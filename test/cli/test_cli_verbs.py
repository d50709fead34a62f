# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Every verb of `fdr` on every kind of path: the right exit code, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

from campaigns._recovered import snapshot
from conftest import MakeWriter, Record
from fdr_recorder.cli.main import main
from paths_of_kinds import FLIGHTS, Kinds, OTHERS
import pytest

WHOLE, FOUND, DAMAGED, REFUSED, UNKNOWN, UNCLOSED = 0, 1, 2, 3, 4, 6
_ALL_WHOLE = dict.fromkeys((*FLIGHTS, 'mcap_file', 'bag'), WHOLE)
_ROOTS = {'empty_directory': WHOLE, 'other_directory': WHOLE, 'bag': WHOLE}

EXPECTED: dict[str, dict[str, int]] = {
    'ls': {**_ROOTS, **_ALL_WHOLE},
    'info': _ALL_WHOLE,
    'verify': {**_ALL_WHOLE, 'unclean': UNCLOSED, 'recovered': FOUND, 'capped': FOUND}
    | {'damaged': DAMAGED, 'mcap_file': UNKNOWN, 'bag': UNKNOWN},
    'recover': _ALL_WHOLE,
    'recover --dry-run': {**_ALL_WHOLE, 'unclean': FOUND},
    'export -o OUT.mcap': {**_ALL_WHOLE, 'damaged': FOUND},
    'cat': {**_ALL_WHOLE, 'damaged': FOUND},
    'report -o OUT.html': _ALL_WHOLE,
    'pin': {kind: WHOLE for kind in FLIGHTS if kind != 'recording'},
    'prune --keep 0': _ROOTS,
}
"""The exit code of each command by kind of path; `REFUSED` where nothing is said."""

CASES = [
    (command, kind, codes.get(kind, REFUSED))
    for command, codes in EXPECTED.items()
    for kind in (*FLIGHTS, *OTHERS)
]


@pytest.fixture
def kinds(make_writer: MakeWriter, record_flight: Record, root: Path, tmp_path: Path) -> Kinds:
    return Kinds(root, tmp_path, make_writer, record_flight)


def words(command: str, path: Path, out: Path) -> list[str]:
    """Return the command line for a path."""
    verb, *options = command.split()
    return [verb, str(path), *(word.replace('OUT', str(out)) for word in options)]


@pytest.mark.parametrize(('command', 'kind', 'code'), CASES)
def test_a_verb_on_a_path(
    command: str,
    kind: str,
    code: int,
    kinds: Kinds,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = kinds.make(kind)
    is_quiet = kind != 'recording' and (command, kind) != ('recover', 'unclean')
    before = snapshot(path) if path.is_dir() and is_quiet else {}

    assert main(words(command, path, tmp_path / 'out')) == code
    text, errors = capsys.readouterr()
    assert main([*words(command, path, tmp_path / 'json'), '--json']) == code
    document, _ = capsys.readouterr()

    if code == REFUSED:
        assert errors.startswith(f'fdr: {path}')
        assert not text + document
    else:
        assert text
        json.loads(document)
    if before:
        if command == 'pin':
            (path / 'PINS').unlink(missing_ok=True)  # the one file that it changes
        assert snapshot(path) == before
