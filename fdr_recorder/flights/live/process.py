# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the kernel says of the process that records: who it is, and whether it is held up."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
from typing import Final

from fdr_recorder.storage.files import close_fd
from fdr_recorder.storage.locks import held_lock

_PROC: Final = Path('/proc')
_STOPPED: Final = ('T', 't')
_ENDED: Final = ('Z', 'X')


def recorder_pid(flight: Path) -> int:
    """Return the process that writes a flight; 0 if nobody does, or it cannot be told."""
    with suppress(OSError):
        fd = os.open(flight, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            held = held_lock(fd, may_try=False)
        finally:
            close_fd(fd)
        return held.pid if held is not None else 0
    return 0


def why_held_up(pid: int) -> str:
    """Say why a process does nothing; empty if it may go on, or is not of this machine."""
    if not pid:
        return ''
    states = _states(pid)
    if any(state in _STOPPED for state in states[:1]):
        return 'its process is stopped (a debugger, or SIGSTOP)'
    if any(state in _ENDED for state in states[:1]):
        return 'its process has ended'
    if 'D' in states:
        return 'it waits for the disk'
    return ''


def _states(pid: int) -> list[str]:
    """Return the state of a process, then those of its threads (proc(5))."""
    found = []
    with suppress(OSError):
        found.append(_state(_PROC / str(pid) / 'stat'))
        found += [_state(path / 'stat') for path in (_PROC / str(pid) / 'task').iterdir()]
    return found


def _state(path: Path) -> str:
    _, _, rest = path.read_text(errors='replace').rpartition(')')
    return rest.split()[0]
