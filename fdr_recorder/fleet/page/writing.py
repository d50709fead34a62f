# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Writes the page so that whoever reads it meanwhile sees the old one or the new one.

Files of data are named by their content and never changed; `index.html`, which names them, comes
last. Those that neither it nor the one before names are removed then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import hashlib
import json
import re
from typing import Any, Final

from fdr_recorder.fleet.errors import NotStoredError
from fdr_recorder.fleet.jobs.report_job import PAGE_SUFFIX
from fdr_recorder.fleet.jobs.task import HASH_DIGITS
from fdr_recorder.fleet.layout import decoded, FlightKey, PAGE, RESULTS
from fdr_recorder.fleet.page.content import (
    Ask,
    LEVEL_NAMES,
    LEVELS,
    read_flights,
    read_tracks,
)
from fdr_recorder.fleet.page.frame import index_page
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import format_date, time_of_day

INDEX: Final = f'{PAGE}index.html'
_REPORTS: Final = f'{RESULTS}report/'
_REPORT: Final = re.compile(
    rf'{_REPORTS}([^/]+)/([^/]+)-([0-9a-f]{{{HASH_DIGITS}}})-v\d+{re.escape(PAGE_SUFFIX)}'
)
_DATA: Final = re.compile(r'data/[0-9a-f]{24}\.js')
_MOST_INDEX_BYTES: Final = 64 << 20
_HTML: Final = 'text/html; charset=utf-8'
_SCRIPT: Final = 'text/javascript; charset=utf-8'


@dataclass(frozen=True)
class WrittenPage:
    """
    What was written.

    Attributes:
        key: The page's key.
        flights: How many flights it shows.
        files: How many files it has.
        written: How many of these are new.
        removed: How many of earlier pages were removed.
        bytes: The size of all.

    """

    key: str
    flights: int
    files: int
    written: int
    removed: int
    bytes: int


def write_page(
    store: Store,
    ask: Ask,
    made_ns: int,
    begin: Callable[[int], None] = lambda _count: None,
    advance: Callable[[int], None] = lambda _count: None,
) -> WrittenPage:
    """
    Write the page over all flights that the catalogue has.

    Args:
        store: Where.
        ask: Asks the catalogue.
        made_ns: The time, which the page tells.
        begin: Told how many flights there are.
        advance: Told of how many more the files are there.

    Raises:
        StoreError: The store refuses, or does not answer; the page of before is still there.

    """
    overview, parts = read_flights(ask, dict(_reports(store)))
    writer = _Writer(store)
    listed = []
    begin(overview.flights)
    for part in parts:
        listed.append([
            part.month, part.first_ms, part.last_ms, len(part.rows),
            writer.put(part.to_list()),
            writer.put(read_tracks(ask, part)),
        ])
        advance(len(part.rows))
    index = index_page({
        **overview.to_dict(),
        'url': store.url,
        'made': f'{format_date(made_ns)} {time_of_day(made_ns, 0)}',
        'levels': LEVELS,
        'level_names': LEVEL_NAMES,
        'parts': listed,
    }).encode('utf-8', 'replace')
    removed = writer.finish(index)
    return WrittenPage(
        INDEX,
        overview.flights,
        len(writer.sizes) + 1,
        writer.written + 1,
        removed,
        sum(writer.sizes.values()) + len(index),
    )


class _Writer:
    """
    Puts files of data, then the index.

    Attributes:
        sizes: The size of each file of data, by its name.
        written: How many of these were not there.

    """

    def __init__(self, store: Store) -> None:
        self.sizes: dict[str, int] = {}
        self.written = 0
        self._store = store
        self._there = {item.key for item in store.objects(f'{PAGE}data/')}

    def put(self, data: list[Any]) -> str:
        """Write a file, unless it is there; return its name."""
        text = json.dumps(data, separators=(',', ':'), allow_nan=False)
        code = f'fdrFleet({text});\n'.encode()
        name = f'data/{hashlib.sha256(code).hexdigest()[:24]}.js'
        if PAGE + name not in self._there and name not in self.sizes:
            self._store.put(PAGE + name, code, _SCRIPT)
            self.written += 1
        self.sizes[name] = len(code)
        return name

    def finish(self, index: bytes) -> int:
        """Write the index; remove files that nobody names any more, and return how many."""
        before = _named(self._store)
        self._store.put(INDEX, index, _HTML)
        keep = {PAGE + name for name in (*self.sizes, *before, *_named(self._store))}
        unnamed = [key for key in self._there if key not in keep]
        self._store.delete(unnamed)
        return len(unnamed)


def _named(store: Store) -> set[str]:
    """Return the files that the page in the store names."""
    try:
        index = store.get(INDEX, _MOST_INDEX_BYTES)
    except NotStoredError:
        return set()
    return set(_DATA.findall(index.decode('utf-8', 'replace')))


def _reports(store: Store) -> Iterator[tuple[tuple[FlightKey, str], str]]:
    """Yield the reports that are there, as links from the page."""
    for item in store.objects(_REPORTS):
        match = _REPORT.fullmatch(item.key)
        if match is not None:
            key = FlightKey(decoded(match[1]), decoded(match[2]))
            yield (key, match[3]), f'../{item.key}'
