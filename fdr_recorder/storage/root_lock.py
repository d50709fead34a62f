# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The lock of a flight root: one writer process at a time, and which one that is."""

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

LOCK_NAME: Final = '.fdr.lock'
_LOCK_TRIES: Final = 5
_LOCK_PAUSE_S: Final = 0.01
_LOCKS: Final = Path('/proc/locks')
_INITIAL_PID_NAMESPACE: Final = 'pid:[4026531836]'
"""What /proc/self/ns/pid is a link to, outside of all containers (Linux: PROC_PID_INIT_INO)."""


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
        """
        Tell whether it may be recording a flight that began at a time (system clock).

        An earlier flight was left by a former holder.
        """
        return started_ns >= self.since_ns


def lock(lock_fd: int) -> None:
    """
    Take the lock; raise `BlockingIOError` if another writer has it.

    `root_holder` of another process may hold it for a moment: wait for that.
    """
    for _ in range(_LOCK_TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_PAUSE_S)
    return fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_holder(lock_fd: int, owner: str) -> None:
    """Write into the lock file who holds the lock; raise `OSError` if there is no space."""
    holder = {
        'pid': os.getpid(),
        'host': socket.gethostname(),
        'node': owner,
        'since': datetime.now(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
    }
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, json.dumps(holder).encode() + b'\n', 0)


def describe_holder(lock_fd: int) -> str:
    """Describe the holder of the lock, as far as the file tells."""
    return _describe(_read_holder(lock_fd))


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
