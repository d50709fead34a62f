# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A file that only ever grows at its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import os
from pathlib import Path
from typing import Final

from fdr_recorder.storage.files import close_fd, FILE_MODE

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_IOV_MAX: Final = os.sysconf('SC_IOV_MAX')


class AppendFile:
    """
    A file to which whole records are appended: all of a call, or none. Used by one thread.

    Attributes:
        path: Where it is.
        size: Bytes of the whole records in it.
        torn_bytes: Bytes behind them of a failed write that could not be cut off yet.

    """

    def __init__(self, path: Path, size: int = 0) -> None:
        """Name a file that is not open; `create` it, or `reopen` it with so many bytes."""
        self.path = path
        self.size = size
        self.torn_bytes = 0
        self._fd = -1

    def create(self) -> None:
        """Create the file; raise `OSError` if it exists or cannot be created."""
        self._fd = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, FILE_MODE)

    def reopen(self) -> None:
        """Open an existing file and cut off what follows its whole records; raise `OSError`."""
        self._fd = os.open(self.path, _FLAGS)
        try:
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
        queue = list(pieces)
        try:
            while left:
                written = os.writev(self._fd, queue[:_IOV_MAX])
                left -= written
                if left:
                    queue = _after(queue, written)
        except OSError:
            self.torn_bytes = total - left
            with suppress(OSError):  # then it is cut off before the next write
                self._cut_torn_tail()
            raise
        self.size += total

    def _cut_torn_tail(self) -> None:
        os.ftruncate(self._fd, self.size)
        self.torn_bytes = 0

    def sync_data(self) -> None:
        """Force the data to the disk; any thread."""
        os.fdatasync(self._fd)

    def sync_and_uncache(self) -> None:
        """
        Force everything to the disk and drop it from the page cache; any thread.

        Nobody reads a complete file in flight, and others can use the memory.
        """
        os.fsync(self._fd)
        with suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file as it is. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_fd(fd)


def _after(pieces: list[bytes], written: int) -> list[bytes]:
    """Return the pieces without their first `written` bytes."""
    for position, piece in enumerate(pieces):
        if written < len(piece):
            rest = memoryview(piece)[written:]
            return [rest, *pieces[position + 1:]]  # type: ignore[list-item]
        written -= len(piece)
    return []
