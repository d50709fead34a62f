# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One trial: a load, a program that receives it, and the program's processor time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, ExitStack
from dataclasses import asdict, dataclass, field
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any, Final

from bench.programs import CHECKOUT, GRACE_S, processor_s, Program, start_process, START_S
from bench.workloads import Workload
from demo.flight import environment
from demo.processes import hear, Process, ProcessError

SETTLE_S: Final = 0.5
"""From the last message sent until the clocks are read; the same for every program. In the search
for the highest rate, which says nothing of the start, also before the first message."""
STEADY_S: Final = 6.0
"""From the matching of all topics to the first message, likewise. In the first five seconds a
recorder announces itself ten times a second, which is a quarter of its cost at 1,000 messages a
second; a flight takes longer than that. What a start takes is a row of its own."""
LOAD_PROFILE: Final = CHECKOUT / 'config' / 'fast_dds_large_messages.xml'
"""With Fast DDS's own settings images are lost in shared memory and sent again, seconds later."""
_ATTEMPTS = 3
_DOMAIN = 101
_MATCH_S = 20.0
_SAMPLE_S = 0.2


@dataclass(frozen=True)
class Sample:
    """
    One measurement during a trial.

    Attributes:
        seconds: Since the first message.
        cpu_s: Processor time of the program since then.
        load_cpu_s: Processor time of the load's processes.
        rss_mib: The program's memory now.

    """

    seconds: float
    cpu_s: float
    load_cpu_s: float
    rss_mib: float


@dataclass(frozen=True)
class Trial:
    """
    The result of one program under one load.

    Attributes:
        sent: Messages published.
        received: Messages that the program received.
        rate: Messages published per second.
        cpu_s: Processor time of the program's process from the first message on, all threads.
        load_cpu_s: Processor time of the load's processes while they sent.
        late_ms: The greatest delay of a message behind its schedule.
        max_rss_mib: The most memory that the program's process had.
        samples: Five a second.
        bytes: Size of the recording.

    """

    sent: int
    received: int
    rate: float
    cpu_s: float
    load_cpu_s: float
    late_ms: float
    max_rss_mib: float
    bytes: int
    samples: Sequence[Sample] = field(repr=False)

    @property
    def is_lossless(self) -> bool:
        """Whether everything that was sent arrived."""
        return self.received == self.sent

    @property
    def cpu_us(self) -> float:
        """Processor time per message sent, in microseconds."""
        return self.cpu_s / self.sent * 1e6

    def facts(self) -> dict[str, Any]:
        """Return the trial for the JSON file, without samples."""
        facts = asdict(self)
        del facts['samples']
        return facts


class _NotMatchedError(Exception):
    """A topic has no subscription; nothing has been sent yet."""


def run(
    program: Program, workload: Workload, seconds: float, before_s: float = STEADY_S
) -> Trial:
    """
    Let a program receive a load for `seconds`, on a file system in memory where there is one.

    `before_s` is the time from the matching of all topics to the first message.

    With hundreds of topics the middleware now and then fails to discover one; then it tries again.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _attempt(program, workload, seconds, before_s)
        except _NotMatchedError as error:
            print(f'bench: again, because {error}', file=sys.stderr)
    return _attempt(program, workload, seconds, before_s)


def _attempt(program: Program, workload: Workload, seconds: float, before_s: float) -> Trial:
    with memory_directory() as directory, ExitStack() as ending:
        loads = []
        for number in range(workload.publishers):
            load = start_process(
                f'load {number}',
                [sys.executable, '-m', 'bench.load'],
                directory,
                speaks=True,
                FASTDDS_DEFAULT_PROFILES_FILE=str(LOAD_PROFILE),
                FASTRTPS_DEFAULT_PROFILES_FILE=str(LOAD_PROFILE),  # Jazzy's name for it
            )
            ending.callback(load.stop, GRACE_S)
            share = workload.streams[number:: workload.publishers]
            load.say({'workload': {'name': f'{number}', 'streams': [asdict(s) for s in share]}})
            loads.append(load)
        hear(loads, 'created', timeout_s=START_S)
        with program.running(workload, directory) as (process, finish):
            try:
                hear(loads, 'ready', timeout_s=_MATCH_S, check=process.check)
            except ProcessError as error:
                if process.exit_code is not None:
                    raise ProcessError(f'{error}\n{process.log_tail()}') from error
                raise _NotMatchedError(str(error)) from error
            pid = process.pid
            time.sleep(before_s)
            before, samples = processor_s(pid), []
            load_before = sum(processor_s(load.pid) for load in loads)
            for load in loads:
                load.say({'send': {'seconds': seconds}})
            start = time.monotonic()
            while (passed := time.monotonic() - start) < seconds:
                load_cpu_s = sum(processor_s(load.pid) for load in loads) - load_before
                memory_mib = _memory_mib(pid, 'VmRSS')
                samples.append(Sample(passed, processor_s(pid) - before, load_cpu_s, memory_mib))
                time.sleep(min(_SAMPLE_S, seconds - passed))
            further: list[Process] = []  # whose next line came at once
            heard = hear(
                loads, 'sent', timeout_s=START_S, other=lambda load, _: further.append(load)
            )
            time.sleep(SETTLE_S)
            cpu_s, max_rss = processor_s(pid) - before, _memory_mib(pid, 'VmHWM')
            hear(set(loads) - set(further), 'acknowledged', timeout_s=START_S)
            received = finish()
            reports = list(heard.values())
            sent = sum(sum(report['sent'].values()) for report in reports)
            topics = {stream.topic for stream in workload.streams}
            size = sum(p.stat().st_size for p in directory.rglob('*.mcap'))
        for load in loads:
            load.say({'stop': {}})
        return Trial(
            sent=sent,
            received=sum(count for topic, count in received.items() if topic in topics),
            rate=sum(sum(r['sent'].values()) / r['seconds'] for r in reports),
            cpu_s=cpu_s,
            load_cpu_s=sum(report['cpu_s'] for report in reports),
            late_ms=max(report['late_ms'] for report in reports),
            max_rss_mib=max_rss,
            bytes=size,
            samples=samples,
        )


def join_domain() -> None:
    """Move this process and its children to a ROS domain that neither tests nor demo use."""
    os.environ.update(environment(int(os.environ.get('ROS_DOMAIN_ID') or _DOMAIN)))


@contextmanager
def memory_directory() -> Iterator[Path]:
    """Create a temporary directory, on a file system in memory where there is one."""
    memory = Path('/dev/shm')
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix='fdr_bench_', dir=parent) as directory:
        yield Path(directory)


def _memory_mib(pid: int, key: str) -> float:
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        name, _, value = line.partition(':')
        if name == key:
            return int(value.split()[0]) / 1024
    return 0.0
