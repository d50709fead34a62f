# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Libraries of these tests that stand before the C library in another process (LD_PRELOAD)."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess

import pytest


def preload_library(name: str, directory: Path, without: str) -> Path:
    """
    Compile a library from the source beside this file.

    Args:
        name: Of the source, without `.c`.
        directory: Where to put it; of the test's own.
        without: What cannot be done without a compiler: the test is skipped then.

    """
    compiler = shutil.which('cc') or shutil.which('gcc')
    if compiler is None:
        pytest.skip(f'no C compiler: {without}')
    library = directory / f'{name}.so'
    source = Path(__file__).with_name(f'{name}.c')
    subprocess.run(
        [compiler, '-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], check=True
    )
    return library
