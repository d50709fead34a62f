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
import os
from pathlib import Path
from secrets import token_hex
import shutil

from fdr_recorder.errors import ExportError
from fdr_recorder.storage.files import sync_directory


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """
    Yield a path at which to create a file or a directory; it gets its name when the block ends.

    If the block raises, nothing is left.

    Raises:
        ExportError: `out` exists, or its directory does not.
        OSError: It cannot be created or renamed.

    """
    if os.path.lexists(out):
        raise ExportError(out, 'is there already; choose another name, or remove it first')
    parent = out.absolute().parent
    if not parent.is_dir():
        raise ExportError(out, f'there is no directory {parent}; create it first')
    work = parent / f'.{out.name}.{token_hex(8)}.part'
    try:  # an interrupt may come as soon as the directory is there
        work.mkdir(0o700)
        built = work / out.name
        yield built
        if os.path.lexists(out):
            raise ExportError(out, 'was created meanwhile; choose another name')
        built.rename(out)
        sync_directory(parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(out)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
