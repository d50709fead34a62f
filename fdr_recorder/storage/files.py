# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What every file below a flight root has: its mode, a durable name, a safe end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750


def close_fd(fd: int) -> None:
    """
    Close a file descriptor and ignore errors.

    Linux frees the descriptor even where close(2) fails, and such an error can only concern data
    that was never synced; what must last has been synced before.
    """
    with suppress(OSError):
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable (`fsync` of the directory, POSIX)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        close_fd(fd)


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file as a whole: a reader, or a power cut, sees the old one or the new one."""
    temporary = path.with_name(f'.{path.name}.tmp')
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(temporary, flags, FILE_MODE)
    except FileExistsError:  # left by a crash, or created by another program
        temporary.unlink()
        fd = os.open(temporary, flags, FILE_MODE)
    try:
        with open(fd, 'wb', closefd=False) as file:
            file.writelines(pieces)
        os.fsync(fd)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        close_fd(fd)
    temporary.rename(path)
    sync_directory(path.parent)
