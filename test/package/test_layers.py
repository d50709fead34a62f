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


def imported(path: Path) -> Iterator[str]:
    """Yield the names that a module imports, at its top, inside of functions and for types."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported_modules(path: Path) -> set[Path]:
    """Return the modules of this package that a module imports."""
    found = set()
    for name in imported(path):
        place = TOP.joinpath(*name.split('.'))
        for candidate in (place, place.parent):  # a module itself, or a name in it
            module = candidate.with_suffix('.py')
            if candidate.is_relative_to(PACKAGE) and module.is_file():
                found.add(module)
                break
    return found


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a module imports."""
    places = (TOP.joinpath(*name.split('.')) for name in imported(path))
    firsts = {
        place.relative_to(PACKAGE).parts[0]
        for place in places
        if place.is_relative_to(PACKAGE) and place != PACKAGE
    }
    return {
        f'{first}/' if (PACKAGE / first).is_dir() else f'{first}.py'
        for first in firsts
        if (PACKAGE / first).is_dir() or (PACKAGE / f'{first}.py').is_file()
    }


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
            beyond = imported_rooms(path) - {room} - allowed[room]
            assert beyond == set(), path


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = {path: imported_modules(path) - {path} for path in PACKAGE.rglob('*.py')}
    assert sum(map(len, imports.values())) > len(imports)  # else nothing was found
    while leaves := [path for path, needs in imports.items() if not needs & imports.keys()]:
        for path in leaves:
            del imports[path]
    circle = sorted(str(path.relative_to(PACKAGE)) for path in imports)
    assert circle == []
