"""The process: one recorder node, ended by SIGINT or SIGTERM with its flight complete."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from fdr_recorder.node.recorder import Recorder

SPIN_TIMEOUT_S = 0.2
"""A signal is noticed when the executor returns from waiting: after this time at the latest."""

FAREWELL_S = 0.3
"""How long the node stays after a shutdown transition. The middleware sends from a thread of its
own: a node that leaves at once takes the answer to who asked for the transition with it."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the recorder until it is told to end.

    rclpy's own signal handlers would shut the context down first; here the flight is closed and
    the last diagnostics are sent before that.

    Returns:
        The exit code: 0, also after SIGINT and SIGTERM.

    """
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)  # ROS 2 from wheels does not set it
    must_end = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal must_end
        must_end = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    rclpy.init(
        args=list(args) if args is not None else None,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        node = Recorder()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not must_end and not node.is_finalized:
                executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
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
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it ends already; one more must not kill it
    return 0
