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
The ring keeps its contract on every interpreter at hand, free-threaded ones included.

Interpreters are looked for on PATH and where pyenv and uv install them; `FDR_PYTHONS` names more,
separated by colons.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / 'test' / 'support' / 'ring_stress_program.py'
SECONDS = 1.0
WHAT_IT_IS = (
    'import sys, sysconfig; assert sys.version_info >= (3, 10);'
    'is_free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"));'
    'print("%d.%d" % sys.version_info[:2] + "t" * is_free_threaded)'
)


def candidates() -> Iterator[str]:
    yield sys.executable
    yield from filter(None, os.environ.get('FDR_PYTHONS', '').split(':'))
    for version in range(10, 15):
        for suffix in ('', 't', '-nogil'):
            yield from filter(None, [shutil.which(f'python3.{version}{suffix}')])
    for where in ('.pyenv/versions', '.local/share/uv/python'):
        yield from sorted(map(str, Path.home().glob(f'{where}/*/bin/python3')))


def installed() -> dict[str, str]:
    """Return one interpreter of each kind: `3.13`, and `3.13t` if it is free-threaded."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(candidates()):
        outcome = subprocess.run(
            [path, '-c', WHAT_IT_IS], capture_output=True, text=True, check=False
        )
        kind = outcome.stdout.strip()
        if outcome.returncode == 0:
            found.setdefault(kind, path)
    return found


def test_the_ring_under_stress() -> None:
    for kind, python in installed().items():
        outcome = subprocess.run(
            [python, '-B', str(PROGRAM), str(SECONDS)],
            capture_output=True,
            text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT)},
            timeout=60,
            check=True,
        )
        told = json.loads(outcome.stdout)
        assert told['faults'] == [], kind
        assert told['free_threaded'] == kind.endswith('t')
        assert min(told['flights'], told['taken'], told['refused'], told['wakes']) > 0, kind
