# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Jobs over the flights of a store, in processes of this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import json
import os
from pathlib import Path
import shutil
import signal
from typing import Any

from conftest import Record
from fdr_program import start_fdr
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.jobs.processes import LocalWorkers
from fdr_recorder.fleet.jobs.scratch import scratch_directory
from fdr_recorder.fleet.jobs.task import State, Task
from fdr_recorder.fleet.jobs.work import do
from fdr_recorder.fleet.jobs.workers import run
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.store import Store
from job_workers import InlineWorkers
import pytest
from small_fleet import record_tiny, store_fleet
from stored_flights import store_flight
from strange_jobs import DeadlyJob
from synthetic_catalogue import flight_row, START_MS, write_rows
from waiting import wait_until


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / 'store'))


Said = Callable[..., Any]


@pytest.fixture
def said(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    tmp_path: Path,
) -> Said:
    """Run a verb on the store, in this process; return what it prints as JSON."""
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)

    def run_verb(verb: str, *words: object, code: int = 0) -> Any:
        temporary = tmp_path / 'temporary'
        temporary.mkdir(exist_ok=True)
        usual = ('--workers', 1, '--temporary', temporary, '--json')
        assert main(['fleet', verb, store.url, *map(str, (*words, *usual))]) == code
        assert list(temporary.iterdir()) == []
        return json.loads(capsys.readouterr().out)

    return run_verb


def files_below(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob('*') if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def test_each_flight_is_verified_once(
    store: Store, said: Said, root: Path, record_flight: Record
) -> None:
    keys = [store_flight(store, record_tiny(root, name), 'drone-1') for name in ('a', 'b')]
    store_flight(store, record_flight('open', close=False), 'drone-2')
    first = said('verify', code=1)
    assert first['verdicts'] == {'complete': 2, 'unclosed': 1}
    assert (first['made'], first['there'], first['failed']) == (3, 0, 0)
    assert [item['verdict'] for item in first['flights']] == ['complete', 'complete', 'unclosed']
    assert str(store.directory) not in json.dumps(first['flights'])
    results = store.directory / 'results' / 'verify'
    (path,) = results.glob('drone-1/a-*.json')
    document = json.loads(path.read_bytes())
    assert document['found']['path'] == 'a'
    assert document['found']['verdict'] == 'complete'
    before = files_below(results)

    again = said('verify', code=1)
    assert (again['made'], again['there']) == (0, 3)
    assert again['flights'][2] == {**first['flights'][2], 'state': 'there'}
    assert said('verify', '--again', code=1)['made'] == 3
    assert said('verify', '--vehicle', 'drone-1')['there'] == 2
    assert said('verify', '--vehicle', 'plane-*')['flights'] == []
    assert files_below(results) == before

    store.put(keys[0].manifest, store.get(keys[0].manifest).replace(b'"closed"', b'"recovered"'))
    changed = said('verify', code=1)
    assert (changed['made'], changed['there']) == (1, 2)


def test_since_is_when_flights_began(store: Store, said: Said, root: Path) -> None:
    store_flight(store, record_tiny(root, 'a'))
    assert len(said('verify', '--since', '2026-09-20')['flights']) == 1
    assert said('verify', '--since', '2026-09-22')['flights'] == []


def test_where_asks_the_catalogue(
    store: Store, said: Said, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ('a', 'b'):
        store_flight(store, record_tiny(root, name), f'drone-{name}')
    assert main(['fleet', 'verify', store.url, '--where', 'true']) == 3
    assert 'has no catalogue, which --where asks' in capsys.readouterr().err
    rows = [
        flight_row('drone-a', 'a', started=START_MS * 1000, verdict='losses'),
        flight_row('drone-b', 'b', started=(START_MS + 86_400_000) * 1000),
    ]
    write_rows(store, flights=rows)
    for words, flights in (
        ((), ['a', 'b']),
        (('--where', "verdict = 'losses' -- but"), ['a']),
        (('--vehicle', '*-b'), ['b']),
        (('--since', '2026-01-01T12:00:00Z'), ['b']),
        (('--since', '2026-01-01', '--where', 'false or false'), []),
    ):
        assert [item['flight'] for item in said('verify', *words)['flights']] == flights
    for wrong in ('nonsense = 1', 'true); SELECT (1', '1 = '):
        assert main(['fleet', 'verify', store.url, '--where', wrong]) == 3
        assert 'fdr: --where: ' in capsys.readouterr().err


def test_what_is_wrong_in_the_store_fails_one_flight_alone(
    store: Store, said: Said, root: Path
) -> None:
    good, changed, longer, gone, strange, other, evil = (
        store_flight(store, record_tiny(root, name))
        for name in ('good', 'changed', 'longer', 'gone', 'strange', 'other', 'evil')
    )
    segment = 'segment_000000.mcap'
    data = store.get(changed.file(segment))
    store.put(changed.file(segment), data[:-1] + b'!')
    store.put(longer.file(segment), data + b'!')
    store.delete([gone.file(segment)])
    store.put(strange.manifest, b'[' * 10_000)
    store.put(other.manifest, store.get(good.manifest))
    store.put(evil.manifest, store.get(evil.manifest).replace(segment.encode(), b'../../x'))
    found = said('verify', code=1)
    assert (found['made'], found['failed']) == (1, 6)
    why = {item['flight']: item['why'] for item in found['flights']}
    assert why['good'] == ''
    assert why['changed'] == f'{segment} in the store is not what the manifest says'
    assert why['longer'] == why['changed']
    assert 'there is no such object' in why['gone']
    assert 'no manifest' in why['strange']
    assert 'it is that of drone-7/good' in why['other']
    assert 'no name of a file' in why['evil']


def test_a_file_in_the_place_of_results_is_told(store: Store, said: Said, root: Path) -> None:
    store_flight(store, record_tiny(root, 'one'))
    store.put('results', b'')
    (item,) = said('verify', code=1)['flights']
    assert 'Not a directory; something else is in its place' in item['why']


def test_a_flight_that_does_not_fit_the_disk_is_not_fetched(
    store: Store, said: Said, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store_flight(store, record_tiny(root, 'huge'))
    usage = shutil.disk_usage('/')
    with monkeypatch.context() as patch:
        patch.setattr(shutil, 'disk_usage', lambda _path: usage._replace(free=1000))
        (item,) = said('verify', code=1)['flights']
    assert 'name a larger disk with --temporary' in item['why']
    manifest = json.loads(store.get(key.manifest))
    manifest['files'][-1]['size'] = 1 << 60
    store.put(key.manifest, json.dumps(manifest).encode())
    (item,) = said('verify', code=1)['flights']
    assert 'not what the manifest says' in item['why']


def test_pages_lie_in_the_store(store: Store, said: Said, root: Path) -> None:
    name = '<script>alert(1)</script>'
    store_flight(store, record_tiny(root, 'a'), name)
    found = said('report')
    (item,) = found['flights']
    assert item['state'] == 'made'
    assert item['level'] == 'good'
    page = (store.directory / item['page']).read_text()
    assert '<title>a · flight report</title>' in page
    for text in files_below(store.directory / 'results').values():
        assert b'fdr-fleet-' not in text  # where the flight was meanwhile
    assert said('report')['there'] == 1


def test_a_process_that_dies_fails_its_flight_alone(store: Store) -> None:
    job = DeadlyJob(flights=('3',))
    tasks = [Task(store.url, FlightKey('v', str(number)), job) for number in range(8)]
    with LocalWorkers(2) as workers:
        outcomes = list(run(workers, tasks))
    assert Counter(item.state for item in outcomes) == {State.MADE: 7, State.FAILED: 1}
    assert outcomes[-1].key.flight == '3'
    assert 'died twice' in outcomes[-1].why


def test_a_task_whose_process_dies_once_is_done(store: Store, tmp_path: Path) -> None:
    task = Task(store.url, FlightKey('v', 'a'), DeadlyJob(once=str(tmp_path)))
    with LocalWorkers(1) as workers:
        assert [item.state for item in run(workers, [task])] == [State.MADE]


def test_a_task_of_another_version_is_refused(store: Store) -> None:
    outcome = do(Task(store.url, FlightKey('v', 'f'), DeadlyJob(), version='9.9'))
    assert outcome.state is State.FAILED
    assert 'needs 9.9' in outcome.why


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_what_was_ended_in_the_middle_goes_on(
    number: signal.Signals, store: Store, said: Said, root: Path, tmp_path: Path
) -> None:
    store_fleet(root, 12, store)
    results = store.directory / 'results'
    words = 'fleet', 'verify', store.url, '--workers', 1, '--temporary', tmp_path / 'temporary'
    (tmp_path / 'temporary').mkdir()
    with Path(os.devnull).open('r+') as nothing:
        fdr = start_fdr(*words, stdio=(nothing.fileno(),) * 3)
        try:
            wait_until(lambda: len(list(results.rglob('*.json'))) >= 2)
            os.kill(fdr.pid, number)
            code = fdr.wait(5.0)
        finally:
            fdr.kill()
            fdr.wait()
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    made = len(files_below(results))
    assert made < 12
    wait_until(lambda: not _processes_with(str(tmp_path)))  # its processes end with it
    found = said('verify')
    assert (found['made'], found['there']) == (12 - made, made)


def _processes_with(text: str) -> list[Path]:
    found = []
    for path in Path('/proc').glob('[0-9]*/maps'):
        try:
            if any(text in str(link.readlink()) for link in path.parent.glob('fd/*')):
                found.append(path.parent)
        except OSError:
            continue
    return found


def test_a_directory_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    left = tmp_path / 'fdr-fleet-left'
    left.mkdir()
    (left / 'segment').write_bytes(b'x')
    (tmp_path / 'fdr-fleet-link').symlink_to(tmp_path)
    with scratch_directory(tmp_path) as one:
        assert not left.exists()
        with scratch_directory(tmp_path) as other:
            assert one.exists()
            assert other.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {'fdr-fleet-link'}


def test_what_cannot_be_is_told(
    store: Store, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def why(*words: str) -> str:
        assert main(['fleet', *words]) == 3
        return capsys.readouterr().err

    assert 'there are no flights' in why('verify', store.url)
    store_flight(store, record_tiny(root, 'a'))
    assert 'not with --scheduler' in why(
        'verify', store.url, '--workers', '2', '--scheduler', 'tcp://127.0.0.1:1'
    )
    assert 'no directory /nowhere' in why('verify', store.url, '--temporary', '/nowhere')
    assert 'one topic' in why('extract', store.url, '--topic', '/imu/*')


def test_flights_are_named_and_counted(
    store: Store, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_flight(store, record_tiny(root, 'a'))
    bad = store_flight(store, record_tiny(root, 'b'), 'drone\x1b[31m')
    store.put(bad.manifest, b'x')
    assert main(['fleet', 'verify', store.url, '--workers', '1']) == 1
    text = capsys.readouterr().out
    assert '\x1b[31m' not in text
    assert text.splitlines()[-1].endswith(': 1 complete, 1 failed')
