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

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
import errno
import os
from pathlib import Path
import stat
from typing import Final

from fdr_recorder.seal.seal import Digest
from fdr_recorder.storage.locks import lock

FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750
_MOST_MODE: Final = 0o664
"""What of a directory's mode its files have."""

_APPEND_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_IOV_MAX: Final = os.sysconf('SC_IOV_MAX')


def close_fd(fd: int) -> None:
    """
    Close a file descriptor and ignore errors.

    Linux frees the descriptor even where close(2) fails, and such an error can only concern data
    that was never synced; what must last has been synced before.
    """
    with suppress(OSError):
        os.close(fd)


def free_bytes(place: Path | int) -> int:
    """Return the space left for an ordinary process on the file system of a path or descriptor."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable (`fsync` of the directory, POSIX)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        close_fd(fd)


def take_after(fd: int, dir_fd: int) -> None:
    """Give a new file of a flight the group of its directory, and the mode without execution."""
    with suppress(OSError):
        here, ours = os.fstat(dir_fd), os.fstat(fd)
        mode = here.st_mode & _MOST_MODE
        with suppress(OSError):
            if ours.st_gid != here.st_gid:
                os.fchown(fd, -1, here.st_gid)
        if stat.S_IMODE(ours.st_mode) != mode:
            os.fchmod(fd, mode)


def replace_file(
    path: Path, pieces: Iterable[bytes], *, is_of_flight: bool = False
) -> None:
    """Replace a file as a whole: a reader, or a power cut, sees the old one or the new one."""
    dir_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replace_in(dir_fd, path.name, pieces, is_of_flight=is_of_flight)
    finally:
        close_fd(dir_fd)


def replace_in(
    dir_fd: int,
    name: str,
    pieces: Iterable[bytes],
    *,
    is_of_flight: bool = False,
) -> None:
    """
    Replace a file in a directory that is held by descriptor; as `replace_file`.

    A file of a flight takes after its directory.
    """
    replace_together(dir_fd, {name: pieces}, is_of_flight=is_of_flight)


def replace_together(
    dir_fd: int,
    files: Mapping[str, Iterable[bytes]],
    *,
    is_of_flight: bool = False,
    waiting: list[str] | None = None,
) -> None:
    """
    Replace files that belong together, in their order; as `replace_in`.

    All of them are on the disk, as `.<name>.tmp`, before the first gets its name, and that is
    durable before the others do: so after a power cut in between, each is there as it was, or as
    it is to be.

    Args:
        dir_fd: The directory.
        files: Their contents by name.
        is_of_flight: Whether they take after the directory.
        waiting: Names that could not be given when these files were replaced the last time. Their
            temporaries fit what was renamed then, and so are renamed first; those that wait after
            this time are in it then.

    Raises:
        OSError: Nothing was replaced, or only some were: then the others are in `waiting`.

    """
    waiting = [] if waiting is None else waiting
    _rename(dir_fd, waiting)
    with ExitStack() as temporaries:
        for name, pieces in files.items():
            temporaries.callback(_discard, dir_fd, temporary_name(name))
            _write_temporary(dir_fd, name, pieces, is_of_flight=is_of_flight)
        first, *others = files
        if others:
            os.fsync(dir_fd)
        rename_temporary(dir_fd, first)
        temporaries.pop_all()
    waiting += others
    os.fsync(dir_fd)
    if others:
        _rename(dir_fd, waiting)
        os.fsync(dir_fd)


def _rename(dir_fd: int, waiting: list[str]) -> None:
    while waiting:
        rename_temporary(dir_fd, waiting[0])
        waiting.pop(0)


def rename_temporary(dir_fd: int, name: str) -> None:
    """Give the temporary of a file its name."""
    os.rename(temporary_name(name), name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def temporary_name(name: str) -> str:
    """Return the name that a file has while it is written to replace another."""
    return f'.{name}.tmp'


def _discard(dir_fd: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=dir_fd)


def _write_temporary(
    dir_fd: int, name: str, pieces: Iterable[bytes], *, is_of_flight: bool
) -> None:
    temporary = temporary_name(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(temporary, flags, FILE_MODE, dir_fd=dir_fd)
    except FileExistsError:  # left by a crash, or created by another program
        os.unlink(temporary, dir_fd=dir_fd)
        fd = os.open(temporary, flags, FILE_MODE, dir_fd=dir_fd)
    try:
        if is_of_flight:
            take_after(fd, dir_fd)
        with open(fd, 'wb', closefd=False) as file:
            file.writelines(pieces)
        os.fsync(fd)
    finally:
        close_fd(fd)


def append_durably(dir_fd: int, name: str, data: bytes) -> None:
    """Append to a file of a flight, which may be new, all or nothing, and force it to the disk."""
    flags = _APPEND_FLAGS | os.O_CREAT
    fd = os.open(name, flags, FILE_MODE, dir_fd=dir_fd)
    try:
        take_after(fd, dir_fd)
        size = os.fstat(fd).st_size
        try:
            with open(fd, 'ab', closefd=False, buffering=0) as file:
                left = memoryview(data)
                while left:
                    left = left[file.write(left):]
            os.fsync(fd)
            os.fsync(dir_fd)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, size)
            raise
    finally:
        close_fd(fd)


class AppendFile:
    """
    A file to which whole records are appended: all of a call, or none. Used by one thread.

    Attributes:
        path: Where it is.
        size: Bytes of the whole records in it.
        torn_bytes: Bytes behind them of a failed write that could not be cut off yet.
        reach: Up to where data may be in the file; more than `size` while a write goes on.
        digest: Runs over the whole records; None if nobody needs it.

    """

    def __init__(
        self,
        path: Path,
        size: int | None = None,
        *,
        dir_fd: int | None = None,
        digest: Digest | None = None,
    ) -> None:
        """
        Create the file; or open one that has so many bytes of whole records, and cut off the rest.

        It is locked until it is closed: nobody else changes it, by whatever name. With
        `dir_fd` it is created in that directory, wherever `path` leads now, and takes after it.

        Raises:
            OSError: It exists or cannot be created; it cannot be opened or cut; another program
                has it open as this one would.

        """
        self.path = path
        self.size = self.reach = size or 0
        self.torn_bytes = 0
        self.digest = digest
        self._dir_fd = dir_fd
        if size is None:
            flags = _APPEND_FLAGS | os.O_CREAT | os.O_EXCL
            name = path if dir_fd is None else path.name
            self._fd = os.open(name, flags, FILE_MODE, dir_fd=dir_fd)
            if dir_fd is not None:
                take_after(self._fd, dir_fd)
            with suppress(OSError):  # nobody else changes a file that is new
                lock(self._fd)
            return
        self._fd = os.open(path, _APPEND_FLAGS)
        try:
            lock(self._fd)
            self._cut_torn_tail()
        except OSError:
            self.close()
            raise

    def append(self, pieces: Sequence[bytes]) -> None:
        """
        Append all pieces, or none.

        Raises:
            OSError: Not all could be written; what was written is cut off again.

        """
        if self.torn_bytes:
            self._cut_torn_tail()
        total = sum(map(len, pieces))
        left = total
        self.reach = self.size + total
        queue = list(pieces)
        try:
            while left:
                written = os.writev(self._fd, queue[:_IOV_MAX])
                if not written:  # no file system should; it would be tried again for ever
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                left -= written
                if left:
                    queue = _after(queue, written)
        except OSError:
            self.torn_bytes = total - left
            self.reach = self.size
            with suppress(OSError):  # then it is cut off before the next write
                self._cut_torn_tail()
            raise
        self.size += total
        if self.digest is not None:
            for piece in pieces:
                self.digest.update(piece)

    def cut(self, size: int, digest: Digest | None = None) -> None:
        """
        Cut off all behind so many bytes; where that fails, before the next write.

        The `digest` is that of the bytes before.
        """
        self.digest = digest
        self.torn_bytes += self.size - size
        self.size = self.reach = size
        with suppress(OSError):
            self._cut_torn_tail()

    def _cut_torn_tail(self) -> None:
        os.ftruncate(self._fd, self.size)
        self.torn_bytes = 0

    def fileno(self) -> int:
        """Return the descriptor; -1 once the file is closed."""
        return self._fd

    def sync(self, *, is_finished: bool) -> None:
        """Force the data to the disk; a finished file leaves the page cache. Any thread."""
        if not is_finished:
            os.fdatasync(self._fd)
            return
        os.fsync(self._fd)
        with suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file as it is. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_fd(fd)

    @property
    def is_unlinked(self) -> bool:
        """Whether the file has lost its name: what is written to it is gone when it is closed."""
        with suppress(OSError):
            return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0
        return False

    def remove(self) -> bool:
        """Close the file, and remove it; return False if it is still there."""
        self.close()
        try:
            name = self.path if self._dir_fd is None else self.path.name
            os.unlink(name, dir_fd=self._dir_fd)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True


def _after(pieces: list[bytes], written: int) -> list[bytes]:
    """Return the pieces without their first `written` bytes."""
    for position, piece in enumerate(pieces):
        if written < len(piece):
            rest = memoryview(piece)[written:]
            return [rest, *pieces[position + 1:]]  # type: ignore[list-item]
        written -= len(piece)
    return []
