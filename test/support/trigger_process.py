# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight trigger under test as a real process, and its recorder."""

from __future__ import annotations

from pathlib import Path

from ground import DiagnosticStatus, Ground, has_alert
from node_process import NodeProcess
from recorder_process import RecorderProcess

QUICK = {'debounce_s': 0.1, 'post_roll_s': 0.0, 'source_timeout_s': 30.0}


class TriggerProcess(NodeProcess):
    """The trigger in a process of its own."""

    def __init__(
        self, ground: Ground, directory: Path, *, forked: bool = True, **options: object
    ) -> None:
        super().__init__(
            ground,
            directory,
            'fdr_recorder.node.trigger',
            'flight_trigger',
            forked=forked,
            options={**QUICK, **options},
        )

    def check_one_spell(self, part: str, code: str) -> None:
        """Check that an alert was raised once (too early for the ground, perhaps) and cleared."""

        def over() -> list[DiagnosticStatus]:
            begin = f'{code} over'
            return [item for item in self.at_once(part) if item.message.startswith(begin)]

        self.ground.wait_until(over, f'the end of {code} at once')
        said = [status for status in self.at_once(part) if has_alert(status, code)]
        assert len(said) <= 1
        assert len(over()) == 1


def until(recorder: RecorderProcess, state: str) -> None:
    """Wait until a recorder is in a state."""
    recorder.ground.wait_until(lambda: recorder.state() == state, f'the recorder {state}')
