# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Workers for tests that do tasks in the process of the tests."""

from __future__ import annotations

from concurrent.futures import Future
import pickle
from types import TracebackType

from fdr_recorder.fleet.jobs.task import Outcome, Task
from fdr_recorder.fleet.jobs.work import do


class InlineWorkers:
    """Does tasks in this process, one after the other; starting others takes its time."""

    deaths: tuple[type[BaseException], ...] = ()

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        there = pickle.loads(pickle.dumps(task))
        future.set_result(pickle.loads(pickle.dumps(do(there))))
        return future

    def release(self, future: Future[Outcome]) -> None:
        assert future.done()

    def __enter__(self) -> InlineWorkers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass
