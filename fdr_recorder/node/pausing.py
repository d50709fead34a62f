# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recording is paused: messages are left out on purpose, and counted, until it is resumed."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.intake.thread import IntakeThread

PAUSED: Final = 'recording_paused'


class Pausing:
    """
    Pauses and resumes the recording of an open flight. In the executor's thread.

    What comes meanwhile counts as left out (`records_throttled`), and the alert, which the flight
    records, says from when to when. Each latched topic has its newest message after that.
    """

    def __init__(self, intake: IntakeThread, alerts: AlertBoard, always: Set[str]) -> None:
        """Record; the topics of `always` are recorded all the time."""
        self._intake = intake
        self._alerts = alerts
        self._always = always
        self.is_paused = False

    def pause(self) -> None:
        """Leave out what arrives from now on. Idempotent."""
        if not self.is_paused:
            self.is_paused = True
            self._alerts.raise_alert(
                PAUSED, 'the recording is paused: messages are left out until ~/resume'
            )
            self._intake.pause(self._always)

    def resume(self, why: str = 'the recording is resumed') -> None:
        """Record again what arrives from now on. Idempotent."""
        if self.is_paused:
            self._intake.resume()
            self.is_paused = False
            self._alerts.clear(PAUSED, why)
