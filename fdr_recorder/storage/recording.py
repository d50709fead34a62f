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
A flight that is being recorded: records in, time passing, a disk that fails, the end.

`FlightRecording` knows no threads: the writer's thread is the only one that calls it. (`emit` is
the exception: any thread may.)

A disk that refuses data makes the recording *degraded*: it has no open segment, discards what
comes from the rings and counts it, and once a second tries to open a new segment. The recorder's
own records wait meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
import errno
import logging
import os
from pathlib import Path
import time
from typing import Any, Final

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.errors import FlightStorageError, RecordError
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import (
    AlertRecord,
    FlightFooter,
    FlightHeader,
    Payload,
    SegmentRollover,
    WriteError,
)
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import FlightCounters, Ledger, ProducerAccount
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.losses import LossReports
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import iso_time

logger = logging.getLogger(__name__)

RotationHook = Callable[[ClosedSegment], None]

RETRY_INTERVAL_S: Final = 1.0
FLUSH_SHARE: Final = 0.5
"""A chunk is written before it is this share of `flush_interval_s` old. The rest is for waiting
before: in the middleware while the intake rests, and in the ring while the writer does."""

_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_EARLY_ALERTS: Final = ('overrun', 'transport_loss', 'disk_low')
"""Faults that end when the flight is being closed; the flight still records that."""
_LATE_ALERTS: Final = ('segments_dropped', 'cap_misconfigured', 'disk_full', 'write_error')
"""Faults that closing the flight itself may bring about; they end with it."""
_DISK_ALERTS: Final = ('disk_full', 'write_error')


@dataclass
class DegradedSpell:
    """
    A time in which the disk refuses data.

    Attributes:
        error_number: What the operating system said first.
        first_ns: When that was (system clock).
        last_ns: When it last said so.
        records: Records discarded since.
        bytes: Their data, as far as they had not been in a chunk.
        next_try: When to try again (monotonic seconds).

    """

    error_number: int
    first_ns: int
    last_ns: int
    records: int = 0
    bytes: int = 0
    next_try: float = field(default_factory=lambda: time.monotonic() + RETRY_INTERVAL_S)


@dataclass(frozen=True)
class FlightSummary:
    """
    How a flight was closed.

    Attributes:
        flight_id: Which.
        path: Its directory.
        footer: The footer as it was written, or as it would have been.
        is_complete: Whether the footer is on disk; False if the disk refused it.

    """

    flight_id: str
    path: Path
    footer: FlightFooter
    is_complete: bool


class FlightRecording:
    """
    An open flight.

    Attributes:
        header: Which flight it is.
        spell: Since when and why the disk refuses data; None while it does not.

    """

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        alerts: AlertBoard,
        clients: Iterable[FdrClient] = (),
        on_rotation: RotationHook | None = None,
    ) -> None:
        """
        Create the flight's directory and its first segment, the header its first record.

        Args:
            root: An owned flight root.
            header: Which flight this is.
            config: Sizes, intervals and limits.
            alerts: Where faults are raised.
            clients: The producers that are there from the beginning.
            on_rotation: Called with every segment that was closed because it was full.

        Raises:
            FlightIdInvalidError: The id cannot be a name.
            FlightExistsError: There is a flight of that id.
            FlightStorageError: The file system refuses, or is full already.

        """
        self.header = header
        self.spell: DegradedSpell | None = None
        self._root = root
        self._config = config
        self._alerts = alerts
        self._outbox: deque[tuple[int, Payload]] = deque()
        self._is_writing_outbox = False
        self._unwritten_rollovers: deque[tuple[int, Payload]] = deque()
        """In the open chunk, as far as is known. They come back to the outbox if that is lost:
        segments are dropped for good only when the recording says so."""
        self._on_rotation = on_rotation
        self._ledger = Ledger()
        self._losses = LossReports(self._ledger, alerts, self.emit)
        self._log = SegmentLog(root, header, config, self._ledger)
        for client in clients:
            self.add_producer(client)
        try:
            if root.free_bytes() < config.min_free_bytes:
                raise OSError(errno.ENOSPC, 'less than writer.min_free_bytes is free')
            self._log.open_next()
            self._log.settle()
        except BaseException as error:
            self._log.undo()
            if isinstance(error, OSError):
                raise FlightStorageError(self.path, error) from error
            raise
        root.allocate_reserve(config.reserve_bytes)
        alerts.listen(self._record_alert)
        for alert in alerts.present():
            self._record_alert(alert)

    # --- what it is ----------------------------------------------------------------------

    @property
    def accounts(self) -> Sequence[ProducerAccount]:
        """Return the accounts of all producers."""
        return self._ledger.accounts

    @property
    def path(self) -> Path:
        """Return the flight's directory."""
        return self._log.directory.path

    @property
    def segment_index(self) -> int:
        """Return the number of the newest segment."""
        return self._log.newest_index

    @property
    def closed_segments(self) -> int:
        """Count the closed segments that are there."""
        return self._log.directory.closed_segments

    @property
    def total_bytes(self) -> int:
        """Size of all segments that are there, the open one included."""
        return self._log.total_bytes

    def apply(self, config: FdrWriterConfig) -> None:
        """Go by other limits from now on; any thread. What it has begun with stays as it is."""
        self._config = config

    def counters(self) -> FlightCounters:
        """Return the counters as they are now."""
        return self._ledger.totals(self.total_bytes)

    # --- records in ----------------------------------------------------------------------

    def add_producer(self, client: FdrClient) -> ProducerAccount:
        """Begin to account for a client's records."""
        account = self._ledger.open_account(client)
        if client.latest is not None:
            publish_time_ns, sequence, data = client.latest
            self._log.latch(account, (0, publish_time_ns, sequence, data, 0))
        return account

    def finish_producer(self, account: ProducerAccount) -> None:
        """Close the account of a producer that is gone; its ring must be empty."""
        self._losses.report_producer(account, time.monotonic())
        account.finish()

    def write(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> bool:
        """
        Take records that came out of a producer's ring. Never raises for a failing disk.

        Returns:
            True if segments have been ended meanwhile: it may be time to `keep_pace`.

        """
        if self._config.debug_log_per_record:
            _log_records(account, batch)
        channel, log = account.channel, self._log
        if channel.latched:
            log.latch(account, batch[-1])
        log.announce(batch)
        position, count = 0, len(batch)
        has_rotated = False
        while position < count:
            segment = log.segment
            if segment is None:
                self._discard(account, batch[position:])
                break
            after = segment.append(channel, batch, position)
            try:
                if segment.is_chunk_full:
                    log.flush()
                elif after == position:  # the segment has no room for it
                    has_rotated = True
                    self._rotate()
            except OSError as error:
                self._degrade(error)
            position = after
        return has_rotated

    def keep_pace(self) -> None:
        """Wait for a disk that is segments behind; before records are taken, not after."""
        if self._log.is_behind:
            try:
                self._log.flush()
                self._log.catch_up()
            except OSError as error:
                self._degrade(error)
            self._call_hook()

    def split(self) -> None:
        """Begin the next segment now, if the open one holds data. Never raises."""
        try:
            if self._log.has_data:
                self._rotate()
        except OSError as error:
            self._degrade(error)

    def _rotate(self) -> None:
        """Begin the next segment, and let the policies act on former ones."""
        self._log.rotate()
        self._log.take_outcome()
        self._call_hook()

    def _call_hook(self) -> None:
        """Let the policies act on segments that have come to be closed."""
        while self._log.rotated:
            closed = self._log.rotated.popleft()
            if self._on_rotation is not None:
                try:
                    self._on_rotation(closed)
                except Exception:
                    logger.exception('the rotation hook failed; recording goes on')

    def _discard(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Count records that the disk has no place for."""
        account.dropped_write_error += len(batch)
        if self.spell is not None:
            self.spell.records += len(batch)
            self.spell.bytes += sum(len(record[3]) for record in batch)

    # --- the recorder's own records ------------------------------------------------------

    def emit(self, payload: Payload) -> None:
        """Have one of the recorder's own records written with the next `tick`; any thread."""
        self._outbox.append((time.time_ns(), payload))

    def _record_alert(self, alert: Alert) -> None:
        self.emit(
            AlertRecord(
                code=alert.code,
                level=alert.level,
                raised=alert.raised,
                subject=alert.subject,
                message=alert.message,
                values=alert.values,
            )
        )

    def _write_outbox(self) -> bool:
        """
        Write what waits now; not what writing it may add, by rotating and dropping.

        Returns:
            True if nothing waits any more.

        """
        if self._is_writing_outbox:
            return False
        self._is_writing_outbox = True
        try:
            for _ in range(len(self._outbox)):
                if self._log.segment is None:
                    break
                time_ns, payload = self._outbox.popleft()
                try:
                    data = encode(payload)
                except RecordError:
                    logger.exception("one of the recorder's own records is left out")
                    continue
                account = self._ledger.own_account(type(payload))
                if isinstance(payload, SegmentRollover):
                    self._forget_written_rollovers()
                    self._unwritten_rollovers.append((time_ns, payload))
                self.write(account, [(time_ns, time_ns, account.count_own(), data, 0)])
        finally:
            self._is_writing_outbox = False
        return not self._outbox

    def _forget_written_rollovers(self) -> None:
        account = self._ledger.own_account(SegmentRollover)
        unwritten = account.offered - account.written - account.dropped_write_error
        while len(self._unwritten_rollovers) > unwritten:
            self._unwritten_rollovers.popleft()

    def _empty_outbox(self) -> None:
        """Write all that waits, and what writing it adds, unless the disk refuses."""
        while self._outbox and self._log.segment is not None:
            self._write_outbox()

    # --- what time brings ----------------------------------------------------------------

    def tick(self, now: float, rest_s: float) -> None:
        """
        Do what is due: flush, sync, rotate by age, report losses, try a failed disk again.

        Args:
            now: Monotonic seconds.
            rest_s: When the next call comes, if not before.

        """
        if self.spell is None:  # else they add up until the disk takes records again
            self._losses.report(now)
        try:
            self._log.take_outcome()
            self._call_hook()
            if self.spell is not None:
                self._try_again(self.spell, now)
            self._write_outbox()
            segment = self._log.segment
            if segment is None:
                return
            if segment.pending_for(now) + rest_s > self._config.flush_interval_s * FLUSH_SHARE:
                self._log.flush()
            if self._log.is_sync_due(now):
                self._restore_reserve()
                self._watch_space()
            duration = self._config.segment_duration_s
            if duration and self._log.has_data and now - segment.opened_at >= duration:
                self._rotate()
            self._log.submit(now, may_unlink=not self._outbox)
        except OSError as error:
            self._degrade(error)

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """
        Drop the oldest closed segment and record that; there is no dropping without.

        Args:
            cap_bytes: The limit that asked for it, for the record.

        """
        rollover = self._log.drop_oldest(cap_bytes)
        self.emit(rollover)
        return rollover

    @property
    def _enough_bytes(self) -> int:
        """Free space with which recording can go on, and not just to the next chunk."""
        config = self._config
        return config.min_free_bytes + config.reserve_bytes + 2 * config.chunk_size_bytes

    def _restore_reserve(self) -> None:
        """Have the reserve again that renewing `metadata.yaml` took, as soon as there is room."""
        config = self._config
        if self._root.has_reserve or not config.reserve_bytes:
            return
        if self._root.free_bytes() >= self._enough_bytes:
            self._root.allocate_reserve(config.reserve_bytes)

    def _watch_space(self) -> None:
        """Act before the disk is full: `min_free_bytes` and `on_low_space`."""
        limit = self._config.min_free_bytes
        free = self._root.free_bytes()
        text = f'{free >> 20} MiB left in {self._root.path}'
        if free >= 2 * limit:
            self._alerts.clear('disk_low', text)
            return
        self._alerts.raise_alert('disk_low', text, values={'free_bytes': free})
        if free >= limit:
            return
        self._free_space(limit - free)

    def _free_space(self, size: int) -> None:
        """
        Drop the oldest segments of this flight until so much is free, if that is wanted.

        Raises:
            OSError: It is not, or there is nothing to drop.

        """
        if self._config.on_low_space == 'degrade' or self.closed_segments <= 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        size -= self._log.directory.dropped_bytes  # dropped before, and their files not gone yet
        while size > 0 and self.closed_segments > 1:
            size -= self.drop_oldest_segment(self._config.min_free_bytes).bytes

    # --- when the disk fails -------------------------------------------------------------

    def _degrade(self, error: OSError) -> None:
        """Go on without an open segment: count, seal what is there, tell, and try again later."""
        now_ns = time.time_ns()
        number = error.errno or errno.EIO
        is_new = self.spell is None
        if self.spell is None:
            self.spell = DegradedSpell(number, now_ns, now_ns)
            code = 'disk_full' if number in _FULL_ERRNOS else 'write_error'
            message = f'recording is suspended: {os.strerror(number)} in {self.path}'
            logger.error('%s', message)
            self._alerts.raise_alert(
                code, message, values={'errno': errno.errorcode.get(number, number)}
            )
        self.spell.last_ns = now_ns
        self.spell.next_try = time.monotonic() + RETRY_INTERVAL_S
        self._forget_written_rollovers()
        self.spell.records += self._log.give_up()
        self._outbox.extendleft(reversed(self._unwritten_rollovers))
        self._unwritten_rollovers.clear()
        if is_new:  # later, when it is time to try again
            self._log.submit(time.monotonic(), may_unlink=False)

    def _try_again(self, spell: DegradedSpell, now: float) -> None:
        """Have what was given up forced to the disk; when that works, go on recording."""
        if now < spell.next_try or self._log.is_syncing:
            return
        self._log.end_given_up()
        if not self._log.submit(now, may_unlink=False):
            self._resume(spell)

    def _resume(self, spell: DegradedSpell, *, is_last: bool = False) -> None:
        """
        Try to record again after the disk refused; raises `OSError` if it still does.

        Args:
            spell: Since when it refuses.
            is_last: Whether only the footer is still to come, for which the reserve is meant.

        """
        config = self._config
        missing = self._enough_bytes - self._root.free_bytes()
        if missing > 0 and not is_last:  # else the next chunk would fill the disk again
            self._free_space(missing)
        self._log.end_given_up()
        self._log.open_next()
        self._log.settle()  # or it would be on trial, and its end another alert
        if not is_last:
            self._root.allocate_reserve(config.reserve_bytes)
        self.spell = None
        self.emit(
            WriteError(
                error_number=spell.error_number,
                error_name=errno.errorcode.get(spell.error_number, ''),
                first_error_ns=spell.first_ns,
                last_error_ns=spell.last_ns,
                records=spell.records,
                bytes=spell.bytes,
            )
        )
        message = f'recording goes on; {spell.records} records were discarded'
        logger.warning('%s: %s', self.path, message)
        self._clear_alerts(_DISK_ALERTS, message)

    # --- the end -------------------------------------------------------------------------

    def close(self) -> FlightSummary:
        """
        Write what is left and the footer, seal the last segment.

        The rings must be drained. On a disk that still refuses, what is on it stays as it is.
        """
        self._finish_reports()
        footer = None
        for _ in range(2):  # the second time with the space of the reserve
            try:
                if self.spell is not None:
                    self._resume(self.spell, is_last=True)
                self._settle()  # before a footer counts what is there
                if self.spell is None:
                    footer = self._write_footer()
                    break
            except OSError as error:
                self._degrade(error)
        if footer is None:
            for _, payload in self._outbox:
                account = self._ledger.own_account(type(payload))
                account.count_own()
                account.dropped_write_error += 1
            logger.error('%s: closed without a footer: the disk refuses it', self.path)
        else:
            self._log.shut_down()
        self._finish_log()
        self._clear_alerts((*_EARLY_ALERTS, *_LATE_ALERTS), 'the flight is closed')
        return FlightSummary(
            self.header.flight_id,
            self.path,
            footer or self._footer(self.counters(), clean_shutdown=False),
            is_complete=footer is not None,
        )

    def abandon(self) -> None:
        """Stop without closing the flight: no footer, but every segment complete."""
        self._finish_reports()
        try:
            self._settle()
            if self._log.segment is not None:
                self._log.end_segment()
        except OSError as error:
            self._degrade(error)
        self._finish_log()
        self._clear_alerts((*_EARLY_ALERTS, *_LATE_ALERTS), 'the writer has stopped')

    def abort(self) -> None:
        """Hold on to nothing after an error of the recorder itself; files stay as they are."""
        self._alerts.unlisten(self._record_alert)
        self._clear_alerts((*_EARLY_ALERTS, *_LATE_ALERTS), 'recording has ended')
        self._log.close()

    def _settle(self) -> None:
        """Write all that waits, and force it to the disk; drop what is then to be dropped."""
        while True:
            self._empty_outbox()
            self._log.settle(may_unlink=not self._outbox)
            self._call_hook()
            if not self._outbox or self._log.segment is None:
                return

    def _finish_log(self) -> None:
        for _ in range(2):  # the second time with the space of the reserve
            try:
                self._log.settle(may_unlink=not self._outbox)
                break
            except OSError as error:
                self._degrade(error)
        self._log.close()

    def _finish_reports(self) -> None:
        """Report the last losses, end the flight's alerts, and listen to no more."""
        self._losses.report(time.monotonic(), hurry=True)
        self._clear_alerts(_EARLY_ALERTS, 'the flight is being closed')
        self._alerts.unlisten(self._record_alert)

    def _clear_alerts(self, codes: Iterable[str], message: str) -> None:
        for code in codes:
            self._alerts.clear(code, message)

    def _write_footer(self) -> FlightFooter:
        """Write the footer, which counts itself and the bytes that follow it."""
        account = self._ledger.own_account(FlightFooter)
        channel = account.channel
        self._log.flush()
        segment = self._open_segment()
        draft = self._footer(self.counters(), clean_shutdown=True)
        size = len(encode(draft))  # its numbers have fixed width: it is also the final size
        finished_size = segment.finished_size(more_channel=channel, more_bytes=size)
        if finished_size > self._config.segment_size_bytes and self._log.has_data:
            self._rotate()
            self._settle()
            segment = self._open_segment()
            finished_size = segment.finished_size(more_channel=channel, more_bytes=size)

        sequence = account.count_own()
        account.written += 1  # in advance, for the footer counts itself
        counters = self.counters()
        footer = self._footer(
            counters,
            clean_shutdown=True,
            bytes_written=counters.bytes_written + finished_size - segment.size,
        )
        account.written -= 1
        now_ns = time.time_ns()
        segment.append(channel, [(now_ns, now_ns, sequence, encode(footer), 0)], force=True)
        segment.flush(compress=False)  # compressed, its size would depend on its values
        try:
            self._log.end_segment()
        except OSError as error:  # the footer is in the file: there must be no second one
            self._degrade(error)
        return footer

    def _open_segment(self) -> Segment:
        """Return the open segment, or raise `OSError` if the disk has just refused it."""
        if self._log.segment is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._log.segment

    def _footer(
        self, counters: FlightCounters, *, clean_shutdown: bool, **changed: int
    ) -> FlightFooter:
        values: dict[str, Any] = {**counters.as_dict(), **changed}
        return FlightFooter(
            flight_id=self.header.flight_id,
            flight_ended_at_iso=iso_time(time.time_ns()),
            flight_ended_at_monotonic_ns=time.monotonic_ns(),
            clean_shutdown=clean_shutdown,
            producers=tuple(account.snapshot() for account in self.accounts),
            **values,
        )


def _log_records(account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
    for log_time_ns, _, sequence, data, _ in batch:
        logger.debug(
            'record %s sequence=%d log_time_ns=%d bytes=%d',
            account.channel.topic,
            sequence,
            log_time_ns,
            len(data),
        )
