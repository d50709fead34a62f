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
Records that cannot be encoded: they cost themselves, or their producer, never the flight.

The hot path does not check values. It fails on an invalid one, and only then is the invalid record
looked for here. Afterwards each record of that producer is checked before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import NO_CLOCK, SteadyClock
from fdr_recorder.errors import RecordError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import RecordInvalid
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.chunk import sound_record
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.losses import REPORT_INTERVAL_S
from fdr_recorder.storage.lost_records import joint_span, NO_SPAN, Span, span_of
from fdr_recorder.storage.segment_index import check_channel
from fdr_recorder.units import encodable

QUARANTINE_AFTER: Final = 10
"""Invalid records in succession after which a producer is in quarantine."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""How long a quarantine lasts; each one is twice as long as the one before."""
ALERT_HOLD_S: Final = 5.0
"""An alert is cleared after this time without an invalid record."""


@dataclass
class _Case:
    """
    A producer of invalid records; times are monotonic seconds.

    No record tells yet of `unrecorded`, which were received in the `span`.
    """

    records: int = 0
    in_succession: int = 0
    pause_s: float = FIRST_PAUSE_S
    quarantine_until: float = 0.0
    last_at: float = 0.0
    reason: str = ''
    unrecorded: int = 0
    span: Span = NO_SPAN


class InvalidRecords:
    """
    Decides what becomes of invalid records, and of a producer that goes on offering them.

    They are counted as `dropped_write_error` and told by the alert and by records of the name
    `record_invalid`. Used by the writer's thread alone.

    Attributes:
        suspects: The producers of which a record was invalid, or not plain: `sift` their records.
        emit: Writes a record of the recorder itself; set by the owner.

    """

    def __init__(self, alerts: AlertBoard, clock: SteadyClock = NO_CLOCK) -> None:
        """Begin without a suspect; take the clock that dates records."""
        self.suspects: dict[ProducerAccount, _Case] = {}
        self._alerts = alerts
        self.emit: Callable[[Payload], None] = lambda _payload: None
        self._told: set[str] = set()
        self._clock = clock
        self._recorded_at = 0.0

    def sift(
        self,
        account: ProducerAccount,
        batch: Sequence[QueuedRecord],
        error: BaseException | None = None,
    ) -> Sequence[QueuedRecord]:
        """
        Return the valid records of a batch, with plain values, and count the others.

        Args:
            account: Their producer's.
            batch: Records of which none is in a segment yet.
            error: What writing them has raised. It propagates if all of them are valid and plain:
                then it is an error of the recorder itself.

        """
        now, case = time.monotonic(), self.suspects.get(account)
        if case is not None and now < case.quarantine_until:
            self._refuse(account, batch, case.reason)
            return []
        reason = check_channel(account.channel)
        if reason:
            self._refuse(account, batch, reason)
            self._quarantine(self.suspects[account], now)
            return []
        valid: list[QueuedRecord] = []
        invalid: list[QueuedRecord] = []
        in_succession = case.in_succession if case is not None else 0
        is_plain = True
        for record in batch:
            try:
                sound = sound_record(record)
            except RecordError as refused:
                reason = str(refused)
                invalid.append(record)
                in_succession += 1
            else:
                valid.append(sound)
                in_succession = 0
                is_plain = is_plain and sound is record
        if reason:
            self._refuse(account, invalid, reason)
        elif error is not None and is_plain:
            raise error
        case = self.suspects.setdefault(account, _Case())
        case.in_succession = in_succession
        if valid:
            case.pause_s = FIRST_PAUSE_S
        if in_succession >= QUARANTINE_AFTER:
            self._quarantine(case, now)
        return valid

    def _refuse(
        self, account: ProducerAccount, batch: Sequence[QueuedRecord], reason: str
    ) -> None:
        self.refuse(account, len(batch), reason, span_of(batch, self._clock))

    def refuse(
        self, account: ProducerAccount, records: int, reason: str, span: Span = NO_SPAN
    ) -> None:
        """Count invalid records of a producer, received in the span or now; raise the alert."""
        if span == NO_SPAN:
            span = self._clock.now_ns(), self._clock.now_ns()
        case = self.suspects.setdefault(account, _Case())
        account.dropped_write_error += records
        case.records += records
        case.unrecorded += records
        case.span = joint_span(case.span, span)
        case.last_at = time.monotonic()
        case.reason = reason
        topic = account.topic
        self._told.add(topic)
        message = f'records of {topic} cannot be encoded, and are discarded: {reason}'
        values = {'topic': topic, 'publisher': account.publisher, 'records': case.records}
        self._alerts.raise_alert('record_invalid', message, subject=topic, values=values)

    def _quarantine(self, case: _Case, now: float) -> None:
        case.quarantine_until = now + case.pause_s
        case.pause_s = min(2 * case.pause_s, LONGEST_PAUSE_S)

    def record(self, now: float, *, hurry: bool = False) -> None:
        """
        Record what was refused since the last time, if that is long enough ago, or in a `hurry`.

        `now` in monotonic seconds.
        """
        if not self.suspects or (not hurry and now - self._recorded_at < REPORT_INTERVAL_S):
            return
        self._recorded_at = now
        for account, case in self.suspects.items():
            if case.unrecorded:
                self.emit(
                    RecordInvalid(
                        topic=account.topic,
                        publisher=account.publisher,
                        records=case.unrecorded,
                        reason=encodable(case.reason),
                        first_record_ns=case.span[0],
                        last_record_ns=case.span[1],
                    )
                )
                case.unrecorded, case.span = 0, NO_SPAN

    def report(self, now: float) -> None:
        """Clear the alerts of topics whose records are valid again; `now` in monotonic seconds."""
        if not self._told:
            return
        present = {
            account.topic
            for account, case in self.suspects.items()
            if now < max(case.last_at + ALERT_HOLD_S, case.quarantine_until)
        }
        for topic in self._told - present:
            message = f'none for {ALERT_HOLD_S:.0f} s'
            self._alerts.clear('record_invalid', message, subject=topic)
        self._told &= present
