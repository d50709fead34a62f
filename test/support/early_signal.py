# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Signals that come while a program is being loaded: at an import of one's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import signal
import subprocess

from fork_server import CHECKOUT

AT_START = ''
"""Before the program itself begins: while Python starts."""
_CUSTOMIZE = """
import os, sys

NAME, NUMBER = {name!r}, {number}


class Finder:

    def find_spec(self, name, path=None, target=None):
        if name == NAME:
            os.kill(os.getpid(), NUMBER)


if NAME:
    sys.meta_path.insert(0, Finder())
else:
    os.kill(os.getpid(), NUMBER)
"""


def signal_at_import(
    command: Sequence[str | Path],
    module: str,
    number: signal.Signals,
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program that gets a signal as it imports a module; return exit code and output."""
    (directory / 'sitecustomize.py').write_text(_CUSTOMIZE.format(name=module, number=int(number)))
    path = os.pathsep.join([str(directory), str(CHECKOUT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {}), 'PYTHONPATH': path},
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
