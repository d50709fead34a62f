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
What `fdr offload --watch` beside a recorder costs it: the drone's load, with and without it.

The store is a directory in memory: what a server would take of this machine is none of the
drone's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
import sys
import time
from typing import Final

from bench import workloads
from bench.dds import in_turn, losses
from bench.figures import Row
from bench.programs import Finish, GRACE_S, processor_s, Program, Recorder, start_process
from bench.trial import memory_directory, run, Trial
from bench.workloads import Workload
from demo.processes import Process

_OPTIONS: Final = {'writer.segment_size_bytes': 8 << 20}
"""Small, so that there is something closed to send all the time."""
_LIMIT_BYTES: Final = 4_000_000
"""A second. The load makes several times that, so it is used up."""


@dataclass(frozen=True)
class _Sent:
    """What an offload did during a trial."""

    seconds: float
    bytes: int
    cpu_s: float


@dataclass(frozen=True)
class _Offloading:
    """The recorder, with an offload beside it."""

    sent: list[_Sent] = field(default_factory=list)
    name: str = 'with offload'

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[Process, Finish]]:
        """As `Program.running`."""
        with ExitStack() as ending:
            process, finish = ending.enter_context(
                Recorder(_OPTIONS).running(workload, directory)
            )
            store = ending.enter_context(memory_directory())
            arguments = [
                *(sys.executable, '-m', 'fdr_recorder.cli', 'offload'),
                *(str(directory), str(store), '--watch', '--low-priority'),
                *('--rate-limit', f'{_LIMIT_BYTES}B/s'),
            ]
            offload = start_process('offload', arguments, directory)
            ending.callback(offload.stop, GRACE_S)
            start = time.monotonic()

            def finish_both() -> dict[str, int]:
                size = sum(path.stat().st_size for path in store.rglob('*') if path.is_file())
                offload.check()
                self.sent.append(_Sent(time.monotonic() - start, size, processor_s(offload.pid)))
                return dict(finish())

            yield process, finish_both


def offload(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Processor time and losses of the recorder beside an offload; what the offload takes."""
    workload = workloads.drone()
    beside, alone = _Offloading(), Recorder(_OPTIONS)
    trials = in_turn((beside, alone), rounds, partial(_run, workload, seconds))
    ours, plain = trials.by_program[beside.name], trials.by_program[alone.name]
    cpu = ', '.join(f'{sent.cpu_s / sent.seconds * 100:.1f} %' for sent in beside.sent)
    used = [sent.bytes / sent.seconds / _LIMIT_BYTES for sent in beside.sent]
    return [
        Row(
            'offload',
            f'recorded of sent, {workload.name}, with offload --watch beside',
            'the load',
            [trial.received / trial.sent for trial in ours],
            at_least=1,
            note=losses(trials),
        ),
        Row(
            'offload',
            f'CPU time of the recorder, {workload.name}, with offload --watch beside',
            'without it',
            [a.cpu_us / b.cpu_us for a, b in zip(ours, plain, strict=True)],
            at_most=1.1,
            note=f'the offload itself takes {cpu} of a core, start included',
            samples=trials.samples(),
        ),
        Row(
            'offload',
            'bytes that arrived a second, --rate-limit 4MB/s',
            'the limit',
            used,
            at_most=1.05,
            note=f'{median(sent.bytes for sent in beside.sent) / 1e6:.0f} MB in a trial',
        ),
    ]


def _run(workload: Workload, seconds: float, program: Program) -> Trial:
    return run(program, workload, seconds)
