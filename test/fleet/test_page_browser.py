# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The page over a fleet in a real browser: opened as a file, and from a web server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import threading
from typing import Any

from browser import Browser, run_browser, Tab
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.store import Store
import pytest
from report_pages import HOSTILE
from synthetic_catalogue import flight_row, START_MS, write_many, write_rows
from waiting import wait_until

DAY_MS = 86_400_000
FIRST_VIEW_MS = 2000


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with run_browser(tmp_path_factory.mktemp('profile')) as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """Open a tab, and see afterwards that nothing was complained about."""
    with browser.tab() as tab:
        yield tab
        assert tab.complaints == []


def page_of(directory: Path) -> Path:
    assert main(['fleet', 'page', str(directory)]) == 0
    return directory / 'page' / 'index.html'


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page over flights of two months; no test changes it."""
    directory = tmp_path_factory.mktemp('store')
    store = Store.open(str(directory))
    rows, places = [], []
    for number in range(60):
        vehicle, flight = f'drone-{number % 3}', f'f{number}'
        started = (START_MS + number * DAY_MS) * 1000
        verdict = 'damaged' if number == 5 else 'complete'
        rows.append(flight_row(
            vehicle, flight, started=started, verdict=verdict, manifest='a' * 64
        ))
        places += [
            {'vehicle': vehicle, 'flight': flight, 'time': at, 'lat': 47 + at / 1e4, 'lon': 8.5}
            for at in range(9)
        ]
    report = f'results/report/{FlightKey("drone-2", "f59").below}-{"a" * 12}-v1.html'
    store.put(report, b'<!doctype html><title>the report</title>')
    alert = {'vehicle': 'drone-2', 'flight': 'f2', 'code': 'disk_full', 'level': 'error'}
    write_rows(store, flights=rows, places=places, alerts=[alert])
    return page_of(directory)


def see(tab: Tab, script: str, wanted: Any = True) -> None:
    wait_until(lambda: tab.run(script) == wanted, f'{script} is {wanted}, not {tab.run(script)}')


ROWS = "document.querySelectorAll('#flights tbody tr').length"
FLIGHTS = "[...document.querySelectorAll('#flights tbody code')].map(each => each.textContent)"
SAID = "document.querySelector('header .at').textContent"


def fill(tab: Tab, label: str, value: str) -> None:
    """Type into a filter."""
    tab.run(
        '(() => {const label = [...document.querySelectorAll(".filters label")]'
        f'.find(each => each.textContent.startsWith({json.dumps(label)}));'
        f"const input = label.querySelector('input, select'); input.value = {json.dumps(value)};"
        "input.dispatchEvent(new Event('input'))})()"
    )


def test_flights_are_found_by_each_filter(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    assert tab.run(ROWS) == 40
    assert tab.run(SAID) == '60 flights'
    tab.run("document.querySelector('#flights > .more').click()")
    see(tab, ROWS, 60)
    for label, value, found in (
        ('Search', 'disk_full', ['f2']),
        ('Verdict', 'damaged', ['f5']),
        ('From', '2026-02-28', ['f59', 'f58']),
        ('To', '2026-01-02', ['f1', 'f0']),
        ('Search', 'f1 drone-1 1.15', [f'f{number}' for number in (19, 16, 13, 10, 1)]),
        ('Search', 'nothing of the kind', []),
    ):
        fill(tab, label, value)
        see(tab, FLIGHTS, found)
        assert tab.run(SAID) == f'{len(found)} of 60 flights'
        fill(tab, label, '')
        see(tab, ROWS, 40)
    fill(tab, 'Vehicle', 'drone-1')
    see(tab, SAID, '20 of 60 flights')
    tab.open_live(page.with_name(page.name))  # and it is in the address
    assert {url.partition(':')[0] for url in tab.requests} <= {'file', 'data'}


def test_a_flight_opens_with_its_track_and_its_report(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    see(tab, "document.querySelectorAll('#map svg path.line').length", 60)
    assert tab.run("document.querySelector('#map .scale text').textContent").endswith('m')
    tab.run("document.querySelector('.open').focus()")
    key(tab, 'Enter')
    see(tab, "document.querySelectorAll('.about svg path.line').length", 1)
    assert tab.run("document.querySelectorAll('#flights a').length") == 1
    tab.run("document.querySelector('#flights a').click()")
    see(tab, 'document.title', 'the report')


def key(tab: Tab, name: str) -> None:
    codes = {'Enter': 13, 'Tab': 9, 'Escape': 27, 'ArrowRight': 39, 'ArrowDown': 40, '/': 191}
    text = {'Enter': '\r', '/': '/'}.get(name)
    more = {'text': text} if text else {}
    event = {'key': name, 'windowsVirtualKeyCode': codes[name]}
    tab.call('Input.dispatchKeyEvent', type='keyDown', **event, **more)
    tab.call('Input.dispatchKeyEvent', type='keyUp', **event)


FOCUS = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.type"


def test_the_keyboard_reaches_everything(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    see(tab, "!!document.querySelector('.matrix button')")
    key(tab, '/')
    assert tab.run(FOCUS) == 'search'
    tab.run("document.querySelector('.months button[tabindex=\"0\"]').focus()")
    assert tab.run(FOCUS) == '2026-03: 1 flight'
    tab.run("document.querySelector('.months button').focus()")
    key(tab, 'Enter')
    see(tab, "document.querySelector('.matrix th').textContent", '2026-01')
    tab.run("document.querySelector('.matrix button').focus()")
    assert tab.run(FOCUS) == 'drone-0, 2026-01-01: 1 flight, complete'
    key(tab, 'ArrowRight')
    assert tab.run(FOCUS) == 'drone-0, 2026-01-04: 1 flight, complete'
    key(tab, 'ArrowDown')
    assert tab.run(FOCUS) == 'drone-1, 2026-01-05: 1 flight, complete'
    key(tab, 'Enter')
    see(tab, FLIGHTS, ['f4'])
    assert tab.run('location.hash') == '#?vehicle=drone-1&from=2026-01-05&to=2026-01-05'
    tab.run("document.querySelector('.filters input').focus()")
    key(tab, 'Escape')
    see(tab, ROWS, 40)


def test_no_text_becomes_markup(tab: Tab, tmp_path: Path) -> None:
    rows, alerts, places = [], [], []
    for number, text in enumerate(HOSTILE):
        started = (START_MS + number) * 1000
        rows.append(flight_row(
            text, text, started=started, verdict=text, sentence=text, firmware=text,
        ))
        alerts.append({'vehicle': text, 'flight': text, 'code': text, 'level': text, 'times': 1})
        places.append({'vehicle': text, 'flight': text, 'time': 0, 'lat': 1e-9, 'lon': 179.99999})
    write_rows(Store.open(str(tmp_path)), flights=rows, alerts=alerts, places=places)
    tab.open_live(page_of(tmp_path))
    see(tab, "document.querySelectorAll('.matrix button').length", len(HOSTILE))
    for _ in HOSTILE:
        tab.run("document.querySelector('.open[aria-expanded=false]').click()")
    see(tab, "document.querySelectorAll('.about-row').length", len(HOSTILE))
    see(tab, "document.querySelectorAll('.about svg').length", len(HOSTILE))
    assert tab.run('window.hacked') is None
    assert tab.run("document.querySelectorAll('body img, main script, main style').length") == 0
    for text in HOSTILE:  # each can be looked for
        fill(tab, 'Vehicle', text)
        see(tab, SAID, f'1 of {len(HOSTILE)} flights')


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory as a store's web endpoint does."""

    class Quiet(SimpleHTTPRequestHandler):

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_opens_from_the_web_and_on_a_phone(tab: Tab, page: Path, scheme: str) -> None:
    with served(page.parents[1]) as address:
        tab.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': scheme}
        ])
        tab.resize(390, 844)
        tab.call('Page.navigate', url=f'{address}/page/index.html')
        see(tab, "!!document.documentElement?.classList.contains('live')")
        see(tab, "document.querySelectorAll('#map svg').length", 1)
        assert tab.run('document.documentElement.scrollWidth <= innerWidth')
        dark = tab.run('getComputedStyle(document.body).backgroundColor') == 'rgb(14, 18, 22)'
        assert dark == (scheme == 'dark')
        others = [url for url in tab.requests if not url.startswith((address, 'data:', 'about:'))]
        assert [url for url in others if not url.startswith('file:')] == []


def test_parts_that_are_gone_are_told(browser: Browser, tmp_path: Path) -> None:
    """Somebody reads a page for so long that it was made anew twice."""
    store = Store.open(str(tmp_path))
    rows = [
        flight_row('v', f'f{number}', started=(START_MS + min(number, 1) * 31 * DAY_MS) * 1000)
        for number in range(50)
    ]
    write_rows(store, flights=rows)
    page = page_of(tmp_path)
    with browser.tab() as tab:
        tab.open_live(page)
        for path in (page.parent / 'data').iterdir():
            path.unlink()
        fill(tab, 'To', '2026-01-01')
        see(tab, SAID, 'This page was made anew meanwhile: Reload')


@pytest.mark.slow
def test_a_hundred_thousand_flights_are_seen_at_once(tab: Tab, tmp_path: Path) -> None:
    write_many(Store.open(str(tmp_path)), 100_000)
    page = page_of(tmp_path)
    times = []
    for _ in range(3):
        tab.open_live(page)
        times.append(int(tab.run('document.documentElement.dataset.viewMs')))
    assert min(times) < FIRST_VIEW_MS, times
    assert tab.run(SAID) == '100,000 flights'
    fill(tab, 'Search', 'overrun')
    see(tab, f'!{SAID}.includes("parts") && {SAID}.includes(" of 100,000")')
