# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What an error of the file system means, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
import errno
import os
from pathlib import Path
from typing import Final

RETRY_INTERVAL_S: Final = 1.0
"""How often what the disk has refused is tried again."""
FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOSPC: 'free space there',
    errno.EDQUOT: 'free space there, or raise the quota',
    errno.EISDIR: 'a directory is in its place; remove that',
    errno.EFBIG: 'no file may be larger there (`ulimit -f`); lower segment_size_bytes',
    errno.EMFILE: 'this process has too many files open; raise LimitNOFILE or `ulimit -n`',
    errno.ENFILE: 'the machine has too many files open; raise fs.file-max',
    errno.EACCES: 'check the owner and the mode of the directory',
    errno.EPERM: 'check the owner and the attributes of the directory',
    errno.EROFS: 'it is read-only, often after an error; see `dmesg`, then remount it',
    errno.EIO: 'the disk fails; see `dmesg`, and replace it',
    errno.ENODEV: 'the disk is gone; check its plug and its mount',
    errno.ENXIO: 'the disk is gone; check its plug and its mount',
    errno.ESTALE: 'the server has dropped the file; check the network mount',
}


def describe(error: OSError, path: Path) -> str:
    """Return the cause of an error below a directory, which the error may name, and the advice."""
    number = error.errno or errno.EIO
    if number == errno.ENOSPC and has_no_inodes(path):
        return f'no inodes left on the file system of {path}; remove files there (`df -i`)'
    name = error.filename2 or error.filename  # where it was to be renamed to
    where = path / name if isinstance(name, str) else path
    advice = _ADVICE.get(number)
    return f'{os.strerror(number)} in {where}' + (f'; {advice}' if advice else '')


def has_no_inodes(path: Path) -> bool:
    """Tell whether a file system has space, but none for another file."""
    try:
        status = os.statvfs(path)
    except OSError:
        return False
    return status.f_files > 0 and status.f_favail == 0 and status.f_bavail > 0
