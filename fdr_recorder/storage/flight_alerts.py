# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The alerts of an open flight: recorded in it, and cleared when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.record.kinds import AlertRecord, Payload

_EARLY: Final = ('overrun', 'transport_loss', 'disk_low')
"""Cleared when the flight begins to close; the flight still records that."""
_LATE: Final = ('segments_dropped', 'cap_misconfigured', 'disk_full', 'write_error')
"""Closing the flight may raise these; they are cleared after it."""


class FlightAlerts:
    """Records all alerts while a flight is open, and clears those of the flight."""

    def __init__(self, board: AlertBoard, emit: Callable[[Payload], None]) -> None:
        """Take the board, and the function that writes records."""
        self._board = board
        self._emit = emit

    def start(self) -> None:
        """Record the present alerts, and all that follow."""
        self._board.listen(self._record)
        for alert in self._board.present():
            self._record(alert)

    def stop(self) -> None:
        """Record no more alerts; before that, clear those that need no open flight."""
        for code in _EARLY:
            self._board.clear(code, 'the flight is being closed')
        self._board.unlisten(self._record)

    def clear(self, message: str) -> None:
        """Clear all alerts of the flight, and record no more."""
        self._board.unlisten(self._record)
        for code in (*_EARLY, *_LATE):
            self._board.clear(code, message)

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
