# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Runs `fdr` in a terminal of a given width."""

from __future__ import annotations

from collections.abc import Mapping
import fcntl
import os
from pathlib import Path
import pty
import select
import struct
import termios
import time
from typing import NamedTuple

from fdr_program import start_fdr

_UNTOLD = ('COLUMNS', 'LINES', 'NO_COLOR', 'CLICOLOR', 'CLICOLOR_FORCE')
"""Of the environment of the tests, which may tell otherwise."""


class Said(NamedTuple):
    """What a program has written to its terminal, and its exit code."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        """Return the lines."""
        return self.text.replace('\r\n', '\n').split('\n')


def run_in_terminal(
    *arguments: object,
    columns: int,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
    with_stderr: bool = False,
    program: str = 'fdr_recorder.cli',
) -> Said:
    """
    Run `fdr` whose stdin and stdout are a terminal; raise `TimeoutError` if it does not end.

    With `with_stderr` stderr is the same terminal, so that there are progress bars; it is dropped
    otherwise.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    told: dict[str, str | None] = dict.fromkeys(_UNTOLD)
    with Path(os.devnull).open('w') as nothing:
        process = start_fdr(
            *arguments,
            stdio=(theirs, theirs, theirs if with_stderr else nothing.fileno()),
            environment={**told, 'TERM': 'xterm', **(environment or {})},
            program=program,
        )
    os.close(theirs)
    written = b''
    end = time.monotonic() + timeout_s
    try:
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([ours], [], [], left)[0]:
                raise TimeoutError(f'fdr {arguments} does not end; it said {written!r}')
            try:
                more = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other side any more
                break
            if not more:
                break
            written += more
        code = process.wait(timeout=max(end - time.monotonic(), 1.0))
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return Said(code, written.decode())
