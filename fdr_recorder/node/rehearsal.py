# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A rehearsal for `fdr check`: the recorder itself records for a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time
from typing import Final

from fdr_recorder.node.recorder import Recorder
from fdr_recorder.node.ros_process import executor_of, ros, spin_guarded
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn

NODE_NAME: Final = 'fdr_check'
DISCOVERY_S: Final = 2.0
"""Time for discovery of the graph, before the measurement begins."""
_SPIN_S: Final = 0.1


def rehearse(parameter_file: Path, seconds: float, advance: Callable[[int], None]) -> bool:
    """
    Configure a recorder, activate it, and shut it down, all in the calling thread.

    `advance` is called with milliseconds of progress, in total `duration_ms(seconds)`.

    Returns:
        False if a transition was refused; stderr then has the reason.

    """
    arguments = ['--ros-args', '--params-file', str(parameter_file), '--log-level', 'error']
    with ros(arguments), executor_of(node := Recorder(NODE_NAME)) as executor:
        for transition, spin_s in (
            (node.trigger_configure, DISCOVERY_S),
            (node.trigger_activate, seconds),
            (node.end, 0.0),
        ):
            if transition() != TransitionCallbackReturn.SUCCESS:
                return False
            _spin(executor, spin_s, advance)
    return True


def duration_ms(seconds: float) -> int:
    """Return the duration of a rehearsal that records for so many seconds, in milliseconds."""
    return round((DISCOVERY_S + seconds) * 1000)


def _spin(
    executor: SingleThreadedExecutor, seconds: float, advance: Callable[[int], None]
) -> None:
    now = time.monotonic()
    end = now + seconds
    while now < end:
        spin_guarded(executor, min(end - now, _SPIN_S))
        before, now = now, time.monotonic()
        advance(round((now - before) * 1000))
