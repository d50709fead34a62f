# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Ends the check of a flight that takes too long: a small file may be unpacked for hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
from types import FrameType
from typing import Final

from fdr_recorder.fleet.errors import TookTooLongError

_AGAIN_S: Final = 1.0


@contextmanager
def processor_time(most_s: float) -> Iterator[None]:
    """
    Raise `TookTooLongError` once the process has used so much processor time. In the main thread.

    It is raised again every second, in case it was raised where nothing can be.
    """
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, most_s, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise TookTooLongError
