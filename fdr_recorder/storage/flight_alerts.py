# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The alerts of a flight: recorded while it is open, and cleared when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.record.kinds import AlertRecord
from fdr_recorder.record.payload import Payload

_EARLY: Final = ('overrun', 'transport_loss', 'disk_low', 'record_invalid', 'clock_step')
"""Cleared when the flight begins to close; the flight still records that."""
_ALL: Final = (
    *_EARLY,
    'segments_dropped', 'flights_removed', 'cap_misconfigured', 'disk_full', 'write_error',
    'segments_gone', 'flight_moved', 'segment_not_opened', 'not_sealed',
)
"""Cleared after the flight: closing it may raise these."""


class FlightAlerts:
    """Records the alerts of a board. Any thread may raise them; else the writer's thread alone."""

    def __init__(
        self, board: AlertBoard, emit: Callable[[Payload], None], on_raised: Callable[[str], None]
    ) -> None:
        """Take what records an alert, and what is called with the code of each that is raised."""
        self._board = board
        self._emit = emit
        self._on_raised = on_raised

    def begin(self) -> None:
        """Record the alerts that are present, and those to come."""
        self._board.listen(self._listen)
        for alert in self._board.present():
            self._record(alert)

    def begin_to_end(self) -> None:
        """Clear what is over with the flight, and record no more."""
        for code in _EARLY:
            self._board.clear_all(code, 'the flight is being closed')
        self._board.unlisten(self._listen)

    def end(self, message: str) -> None:
        """Clear all alerts of the flight, and record no more."""
        self._board.unlisten(self._listen)
        for code in _ALL:
            self._board.clear_all(code, message)

    def _listen(self, alert: Alert) -> None:
        self._record(alert)
        if alert.raised:
            self._on_raised(alert.code)

    def _record(self, alert: Alert) -> None:
        self._emit(
            AlertRecord(
                code=alert.code,
                level=alert.level,
                raised=alert.raised,
                subject=alert.subject,
                message=alert.message,
                values=alert.values,
            )
        )
