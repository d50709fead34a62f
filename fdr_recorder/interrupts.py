# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Signals that end a process quietly and soon: while it is loaded, and while a call hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
import signal
from threading import current_thread, Event, main_thread, Thread
from typing import Final

_PATIENCE_S: Final = 0.5
_SHOW_CURSOR: Final = b'\x1b[?25h\n'


def end_quietly(exit_code: int, *numbers: signal.Signals) -> None:
    """
    Let signals end this process at once, with this exit code and without a word.

    For programs, before their imports: nothing is open yet that must be closed. Signals that are
    ignored, as in a process that `nohup` has started, stay so. Signals that were blocked while the
    interpreter started, as the executables of the nodes have it, are let through.
    """
    for number in numbers:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, lambda _number, _frame: os._exit(exit_code))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def interruptible(call: Callable[[], int]) -> int:
    """Return what a call returns; SIGINT raises `KeyboardInterrupt` in it, unless ignored."""
    former = signal.getsignal(signal.SIGINT)
    is_ours = callable(former) and former is not signal.default_int_handler
    if not is_ours:
        return call()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return call()
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def ended_by_interrupt(exit_code: int) -> Iterator[None]:
    """
    Let SIGINT end this process soon, with this exit code, although a call does not return.

    `KeyboardInterrupt` is raised as always, also where a library has made another error of it (as
    DuckDB does: `RuntimeError`). But a library that waits for the network, or computes, may let no
    Python run; so half a second later the process ends without cleaning up. For work that may be
    killed at any moment. Other threads than the main one get no signals: there it is nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    is_interrupted, is_over = Event(), Event()

    def watch() -> None:
        while number := os.read(reading, 1):
            if number[0] != signal.SIGINT:
                continue
            is_interrupted.set()
            if not is_over.wait(_PATIENCE_S):
                if os.isatty(2):
                    os.write(2, _SHOW_CURSOR)  # a progress bar may have hidden it
                os._exit(exit_code)

    watching = Thread(target=watch, name='fdr_interrupts', daemon=True)
    watching.start()
    former = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        try:
            yield
        finally:
            signal.set_wakeup_fd(former)
            is_over.set()
            os.close(writing)
            watching.join()
            os.close(reading)
    except Exception as error:
        if is_interrupted.is_set():
            raise KeyboardInterrupt from error
        raise
