# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight is called by the id in its header, however one gets to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from conftest import Record
from fdr_recorder.cli.main import main
from fdr_recorder.flights.flight_reader import FlightReader
import pytest

ID = 'flight_20261122T110505Z_1aef'
WAYS = ('.', 'renamed', 'linked', 'linked root', 'up', 'absolute')


@pytest.fixture
def way_to(
    record_flight: Record, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return a function that returns a path to a flight, and how its directory is called there."""

    def make(way: str, *, close: bool = True) -> tuple[Path, str]:
        flight = record_flight(ID, close=close)
        if not close:
            last = max(flight.glob('*.mcap'))
            os.truncate(last, last.stat().st_size - 7)
        if way == 'absolute':
            return flight, ID
        renamed = flight.rename(root / 'sunday')
        monkeypatch.chdir(root)
        if way == 'renamed':
            return Path('sunday'), 'sunday'
        if way == 'linked':
            (tmp_path / 'latest').symlink_to(renamed)
            return tmp_path / 'latest', 'latest'
        if way == 'linked root':
            (tmp_path / 'flights_too').symlink_to(root)
            return tmp_path / 'flights_too' / 'sunday', 'sunday'
        monkeypatch.chdir(renamed)
        if way == 'up':
            (renamed / 'below').mkdir()
            monkeypatch.chdir(renamed / 'below')
            return Path('..'), 'sunday'
        return Path(), 'sunday'

    return make


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main([*map(str, arguments)]) == code, arguments
    return capsys.readouterr().out


@pytest.mark.parametrize('way', WAYS)
def test_every_verb_calls_it_by_its_id(
    way: str, way_to: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, directory = way_to(way)
    full = ID if directory == ID else f'{ID} (in {directory})'
    behind = str(path) if directory == ID else f'{path} ({ID})'
    assert said(capsys, 'info', path).splitlines()[0] == f'flight    {full}'
    assert said(capsys, 'verify', path).startswith(f'{behind}: ')
    assert said(capsys, 'recover', path) == f'{behind}: needs no recovery\n'
    page = tmp_path / 'page.html'
    said(capsys, 'report', path, '-o', page)
    assert f'<title>{ID} · flight report</title>' in page.read_text()
    for verb in ('info', 'verify', 'recover', 'report'):
        document = json.loads(said(capsys, verb, path, '--json'))
        (found,) = document if isinstance(document, list) else [document]
        assert (found['flight_id'], found['path']) == (ID, str(path)), verb


@pytest.mark.parametrize('way', ['renamed', 'linked root'])
def test_lists_call_it_by_its_id(
    way: str, way_to: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = way_to(way)
    for verb in (('ls', path.parent), ('prune', path.parent, '--keep', 0, '--dry-run')):
        line = next(row for row in said(capsys, *verb).splitlines() if ID in row)
        assert line.startswith(f'{ID} (in sunday)')
        document = json.loads(said(capsys, *verb, '--json'))
        (found,) = document.get('flights') or document['removed']
        assert (found['flight_id'], found['path']) == (ID, str(path))


@pytest.mark.parametrize('way', WAYS)
def test_a_flight_that_was_not_closed_keeps_its_id(
    way: str, way_to: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, directory = way_to(way, close=False)
    full = ID if directory == ID else f'{ID} (in {directory})'
    assert said(capsys, 'info', path).splitlines()[0] == f'flight    {full}'
    assert 'recovered in ' in said(capsys, 'recover', path)
    with FlightReader(path) as reader:
        own = list(reader.own_records())
        ids = {record.flight_id for record in own if hasattr(record, 'flight_id')}
    assert ids == {ID}


@pytest.mark.parametrize('way', ['.', 'renamed', 'absolute'])
def test_a_flight_without_a_header_is_called_by_its_directory(
    way: str, way_to: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, directory = way_to(way, close=False)
    first, *others = sorted(path.glob('*.mcap'))
    for other in others:
        other.unlink()
    os.truncate(first, 300)
    assert said(capsys, 'info', path).splitlines()[0] == f'flight    {directory}'
    said(capsys, 'recover', path)
    with FlightReader(path) as reader:
        assert list(reader.own_records())
    assert reader.header is not None
    assert reader.header.flight_id == directory
