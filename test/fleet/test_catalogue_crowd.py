# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Several processes write, join and ask the catalogue at once: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import subprocess
import sys

from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.store import Store
import fleet_crowd_program
import pytest
from store_servers import StoreServer

SECONDS = 4
TOP = Path(__file__).parents[2]

pytestmark = pytest.mark.slow  # test_catalogue.py holds each kind of it for a moment


@pytest.fixture(params=['weed', 'directory'])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == 'directory':
        yield str(tmp_path / 'store')
        return
    with StoreServer('weed', tmp_path / 'weed') as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server.url


def test_nothing_is_lost_and_nothing_is_there_twice(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has a cache of its own, as on machines of their own; two share one."""
    path = os.pathsep.join((str(TOP), str(TOP / 'test'), str(TOP / 'test' / 'support')))
    works = ['write', 'write', 'compact', 'compact', 'ask', 'ask']
    processes = [
        subprocess.Popen(
            [sys.executable, fleet_crowd_program.__file__, work, url, str(SECONDS), str(number)],
            env={
                **os.environ,
                'PYTHONPATH': path,
                'XDG_CACHE_HOME': str(tmp_path / f'cache{min(number, 4)}'),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, work in enumerate(works)
    ]
    ended = [process.communicate(timeout=90) for process in processes]
    assert [err for _, err in ended] == [''] * len(works)
    done = [int(out) for out, _ in ended]
    assert min(done) >= fleet_crowd_program.LEAST
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    with Catalogue.of(Store.open(url), 'topics') as catalogue:
        ((rows, flights, topics),) = catalogue.ask(fleet_crowd_program.QUESTION).rows()
    assert rows == flights
    assert topics == 25 * flights
    assert flights == len(
        {
            receipt.key
            for number in (0, 1)
            for receipt, _ in zip(
                fleet_crowd_program.receipts(10_000, fleet_crowd_program.NOW, 10, seed=number),
                range(done[number]),
                strict=False,
            )
        }
    )
