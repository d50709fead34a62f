# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One trial: a load, a program that receives it, and what that cost the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, ExitStack
from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Final, NamedTuple, Protocol

from bench.workloads import Workload
from demo.flight import environment
from demo.lifecycle import Lifecycle
from demo.processes import hear, Process, ProcessError
from fdr_recorder.flights.reader import own_record, segment_files
from fdr_recorder.flights.segment_reader import SegmentReader
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage import bag_metadata
import yaml

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SETTLE_S: Final = 0.5
"""From the last message sent until the clocks are read; the same for every program."""
LOAD_PROFILE: Final = CHECKOUT / 'config' / 'fast_dds_large_messages.xml'
"""With Fast DDS's own settings images are lost in shared memory and sent again, seconds later."""
_ATTEMPTS = 3
_DOMAIN = 101
_START_S, _MATCH_S, _TRANSITION_S, _GRACE_S = 60.0, 20.0, 60.0, 30.0
_QUEUE_DEPTH = 1000
_SAMPLE_S = 0.2


Finish = Callable[[], Mapping[str, int]]
"""Ends a program and returns how many messages of each topic it had received."""


class Sample(NamedTuple):
    """
    A look at a trial.

    Attributes:
        seconds: Since the first message.
        cpu_s: Processor time of the program since.
        load_cpu_s: That of the load's processes.
        rss_mib: The program's memory now.

    """

    seconds: float
    cpu_s: float
    load_cpu_s: float
    rss_mib: float


@dataclass(frozen=True)
class Trial:
    """
    What one program did under one load.

    Attributes:
        sent: Messages published.
        received: Messages that the program had at the end.
        rate: Messages published per second.
        cpu_s: Processor time of the program's process from the first message on, all threads.
        load_cpu_s: That of the load's processes while they sent.
        late_ms: By how much the latest message was published too late.
        max_rss_mib: The most memory that the program's process had.
        samples: A few a second.
        bytes: Size of what it recorded.

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
        """Return what the JSON file says of it."""
        facts = asdict(self)
        del facts['samples']
        return facts


class Program(Protocol):
    """A program that receives a load."""

    @property
    def name(self) -> str:
        """Return what the table calls it."""

    def running(
        self, workload: Workload, directory: Path
    ) -> AbstractContextManager[tuple[int, Finish]]:
        """Run it; yield its process id, and the call that ends it and says what it received."""


@dataclass(frozen=True)
class Recorder:
    """The recorder: its node process, driven through its lifecycle services."""

    options: Mapping[str, object] = field(default_factory=dict)
    name: str = 'recorder'

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[int, Finish]]:
        """As `Program.running`."""
        values = {
            'flight_root': str(directory),
            'flight_id': 'bench',
            'topics': [stream.topic for stream in workload.streams],
            **self.options,
        }
        parameters = directory / 'recorder.yaml'
        parameters.write_text(json.dumps({'/**': {'ros__parameters': values}}))
        command = '-m fdr_recorder.node --ros-args --params-file'.split()
        process = _process(self.name, [sys.executable, *command, str(parameters)], directory)
        with ExitStack() as ending:
            ending.callback(process.stop, _GRACE_S)
            lifecycle = ending.enter_context(Lifecycle('/fdr_recorder', process.check))
            lifecycle.wait_for_node(_START_S)
            lifecycle.change('configure', _TRANSITION_S)
            lifecycle.change('activate', _TRANSITION_S)

            def finish() -> Mapping[str, int]:
                lifecycle.change('deactivate', _TRANSITION_S)
                return _footer_counts(directory / 'bench')

            yield process.pid, finish


@dataclass(frozen=True)
class Rival:
    """A program of `bench.rivals`."""

    name: str

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[int, Finish]]:
        """As `Program.running`."""
        topics = [stream.topic for stream in workload.streams]
        arguments = [sys.executable, '-m', 'bench.rivals', self.name, str(directory), *topics]
        process = _process(self.name, arguments, directory, speaks=True)
        with ExitStack() as ending:
            ending.callback(process.stop, _GRACE_S)

            def finish() -> Mapping[str, int]:
                stdin = process._process.stdin
                assert stdin is not None
                stdin.close()
                lines = hear([process], 'received', timeout_s=_GRACE_S, check=_nothing)
                received: dict[str, int] = lines[process]['received']
                return received

            yield process.pid, finish


@dataclass(frozen=True)
class Rosbag2:
    """`ros2 bag record`, if it is installed."""

    name: str = 'rosbag2'

    @staticmethod
    def is_installed() -> bool:
        """Tell whether there is a `ros2` command with a `bag record`."""
        if shutil.which('ros2') is None:
            return False
        command = ['ros2', 'bag', 'record', '--help']
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[int, Finish]]:
        """As `Program.running`."""
        topics = [stream.topic for stream in workload.streams]
        qos = {'history': 'keep_last', 'depth': _QUEUE_DEPTH, 'reliability': 'reliable'}
        overrides = directory / 'qos.yaml'
        overrides.write_text(json.dumps(dict.fromkeys(topics, qos)))
        bag = directory / 'bag'
        command = ['ros2', 'bag', 'record', '--storage', 'mcap', '--output', str(bag)]
        command += ['--qos-profile-overrides-path', str(overrides), '--topics', *topics]
        process = _process(self.name, command, directory)
        with ExitStack() as ending:
            ending.callback(process.stop, _GRACE_S)

            def finish() -> Mapping[str, int]:
                process.stop(_GRACE_S)
                return _bag_counts(bag)

            yield process.pid, finish


class _NotMatchedError(Exception):
    """Some topic has found no subscription; nothing has been sent yet."""


def run(program: Program, workload: Workload, seconds: float) -> Trial:
    """
    Let a program receive a load for so long, on a file system in memory where there is one.

    Of hundreds of topics the middleware now and then leaves one undiscovered; then once more.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _attempt(program, workload, seconds)
        except _NotMatchedError as error:
            print(f'bench: again, because {error}', file=sys.stderr)
    return _attempt(program, workload, seconds)


def _attempt(program: Program, workload: Workload, seconds: float) -> Trial:
    with memory_directory() as directory, ExitStack() as ending:
        loads = []
        for number in range(workload.publishers):
            load = _process(
                f'load {number}',
                [sys.executable, '-m', 'bench.load'],
                directory,
                speaks=True,
                FASTDDS_DEFAULT_PROFILES_FILE=str(LOAD_PROFILE),
            )
            ending.callback(load.stop, _GRACE_S)
            share = workload.streams[number:: workload.publishers]
            load.say({'workload': {'name': f'{number}', 'streams': [asdict(s) for s in share]}})
            loads.append(load)
        hear(loads, 'created', timeout_s=_START_S, check=_nothing)
        with program.running(workload, directory) as (pid, finish):
            try:
                hear(loads, 'ready', timeout_s=_MATCH_S, check=_nothing)
            except ProcessError as error:
                raise _NotMatchedError(str(error)) from error
            time.sleep(SETTLE_S)
            before, samples = _cpu_s(pid), []
            load_before = sum(_cpu_s(load.pid) for load in loads)
            for load in loads:
                load.say({'send': {'seconds': seconds}})
            start = time.monotonic()
            while (passed := time.monotonic() - start) < seconds:
                load_cpu_s = sum(_cpu_s(load.pid) for load in loads) - load_before
                memory_mib = _memory_mib(pid, 'VmRSS')
                samples.append(Sample(passed, _cpu_s(pid) - before, load_cpu_s, memory_mib))
                time.sleep(min(_SAMPLE_S, seconds - passed))
            heard = hear(loads, 'sent', timeout_s=_START_S, check=_nothing)
            time.sleep(SETTLE_S)
            cpu_s, max_rss = _cpu_s(pid) - before, _memory_mib(pid, 'VmHWM')
            hear(loads, 'acknowledged', timeout_s=_START_S, check=_nothing)
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
    """Put this process, and all that it starts, into a ROS domain that tests and demo leave."""
    os.environ.update(environment(int(os.environ.get('ROS_DOMAIN_ID') or _DOMAIN)))


@contextmanager
def memory_directory() -> Iterator[Path]:
    """Lend a directory on a file system in memory; on the usual one, where there is none."""
    memory = Path('/dev/shm')
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix='fdr_bench_', dir=parent) as directory:
        yield Path(directory)


def _process(
    name: str,
    command: list[str],
    directory: Path,
    *,
    speaks: bool = False,
    **environment: str,
) -> Process:
    return Process(
        name,
        command,
        log=directory / f'{name.replace(" ", "_")}.log',
        directory=CHECKOUT,
        environment={**os.environ, 'ROS_LOG_DIR': str(directory / 'log'), **environment},
        speaks=speaks,
        orphan_signal=signal.SIGKILL,
    )


def _cpu_s(pid: int) -> float:
    """
    Return the processor time of a process, all its threads, user and system.

    The clock id is that of clock_getcpuclockid(3): nanoseconds, where /proc has hundredths of a
    second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _memory_mib(pid: int, key: str) -> float:
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        name, _, value = line.partition(':')
        if name == key:
            return int(value.split()[0]) / 1024
    return 0.0


def _footer_counts(flight: Path) -> dict[str, int]:
    """Return the messages of each topic as a flight's footer has them, dropped ones included."""
    counts: dict[str, int] = {}
    with SegmentReader(segment_files(flight)[-1].path) as reader:
        for message in reader.messages():
            footer = own_record(message)
            if isinstance(footer, FlightFooter):
                for producer in footer.producers:
                    recorded = producer.written - producer.repeated
                    counts[producer.topic] = counts.get(producer.topic, 0) + recorded
    return counts


def _bag_counts(bag: Path) -> dict[str, int]:
    """Return the messages of each topic as a bag's `metadata.yaml` has them."""
    text = (bag / bag_metadata.FILE_NAME).read_text(encoding='utf-8')
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    counts: dict[str, int] = {}
    for entry in information['topics_with_message_count']:
        name = entry['topic_metadata']['name']
        counts[name] = counts.get(name, 0) + entry['message_count']
    return counts


def _nothing() -> None:
    pass
