# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Says why a file or a directory could not be read or changed, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import grp
import os
from pathlib import Path
import pwd
import stat
from typing import Final

from fdr_recorder.cli.console import warn
from fdr_recorder.cli.exit_codes import EXIT_REFUSED
from fdr_recorder.storage.disk_errors import FULL_ERRNOS
from fdr_recorder.units import plural

_MOST_TOLD: Final = 10


class Unreadable:
    """
    Flights that could not be read: told one by one, while the verb goes on with the others.

    Attributes:
        found: Path and reason of each, for JSON.

    """

    def __init__(self) -> None:
        """Begin with none."""
        self.found: list[dict[str, str]] = []

    @contextmanager
    def telling(self, flight: Path) -> Iterator[None]:
        """Tell on stderr of an `OSError` inside the block, which ends there."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = why_refused(error)
            if len(self.found) < _MOST_TOLD:
                warn(reason)
            self.found.append({'path': str(flight), 'reason': reason})

    def code(self, code: int) -> int:
        """Return the exit code of the verb, which would be `code` without them; tell how many."""
        more = len(self.found) - _MOST_TOLD
        if more > 0:
            warn(f'and {plural(more, "flight")} more that could not be read')
        return EXIT_REFUSED if self.found else code


def why_refused(error: OSError) -> str:
    """Say what the system refused, and for missing permissions what to do."""
    if not error.filename or isinstance(error.filename, int):
        is_full = error.errno in FULL_ERRNOS  # what verbs write has a name
        return f'standard output cannot be written: {error.strerror}' if is_full else str(error)
    if isinstance(error, PermissionError):
        return _why_denied(Path(os.fsdecode(error.filename)).absolute())
    return f'{os.fsdecode(error.filename)}: {error.strerror}'


def _why_denied(path: Path) -> str:
    for parent in reversed(path.parents):
        if not os.access(parent, os.X_OK):
            return f'{path}: Permission denied: {parent} {_who_may(parent, os.X_OK)}'
    is_there = os.path.lexists(path)
    needed = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    if is_there and not os.access(path, needed):
        return f'{path}: Permission denied: it {_who_may(path, needed)}'
    place = path if is_there and not os.access(path, os.W_OK) else path.parent
    return f'{path}: Permission denied: {place} {_who_may(place, os.W_OK)}'


def _who_may(place: Path, needed: int) -> str:
    """Say whose a file or directory is, and how to get at it."""
    try:
        status = place.stat()
    except OSError as error:  # it went away, or is behind a link
        return f'cannot be looked at ({error.strerror})'
    group = _group_name(status.st_gid)
    mode = stat.S_IMODE(status.st_mode)
    whose = f'belongs to {_user_name(status.st_uid)}, group {group}, mode {mode:04o}'
    if mode >> 3 & needed == needed and status.st_gid not in (os.getegid(), *os.getgroups()):
        return f'{whose}; join the group (`sudo usermod -aG {group} $USER`), or use `sudo`'
    return f'{whose}; use `sudo`, or have it opened to a group of yours (`chgrp`, `chmod`)'


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f'user {number}'


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
