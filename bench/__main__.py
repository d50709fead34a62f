# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from inspect import getdoc
import os
from pathlib import Path
import sys
import time

from bench import core, dds
from bench.figures import machine, Row, table, write_json
from bench.trial import join_domain

_RESULTS = Path(__file__).resolve().parent / 'results'
_ROUNDS, _SECONDS, _LONG_SECONDS = 5, 4.0, 20.0
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 1.5

_CORE = {
    'writer-small': core.writer_small,
    'writer-large': core.writer_large,
    'rotation': core.rotation,
    'pause': core.pause,
}
_DDS = {
    'cpu': dds.cpu,
    'rate': dds.rate,
    'drone': dds.drone,
    'mixed': dds.mixed,
    'many': dds.many,
    'compression': dds.compression,
    'memory': dds.memory,
    'soak': dds.soak,
}
_QUICK = ('writer-small', 'writer-large', 'rotation', 'cpu', 'drone')
_ONLY_BY_NAME = ('soak',)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='./dev bench', description='Measure the recorder.')
    parser.add_argument('--quick', action='store_true', help='less than a minute, a rough idea')
    parser.add_argument(
        '--only', nargs='+', metavar='NAME', choices=(*_CORE, *_DDS), help='these rows'
    )
    parser.add_argument('--rounds', type=int, help=f'default {_ROUNDS}')
    parser.add_argument('--seconds', type=float, help='of each trial over DDS')
    parser.add_argument('--json', type=Path, metavar='FILE', help='default bench/results/<date>')
    parser.add_argument('--list', action='store_true', help='name the rows')
    return parser.parse_args(arguments)


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
            tasks[name] = partial(_CORE[name], core_rounds, quick=options.quick)
            continue
        seconds = options.seconds
        if seconds is None:
            usual = {'soak': 600.0, 'memory': _LONG_SECONDS}.get(name, _SECONDS)
            seconds = _QUICK_SECONDS if options.quick else usual
        tasks[name] = partial(_DDS[name], rounds, seconds, quick=options.quick)
    return tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code is 1 if a figure is not reached."""
    options = _options(arguments)
    if options.list:
        for name, function in {**_CORE, **_DDS}.items():
            print(f'{name:14}{(getdoc(function) or "").splitlines()[0]}')
        return 0
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
