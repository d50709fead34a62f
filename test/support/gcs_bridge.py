# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The bridge to the ground as a real process, and a recorder that tells it what a test wants."""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.alerts import ALERT_GROUPS, AlertBoard
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher, key_values
from ground import DiagnosticStatus, Ground
from ground_stations import MavsdkGround, Text
from node_process import NodeProcess

RECORDER = '/ground'


class BridgeProcess(NodeProcess):
    """The bridge in a process of its own."""

    def __init__(self, ground: Ground, directory: Path, **options: object) -> None:
        super().__init__(
            ground, directory, 'fdr_recorder.node.gcs_bridge', 'gcs_bridge', options=options
        )


class ToldRecorder:
    """
    The diagnostics of a recorder, as the node `/ground`.

    Attributes:
        board: Its faults.
        state: What its lifecycle says.
        fall_silent: Ends its diagnostics.

    """

    def __init__(self, ground: Ground) -> None:
        self.board = AlertBoard()
        self.state = 'active'
        self._publisher = DiagnosticsPublisher(
            ground.node,
            '/diagnostics',
            self.board,
            groups=ALERT_GROUPS,
            summarize=self._summary,
            hardware_id=lambda: 'drone_7',
        )
        self.fall_silent = self._publisher.stop

    def _summary(self) -> DiagnosticStatus:
        is_active = self.state == 'active'
        values = {'state': self.state, 'disk_free_bytes': 3 * 2**30, 'disk_bytes': 10 * 2**30}
        return DiagnosticStatus(
            level=DiagnosticStatus.OK if is_active else DiagnosticStatus.WARN,
            name='summary',
            message='recording f' if is_active else f'not recording ({self.state})',
            values=key_values(values),
        )


def wait_for_text(
    ground: Ground, sdk: MavsdkGround, text: str, since: float = 0.0, deadline_s: float = 30.0
) -> Text:
    """Return the first text of this kind since a time."""

    def found() -> Text | None:
        return next((item for item in sdk.texts if item.text == text and item.at >= since), None)

    item = ground.wait_until(found, text, deadline_s)
    assert item is not None
    return item
