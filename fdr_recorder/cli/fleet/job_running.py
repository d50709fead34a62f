# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the verbs share that run a job over flights: arguments, workers, progress, the summary."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
import os
from pathlib import Path
import sys
import time
from typing import Any, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.console import progress, say, table
from fdr_recorder.cli.fleet.arguments import parse_when
from fdr_recorder.cli.fleet.store_argument import add_url
from fdr_recorder.errors import UsageError
from fdr_recorder.units import EPOCH, format_duration, plural

if TYPE_CHECKING:
    from fdr_recorder.fleet.jobs.task import Job, Outcome, Task
    from fdr_recorder.fleet.jobs.workers import Workers
    from fdr_recorder.fleet.layout import FlightKey
    from fdr_recorder.fleet.store import Store


def add_job_arguments(parser: ArgumentParser) -> None:
    """Add the store, which flights, and who does the work."""
    add_url(parser)
    which = parser.add_argument_group('which flights (default: all)')
    which.add_argument(
        '--where',
        metavar='SQL',
        default='',
        help="a condition on the catalogue's view flights: \"verdict = 'damaged'\"",
    )
    which.add_argument(
        '--vehicle', metavar='GLOB', default='', help="of these vehicles: 'drone-*'"
    )
    which.add_argument(
        '--since',
        metavar='TIME',
        type=parse_when,
        help='that began then or later (UTC): 2026-11-22, or 7d (days ago)',
    )
    parser.add_argument(
        '--again', action='store_true', help='make also what was made of the same files before'
    )
    work = parser.add_argument_group('who does the work')
    work.add_argument(
        '--workers',
        metavar='N',
        type=parse_count,
        default=0,
        help='so many processes of this machine (default: one for each processor)',
    )
    work.add_argument(
        '--scheduler',
        metavar='ADDRESS',
        help='the workers of a Dask cluster instead: tcp://HOST:PORT of its scheduler',
    )
    work.add_argument(
        '--temporary',
        metavar='DIR',
        type=Path,
        help='where each worker keeps the flight that it works on (default: $TMPDIR)',
    )


def _shared(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same, with texts that many flights have in memory once."""
    return {
        name: sys.intern(value) if type(value) is str else value for name, value in found.items()
    }


class JobRun:
    """
    A job over the flights that a user names.

    Attributes:
        outcomes: What came of each, in the order of the flights.

    """

    def __init__(self, args: Namespace, store: Store) -> None:
        if args.workers and args.scheduler:
            raise UsageError('--workers are those of this machine: not with --scheduler')
        if args.temporary is not None:
            args.temporary = args.temporary.expanduser().absolute()
            if not args.scheduler and not args.temporary.is_dir():
                raise UsageError(f'there is no directory {args.temporary}; make it first')
        self._args = args
        self._store = store
        self._began = time.monotonic()
        self.outcomes: dict[FlightKey, Outcome] = {}

    def each(self, doing: str, job: Job) -> None:
        """
        Do a job with each flight that the user wants; `doing` says so beside the bar.

        Raises:
            JobError: There are no flights at all, or nobody can do it.

        """
        from fdr_recorder.fleet.errors import JobError
        from fdr_recorder.fleet.jobs.selection import Selection

        args = self._args
        since_ns = None
        if args.since is not None:
            since_ns = (args.since - EPOCH) // timedelta(microseconds=1) * 1000
        flights = Selection(args.vehicle, since_ns, args.where).flights(self._store)
        if not flights and not (args.vehicle or args.where or args.since is not None):
            raise JobError(f'there are no flights in {self._store.url}')
        self.outcomes.update(self.run(doing, ((key, job) for key in flights)))
        self.outcomes = dict(sorted(self.outcomes.items()))

    def run(
        self, doing: str, jobs: Iterable[tuple[FlightKey, Job]]
    ) -> Iterator[tuple[FlightKey, Outcome]]:
        """Do a job with each of these flights; yield what came of each, as they are done."""
        from fdr_recorder.fleet.jobs.task import Task
        from fdr_recorder.fleet.jobs.workers import run

        args = self._args
        temporary = '' if args.temporary is None else str(args.temporary)
        tasks = [Task(args.url, key, job, args.again, temporary) for key, job in jobs]
        if not tasks:
            return
        bar = progress(doing, len(tasks), unit='flights', quiet=args.json)
        with bar as advance, self._workers(tasks[0]) as workers:
            for outcome in run(workers, tasks):
                advance(1)
                yield outcome.key, replace(outcome, found=_shared(outcome.found))

    def _workers(self, first: Task) -> Workers:
        if self._args.scheduler:
            from fdr_recorder.fleet.jobs.cluster import DaskWorkers

            return DaskWorkers(self._args.scheduler, first)
        from fdr_recorder.fleet.jobs.processes import LocalWorkers

        return LocalWorkers(self._args.workers or len(os.sched_getaffinity(0)))

    def count(self, state: str) -> int:
        """Return how many flights have come to a state: `made`, `there`, `failed`."""
        return sum(outcome.state.value == state for outcome in self.outcomes.values())

    def to_dict(self) -> dict[str, Any]:
        """Return what is said of every job, for JSON."""
        return {
            'url': self._store.url,
            'made': self.count('made'),
            'there': self.count('there'),
            'failed': self.count('failed'),
            'seconds': round(time.monotonic() - self._began, 3),
        }

    def flights(self, *names: str) -> list[dict[str, Any]]:
        """Return what is said of each flight, for JSON: these of what was found."""
        return [
            {
                'vehicle': key.vehicle,
                'flight': key.flight,
                'state': outcome.state.value,
                'why': outcome.why,
                **{name: outcome.found.get(name) for name in names if name in outcome.found},
            }
            for key, outcome in self.outcomes.items()
        ]

    def say(self, told: Iterable[tuple[str, str, str, str]], counts: Iterable[str]) -> None:
        """
        Say what came of it all.

        Args:
            told: Flights to name: vehicle, flight, what is wrong, and more of it.
            counts: Numbers of flights, each with what they have in common.

        """
        failed = [
            (key.vehicle, key.flight, 'failed', outcome.why)
            for key, outcome in self.outcomes.items()
            if outcome.why
        ]
        if rows := [*told, *failed]:
            table(('~vehicle', '~flight', 'what', '&why'), rows)
            print()
        seconds = time.monotonic() - self._began
        there, number = self.count('there'), len(self.outcomes)
        parts = [part for part in counts if part]
        parts += [f'{len(failed):,} failed'] if failed else []
        head = f'{plural(number, "flight")} in {format_duration(seconds)}'
        head += f', {there:,} of them done before' if there else ''
        say(f'{head}: {", ".join(parts)}' if parts else head)
