# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Which store a verb of `fdr fleet` works on."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Record
from fdr_recorder.cli.main import main
from fleet_side import Side, side
import pytest
from stored_flights import store_flight

__all__ = ['side']


def test_the_store_is_named_or_that_of_the_environment(
    side: Side,
    record_flight: Record,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flight = record_flight(close=True)
    here, there = side.store, Side(tmp_path / 'there').store
    store_flight(here, flight, 'drone-1')
    store_flight(there, flight, 'drone-2')
    assert main(['fleet', 'ls', here.url]) == 3
    assert f'`fdr fleet receive {here.url}`' in capsys.readouterr().err
    for store in (here, there):
        assert main(['fleet', 'receive', store.url]) == 0
    capsys.readouterr()

    def vehicles(*words: str) -> list[str]:
        assert main(['fleet', 'ls', *words, '--json']) == 0
        return [item['vehicle'] for item in json.loads(capsys.readouterr().out)['flights']]

    assert vehicles(here.url) == ['drone-1']
    monkeypatch.setenv('FDR_FLEET_URL', there.url)
    assert vehicles() == ['drone-2']
    assert vehicles(here.url) == ['drone-1']


@pytest.mark.parametrize(
    ('url', 'advice'),
    [
        ('', 's3://BUCKET/PREFIX'),
        (' ', 's3://BUCKET/PREFIX'),
        ('az://flights', 'set AZURE_STORAGE_ACCOUNT_NAME'),
        ('file://data/flights', 'write file:///data/flights'),
        ('file:flights', 'the directory alone: flights'),
    ],
)
def test_what_to_write_instead_is_told(
    url: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('AZURE_STORAGE_ACCOUNT_NAME', raising=False)
    for words in (['ls', url], ['sql', url, 'FROM flights']):
        assert main(['fleet', *words]) == 3
        assert advice in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_question_in_the_place_of_the_store_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['fleet', 'sql', 'SELECT 1', 's3://flights']) == 3
    assert 'fdr fleet sql s3://flights "SELECT 1"' in capsys.readouterr().err
    monkeypatch.setenv('FDR_FLEET_URL', str(tmp_path))
    assert main(['fleet', 'sql', 's3://flights']) == 3
    assert 'there is no question' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_directory_has_a_url(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f'file://{tmp_path}/a%20b'
    assert main(['fleet', 'ls', url]) == 3
    assert f'{url} has no catalogue yet' in capsys.readouterr().err
    assert (tmp_path / 'a b').is_dir()


@pytest.mark.parametrize('url', ['ftp://flights', 's3://', '/nowhere/at/all'])
def test_what_is_no_store_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['fleet', 'ls', url]) == 3
    said = capsys.readouterr()
    assert said.err.startswith(f'fdr: {url.rstrip("/")}')
    assert not said.out
