# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A process with one node: signals, the executor, and the life of rclpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import logging
import os
from pathlib import Path
import signal
import sys
import threading
import time
from typing import Final

from fdr_recorder.errors import FdrError, RosArgumentsError
from fdr_recorder.node.command_line import CommandLine
from fdr_recorder.node.log_output import LogOutput
from fdr_recorder.node.quick_discovery import announce_often, loaded_libraries
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import clear_config, get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

logger = logging.getLogger(__name__)


@contextmanager
def ros(args: list[str]) -> Iterator[None]:
    """
    Run rclpy without its own signal handlers: they would shut the context down too early.

    It writes no log file: `LogOutput` does.

    Raises:
        RosArgumentsError: ROS cannot use the arguments.

    """
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # ROS 2 from wheels does not set it
    announce_often(os.environ, Path(), loaded_libraries())
    try:
        rclpy.init(
            args=[*args, '--ros-args', '--disable-external-lib-logs'],
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # of several classes, by version
        raise RosArgumentsError(str(error)) from error
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def executor_of(node: Node, why_no_log_file: str = '') -> Iterator[SingleThreadedExecutor]:
    """Lend an executor that serves a node; destroy both at the end. Warn of no log file."""
    if why_no_log_file:
        node.get_logger().warning(
            f'no log file: {why_no_log_file}; logs go to the console and /rosout. For a log file, '
            'set ROS_LOG_DIR to a directory that can be written'
        )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor
    finally:
        executor.shutdown()
        node.destroy_node()


def spin_guarded(executor: SingleThreadedExecutor, timeout_s: float | None = None) -> None:
    """Serve a timer or a service; an error in it does not end the recording."""
    try:
        executor.spin_once(timeout_sec=timeout_s)
    except ExternalShutdownException:
        raise
    except Exception:
        logger.exception('a callback failed; recording continues')
        time.sleep(FAILURE_PAUSE_S)


FAILURE_PAUSE_S: Final = 0.1
"""Pause after a callback that failed: it may fail again at once."""
END_DEADLINE_S: Final = 4.5
"""Who manages processes waits five seconds after a signal, as a rule, and then kills."""
END_BOUND_S: Final = 60.0
"""Longer than that nothing is worth waiting for: a disk may answer, but too slowly."""
STUCK_S: Final = 2.0
"""What has not got on for so long hangs."""
_END_INTERVAL_S: Final = 0.1
_NOT_ENDED: Final = (
    'fdr: the process does not end in good order: the disk does not answer, or something else '
    'hangs. It ends now'
)
_UNCLOSED: Final = '; {} is not closed: `fdr recover`, or the next start of the recorder, does it'
_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndSignals:
    """
    Notice SIGINT, SIGTERM and SIGHUP while the executor waits in C, where no Python handler runs.

    The interpreter writes a byte to a pipe when a signal arrives (`signal.set_wakeup_fd`); a
    thread reads it and wakes the executor. SIGHUP comes when the terminal or the ssh session
    closes; a process that was started by `nohup` goes on ignoring it.

    The same thread ends the process if the main thread does not: that may wait for a disk that
    never answers.

    Args:
        last_word: Tells, in bounded time, why the process ends by force.

    Attributes:
        has_come: Whether one of the signals has arrived.

    """

    def __init__(self, last_word: Callable[[str], object]) -> None:
        """Handle the signals from now on: none ends the process by itself."""
        self.has_come = False
        self._last_word = last_word
        self._wake: Callable[[], object] = lambda: None
        self._progress: Callable[[], object] = lambda: None
        self._unclosed: Callable[[], str] = lambda: ''
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._reader, self._writer = os.fdopen(reader, 'rb', 0), os.fdopen(writer, 'wb', 0)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _END_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda _number, _frame: None)
        threading.Thread(target=self._wait, name='fdr_signals', daemon=True).start()

    def serve(
        self,
        executor: SingleThreadedExecutor,
        progress: Callable[[], object] = lambda: None,
        unclosed: Callable[[], str] = lambda: '',
    ) -> None:
        """
        Wake an executor when a signal arrives, or has arrived.

        Args:
            executor: What the main thread waits in.
            progress: Returns, in another thread, something that changes while the process gets
                on with its end. If it has not for `STUCK_S`, the process ends `END_DEADLINE_S`
                after the signal, whatever hangs; if it does, `END_BOUND_S` after the signal.
            unclosed: Returns the flight that is not closed then; empty if there is none.

        """
        self._progress, self._unclosed = progress, unclosed
        self._wake = lambda: executor.create_task(lambda: None)
        if self.has_come:
            self._wake()

    def _wait(self) -> None:
        if not self._reader.read(1):
            return
        self.has_come = True
        self._wake()
        since = got_on = now = time.monotonic()
        last = self._progress()
        while now < since + END_BOUND_S and (
            now < since + END_DEADLINE_S or now < got_on + STUCK_S
        ):
            time.sleep(_END_INTERVAL_S)
            now, before, last = time.monotonic(), last, self._progress()
            if last != before:
                got_on = now
        flight = self._unclosed()
        end = _UNCLOSED.format(flight) if flight else ''
        self._last_word(f'{_NOT_ENDED}{end}')
        os._exit(1)

    def come(self) -> None:
        """End as after a signal, within the same deadlines."""
        self._writer.write(b'\0')

    def ignore(self) -> None:
        """Ignore further signals: the process is ending."""
        for number in _END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._writer.close()


class RosProcess(EndSignals):
    """What a process with one node has: signals that end it, console and log file."""

    def __init__(self, args: Sequence[str]) -> None:
        self.output = LogOutput(args)
        super().__init__(self._say_and_flush)

    def _say_and_flush(self, text: str) -> None:
        self.output.say(text)
        self.output.flush()


@contextmanager
def ros_process(command: CommandLine, args: list[str] | None) -> Iterator[RosProcess]:
    """
    Run rclpy, as `ros`, in a process that SIGINT, SIGTERM and SIGHUP end in good order.

    Without arguments, it takes those of this process's command line.

    Raises:
        SystemExit: The command line asks for help, or is wrong, which stderr says.

    """
    arguments = sys.argv if args is None else args
    command.check(arguments[1:] if args is None else arguments)
    process = RosProcess(command.for_ros(arguments))
    try:
        with process.output.environment():
            clear_config()  # reads it anew
        with ros(process.output.args):
            yield process
    except RosArgumentsError as error:
        process.output.say(command.why_refused(arguments, error))
        raise SystemExit(2) from error
    finally:
        process.ignore()
        process.output.flush()


def run_node(command: CommandLine, make: Callable[[], Node], args: list[str] | None) -> int:
    """
    Run a node that `make` returns until SIGINT, SIGTERM or SIGHUP.

    Returns:
        The exit code: 0; 1 if it cannot be made, for a reason that is logged.

    Raises:
        SystemExit: The command line asks for help (0), or is wrong (2).

    """
    with ros_process(command, args) as signals:
        try:
            node = make()
        except FdrError as error:
            get_logger(command.node).fatal(str(error))
            return 1
        with executor_of(node, signals.output.why_no_file()) as executor:
            signals.serve(executor)
            while not signals.has_come:
                executor.spin_once()
    return 0
