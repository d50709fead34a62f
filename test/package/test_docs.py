# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the documentation names exists: tests, options, alerts, files, headings."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any

from fdr_recorder import Channel, FdrConfig, record_flight, Schema
from fdr_recorder.alerts import ALERT_LEVELS
from fdr_recorder.cli.main import main
from fdr_recorder.config import OPTIONS
from fdr_recorder.fleet.store import Store
from fdr_recorder.ground.texts import (
    ALERT_TEXTS,
    RecorderState,
    SEVERITIES,
    STATE_SEVERITIES,
)
from fdr_recorder.seal.key_files import make_key_file
from fdr_verbs import COMMANDS
from job_workers import InlineWorkers
import pytest
from stored_flights import store_flight

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / 'docs'
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason='there is no docs/ beside the tests')

PAGES = sorted((*DOCS.glob('*.md'), *TOP.glob('*.md')))


def text_of(page: Path) -> str:
    return page.read_text(encoding='utf-8')


def anchors(page: Path) -> set[str]:
    """Return the names by which GitHub knows the headings of a page."""
    prose = re.sub(r'^```.*?^```', '', text_of(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r'^#+ (.+)$', prose, flags=re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_every_test_that_is_named_exists() -> None:
    sources = list((TOP / 'test').rglob('*.py'))
    defined = {path.stem for path in sources}
    for path in sources:
        defined.update(re.findall(r'def (test_\w+)', text_of(path)))
    named = {name for page in PAGES for name in re.findall(r'`(test_[a-z0-9_]+)`', text_of(page))}
    assert named
    assert named - defined == set()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r'\]\((?!https?:)([^)\s]+)\)', text_of(page)):
        name, _, anchor = target.partition('#')
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_module_that_is_named_exists() -> None:
    for page in PAGES:
        for name in re.findall(r'`((?:[\w]+/)+\w+\.(?:py|yaml|xml))`', text_of(page)):
            assert (TOP / name).exists() or (TOP / 'fdr_recorder' / name).exists(), name


def test_every_option_and_every_alert_has_its_row() -> None:
    options = re.findall(r'^\| `([\w.]+)` \|', text_of(DOCS / 'configuration.md'), re.MULTILINE)
    assert sorted(options) == sorted(OPTIONS)
    codes = re.findall(r'^\| \w+ \| `(\w+)` \|', text_of(DOCS / 'alerts.md'), re.MULTILINE)
    assert sorted(codes) == sorted(ALERT_LEVELS)


def test_the_page_on_the_ground_has_every_text() -> None:
    page = text_of(DOCS / 'ground.md')
    rows = re.findall(r'^\| `(\w+)` \| (\w+) \| `FDR: (.*?)` \| `FDR: (.*?)` \|', page, re.M)
    assert set(ALERT_TEXTS) == set(ALERT_LEVELS), 'each alert has its texts in ground/texts.py'
    assert sorted(rows) == sorted(
        (code, SEVERITIES[level].name, ALERT_TEXTS[code].begins, ALERT_TEXTS[code].over)
        for code, level in ALERT_LEVELS.items()
    )
    states = re.findall(r'^\| `FDR: ([^`]+)` \| (\w+) \| (?!`)', page, re.M)
    assert states == [(state.value, STATE_SEVERITIES[state].name) for state in RecorderState]
    causes = re.findall(r'`NOT RECORDING, (.*?)`', page)
    assert causes == [wording.cause for wording in ALERT_TEXTS.values() if wording.cause]


# --- the JSON contract of after-landing.md -------------------------------------------------------

DESCRIBED_ELSEWHERE = ('header', 'footer', 'config', 'message', 'values')
"""What is under these keys is described elsewhere: fields of records, names of nodes."""


def keys_of(document: Any) -> Iterator[str]:
    """Yield the keys of a document, without those of records and of maps by name."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            if key not in (*DESCRIBED_ELSEWHERE, 'nodes', 'events'):
                yield from keys_of(value)
    elif isinstance(document, list):
        for item in document:
            yield from keys_of(item)


@pytest.fixture(scope='module')
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('flights')
    options = {'flight_root': str(root), 'writer.min_free_bytes': 0, 'ring.max_records': 2}
    with record_flight(FdrConfig.from_options(options)) as recorded:
        client = recorded.client(Channel('/text', Schema('std_msgs/msg/String', 'string data\n')))
        for _ in range(500):
            client.enqueue(b'\0\1\0\0\2\0\0\0a\0')
    return recorded.path


@pytest.mark.parametrize('verb', [' '.join(words) for words in COMMANDS if words != ('play',)])
def test_every_key_of_json_is_described(
    verb: str,
    flight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)
    root = flight.parent
    key = tmp_path / 'key'
    if verb == 'keys':
        make_key_file(key)
    store = tmp_path / 'store'
    if verb.startswith('fleet '):
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
        store_flight(Store.open(str(store)), flight)
    if verb.startswith('fleet ') and verb != 'fleet receive':
        main(['fleet', 'receive', str(store), '--workers', '1', '--json'])
        capsys.readouterr()
    arguments = {
        'fleet verify': (store,),
        'fleet report': (store,),
        'fleet extract': (store, '--topic', '/text'),
        **{f'fleet {name}': (store,) for name in ('receive', 'ls', 'catalogue', 'page')},
        'fleet sql': (store, 'SELECT 1 AS name'),
        'ls': (root,),
        'export': (flight, '-o', tmp_path / 'out.mcap'),
        'check': ('--measure', '0'),
        'tail': ('--flight', flight, '--last', '1'),
        'prune': (root, '--keep', '0', '--dry-run'),
        'offload': (root, store),
        'keygen': (key, '--principal', 'drone-7'),
        'keys': ('rotate', key, '--principal', 'drone-7'),
    }.get(verb, (flight,))
    code = main([*verb.split(), *map(str, arguments), '--json'])
    assert code in (0, 1, 2)
    keys = set(keys_of(json.loads(capsys.readouterr().out)))
    assert keys
    pages = text_of(DOCS / 'after-landing.md') + text_of(DOCS / 'fleet.md')
    described = re.split('^## ', pages, flags=re.MULTILINE)
    own, common, status, checked, catalogue = (
        next(text for text in described if text.startswith(heading))
        for heading in (f'fdr {verb}\n', 'JSON\n', 'Status\n', 'fdr verify\n', 'The catalogue\n')
    )
    text = own + common + status + (checked if verb == 'report' else '')
    text += catalogue if verb.startswith('fleet ') else ''
    named = set(re.findall(r'`(\w+)`', text))
    assert keys - named == set()
