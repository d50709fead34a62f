# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reading a file past the page cache: what the medium has, not what the kernel remembers."""

from __future__ import annotations

from contextlib import suppress
import errno
import mmap
import os
from typing import Final

from fdr_recorder.storage.files import close_fd

_ALIGNMENT: Final = 4096
"""Of offsets and lengths for `O_DIRECT`; a multiple of every usual logical block size."""
_WINDOW_BYTES: Final = 4 << 20


class Medium:
    """
    A file as the medium has it. Used by one thread; may block for as long as the disk does.

    Reads with `O_DIRECT` where the file system has that. Otherwise the pages are evicted first,
    and `RWF_NOWAIT` must show that they have gone: a page that is still cached proves nothing.
    """

    def __init__(self, fd: int) -> None:
        """
        Open the file of a descriptor, whatever its name is now.

        Raises:
            NotImplementedError: It cannot be opened for reading; perhaps there is no /proc.

        """
        path, flags = f'/proc/self/fd/{fd}', os.O_RDONLY | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags)
        except OSError as error:
            raise NotImplementedError from error
        self._direct_fd = -1
        with suppress(OSError):  # EINVAL: this file system does not have it
            self._direct_fd = os.open(path, flags | os.O_DIRECT)
        self._window = mmap.mmap(-1, _WINDOW_BYTES)  # its address is aligned

    def close(self) -> None:
        """Close it. The descriptor that it was made from stays open."""
        self._window.close()
        close_fd(self._fd)
        if self._direct_fd >= 0:
            close_fd(self._direct_fd)

    def read(self, offset: int, length: int) -> bytes:
        """
        Read so many bytes from an offset; fewer at the end of the file.

        Raises:
            NotImplementedError: What the medium has cannot be told from the page cache.
            OSError: The medium cannot be read.

        """
        start = offset - offset % _ALIGNMENT
        end = offset + length
        found = bytearray()
        while start + len(found) < end:
            size = self._fill(start + len(found), end - start - len(found))
            is_end = start + len(found) + size >= os.fstat(self._fd).st_size
            if not is_end and start + len(found) + size < end:  # go on at a multiple
                size -= size % _ALIGNMENT
            found += self._window[:size]
            if is_end or not size:
                break
        return bytes(found[offset - start:end - start])

    def _fill(self, offset: int, wanted: int) -> int:
        """Read into the window; return how many bytes there are."""
        size = min(_WINDOW_BYTES, wanted + -wanted % _ALIGNMENT)
        with memoryview(self._window) as whole, whole[:size] as window:
            if self._direct_fd >= 0:
                try:
                    return os.preadv(self._direct_fd, [window], offset)
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                        raise
                close_fd(self._direct_fd)
                self._direct_fd = -1
            return self._fill_evicted(window, offset)

    def _fill_evicted(self, window: memoryview, offset: int) -> int:
        os.posix_fadvise(self._fd, offset, len(window), os.POSIX_FADV_DONTNEED)
        for start in range(0, len(window), _ALIGNMENT):
            try:
                if not os.preadv(
                    self._fd, [window[start:start + _ALIGNMENT]], offset + start, os.RWF_NOWAIT
                ):
                    break  # the end of the file
            except BlockingIOError:
                continue
            raise NotImplementedError
        return os.preadv(self._fd, [window], offset)
