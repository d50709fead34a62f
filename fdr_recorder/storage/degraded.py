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

After a call that failed, nothing more is taken from the rings: they hold the records, and what
was taken already waits here. The disk is tried again after 50, 100 and 200 ms, and then once a
second. A single failure costs no record. When the quick tries have failed, the open segment is
given up: its file may be all that is wrong. On a full disk it is given up at once, with the
space of the reserve, and there are no quick tries: there would be several spells instead of
one. Rings that are more than half full are relieved of their oldest records, which are counted;
only so are records lost, and where the flight ends meanwhile. The recorder's own records wait,
too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
import errno
import os
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import MAX_TIME_NS
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.record.kinds import SegmentRollover, WriteError
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.storage.chunk import as_bytes
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.disk_errors import describe, FULL_ERRNOS, RETRY_INTERVAL_S
from fdr_recorder.storage.free_space import FreeSpace
from fdr_recorder.storage.lost_records import joint_span, Span, span_of
from fdr_recorder.storage.outbox import Outbox
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import plural

_Batch = tuple[ProducerAccount, Sequence[QueuedRecord]]
QUICK_RETRIES_S: Final = (0.05, 0.1, 0.2)
MOST_FILL: Final = 0.5
"""How full rings may be while the disk refuses data; the rest is for what comes at the end."""


class DegradedState:
    """
    Enters and leaves the degraded state, and counts what is discarded in it.

    Used by the writer's thread alone.

    Attributes:
        spell: The time in which the disk refuses data, as it will be recorded; None while it
            accepts them. Data that were in a chunk are not in its `bytes`.
        cause: Why the disk has refused data last, for people.

    """

    def __init__(
        self,
        log: SegmentLog,
        outbox: Outbox,
        space: FreeSpace,
        alerts: AlertBoard,
        write: Callable[[ProducerAccount, Sequence[QueuedRecord]], object],
    ) -> None:
        """Begin with a disk that accepts data; `write` writes records that had to wait."""
        self.spell: WriteError | None = None
        self.cause = ''
        self._write = write
        self._held: list[_Batch] = []
        self._tries = 0
        self._next_try = 0.0
        self._is_final = False
        self._log = log
        self._outbox = outbox
        self._space = space
        self._alerts = alerts
        log.durability.on_confirmed = self._tell_confirmed
        log.durability.on_moved = self._tell_moved
        log.durability.on_refused = self._tell_refused

    def enter(self, error: OSError, *, is_quick: bool = True) -> None:
        """
        Raise an alert, and let all records wait until the disk accepts data again.

        If the flight's directory is gone, it is made anew at once, and recording goes on.

        Args:
            error: What the disk has refused.
            is_quick: Whether there is time for the quick tries, before the open segment is
                given up.

        """
        durability = self._log.durability
        is_first = self.spell is None
        if self.spell is None:
            self.spell = self._begun(error)
            if durability.is_gone:
                try:
                    self._begin_anew()
                    self._log.open_next()
                except OSError as other:
                    error = other
                else:
                    self._end_spell()
                    return
        now_ns = self._log.clock.now_ns()
        self.cause = describe(error, self._log.directory.path)
        if is_first:
            self._tries = 0
            self._tell(error, f'recording is suspended, records wait: {self.cause}')
        self.spell = replace(self.spell, last_error_ns=now_ns)
        self._next_try = time.monotonic()
        is_full = self.spell.error_number in FULL_ERRNOS  # not over at once, but close to it
        is_quick = is_quick and self._tries < len(QUICK_RETRIES_S) and not is_full
        if not durability.is_gone:
            self._next_try += QUICK_RETRIES_S[self._tries] if is_quick else RETRY_INTERVAL_S
        self._tries += 1
        if not is_quick or durability.has_lost or self._is_final:
            self._give_up()

    def _begun(self, error: OSError) -> WriteError:
        """Return a spell that begins now."""
        number, now_ns = error.errno or errno.EIO, self._log.clock.now_ns()
        name = errno.errorcode.get(number, '')
        return WriteError(
            error_number=number,
            error_name=name,
            first_error_ns=now_ns,
            last_error_ns=now_ns,
            segments=0,
        )

    def _end_spell(self, *, must_tell: bool = False) -> int:
        """End the spell, with a record of it if it has cost records; return how many."""
        self._count(*self._outbox.count_left_out())
        spell, self.spell = self.spell, None
        assert spell is not None
        if spell.records or must_tell:
            self._outbox.emit(replace(spell, ended_ns=self._log.clock.now_ns()))
        return spell.records

    def _give_up(self) -> None:
        """End the open segment: a new file may be accepted. Its open chunk then waits, too."""
        self._outbox.note_written_rollovers()
        if self.spell is not None and self._log.segment is not None:
            self.spell = replace(self.spell, segments=self.spell.segments + 1)
        waiting = [*self._log.give_up(), *self._held]
        self._held = []
        for account, batch in waiting:
            if account is self._drops or self._is_final:  # the outbox has drops still
                self.discard(account, batch)
            else:
                self._held.append((account, batch))
        self._count(*self._log.durability.take_lost())
        self._outbox.take_back_rollovers()
        with suppress(OSError):  # else it is part of the next try
            self._log.durability.submit(None, time.monotonic())

    @property
    def _drops(self) -> ProducerAccount:
        return self._log.ledger.own_account(SegmentRollover)

    def _count(self, records: int, span: Span, size: int = 0) -> None:
        spell = self.spell
        if spell is not None:
            first_ns, last_ns = joint_span((spell.first_record_ns, spell.last_record_ns), span)
            self.spell = replace(
                spell,
                records=spell.records + records,
                bytes=spell.bytes + size,
                first_record_ns=min(first_ns, MAX_TIME_NS),
                last_record_ns=min(last_ns, MAX_TIME_NS),
            )

    def hold(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Keep records out of a ring until the disk accepts data, or discard them."""
        is_taken_back = self._log.segment is None and account is self._drops
        if self._is_final or self.spell is None or is_taken_back:
            self.discard(account, batch)
        else:
            self._held.append((account, batch))

    def recover_now(self) -> None:
        """Try the disk as `QUICK_RETRIES_S` has, then a new segment; discard what it refuses."""
        while self.spell is not None and not self._is_final:
            is_last_try = self._tries > len(QUICK_RETRIES_S)  # in a new segment
            try:
                self.leave()
            except OSError as error:
                self.enter(error)
                if is_last_try:
                    self.finish()
                else:
                    self.pause()

    def pause(self) -> None:
        """Wait until the next try is due, but not long: the flight ends."""
        time.sleep(min(max(self._next_try - time.monotonic(), 0), QUICK_RETRIES_S[-1]))

    def finish(self) -> None:
        """Discard what waits, and from now on what the disk refuses: the flight ends."""
        self._is_final = True
        if self.spell is not None:
            self._give_up()
        held, self._held = self._held, []
        for account, batch in held:
            self.discard(account, batch)

    def _begin_anew(self) -> None:
        """Make the flight's directory again, and tell what is gone with it."""
        if gone := self._log.begin_anew(self.discard):
            self._tell_gone(gone)

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
        message = f'{plural(len(gone), "segment")} with {plural(records, "record")} gone from '
        message += f'{path}: another program has removed them; recording goes on'
        for segment in gone:
            self._outbox.emit(segment)
        values = {'path': path, 'segments': len(gone), 'records': records}
        self._alerts.raise_alert('segments_gone', message, values=values)

    def _tell_moved(self) -> None:
        path = self._log.directory.path
        message = f'the flight was renamed while it is recorded; it goes on in {path}'
        self._alerts.raise_alert('flight_moved', message, values={'path': path})

    def _tell_confirmed(self, error: OSError) -> None:
        """Tell of a sync that failed and has lost nothing."""
        if self.spell is None:
            reason = os.strerror(error.errno or errno.EIO)
            self._tell(error, f'a sync failed: {reason} in {self._log.directory.path}')
            self._clear('all that it covered was read back from the disk: nothing is lost')

    def _tell_refused(self, what: str, error: OSError | None) -> None:
        """Tell that `metadata.yaml` cannot be renewed, once, and when it is."""
        if error is None:
            self._clear(what, FILE_NAME)
        elif self.spell is None:  # else more is refused, and told
            self.cause = f'{what}: {describe(error, self._log.directory.path)}'
            self._tell(error, f'recording goes on, but {self.cause}', FILE_NAME)

    def _tell(self, error: OSError, message: str, subject: str = '') -> None:
        """Raise the alert that names what the disk has answered."""
        number = error.errno or errno.EIO
        code = 'disk_full' if number in FULL_ERRNOS else 'write_error'
        values = {'errno': errno.errorcode.get(number, number)}
        self._alerts.raise_alert(code, message, subject=subject, values=values)

    def _clear(self, message: str, subject: str = '') -> None:
        for code in ('disk_full', 'write_error'):
            self._alerts.clear(code, message, subject=subject)

    def discard(self, account: ProducerAccount, batch: Sequence[QueuedRecord]) -> None:
        """Count records that cannot be written."""
        account.dropped_write_error += len(batch)
        size = sum(len(as_bytes(record[3]) or b'') for record in batch)
        self._count(len(batch), span_of(batch, self._log.clock), size)

    def try_again(self, now: float) -> None:
        """
        Try the disk again if it is time to; when it accepts data, `leave`.

        Raises:
            OSError: The disk still refuses data.

        """
        if now < self._next_try or self._log.durability.is_busy:
            return
        if self.spell is not None:
            self.leave()
        elif self._log.has_unended:
            self._next_try = now + RETRY_INTERVAL_S
            with suppress(OSError):  # of a file that alone is bad
                self._log.end_previous()

    def leave(self, *, is_last: bool = False) -> None:
        """
        Write what waits and go on recording, if the state is degraded.

        Args:
            is_last: Whether only the footer is still to come, for which the reserve is meant.

        Raises:
            OSError: The disk still refuses data.

        """
        if self.spell is None:
            return
        log = self._log
        if log.durability.is_gone:
            self._begin_anew()
        if not is_last:  # else the next chunk would fill the disk again
            self._space.make_room()
        if log.segment is not None:
            log.end_previous()
        else:
            with suppress(OSError):  # that file alone may be bad: it is tried again later
                log.end_previous()
            log.durability.is_metadata_stale = True  # the disk is asked, whatever is due
            log.durability.settle(None)
            log.open_next()
        log.durability.settle(log.segment)  # a failure must not end the spell
        if not is_last:
            log.root.allocate_reserve(log.config.reserve_bytes)
        records = self._end_spell(must_tell=True)
        lost = plural(records, 'record') if records else 'no record'
        message = f'recording goes on; {lost} discarded'
        self._clear(message)
        held, self._held = self._held, []
        for account, batch in held:
            self._write(account, batch)
