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
Stands between the recorder and the operating system, for everything below one directory.

The core reaches the kernel through functions of `os`, `fcntl.flock`, `pathlib` (which calls `os`)
and the built-in `open` (which does not: it is replaced by one that does). A *watch* sees every
such call, by name and file, and decides whether it is made.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
import fcntl
import io
import logging
import os
import pathlib
from pathlib import Path
from typing import Any
from unittest import mock

BY_PATH = (
    'open', 'mkdir', 'rmdir', 'unlink', 'rename', 'replace', 'stat', 'lstat', 'statvfs', 'access',
    'listdir', 'scandir',
)  # fmt: skip
BY_DESCRIPTOR = (
    'close', 'write', 'writev', 'pwrite', 'read', 'pread', 'fsync', 'fdatasync', 'ftruncate',
    'posix_fallocate', 'fstat',
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """
    A system call that is about to be made.

    Attributes:
        name: For example `fsync`.
        path: The file that it is about.
        args: As they were given.

    """

    name: str
    path: Path
    args: tuple[Any, ...]


Watch = Callable[[Call, Callable[[], Any]], Any]
"""Takes the call and a function that makes it; returns the call's result, or raises `OSError`."""


@contextmanager
def interposed(directory: Path, watch: Watch) -> Iterator[dict[int, Path]]:
    """
    Show every system call about a file below a directory, or about itself, to a watch.

    Gives the files that are open, by descriptor.
    """
    files: dict[int, Path] = {}

    def is_below(path: object) -> bool:
        return isinstance(path, str | Path) and Path(path).is_relative_to(directory)

    def by_path(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = args
            for place, key in enumerate(('dir_fd', 'dst_dir_fd')):
                if (directory_fd := kwargs.get(key)) in files and len(args) > place:
                    args = (*args[:place], files[directory_fd] / args[place], *args[place + 1:])
            if kwargs.get('src_dir_fd') in files:
                args = (files[kwargs['src_dir_fd']] / args[0], *args[1:])
            if name == 'statvfs' and args[0] in files:
                args = (files[args[0]],)
            if not args or not is_below(args[0]):
                return real(*given, **kwargs)
            path = Path(args[0])
            args, given = given, args
            result = watch(Call(name, path, given), lambda: real(*args, **kwargs))
            if name == 'open':
                files[result] = path
            return result

        return call

    def by_descriptor(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            path = files.get(args[0]) if args else None
            if path is None:
                return real(*args, **kwargs)
            if name == 'close':  # first, for another thread may be given the same number
                del files[args[0]]
            return watch(Call(name, path, args), lambda: real(*args, **kwargs))

        return call

    real_open = builtins.open

    def open_file(file: Any, mode: str = 'r', *args: Any, **kwargs: Any) -> Any:
        if file in files:
            raw = _File(file, mode, closefd=kwargs.get('closefd', True))
            return _buffered(raw, mode, **kwargs)
        if not is_below(file):
            return real_open(file, mode, *args, **kwargs)
        assert mode in ('r', 'rb'), f'open with mode {mode!r} is not interposed'
        return _buffered(_File(os.open(file, os.O_RDONLY | os.O_CLOEXEC), mode), mode, **kwargs)

    accessor = getattr(pathlib, '_normal_accessor', None)  # Python 3.10 has references of its own
    with ExitStack() as stack:

        def put(owner: object, name: str, replacement: Callable[..., Any]) -> None:
            stack.enter_context(mock.patch.object(owner, name, replacement))

        for names, make in ((BY_PATH, by_path), (BY_DESCRIPTOR, by_descriptor)):
            for name in names:
                replacement = make(name, getattr(os, name))
                put(os, name, replacement)
                if hasattr(accessor, name):
                    put(accessor, name, replacement)
        put(fcntl, 'flock', by_descriptor('flock', fcntl.flock))
        put(builtins, 'open', open_file)
        put(io, 'open', open_file)
        if accessor is not None:
            put(accessor, 'open', open_file)
        yield files


class _File(io.RawIOBase):
    """A file whose every access is a call of `os`."""

    def __init__(self, fd: int, mode: str, *, closefd: bool = True) -> None:
        self._fd = fd
        self._mode = mode
        self._closefd = closefd

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return 'r' in self._mode

    def writable(self) -> bool:
        return 'r' not in self._mode

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return os.write(self._fd, data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._closefd:
                os.close(self._fd)


def _buffered(
    raw: _File, mode: str, buffering: int = -1, encoding: str | None = None, **_: object
) -> Any:
    if not buffering:
        return raw
    if 'r' not in mode:
        return io.BufferedWriter(raw)
    reader = io.BufferedReader(raw)
    return reader if 'b' in mode else io.TextIOWrapper(reader, encoding=encoding)


class _Listener(logging.Handler):

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


@contextmanager
def recorder_logs() -> Iterator[list[logging.LogRecord]]:
    """Collect what the recorder logs from WARNING on, instead of showing it."""
    logger = logging.getLogger('fdr_recorder')
    listener = _Listener()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagate
