# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Runs programs that permissions stop, also where the tests run as root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import ctypes
import os
from pathlib import Path
import subprocess

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_STRANGER = 54321
"""A user and a group that nobody is in."""

_libc = ctypes.CDLL(None, use_errno=True)


def give_away(path: Path, mode: int) -> None:
    """Give a file or a directory to somebody else; where that is impossible, take all rights."""
    if os.geteuid() == 0:
        os.chown(path, _STRANGER, _STRANGER)
        path.chmod(mode)
    else:
        path.chmod(mode & 0o7)


def run_without_override(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user whom permissions stop."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=60.0,
        check=False,
        preexec_fn=_drop_override if os.geteuid() == 0 else None,
    )


def _drop_override() -> None:
    """Give up, for this process and all that follow, root's right to read everything."""
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), 'prctl')
