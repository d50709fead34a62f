# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Calls that the writer's thread makes for others, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import queue

from fdr_recorder.storage.disk_pulse import DiskPulse, WRITING
from fdr_recorder.storage.footer import FlightSummary

Call = Callable[[], FlightSummary | None]
Result = Future[FlightSummary | None]


class Calls:
    """Calls that wait for the writer's thread; any thread may post them."""

    def __init__(self, failed: Callable[[BaseException | None], Exception]) -> None:
        """Take what returns the error for callers when the thread ends, by an error or not."""
        self._failed = failed
        self._waiting: queue.SimpleQueue[tuple[Call, Result] | None] = queue.SimpleQueue()
        """None only wakes the thread."""

    def wake(self) -> None:
        """Have the thread look for what is to be done."""
        self._waiting.put(None)

    def post(self, call: Call) -> Result:
        """Have the thread make a call; do not wait for it."""
        result: Result = Future()
        self._waiting.put((call, result))
        return result

    def make_next(self, timeout: float | None, pulse: DiskPulse) -> None:
        """
        Make the next call, after waiting for one: None is for ever. In the writer's thread.

        Errors propagate to the caller. Those that end the thread do so here, too.
        """
        try:
            posted = self._waiting.get(block=timeout != 0, timeout=timeout)
        except queue.Empty:
            return
        if posted is None:
            return
        call, result = posted
        pulse.step(WRITING)
        try:
            result.set_result(call())
        except Exception as error:
            result.set_exception(error)
        except BaseException as error:  # the caller must not wait for it
            result.set_exception(self._failed(error))
            raise

    def refuse(self) -> None:
        """Answer callers that still wait for a thread that has ended."""
        while True:
            try:
                posted = self._waiting.get_nowait()
            except queue.Empty:
                return
            if posted is not None:
                posted[1].set_exception(self._failed(None))
