# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The table of packages in docs/architecture.md holds: a room imports only what its row names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / 'fdr_recorder'
PAGE = TOP / 'docs' / 'architecture.md'
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason='there is no docs/ beside the tests')

ROW = re.compile(r'^\| `(\w+(?:\.py|/))` \| [^|]+ \| ([^|]+) \| [^|]+ \|$', re.MULTILINE)


def table() -> dict[str, set[str]]:
    """Return what each room may import, in the order of the table."""
    rows: dict[str, set[str]] = {}
    for room, may_import in ROW.findall(PAGE.read_text(encoding='utf-8')):
        everything = may_import == 'all of the above'
        rows[room] = set(rows) if everything else set(re.findall(r'`([^`]+)`', may_import))
    return rows


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first if first.endswith('.py') else f'{first}/'


def imported_rooms(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports, at its top and inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module == 'fdr_recorder':
            names = [f'fdr_recorder.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or '']
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition('.')
            if package == 'fdr_recorder' and rest:
                first = rest.partition('.')[0]
                yield f'{first}/' if (PACKAGE / first).is_dir() else f'{first}.py'


def test_every_room_has_its_row_and_no_other() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob('*.py')}
    assert set(table()) == rooms - {'__init__.py'}


def test_a_room_may_import_only_those_above_it() -> None:
    above: set[str] = set()
    for room, may_import in table().items():
        assert may_import <= above, room
        above.add(room)


def test_every_import_is_allowed() -> None:
    allowed = table()
    for path in sorted(PACKAGE.rglob('*.py')):
        room = room_of(path)
        if room != '__init__.py':  # the public face
            beyond = set(imported_rooms(path)) - {room} - allowed[room]
            assert beyond == set(), path
