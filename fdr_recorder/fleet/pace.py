# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How fast bytes may go to the network, and how much of the machine this process may take."""

from __future__ import annotations

from contextlib import suppress
import ctypes
import os
import platform
from threading import Event
import time
from typing import Final

from fdr_recorder.fleet.errors import StoppedError

_LARGEST_PIECE: Final = 1 << 20
_SMALLEST_PIECE: Final = 1 << 10
_PIECES_A_SECOND: Final = 20
_IOPRIO_SET: Final = {'x86_64': 251, 'aarch64': 30}
"""Number of the system call, by machine."""
_IOPRIO_IDLE: Final = 3 << 13


class Pace:
    """
    Gives out the bytes that may be sent: at most so many a second, in small pieces.

    Used by one thread; `stop` by any.

    Attributes:
        bytes_per_s: The limit; 0 for none.
        piece: How many bytes to send at once.

    """

    def __init__(self, bytes_per_s: float = 0.0, stop: Event | None = None) -> None:
        self.bytes_per_s = bytes_per_s
        self.stop = stop or Event()
        wanted = int(bytes_per_s / _PIECES_A_SECOND) if bytes_per_s else _LARGEST_PIECE
        self.piece = min(max(wanted, _SMALLEST_PIECE), _LARGEST_PIECE)
        self._free_at = 0.0
        """When what was given out before will have been sent."""

    def take(self, count: int) -> None:
        """
        Wait until so many bytes may be sent.

        Raises:
            StoppedError: The work was told to end.

        """
        if self.bytes_per_s:
            now = time.monotonic()
            start = max(self._free_at, now)
            self._free_at = start + count / self.bytes_per_s
            self.wait(start - now)
        elif self.stop.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Wait; raise `StoppedError` as soon as the work was told to end."""
        if self.stop.wait(max(seconds, 0.0)):
            raise StoppedError


def yield_to_others() -> None:
    """
    Take only what processor and disk have left; for this thread, and those that it starts.

    What is not permitted is left as it is.
    """
    with suppress(OSError):
        os.nice(19)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, 1, 0, _IOPRIO_IDLE)


def yield_no_more() -> None:
    """Let this thread run as others do again, as far as that is permitted: to end soon."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
