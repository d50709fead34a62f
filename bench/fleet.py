# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The catalogue of a fleet: the ten questions of docs/fleet.md, and making it from receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from importlib import import_module
import os
from pathlib import Path
import sys
import time
from typing import Any, Final

from bench.figures import Row
from bench.trial import memory_directory

_SUPPORT: Final = Path(__file__).resolve().parents[1] / 'test' / 'support'
_FLEETS: Final = 100
_PER_FLEET: Final = 1040
_VEHICLES: Final = 20
_REBUILT: Final = 2000
_MOST_S: Final = 2.0


def fleet(rounds: int, *, quick: bool) -> list[Row]:
    """Ten questions about 100,000 flights, and the catalogue made again from receipts."""
    try:
        import_module('fdr_recorder.fleet.catalogue.query')
    except ImportError:
        return [Row('fleet', 'ten questions', note='there is no `duckdb` on this machine')]
    with memory_directory() as directory, _cache_in(directory / 'cache'):
        return [
            *_questions(directory, rounds, _FLEETS // 10 if quick else _FLEETS),
            _rebuild(directory, rounds, _REBUILT // 10 if quick else _REBUILT),
        ]


@contextmanager
def _cache_in(directory: Path) -> Iterator[None]:
    before = os.environ.get('XDG_CACHE_HOME')
    os.environ['XDG_CACHE_HOME'] = str(directory)
    sys.path.append(str(_SUPPORT))
    try:
        yield
    finally:
        sys.path.remove(str(_SUPPORT))
        if before is None:
            del os.environ['XDG_CACHE_HOME']
        else:
            os.environ['XDG_CACHE_HOME'] = before


def _questions(directory: Path, rounds: int, fleets: int) -> Iterator[Row]:
    """Ask each question, the catalogue being on this machine already."""
    from bench.synthetic_fleet import receipts, store_catalogue  # noqa: PLC0415 - needs an extra
    from fdr_recorder.fleet.catalogue.cache import fetch_catalogue  # noqa: PLC0415
    from fdr_recorder.fleet.catalogue.query import Catalogue  # noqa: PLC0415
    from fdr_recorder.fleet.store import Store  # noqa: PLC0415

    store = Store.open(str(directory / 'store'))
    now = datetime.now(timezone.utc)
    flights = store_catalogue(store, list(receipts(_PER_FLEET, now, _VEHICLES)), fleets)
    fetched_s = _timed(lambda: fetch_catalogue(store))
    size = sum(path.stat().st_size for path in directory.rglob('store/**/*.parquet'))

    def ask(question: str) -> None:
        with Catalogue.of(store, question) as catalogue:
            catalogue.ask(question).rows()

    note = f'{size / 1e6:.0f} MB in Parquet, copied from a store in memory in {fetched_s:.1f} s'
    questions: list[str] = import_module('ten_questions').questions()
    for number, question in enumerate(questions, 1):
        what = f'question {number} of docs/fleet.md, {flights:,} flights'
        values = [_timed(partial(ask, question)) for _ in range(rounds)]
        yield Row('fleet', what, values=values, at_most=_MOST_S, unit='s', note=note)
        note = ''


def _rebuild(directory: Path, rounds: int, count: int) -> Row:
    """Make the catalogue from receipts in a server that speaks S3."""
    from bench.synthetic_fleet import receipts  # noqa: PLC0415 - needs an extra
    from fdr_recorder.fleet.catalogue.writing import rebuild  # noqa: PLC0415
    from fdr_recorder.fleet.store import Store  # noqa: PLC0415

    what = 'catalogue from receipts in SeaweedFS, for 1,000 flights'
    servers: Any = import_module('store_servers')
    if not (Path(sys.executable).parent / 'weed').exists():
        return Row('fleet', what, note='there is no `weed` on this machine')
    with servers.StoreServer('weed', directory / 'weed') as server:
        before = dict(os.environ)
        os.environ.update(server.environment())
        try:
            store = Store.open(server.url)
            size = 0
            for receipt in receipts(count, datetime.now(timezone.utc), _VEHICLES):
                data = receipt.to_bytes()
                size += len(data)
                store.put(receipt.key.receipt, data)
            times = [_timed(lambda: rebuild(store)) for _ in range(rounds)]
        finally:
            os.environ.clear()
            os.environ.update(before)
    note = f'measured with {count:,}, of {size / count / 1000:.0f} KB each'
    return Row('fleet', what, values=[1000 * s / count for s in times], unit='s', note=note)


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
