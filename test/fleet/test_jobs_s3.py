# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Jobs and the page with a real server that speaks S3."""

from __future__ import annotations

import json
from pathlib import Path

from fdr_recorder.cli.main import main
from fdr_recorder.fleet.store import Store
from job_workers import InlineWorkers
import pytest
from small_fleet import COUNT, NEW, record_tiny
from store_servers import BUCKET, SECRET, StoreServer
from stored_flights import store_flight
from synthetic_catalogue import flight_row, START_MS, write_rows

pq = pytest.importorskip('pyarrow.parquet')


@pytest.mark.slow
def test_results_lie_in_s3_with_their_types(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)
    with StoreServer('moto', tmp_path / 'moto') as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        url = f'{server.url}/fleet'
        store = Store.open(url)
        keys = [
            store_flight(store, record_tiny(root, name, *schema), 'drone/1')
            for name, *schema in (('a',), ('b', NEW))
        ]
        write_rows(store, flights=[
            flight_row(*key, started=START_MS * 1000, manifest='0' * 64) for key in keys
        ])

        def run(*words: str) -> None:
            assert main(['fleet', words[0], url, *words[1:], '--json']) == 0

        for made in (2, 0):
            run('verify')
            run('report')
            run('extract', '--topic', '/battery')
            for document in capsys.readouterr().out.split('\n}\n')[:3]:
                assert json.loads(f'{document}\n}}')['made'] == made
        run('page')
        assert SECRET not in capsys.readouterr().out
        client = server.client()
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix='fleet/')['Contents']
        types = {
            item['Key']: client.head_object(Bucket=BUCKET, Key=item['Key'])['ContentType']
            for item in listed
        }
        suffixes = {
            '.html': 'text/html; charset=utf-8',
            '.js': 'text/javascript; charset=utf-8',
            '.report.json': 'application/json',
        }
        for suffix, kind in suffixes.items():
            found = {type_ for key, type_ in types.items() if key.endswith(suffix)}
            assert found == {kind}, suffix
        for flight in 'ab':
            key = f'results/extract/battery/vehicle=drone~2F1/flight={flight}/part.parquet'
            (tmp_path / 'part').write_bytes(store.get(key))
            table = pq.read_table(tmp_path / 'part', partitioning=None)
            assert table.column_names[-2:] == ['voltage', 'cycles']
            assert table['cycles'].null_count == (COUNT if flight == 'a' else 0)
