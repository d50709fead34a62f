# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A terminal that a program has for itself for a while, and gives back as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType
from typing import Any, Final

_ENTER: Final = '\x1b[?1049h\x1b[?25l\x1b[2J'
"""The other screen; no cursor; cleared."""
_LEAVE: Final = '\x1b[?25h\x1b[?1049l'
_KEYS: Final = {
    b'\x1b[A': 'up', b'\x1bOA': 'up', b'k': 'up',
    b'\x1b[B': 'down', b'\x1bOB': 'down', b'j': 'down',
    b'\x1b[5~': 'page up', b'\x1b[6~': 'page down', b'q': 'q', b'Q': 'q', b' ': 'space',
}


def has_screen() -> bool:
    """Tell whether stdout is a terminal that can show pictures."""
    return sys.stdout.isatty() and os.environ.get('TERM', 'dumb') not in ('dumb', '')


def screen_size() -> tuple[int, int]:
    """Return columns and lines of the terminal."""
    with suppress(OSError):
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns > 0 and size.lines > 0:
            return size.columns, size.lines
    return 80, 24


@contextmanager
def keys() -> Iterator[Keys]:
    """Read keys one by one, where stdin is a terminal; give it back as it was."""
    fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
    before: list[Any] | None = None
    if fd >= 0 and os.tcgetpgrp(fd) == os.getpgrp():  # in the background it would be stopped
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd, termios.TCSANOW)
    try:
        yield Keys(fd if before is not None else -1)
    finally:
        if before is not None:
            termios.tcsetattr(fd, termios.TCSANOW, before)


class Keys:
    """The keys of the terminal."""

    def __init__(self, fd: int) -> None:
        """Take the descriptor; below 0 there are no keys, and `next` only waits."""
        self._fd = fd
        self.are_there = fd >= 0

    def next(self, seconds: float) -> str:
        """Return the next key, by its name; empty if there was none for so long."""
        if self._fd < 0:
            time.sleep(seconds)
            return ''
        if not select.select([self._fd], [], [], seconds)[0]:
            return ''
        typed = os.read(self._fd, 64)
        if not typed:  # the terminal is gone
            self._fd = -1
            return 'q'
        return _KEYS.get(typed, '')


class FullScreen:
    """
    The other screen of the terminal, from `__enter__` to `__exit__`.

    A signal that ends the process, and Ctrl-Z, give the terminal back before.
    """

    def __init__(self) -> None:
        """Nothing is changed yet."""
        self._shown: list[str] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._size = (0, 0)

    def __enter__(self) -> FullScreen:
        """Switch to the other screen."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._again)
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        """Switch back."""
        with suppress(OSError):
            self._write(_LEAVE)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def show(self, lines: Sequence[str]) -> None:
        """Show lines; only those that have changed are written."""
        size = screen_size()
        if size != self._size:
            self._size, self._shown = size, []
        text = '' if self._shown else '\x1b[2J'
        for number, line in enumerate(lines):
            if number >= len(self._shown) or line != self._shown[number]:
                text += f'\x1b[{number + 1};1H{line}\x1b[K'
        if len(lines) < len(self._shown):
            text += f'\x1b[{len(lines) + 1};1H\x1b[J'
        self._shown = list(lines)
        if text:
            self._write(text)

    def _again(self, _number: int, _frame: FrameType | None) -> None:
        """Go on after Ctrl-Z and `fg`."""
        self._shown = []
        self._write(_ENTER)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
