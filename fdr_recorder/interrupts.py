# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Signals that end a process quietly while it is being loaded, where Python prints a traceback."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal


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
