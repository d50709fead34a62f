"""A flight that is being recorded: segments, rotation, counters, and a disk that fails.

`FlightRecording` knows no threads: the writer's thread is the only one that calls it. (`emit` is
the exception: any thread may.)

A disk that refuses data makes the recording *degraded*: it has no open segment, discards what
comes from the rings and counts it, and once a second tries to open a new segment. The recorder's
own records wait meanwhile.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.capture.client import FdrClient, Losses
from fdr_recorder.capture.ring import Drops, QueuedRecord
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.errors import FlightStorageError
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import (
    RECORD_SCHEMA_VERSION,
    AlertRecord,
    FlightFooter,
    FlightHeader,
    Overrun,
    Payload,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.record.schema import encode, own_schema, type_description_hash
from fdr_recorder.storage.counters import FlightCounters, ProducerAccount, total
from fdr_recorder.storage.flight import FlightDirectory, segment_name
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.segment import ClosedSegment, Segment
from fdr_recorder.version import __version__

logger = logging.getLogger(__name__)

RotationHook = Callable[[ClosedSegment], None]

RETRY_INTERVAL_S: Final = 1.0
FLUSH_SHARE: Final = 0.75
"""A chunk is written at this share of `flush_interval_s`; the rest is for waiting in the ring."""
LOSS_REPORT_INTERVAL_S: Final = 1.0
LOSS_ALERT_HOLD_S: Final = 5.0
"""A loss alert is cleared after so long without a loss."""

_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FLIGHT_ALERTS: Final = (
    'overrun',
    'transport_loss',
    'segments_dropped',
    'cap_misconfigured',
    'disk_low',
)
_DISK_ALERTS: Final = ('disk_full', 'write_error')
"""Faults that can only be present while a flight is open; the latter end after its last record."""


@dataclass
class DegradedSpell:
    """A time in which the disk refuses data.

    Attributes:
        error_number: What the operating system said first.
        first_ns: When that was (system clock).
        last_ns: When it last said so.
        records: Records discarded since.
        bytes: Their data.
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
    """How a flight was closed.

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
    """An open flight."""

    def __init__(
        self,
        root: FlightRoot,
        header: FlightHeader,
        config: FdrWriterConfig,
        alerts: AlertBoard,
        clients: Iterable[FdrClient] = (),
        on_rotation: RotationHook | None = None,
    ) -> None:
        """Create the flight's directory and its first segment, the header its first record.

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
        self.accounts: list[ProducerAccount] = []
        self._root = root
        self._config = config
        self._alerts = alerts
        self._on_rotation = on_rotation
        self._account_of: dict[Channel, ProducerAccount] = {}
        self._own: dict[type[Payload], ProducerAccount] = {}
        self._outbox: deque[tuple[int, Payload]] = deque()
        self._latest: dict[ProducerAccount, QueuedRecord] = {}
        self._segment: Segment | None = None
        self._segment_has_data = False
        self._next_index = 0
        self._unsealed_bytes = 0
        self._rollover_count = 0
        self._segments_dropped = 0
        self._bytes_dropped = 0
        self._losses_reported_at = 0.0
        self._overrun_at = 0.0
        self._transport_loss_at = 0.0
        self._synced_at = time.monotonic()
        self._is_dirty = False
        self._is_metadata_stale = False

        self._directory = FlightDirectory.create(
            root.path, header.flight_id, ros_distro=header.ros_distro
        )
        for client in clients:
            self.add_producer(client)
        try:
            if root.free_bytes() < config.min_free_bytes:
                raise OSError(errno.ENOSPC, 'less than writer.min_free_bytes is free')
            self._open_segment()
            self._sync()
            self._commit()
        except OSError as error:
            self._undo()
            raise FlightStorageError(self._directory.path, error) from error
        root.allocate_reserve(config.reserve_bytes)
        alerts.listen(self._record_alert)
        for alert in alerts.present():
            self._record_alert(alert)

    def _undo(self) -> None:
        """Leave nothing of a flight that could not begin."""
        if self._segment is not None:
            self._segment.close()
            with suppress(OSError):
                self._segment.path.unlink()
        self._directory.remove_if_empty()

    # --- what it is ----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The flight's directory."""
        return self._directory.path

    @property
    def segment_index(self) -> int:
        """Number of the newest segment."""
        return self._next_index - 1

    @property
    def closed_segments(self) -> int:
        """Closed segments that are there."""
        return self._directory.closed_segments

    @property
    def total_bytes(self) -> int:
        """Size of all segments that are there, the open one included."""
        open_bytes = self._segment.size if self._segment is not None else 0
        return self._directory.closed_bytes + self._unsealed_bytes + open_bytes

    def counters(self) -> FlightCounters:
        """Return the counters as they are now."""
        return total(
            self.accounts,
            bytes_written=self.total_bytes + self._bytes_dropped,
            rollover_count=self._rollover_count,
            segments_dropped=self._segments_dropped,
            bytes_dropped=self._bytes_dropped,
        )

    # --- records in ----------------------------------------------------------------------

    def add_producer(self, client: FdrClient) -> ProducerAccount:
        """Begin to account for a client's records."""
        account = ProducerAccount(client.channel, client)
        self._add_account(account)
        if client.latest is not None:
            publish_time_ns, data = client.latest
            self._latest[account] = (0, publish_time_ns, 0, data, 0)
        return account

    def finish_producer(self, account: ProducerAccount) -> None:
        """Close the account of a producer that is gone; its ring must be empty."""
        if account.client is not None:
            self._report_losses_of(account, account.client, time.monotonic())
        account.finish()

    def _add_account(self, account: ProducerAccount) -> None:
        self.accounts.append(account)
        self._account_of[account.channel] = account

    def write(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Take records that came out of a producer's ring. Never raises for a failing disk."""
        if self._config.debug_log_per_record:
            for log_time_ns, _, sequence, data, _ in batch:
                logger.debug(
                    'record %s sequence=%d log_time_ns=%d bytes=%d',
                    account.channel.topic,
                    sequence,
                    log_time_ns,
                    len(data),
                )
        if account.channel.latched:
            self._latest[account] = batch[-1]
        position = 0
        while position < len(batch):
            segment = self._segment
            if segment is None:
                self._discard(account, batch[position:])
                return
            after = segment.append(
                account.channel, batch, position, force=not self._segment_has_data
            )
            try:
                if segment.is_chunk_full:
                    self._flush(segment)
                elif after == position:
                    self._rotate()
            except OSError as error:
                self._degrade(error)
            if after > position:
                self._segment_has_data = self._segment is segment
            position = after

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

    def _write_outbox(self) -> None:
        while self._outbox and self._segment is not None:
            time_ns, payload = self._outbox.popleft()
            account = self._own_account(type(payload))
            self.write(account, [_own_record(account, time_ns, encode(payload))])

    def _own_account(self, payload_type: type[Payload]) -> ProducerAccount:
        account = self._own.get(payload_type)
        if account is None:
            schema = own_schema(payload_type)
            metadata = {
                'offered_qos_profiles': '',
                'topic_type_hash': type_description_hash(schema),
            }
            account = ProducerAccount(Channel(payload_type.topic(), schema, metadata=metadata))
            self._own[payload_type] = account
            self._add_account(account)
        return account

    def _discard(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Count records that the disk has no place for."""
        account.dropped_write_error += len(batch)
        if self.spell is not None:
            self.spell.records += len(batch)
            self.spell.bytes += sum(len(record[3]) for record in batch)

    # --- what time brings ----------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: flush, sync, rotate by age, report losses, try a failed disk again.

        Args:
            now: Monotonic seconds.

        """
        self._report_losses(now, hurry=False)
        try:
            if self.spell is not None and now >= self.spell.next_try:
                self._resume()
            self._write_outbox()
            segment = self._segment
            if segment is not None:
                if segment.pending_for(now) >= self._config.flush_interval_s * FLUSH_SHARE:
                    self._flush(segment)
                if now - self._synced_at >= self._config.sync_interval_s:
                    self._sync()
                    self._watch_space()
                duration = self._config.segment_duration_s
                if duration and now - segment.opened_at >= duration:
                    self._rotate()
        except OSError as error:
            self._degrade(error)

    def _flush(self, segment: Segment) -> None:
        segment.flush()
        self._is_dirty = True

    def _sync(self) -> None:
        self._synced_at = time.monotonic()
        if self._is_dirty and self._segment is not None:
            self._segment.sync()
            self._is_dirty = False
        if self._is_metadata_stale:
            self._commit()

    def _report_losses(self, now: float, *, hurry: bool) -> None:
        """Count and record what rings refused and what never arrived, once a second at most."""
        if not hurry and now - self._losses_reported_at < LOSS_REPORT_INTERVAL_S:
            return
        self._losses_reported_at = now
        for account in self.accounts:
            if account.client is not None:
                self._report_losses_of(account, account.client, now)
        if now - self._overrun_at >= LOSS_ALERT_HOLD_S:
            self._alerts.clear('overrun', 'no record refused for 5 s')
        if now - self._transport_loss_at >= LOSS_ALERT_HOLD_S:
            self._alerts.clear('transport_loss', 'no message lost for 5 s')

    def _report_losses_of(
        self, account: ProducerAccount, client: FdrClient, now: float
    ) -> None:
        drops = client.ring.acknowledge_drops()
        if drops.records:
            self._report_overrun(account, drops, now)
        losses = client.acknowledge_losses()
        if losses.records:
            self._report_transport_loss(account, losses, now)

    def _report_overrun(self, account: ProducerAccount, drops: Drops, now: float) -> None:
        account.dropped_overrun += drops.records
        self._overrun_at = now
        topic, publisher = account.channel.topic, account.channel.publisher
        self.emit(
            Overrun(
                topic=topic,
                publisher=publisher,
                records=drops.records,
                bytes=drops.bytes,
                first_drop_ns=drops.first_ns,
                last_drop_ns=drops.last_ns,
            )
        )
        self._alerts.raise_alert(
            'overrun',
            f'records of {topic} were dropped: its ring is full',
            values={'topic': topic, 'publisher': publisher, 'records': drops.records},
        )

    def _report_transport_loss(
        self, account: ProducerAccount, losses: Losses, now: float
    ) -> None:
        account.lost_transport += losses.records
        self._transport_loss_at = now
        topic, publisher = account.channel.topic, account.channel.publisher
        self.emit(
            TransportLoss(
                topic=topic,
                publisher=publisher,
                records=losses.records,
                first_sequence=losses.first_sequence,
                last_sequence=losses.last_sequence,
                first_seen_ns=losses.first_ns,
                last_seen_ns=losses.last_ns,
            )
        )
        self._alerts.raise_alert(
            'transport_loss',
            f'messages of {topic} did not arrive',
            values={'topic': topic, 'publisher': publisher, 'records': losses.records},
        )

    # --- segments ------------------------------------------------------------------------

    def _open_segment(self) -> None:
        """Create the next segment; its header and the latched messages are in the file then."""
        config = self._config
        index = self._next_index
        segment = Segment(
            self._directory.path / segment_name(index),
            index=index,
            max_bytes=config.segment_size_bytes,
            chunk_size_bytes=config.chunk_size_bytes,
            compression=config.compression,
            metadata={
                'flight_id': self.header.flight_id,
                'segment_index': str(index),
                'record_schema_version': RECORD_SCHEMA_VERSION,
                'software_version': __version__,
            },
            on_written=self._count_written,
        )
        header_account = self._own_account(FlightHeader)
        repeated: list[ProducerAccount] = []
        try:
            now_ns = time.time_ns()
            header = _own_record(header_account, now_ns, encode(self.header))
            segment.append(header_account.channel, [header], force=True)
            room = config.segment_size_bytes // 2
            for account, (_, publish_time_ns, sequence, data, _) in self._latest.items():
                room -= len(data)
                if room >= 0 and segment.append(
                    account.channel, [(now_ns, publish_time_ns, sequence, data, 0)], force=True
                ):
                    repeated.append(account)
            segment.flush()
        except OSError:
            header_account.take_back_own()
            segment.close()
            with suppress(OSError):
                segment.path.unlink()
            raise
        for account in repeated:
            account.repeated += 1
        self._segment = segment
        self._segment_has_data = False
        self._next_index += 1
        self._is_dirty = True

    def _count_written(self, channel: Channel, records: int) -> None:
        self._account_of[channel].written += records

    def _rotate(self) -> None:
        """Close the open segment because it is full, and open the next."""
        closed = self._close_segment()
        self._rollover_count += 1
        try:
            self._open_segment()
        finally:
            self._after_rotation(closed)

    def _close_segment(self) -> ClosedSegment:
        assert self._segment is not None
        closed = self._segment.seal()
        self._segment = None
        self._is_dirty = False
        self._directory.add(closed)
        return closed

    def _after_rotation(self, closed: ClosedSegment) -> None:
        """Let the policies act, then renew the metadata once for all they did."""
        if self._on_rotation is not None:
            try:
                self._on_rotation(closed)
            except Exception:
                logger.exception('the rotation hook failed; recording goes on')
        self._commit()

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """Drop the oldest closed segment and record it. For policies, inside their hook.

        There is no dropping without the record.

        Args:
            cap_bytes: The limit that asked for it, for the record.

        """
        before = self.total_bytes
        segment = self._directory.drop_oldest()
        self._segments_dropped += 1
        self._bytes_dropped += segment.bytes
        rollover = SegmentRollover(
            flight_id=self.header.flight_id,
            segment_index=segment.index,
            file_name=segment.file_name,
            bytes=segment.bytes,
            records=segment.records,
            first_log_time_ns=segment.first_log_time_ns,
            last_log_time_ns=segment.last_log_time_ns,
            total_bytes_before=before,
            total_bytes_after=before - segment.bytes,
            cap_bytes=cap_bytes,
        )
        self.emit(rollover)
        return rollover

    def _commit(self, *, clean_shutdown: bool = False) -> None:
        """Renew `metadata.yaml`; on a full disk with the space of the reserve, or later."""
        custom_data = {
            'flight_id': self.header.flight_id,
            'vehicle_id': self.header.vehicle_id,
            'software_version': __version__,
            'record_schema_version': RECORD_SCHEMA_VERSION,
            **{name: str(value) for name, value in self.counters().as_dict().items()},
            'clean_shutdown': 'true' if clean_shutdown else 'false',
        }
        try:
            try:
                self._directory.commit(custom_data)
            except OSError:
                self._root.give_up_reserve()
                self._directory.commit(custom_data)
            self._is_metadata_stale = False
        except OSError as error:
            self._is_metadata_stale = True
            logger.warning('%s: metadata.yaml not renewed: %s', self.path, error.strerror)

    # --- when the disk fails -------------------------------------------------------------

    def _degrade(self, error: OSError) -> None:
        """Go on without an open segment: count, seal what is there, tell, and try again later."""
        now_ns = time.time_ns()
        number = error.errno or errno.EIO
        spell = self.spell
        if spell is None:
            spell = self.spell = DegradedSpell(number, now_ns, now_ns)
            code = 'disk_full' if number in _FULL_ERRNOS else 'write_error'
            message = f'recording is suspended: {os.strerror(number)} in {self.path}'
            logger.error('%s', message)
            self._alerts.raise_alert(
                code, message, values={'errno': errno.errorcode.get(number, number)}
            )
        spell.last_ns = now_ns
        spell.next_try = time.monotonic() + RETRY_INTERVAL_S
        segment, self._segment = self._segment, None
        if segment is None:
            return
        for channel, records in segment.discard().items():
            self._account_of[channel].dropped_write_error += records
            spell.records += records
        self._root.give_up_reserve()
        try:
            self._directory.add(segment.seal())
        except OSError:
            segment.close()
            self._unsealed_bytes += segment.size
        self._commit()

    def _resume(self) -> None:
        """Try to record again after the disk refused; raises `OSError` if it still does."""
        spell = self.spell
        assert spell is not None
        config = self._config
        needed = config.min_free_bytes + config.reserve_bytes + 2 * config.chunk_size_bytes
        if self._root.free_bytes() < needed:  # else the next chunk would fill the disk again
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._open_segment()
        self._root.allocate_reserve(self._config.reserve_bytes)
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
        self._alerts.clear('disk_full', message)
        self._alerts.clear('write_error', message)

    def _watch_space(self) -> None:
        """Act before the disk is full: `min_free_bytes` and `on_low_space`."""
        limit = self._config.min_free_bytes
        if not limit:
            return
        free = self._root.free_bytes()
        if free < 2 * limit:
            self._alerts.raise_alert(
                'disk_low', f'{free >> 20} MiB left in {self._root.path}', values={'free': free}
            )
        else:
            self._alerts.clear('disk_low', f'{free >> 20} MiB left')
        if free >= limit:
            return
        if self._config.on_low_space == 'drop_oldest' and self.closed_segments > 1:
            while free < limit and self.closed_segments > 1:
                free += self.drop_oldest_segment(limit).bytes
            self._commit()
        else:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # --- the end -------------------------------------------------------------------------

    def close(self) -> FlightSummary:
        """Write what is left and the footer, seal the last segment.

        The rings must be drained. On a disk that still refuses, what is on it stays as it is.
        """
        self._report_losses(time.monotonic(), hurry=True)
        self._clear_alerts(_FLIGHT_ALERTS)
        self._alerts.unlisten(self._record_alert)
        footer, is_complete = self._unwritten_footer(), False
        for _ in range(2):  # the second time with the space of the reserve
            try:
                if self.spell is not None:
                    self._resume()
                self._write_outbox()
                if self.spell is None:
                    footer, is_complete = self._write_footer(), True
                    break
            except OSError as error:
                self._degrade(error)
        while self._outbox:
            account = self._own_account(type(self._outbox.popleft()[1]))
            account.count_own()
            account.dropped_write_error += 1
        if not is_complete:
            footer = self._unwritten_footer()
            logger.error('%s: closed without a footer: the disk refuses it', self.path)
        self._commit(clean_shutdown=is_complete)
        self._clear_alerts(_DISK_ALERTS)
        return FlightSummary(self.header.flight_id, self.path, footer, is_complete)

    def abandon(self) -> None:
        """Stop without closing the flight: no footer, but every segment complete."""
        self._report_losses(time.monotonic(), hurry=True)
        self._clear_alerts(_FLIGHT_ALERTS)
        self._alerts.unlisten(self._record_alert)
        try:
            self._write_outbox()
            if self._segment is not None:
                self._close_segment()
        except OSError as error:
            self._degrade(error)
        self._commit()
        self._clear_alerts(_DISK_ALERTS)

    def _clear_alerts(self, codes: Iterable[str]) -> None:
        for code in codes:
            self._alerts.clear(code, 'the flight is closed')

    def _write_footer(self) -> FlightFooter:
        """Write the footer, which counts itself and the bytes that follow it."""
        assert self._segment is not None
        self._flush(self._segment)
        account = self._own_account(FlightFooter)
        size = len(encode(self._footer(clean_shutdown=True, sealed_size=0)))
        limit = self._config.segment_size_bytes
        sealed_size = self._segment.sealed_size(more_channel=account.channel, more_bytes=size)
        if sealed_size > limit and self._segment_has_data:
            self._rotate()
            self._write_outbox()
            self._flush(self._segment)
            sealed_size = self._segment.sealed_size(more_channel=account.channel, more_bytes=size)

        sequence = account.count_own()
        account.written += 1
        footer = self._footer(clean_shutdown=True, sealed_size=sealed_size)
        account.written -= 1
        now_ns = time.time_ns()
        self._segment.append(
            account.channel, [(now_ns, now_ns, sequence, encode(footer), 0)], force=True
        )
        self._segment.flush(compress=False)  # its size must not depend on its values
        self._close_segment()
        return footer

    def _unwritten_footer(self) -> FlightFooter:
        return self._footer(clean_shutdown=False, sealed_size=0)

    def _footer(self, *, clean_shutdown: bool, sealed_size: int) -> FlightFooter:
        counters = dict(self.counters().as_dict())
        if sealed_size and self._segment is not None:
            counters['bytes_written'] += sealed_size - self._segment.size
        return FlightFooter(
            flight_id=self.header.flight_id,
            flight_ended_at_iso=_utc_now_iso(),
            flight_ended_at_monotonic_ns=time.monotonic_ns(),
            clean_shutdown=clean_shutdown,
            producers=tuple(account.snapshot() for account in self.accounts),
            **counters,
        )


def _own_record(account: ProducerAccount, time_ns: int, data: bytes) -> QueuedRecord:
    return (time_ns, time_ns, account.count_own(), data, 0)


def _utc_now_iso() -> str:
    return datetime.now(timezone.utc).isoformat(timespec='microseconds').replace('+00:00', 'Z')
