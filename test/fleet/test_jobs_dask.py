# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Jobs on a Dask cluster: the same as here, whatever becomes of its workers."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import threading
from typing import Any

from dask_cluster import dask_cluster
from fdr_program import run_fdr
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.jobs import cluster as cluster_module
from fdr_recorder.fleet.store import Store
from job_workers import InlineWorkers
import pytest
from small_fleet import record_tiny, store_fleet
from stored_flights import store_flight
from waiting import wait_until

COUNT = 200


def files_below(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob('*') if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_worker_makes_what_one_machine_makes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = (Store.open(str(tmp_path / name)) for name in ('here', 'there'))
    assert here.directory is not None
    assert there.directory is not None
    store_fleet(root, COUNT, here, there)
    results = here.directory / 'results', there.directory / 'results'
    commands = ('verify',), ('extract', '--topic', '/battery')
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)
    for verb, *words in commands:
        assert main(['fleet', verb, here.url, *words, '--json']) == 0
    capsys.readouterr()
    with dask_cluster(tmp_path, 2) as cluster:
        first = cluster.workers[0]

        def kill_in_the_middle() -> None:
            made = results[1] / 'verify'
            wait_until(lambda: len(list(made.glob('*/*'))) > COUNT // 4, deadline_s=120.0)
            os.kill(first.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        for verb, *words in commands:
            words += ['--scheduler', cluster.address, '--json']
            done = run_fdr('fleet', verb, there.url, *words)
            assert done.returncode == 0, done.stderr
            said = json.loads(done.stdout)
            assert said['made'] + said['there'] == COUNT  # one was there before it died
            assert said['there'] <= 1
        killer.join()
        assert first.wait(10.0) == -signal.SIGKILL
    assert files_below(results[0]) == files_below(results[1])


def why(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    assert main(['fleet', 'verify', *map(str, words)]) == 3
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_that_cannot_do_it_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(str(tmp_path / 'store'))
    store_flight(store, record_tiny(root, 'a'))
    monkeypatch.setattr(cluster_module, '_ANSWER_S', 2.0)
    nobody = why(capsys, store.url, '--scheduler', 'tcp://127.0.0.1:1')
    assert 'the scheduler tcp://127.0.0.1:1 does not answer' in nobody
    strange = why(capsys, store.url, '--scheduler', 'nonsense://x')
    assert 'the scheduler nonsense://x does not answer' in strange
    with dask_cluster(tmp_path, 0) as cluster:
        where = store.url, '--scheduler', cluster.address
        assert f'the scheduler {cluster.address} has no workers' in why(capsys, *where)
        old = tmp_path / 'old'
        (old / 'fdr_recorder').mkdir(parents=True)
        (old / 'fdr_recorder' / '__init__.py').write_text('')
        cluster.start_worker({'PYTHONPATH': str(old)})
        monkeypatch.setattr(cluster_module, '_ANSWER_S', 30.0)
        assert 'it lacks what is needed: ' in why(capsys, *where)
