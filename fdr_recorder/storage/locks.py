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
Locks on what a directory or a file is, whatever name leads to it: `flock` on the inode.

The kernel releases a lock when its holder dies, however it dies. Some file systems have no locks,
or (NFS) none on directories: `lock` then returns False, and the caller decides.
"""

from __future__ import annotations

from contextlib import suppress
import fcntl
import os
from pathlib import Path
import time
from typing import Final, NamedTuple

_TRIES: Final = 5
_PAUSE_S: Final = 0.01
_LOCKS: Final = Path('/proc/locks')
_INITIAL_PID_NAMESPACE: Final = 'pid:[4026531836]'
"""What /proc/self/ns/pid is a link to, outside of all containers (Linux: PROC_PID_INIT_INO)."""


class HeldLock(NamedTuple):
    """A lock that somebody holds: whether shared, and who (0 if unknown)."""

    is_shared: bool
    pid: int


def lock(fd: int, *, shared: bool = False) -> bool:
    """
    Take the lock until the descriptor is closed; return False if the file system has none.

    Who only looks may hold it for a moment: wait for that.

    Raises:
        BlockingIOError: Another holds it.

    """
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    for is_last in (*[False] * _TRIES, True):
        try:
            fcntl.flock(fd, operation)
            return True
        except BlockingIOError:
            if is_last:
                raise
        except OSError:
            return False
        time.sleep(_PAUSE_S)
    return False


def held_lock(fd: int, *, may_try: bool | None = None) -> HeldLock | None:
    """
    Return how another holds the lock of a file; None if nobody does.

    The kernel's list of locks (proc(5)) tells it for all processes that this one can see. Trying
    the lock instead could make a program fail that takes it at this moment. It is only tried where
    the list cannot tell.

    Args:
        fd: An open file description of its own, for which no lock is held.
        may_try: Whether to try it if the list has none; by default inside a container.

    """
    status = os.fstat(fd)
    device = f'{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}'
    alike: HeldLock | None = None
    for line in _listed_locks():  # 1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF
        fields = line.split()
        if len(fields) < 6 or fields[1] != 'FLOCK':
            continue
        lock_device, _, inode = fields[5].rpartition(':')
        if inode == str(status.st_ino):
            held = HeldLock(fields[3] == 'READ', int(fields[4]) if fields[4].isdigit() else 0)
            if lock_device == device:
                return held
            alike = held  # on btrfs and overlayfs the device differs from that of stat(2)
    if alike is None and not (not _sees_all() if may_try is None else may_try):
        return None
    tried = _try(fd)
    if tried is None:
        return None
    return HeldLock(tried, alike.pid if alike is not None else 0)


def _listed_locks() -> list[str]:
    try:
        return _LOCKS.read_text(encoding='ascii').splitlines()
    except OSError:
        return []


def _sees_all() -> bool:
    """Tell whether the list has the locks of all processes of this host."""
    with suppress(OSError):
        return os.readlink('/proc/self/ns/pid') == _INITIAL_PID_NAMESPACE
    return False


def _try(fd: int) -> bool | None:
    """Try the lock; return whether it is held as a shared one, and None if it is free."""
    for operation, is_shared in ((fcntl.LOCK_SH, False), (fcntl.LOCK_EX, True)):
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return is_shared
        except OSError:
            return None
        finally:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
    return None
