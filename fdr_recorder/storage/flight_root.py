"""The flight root: the directory of all flights, owned by one writer process at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Final

from fdr_recorder.errors import (
    FlightRootLockedError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.storage import descriptor

LOCK_NAME: Final = '.fdr.lock'
RESERVE_NAME: Final = '.fdr.reserve'
_FILE_MODE: Final = 0o640


class FlightRoot:
    """A flight root that this process owns, from `acquire` to `release`.

    The lock is a `flock` on `.fdr.lock`: the kernel gives it back when the process dies, however
    it dies. The file's content is for people and for the error message of who comes second.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        """Use `acquire` instead."""
        self.path = path
        self._lock_fd = lock_fd
        self.has_reserve = False
        """Whether the emergency space was allocated, and not given up since."""

    @classmethod
    def acquire(cls, path: Path | str, *, owner: str = 'fdr_recorder') -> FlightRoot:
        """Take ownership of a flight root.

        Args:
            path: The directory; `~` is the home directory.
            owner: Name of the node or program, for the message to others.

        Raises:
            FlightRootMissingError: There is no such directory.
            FlightRootNotADirectoryError: It is something else.
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
            lock_fd = os.open(path / LOCK_NAME, flags, _FILE_MODE)
        except OSError as error:
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe_holder(lock_fd)
            descriptor.close(lock_fd)
            raise FlightRootLockedError(path, holder) from None
        except OSError as error:
            descriptor.close(lock_fd)
            raise FlightRootReadOnlyError(path, error.strerror or str(error)) from error
        with suppress(OSError):  # on a full disk the lock holds all the same
            _write_holder(lock_fd, owner)
        return cls(path, lock_fd)

    @property
    def is_held(self) -> bool:
        """Whether the root is still owned."""
        return self._lock_fd >= 0

    def release(self) -> None:
        """Give the root back. Idempotent."""
        lock_fd, self._lock_fd = self._lock_fd, -1
        if lock_fd >= 0:
            with suppress(OSError):
                os.ftruncate(lock_fd, 0)
            descriptor.close(lock_fd)

    def __enter__(self) -> FlightRoot:
        """Return itself: it is owned already."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the root back."""
        self.release()

    # --- space -----------------------------------------------------------------------------

    def free_bytes(self) -> int:
        """Return the space left for an ordinary process, in bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def allocate_reserve(self, size: int) -> bool:
        """Allocate the emergency space, or make it as large as it should be.

        Args:
            size: In bytes; 0 to have none.

        Returns:
            True if the space is there.

        """
        if size == 0:
            self.give_up_reserve()
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self.path / RESERVE_NAME, flags, _FILE_MODE)
        except OSError:
            return False
        try:
            os.ftruncate(fd, size)
            os.posix_fallocate(fd, 0, size)
        except OSError:
            self.give_up_reserve()
            return False
        finally:
            descriptor.close(fd)
        self.has_reserve = True
        return True

    def give_up_reserve(self) -> None:
        """Free the emergency space, if there is any."""
        self.has_reserve = False
        with suppress(OSError):
            (self.path / RESERVE_NAME).unlink()


def _write_holder(lock_fd: int, owner: str) -> None:
    holder = {
        'pid': os.getpid(),
        'host': socket.gethostname(),
        'node': owner,
        'since': datetime.now(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
    }
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, json.dumps(holder).encode() + b'\n', 0)


def _describe_holder(lock_fd: int) -> str:
    """Say who holds the lock, as far as the file tells."""
    try:
        holder = json.loads(os.pread(lock_fd, 4096, 0))
        return (
            f'pid {holder["pid"]} ({holder["node"]} on {holder["host"]}, since {holder["since"]})'
        )
    except (OSError, ValueError, KeyError, TypeError):
        return 'another writer'
