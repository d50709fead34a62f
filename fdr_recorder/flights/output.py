# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Output that is there as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import errno
import os
from pathlib import Path
from secrets import token_hex
import shutil
from typing import Final

from fdr_recorder.errors import ExportError
from fdr_recorder.storage.disk_errors import has_no_inodes
from fdr_recorder.storage.files import sync_directory

_ADVICE: Final = {
    errno.ENOSPC: 'free space there, or write to another disk',
    errno.EDQUOT: 'free space there, raise the quota, or write to another disk',
    errno.EROFS: 'it is mounted read-only; write to another disk',
    errno.EFBIG: 'no file may be so large there (see `ulimit -f`); write less, or somewhere else',
}
"""Of errors that only writing has."""


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """
    Let errors of writing a file or a directory name it, say that it was that, and what to do.

    Files whose names begin with `.NAME.` beside it are on the way to it. Errors of other files, as
    of reading what is to be written, stay as they are.
    """
    try:
        yield
    except OSError as error:
        number, name = error.errno or 0, error.filename
        draft = str(out.absolute().parent / f'.{out.name}.')
        is_ours = isinstance(name, str) and os.path.abspath(name).startswith(draft)
        if not is_ours and (name is not None or number not in _ADVICE):
            raise
        what = os.strerror(number) if number else str(error)
        advice = _ADVICE.get(number)
        if number == errno.ENOSPC and has_no_inodes(out.absolute().parent):
            what, advice = 'no inodes are left there', 'remove files there (see `df -i`)'
        text = f'cannot be written: {what}' + (f'; {advice}' if advice else '')
        raise OSError(number, text, str(out)) from error


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """
    Yield a path at which to create a file or a directory; it gets its name when the block ends.

    If the block raises, nothing is left.

    Raises:
        ExportError: `out` exists, or its directory does not.
        OSError: It cannot be written; see `writing`.

    """
    if os.path.lexists(out):
        raise ExportError(out, 'is there already; choose another name, or remove it first')
    parent = out.absolute().parent
    if not parent.is_dir():
        raise ExportError(out, f'there is no directory {parent}; create it first')
    work = parent / f'.{out.name}.{token_hex(8)}.part'
    try:  # an interrupt may come as soon as the directory is there
        with writing(out):
            work.mkdir(0o700)
            built = work / out.name
            yield built
            if os.path.lexists(out):
                raise ExportError(out, 'was created meanwhile; choose another name')
            built.rename(out)
            sync_directory(parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
