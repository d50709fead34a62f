# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A report in a real browser: no complaint, no request, exact values, on any screen, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re

from browser import Browser, run_browser, Tab
from conftest import MakeWriter
from fdr_recorder.report import gather, write_page
from producers import make_client, open_flight, send
import pytest
from report_pages import record_hostile, recorded_page
from sensor_flight import record_sensors, SPIKE_S

SCREENS = ((1440, 900), (1024, 768), (768, 1024), (390, 844))
"""Desktop, tablet, tablet upright, phone."""


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Run a browser for all tests of this file."""
    with run_browser(tmp_path_factory.mktemp('profile')) as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """Open a tab, and see afterwards that nothing was complained about, and nothing asked for."""
    with browser.tab() as tab:
        yield tab
        assert tab.complaints == []
        assert {url.partition(':')[0] for url in tab.requests} <= {'file'}
        assert len(set(tab.requests)) == 1, 'the page alone'


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a flight with attitude, position and battery; no test changes it."""
    return recorded_page(tmp_path_factory.mktemp('sensors'), record_sensors)


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f'document.querySelector({selector!r}).textContent'))


CONTRAST = """(() => {
  const channel = value =>
    (value /= 255) <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const parse = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
  };
  const poor = [];
  for (const element of document.querySelectorAll('main *, header *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const color = parse(element.closest('svg') ? style.fill : style.color);
    const pair = [light(color), light(behind(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
})()"""


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_fits_and_can_be_read(tab: Tab, page: Path, scheme: str) -> None:
    tab.open_live(page, prefers_color_scheme=scheme)
    dark = tab.run('getComputedStyle(document.body).backgroundColor') != 'rgb(244, 245, 247)'
    assert dark == (scheme == 'dark')
    for width, height in SCREENS:
        tab.resize(width, height)
        tab.settle()
        assert tab.run('document.documentElement.scrollWidth <= innerWidth'), width
        assert tab.run(CONTRAST) == [], width


def test_the_pointer_shows_exact_values_everywhere(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    assert not tab.run("document.documentElement.classList.contains('has-at')")
    tab.point('#battery .plot', SPIKE_S / 40)
    assert text(tab, '#battery output').startswith('99.00 V at ')
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.\d{3} UTC {2}\+0:12\.3\d\d', text(tab, '.at'))
    assert re.match(r'\W?\d\.\d ° at ', text(tab, '#attitude output'))
    assert text(tab, '#position .track output').startswith('47.000')
    assert 'segment' in text(tab, '.events')
    tab.point('#battery .plot', 22 / 40)  # nothing was recorded then
    assert text(tab, '#battery output') == '\N{EN DASH}'
    assert 'no message of any topic for 4.0 s' in text(tab, '.events')
    tab.point('.top h1', 0.5)
    assert text(tab, '.at') == ''


def test_a_press_holds_the_moment_until_another_elsewhere(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    tab.point('#battery .plot', 0.25, press=True)
    held = text(tab, '.at')
    tab.point('.top h1', 0.5)
    assert text(tab, '.at') == held
    tab.point('#battery .plot', 0.75, press=True)
    assert text(tab, '.at') > held
    tab.point('.top h1', 0.5, press=True)
    assert text(tab, '.at') == ''


def test_the_keyboard_goes_through_time(tab: Tab, page: Path) -> None:
    tab.open_live(page)
    tab.run("document.querySelector('#battery .plot').focus()")
    tab.press('Home')
    assert text(tab, '#battery output').startswith('16.00 V at ')
    tab.press('ArrowRight')
    later = text(tab, '.at')
    assert later.endswith('+0:00.100')
    tab.press('End')
    assert text(tab, '#battery output').startswith('15.60 V at ')
    tab.press('Escape')
    assert text(tab, '.at') == ''


def test_light_and_dark_by_hand(tab: Tab, page: Path) -> None:
    tab.open_live(page, prefers_color_scheme='light')
    background = 'getComputedStyle(document.body).backgroundColor'
    light = tab.run(background)
    tab.point('.theme', 0.5, press=True)
    dark = tab.run(background)
    assert dark != light
    tab.open_live(page, prefers_color_scheme='light')
    assert tab.run(background) == dark, 'it is remembered'
    tab.point('.theme', 0.5, press=True)
    assert tab.run(background) == light


def test_many_topics_stay_usable(
    tab: Tab, make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    writer = make_writer()
    clients = [make_client(f'/topic/{number:03}', f'{number:04x}') for number in range(500)]
    open_flight(writer, 'x', *clients)
    for number, client in enumerate(clients):
        send(client, range(1 + number % 7), 100 + number)
    writer.close_flight('x')
    writer.stop()
    write_page(gather(root / 'x'), tmp_path / 'page.html')
    tab.open_live(tmp_path / 'page.html')
    shown = "[...document.querySelectorAll('.topic')].filter(e => e.getClientRects().length)"
    names = f'{shown}.map(e => e.dataset.name)'
    assert tab.run(f'{shown}.length') == 30
    tab.run("document.querySelector('.more').click()")
    assert tab.run(f'{shown}.length') == 500
    tab.run("document.querySelector('[data-sort=messages]').click()")
    counts = tab.run(f'{shown}.map(e => Number(e.dataset.messages))')
    assert counts == sorted(counts, reverse=True)
    tab.run("document.querySelector('[data-sort=name]').click()")
    assert tab.run(names) == [f'/topic/{number:03}' for number in range(500)]
    tab.run(
        "(() => {const search = document.querySelector('[type=search]'); search.value = 'C/49';"
        "search.dispatchEvent(new Event('input'))})()"
    )
    assert tab.run(names) == [f'/topic/49{number}' for number in range(10)]
    tab.run("document.querySelector('.topic:not([hidden])').open = true")
    assert 'Publisher' in tab.run(f'{shown}[0].innerText')


def test_hostile_texts_stay_texts(
    tab: Tab, make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    write_page(gather(record_hostile(make_writer, root)), tmp_path / 'page.html')
    tab.open_live(tmp_path / 'page.html')
    for selector in ('.lane .plot', '.spark', '.chart .plot'):
        tab.point(selector, 0.5)
    assert tab.run('window.hacked') is None
    assert tab.run("document.querySelectorAll('img, script').length") == 3
    assert tab.run('getComputedStyle(document.body).display') == 'block'
    assert '<script>window.hacked=1</script>' in text(tab, 'h1')


def test_without_scripts_everything_is_there(tab: Tab, page: Path) -> None:
    tab.call('Emulation.setScriptExecutionDisabled', value=True)
    tab.open(page)
    html = tab.run('document.body.innerText')
    for word in ('Every one of', 'Voltage', '/gps/fix', 'The sum above is right'):
        assert word in html
    assert tab.run("document.querySelectorAll('path.line').length") >= 8
    topics = "[...document.querySelectorAll('.topic')]"
    assert tab.run(f'{topics}.every(e => e.getClientRects().length)')


def test_it_prints(tab: Tab, page: Path, tmp_path: Path) -> None:
    tab.open_live(page, prefers_color_scheme='dark')
    tab.print(tmp_path / 'page.pdf')
    assert (tmp_path / 'page.pdf').read_bytes().startswith(b'%PDF')
    tab.call('Emulation.setEmulatedMedia', media='print')
    assert tab.run("getComputedStyle(document.querySelector('main')).color") == 'rgb(0, 0, 0)'
    assert tab.run('getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
    assert tab.run("document.querySelector('header').getClientRects().length") == 0
    assert tab.run("[...document.querySelectorAll('section > details')].every(e => e.open)")


def test_a_complaint_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    """The other tests mean something only if this browser does complain."""
    page = tmp_path / 'page.html'
    page.write_text(
        '<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src \'none\'">'
        '<script>1</script><img src="missing.png">'
    )
    with browser.tab() as tab:
        tab.open(page)
        assert any('Content Security Policy' in text for text in tab.complaints)
        assert any(url.endswith('missing.png') for url in tab.requests)
