# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The processes of a Dask cluster that do tasks. `distributed` is loaded here alone."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
import logging
import time
from types import TracebackType
from typing import Any, Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.errors import JobError
from fdr_recorder.fleet.jobs.task import Outcome, Task
from fdr_recorder.fleet.jobs.work import about_worker, do
from fdr_recorder.units import plural, short
from fdr_recorder.version import __version__

try:
    from distributed import Client
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise ExtraMissingError(error.name or 'distributed', 'fleet') from None

_ANSWER_S: Final = 10.0
_FETCH_S: Final = 120.0
"""How long an outcome may take to come here."""
_GONE: Final = (OSError, TimeoutError, CancelledError, asyncio.CancelledError)
_RETRIES: Final = 2
_LOOK_S: Final = 5.0
"""How often the number of workers is looked at."""
_TASKS_PER_SLOT: Final = 2
"""So that none waits for the next."""


class DaskWorkers:
    """
    The workers of a Dask cluster.

    The scheduler gives the task of one that dies to another; `deaths` is when that has happened
    too often.
    """

    deaths: tuple[type[BaseException], ...] = (KilledWorker,)

    def __init__(self, scheduler: str, first: Task) -> None:
        """
        Connect to the scheduler, and ask its workers whether they can do a task.

        Args:
            scheduler: Its address: `tcp://HOST:PORT`.
            first: One of the tasks.

        Raises:
            JobError: It does not answer, or a worker cannot do the tasks; the text says why.

        """
        self.scheduler = scheduler
        for name in ('distributed', 'distributed.client', 'distributed.core', 'tornado'):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told as an error
        try:
            self._client: Any = _client(scheduler)
        except (OSError, ValueError, TimeoutError) as error:
            raise JobError(
                f'the scheduler {scheduler} does not answer ({_first_line(error)}); '
                'start one with `dask scheduler`, or leave out --scheduler'
            ) from None
        try:
            self._look(first)
        except BaseException:
            self._client.close()
            raise
        self._there: dict[Future[Outcome], Any] = {}

    def _look(self, first: Task) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_ANSWER_S)
        except (TimeoutError, OSError):
            raise JobError(
                f'the scheduler {self.scheduler} has no workers; start some: '
                f'dask worker {self.scheduler} --nworkers auto --nthreads 1'
            ) from None
        said = self._client.run(
            about_worker, first.url, first.key.manifest, on_error='return'
        )
        wrong = {address: why for address, what in said.items() if (why := _why_not(what))}
        if wrong:
            address, why = min(wrong.items())
            more = f' (and {plural(len(wrong) - 1, "other")})' if len(wrong) > 1 else ''
            raise JobError(f'the worker {address}{more} cannot do this: {why}')
        self._slots, self._looked = self._count(), time.monotonic()

    def _count(self) -> int:
        threads: int = sum(self._client.nthreads().values())
        return max(1, _TASKS_PER_SLOT * threads)

    @property
    def slots(self) -> int:
        """Return how many tasks they should have at a time: workers come and go."""
        if self._client.status != 'running':
            raise self._gone()
        if time.monotonic() - self._looked > _LOOK_S:
            with suppress(OSError, TimeoutError):
                self._slots = self._count()
            self._looked = time.monotonic()
        return self._slots

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a task to the scheduler."""
        here: Future[Outcome] = Future()
        there = self._client.submit(do, task, pure=False, retries=_RETRIES)
        self._there[here] = there
        there.add_done_callback(partial(_pass_on, here))
        return here

    def release(self, future: Future[Outcome]) -> None:
        """Forget it; raise `JobError` if it was not the task that failed, but the cluster."""
        del self._there[future]
        error = future.exception()
        if error is None or isinstance(error, self.deaths):
            return
        if self._client.status != 'running' or isinstance(error, _GONE):
            raise self._gone()
        raise JobError(f'a worker of {self.scheduler} cannot do this: {_first_line(error)}')

    def _gone(self) -> JobError:
        return JobError(
            f'the scheduler {self.scheduler} does not answer any more; run it again: '
            'what is done is not done again'
        )

    def __enter__(self) -> DaskWorkers:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that what is left is not wanted, and leave."""
        with suppress(OSError, TimeoutError):
            self._client.close(timeout=_ANSWER_S)


def _client(scheduler: str) -> Any:  # noqa: ANN401 - of distributed, which has no types
    make: Any = Client
    return make(scheduler, timeout=_ANSWER_S, set_as_default=False)


def _pass_on(here: Future[Outcome], there: Any) -> None:  # noqa: ANN401 - of distributed
    """Tell what came of a task; in a thread of `distributed`."""
    try:
        here.set_result(there.result(timeout=_FETCH_S))
    except BaseException as error:  # `release` decides
        here.set_exception(error)


def _why_not(what: Any) -> str:  # noqa: ANN401 - of a worker of whatever version
    if isinstance(what, BaseException):
        text = _first_line(what)
        is_import = isinstance(what, ImportError) or ModuleNotFoundError.__name__ in text
        return f'it lacks what is needed: {text}' if is_import else text
    version, why = what
    if version != __version__:
        return f'it has fdr {version}, and this is {__version__}'
    return str(why)


def _first_line(error: BaseException) -> str:
    return short(str(error).partition('\n')[0].strip() or type(error).__name__)
