# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Who does tasks: processes of this machine, or those of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from types import TracebackType
from typing import Final, Protocol

from fdr_recorder.fleet.jobs.task import Outcome, State, Task

_LOOK_S: Final = 5.0
"""How often `slots` is asked for at least."""


class Workers(Protocol):
    """
    Processes that do tasks.

    Attributes:
        deaths: Errors that a future raises when the process has died that did its task.

    """

    deaths: tuple[type[BaseException], ...]

    @property
    def slots(self) -> int:
        """
        Return how many tasks they should have at a time; this may change.

        Raises:
            JobError: The workers are gone.

        """

    def submit(self, task: Task) -> Future[Outcome]:
        """Give them a task; never more than `slots` at a time."""

    def release(self, future: Future[Outcome]) -> None:
        """Take note that a future is done; raise `JobError` if that says that they are gone."""

    def __enter__(self) -> Workers: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let them go; after an error at once, whatever they do."""


def run(workers: Workers, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """
    Have tasks done; yield what came of each, in the order in which they are done.

    A task whose process dies is tried once more when all others are done, alone: maybe another
    task has taken the memory. If it dies again, the task has failed.

    Raises:
        JobError: The workers are gone.

    """
    died: list[Task] = []
    for task, outcome in _finished(workers, tasks, None):
        if outcome is None:
            died.append(task)
        else:
            yield outcome
    for task, outcome in _finished(workers, died, 1):
        yield outcome or Outcome(
            task.key,
            State.FAILED,
            why='the process that worked on it died twice: killed, out of memory, or a crash',
            has_died=True,
        )


def _finished(
    workers: Workers, tasks: Iterable[Task], most: int | None
) -> Iterator[tuple[Task, Outcome | None]]:
    """Yield each task and what came of it; None if its process died."""
    waiting = iter(tasks)
    running: dict[Future[Outcome], Task] = {}
    while True:
        free = (most or workers.slots) - len(running)
        for task in islice(waiting, max(free, 0)):
            running[workers.submit(task)] = task
        if not running:
            return
        done, _ = wait(running, _LOOK_S, FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            workers.release(future)
            try:
                yield task, future.result()
            except workers.deaths:
                yield task, None
