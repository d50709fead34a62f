# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight root: the directory of all flights, owned by one writer process at a time."""

from __future__ import annotations

from contextlib import suppress
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from fdr_recorder.errors import (
    FlightRootLockedError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.storage.files import close_fd, FILE_MODE
from fdr_recorder.storage.root_lock import describe_holder, lock, LOCK_NAME, write_holder

RESERVE_NAME: Final = '.fdr.reserve'


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
            lock(lock_fd)
        except BlockingIOError:
            holder = describe_holder(lock_fd)
            close_fd(lock_fd)
            raise FlightRootLockedError(path, holder) from None
        except OSError as error:
            close_fd(lock_fd)
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        with suppress(OSError):  # on a full disk the lock holds all the same
            write_holder(lock_fd, owner)
        return cls(path, lock_fd)

    @property
    def is_held(self) -> bool:
        """Whether the root is still owned."""
        return self._lock_fd >= 0

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

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the root."""
        self.release()

    # --- space -----------------------------------------------------------------------------

    def free_bytes(self) -> int:
        """Return the space left for an ordinary process, in bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def allocate_reserve(self, size: int) -> bool:
        """
        Allocate the emergency space, or change its size.

        Args:
            size: In bytes; 0 for none.

        Returns:
            True if the space is allocated.

        """
        if size == 0:
            self.give_up_reserve()
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self.path / RESERVE_NAME, flags, FILE_MODE)
        except OSError:
            return False
        try:
            os.ftruncate(fd, size)
            os.posix_fallocate(fd, 0, size)
        except OSError:
            self.give_up_reserve()
            return False
        finally:
            close_fd(fd)
        self.has_reserve = True
        return True

    def give_up_reserve(self) -> bool:
        """Free the emergency space; return whether there was any."""
        self.has_reserve = False
        with suppress(OSError):
            (self.path / RESERVE_NAME).unlink()
            return True
        return False
