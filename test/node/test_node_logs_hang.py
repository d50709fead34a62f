# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""A console that nobody reads, or a log directory that does not answer, stops no thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time

from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from ground import Ground
from node_process import NodeProcess
import pytest
from recorder_process import RecorderProcess
from slow_disk import ENDED_WITHIN_S, SLACK_S, SlowDisk, TOLD_WITHIN_S
from stalled_flight import check, stalled_flight, StalledFlight
from waiting import wait_until

PROGRAM = """
import os, pathlib, sys, threading, time
from fdr_recorder.node.main import COMMAND_LINE
from fdr_recorder.node.ros_process import ros_process
from rclpy.impl.implementation_singleton import rclpy_implementation as rclpy

def log(text):  # what a logger of rclpy calls, after milliseconds of finding out from where
    rclpy.rclpy_logging_rcutils_log(20, 'bulk', text, 'function', 'file', 1)

def tick():
    global worst
    last = time.monotonic()
    while True:
        time.sleep(0.02)
        now = time.monotonic()
        worst, last = max(worst, now - last), now

worst = 0.0
threading.Thread(target=tick, daemon=True).start()
count, done = int(sys.argv.pop()), pathlib.Path(sys.argv.pop())
with ros_process(COMMAND_LINE, None):
    if 'FAST' in os.environ:  # no other thread gets Python's lock meanwhile
        sys.setswitchinterval(30)
    for number in range(count):
        if number % 500 == 0 and 'FAST' not in os.environ:
            time.sleep(0.005)
        log(f'line {number} ' + '.' * 80)
    done.with_suffix('.new').write_text(str(worst))
    done.with_suffix('.new').rename(done)
    sys.stdin.read()
    log('the end')
"""
TOO_FAST = 'log lines came too fast: some may be missing here'
PAUSE_S = 1.5
"""No thread is stopped for so long, even on a slow machine."""


@contextmanager
def program(
    directory: Path, count: int, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a process that logs so many lines, and ends once its standard input is closed."""
    done = directory / 'done'
    command = [sys.executable, '-c', PROGRAM, *arguments, str(done), str(count)]
    variables = os.environ | {'ROS_LOG_DIR': str(directory / 'log')} | environment
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
    ) as process:
        try:
            yield process, done
        finally:
            if process.poll() is None:
                process.kill()


def run(directory: Path, *arguments: str, **environment: str) -> tuple[str, str, list[Path]]:
    """Log three lines and end; return standard output, standard error, and the log files."""
    with program(directory, 3, *arguments, **environment) as (process, _):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    log = directory / 'log'
    return out.decode(), err.decode(), sorted(log.iterdir()) if log.exists() else []


def texts(log: str) -> list[str]:
    """Return what was logged, without level and time."""
    pattern = r'\[INFO\] \[\d+\.\d{9}\] \[bulk\]: (line \d+|the end)'
    return [match[1] for line in log.splitlines() if (match := re.match(pattern, line))]


LINES = ['line 0', 'line 1', 'line 2', 'the end']


def test_lines_come_in_order_to_console_and_file(tmp_path: Path) -> None:
    out, err, (file,) = run(tmp_path)
    assert texts(err) == texts(file.read_text()) == LINES
    assert (out, len(err.splitlines())) == ('', 4)
    assert re.fullmatch(r'python[\d.]*_\d+_\d{13}\.log', file.name)


@pytest.mark.parametrize(
    ('arguments', 'on_console', 'files'),
    [
        (['--disable-stdout-logs'], [], 1),
        (['--disable-external-lib-logs'], LINES, 0),
        (['--disable-stdout-logs', '--enable-stdout-logs'], LINES, 1),
        (['--log-level', 'warn'], [], 1),
        (['--log-file-name', 'abc'], LINES, 1),
    ],
    ids=lambda item: ' '.join(item) if isinstance(item, list) else str(item),
)
def test_ros_arguments_mean_what_they_mean(
    tmp_path: Path, arguments: list[str], on_console: list[str], files: int
) -> None:
    _, err, found = run(tmp_path, '--ros-args', *arguments, '--')
    assert texts(err) == on_console
    assert len(found) == files
    for file in found:
        assert texts(file.read_text()) == ([] if 'warn' in arguments else LINES)
        assert file.name.startswith('abc_' if 'abc' in arguments else 'python')


def test_colours_and_format_are_as_rcl_has_them(tmp_path: Path) -> None:
    out, err, (file,) = run(
        tmp_path,
        RCUTILS_COLORIZED_OUTPUT='1',
        RCUTILS_CONSOLE_OUTPUT_FORMAT='<{message}>',
        RCUTILS_LOGGING_USE_STDOUT='1',
    )
    assert not err
    assert out.count('\x1b[0m') >= 4
    assert '<the end>' in file.read_text().splitlines()
    assert '\x1b' not in file.read_text()


def test_lines_that_a_console_does_not_take_are_counted_and_told(tmp_path: Path) -> None:
    count = 40_000
    with program(tmp_path, count) as (process, done):
        wait_until(done.exists, 'all that is logged', deadline_s=60)
        assert float(done.read_text()) < PAUSE_S
        read: list[bytes] = []

        def drain() -> None:
            assert process.stderr is not None
            read.extend(iter(process.stderr.readline, b''))

        reader = threading.Thread(target=drain)
        reader.start()
        told = b'not written', TOO_FAST.encode()
        wait_until(
            lambda: any(text in line for line in read[-1:] for text in told),
            'the lost lines',
            deadline_s=30,
        )
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        reader.join()
    log = b''.join(read).decode()
    assert texts(log)[-1] == 'the end'
    numbers = [int(text.split()[1]) for text in texts(log)[:-1]]
    assert numbers == sorted(numbers)
    lost = sum(
        int(text.replace(',', '')) for text in re.findall(r'([\d,]+) log lines? w\w+ not', log)
    )
    assert lost > 0
    if TOO_FAST in log:  # for a machine that is busy: then nobody knows how many
        assert len(numbers) + lost < count
    else:
        assert len(numbers) + lost == count


def test_lines_that_come_too_fast_are_told(tmp_path: Path) -> None:
    with program(tmp_path, 20_000, FAST='1') as (process, _):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
    assert TOO_FAST in err.decode()
    assert 0 < len(texts(err.decode())) < 20_000


def end_by_force(flight: StalledFlight) -> None:
    """End a recorder by SIGTERM while its disk hangs; the flight can be recovered."""
    flight.stall('all')
    since = time.monotonic()
    assert flight.recorder.stop(signal.SIGTERM) == 1
    assert time.monotonic() - since < ENDED_WITHIN_S + SLACK_S
    flight.disk.answer()
    for path in flight.recorder.flights():
        recover(path)
        assert verify(path).verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)


def test_a_console_that_nobody_reads_silences_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecorderProcess, 'log', '')  # the console is not read
    console = tmp_path / 'fdr_recorder.log'
    os.mkfifo(console)
    held = os.open(console, os.O_RDWR | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(held, bytes(4096))
    with stalled_flight(tmp_path, 'configure', 'activate') as flight:
        assert flight.stall('all') < TOLD_WITHIN_S + SLACK_S
        flight.go_on()
        flight.recorder.make('deactivate')
        check(flight)
        flight.recorder.make('activate')
        end_by_force(flight)
    os.close(held)
    (file,) = (tmp_path / 'ros_log').iterdir()
    assert 'recording to' in file.read_text()


def test_logs_on_the_disk_that_hangs_silence_nothing(tmp_path: Path) -> None:
    everything = {'FDR_SLOW_ROOT': str(tmp_path)}  # the console is a file there, too
    with stalled_flight(tmp_path, 'configure', 'activate', environment=everything) as flight:
        assert flight.stall('all') < TOLD_WITHIN_S + SLACK_S
        flight.go_on()
        flight.recorder.make('deactivate')
        check(flight)
        flight.recorder.make('activate')
        flight.stall('all')
        assert not flight.recorder.change_state('deactivate')  # and this is logged
        flight.go_on()
        flight.ground.wait_until(lambda: flight.recorder.state() == 'inactive', 'the end')
        flight.recorder.make('activate')
        end_by_force(flight)
        (file,) = (tmp_path / 'ros_log').iterdir()
        for log in (file.read_text(), flight.recorder.log):
            assert 'has not answered' in log


def test_a_log_directory_that_hangs_at_the_start_is_told_and_used_later(
    ground: Ground, tmp_path: Path
) -> None:
    disk = SlowDisk(tmp_path, tmp_path / 'ros_log')
    with disk.hanging('all'), NodeProcess(
        ground,
        tmp_path,
        'fdr_recorder.node.trigger',
        'flight_trigger',
        environment=disk.environment,
        options={},
    ) as trigger:
        assert trigger.get('source') == 'bool'
        assert disk.is_reached()
        ground.wait_until(lambda: 'does not answer' in trigger.log, 'the warning')
        disk.answer()

        def is_logged() -> bool:
            files = [*(tmp_path / 'ros_log').glob('*.log')]
            return any('does not answer' in file.read_text() for file in files)

        ground.wait_until(is_logged, 'the lines that waited')
        assert trigger.stop(signal.SIGTERM) == 0
