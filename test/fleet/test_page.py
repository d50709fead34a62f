# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The page over a fleet: what is in its files, and what a reader sees while it is written."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import itertools
import json
from pathlib import Path
import re
from typing import Any

from fdr_recorder.cli.main import main
from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.page import content
from fdr_recorder.fleet.page.writing import INDEX, write_page, WrittenPage
from fdr_recorder.fleet.store import Store
import pytest
from report_pages import HOSTILE, Page
from synthetic_catalogue import flight_row, START_MS, write_rows

NOW_NS = 1_790_000_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / 'store'))


def written(store: Store) -> WrittenPage:
    with Catalogue.of(store, content.TABLES) as catalogue:

        def ask(question: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
            return catalogue.ask(question, values).rows()

        return write_page(store, ask, NOW_NS)


def flight(number: int, vehicle: str = 'drone-1', **values: Any) -> dict[str, Any]:
    started = (START_MS + number * 86_400_000) * 1000
    return flight_row(vehicle, f'f{number}', started=started, **values)


def parts(store: Store) -> list[list[Any]]:
    """Return the flights of each part, as the page's scripts give them."""
    found = []
    for _, _, _, count, flights, tracks in index(store).data['parts']:
        texts, rows = called_with(store, flights)
        assert len(rows) == len(called_with(store, tracks)) == count
        found.append([[row[0], texts[row[1]], row[2], texts[row[7]], texts[row[11]], row[12]]
                      for row in rows])
    return found


def index(store: Store) -> Page:
    return Page(store.get(INDEX).decode())


def called_with(store: Store, name: str) -> Any:
    text = store.get(f'page/{name}').decode()
    match = re.fullmatch(r'fdrFleet\((.*)\);\n', text, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_flights_are_in_parts_by_month_the_newest_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, 'PART_FLIGHTS', 10)
    rows = [flight(number) for number in range(45)]
    rows.append(flight_row('drone-2', 'undated', started=None, verdict='damaged'))
    place = {'vehicle': 'drone-1', 'flight': 'f44', 'time': 0}
    places = [{**place, 'time': at, 'lat': 47 + at / 1e4, 'lon': 8.5} for at in range(200)]
    alert = {**place, 'code': 'overrun', 'level': 'warning', 'times': 2}
    del alert['time']
    write_rows(store, flights=rows, places=places, alerts=[alert, alert])
    page = written(store)
    assert page.flights == 46
    found = parts(store)
    assert [len(part) for part in found] == [10, 4, 10, 10, 10, 1, 1]
    assert [row[2] for part in found for row in part] == [
        *(f'f{number}' for number in reversed(range(45))), 'undated',
    ]
    assert found[0][0][:4] == [START_MS + 44 * 86_400_000, 'drone-1', 'f44', 'complete']
    data = index(store).data
    assert data['months'] == [['', 0, 0, 0, 0, 1], ['2026-01', 31, 0, 0, 0, 0],
                              ['2026-02', 14, 0, 0, 0, 0]]
    assert data['verdicts'] == [['complete', 45], ['damaged', 1]]
    assert data['vehicles'] == [['drone-1', 45, 0], ['drone-2', 1, 1]]
    assert data['codes'] == [['overrun', 'warning', 1, 4]]
    track = called_with(store, data['parts'][0][5])[0]
    assert len(track) <= 2 * (content.POINTS + 1)
    assert track[:2] == [4_700_000, 850_000]
    assert sum(track[::2]) == 4_701_990


def test_reports_of_the_same_files_are_linked(store: Store) -> None:
    digest = '0123456789abcdef' * 4
    for name, of in (('f1', digest), ('f2', digest[::-1])):
        key = FlightKey('dröne', name)
        store.put(f'results/report/{key.below}-{of[:12]}-v1.html', b'')
    flights = [flight(number, 'dröne', manifest=digest) for number in (1, 2)]
    write_rows(store, flights=flights)
    written(store)
    (part,) = parts(store)
    assert [row[4] for row in part] == ['', '../results/report/dr~C3~B6ne/f1-0123456789ab-v1.html']


def test_no_text_becomes_markup(store: Store) -> None:
    alerts = []
    rows = []
    for number, text in enumerate(HOSTILE):
        texts = dict.fromkeys(('verdict', 'sentence', 'firmware', 'recorder'), text)
        rows.append(flight(number, text, **texts))
        alerts.append({'vehicle': text, 'flight': f'f{number}', 'code': text, 'level': text})
    write_rows(store, flights=rows, alerts=alerts)
    written(store)
    page = index(store)
    names = [name for name, _ in page.elements]
    assert names.count('script') == 2
    assert set(names) <= {
        'html', 'head', 'meta', 'link', 'title', 'style', 'body', 'header', 'nav', 'a', 'output',
        'button', 'div', 'main', 'p', 'h1', 'code', 'dl', 'section', 'h2', 'noscript', 'footer',
        'script',
    }
    assert sorted(name for name, _, _ in page.data['vehicles']) == sorted(HOSTILE)
    policy = page.of('meta')[1]['content']
    assert policy is not None
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy


class StoppedError(Exception):
    """The writer was killed."""


class DyingStore(Store):
    """A store whose user is killed after so many changes."""

    left = 0

    def put(self, *args: Any, **options: Any) -> bool:
        self._count()
        return super().put(*args, **options)

    def delete(self, keys: Any) -> None:
        self._count()
        super().delete(keys)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoppedError


def test_a_reader_sees_the_old_page_or_the_new_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, 'PART_FLIGHTS', 10)
    write_rows(store, flights=[flight(number) for number in range(45)])
    first = written(store)
    assert (first.written, first.removed) == (first.files, 0)
    again = written(store)
    assert (again.written, again.removed) == (1, 0)
    before = index(store).data['flights']
    write_rows(store, flights=[flight(number) for number in range(45, 60)])
    seen = set()
    for changes in itertools.count():
        dying = DyingStore.open(store.url)
        assert isinstance(dying, DyingStore)
        dying.left = changes
        with contextlib.suppress(StoppedError):
            written(dying)
        data = index(store).data
        assert sum(map(len, parts(store))) == data['flights']  # every file is there
        seen.add(data['flights'])
        if dying.left >= 0:  # it came to its end
            break
    assert seen == {before, 60}
    written(store)  # which removes what that has left for its readers
    files = {item.key for item in store.objects('page/data/')}
    assert files == {f'page/{name}' for part in index(store).data['parts'] for name in part[4:]}


def test_the_verb(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['fleet', 'page', store.url]) == 3
    assert 'has no catalogue yet' in capsys.readouterr().err
    write_rows(store, flights=[flight(1)])
    assert main(['fleet', 'page', store.url]) == 0
    assert capsys.readouterr().out.startswith(f'{store.url}/page/index.html: 1 flight, 3 files')
