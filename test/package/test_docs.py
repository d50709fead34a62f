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

from pathlib import Path
import re

from fdr_recorder.alerts import ALERT_LEVELS
from fdr_recorder.config import OPTIONS
import pytest

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
