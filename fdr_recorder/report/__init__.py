# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The page about a flight: one HTML file that opens offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fdr_recorder.errors import ExportError
from fdr_recorder.flights.output import writing
from fdr_recorder.flights.reader import Advance
from fdr_recorder.report.gather import gather, PASSES, Report
from fdr_recorder.report.page import GENERATOR, render

__all__ = ['PASSES', 'Advance', 'Report', 'check_target', 'gather', 'render', 'write_page']

_HEAD_BYTES: Final = 4096


def check_target(path: Path) -> None:
    """
    Check that a page may be written to a path: nothing is there, or an earlier page.

    Raises:
        ExportError: Another file is there, and must not be lost.
        OSError: The file cannot be read, or its directory is missing.

    """
    os.stat(path.parent)
    try:
        with path.open('rb') as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    if f'content="{GENERATOR} '.encode() not in head:
        raise ExportError(path, 'is not a page of `fdr report`; choose another name, or remove it')


def write_page(report: Report, path: Path) -> None:
    """
    Write the page; replace an earlier one in one step.

    Raises:
        ExportError: As `check_target`.
        OSError: The page cannot be written.

    """
    check_target(path)
    page = render(report).encode()
    draft = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with writing(path), draft.open('xb') as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
