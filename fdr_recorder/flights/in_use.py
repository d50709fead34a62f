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
Who is at work on a flight: its writer, which shares the lock, or who changes it alone.

A flight is known by what its directory and its segments are, not by their names: a link, another
mount, a hard link or a new name of the directory leads to the same locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path

from fdr_recorder.errors import FlightInUseError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.storage.files import close_fd
from fdr_recorder.storage.flight_root import root_holder, RootHolder
from fdr_recorder.storage.locks import held_lock, HeldLock, lock

_NO_LOCKS = (
    'its file system has no locks, so it may be in use; copy the flight to another disk, and '
    'recover it there'
)


def holder_of_root(flight: Path) -> RootHolder | None:
    """Return the owner of the root in which a flight really is; None if there is none."""
    return root_holder(flight.resolve().parent)


def lock_on(flight: Path) -> HeldLock | None:
    """Return the lock that somebody holds on a flight's directory; None if there is none."""
    with suppress(OSError):
        fd = os.open(flight, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return held_lock(fd)
        finally:
            close_fd(fd)
    return None


def is_being_recorded(flight: Path, holder: RootHolder | None, started_ns: int) -> bool:
    """
    Tell whether a flight without a footer is being written.

    Args:
        flight: Its directory.
        holder: The owner of its root.
        started_ns: When it began: tells for recorders of older versions, which lock their root
            alone.

    """
    if (held := lock_on(flight)) is not None:
        return held.is_shared
    return holder is not None and not holder.locks_flights and holder.may_record(started_ns)


@contextmanager
def locked_directory(flight: Path) -> Iterator[bool]:
    """
    Hold a flight's directory alone; yield False if its file system has no locks.

    Raises:
        FlightInUseError: Another program writes or changes it.
        OSError: It cannot be opened.

    """
    fd = os.open(flight, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _lock(fd, flight)
    finally:
        close_fd(fd)


@contextmanager
def held_alone(flight: Path) -> Iterator[None]:
    """
    Hold a flight alone while it is changed, so that no file changes that somebody writes.

    Raises:
        FlightInUseError: Another program writes or changes it, or one of its segments.
        OSError: It cannot be read, or its file system has no locks.

    """
    with locked_directory(flight) as is_locked:
        for segment in segment_files(flight):
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(segment.path, flags)
            try:  # shared, because locks of NFS follow how a file is opened
                is_locked = _lock(fd, segment.path, shared=True) or is_locked
            finally:
                close_fd(fd)
        if not is_locked:
            raise OSError(errno.ENOLCK, _NO_LOCKS, str(flight))
        yield


def _lock(fd: int, path: Path, *, shared: bool = False) -> bool:
    try:
        return lock(fd, shared=shared)
    except BlockingIOError:
        held = held_lock(fd, may_try=False)
        holder = f'pid {held.pid}' if held is not None and held.pid else 'another program'
        raise FlightInUseError(path, holder) from None
