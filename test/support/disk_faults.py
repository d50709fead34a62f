# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Faults of the operating system, put in at the system-call boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path
import subprocess
import threading
from typing import Any

import pytest


class SystemCall:
    """
    Stands before a function of `os`; a test decides call by call what it does.

    Attributes:
        calls: How often it was called in the threads that it looks at.

    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        *,
        only: Callable[..., bool] = lambda *_args, **_kwargs: True,
    ) -> None:
        """
        Begin to stand before `os.<name>`, letting everything through.

        Args:
            monkeypatch: Takes it away again after the test.
            name: Of the function in `os`.
            only: Tells by the arguments whether a call is looked at.

        """
        self.calls = 0
        self._real = getattr(os, name)
        self._only = only
        self._before: Callable[[int], None] = lambda _number: None
        monkeypatch.setattr(os, name, self._call)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if self._only(*args, **kwargs):
            self.calls += 1
            self._before(self.calls)
        return self._real(*args, **kwargs)

    def fail(self, error: int | BaseException, *, on_call: int | None = None) -> None:
        """Fail from now on, or on that call alone (the next call is `calls + 1`)."""

        def before(number: int) -> None:
            if on_call is None or number == on_call:
                if isinstance(error, BaseException):
                    raise error
                raise OSError(error, os.strerror(error))

        self._before = before

    @contextmanager
    def failing(self, error: int | BaseException) -> Iterator[None]:
        """Fail inside the block."""
        self.fail(error)
        try:
            yield
        finally:
            self.work()

    def work(self) -> None:
        """Let everything through again."""
        self._before = lambda _number: None

    @contextmanager
    def stalled(self, then: BaseException | None = None) -> Iterator[threading.Event]:
        """
        Block every caller inside the block; gives an event that is set when one is blocked.

        Args:
            then: What the calls that were blocked fail with; else they do their work.

        """
        reached, released = threading.Event(), threading.Event()

        def before(_number: int) -> None:
            reached.set()
            assert released.wait(60), 'nobody released the stalled system call'
            if then is not None:
                raise then

        self._before = before
        try:
            yield reached
        finally:
            self.work()
            released.set()


def is_segment_fd(fd: int, *_: object) -> bool:
    """Tell whether a file descriptor is that of a segment."""
    try:
        return Path(f'/proc/self/fd/{fd}').readlink().suffix == '.mcap'
    except OSError:
        return False


def is_segment_path(path: object, *_: object, **__: object) -> bool:
    """Tell whether a path is that of a segment."""
    return str(path).endswith('.mcap')


def free_space(free_bytes: Callable[[], int], real: Callable[[Any], os.statvfs_result]) -> Any:
    """Return a replacement of `os.statvfs` that reports so much free space."""

    def statvfs(path: Any) -> os.statvfs_result:
        fields = list(real(path))
        block = fields[1]
        fields[3] = fields[4] = free_bytes() // block
        return os.statvfs_result(fields)

    return statvfs


@contextmanager
def mounted_tmpfs(path: Path, size_bytes: int, *options: str) -> Iterator[Path]:
    """Mount a small file system; skip the test where that is not permitted."""
    choices = ','.join([f'size={size_bytes}', *options])
    path.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', choices, 'tmpfs', str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip('there is no mount command on this machine')
    if done.returncode:
        pytest.skip(f'mounting a small tmpfs is not permitted here: {done.stderr.strip()}')
    try:
        yield path
    finally:
        subprocess.run(['umount', '--lazy', str(path)], check=True)


def fill_disk(path: Path, *, leave_bytes: int = 0) -> Path:
    """Take all space of a (small) file system but so many bytes; return the file that has it."""
    ballast = path / 'ballast'
    block = b'\0' * 4096
    with ballast.open('ab', buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(block)
        if leave_bytes:
            file.truncate(max(0, file.tell() - leave_bytes))
    return ballast


def errno_name(number: int) -> str:
    """Return for example `ENOSPC`."""
    return errno.errorcode[number]


class ForgetfulSync:
    """
    Stands before a sync of segments that fails once, with the data lost, as Linux loses them.

    Afterwards the range since the last sync has zeros on the disk; later syncs succeed.

    Attributes:
        calls: How often it was called for a segment.

    """

    def __init__(self, real: Callable[[int], None], holding: bytes) -> None:
        self.calls = 0
        self._real = real
        self._holding = holding
        self._synced: dict[int, int] = {}
        self._is_armed = self._is_first = False
        self._stall: tuple[threading.Event, threading.Event] | None = None

    def lose_next(self, *, first: bool = False) -> None:
        """Lose what the next sync covers, or the `first` sync of a file."""
        self._is_armed, self._is_first = True, first

    @contextmanager
    def lost_after_a_stall(self) -> Iterator[threading.Event]:
        """Block the next sync inside the block, then lose all that is in the file."""
        self._stall = threading.Event(), threading.Event()
        self.lose_next()
        try:
            yield self._stall[0]
        finally:
            self._stall[1].set()

    def seen(self, real: Callable[[int], None]) -> Callable[[int], None]:
        """Return another function that syncs, whose syncs of segments count, too."""

        def sync(fd: int) -> None:
            size = os.fstat(fd).st_size
            real(fd)
            self._synced[os.fstat(fd).st_ino] = size

        return sync

    def __call__(self, fd: int) -> None:
        if not is_segment_fd(fd):
            self._real(fd)
            return
        self.calls += 1
        inode = os.fstat(fd).st_ino
        if self._is_armed and self._stall is not None:
            self._stall[0].set()
            assert self._stall[1].wait(60), 'nobody released the stalled sync'
        size = os.fstat(fd).st_size
        start = min(self._synced.get(inode, 0), size)
        path = Path(f'/proc/self/fd/{fd}')
        with path.open('rb') as file:
            file.seek(start)
            is_there = self._holding in file.read(size - start)
        if self._is_armed and is_there and size > start and not (self._is_first and start):
            self._is_armed = False
            with path.open('r+b') as file:
                file.seek(start)
                file.write(bytes(size - start))
                file.flush()
                self._real(file.fileno())
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._real(fd)
        self._synced[inode] = size


def forgetful_sync(
    monkeypatch: pytest.MonkeyPatch, name: str, *, holding: bytes = b''
) -> ForgetfulSync:
    """Put a `ForgetfulSync` before `os.<name>`; it loses a range that holds some bytes."""
    both = {'fsync': os.fsync, 'fdatasync': os.fdatasync}
    fault = ForgetfulSync(both.pop(name), holding)
    monkeypatch.setattr(os, name, fault)
    for other, real in both.items():
        monkeypatch.setattr(os, other, fault.seen(real))
    return fault


class LoopDisk:
    """
    A file system on a loop device, whose image lies on a small disk.

    Attributes:
        path: Where it is mounted.
        below: The disk with the image.

    """

    def __init__(self, path: Path, below: Path) -> None:
        self.path = path
        self.below = below

    def remount(self) -> None:
        """Unmount and mount it: the page cache forgets it."""
        _mount('umount', str(self.path))
        self.mount()

    def mount(self) -> None:
        """Mount it; skip the test where that is not permitted."""
        _mount('mount', '-o', 'loop', str(self.below / 'image'), str(self.path))


def _mount(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f'there is no {command[0]} on this machine')
    if done.returncode:
        pytest.skip(f'{command[0]} is not permitted here: {done.stderr.strip()}')


@contextmanager
def mounted_on_loop(path: Path, *, disk_bytes: int, image_bytes: int) -> Iterator[LoopDisk]:
    """Mount ext4 on a sparse image that its disk has too little space for."""
    with mounted_tmpfs(path / 'below', disk_bytes) as below:
        with (below / 'image').open('wb') as image:
            image.truncate(image_bytes)
        _mount('mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'nodiscard', str(below / 'image'))
        disk = LoopDisk(path / 'loop', below)
        disk.path.mkdir()
        disk.mount()
        try:
            yield disk
        finally:
            subprocess.run(['umount', '--lazy', str(disk.path)], check=False)
