# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A file of a flight while it goes to the store: read once, hashed, and watched for changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import stat
from types import TracebackType
from typing import Final, NamedTuple

from fdr_recorder.fleet.errors import FileChangedError, FileUnreadableError
from fdr_recorder.fleet.pace import Pace
from fdr_recorder.storage.files import close_fd

PART_BYTES: Final = 5 << 20
"""A file goes in parts of so many bytes, the least that S3 takes: a cut link loses one."""
_MOST_PARTS: Final = 9_000
_BLOCK_BYTES: Final = 1 << 20


class FileState(NamedTuple):
    """By what a file is known to be as it was: size in bytes, time of change, inode."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return that of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class Content:
    """
    What a file holds.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal.
        etag: By which S3 knows it, if it went there as it does from here, and is not encrypted
            with a key of somebody's.

    """

    size: int
    sha256: str
    etag: str


def part_bytes(size: int) -> int:
    """Return the size of the parts in which a file of so many bytes goes."""
    least = -(-size // _MOST_PARTS)
    return max(PART_BYTES, -(-least // _BLOCK_BYTES) * _BLOCK_BYTES)


class LocalFile:
    """
    A regular file that is read from front to back. Used by one thread.

    Attributes:
        path: Where it is.
        state: What it was when it was opened.
        part: Size of its parts, in bytes.

    """

    def __init__(self, path: Path) -> None:
        """Open it; raise `FileChangedError` if it is gone or no regular file."""
        self.path = path
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags)
        except FileNotFoundError:
            raise FileChangedError(path) from None
        except OSError as error:
            raise FileUnreadableError(path, error) from None
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            close_fd(self._fd)
            raise FileChangedError(path)
        self.state = FileState.of(status)
        self.part = part_bytes(self.state.size)
        self._sha256 = hashlib.sha256()
        self._md5s: list[bytes] = []
        self._at = 0

    def __enter__(self) -> LocalFile:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        close_fd(self._fd)

    def parts(self) -> Iterator[bytes]:
        """Yield it part by part, one at least; raise `FileChangedError` if it is shorter."""
        while True:
            count = min(self.part, self.state.size - self._at)
            data = b''.join(self._read(count))
            self._md5s.append(hashlib.md5(data, usedforsecurity=False).digest())
            yield data
            if self._at >= self.state.size:
                return

    def pieces(self, pace: Pace) -> Iterator[bytes]:
        """Yield it in small pieces, as fast as they may go."""
        for data in self.parts():
            whole = memoryview(data)
            for at in range(0, len(data), pace.piece):
                piece = whole[at:at + pace.piece]
                pace.take(len(piece))
                yield bytes(piece)

    def _read(self, count: int) -> Iterator[bytes]:
        """Yield the next bytes; the page cache is left to those who write there."""
        begin = self._at
        while count:
            try:
                data = os.read(self._fd, min(count, _BLOCK_BYTES))
            except OSError as error:
                raise FileUnreadableError(self.path, error) from None
            if not data:
                raise FileChangedError(self.path)
            self._sha256.update(data)
            self._at += len(data)
            count -= len(data)
            yield data
        with suppress(OSError):
            os.posix_fadvise(self._fd, begin, self._at - begin, os.POSIX_FADV_DONTNEED)

    def check(self) -> None:
        """Raise `FileChangedError` if it is no longer what it was, or has another name."""
        try:
            now = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            raise FileChangedError(self.path) from None
        is_same = FileState.of(now) == self.state == FileState.of(os.fstat(self._fd))
        if not is_same or os.read(self._fd, 1):
            raise FileChangedError(self.path)

    @property
    def content(self) -> Content:
        """Return what it holds, once all was read."""
        if len(self._md5s) == 1:
            etag = self._md5s[0].hex()
        else:
            of_all = hashlib.md5(b''.join(self._md5s), usedforsecurity=False)
            etag = f'{of_all.hexdigest()}-{len(self._md5s)}'
        return Content(self.state.size, self._sha256.hexdigest(), etag)


def read_content(path: Path, pace: Pace) -> tuple[FileState, Content]:
    """
    Hash a file.

    Raises:
        FileChangedError: It has changed meanwhile.
        FileUnreadableError: It cannot be read.
        StoppedError: The work was told to end.

    """
    with LocalFile(path) as file:
        for _ in file.parts():
            if pace.stop.is_set():
                pace.wait(0)
        file.check()
        return file.state, file.content
