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
The degraded state: the disk refuses data.

The flight then has no open segment. It discards and counts what comes from the rings, and once a
second tries to open a new segment. The recorder's own records wait meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import errno
import logging
import os
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.record.kinds import SegmentRollover, WriteError
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.free_space import FreeSpace
from fdr_recorder.storage.outbox import Outbox
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import plural

logger = logging.getLogger(__name__)

RETRY_INTERVAL_S: Final = 1.0
_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DegradedState:
    """
    Enters and leaves the degraded state, and counts what is discarded in it.

    Used by the writer's thread alone.

    Attributes:
        spell: The time in which the disk refuses data, as it will be recorded; None while it
            accepts them. Data that were in a chunk are not in its `bytes`.

    """

    def __init__(
        self, log: SegmentLog, outbox: Outbox, space: FreeSpace, alerts: AlertBoard
    ) -> None:
        """Begin with a disk that accepts data."""
        self.spell: WriteError | None = None
        self._next_try = 0.0
        self._log = log
        self._outbox = outbox
        self._space = space
        self._alerts = alerts
        log.durability.on_confirmed = self._tell_confirmed
        log.durability.on_moved = self._tell_moved

    def enter(self, error: OSError) -> None:
        """
        Raise an alert, end what is there, and go on without an open segment.

        If the flight's directory is gone, it is made anew at once, and recording goes on.
        """
        if self._log.durability.is_gone and self.spell is None:
            try:
                self._begin_anew()
                self._log.open_next()
            except OSError as other:
                error = other
            else:
                return
        now_ns = self._log.clock.now_ns()
        spell = self.spell
        is_new = spell is None
        if spell is None:
            number = error.errno or errno.EIO
            name = errno.errorcode.get(number, '')
            spell = WriteError(error_number=number, error_name=name, first_error_ns=now_ns)
            code = _alert_code(number)
            path = self._log.directory.path
            message = f'recording is suspended: {os.strerror(number)} in {path}'
            logger.error('%s', message)
            self._alerts.raise_alert(code, message, values={'errno': name or number})
        self._next_try = time.monotonic()
        if not self._log.durability.is_gone:
            self._next_try += RETRY_INTERVAL_S
        self._outbox.note_written_rollovers()
        lost = self._log.durability.take_lost()
        records = spell.records + lost + self._log.give_up()
        self.spell = replace(spell, last_error_ns=now_ns, records=records)
        self._outbox.take_back_rollovers()
        if is_new:  # later, when it is time to try again
            self._log.durability.submit(None, time.monotonic())

    def _begin_anew(self) -> None:
        """Make the flight's directory again, and tell what is gone with it."""
        self._tell_gone(self._log.begin_anew())

    def take_out_removed(self) -> None:
        """
        Go on without files that another program has removed.

        Raises:
            OSError: The disk refuses data.

        """
        if self._log.durability.is_busy:  # with segments that may be among them
            return
        was_open = self._log.segment is not None
        gone = self._log.take_out_removed()
        if gone:
            self._tell_gone(gone)
        if was_open and self._log.segment is None:
            self._log.open_next()

    def _tell_gone(self, gone: Sequence[SegmentRollover]) -> None:
        path = self._log.directory.path
        records = sum(segment.records for segment in gone)
        message = f'{plural(len(gone), "segment")} with {records} records gone from {path}: '
        message += 'another program has removed them; recording goes on'
        logger.error('%s', message)
        self._outbox.emit_removed(gone)
        values = {'path': path, 'segments': len(gone), 'records': records}
        self._alerts.raise_alert('segments_gone', message, values=values)

    def _tell_moved(self) -> None:
        path = self._log.directory.path
        message = f'the flight was renamed while it is recorded; it goes on in {path}'
        logger.warning('%s', message)
        self._alerts.raise_alert('flight_moved', message, values={'path': path})

    def _tell_confirmed(self, error: OSError) -> None:
        """Tell of a sync that failed and has lost nothing."""
        number = error.errno or errno.EIO
        reason = os.strerror(number)
        message = 'all that it covered was read back from the disk: nothing is lost'
        logger.warning('%s: a sync failed: %s; %s', self._log.directory.path, reason, message)
        if self.spell is None:
            code, values = _alert_code(number), {'errno': errno.errorcode.get(number, number)}
            text = f'a sync failed: {reason} in {self._log.directory.path}'
            self._alerts.raise_alert(code, text, values=values)
            self._alerts.clear(code, message)

    def discard(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Count records that cannot be written."""
        account.dropped_write_error += len(batch)
        if self.spell is not None:
            self.spell = replace(
                self.spell,
                records=self.spell.records + len(batch),
                bytes=self.spell.bytes + sum(len(record[3]) for record in batch),
            )

    def try_again(self, now: float) -> None:
        """
        Force to the disk what was given up, if it is time to; when that works, `leave`.

        Raises:
            OSError: The disk still refuses data.

        """
        if self.spell is None or now < self._next_try or self._log.durability.is_busy:
            return
        if self._log.durability.is_gone:
            self.leave()
            return
        self._log.end_given_up()
        if not self._log.durability.submit(None, now):
            self.leave()

    def leave(self, *, is_last: bool = False) -> None:
        """
        Open a new segment and go on recording, if the state is degraded.

        Args:
            is_last: Whether only the footer is still to come, for which the reserve is meant.

        Raises:
            OSError: The disk still refuses data.

        """
        spell = self.spell
        if spell is None:
            return
        if self._log.durability.is_gone:
            self._begin_anew()
        if not is_last:  # else the next chunk would fill the disk again
            self._space.make_room()
        self._log.end_given_up()
        self._log.open_next()
        self._log.durability.settle(self._log.segment)  # a failure must not end the spell
        if not is_last:
            self._log.root.allocate_reserve(self._log.config.reserve_bytes)
        self.spell = None
        self._outbox.emit(spell)
        message = f'recording goes on; {spell.records} records were discarded'
        logger.warning('%s: %s', self._log.directory.path, message)
        for code in ('disk_full', 'write_error'):
            self._alerts.clear(code, message)


def _alert_code(number: int) -> str:
    return 'disk_full' if number in _FULL_ERRNOS else 'write_error'
