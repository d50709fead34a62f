# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Alerts: a fault begins or ends, and the ground must know.

An `AlertBoard` holds the faults that are present. Code raises a fault there each time it sees it;
the board calls its listeners, and logs a line, once when the fault begins and once when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from enum import IntEnum
import logging
import threading
import time
from typing import Final

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.units import encodable

logger = logging.getLogger(__name__)


class AlertLevel(IntEnum):
    """Severity, with the values of `diagnostic_msgs/DiagnosticStatus`."""

    WARN = 1
    ERROR = 2


_LOG_LEVELS: Final = {AlertLevel.WARN: logging.WARNING, AlertLevel.ERROR: logging.ERROR}

ALERT_LEVELS: Final[Mapping[str, AlertLevel]] = {
    'disk_full': AlertLevel.ERROR,
    'disk_stalled': AlertLevel.ERROR,
    'write_error': AlertLevel.ERROR,
    'writer_failed': AlertLevel.ERROR,
    'intake_failed': AlertLevel.ERROR,
    'segments_gone': AlertLevel.ERROR,
    'flight_moved': AlertLevel.WARN,
    'disk_low': AlertLevel.WARN,
    'segment_not_opened': AlertLevel.WARN,
    'cap_misconfigured': AlertLevel.ERROR,
    'segments_dropped': AlertLevel.WARN,
    'flights_removed': AlertLevel.WARN,
    'overrun': AlertLevel.WARN,
    'transport_loss': AlertLevel.WARN,
    'record_invalid': AlertLevel.WARN,
    'not_sealed': AlertLevel.ERROR,
    'clock_step': AlertLevel.WARN,
    'flight_root_locked': AlertLevel.ERROR,
    'flight_root_unusable': AlertLevel.ERROR,
    'config_invalid': AlertLevel.ERROR,
    'transition_refused': AlertLevel.ERROR,
    'unclean_flight_recovered': AlertLevel.WARN,
    'unclean_flight_left': AlertLevel.WARN,
    'topic_missing': AlertLevel.WARN,
    'topic_stale': AlertLevel.WARN,
    'type_unknown': AlertLevel.WARN,
    'type_conflict': AlertLevel.WARN,
    'topic_failed': AlertLevel.WARN,
    'qos_incompatible': AlertLevel.WARN,
    'recorder_down': AlertLevel.ERROR,
    'recorder_refused': AlertLevel.ERROR,
    'source_silent': AlertLevel.WARN,
    'condition_unusable': AlertLevel.WARN,
    'held_while_armed': AlertLevel.WARN,
    'recording_paused': AlertLevel.WARN,
}
"""Every alert code and its level."""

ALERT_GROUPS: Final[Mapping[str, list[str]]] = {
    'disk': 'disk_full disk_stalled write_error disk_low segment_not_opened segments_gone '
    'flight_moved flight_root_locked flight_root_unusable'.split(),
    'capacity': 'cap_misconfigured segments_dropped flights_removed'.split(),
    'rings': ['overrun'],
    'transport': ['transport_loss'],
    'topics': 'topic_missing topic_stale type_unknown type_conflict qos_incompatible '
    'topic_failed'.split(),
    'recorder': 'config_invalid transition_refused writer_failed intake_failed '
    'unclean_flight_recovered unclean_flight_left record_invalid clock_step not_sealed '
    'held_while_armed recording_paused source_silent condition_unusable'.split(),
}
"""Alert codes by fault group; each group is one status of the recorder on `/diagnostics`."""


@dataclass(frozen=True)
class Alert:
    """
    A fault that has begun (`raised`) or ended.

    Attributes:
        code: One of `ALERT_LEVELS`.
        message: One sentence for the pilot.
        subject: The topic, for faults that several topics can have at once; else empty.
        raised: True when the fault began, False when it ended.
        values: Details, shown beside the message.
        time_ns: Time of the event (system clock).

    """

    code: str
    message: str
    subject: str = ''
    raised: bool = True
    values: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = 0

    @property
    def level(self) -> AlertLevel:
        """Severity of the fault."""
        return ALERT_LEVELS[self.code]


AlertListener = Callable[[Alert], None]


class AlertBoard:
    """
    The faults that are present now. Any thread may call any method.

    The thread that raises or clears a fault calls the listeners, one at a time, in the order of
    the faults. They must be quick and must not call the board. Their exceptions are logged and do
    not propagate: the thread may be the writer's, and a display must not end a recording.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._present: dict[tuple[str, str], Alert] = {}
        self._listeners: list[AlertListener] = []

    def listen(self, listener: AlertListener) -> None:
        """Call `listener` with every alert from now on."""
        with self._lock:
            self._listeners.append(listener)

    def unlisten(self, listener: AlertListener) -> None:
        """Stop calling `listener`. Idempotent."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def raise_alert(
        self,
        code: str,
        message: str,
        *,
        subject: str = '',
        values: Mapping[str, object] | None = None,
    ) -> bool:
        """
        Raise a fault, or renew its message; see `Alert`.

        What UTF-8 cannot encode in its texts is escaped: the ground and the flight must have them.

        Returns:
            True if the fault has just begun. False if it was present already: listeners are not
            called, but `present` returns the new message.

        """
        details = {encodable(key): encodable(value) for key, value in (values or {}).items()}
        subject, message = encodable(subject), encodable(message)
        alert = Alert(code, message, subject, True, details, time.time_ns())
        with self._lock:
            is_new = (code, subject) not in self._present
            self._present[code, subject] = alert
            if is_new:
                self._tell(alert)
        if is_new:
            logger.log(_LOG_LEVELS[alert.level], '%s: %s', code, message)
        return is_new

    def clear(self, code: str, message: str = 'over', *, subject: str = '') -> bool:
        """End a fault; return False if it was not present."""
        subject, message = encodable(subject), encodable(message)
        with self._lock:
            alert = self._present.pop((code, subject), None)
            if alert is not None:
                self._tell(replace(alert, message=message, raised=False, time_ns=time.time_ns()))
        if alert is not None:
            of = f' of {subject}' if subject else ''
            logger.info('%s%s over: %s', code, of, message)
        return alert is not None

    def clear_all(self, code: str, message: str = 'over') -> None:
        """End a fault for every subject."""
        for alert in self.present():
            if alert.code == code:
                self.clear(code, message, subject=alert.subject)

    def present(self) -> tuple[Alert, ...]:
        """Return the faults that are present, oldest first."""
        with self._lock:
            return tuple(self._present.values())

    @contextmanager
    def still(self) -> Iterator[tuple[Alert, ...]]:
        """
        Yield the faults that are present; until the end of the block none begins or ends.

        For who tells of all of them, in order with the listeners; be as quick as these.
        """
        with self._lock:
            yield tuple(self._present.values())

    def _tell(self, alert: Alert) -> None:
        for listener in self._listeners:
            try:
                listener(alert)
            except Exception:
                logger.exception('a listener failed on the alert %s', alert.code)
