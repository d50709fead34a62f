# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A program on a terminal of its own: what it shows, the keys that it is sent, what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import Any

from waiting import wait_until

_SEQUENCE = re.compile(r'\x1b\[(\??)([0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)')


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """
    A terminal of a given size, with a program on it, from `__enter__` to `__exit__`.

    Attributes:
        process: The program.
        written: All that it has written.

    """

    def __init__(
        self, command: Sequence[str], columns: int, lines: int, **environment: str
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, lines)
        self.settings = termios.tcgetattr(self._theirs)
        self.written = b''
        known = {name: value for name, value in os.environ.items() if name != 'NO_COLOR'}
        self.process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**known, 'TERM': 'xterm', **environment},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - before any thread
        )

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, columns: int, lines: int) -> None:
        self._size = columns, lines
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def settings_now(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def read(self) -> None:
        while select.select([self._ours], [], [], 0.05)[0]:
            self.written += os.read(self._ours, 65536)

    def shows(self, pattern: str) -> bool:
        """Tell whether it shows a text; where its lines are broken makes no difference."""
        self.read()
        return re.search(pattern, ' '.join(' '.join(self.display()).split())) is not None

    def wait_for(self, pattern: str, deadline_s: float = 30.0) -> None:
        try:
            wait_until(lambda: self.shows(pattern), pattern, deadline_s)
        except AssertionError as error:
            raise AssertionError('\n'.join([str(error), *self.display()])) from None

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, 'it does not end'
        self.read()
        return self.process.returncode

    def display(self) -> list[str]:
        """Return the lines as a terminal shows them; one that is too wide makes it fail."""
        columns, height = self._size
        lines = [''] * height
        row = column = 0
        for private, number, letter, control, text in _SEQUENCE.findall(self.written.decode()):
            if control:
                row, column = (row, 0) if control == '\r' else (min(row + 1, height - 1), column)
            elif text:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + text + line[column + len(text):]
                column += len(text)
                assert column <= columns, (columns, lines[row])
            elif letter == 'H':
                row, column = (int(part) - 1 for part in number.split(';'))
                assert row < height
            elif letter == 'K':
                lines[row] = lines[row][:column]
            elif letter == 'J' and number == '2':
                lines = [''] * height
            elif letter == 'J':
                lines[row:] = [lines[row][:column]] + [''] * (height - row - 1)
            else:
                assert private or letter == 'm', (private, number, letter)
        return lines

    def interrupt(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
