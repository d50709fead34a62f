# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder's own records, which wait until the writer's thread can write them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
import logging
import threading
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import steady_now
from fdr_recorder.errors import RecordError
from fdr_recorder.record.codec import encode
from fdr_recorder.record.config_change import with_change
from fdr_recorder.record.kinds import (
    ConfigChange,
    RequestedTopic,
    SegmentRollover,
    WriteError,
)
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.lost_records import joint_span, NO_SPAN, Span
from fdr_recorder.storage.segment_log import SegmentLog

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""So many records wait at most, while the disk refuses data for days. What comes then is left out
and counted as discarded, except drops of segments, as their files stay until these are recorded,
and the record that tells what the spell has cost."""
_NEVER_LEFT_OUT: Final = (SegmentRollover, WriteError)


class Outbox:
    """
    The recorder's own records that are not in a segment yet.

    They wait while the disk refuses data. Used by the writer's thread alone, except `emit`.
    """

    def __init__(
        self,
        log: SegmentLog,
        write: Callable[[ProducerAccount, Sequence[QueuedRecord]], object],
        is_refused: Callable[[], bool],
    ) -> None:
        """Take the flight's segments, what writes records to them, whether the disk refuses."""
        self._is_refused = is_refused
        self._log = log
        self._ledger = log.ledger
        self._write = write
        self._waiting: deque[tuple[int, Payload]] = deque()
        self._left_out: Counter[type[Payload]] = Counter()
        """By kind, how many records came when too many waited already."""
        self._left_out_span: Span = NO_SPAN
        """When they came."""
        self._lock = threading.Lock()
        self._latest_ns: dict[type[Payload], int] = {}
        """Of each kind, the steady time of the newest record: several threads may have emitted."""
        self._is_writing = False
        self._rollovers: deque[tuple[int, int, SegmentRollover]] = deque()
        """Records of drops whose files are not unlinked yet, with the number of the segment that
        they are in. If they are lost, with the open chunk or by a sync that fails, they must be
        written again: a file is only unlinked when its drop is recorded on the disk."""
        self._unwritten = 0
        """How many of these, the newest, may still be in the open chunk."""

    def __len__(self) -> int:
        """Return the number of waiting records."""
        return len(self._waiting)

    def emit(self, payload: Payload) -> None:
        """Add a record, to be written with the next tick; any thread."""
        if isinstance(payload, RequestedTopic):
            self._log.told.note(payload)
        elif isinstance(payload, ConfigChange):
            clock, steady_ns = self._log.clock, -payload.changed_ns
            changed_ns = clock.at_monotonic(steady_ns) if steady_ns > 0 else clock.now_ns()
            payload = replace(payload, changed_ns=changed_ns)
            if payload.before != payload.after:
                with self._lock:
                    self._log.header = with_change(self._log.header, payload)
        is_full = len(self._waiting) >= MAX_WAITING and self._is_refused()
        if is_full and not isinstance(payload, _NEVER_LEFT_OUT):
            now_ns = self._log.clock.now_ns()
            with self._lock:
                self._left_out[type(payload)] += 1
                self._left_out_span = joint_span(self._left_out_span, (now_ns, now_ns))
            return
        self._waiting.append((steady_now(), payload))

    def count_left_out(self) -> tuple[int, Span]:
        """Count as discarded what was left out; return how many since the last call, and when."""
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
            span, self._left_out_span = self._left_out_span, NO_SPAN
        for kind, count in left_out.items():
            account = self._ledger.own_account(kind)
            for _ in range(count):
                account.count_own()
            account.dropped_write_error += count
        return left_out.total(), span

    def write_waiting(self) -> None:
        """Write what waits now; not what writing it may add, by rotating and dropping."""
        if self._is_writing:
            return
        self._is_writing = True
        self.count_left_out()
        try:
            for _ in range(len(self._waiting)):
                if self._log.segment is None or self._is_refused():
                    break
                time_ns, payload = self._waiting.popleft()
                try:
                    data = encode(payload)
                except RecordError:
                    logger.exception("one of the recorder's own records is left out")
                    continue
                if isinstance(payload, ConfigChange):
                    self._ledger.note_change(payload)
                account = self._ledger.own_account(type(payload))
                time_ns = min(time_ns, self._latest_ns.get(type(payload), 0))
                self._latest_ns[type(payload)] = time_ns
                record = (time_ns, time_ns, account.count_own(), data, 0)
                if isinstance(payload, SegmentRollover):
                    self._write_rollover(account, record, payload)
                else:
                    self._write(account, [record])
        finally:
            self._is_writing = False

    def _write_rollover(
        self, account: ProducerAccount, record: QueuedRecord, payload: SegmentRollover
    ) -> None:
        self._forget_unlinked()
        entry = (self._log.newest_index, record[0], payload)
        self._rollovers.append(entry)  # first: writing it may fail, and take it back
        self._write(account, [record])
        newest = self._log.newest_index  # writing it may have begun a segment
        if self._rollovers and self._rollovers[-1] is entry:
            self._rollovers[-1] = (newest, record[0], payload)

    def write_all(self) -> None:
        """Write all that waits, and what writing it adds, unless the disk refuses."""
        while self._waiting and self._log.segment is not None and not self._is_refused():
            self.write_waiting()

    def _forget_unlinked(self) -> None:
        dropped = self._log.directory.dropped
        while self._rollovers:
            _, _, rollover = self._rollovers[0]
            if dropped and rollover.segment_index >= dropped[0].index:
                return
            self._rollovers.popleft()

    def note_written_rollovers(self) -> None:
        """Find out which records of drops are in a file; before the open chunk is discarded."""
        account = self._ledger.own_account(SegmentRollover)
        self._unwritten = account.offered - account.written - account.dropped_write_error

    def take_back_rollovers(self) -> None:
        """Have the records of drops written again that were discarded or lost."""
        written = max(len(self._rollovers) - self._unwritten, 0)
        entries = list(self._rollovers)
        lost = entries[written:]
        kept = entries[:written]
        for index, count in self._log.lost_rollovers:
            there = [entry for entry in kept if entry[0] == index]
            lost += there[-count:]
            kept = [entry for entry in kept if entry not in there[-count:]]
        self._log.lost_rollovers.clear()
        self._unwritten = 0
        lost.sort(key=lambda entry: entry[2].segment_index)
        self._rollovers = deque(kept)
        self._waiting.extendleft((time_ns, rollover) for _, time_ns, rollover in reversed(lost))

    def discard(self) -> None:
        """Count all that waits as discarded because of the disk."""
        self.count_left_out()
        for _, payload in self._waiting:
            account = self._ledger.own_account(type(payload))
            account.count_own()
            account.dropped_write_error += 1
