# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
The demo's processes: the demo starts them, exchanges lines with them, and always ends them.

A process is known by its id alone, so the demo can never end a process that is not its own. Each
has a session of its own: Ctrl-C reaches only the demo, which ends the others in the right order.
If the demo itself is killed, the kernel ends them (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import ctypes
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_LINE_LIMIT = 65536


class ProcessError(Exception):
    """A process ended too early, wrote something unexpected, or was silent for too long."""


class Process:
    """One process of the demo."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        directory: Path,
        environment: Mapping[str, str],
        speaks: bool,
        orphan_signal: signal.Signals,
    ) -> None:
        """
        Start it.

        Args:
            name: its name in messages.
            arguments: the command.
            log: where its standard error goes, and its output unless it `speaks`.
            directory: its working directory.
            environment: its whole environment.
            speaks: whether it exchanges JSON lines on standard input and output.
            orphan_signal: the signal that it gets when the demo dies first.

        """
        self.name = name
        self.log = log
        self._unread = b''
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if speaks else output,
                stderr=output,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
                # Safe: the demo has no other threads when it starts its processes.
                preexec_fn=_die_with_parent(orphan_signal),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return its exit code (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """
        Check that it runs.

        Raises:
            ProcessError: it has ended.

        """
        if self.exit_code is not None:
            raise ProcessError(f'{self.name} has ended: {how_it_ended(self.exit_code)}')

    def say(self, message: Mapping[str, Any]) -> None:
        """Write one JSON line to its standard input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b'\n')
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ProcessError(f'{self.name} does not listen any more') from error

    def end_input(self) -> None:
        """Close its standard input: nothing more will be said."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def fileno(self) -> int:
        """Return the descriptor of its standard output, for :func:`select.select`."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> list[dict[str, Any]]:
        """
        Return the JSON lines since the last call; wait if there are none.

        Raises:
            ProcessError: it has ended, or wrote something other than JSON.

        """
        data = os.read(self.fileno(), _LINE_LIMIT)
        if not data:
            code = self._process.wait(5.0)
            raise ProcessError(f'{self.name} has ended: {how_it_ended(code)}')
        *lines, self._unread = (self._unread + data).split(b'\n')
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise ProcessError(f'{self.name} wrote something odd: {data!r}') from error

    def stop(self, grace_s: float) -> int:
        """End it by SIGINT, after `grace_s` seconds by SIGKILL; return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self.wait(None)

    def wait(self, timeout_s: float | None) -> int:
        """
        Wait for its end, close its pipes and return its exit code.

        Raises:
            ProcessError: it still runs after `timeout_s` seconds.

        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f'{self.name} did not end within {timeout_s:.0f} s') from error
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def log_tail(self, lines: int = 25) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors='replace').rstrip()
        return '\n'.join(text.splitlines()[-lines:])


def how_it_ended(exit_code: int) -> str:
    """Describe an exit code."""
    if exit_code >= 0:
        return f'exit code {exit_code}'
    return f'killed by {signal.Signals(-exit_code).name}'


def hear(
    processes: Iterable[Process],
    word: str,
    *,
    timeout_s: float,
    check: Callable[[], None] | None = None,
    other: Callable[[Process, dict[str, Any]], None] | None = None,
) -> dict[Process, dict[str, Any]]:
    """
    Wait until each process has written a line with this key; return those lines.

    Args:
        processes: the processes to listen to.
        word: the key of the awaited line.
        timeout_s: how long all of them may be silent.
        check: called a few times a second; may raise to end the wait.
        other: called with every other line.

    Raises:
        ProcessError: one has ended, or all were silent for too long.

    """
    silent, heard = set(processes), dict[Process, dict[str, Any]]()
    deadline = time.monotonic() + timeout_s
    while silent:
        if time.monotonic() > deadline:
            names = ' and '.join(sorted(process.name for process in silent))
            raise ProcessError(f'{names}: silent for {timeout_s:.0f} s, before "{word}"')
        if check is not None:
            check()
        for process in select.select(list(silent), [], [], 0.1)[0]:
            deadline = time.monotonic() + timeout_s
            for line in process.read():
                if word in line:
                    heard[process] = line
                    silent.discard(process)
                elif other is not None:
                    other(process, line)
    return heard


def _die_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a function that ties a new process to the demo's life (Linux only)."""
    if not sys.platform.startswith('linux'):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: after fork is too late
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return bind
