# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The node `gcs_bridge`: hears what recorders tell, and tells the pilot's ground station."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import socket
import time
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fdr_recorder.alerts import ALERT_GROUPS, AlertBoard
from fdr_recorder.errors import ConfigInvalidError, RecordError
from fdr_recorder.ground.endpoint import parse_endpoint
from fdr_recorder.ground.line import Line
from fdr_recorder.ground.mavlink import Mavlink, Result
from fdr_recorder.ground.recorders import Recorders, Status, SUMMARY, TRIGGER_GROUPS
from fdr_recorder.ground.station import Station
from fdr_recorder.node.command_line import CommandLine
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher, key_values, STEADY_CLOCK
from fdr_recorder.node.gcs_bridge.config import BridgeConfig
from fdr_recorder.node.gcs_bridge.execution import Execution
from fdr_recorder.node.gcs_bridge.mavros import Mavros
from fdr_recorder.node.logs import RosLogHandler
from fdr_recorder.node.parameters import Parameters, valid_name
from fdr_recorder.node.ros_process import run_node
from rclpy.node import Node

NODE_NAME: Final = 'gcs_bridge'
COMMAND_LINE: Final = CommandLine(
    'gcs_bridge',
    NODE_NAME,
    """\
Tell the pilot's ground station what the recorder does: its state, and each alert that begins or
ends, by MAVLink or by way of MAVROS. Nothing needs to be installed on the ground.

examples:
  ros2 run fdr_recorder gcs_bridge --ros-args -p endpoint:=udpout:192.168.1.10:14550
  ros2 run fdr_recorder gcs_bridge --ros-args -p endpoint:=serial:/dev/ttyAMA0:921600
  ros2 run fdr_recorder gcs_bridge --ros-args -p output:=mavros
  ros2 run fdr_recorder gcs_bridge --ros-args -p "commands:=[pin, start, stop]\"""",
    BridgeConfig,
)
TICK_S: Final = 0.1
LOOK_S: Final = 1.0
QUEUE_DEPTH: Final = 100
PARTS: Final = frozenset({SUMMARY, *ALERT_GROUPS, *TRIGGER_GROUPS})


class GcsBridge(Node):
    """
    Hear diagnostics, and hand them to the thread that talks with the ground.

    The recorders do not know of it: it can end and start at any time.
    """

    def __init__(self) -> None:
        """
        Hear and tell from now on.

        Raises:
            ConfigInvalidError: A parameter is wrong.
            ExtraMissingError: MAVLink is needed, and `pymavlink` is not installed.
            RecordError: MAVROS alone is to be used, and its messages are not installed.

        """
        super().__init__(NODE_NAME)
        self._stop: Callable[[], object] = lambda: None
        self._log_handler = RosLogHandler(self.get_logger())
        self._log_handler.attach()
        config = Parameters(
            self,
            BridgeConfig,
            lambda: 'parameters are read when the bridge starts; restart it with others',
        ).read()
        self._config = config
        with valid_name('recorders'):
            names = [self.resolve_service_name(name) for name in config.recorders]
            self._executions = [Execution(self, name) for name in names]
        self._commands: deque[str] = deque()
        self._mavros = self._find_mavros()
        by_mavlink = config.output != 'mavros' and bool(config.endpoint)
        if self._mavros is None and not by_mavlink:
            raise ConfigInvalidError(['endpoint: must not be empty where MAVROS is not used'])
        self._station = Station(
            Recorders(names, config.silence_s, time.monotonic()),
            line=Line(parse_endpoint(config.endpoint)) if by_mavlink else None,
            mavlink=Mavlink(config.system_id, config.component_id) if by_mavlink else None,
            mavros=self._mavros.outside if self._mavros is not None else None,
            commands=config.commands,
            execute=self._commands.append,
            seal_interval_s=config.seal_interval_s,
        )
        self.create_subscription(
            DiagnosticArray, config.diagnostics_topic, self._on_diagnostics, QUEUE_DEPTH
        )
        DiagnosticsPublisher(
            self,
            config.diagnostics_topic,
            AlertBoard(),
            groups={},
            summarize=self._summary,
            hardware_id=socket.gethostname,
        )
        if config.commands:
            self.create_timer(TICK_S, self._tick, clock=STEADY_CLOCK)
        if self._mavros is not None:
            self.create_timer(LOOK_S, self._mavros.look, clock=STEADY_CLOCK)
        self._station.start()
        self._stop = self._station.stop
        way = config.endpoint if by_mavlink else 'MAVROS'
        self.get_logger().info(f'the pilot is told of {", ".join(names)} by {way}')

    def _find_mavros(self) -> Mavros | None:
        if self._config.output == 'mavlink':
            return None
        try:
            return Mavros(self, self._config.mavros_topic)
        except RecordError:
            if self._config.output == 'mavros':
                raise
            return None

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        statuses = [
            Status(
                status.name,
                status.level[0],
                status.message,
                {item.key: item.value for item in status.values},
            )
            for status in array.status
            if status.name.rpartition(': ')[2] in PARTS
        ]
        if statuses:
            self._station.hear(statuses)

    # --- commands ------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        """Carry out a command on every recorder."""
        self.get_logger().info(f'the ground commands: {name}')
        answers: list[tuple[Result, str]] = []

        def answer(result: Result, reason: str) -> None:
            answers.append((result, reason))
            if len(answers) == len(self._executions):
                self._station.done(name, *max(answers))  # one that was refused, if there is one

        for execution in self._executions:
            execution.begin(name, answer)

    def _tick(self) -> None:
        while self._commands:
            self._begin(self._commands.popleft())
        for execution in self._executions:
            execution.tick()

    # --- diagnostics ---------------------------------------------------------------------

    def destroy_node(self) -> None:
        """Leave the ground and the graph."""
        self._stop()
        self._log_handler.detach()
        super().destroy_node()

    def _summary(self) -> DiagnosticStatus:
        status = self._station.status
        trouble = status.trouble
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK,
            name=SUMMARY,
            message=f'the ground is not reached: {trouble}' if trouble else 'the ground is told',
            values=key_values(
                {
                    'way': status.way,
                    'endpoint': self._config.endpoint,
                    'texts_sent': status.texts,
                    'ground_stations': status.grounds,
                }
            ),
        )


def main(args: list[str] | None = None) -> int:
    """
    Run the bridge until SIGINT, SIGTERM or SIGHUP.

    Returns:
        The exit code: 0; 1 if a parameter is wrong or something that it needs is not installed.

    Raises:
        SystemExit: The command line asks for help (0), or is wrong (2).

    """
    return run_node(COMMAND_LINE, GcsBridge, args)
