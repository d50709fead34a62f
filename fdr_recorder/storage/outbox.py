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

from collections import deque
from collections.abc import Callable, Sequence
import logging

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import steady_now
from fdr_recorder.errors import RecordError
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import Payload, SegmentRollover
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.segment_log import SegmentLog

logger = logging.getLogger(__name__)


class Outbox:
    """
    The recorder's own records that are not in a segment yet.

    They wait while the disk refuses data. Used by the writer's thread alone, except `emit`.
    """

    def __init__(
        self,
        log: SegmentLog,
        write: Callable[[ProducerAccount, Sequence[QueuedRecord]], object],
    ) -> None:
        """Take the flight's segments, and the function that writes records to them."""
        self._log = log
        self._ledger = log.ledger
        self._write = write
        self._waiting: deque[tuple[int, Payload]] = deque()
        self._latest_ns: dict[type[Payload], int] = {}
        """Of each kind, the steady time of the newest record: several threads may have emitted."""
        self._is_writing = False
        self._unwritten_rollovers: deque[tuple[int, Payload]] = deque()
        """Drops whose records may still be in the open chunk. If that is lost they must be written
        again: the file of a segment is only unlinked when the drop is recorded."""

    def __len__(self) -> int:
        """Return the number of waiting records."""
        return len(self._waiting)

    def emit(self, payload: Payload) -> None:
        """Add a record, to be written with the next tick; any thread."""
        self._waiting.append((steady_now(), payload))

    def write_waiting(self) -> None:
        """Write what waits now; not what writing it may add, by rotating and dropping."""
        if self._is_writing:
            return
        self._is_writing = True
        try:
            for _ in range(len(self._waiting)):
                if self._log.segment is None:
                    break
                time_ns, payload = self._waiting.popleft()
                try:
                    data = encode(payload)
                except RecordError:
                    logger.exception("one of the recorder's own records is left out")
                    continue
                account = self._ledger.own_account(type(payload))
                time_ns = min(time_ns, self._latest_ns.get(type(payload), 0))
                self._latest_ns[type(payload)] = time_ns
                if isinstance(payload, SegmentRollover):
                    self.forget_written_rollovers()
                    self._unwritten_rollovers.append((time_ns, payload))
                self._write(account, [(time_ns, time_ns, account.count_own(), data, 0)])
        finally:
            self._is_writing = False

    def write_all(self) -> None:
        """Write all that waits, and what writing it adds, unless the disk refuses."""
        while self._waiting and self._log.segment is not None:
            self.write_waiting()

    def forget_written_rollovers(self) -> None:
        """Keep only the records of drops that are not in a file yet."""
        account = self._ledger.own_account(SegmentRollover)
        unwritten = account.offered - account.written - account.dropped_write_error
        while len(self._unwritten_rollovers) > unwritten:
            self._unwritten_rollovers.popleft()

    def take_back_rollovers(self) -> None:
        """Have the records of drops written again that were discarded with the open chunk."""
        self._waiting.extendleft(reversed(self._unwritten_rollovers))
        self._unwritten_rollovers.clear()

    def discard(self) -> None:
        """Count all that waits as discarded because of the disk."""
        for _, payload in self._waiting:
            account = self._ledger.own_account(type(payload))
            account.count_own()
            account.dropped_write_error += 1
