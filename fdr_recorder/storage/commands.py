# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Calls that the writer's thread makes for other threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import queue

from fdr_recorder.storage.footer import FlightSummary

Call = Callable[[], FlightSummary | None]


class CommandQueue:
    """The calls that wait for the writer's thread. Any thread may `post` one."""

    def __init__(self) -> None:
        """Begin with none."""
        self._queue: queue.SimpleQueue[tuple[Call, Future[FlightSummary | None]] | None]
        self._queue = queue.SimpleQueue()

    def __len__(self) -> int:
        """Return about how many wait."""
        return self._queue.qsize()

    def post(self, call: Call) -> Future[FlightSummary | None]:
        """Add a call; the future gets its result, or the exception that it raises."""
        result: Future[FlightSummary | None] = Future()
        self._queue.put((call, result))
        return result

    def wake(self) -> None:
        """End the wait of `make_next`, without a call."""
        self._queue.put(None)

    def make_next(self, timeout: float | None) -> None:
        """
        Make the next call.

        Args:
            timeout: Seconds to wait for one; 0 not to wait, None to wait for ever.

        """
        try:
            command = self._queue.get(block=timeout != 0, timeout=timeout)
        except queue.Empty:
            return
        if command is None:
            return
        call, result = command
        try:
            result.set_result(call())
        except Exception as error:  # propagates to the caller
            result.set_exception(error)

    def refuse_all(self, make_error: Callable[[], Exception]) -> None:
        """Answer all waiting callers with an error: the thread has ended."""
        while True:
            try:
                command = self._queue.get_nowait()
            except queue.Empty:
                return
            if command is not None:
                command[1].set_exception(make_error())
