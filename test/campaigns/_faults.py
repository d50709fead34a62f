# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""System calls that fail: which, in how many ways, and the watch that lets one of them fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import errno
import os
from pathlib import Path
import threading
from typing import Any, Final

from campaigns._interpose import Call

_write_now = os.write
_DISK = ('ENOSPC', 'EDQUOT', 'EIO', 'EROFS')
WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    'open': (*_DISK, 'EMFILE', 'ENFILE', 'EACCES', 'ENOENT', 'ENOMEM', 'ESTALE'),
    'mkdir': (*_DISK, 'EACCES', 'ENOENT', 'EEXIST', 'EMLINK', 'EINTR'),
    'rmdir': ('EIO', 'EROFS', 'EBUSY', 'ENOTEMPTY', 'EINTR'),
    'unlink': ('EIO', 'EROFS', 'EACCES', 'EBUSY', 'EINTR'),
    'rename': (*_DISK, 'EACCES', 'ENOENT', 'EINTR'),
    'replace': (*_DISK, 'EACCES', 'ENOENT', 'EINTR'),
    'stat': ('EIO', 'EACCES', 'ESTALE'),
    'lstat': ('EIO', 'EACCES', 'ESTALE'),
    'statvfs': ('EIO', 'ENOSYS', 'EINTR', 'ENOMEM'),
    'access': ('EACCES',),
    'listdir': ('EIO', 'EACCES', 'EMFILE', 'ENOMEM'),
    'scandir': ('EIO', 'EACCES', 'EMFILE', 'ENOMEM'),
    'close': ('EIO', 'ENOSPC', 'EDQUOT', 'EINTR'),
    'write': (*_DISK, 'EFBIG', 'SHORT'),
    'writev': (*_DISK, 'EFBIG', 'ENOMEM', 'SHORT', 'SHORT_THEN_ENOSPC'),
    'pwrite': (*_DISK, 'EFBIG'),
    'read': ('EIO', 'ESTALE'),
    'pread': ('EIO', 'ESTALE', 'SHORT'),
    'fsync': _DISK,
    'fdatasync': _DISK,
    'ftruncate': ('EIO', 'EROFS', 'EPERM', 'EFBIG'),
    'posix_fallocate': ('ENOSPC', 'EDQUOT', 'EIO', 'EOPNOTSUPP'),
    'fstat': ('EIO', 'ESTALE'),
    'flock': ('EWOULDBLOCK', 'ENOLCK'),
}
"""What each call can do instead of its work. Python itself repeats most calls after `EINTR`."""


@dataclass
class Fault:
    """
    The watch of `interposed`: counts calls, and lets one of them fail.

    Attributes:
        name: Of the call that is to fail; empty for none.
        number: Which of the calls of that name, from 1.
        way: How: an error's name, `SHORT`, or `SHORT_THEN_...`.
        has_struck: Whether it has failed.

    """

    name: str = ''
    number: int = 0
    way: str = ''
    has_struck: bool = False
    path: Path | None = None

    def __post_init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.is_disk_full = False
        self._lock = threading.Lock()

    def __str__(self) -> str:
        where = '' if self.path is None else f' ({self.path.name})'
        return f'{self.name} number {self.number}{where} fails with {self.way}'

    def watch(self, call: Call, proceed: Callable[[], Any]) -> Any:
        with self._lock:
            self.calls[call.name] += 1
            strikes = call.name == self.name and self.calls[call.name] == self.number
        if strikes:
            self.has_struck, self.path = True, call.path
            return self._strike(call, proceed)
        if self.is_disk_full and call.name == 'writev' and call.path.suffix == '.mcap':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return proceed()

    def _strike(self, call: Call, proceed: Callable[[], Any]) -> Any:
        if call.name == 'access':
            return False
        way = self.way
        if way.startswith('SHORT'):
            result = _do_a_part(call)
            if way == 'SHORT':
                return result
            way = way.rpartition('_')[2]
        number = getattr(errno, way)
        if call.name == 'close':  # Linux closes the file all the same
            proceed()
        raise OSError(number, os.strerror(number))


def _do_a_part(call: Call) -> Any:
    fd, what = call.args[0], call.args[1]
    if call.name == 'pread':
        return os.pread(fd, max(1, what // 2), call.args[2])
    data = bytes(what) if call.name == 'write' else b''.join(what)
    return _write_now(fd, data[: len(data) // 2])
