# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Does a task, in a process of this machine or of a cluster, which may end at any moment."""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fdr_recorder.errors import FdrError
from fdr_recorder.fleet.errors import JobError, StoreError
from fdr_recorder.fleet.jobs.scratch import scratch_directory
from fdr_recorder.fleet.jobs.task import Outcome, State, Task
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import short
from fdr_recorder.version import __version__

_LONGEST: Final = 500
"""Signs of a reason: it may name what a flight holds."""


class _Work(ExitStack):
    """What a job works with: the store, and a directory once it is asked for."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.store = opened(task.url)
        self.directory: Path | None = None

    def scratch(self) -> Path:
        if self.directory is None:
            base = Path(self.task.temporary) if self.task.temporary else None
            self.directory = self.enter_context(scratch_directory(base))
        return self.directory


def do(task: Task) -> Outcome:
    """Do a task; whatever goes wrong is in what it returns."""
    directory = None
    try:
        if task.version != __version__:
            raise JobError(f'the worker has fdr {__version__}, this needs {task.version}')
        with _Work(task) as work:
            try:
                return task.job.do(work)
            finally:
                directory = work.directory
    except Exception as error:  # what a flight holds may be anything; it fails alone
        why = str(error)
        if not isinstance(error, (FdrError, OSError)):
            why = f'{type(error).__name__}: {why}'
        return Outcome(task.key, State.FAILED, why=short(without(directory, why), _LONGEST))


@lru_cache(4)
def opened(url: str) -> Store:
    """Open a store once for this process: finding credentials takes its time."""
    return Store.open(url)


def without(directory: Path | None, value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    """Return texts without the name of a directory that nobody else will see."""
    if directory is None:
        return value
    if isinstance(value, str):
        return value.replace(f'{directory}/', '')
    if isinstance(value, dict):
        return {without(directory, key): without(directory, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without(directory, item) for item in value]
    return value


def about_worker(url: str, key: str) -> tuple[str, str]:
    """Return the version that a worker has, and why it cannot use a store; for a cluster."""
    try:
        if opened(url).head(key) is None:
            return __version__, f'it does not see {key} in the store'
    except (StoreError, FdrError, OSError) as error:
        return __version__, str(error)
    return __version__, ''
