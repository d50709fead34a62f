"""The process: one recorder node, ended by SIGINT or SIGTERM with its flight complete."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from fdr_recorder.node.recorder import Recorder

FAREWELL_S: Final = 0.3
"""How long the node stays after a shutdown transition. The middleware sends from a thread of its
own: a node that leaves at once takes the answer to who asked for the transition with it."""


class _EndSignals:
    """Notices SIGINT and SIGTERM while the executor waits in C, where no Python handler runs.

    The interpreter writes a byte to a socket the moment a signal arrives (`signal.set_wakeup_fd`);
    a thread that reads it wakes the executor.
    """

    def __init__(self) -> None:
        """Begin to notice; neither signal ends the process from now on."""
        self.has_come = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)

    def wake(self, executor: SingleThreadedExecutor) -> None:
        """Wake an executor when one of them comes, or has come."""

        def wait() -> None:
            if self._reader.recv(1):
                self.has_come = True
                executor.create_task(lambda: None)

        threading.Thread(target=wait, name='fdr_signals', daemon=True).start()

    def ignore(self) -> None:
        """Let one more signal not kill a process that ends already."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._writer.close()


def main(args: Sequence[str] | None = None) -> int:
    """Run the recorder until it is told to end.

    rclpy's own signal handlers would shut the context down first; here the flight is closed and
    the last diagnostics are sent before that.

    Returns:
        The exit code: 0, also after SIGINT and SIGTERM.

    """
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # ROS 2 from wheels does not set it
    signals = _EndSignals()
    rclpy.init(
        args=list(args) if args is not None else None,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        node = Recorder()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        signals.wake(executor)
        try:
            while not signals.has_come and not node.is_finalized:
                executor.spin_once()
            if node.is_finalized:
                farewell = time.monotonic() + FAREWELL_S
                while time.monotonic() < farewell:
                    executor.spin_once(timeout_sec=FAREWELL_S)
            else:
                node.trigger_shutdown()
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
        signals.ignore()
    return 0
