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
Rows of a recorder that starts, and of one that has little to do.

Run as a program, this is the load of `start`: it publishes all the time, whoever listens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any, Final

from bench import workloads
from bench.figures import Row
from bench.programs import CHECKOUT, GRACE_S, Recorder, start_process, START_S
from bench.trial import memory_directory
from demo.processes import hear, Process
from fdr_recorder.flights.directory import flights_in, segment_files
from fdr_recorder.mcap.reader import SegmentReader

TOPICS: Final = tuple(f'/bench/start_{number}' for number in range(10))
RATE: Final = 100
_STARTS_A_ROUND: Final = 10
_MATCHED_S: Final = 3.0
_POLL_S: Final = 0.05
_IMPORT: Final = """
import time
start = time.process_time()
import {module}
print(time.process_time() - start)
"""


def imports(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Processor time that importing the recorder takes beyond `import rclpy`."""
    _import_s('fdr_recorder.node.main')  # compiles it
    values = [
        _import_s('fdr_recorder.node.main') - _import_s('rclpy')
        for _ in range(rounds * (1 if quick else 3))
    ]
    what = 'CPU time of importing fdr_recorder.node.main, above import rclpy'
    return [Row('imports', what, values=values, at_most=0.15, unit='s')]


def _import_s(module: str) -> float:
    command = [sys.executable, '-c', _IMPORT.format(module=module)]
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return float(answer.stdout)


def start(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Time from the start of the process to the first message recorded, publishers up."""
    values, cpu = [], []
    with memory_directory() as directory, _publishers(directory):
        for number in range(rounds if quick else rounds * _STARTS_A_ROUND):
            root = directory / f'root_{number}'
            root.mkdir()
            with _recorder(root, list(TOPICS)) as (process, started_ns):
                first_ns = _first_message_ns(root, process)
                cpu.append(time.clock_gettime((~process.pid << 3) | 2))
            values.append((first_ns - started_ns) / 1e9)
    late = sum(value > 1 for value in values)
    return [
        Row(
            'start',
            'process start to first message recorded, 10 publishers up',
            values=values,
            at_most=0.7,
            unit='s',
            note=f'{late} of {len(values)} starts above 1.0 s',
            samples={'seconds': values, 'cpu_s_until_seen': cpu},
        )
    ]


def wakeups(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """How often the recorder's threads wake up in a second, for 10 topics at 1 Hz."""
    rows, workload = [], workloads.small(10)
    values, threads = [], {}
    for _ in range(rounds):
        with memory_directory() as directory, ExitStack() as ending:
            load = start_process(
                'load', [sys.executable, '-m', 'bench.load'], directory, speaks=True
            )
            ending.callback(load.stop, GRACE_S)
            streams = [vars(stream) for stream in workload.streams]
            load.say({'workload': {'name': 'wakeups', 'streams': streams}})
            hear([load], 'created', timeout_s=START_S)
            topics = [stream.topic for stream in workload.streams]
            process, _ = ending.enter_context(_recorder(directory, topics))
            hear([load], 'ready', timeout_s=START_S, check=process.check)
            time.sleep(_MATCHED_S)
            before = _switches(process.pid)
            load.say({'send': {'seconds': seconds}})
            time.sleep(seconds)
            after = _switches(process.pid)
            made = {key: count - before.get(key, 0) for key, count in after.items()}
            threads = {f'{name} {key}': count / seconds for (key, name), count in made.items()}
            values.append(sum(made.values()) / seconds)
    what = 'wake-ups a second of all threads, 10 topics at 1 Hz'
    rows.append(Row('wakeups', what, values=values, unit='/s', samples={'threads': threads}))
    return rows


def _switches(pid: int) -> dict[tuple[str, str], int]:
    """Return how often each thread of a process has waited so far, by id and name."""
    counts = {}
    for task in Path(f'/proc/{pid}/task').iterdir():
        for line in (task / 'status').read_text().splitlines():
            if line.startswith('voluntary_ctxt_switches'):
                name = (task / 'comm').read_text().strip()
                counts[task.name, name] = int(line.split()[1])
    return counts


@contextmanager
def _publishers(directory: Path) -> Iterator[None]:
    process = start_process(
        'publishers', [sys.executable, '-m', 'bench.start'], directory, speaks=True
    )
    try:
        hear([process], 'up', timeout_s=START_S)
        yield
    finally:
        process.stop(GRACE_S)


@contextmanager
def _recorder(root: Path, topics: list[str]) -> Iterator[tuple[Process, int]]:
    """Run a recorder that records at once; yield it, and the system's time at its start."""
    parameters = root / 'recorder.yaml'
    values = {'flight_root': str(root), 'autostart': True, 'topics': topics}
    parameters.write_text(json.dumps({'/**': {'ros__parameters': values}}))
    command = '-m fdr_recorder.node --ros-args --params-file'.split()
    started_ns = time.time_ns()
    process = start_process(
        Recorder.name, [sys.executable, *command, str(parameters)], root
    )
    try:
        yield process, started_ns
    finally:
        process.stop(GRACE_S)


def _first_message_ns(root: Path, process: Process) -> int:
    """Wait for the first message of the load in a file; return its log time."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        process.check()
        for flight in flights_in(root):
            for file in segment_files(flight):
                with SegmentReader(file.path) as reader:
                    for message in reader.messages():
                        if message.channel.topic in TOPICS:
                            return message.log_time_ns
        time.sleep(_POLL_S)
    raise TimeoutError(f'no message was recorded:\n{process.log_tail()}')


def main() -> None:
    """Publish on all topics until the process is ended."""
    import rclpy  # noqa: PLC0415
    from std_msgs.msg import String  # noqa: PLC0415

    rclpy.init()
    node: Any = rclpy.create_node('bench_start')
    publishers = [node.create_publisher(String, topic, 10) for topic in TOPICS]
    print(json.dumps({'up': True}), flush=True)
    while True:
        for publisher in publishers:
            publisher.publish(String(data='x' * 200))
        time.sleep(1 / RATE)


if __name__ == '__main__':
    main()
