# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The node `flight_trigger`: records from arming to disarming, by the recorder's lifecycle."""

from __future__ import annotations

import os
import time
from typing import Final

from diagnostic_msgs.msg import DiagnosticStatus
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.command_line import CommandLine
from fdr_recorder.node.conditions.armed_watch import ArmedWatch
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher, key_values, STEADY_CLOCK
from fdr_recorder.node.logs import RosLogHandler
from fdr_recorder.node.parameters import Parameters, valid_name
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.remote_lifecycle import RemoteLifecycle
from fdr_recorder.node.ros_process import run_node
from fdr_recorder.node.trigger.config import TriggerConfig
from lifecycle_msgs.msg import State, Transition
from rclpy.node import Node

NODE_NAME: Final = 'flight_trigger'
COMMAND_LINE: Final = CommandLine(
    'flight_trigger',
    NODE_NAME,
    """\
Open a flight when the vehicle arms, and close it after it has disarmed: it drives the lifecycle of
a recorder. Any condition on a topic can do the same.

examples:
  ros2 run fdr_recorder flight_trigger --ros-args -p source:=px4
  ros2 run fdr_recorder flight_trigger --ros-args -p source:=none \\
      -p "trigger_on:=['/battery_state: voltage < 14.2 for 2 s']"
  ros2 run fdr_recorder flight_trigger --ros-args --params-file trigger.yaml""",
    TriggerConfig,
)
TICK_S: Final = 0.05
ASK_INTERVAL_S: Final = 1.0
"""How often to ask the recorder for its state, and to repeat a refused transition."""
SILENCE_S: Final = 5.0
"""The recorder is down if it has not answered for so long."""
TRANSITION_DEADLINE_S: Final = 15.0
"""The same during a transition: closing a flight on a slow disk takes time."""

GROUPS: Final = {
    'recorder': ('recorder_down', 'recorder_refused'),
    'source': ('source_silent', 'condition_unusable'),
}
"""Alert codes by fault group."""


class FlightTrigger(Node):
    """
    Drive the lifecycle of one recorder, which does not know of the trigger.

    - A recorder that has started is configured, to be ready.
    - During a flight it is kept active, whatever happens to it.
    - At the end of a flight it is deactivated once. Before and after, others may command it.
    - When the trigger ends, the recorder stays as it is.
    """

    def __init__(self) -> None:
        """
        Listen to the source and drive the recorder from now on.

        Raises:
            ConfigInvalidError: A parameter is wrong.
            SourceTypeMissingError: The source's message type is not installed.

        """
        super().__init__(NODE_NAME)
        self._log_handler = RosLogHandler(self.get_logger())
        self._log_handler.attach()
        config = Parameters(
            self,
            TriggerConfig,
            lambda: 'parameters are read when the trigger starts; restart it with others',
        ).read()
        self._config = config
        with valid_name('recorder'):
            self._recorder = RemoteLifecycle(self, config.recorder)
        self._board = AlertBoard()
        self._armed = ArmedWatch(
            self, config, self._board, Quarantine(self._board), post_roll_s=config.post_roll_s
        )
        self._is_flying: bool | None = None
        self._must_configure = False
        self._must_deactivate = False
        self._ask_at = 0.0
        DiagnosticsPublisher(
            self,
            config.diagnostics_topic,
            self._board,
            groups=GROUPS,
            summarize=self._summary,
            hardware_id=lambda: os.uname().nodename,
        )
        self.create_timer(TICK_S, self._tick, clock=STEADY_CLOCK)
        self.get_logger().info(f'{self._armed.topics} decides when {self._recorder.name} records')

    def _tick(self) -> None:
        now = time.monotonic()
        is_flying = self._armed.is_flying(now)
        if is_flying != self._is_flying:
            over = 'the flight is over' if self._is_flying else 'no flight: disarmed'
            self.get_logger().info('the flight has begun' if is_flying else over)
            self._is_flying = is_flying
            self._must_deactivate = is_flying is False
            self._ask_at = now
        self._armed.find()
        if now >= self._ask_at:
            self._ask_at = now + ASK_INTERVAL_S
            self._watch(now)
            self._must_configure |= self._recorder.has_started()
            self._recorder.ask(self._on_state)

    def _watch(self, now: float) -> None:
        """Raise an alert for a silent source or recorder."""
        self._armed.look(now)
        patience_s = TRANSITION_DEADLINE_S if self._recorder.is_changing else SILENCE_S
        if now - self._recorder.answered_at > patience_s:
            self._board.raise_alert(
                'recorder_down', f'{self._recorder.name} does not answer: start it'
            )

    # --- the recorder --------------------------------------------------------------------

    def _on_state(self, state: int) -> None:
        """Request the transition that brings the recorder closer to the state it should have."""
        name = self._recorder.name
        self._board.clear('recorder_down', f'{name} answers')
        verb = self._due(state)
        if not verb:
            self._board.clear('recorder_refused', f'{name} is {self._recorder.state}')
            return

        def answered(has_succeeded: bool) -> None:
            if has_succeeded:
                self._must_configure = self._must_deactivate = False
                self._ask_at = 0.0  # the next transition may be due
            else:
                self._board.raise_alert(
                    'recorder_refused',
                    f'{name} refused to {verb}: its log and its diagnostics say why; trying again',
                )

        self._recorder.change(getattr(Transition, f'TRANSITION_{verb.upper()}'), answered)

    def _due(self, state: int) -> str:
        """Return the verb of the transition that is due in this state; empty if there is none."""
        if state == State.PRIMARY_STATE_UNCONFIGURED:
            self._must_deactivate = False
            return 'configure' if self._must_configure or self._is_flying else ''
        self._must_configure = False
        if state == State.PRIMARY_STATE_INACTIVE:
            self._must_deactivate = False
            return 'activate' if self._is_flying else ''
        is_active = state == State.PRIMARY_STATE_ACTIVE
        return 'deactivate' if is_active and self._must_deactivate else ''

    # --- log and diagnostics -------------------------------------------------------------

    def destroy_node(self) -> None:
        """Leave the graph."""
        self._log_handler.detach()
        super().destroy_node()

    def _summary(self) -> DiagnosticStatus:
        said = {None: 'unknown', True: 'armed', False: 'disarmed'}[self._armed.is_armed]
        is_missed = self._is_flying and self._recorder.state != 'active'
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if is_missed else DiagnosticStatus.OK,
            name='summary',
            message=f'{said}; {self._recorder.name} is {self._recorder.state or "unknown"}',
            values=key_values(
                {
                    'source': f'{self._config.source} on {self._armed.topics}',
                    'armed': said,
                    'flight': {None: 'unknown', True: 'yes', False: 'no'}[self._is_flying],
                    'recorder': self._recorder.name,
                    'recorder_state': self._recorder.state,
                }
            ),
        )


def main(args: list[str] | None = None) -> int:
    """
    Run the trigger until SIGINT, SIGTERM or SIGHUP.

    Returns:
        The exit code: 0; 1 if a parameter is wrong or the source's message type is missing.

    Raises:
        SystemExit: The command line asks for help (0), or is wrong (2).

    """
    return run_node(COMMAND_LINE, FlightTrigger, args)
