# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is to be done with a flight, and what came of it. Both go from process to process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol, TYPE_CHECKING

from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.version import __version__

if TYPE_CHECKING:
    from fdr_recorder.fleet.store import Store

RESULT_SCHEMA: Final = '1.0'
HASH_DIGITS: Final = 12
"""Of a manifest's hash, in the keys of results."""


class State(Enum):
    """What became of a flight's task; the value is its name in JSON."""

    MADE = 'made'
    THERE = 'there'
    """It was made earlier, of the same manifest, by the same version of the job."""
    FAILED = 'failed'


@dataclass(frozen=True)
class Outcome:
    """
    What came of a task.

    Attributes:
        key: The flight.
        state: What became of it.
        found: What the job found, in short; see each job.
        why: Why it failed, in words.
        has_died: Whether it failed because the process that did it died, twice.

    """

    key: FlightKey
    state: State
    found: Mapping[str, Any] = field(default_factory=dict)
    why: str = ''
    has_died: bool = False


@dataclass(frozen=True)
class Task:
    """
    What a worker is told.

    Attributes:
        url: The store, as the user named it; it may hold a secret, so it is not shown.
        key: The flight.
        job: What to do.
        is_again: Whether to do it although it was done.
        temporary: Where the flight lies meanwhile; empty for the worker's usual place.
        version: Of the program that asks; a worker of another does nothing.

    """

    url: str = field(repr=False)
    key: FlightKey
    job: Job
    is_again: bool = False
    temporary: str = ''
    version: str = __version__


class Work(Protocol):
    """What a job works with, in the process that does it."""

    task: Task
    store: Store

    def scratch(self) -> Path:
        """Return an empty directory that goes when the task is done."""


class Job(Protocol):
    """
    What can be done with each flight of a store. Goes from process to process: keep it small.

    Attributes:
        name: What it is called.

    """

    @property
    def name(self) -> str:
        """Return what it is called."""

    def do(self, work: Work) -> Outcome:
        """
        Do it with one flight; in a process that may end at any moment.

        Any exception that this raises fails this flight alone.
        """
