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
A directory as a store: objects that are whole and durable, or not there.

An object is written as `NAME#DIGITS`, which no listing shows, and locked meanwhile; so whoever
finds such a file that nobody holds knows that its writer is dead, and may remove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
import os
from pathlib import Path
import re
from secrets import randbelow
import time
from typing import Final

from fdr_recorder.storage.files import close_fd, sync_directory
from fdr_recorder.storage.locks import lock

_TEMPORARY: Final = re.compile(r'.+#\d+')
_FILE_MODE: Final = 0o640
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_UNLOCKED_DAYS: Final = 2
"""Where the file system has no locks, so old a leftover is nobody's."""


def write_object(
    path: Path,
    pieces: Iterable[bytes],
    *,
    create: bool = False,
    check: Callable[[], None] = lambda: None,
) -> bool:
    """
    Write an object; it is on the disk when this returns. Missing directories are made.

    Args:
        path: Its place.
        pieces: Its content.
        create: Whether it must be new.
        check: Called when all is written, and before it has its name; what it raises stops that.

    Returns:
        False if it was to be new and is there.

    Raises:
        OSError: It cannot be written; nothing is left of it.

    """
    _make_directories(path.parent)
    if create and path.exists():
        return False
    temporary, fd = _new_temporary(path)
    try:
        with open(fd, 'wb', buffering=0, closefd=False) as file:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[file.write(left):]
        os.fsync(fd)
        check()
        if create:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        else:
            temporary.rename(path)
        with suppress(OSError):  # it goes to a server, or will be read by others
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        close_fd(fd)
    sync_directory(path.parent)
    return True


def sweep(directory: Path) -> int:
    """Remove what dead writers have left below a directory; return how many files."""
    count = 0
    for where, _, names in os.walk(directory):
        for name in filter(_TEMPORARY.fullmatch, names):
            with suppress(OSError):
                count += _remove_leftover(Path(where, name))
    return count


def forget_cached(path: Path) -> None:
    """Have the next reader of a file read the disk, as far as the kernel does what it is told."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            close_fd(fd)


def _new_temporary(path: Path) -> tuple[Path, int]:
    """Create and lock a file beside an object."""
    while True:
        temporary = path.with_name(f'{path.name}#{randbelow(10**12)}')
        fd = os.open(temporary, _FLAGS, _FILE_MODE)
        try:
            lock(fd)
            if os.fstat(fd).st_nlink:
                return temporary, fd
        except BlockingIOError:  # somebody sweeps at this moment
            pass
        close_fd(fd)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftover(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        is_locked = lock(fd)
        age_s = time.time() - os.fstat(fd).st_mtime
        if not is_locked and age_s < _UNLOCKED_DAYS * 86400:
            return False
        path.unlink()
        return True
    finally:
        close_fd(fd)


def _make_directories(path: Path) -> None:
    """Make a directory and those above it, durably."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)
