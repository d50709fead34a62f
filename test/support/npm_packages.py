# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Packages from npm for the tests that read with JavaScript, in `.cache/` of the checkout."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
import shutil
import subprocess
import tempfile

from requirements import cannot_run

PACKAGES = ('@mcap/core@2.2.2', '@mcap/support@1.1.0')
_CACHE = Path(__file__).resolve().parents[2] / '.cache'
_DEADLINE_S = 90


def node_modules() -> Path:
    """Return a directory that has the packages installed; skip the test where that cannot be."""
    for program in ('node', 'npm'):
        if shutil.which(program) is None:
            cannot_run(f'{program} is not installed')
    name = '_'.join(PACKAGES).replace('@', '').replace('/', '-')
    directory = _CACHE / f'npm_{name}'
    if not directory.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as made:
            new = Path(made, 'new')
            _install(new)
            with suppress(OSError):  # another process was faster
                new.rename(directory)
    return directory


def _install(directory: Path) -> None:
    directory.mkdir()
    (directory / 'package.json').write_text('{"private": true}')
    command = ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', *PACKAGES]
    try:
        done = subprocess.run(
            [*command, '--fetch-retries=1', '--fetch-timeout=20000'],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        cannot_run(f'npm did not install {" ".join(PACKAGES)} within {_DEADLINE_S} s')
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[:1] or ['no reason given']
        cannot_run(f'npm could not install {" ".join(PACKAGES)}: {reason[0]}')
