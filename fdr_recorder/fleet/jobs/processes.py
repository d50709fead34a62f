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
Processes of this machine that do tasks.

Each is a pool of its own (`ProcessPoolExecutor`): if one dies, its pool is broken, and so it is
known whose task it had. The others go on.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
import multiprocessing
from multiprocessing.connection import wait
import os
import signal
import threading
from types import TracebackType
from typing import Any

from fdr_recorder.fleet.jobs.task import Outcome, Task
from fdr_recorder.fleet.jobs.work import do


class LocalWorkers:
    """Processes of this machine; they start as they are needed, and end with this one."""

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, slots: int) -> None:
        """Take how many there may be."""
        self.slots = slots
        self._others = set(multiprocessing.active_children())
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Future[Outcome], ProcessPoolExecutor] = {}

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a task to an idle process, or a new one."""
        while True:
            pool = self._idle.pop() if self._idle else _new_pool()
            with suppress(BrokenProcessPool):  # it was killed while it had nothing to do
                future = pool.submit(do, task)
                self._busy[future] = pool
                return future

    def release(self, future: Future[Outcome]) -> None:
        """Keep its process for the next task, unless it has died."""
        pool = self._busy.pop(future)
        if isinstance(future.exception(), BrokenProcessPool):
            pool.shutdown(wait=False)
        else:
            self._idle.append(pool)

    def __enter__(self) -> LocalWorkers:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes; kill them after an error."""
        if self._busy:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
        for pool in (*self._idle, *self._busy.values()):
            pool.shutdown()


def _new_pool() -> ProcessPoolExecutor:
    context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(1, context, initializer=_begin)


def _begin() -> None:
    """Prepare a new process: Ctrl-C is for its parent, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
