# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""System clocks that a test may set: of this process, or of processes that it starts."""

from __future__ import annotations

from pathlib import Path
import struct
import time

from preload import preload_library


class FalseClock:
    """A system clock of the test's own: the real one, and an error that it may change."""

    def __init__(self) -> None:
        self._real = time.time_ns
        self.error_ns = 0

    def __call__(self) -> int:
        return self._real() + self.error_ns


class ProcessClock:
    """
    The system clock of other processes, in which `false_clock.c` is preloaded.

    Args:
        directory: For the library and the file with the error; of the test's own.

    """

    def __init__(self, directory: Path) -> None:
        library = preload_library(
            'false_clock', directory, 'the system clock of a process cannot be set'
        )
        self._path = directory / 'false_clock'
        self._error_ns = 0
        self.error_ns = 0
        self.environment = {'LD_PRELOAD': str(library), 'FALSE_CLOCK': str(self._path)}

    @property
    def error_ns(self) -> int:
        """Return the error; the processes see a new one at once."""
        return self._error_ns

    @error_ns.setter
    def error_ns(self, error_ns: int) -> None:
        self._error_ns = error_ns
        with self._path.open('r+b' if self._path.exists() else 'wb', buffering=0) as file:
            file.write(struct.pack('=q', error_ns))  # the file stays: it is mapped

    def now_ns(self) -> int:
        """Return what the processes see."""
        return time.time_ns() + self._error_ns
