# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The programs that receive a load: the recorder and its rivals."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, ExitStack
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import Final, Protocol

from bench.workloads import Workload
from demo.lifecycle import Lifecycle
from demo.processes import hear, Process
from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.reader import own_record
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage import bag_metadata
import yaml

CHECKOUT: Final = Path(__file__).resolve().parent.parent
START_S: Final = 60.0
GRACE_S: Final = 30.0
_TRANSITION_S = 60.0
_QUEUE_DEPTH = FdrConfig().intake_depth
_SOURCED = 'FDR_BENCH_SOURCED'
"""The variable in which `./dev bench` hands on the environment that it was called in."""
_DOMAIN_VARIABLES = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
_IDLE_S, _IDLE_SHARE, _DRAIN_S = 0.2, 0.025, 10.0


Finish = Callable[[], Mapping[str, int]]
"""Ends a program and returns how many messages of each topic it had received."""


class Program(Protocol):
    """A program that receives a load."""

    @property
    def name(self) -> str:
        """Return what the table calls it."""

    def running(
        self, workload: Workload, directory: Path
    ) -> AbstractContextManager[tuple[Process, Finish]]:
        """Run it; yield its process, and the call that ends it and says what it received."""


@dataclass(frozen=True)
class Recorder:
    """The recorder: its node process, driven through its lifecycle services."""

    options: Mapping[str, object] = field(default_factory=dict)
    name: str = 'recorder'

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[Process, Finish]]:
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
        process = start_process(self.name, [sys.executable, *command, str(parameters)], directory)
        with ExitStack() as ending:
            ending.callback(process.stop, GRACE_S)
            lifecycle = ending.enter_context(Lifecycle('/fdr_recorder', process.check))
            lifecycle.wait_for_node(START_S)
            lifecycle.change('configure', _TRANSITION_S)
            lifecycle.change('activate', _TRANSITION_S)

            def finish() -> Mapping[str, int]:
                lifecycle.change('deactivate', _TRANSITION_S)
                return _footer_counts(directory / 'bench')

            yield process, finish


@dataclass(frozen=True)
class Rival:
    """A program of `bench.rivals`."""

    name: str

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[Process, Finish]]:
        """As `Program.running`."""
        topics = [stream.topic for stream in workload.streams]
        arguments = [sys.executable, '-m', 'bench.rivals', self.name, str(directory), *topics]
        process = start_process(self.name, arguments, directory, speaks=True)
        with ExitStack() as ending:
            ending.callback(process.stop, GRACE_S)

            def finish() -> Mapping[str, int]:
                process.end_input()
                lines = hear([process], 'received', timeout_s=GRACE_S)
                received: dict[str, int] = lines[process]['received']
                return received

            yield process, finish


@dataclass(frozen=True)
class Rosbag2:
    """`ros2 bag record`, if it is installed."""

    name: str = 'rosbag2'

    @staticmethod
    def is_installed() -> bool:
        """Tell whether there is a `ros2` command with a `bag record`."""
        environment = _sourced()
        ros2 = shutil.which('ros2', path=environment.get('PATH'))
        if ros2 is None:
            return False
        command = [ros2, 'bag', 'record', '--help']
        answer = subprocess.run(command, env=environment, capture_output=True, check=False)
        return answer.returncode == 0

    @contextmanager
    def running(self, workload: Workload, directory: Path) -> Iterator[tuple[Process, Finish]]:
        """As `Program.running`."""
        topics = [stream.topic for stream in workload.streams]
        qos = {'history': 'keep_last', 'depth': _QUEUE_DEPTH, 'reliability': 'reliable'}
        overrides = directory / 'qos.yaml'
        overrides.write_text(json.dumps(dict.fromkeys(topics, qos)))
        bag = directory / 'bag'
        command = ['ros2', 'bag', 'record', '--storage', 'mcap', '--output', str(bag)]
        command += ['--qos-profile-overrides-path', str(overrides), '--topics', *topics]
        process = start_process(self.name, command, directory, base=_sourced())
        with ExitStack() as ending:
            ending.callback(process.stop, GRACE_S)

            def finish() -> Mapping[str, int]:
                _wait_until_idle(process)  # when it ends it discards what is in its queues
                process.stop(GRACE_S)
                return _bag_counts(bag)

            yield process, finish


def start_process(
    name: str,
    command: list[str],
    directory: Path,
    *,
    speaks: bool = False,
    base: Mapping[str, str] = os.environ,
    **environment: str,
) -> Process:
    """
    Start a process that dies with this one; its log is in the directory.

    Args:
        name: What the user calls it.
        command: The command.
        directory: Where its logs go.
        speaks: As for `Process`.
        base: Its environment, except for the place of ROS's logs...
        environment: ...and these variables.

    """
    return Process(
        name,
        command,
        log=directory / f'{name.replace(" ", "_")}.log',
        directory=CHECKOUT,
        environment={**base, 'ROS_LOG_DIR': str(directory / 'log'), **environment},
        speaks=speaks,
        orphan_signal=signal.SIGKILL,
    )


def _sourced() -> dict[str, str]:
    """Return the caller's environment, where ROS 2 may be sourced, in the benchmark's domain."""
    packed = os.environ.get(_SOURCED)
    if packed is None:
        return dict(os.environ)
    lines = base64.b64decode(packed).decode(errors='surrogateescape').split('\0')
    sourced = dict(line.split('=', 1) for line in lines if line)
    return {**sourced, **{name: os.environ[name] for name in _DOMAIN_VARIABLES}}


def _wait_until_idle(process: Process) -> None:
    """Wait until a program does next to nothing, or for `_DRAIN_S`."""
    deadline = time.monotonic() + _DRAIN_S
    before, now = 0.0, processor_s(process.pid)
    while now - before > _IDLE_SHARE * _IDLE_S and time.monotonic() < deadline:
        time.sleep(_IDLE_S)
        before, now = now, processor_s(process.pid)


def processor_s(pid: int) -> float:
    """
    Return the processor time of a process, all its threads, user and system.

    The clock id is that of clock_getcpuclockid(3): nanoseconds, where /proc has hundredths of a
    second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _footer_counts(flight: Path) -> dict[str, int]:
    """Return the messages per topic by the flight's footer, dropped ones included."""
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
    """Return the messages per topic by the bag's `metadata.yaml`."""
    text = (bag / bag_metadata.FILE_NAME).read_text(encoding='utf-8')
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    counts: dict[str, int] = {}
    for entry in information['topics_with_message_count']:
        name = entry['topic_metadata']['name']
        counts[name] = counts.get(name, 0) + entry['message_count']
    return counts
