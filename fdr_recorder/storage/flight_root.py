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
The flight root: the directory of all flights, owned by one writer process at a time.

`FlightRoot` is for the owner: the lock, and the reserve. `root_holder` tells others who owns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
import errno
import json
import logging
import os
from pathlib import Path
from typing import Final

from fdr_recorder.errors import (
    FlightRootLockedError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.storage.disk_pulse import DiskPulse
from fdr_recorder.storage.files import close_fd, FILE_MODE
from fdr_recorder.storage.flight_numbers import FlightNumbers
from fdr_recorder.storage.locks import held_lock, lock

logger = logging.getLogger(__name__)

RESERVE_NAME: Final = '.fdr.reserve'
LOCK_NAME: Final = '.fdr.lock'


class FlightRoot:
    """
    A flight root that this process owns, from `acquire` to `release`.

    The lock is on the directory itself, so that no other name of it leads around the lock, nor
    does a lock file that was removed; and on `.fdr.lock`, for versions that look only there. The
    content of the file is for people, and for the error message of a second recorder.

    On a file system without locks it is owned all the same, so that flights are recorded there;
    `is_locked` is then False, and nobody may change a flight that was not closed.

    Attributes:
        path: Where it is.
        is_locked: Whether nobody else can own it.
        has_reserve: Whether the emergency space is allocated.
        pulse: What the threads of the owner do there at the moment.
        flight_numbers: Gives each new flight its number.

    """

    def __init__(self, path: Path, fd: int, lock_fd: int, *, is_locked: bool) -> None:
        """Use `acquire` instead."""
        self.path = path
        self.is_locked = is_locked
        self.has_reserve = False
        self.pulse = DiskPulse()
        self.flight_numbers = FlightNumbers(path)
        self._fd = fd
        self._lock_fd = lock_fd

    @classmethod
    def acquire(cls, path: Path | str, *, owner: str = 'fdr_recorder') -> FlightRoot:
        """
        Take ownership of a flight root.

        Args:
            path: The directory; `~` is the home directory.
            owner: Name of the node or program, for the error message of others.

        Raises:
            FlightRootMissingError: The directory does not exist.
            FlightRootNotADirectoryError: It is not a directory.
            FlightRootReadOnlyError: Nothing can be written there.
            FlightRootLockedError: Another writer, in this or another process, owns it.

        """
        path = Path(path).expanduser().absolute()
        fd = lock_fd = -1
        try:
            if not path.exists():
                raise FlightRootMissingError(path)
            if not path.is_dir():
                raise FlightRootNotADirectoryError(path)
            if not os.access(path, os.W_OK | os.X_OK):
                is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
                number = errno.EROFS if is_read_only else errno.EACCES
                raise OSError(number, os.strerror(number))
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock_fd = os.open(path / LOCK_NAME, flags, FILE_MODE)
            is_locked = lock(fd)
            is_locked = lock(lock_fd) or is_locked
        except BlockingIOError:
            holder = _describe(_read_holder(lock_fd))
            close_fd(lock_fd)
            close_fd(fd)
            raise FlightRootLockedError(path, holder) from None
        except OSError as error:
            close_fd(lock_fd)
            close_fd(fd)
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        if not is_locked:
            logger.warning('%s: its file system has no locks; use it from one program only', path)
        with suppress(OSError):  # on a full disk the lock holds all the same
            _write_holder(lock_fd, owner)
        return cls(path, fd, lock_fd, is_locked=is_locked)

    def release(self) -> None:
        """Release the root. Idempotent."""
        fd, lock_fd, self._fd, self._lock_fd = self._fd, self._lock_fd, -1, -1
        if fd >= 0:
            with suppress(OSError):
                os.ftruncate(lock_fd, 0)
            close_fd(lock_fd)
            close_fd(fd)

    def __enter__(self) -> FlightRoot:
        """Return the root, which is owned already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the root."""
        self.release()

    # --- space -----------------------------------------------------------------------------

    def allocate_reserve(self, size: int) -> None:
        """Allocate the emergency space of so many bytes, if the disk has it; 0 frees it."""
        if size == 0:
            self.give_up_reserve()
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(RESERVE_NAME, flags, FILE_MODE, dir_fd=self._fd)
        except OSError:
            return
        try:
            os.ftruncate(fd, size)
            os.posix_fallocate(fd, 0, size)
            self.has_reserve = True
        except OSError:
            self.give_up_reserve()
        finally:
            close_fd(fd)

    def give_up_reserve(self) -> bool:
        """Free the emergency space; return whether there was any."""
        self.has_reserve = False
        with suppress(OSError):
            os.unlink(RESERVE_NAME, dir_fd=self._fd)
            return True
        return False


@dataclass(frozen=True)
class RootHolder:
    """
    The process that owns a flight root.

    Attributes:
        text: In words: `pid 812 (/fdr_recorder on drone-7, since 2026-05-04T09:14:02Z)`.
        since_ns: Since when (system clock); 0 if the lock file does not say.
        locks_flights: Whether it locks each flight that it records; older versions do not.

    """

    text: str
    since_ns: int
    locks_flights: bool = True

    def may_record(self, started_ns: int) -> bool:
        """Tell whether it may record a flight that began then, not before it held the root."""
        return started_ns >= self.since_ns


def root_holder(path: Path) -> RootHolder | None:
    """Return the owner of a flight root; None if there is none."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    fd = lock_fd = -1
    try:
        fd = os.open(path, flags | os.O_DIRECTORY)
        with suppress(OSError):
            lock_fd = os.open(path / LOCK_NAME, flags | os.O_NOFOLLOW)
        said = _read_holder(lock_fd) if lock_fd >= 0 else {}
        is_elsewhere = bool(said) and said.get('host') != os.uname().nodename
        held = held_lock(fd, may_try=is_elsewhere or None)
        if held is not None:
            text = _describe(said) if said or not held.pid else f'pid {held.pid}'
        elif lock_fd < 0 or held_lock(lock_fd, may_try=is_elsewhere or None) is None:
            return None
        else:
            text = _describe(said)
        since_ns = os.fstat(lock_fd).st_mtime_ns if said else 0  # when the holder wrote it
        return RootHolder(text, since_ns, locks_flights=held is not None)
    except OSError:
        return None
    finally:
        close_fd(lock_fd)
        close_fd(fd)


def _read_holder(lock_fd: int) -> Mapping[str, object]:
    """Return what the holder wrote about itself; empty if it cannot be read."""
    try:
        said = json.loads(os.pread(lock_fd, 4096, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _describe(said: Mapping[str, object]) -> str:
    try:
        return f'pid {said["pid"]} ({said["node"]} on {said["host"]}, since {said["since"]})'
    except KeyError:
        return 'another writer'


def _write_holder(lock_fd: int, owner: str) -> None:
    """Write into the lock file who holds the lock; raise `OSError` if there is no space."""
    holder = {
        'pid': os.getpid(),
        'host': os.uname().nodename,
        'node': owner,
        'since': datetime.now(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
    }
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, json.dumps(holder).encode() + b'\n', 0)
