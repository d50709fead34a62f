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
A flight that is being recorded: it begins, takes records, rotates, and is closed.

`FlightRecording` knows no threads: only the writer's thread calls it. (`emit` is the exception:
any thread may.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
import logging
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import Reading, SteadyClock
from fdr_recorder.config import CLOCK_STEP_S, FdrWriterConfig
from fdr_recorder.errors import FlightStorageError
from fdr_recorder.record.flight_header import beginning
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, SegmentRollover
from fdr_recorder.storage.clock_discipline import read_discipline
from fdr_recorder.storage.clock_watch import ClockWatch
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.debug_log import log_records
from fdr_recorder.storage.degraded import DegradedState, MOST_FILL
from fdr_recorder.storage.flight_alerts import FlightAlerts
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.footer import (
    compose_footer,
    finished_size,
    FlightSummary,
    write_footer,
)
from fdr_recorder.storage.free_space import FreeSpace
from fdr_recorder.storage.invalid_records import InvalidRecords
from fdr_recorder.storage.losses import LossReports
from fdr_recorder.storage.outbox import Outbox
from fdr_recorder.storage.pinning import NO_PIN_RULES, Pinning, PinRules
from fdr_recorder.storage.root_keeper import RootKeeper
from fdr_recorder.storage.rotation import Rotation, RotationHook
from fdr_recorder.storage.segment_log import SegmentLog

logger = logging.getLogger(__name__)

FLUSH_SHARE: Final = 0.5
"""A chunk is written before it is this share of `flush_interval_s` old. Before that its records
may have waited: in the middleware while the intake rests, in the ring while the writer does."""

_CLOSING_TRIES: Final = 3
"""The second time with the space of the reserve, or for a footer that a failed sync has lost."""


class FlightRecording:
    """
    An open flight.

    Attributes:
        header: The flight's header.
        log: Its segments.
        accounts: The accounts of the present producers.
        losses: Reports losses before the disk.
        pinning: Sets its pins.
        keeper: Keeps the root below its cap.
        emit: Adds one of the recorder's own records, for the next `tick` to write; any thread.

    """

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        alerts: AlertBoard,
        clients: Iterable[FdrClient] = (),
        on_rotation: RotationHook | None = None,
        clock_step_s: float = CLOCK_STEP_S,
        pin_rules: PinRules = NO_PIN_RULES,
    ) -> None:
        """
        Create the flight's directory and its first segment, which begins with the header.

        Raises:
            FlightIdInvalidError: The id is not a valid name.
            FlightExistsError: A flight of that id exists.
            FlightStorageError: The file system refuses, or is full already.

        """
        clients = tuple(clients)
        now = Reading.now()
        waiting = [-ring.first_ns for ring in (client.ring for client in clients) if ring.first_ns]
        began, discipline = beginning(header, now), read_discipline()
        clock = SteadyClock.begin(began, min(waiting, default=now.monotonic_ns))
        header = replace(
            header,
            log_time_offset_ns=clock.offset_ns,
            host_suspended_ns=now.suspended_ns,
            clock_state=discipline.state,
            clock_source=discipline.source,
        )
        self.accounts: dict[FdrClient, ProducerAccount] = {}
        self._invalid = InvalidRecords(alerts, clock)
        self.log = SegmentLog(root, header, config, self._invalid, clock, alerts)
        self.header = self.log.header
        self._durability = self.log.durability
        self._outbox = Outbox(self.log, self.write, lambda: self.is_degraded)
        self.emit = self._invalid.emit = self._outbox.emit
        self.pinning = Pinning(self.log, pin_rules, self.emit)
        self._flight_alerts = FlightAlerts(alerts, self.emit, self.pinning.on_alert)
        self.log.ledger.began_ns = clock.at_monotonic(began.monotonic_ns)
        try:
            self.losses = LossReports(self.log.ledger, alerts, self.emit, clock)
            self.keeper = RootKeeper(self.log, alerts, self.emit)
            self._space = FreeSpace(self.log, alerts, self.drop_oldest_segment, self.keeper)
            self._degraded = DegradedState(
                self.log, self._outbox, self._space, alerts, self.write
            )
            self._rotation = Rotation(self.log, alerts, on_rotation)
            self._clock_watch = ClockWatch(began, clock_step_s, alerts, self.emit)
            for client in clients:
                self.account_of(client)
            self._space.check_beginning()
            self.log.begin_metadata()
            self.log.open_next()
            self._durability.settle(self.log.segment)
            self._clock_watch.start()
        except BaseException as error:
            self.log.undo()
            if isinstance(error, OSError):
                raise FlightStorageError(self.log.directory.path, error) from error
            raise
        root.allocate_reserve(config.reserve_bytes)
        self._flight_alerts.begin()
        self.keeper.watch(self.total_bytes)

    # --- what it is ----------------------------------------------------------------------

    @property
    def closed_segments(self) -> int:
        """Count the closed segments that were not dropped."""
        return self.log.directory.closed_segments

    @property
    def droppable_segments(self) -> int:
        """Count the closed segments behind those at the beginning that are pinned."""
        return self.log.directory.droppable_segments

    @property
    def total_bytes(self) -> int:
        """Size of all segments that were not dropped, the open one included."""
        return self.log.total_bytes

    @property
    def is_degraded(self) -> bool:
        """Whether the disk refuses data."""
        return self._degraded.spell is not None

    # --- records in ----------------------------------------------------------------------

    def account_of(self, client: FdrClient) -> ProducerAccount:
        """Return the account of a client; open it before the client's first records are taken."""
        account = self.accounts.get(client)
        if account is None:
            account = self.accounts[client] = self.log.ledger.open_account(client)
            self.log.latched.come_back(account)
            latest = client.latest
            if latest is not None:
                publish_time_ns, sequence, data = latest
                self.log.latched.keep(account, (0, publish_time_ns, sequence, data, 0))
        return account

    def finish_producer(self, client: FdrClient) -> None:
        """Close the account of a producer that is gone; its ring must be empty."""
        account = self.accounts.pop(client)
        self.losses.report_producer(account, time.monotonic())
        self.log.ledger.close_account(account)
        self.log.latched.leave(account)

    def write(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> bool:
        """
        Write records that came out of a producer's ring.

        Neither a failing disk nor a record that cannot be encoded raises an error.

        Returns:
            True if the disk was called: it may be time to `keep_pace`, or it has refused.

        """
        channel, log = account.channel, self.log
        if account.first_sequence is None:
            account.note_first(batch[0][2])
        account.hear(batch, log.clock)
        is_logged = log.config.debug_log_per_record
        if is_logged or account in self._invalid.suspects:
            batch = self._invalid.sift(account, batch)
            if not batch:
                return False
        if is_logged:
            log_records(account, batch, log.clock)
        if channel.latched:
            log.latched.keep(account, batch[-1])
        client = account.client
        if client is not None and client.ring.bytes:  # more waits: time counts, not its cost
            log.announce(batch)
        position, count = 0, len(batch)
        has_called = False
        while position < count:
            segment = log.segment
            if channel.latched:
                batch = log.latched.behind_repeats(batch)
            if segment is None or self.is_degraded:
                self._degraded.hold(account, batch[position:])
                return True
            try:
                after = segment.append(channel, batch, position)
            except BaseException as error:  # values of clients may raise anything
                batch = self._invalid.sift(account, batch[position:], error)
                position, count = 0, len(batch)
                if batch and channel.latched:
                    log.latched.keep(account, batch[-1])
                continue
            is_full = segment.is_chunk_full
            if is_full or after == position:
                has_called = True
                try:
                    if is_full:
                        log.flush()
                    else:  # the segment has no room for it
                        self._rotation.rotate()
                except OSError as error:
                    self._degraded.enter(error)
            position = after
        return has_called

    def relieve(self, clients: Iterable[FdrClient]) -> None:
        """Make room in rings that fill while the disk refuses data, the largest first."""
        for client in sorted(clients, key=lambda client: client.ring.bytes, reverse=True):
            if client.ring.offered == client.ring.acknowledged:
                continue
            account = self.account_of(client)
            surplus = client.ring.take_surplus(MOST_FILL)
            if surplus:
                account.hear(surplus, self.log.clock)
                if account.channel.latched:
                    self.log.latched.keep(account, surplus[-1])
                self._degraded.discard(account, surplus)

    def recover_now(self) -> None:
        """Try a disk that refuses data a last time, if it does; the flight ends."""
        self._degraded.recover_now()

    def keep_pace(self) -> None:
        """Wait for a disk that is segments behind; call it before taking records."""
        if self._durability.is_behind and not self.is_degraded:
            try:
                self.log.flush()
                self._durability.catch_up(self.log.segment)
            except OSError as error:
                self._degraded.enter(error)
            self._rotation.call_hook()

    def split(self) -> None:
        """Begin the next segment, if the open one holds data. A failing disk raises no error."""
        try:
            if self.log.has_data:
                self._rotation.rotate()
        except OSError as error:
            self._degraded.enter(error)

    # --- at every round ----------------------------------------------------------------

    def tick(self, now: float, rest_s: float) -> None:
        """
        Do what is due: flush, sync, rotate by age, report losses, try a failed disk again.

        Args:
            now: Monotonic seconds.
            rest_s: Seconds until the next call, at most.

        """
        if not self.is_degraded:  # else they add up until the disk takes records again
            self.losses.report(now)
            self._invalid.record(now)
        self._invalid.report(now)
        for account in self.log.ledger.fold():
            self._invalid.suspects.pop(account, None)
        self.pinning.apply()
        try:
            self._durability.take_outcome()
            self._rotation.call_hook()
            self._degraded.take_out_removed()
            self._degraded.try_again(now)
            if self.is_degraded:
                return
            self._outbox.write_waiting()
            segment = self.log.segment
            if segment is None or self.is_degraded:
                return
            if segment.pending_for(now) + rest_s > self.log.config.flush_interval_s * FLUSH_SHARE:
                self.log.flush()
            if self._durability.is_sync_due(now):
                self.keeper.watch(self.total_bytes)
                self._space.restore_reserve()
                self._space.watch()
            self._rotation.rotate_if_due(now)
            self._durability.submit(self.log.segment, now, may_unlink=not self._outbox)
        except OSError as error:
            self._degraded.enter(error)

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """Drop the oldest closed segment, and record the drop with the limit that requires it."""
        rollover = self.log.drop_oldest(cap_bytes)
        self.emit(rollover)
        return rollover

    # --- the end -------------------------------------------------------------------------

    def close(self) -> FlightSummary:
        """
        Write what is left and the footer, and close the last segment.

        The rings must be drained. If the disk still refuses data, the flight has no footer.
        """
        self.log.end()
        self._finish_reports()
        self.recover_now()
        footer: FlightFooter | None = None
        for tries_left in reversed(range(_CLOSING_TRIES)):
            try:
                if footer is None or not self.log.has_footer:
                    self._degraded.leave(is_last=True)
                    self.log.end_previous(leave_bad=True)
                    self._settle()  # before the footer counts all bytes
                    footer = None if self.is_degraded else self._write_footer()
                self.log.end_previous(leave_bad=True)
                self.log.shut_down(is_clean=footer is not None and not self.log.has_unended)
                self._durability.settle(self.log.segment)
                if footer is not None:
                    break
            except OSError as error:
                self.log.shut_down(is_clean=False)
                self._degraded.enter(error, is_quick=tries_left > 1)
                self.log.root.give_up_reserve()
                self._degraded.pause()
        else:
            footer = None
            self._degraded.finish()
            self._outbox.discard()
            self.log.take_back_footer()
        self._finish_log()
        is_complete = footer is not None and self.log.is_closed
        cause = '' if is_complete else self._degraded.cause
        if not is_complete:
            what = 'without a footer' if footer is None else 'incompletely, `fdr recover` helps'
            logger.error('%s: closed %s: %s', self.log.directory.path, what, cause)
        self._flight_alerts.end('the flight is closed')
        return FlightSummary(
            self.header.flight_id,
            self.log.directory.path,
            footer or compose_footer(self.log, clean_shutdown=False),
            is_complete,
            cause,
        )

    def abandon(self) -> None:
        """Stop without closing the flight: no footer, but every segment complete."""
        self._finish_reports()
        self.recover_now()
        try:
            self._settle()
            if self.log.segment is not None:
                self.log.end_segment()
        except OSError as error:
            self._degraded.enter(error)
        self._degraded.finish()
        self._finish_log()
        self._flight_alerts.end('the writer has stopped')

    def abort(self) -> None:
        """Close all files as they are, after an error of the recorder itself."""
        self._clock_watch.stop()
        self.keeper.stop()
        self._flight_alerts.end('recording has ended')
        self.log.close()

    def _settle(self) -> None:
        """Write all that waits and force it to the disk; repeat if policies then drop segments."""
        while True:
            self._outbox.write_all()
            self._durability.settle(self.log.segment, may_unlink=not self._outbox)
            self._rotation.call_hook()
            self._degraded.take_out_removed()
            self._invalid.record(time.monotonic(), hurry=True)  # what settling has found
            if not self._outbox or self.log.segment is None:
                return

    def _finish_log(self) -> None:
        for _ in range(2):  # the second time with the space of the reserve
            try:
                self.log.end_previous(leave_bad=True)
                self._durability.settle(self.log.segment, may_unlink=not self._outbox)
                break
            except OSError as error:
                self._degraded.enter(error)
        self.log.close()

    def _finish_reports(self) -> None:
        """Report the last losses and the last step of the clock, and record no more alerts."""
        self._clock_watch.stop()
        self.keeper.stop()
        self.pinning.apply()
        self.losses.report(time.monotonic(), hurry=True)
        self._invalid.record(time.monotonic(), hurry=True)
        self._flight_alerts.begin_to_end()

    def _write_footer(self) -> FlightFooter:
        """Write the footer as the last record, into a segment that has room for it."""
        size = finished_size(self.log)
        if size > self.log.config.segment_size_bytes and self.log.has_data:
            self._rotation.rotate()
            self._settle()  # which may list another account in the footer
        footer = write_footer(self.log)
        try:
            self.log.end_segment()
        except OSError as error:  # the footer is in the file: there must be no second one
            self._degraded.enter(error)
        return footer
