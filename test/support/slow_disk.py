# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A disk that does not answer, for a process of its own: `slow_disk.c` is preloaded there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preload import preload_library

TOLD_WITHIN_S = 2.0
ENDED_WITHIN_S = 5.0
ANSWERED_WITHIN_S = 5.0
SLACK_S = 2.0
"""These machines are slow at times; what hangs for ever is found all the same."""


class SlowDisk:
    """
    The disk of another process.

    Args:
        directory: For the library and the file that names the calls; of the test's own.
        root: The directory whose disk it is.

    Attributes:
        environment: What makes a process meet this disk.

    """

    def __init__(self, directory: Path, root: Path) -> None:
        library = preload_library('slow_disk', directory, 'a disk cannot be made to hang')
        self._calls = directory / 'slow_calls'
        self._reached = directory / 'slow_calls.reached'
        self.environment = {
            'LD_PRELOAD': str(library),
            'FDR_SLOW_ROOT': str(root),
            'FDR_SLOW_CALLS': str(self._calls),
        }

    def hang(self, *calls: str) -> None:
        """Answer these calls no more: `write`, `fsync`, `open`, ...; or `all`."""
        self._reached.unlink(missing_ok=True)
        new = self._calls.with_suffix('.new')
        new.write_text(' '.join(calls))
        new.rename(self._calls)

    def answer(self) -> None:
        """Answer all calls again."""
        self._calls.unlink(missing_ok=True)

    def is_reached(self) -> bool:
        """Tell whether a call hangs, or has hung, since `hang`."""
        return self._reached.exists()

    @property
    def reached_at(self) -> float | None:
        """When the first call since `hang` met this (as `time.time`); None if none has."""
        try:
            return self._reached.stat().st_mtime
        except FileNotFoundError:
            return None

    @contextmanager
    def hanging(self, *calls: str) -> Iterator[None]:
        """Answer these calls no more inside the block."""
        self.hang(*calls)
        try:
            yield
        finally:
            self.answer()
