# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The process of the recorder; SIGINT, SIGTERM and SIGHUP end it with its flight closed."""

from __future__ import annotations

import os
import time
from typing import Final

from fdr_recorder.config import FdrConfig
from fdr_recorder.node.command_line import CommandLine
from fdr_recorder.node.freed_memory import keep_freed_memory
from fdr_recorder.node.quick_start import imports_are_done  # before ROS messages
from fdr_recorder.node.recorder import NODE_NAME, Recorder
from fdr_recorder.node.ros_process import executor_of, ros_process, spin_guarded

imports_are_done()

COMMAND_LINE: Final = CommandLine(
    'recorder',
    NODE_NAME,
    """\
Record topics of a vehicle, flight by flight. It is a lifecycle node: it subscribes when it is
configured, and records while it is active.

examples:
  ros2 run fdr_recorder recorder --ros-args --params-file recorder.yaml
  ros2 run fdr_recorder recorder --ros-args -p autostart:=true -p all_topics:=true
  ros2 run fdr_recorder recorder --metadata pilot=Ann --metadata 'site=North field' \\
      --ros-args --params-file recorder.yaml
  ros2 launch fdr_recorder recorder.launch.py params_file:=recorder.yaml
  ros2 lifecycle set /fdr_recorder activate
  fdr check --config recorder.yaml     try parameters, disk and topics before a flight""",
    FdrConfig,
)
FAREWELL_S: Final = 0.3
"""How long the node lives after a shutdown transition. The middleware sends the answer to the
request from a thread of its own; it would be lost if the node ended at once."""


def main(args: list[str] | None = None) -> int:
    """
    Run the recorder until a signal or a shutdown transition ends it.

    The flight is closed and the last diagnostics are sent before rclpy is shut down.

    Returns:
        The exit code: 0, also after SIGINT, SIGTERM and SIGHUP. If the flight could not be closed
        because the disk does not answer, this does not return: the process ends with 1, without
        waiting for threads that hang, or go on (`EndSignals` ends what hangs before).

    Raises:
        SystemExit: The command line asks for help (0), or is wrong (2).

    """
    keep_freed_memory(os.environ)
    with (
        ros_process(COMMAND_LINE, args) as signals,
        executor_of(node := Recorder(), signals.output.why_no_file()) as executor,
    ):
        signals.serve(executor, node.progress, lambda: node.unclosed_flight)
        node.autostart()
        while not signals.has_come and not node.is_ending:
            spin_guarded(executor)
        if node.is_ending:
            signals.come()
            farewell = time.monotonic() + FAREWELL_S
            while time.monotonic() < farewell:
                spin_guarded(executor, FAREWELL_S)
        else:
            node.end()
        is_finalized = node.is_finalized
    if not is_finalized:  # threads still run in C++, which aborts when the interpreter goes
        os._exit(1)
    return 0
