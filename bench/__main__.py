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
The command line of the benchmark.

The rows' modules are imported when they are needed: `./dev bench --help` must work before anything
is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from importlib import import_module
from inspect import getdoc
import os
from pathlib import Path
import sys
import time
from typing import Any

from bench.figures import machine, Row, table, write_json

_RESULTS = Path(__file__).resolve().parent / 'results'
_ROUNDS, _SECONDS = 5, 4.0
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 1.5
_SECONDS_OF = {'soak': 600.0, 'memory': 20.0, 'offload': 20.0}

# A row's function is called like the row, in bench.core, bench.dds or `_ELSEWHERE`.
_CORE = (
    'writer-small', 'writer-large', 'rotation', 'pause', 'mission', 'tables', 'sealed-rate',
    'fleet',
)  # fmt: skip
_DDS = (
    'imports', 'start', 'wakeups', 'cpu', 'rate', 'drone', 'sealed', 'offload', 'mixed', 'large',
    'many', 'compression', 'memory', 'soak',
)  # fmt: skip
_QUICK = ('writer-small', 'writer-large', 'rotation', 'imports', 'start', 'cpu', 'drone')
_ONLY_BY_NAME = ('soak',)
_ELSEWHERE = {
    'mission': 'mission', 'tables': 'tables',
    **dict.fromkeys(('imports', 'start', 'wakeups'), 'start'),
    **dict.fromkeys(('sealed', 'sealed-rate'), 'sealing'),
    'offload': 'offloading', 'fleet': 'fleet',
}  # fmt: skip
_EPILOG = """\
examples:
  ./dev bench --quick                                 less than a minute, a rough idea
  ./dev bench                                         every row but soak, about half an hour
  ./dev bench --only cpu drone --rounds 7 --seconds 10
  ./dev bench --only soak                             the drone's load for ten minutes

exit code: 0 all targets are met, 1 one is missed, 2 wrong use.
"""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='./dev bench',
        description='Measure the recorder, print a table and write the same as JSON.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--quick', action='store_true', help='few and short trials of seven rows')
    parser.add_argument(
        '--only', nargs='+', metavar='NAME', choices=(*_CORE, *_DDS), help='only these rows'
    )
    parser.add_argument(
        '--rounds', type=int, metavar='N', help=f'trials of each program (default {_ROUNDS})'
    )
    parser.add_argument(
        '--seconds', type=float, metavar='S', help='length of each trial over DDS'
    )
    parser.add_argument(
        '--json',
        type=Path,
        metavar='FILE',
        help='where to write (default bench/results/DATE.json)',
    )
    parser.add_argument('--list', action='store_true', help='name the rows and end')
    return parser.parse_args(arguments)


def _row(name: str) -> Callable[..., list[Row]]:
    """Return the function that measures a row."""
    home = 'core' if name in _CORE else 'dds'
    module: Any = import_module(f'bench.{_ELSEWHERE.get(name, home)}')
    function: Callable[..., list[Row]] = getattr(module, name.replace('-', '_'))
    return function


def _tasks(options: argparse.Namespace) -> dict[str, Callable[[], list[Row]]]:
    """Return what is to be measured, by name."""
    names = options.only or (
        _QUICK if options.quick else [n for n in (*_CORE, *_DDS) if n not in _ONLY_BY_NAME]
    )
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    tasks: dict[str, Callable[[], list[Row]]] = {}
    for name in names:
        if name in _CORE:
            core_rounds = max(rounds, 3)
            tasks[name] = partial(_row(name), core_rounds, quick=options.quick)
            continue
        seconds = options.seconds
        if seconds is None:
            usual = _SECONDS_OF.get(name, _SECONDS)
            seconds = _QUICK_SECONDS if options.quick else usual
        tasks[name] = partial(_row(name), rounds, seconds, quick=options.quick)
    return tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code is 1 if a figure is not reached."""
    options = _options(arguments)
    if options.list:
        for name in (*_CORE, *_DDS):
            print(f'{name:14}{(getdoc(_row(name)) or "").splitlines()[0]}')
        return 0
    from bench.trial import join_domain  # noqa: PLC0415

    os.chdir(_RESULTS.parent.parent)
    join_domain()
    facts = machine()
    if facts['load_average'] > 0.5:
        print(f"bench: this machine is busy (load {facts['load_average']:.1f})", file=sys.stderr)
    rows: list[Row] = []
    for name, task in _tasks(options).items():
        start = time.monotonic()
        print(f'bench: {name}', file=sys.stderr, end='', flush=True)
        rows += task()
        print(f' ({time.monotonic() - start:.0f} s)', file=sys.stderr)
    print(table(rows))
    date = datetime.now(timezone.utc).date()
    path = options.json or _RESULTS / f'{date}{"_quick" if options.quick else ""}.json'
    write_json(path, rows, facts)
    print(f'\n{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}')
    return int(any(row.verdict == 'missed' for row in rows))


if __name__ == '__main__':
    sys.exit(main())
