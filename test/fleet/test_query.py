# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Questions read the catalogue alone; answers harm neither terminals nor spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import csv
from dataclasses import replace
from datetime import datetime, timezone
import io
import json
import os
from pathlib import Path
import signal
import socket
import time
from typing import Any

from bench.synthetic_fleet import receipts, store_catalogue
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.layout import FlightKey
from fleet_side import Side, side
from fork_server import fork_server, ForkedProcess
from pyarrow import parquet
import pytest
from waiting import wait_until

__all__ = ['side']
NOW = datetime.now(timezone.utc)


@pytest.fixture
def fleet(side: Side, monkeypatch: pytest.MonkeyPatch) -> Side:
    store_catalogue(side.store, list(receipts(40, NOW, 4)))
    monkeypatch.setenv('FDR_FLEET_URL', side.store.url)
    return side


@pytest.mark.usefixtures('fleet')
@pytest.mark.parametrize(
    'question',
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'", "SELECT * FROM glob('/etc/*')", "FROM read_parquet('s3://a/b')",
        "FROM 'https://example.org/a.parquet'", "COPY flights TO '{here}'",
        "EXPLAIN ANALYZE COPY flights TO '{here}'", "ATTACH '{here}'", "EXPORT DATABASE '{here}'",
        'INSTALL httpfs', 'LOAD httpfs', "SET memory_limit = '100GB'",
        'SET enable_external_access = true', "SET allowed_paths = ['/etc/passwd']",
        'PRAGMA database_list', 'DROP VIEW flights', 'CREATE TABLE x AS SELECT 1',
        'DELETE FROM superseded', 'INSERT INTO superseded VALUES (1, 2, 3)',
        'SELECT 1; SELECT 2', 'SELECT 1; DROP VIEW flights', '', ' -- ', "SELECT '", 'CHECKPOINT',
        'SELECT nosuch FROM flights', 'CALL pragma_version()', 'VACUUM', 'BEGIN',
        "SELECT * FROM query('DROP VIEW flights')", 'FROM duckdb_secrets()',
    ],
)  # fmt: skip
def test_nothing_else_is_read_and_nothing_written(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = tmp_path / 'here'
    before = sorted(tmp_path.rglob('*'))
    assert main(['fleet', 'sql', question.replace('{here}', str(here))]) == 3
    said = capsys.readouterr()
    assert not said.out
    assert 'flights: vehicle, flight, flight_id' in said.err
    assert 'root:' not in said.err
    after = [path for path in sorted(tmp_path.rglob('*')) if 'cache' not in path.parts]
    assert after == [path for path in before if 'cache' not in path.parts]
    assert main(['fleet', 'ls', '--where', 'true) UNION ALL SELECT (1']) == 3


@pytest.mark.usefixtures('fleet')
@pytest.mark.parametrize('cut_to', [0, 4, 100])
def test_what_was_cut_in_the_cache_is_fetched_again(
    cut_to: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = ('fleet', 'sql', 'SELECT count(*) AS flights FROM flights', '--csv')
    said = []
    for _ in range(2):
        assert main([*question]) == 0
        said.append(capsys.readouterr().out)
        cached = [path for path in tmp_path.rglob('*.parquet') if 'cache' in path.parts]
        assert cached
        for path in cached:
            path.write_bytes(path.read_bytes()[:cut_to])
    assert said[0] == said[1]
    assert int(said[0].split()[-1]) > 30


def test_without_a_cache_it_works_in_a_temporary_directory(
    fleet: Side, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del fleet
    question = ['fleet', 'sql', 'SELECT count(*) FROM flights', '--csv']
    assert main(question) == 0
    said = capsys.readouterr().out
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'nowhere'))
    assert main(question) == 3
    refused = capsys.readouterr()
    assert 'Set XDG_CACHE_HOME or TMPDIR' in refused.err
    assert len(refused.err.splitlines()) == 1
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    assert main(question) == 0
    out, told = capsys.readouterr()
    assert out == said
    assert f'{tmp_path}/file' in told
    assert len(told.splitlines()) == 1
    assert main(question) == 0  # it is told once
    assert capsys.readouterr() == (said, '')


def test_a_question_that_needs_too_much_memory_is_refused(
    fleet: Side, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('FDR_FLEET_MEMORY', '50MB')
    question = 'SELECT list(range || repeat(vehicle, 100)) FROM flights, range(1000000)'
    assert main(['fleet', 'sql', question]) == 3
    assert 'memory' in capsys.readouterr().err.lower()


@contextmanager
def running(tmp_path: Path, *words: str, **place: str) -> Iterator[ForkedProcess]:
    """Run a verb; in the end it is ended by Ctrl-C, soon and without a word."""
    said = tmp_path / 'said'
    with said.open('wb') as out:
        process = fork_server('fleet').start(
            'fdr_recorder.cli', ['fleet', *words], {**os.environ, **place},
            (out.fileno(), out.fileno(), out.fileno()),
        )
    try:
        yield process
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - began < 2.0  # half a second, on a machine that does nothing else
    finally:
        process.kill()
        process.wait()
    assert said.read_text() == ''


@pytest.mark.usefixtures('fleet')
def test_control_c_ends_a_long_question(tmp_path: Path) -> None:
    question = 'SELECT count(*) FROM range(1000000000) AS a, range(1000) AS b WHERE hash(a) < b'
    with running(tmp_path, 'sql', question) as process:
        wait_until(lambda: list((tmp_path / 'cache').rglob('flights.parquet')), 'the catalogue')
        before = _cpu_ticks(process.pid)
        wait_until(lambda: _cpu_ticks(process.pid) - before > 50, 'the question')


def _cpu_ticks(pid: int) -> int:
    return int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11])


def test_control_c_ends_a_verb_that_waits_for_the_store(tmp_path: Path) -> None:
    held = []
    with socket.create_server(('127.0.0.1', 0)) as silent:
        silent.settimeout(20)
        place = {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{silent.getsockname()[1]}',
            'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret',
            'XDG_CACHE_HOME': str(tmp_path),
        }
        with running(tmp_path, 'ls', 's3://flights', **place):
            held.append(silent.accept())


HOSTILE = '=cmd|\x1b[31m<script>\n\0\u202e,"'


@pytest.fixture
def hostile(side: Side) -> Side:
    found = list(receipts(2, NOW, 1))
    for column in ('sentence', 'host', 'firmware', 'verdict', 'upload'):
        found[0].rows['flights'][column] = [HOSTILE]
    found[0].rows['flights']['metadata'] = [{HOSTILE: HOSTILE}]
    found[0] = replace(found[0], key=FlightKey(HOSTILE, HOSTILE))
    store_catalogue(side.store, found)
    return side


def test_hostile_texts_are_harmless(hostile: Side, capsys: pytest.CaptureFixture[str]) -> None:
    url = hostile.store.url
    for words in (['ls'], ['sql', 'FROM flights'], ['catalogue']):
        assert main(['fleet', words[0], url, *words[1:]]) == 0
        out = capsys.readouterr().out
        assert not {'\x1b', '\0', '\u202e'} & {*out}
        assert words[0] == 'catalogue' or '=cmd|' in out
    assert main(['fleet', 'sql', url, 'FROM flights', '--csv']) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out, newline='')))
    assert len(rows) == 3
    assert not [cell for row in rows for cell in row if cell.startswith('=')]
    assert f"'{HOSTILE}" in rows[1] + rows[2]
    assert main(['fleet', 'sql', url, 'SELECT vehicle, metadata FROM flights', '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert [HOSTILE, {HOSTILE: HOSTILE}] in document['rows']


def test_every_kind_of_value_is_shown(
    fleet: Side, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = (
        "SELECT 1 AS a, 1.5 AS b, 'inf'::DOUBLE AS c, 'nan'::DOUBLE AS d, NULL AS e, true AS f, "
        "TIMESTAMP '2026-01-02 03:04:05.5' AS g, DATE '2026-01-02' AS h, [1, 2] AS i, "
        "MAP {'k': 'v'} AS j, INTERVAL 3 DAY AS k, 'x'::BLOB AS l, sum(2) AS m, {'n': 1} AS n"
    )
    assert main(['fleet', 'sql', question, '--json']) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said['rows'][0][:10] == [
        1, 1.5, 'Infinity', None, None, True, '2026-01-02T03:04:05.500000Z', '2026-01-02', [1, 2],
        {'k': 'v'},
    ]  # fmt: skip
    assert said['rows'][0][11:] == ['78', 2, {'n': 1}]
    assert main(['fleet', 'sql', question]) == 0
    assert '2026-01-02 03:04:05.500' in capsys.readouterr().out
    out = tmp_path / 'out.parquet'
    words = ['fleet', 'sql', 'SELECT vehicle, started FROM flights', '--parquet', str(out)]
    assert main(words) == 0
    assert parquet.read_table(out).num_rows > 30
    assert main(words) == 3
    assert main(['fleet', 'sql', question, '--parquet', str(tmp_path / 'interval')]) == 3
    assert not (tmp_path / 'interval').exists()


def test_the_list_has_filters(fleet: Side, capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*words: str) -> list[dict[str, Any]]:
        assert main(['fleet', 'ls', *words, '--json']) == 0
        flights: list[dict[str, Any]] = json.loads(capsys.readouterr().out)['flights']
        return flights

    every = listed()
    assert len(every) > 30
    assert every == sorted(every, key=lambda row: row['started'], reverse=True)
    vehicles = {row['vehicle'] for row in listed('--vehicle', '*-00[12]')}
    assert vehicles == {'drone-001', 'drone-002'}
    verdicts = {row['verdict'] for row in listed('--verdict', 'damaged,losses')}
    assert verdicts == {'damaged', 'losses'}
    recent = listed('--since', '3d')
    assert recent
    assert len(recent) + len(listed('--until', '3d')) == len(every)
    assert all(row['lost'] > 50 for row in listed('--where', 'lost > 50 -- or so'))
    assert len(listed('--limit', '3')) == 3
    assert main(['fleet', 'ls', '--limit', '2']) == 0
    assert 'the newest 2 are shown' in capsys.readouterr().out
    assert main(['fleet', 'ls', '--verdict', 'nice']) == 3
    assert 'there is no nice' in capsys.readouterr().err
