# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Directories for a while. Those of processes that were killed are removed by the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import fcntl
import os
from pathlib import Path
import shutil
import tempfile
from typing import Final

_PREFIX: Final = 'fdr-fleet-'


@contextmanager
def scratch_directory(base: Path | None = None) -> Iterator[Path]:
    """
    Yield a directory that nobody else can read, and remove it in the end.

    It is locked meanwhile (flock(2)): one that is not belonged to a process that was killed, and
    is removed first.

    Args:
        base: Where it is made; None for the usual place of temporary files.

    Raises:
        OSError: It cannot be made.

    """
    base = (base or Path(tempfile.gettempdir())).resolve()
    _sweep(base)
    path, lock = _locked_directory(base)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked_directory(base: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        with suppress(OSError):  # another process took it for one that was left
            return path, _lock(path)


def _lock(path: Path) -> int:
    """Return the lock of a directory; raise `OSError` if another has it, or it is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.lstat()
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(base: Path) -> None:
    """Remove what processes of this user have left."""
    for path in base.glob(f'{_PREFIX}*'):
        with suppress(OSError):
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _lock(path)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
