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
from dataclasses import dataclass
from datetime import datetime, timezone
import errno
import fcntl
import json
import os
from pathlib import Path
import socket
import time
from typing import Final

from fdr_recorder.errors import (
    FlightRootLockedError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.storage.files import close_fd, FILE_MODE

RESERVE_NAME: Final = '.fdr.reserve'
LOCK_NAME: Final = '.fdr.lock'
_LOCK_TRIES: Final = 5
_LOCK_PAUSE_S: Final = 0.01
_LOCKS: Final = Path('/proc/locks')
_INITIAL_PID_NAMESPACE: Final = 'pid:[4026531836]'
"""What /proc/self/ns/pid is a link to, outside of all containers (Linux: PROC_PID_INIT_INO)."""


class FlightRoot:
    """
    A flight root that this process owns, from `acquire` to `release`.

    The lock is a `flock` on `.fdr.lock`: the kernel releases it when the process dies, however it
    dies. The file's content is for people, and for the error message of a second recorder.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        """Use `acquire` instead."""
        self.path = path
        self._lock_fd = lock_fd
        self.has_reserve = False
        """Whether the emergency space is allocated."""

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
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            if not path.exists():
                raise FlightRootMissingError(path)
            if not path.is_dir():
                raise FlightRootNotADirectoryError(path)
            if not os.access(path, os.W_OK | os.X_OK):
                is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
                number = errno.EROFS if is_read_only else errno.EACCES
                raise OSError(number, os.strerror(number))
            lock_fd = os.open(path / LOCK_NAME, flags, FILE_MODE)
        except OSError as error:
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        try:
            _lock(lock_fd)
        except BlockingIOError:
            holder = _describe(_read_holder(lock_fd))
            close_fd(lock_fd)
            raise FlightRootLockedError(path, holder) from None
        except OSError as error:
            close_fd(lock_fd)
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        with suppress(OSError):  # on a full disk the lock holds all the same
            _write_holder(lock_fd, owner)
        return cls(path, lock_fd)

    def release(self) -> None:
        """Release the root. Idempotent."""
        lock_fd, self._lock_fd = self._lock_fd, -1
        if lock_fd >= 0:
            with suppress(OSError):
                os.ftruncate(lock_fd, 0)
            close_fd(lock_fd)

    def __enter__(self) -> FlightRoot:
        """Return the root, which is owned already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the root."""
        self.release()

    # --- space -----------------------------------------------------------------------------

    def free_bytes(self) -> int:
        """Return the space left for an ordinary process, in bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def allocate_reserve(self, size: int) -> None:
        """Allocate the emergency space of so many bytes, if the disk has it; 0 frees it."""
        if size == 0:
            self.give_up_reserve()
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self.path / RESERVE_NAME, flags, FILE_MODE)
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
            (self.path / RESERVE_NAME).unlink()
            return True
        return False


@dataclass(frozen=True)
class RootHolder:
    """
    The process that owns a flight root.

    Attributes:
        text: In words: `pid 812 (/fdr_recorder on drone-7, since 2026-05-04T09:14:02Z)`.
        since_ns: Since when (system clock); 0 if the lock file does not say.

    """

    text: str
    since_ns: int

    def may_record(self, started_ns: int) -> bool:
        """Tell whether it may record a flight that began then, not before it held the root."""
        return started_ns >= self.since_ns


def root_holder(path: Path) -> RootHolder | None:
    """
    Return the owner of a flight root; None if there is none.

    The kernel's list of locks (proc(5)) tells it for all processes that this one can see. Trying
    the lock instead could make a recorder fail that starts at this moment. It is only tried if the
    file names a holder that is not in that list: in another container or on another host.
    """
    try:
        fd = os.open(
            path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return None
    try:
        said = _read_holder(fd)
        if _is_listed(fd, str(said.get('pid'))) or (said and _is_locked_elsewhere(fd, said)):
            since_ns = os.fstat(fd).st_mtime_ns if said else 0  # when the holder wrote it
            return RootHolder(_describe(said), since_ns)
        return None
    finally:
        os.close(fd)


def _is_listed(fd: int, pid: str) -> bool:
    """Tell whether /proc/locks lists an exclusive `flock` of the file."""
    status = os.fstat(fd)
    device = f'{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}'
    try:
        lines = _LOCKS.read_text(encoding='ascii').splitlines()
    except OSError:
        return False
    for line in lines:  # 1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF
        fields = line.split()
        if len(fields) < 6 or fields[1] != 'FLOCK' or fields[3] != 'WRITE':
            continue
        lock_device, _, inode = fields[5].rpartition(':')
        # on btrfs and overlayfs the device differs from that of stat(2)
        if inode == str(status.st_ino) and (lock_device == device or fields[4] == pid):
            return True
    return False


def _is_locked_elsewhere(fd: int, said: Mapping[str, object]) -> bool:
    """Try the lock, if the holder that the file names may be invisible here."""
    with suppress(OSError):
        is_all_seen = os.readlink('/proc/self/ns/pid') == _INITIAL_PID_NAMESPACE
        if is_all_seen and said.get('host') == socket.gethostname():
            return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    return False


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


def _lock(lock_fd: int) -> None:
    """
    Take the lock; raise `BlockingIOError` if another writer has it.

    `root_holder` of another process may hold it for a moment: wait for that.
    """
    for _ in range(_LOCK_TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_PAUSE_S)
    return fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_holder(lock_fd: int, owner: str) -> None:
    """Write into the lock file who holds the lock; raise `OSError` if there is no space."""
    holder = {
        'pid': os.getpid(),
        'host': socket.gethostname(),
        'node': owner,
        'since': datetime.now(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
    }
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, json.dumps(holder).encode() + b'\n', 0)
