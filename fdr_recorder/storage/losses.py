# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is missing before the disk: refused by rings, lost in transport, left out on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient, TransportLosses
from fdr_recorder.capture.ring import (
    MAX_RECORDS,
    RECORD_OVERHEAD_BYTES,
    Refusals,
    TOTAL_BYTES,
)
from fdr_recorder.clock import NO_CLOCK, SteadyClock
from fdr_recorder.record.channel import NO_DETECTION
from fdr_recorder.record.kinds import Overrun, Throttled, TransportLoss
from fdr_recorder.record.loss_detection import joint_detection, Unseen, unseen_in_accounts
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.counters import Ledger, ProducerAccount
from fdr_recorder.units import format_size, plural

REPORT_INTERVAL_S: Final = 0.5
"""Losses of one producer within this time become one record."""
THROTTLED_INTERVAL_S: Final = 2.0
"""The same for messages that `max_rate` leaves out, which has no end. Readers look into each chunk
that holds such a record; of a flight that was killed, what was left out since is not told."""
ALERT_HOLD_S: Final = 5.0
"""An alert is cleared after this time without a loss."""


class LossReports:
    """Turns the producers' counts into counters, records and alerts; writer's thread."""

    def __init__(
        self,
        ledger: Ledger,
        alerts: AlertBoard,
        emit: Callable[[Payload], None],
        clock: SteadyClock = NO_CLOCK,
    ) -> None:
        """Take accounts, alert board, the function that writes records, the clock for them."""
        self._ledger = ledger
        self._alerts = alerts
        self._emit = emit
        self.unseen = Unseen()
        """Where losses in transport cannot be seen, at the last report."""
        self._date = clock.at_monotonic
        self._reported_at = 0.0
        self._told_throttled_at = 0.0
        self._last_loss_at: dict[tuple[str, str], float] = {}
        """Of each alert that is present, by its code and its topic."""

    def report(self, now: float, *, hurry: bool = False) -> None:
        """Report the losses since the last report, if that is long enough ago, or in a `hurry`."""
        if not hurry and now - self._reported_at < REPORT_INTERVAL_S:
            return
        self._reported_at = now
        is_due = hurry or now - self._told_throttled_at >= THROTTLED_INTERVAL_S
        if is_due:
            self._told_throttled_at = now
        for account in self._ledger.accounts:
            self.report_producer(account, now, tells_throttled=is_due)
        self.unseen = unseen_in_accounts(
            account.snapshot() for account in self._ledger.accounts
            if account.loss_detection == NO_DETECTION
        )
        for (code, topic), last_loss_at in list(self._last_loss_at.items()):
            if now - last_loss_at >= ALERT_HOLD_S:
                del self._last_loss_at[code, topic]
                self._alerts.clear(code, f'none for {ALERT_HOLD_S:.0f} s', subject=topic)

    def report_producer(
        self, account: ProducerAccount, now: float, *, tells_throttled: bool = True
    ) -> None:
        """Report what is missing of one producer since the last report."""
        client, topic, publisher = account.client, account.topic, account.publisher
        if client is None:
            return
        refusals = client.ring.acknowledge_refusals()
        if refusals.records:
            account.dropped_overrun += refusals.records
            overrun = Overrun(
                topic=topic,
                publisher=publisher,
                records=refusals.records,
                bytes=refusals.bytes,
                first_drop_ns=self._date(refusals.first_ns),
                last_drop_ns=self._date(refusals.last_ns),
            )
            cause = _refusal_cause(refusals, client.ring.limits)
            self._tell(overrun, f'records of {topic} were refused: {cause}', now)
        if tells_throttled:
            self._tell_throttled(account, client)
        account.loss_detection = joint_detection(account.channel.loss_detection, '')
        losses = client.acknowledge_losses()
        if losses.before_match:
            self._tell_late(account, losses, now)
        if losses.records:
            account.lost_transport += losses.records
            loss = TransportLoss(
                topic=topic,
                publisher=publisher,
                records=losses.records,
                first_sequence=losses.first_sequence,
                last_sequence=losses.last_sequence,
                first_seen_ns=self._date(losses.first_ns),
                last_seen_ns=self._date(losses.last_ns),
            )
            self._tell(loss, f'messages of {topic} did not arrive', now)

    def _tell_throttled(self, account: ProducerAccount, client: FdrClient) -> None:
        """Report what was left out: that was asked for, so there is no alert."""
        left_out, throttle = client.acknowledge_throttled(), client.throttle
        if left_out.records:
            account.throttled += left_out.records
            self._emit(
                Throttled(
                    topic=account.topic,
                    publisher=account.publisher,
                    records=left_out.records,
                    max_rate_hz=throttle.rate_hz if throttle is not None else 0.0,
                    first_ns=self._date(left_out.first_ns),
                    last_ns=self._date(left_out.last_ns),
                )
            )

    def _tell_late(self, account: ProducerAccount, losses: TransportLosses, now: float) -> None:
        """Report what a publisher had sent before it was heard."""
        records, noticed_ns = losses.before_match, self._date(losses.before_match_ns)
        account.before_match += records
        late = TransportLoss(
            topic=account.topic,
            publisher=account.publisher,
            records=records,
            first_sequence=1,
            last_sequence=losses.last_before_match,
            first_seen_ns=noticed_ns,
            last_seen_ns=noticed_ns,
            before_match=True,
        )
        messages = f'{plural(records, "message")} of {account.topic}'
        self._tell(late, f'{messages} had been sent before their publisher was heard', now)

    def _tell(self, record: Overrun | TransportLoss, message: str, now: float) -> None:
        self._last_loss_at[record.KIND, record.topic] = now
        self._emit(record)
        values = {
            'topic': record.topic, 'publisher': record.publisher, 'records': record.records
        }
        self._alerts.raise_alert(record.KIND, message, subject=record.topic, values=values)


def _refusal_cause(refusals: Refusals, limits: Mapping[str, int]) -> str:
    """Say why a ring refused records, and which option to raise."""
    needed = refusals.largest + RECORD_OVERHEAD_BYTES
    too_low = [
        f'{option} ({format_size(limit)})'
        for option, limit in limits.items()
        if option != MAX_RECORDS and needed > limit
    ]
    if too_low:
        options = ' and '.join(too_low)
        size = f'{refusals.largest:,} bytes ({format_size(refusals.largest)})'
        return f'a message of {size} can never fit; raise {options} above {needed:,} bytes'
    limit = limits[refusals.limit]
    amount = f'{limit:,}' if refusals.limit == MAX_RECORDS else format_size(limit)
    whose = 'the memory of all rings' if refusals.limit == TOTAL_BYTES else 'its ring'
    return f'{whose} is full ({refusals.limit}: {amount})'
