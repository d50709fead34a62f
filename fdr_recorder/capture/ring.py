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
The bounded queue between one producer and the writer.

Single producer, single consumer, no lock: each attribute is written by one thread only, and the
two sides meet in `collections.deque`, whose `append` and `popleft` are atomic, also on
free-threaded CPython (PEP 703: built-in containers lock themselves, attributes are loaded and
stored whole). Nothing else relies on the GIL. A side may see the other's counters late, and then
errs on the safe side: the producer sees less room than there is, the consumer sees fewer records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Final, NamedTuple

SETTLE_S: Final = 0.001
"""How long after `Ring.close` a producer may still see an open ring, at most. Without a GIL, a
processor may load before its store is seen by others; they see it within microseconds."""

RECORD_OVERHEAD_BYTES: Final = 200
"""Memory of a queued record in addition to its data: a tuple, four integers, two headers."""

MAX_RECORDS: Final = 'ring.max_records'
MAX_BYTES: Final = 'ring.max_bytes'
TOTAL_BYTES: Final = 'ring.total_bytes'
"""Options that set the limits of a ring."""

QueuedRecord = tuple[int, int, int, bytes, int]
"""A record in a ring: log time and publish time (nanoseconds: of the system clock, or steady and
then negative, see `steady_now`), the publisher's sequence number, the serialised message, and the
total of bytes that the ring had accepted up to and including this record. A plain tuple, because
one is made for every message.
"""


class Refusals(NamedTuple):
    """
    The records that a ring has refused since it was created.

    Attributes:
        records: How many.
        bytes: Size of their data.
        first_ns: Time of the first refusal (CLOCK_MONOTONIC) since the consumer last acknowledged
            all refusals.
        last_ns: Time of the latest refusal.
        largest: Size of the largest refused data since then.
        limit: The option whose limit caused the latest refusal.

    """

    records: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    largest: int = 0
    limit: str = ''


NO_REFUSALS: Final = Refusals()


class RingBudget:
    """A bound on the total memory of several rings, all filled by the same thread."""

    __slots__ = ('granted', 'max_bytes', 'returned')

    def __init__(self, max_bytes: int) -> None:
        """Set the bound, in bytes."""
        self.max_bytes = max_bytes
        self.granted = 0
        """Bytes ever granted; written by the producing thread alone."""
        self.returned = 0
        """Bytes ever returned; written by the consumer alone."""

    @property
    def fill(self) -> float:
        """Share of the budget in use: 0 to 1."""
        return (self.granted - self.returned) / self.max_bytes


class Ring:
    """
    A queue that refuses the newest record when it is full, and counts refusals.

    `offer` belongs to the producer's thread; `take`, `discard_oldest`, `acknowledge_refusals`,
    `is_settled`, `close` and setting `is_open` to the consumer's. Any thread may read `len` and
    the counters.

    Attributes:
        budget: The bound shared with other rings.
        is_open: Whether the ring accepts records; set by the consumer, to False by `close`.
        call_consumer: Called in the producer's thread when the ring becomes half full, once until
            the consumer takes; set by the consumer, which may rest for long otherwise.
        offered: Records ever offered while open, refused ones included; written by the producer.
        refusals: Refused records; replaced as a whole by the producer.
        taken: Records ever taken out; written by the consumer.

    """

    __slots__ = (
        '_bytes_in',
        '_bytes_out',
        '_closed_at',
        '_half_bytes',
        '_half_records',
        '_has_called',
        '_max_bytes',
        '_max_records',
        '_records',
        '_seen_refusals',
        'budget',
        'call_consumer',
        'is_open',
        'offered',
        'refusals',
        'taken',
    )

    def __init__(
        self, *, max_records: int, max_bytes: int, budget: RingBudget | None = None
    ) -> None:
        """Create an empty, closed ring, bounded by the records and by their memory."""
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._half_records = (max_records + 1) // 2
        self._half_bytes = max_bytes // 2
        self.budget = budget
        self._records: deque[QueuedRecord] = deque()
        self.is_open = False
        self.call_consumer: Callable[[], object] | None = None
        self._has_called = False
        """Set by the producer, reset by the consumer."""
        # written by the producer:
        self.offered = 0
        self.refusals = NO_REFUSALS
        self._bytes_in = 0
        # written by the consumer:
        self.taken = 0
        self._seen_refusals = NO_REFUSALS
        self._bytes_out = 0
        self._closed_at = 0.0

    def __len__(self) -> int:
        """Return the number of queued records."""
        return len(self._records)

    @property
    def fill(self) -> float:
        """How full the ring is, by records or by bytes, whichever is more: 0 to 1."""
        return max(len(self._records) / self._max_records, self.bytes / self._max_bytes)

    def offer(self, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes) -> bool:
        """
        Queue a record; producer's thread. Never blocks; raises only if the data have no length.

        Returns:
            True if the record was queued; False if the ring is closed (not counted: nothing is
            being recorded) or full (counted as a refusal).

        """
        size = len(data) + RECORD_OVERHEAD_BYTES  # first: it may raise
        self.offered += 1  # before the look at `is_open`: see `is_settled`
        if not self.is_open:
            self.offered -= 1
            return False
        ring_bytes = self._bytes_in + size
        waiting_bytes, waiting = ring_bytes - self._bytes_out, len(self._records)
        if waiting_bytes > self._half_bytes or waiting >= self._half_records:
            if not self._has_called and self.call_consumer is not None:
                self._has_called = True
                self.call_consumer()
            if waiting_bytes > self._max_bytes or waiting >= self._max_records:
                is_large = waiting_bytes > self._max_bytes
                return self._refuse(len(data), MAX_BYTES if is_large else MAX_RECORDS)
        budget = self.budget
        if budget is not None:
            granted = budget.granted + size
            if granted - budget.returned > budget.max_bytes:
                return self._refuse(len(data), TOTAL_BYTES)
            budget.granted = granted
        self._bytes_in = ring_bytes
        self._records.append((log_time_ns, publish_time_ns, sequence, data, ring_bytes))
        return True

    def _refuse(self, size: int, limit: str) -> bool:
        now = time.monotonic_ns()
        records, total, first_ns, _, largest, _ = self.refusals
        if self._seen_refusals.records == records:  # the consumer has reported all earlier ones
            first_ns, largest = now, 0
        largest = max(largest, size)
        self.refusals = Refusals(records + 1, total + size, first_ns, now, largest, limit)
        return False

    @property
    def limits(self) -> dict[str, int]:
        """Return the limits by the option that sets each."""
        limits = {MAX_RECORDS: self._max_records, MAX_BYTES: self._max_bytes}
        if self.budget is not None:
            limits[TOTAL_BYTES] = self.budget.max_bytes
        return limits

    @property
    def bytes(self) -> int:
        """Memory of the queued records, `RECORD_OVERHEAD_BYTES` each included."""
        return self._bytes_in - self._bytes_out

    @property
    def first_ns(self) -> int:
        """Steady time of the oldest queued record, negative as in `QueuedRecord`; 0 without."""
        first = self._records[0][0] if self._records else 0
        return first if type(first) is int and first < 0 else 0

    def take(self, limit: int, max_bytes: int | None = None) -> list[QueuedRecord]:
        """
        Remove and return so many records at most, oldest first; consumer's thread.

        It stops once `max_bytes` were taken, counted as `bytes` does.
        """
        records = self._records
        waiting = len(records)
        if not waiting:
            return []
        self._has_called = False  # first: the next record may call again
        popleft = records.popleft
        if max_bytes is None or self._bytes_in - self._bytes_out <= max_bytes:
            batch = [popleft() for _ in range(min(limit, waiting))]
        else:
            batch = [popleft()]
            enough = self._bytes_out + max_bytes
            while len(batch) < min(limit, waiting) and batch[-1][4] < enough:
                batch.append(popleft())
        bytes_out = batch[-1][4]
        if self.budget is not None:
            self.budget.returned += bytes_out - self._bytes_out
        self._bytes_out = bytes_out
        self.taken += len(batch)
        return batch

    def discard_oldest(
        self, before_ns: int, most_fill: float, *, steady_before_ns: int = 0
    ) -> None:
        """
        Discard records of before a time, and more until `fill` is at most `most_fill`.

        Args:
            before_ns: The time for records that are dated by the system clock...
            most_fill: 0 to 1.
            steady_before_ns: ...and for those with a steady time, as in `QueuedRecord`.

        """
        records = self._records
        while records:
            try:
                time_ns = records[0][0]
                is_old = time_ns > steady_before_ns if time_ns < 0 else time_ns < before_ns
            except BaseException:  # its time is not a number; foreign ones raise anything
                is_old = True
            if not is_old and self.fill <= most_fill:
                break
            self.take(1)

    def take_surplus(self, most_fill: float) -> list[QueuedRecord]:
        """Remove and return the oldest records until ring and budget are at most so full."""
        records, budget, surplus = self._records, self.budget, []
        while records and (
            self.fill > most_fill or (budget is not None and budget.fill > most_fill)
        ):
            surplus += self.take(1)
        return surplus

    def acknowledge_refusals(self) -> Refusals:
        """Return the refusals since the last call; consumer's thread."""
        now, seen = self.refusals, self._seen_refusals
        if now is seen:
            return NO_REFUSALS
        self._seen_refusals = now
        return now._replace(records=now.records - seen.records, bytes=now.bytes - seen.bytes)

    @property
    def unacknowledged_refusals(self) -> int:
        """Count the refusals that the consumer has not acknowledged yet; any thread."""
        return self.refusals.records - self._seen_refusals.records

    @property
    def acknowledged(self) -> int:
        """Count the records that the consumer has taken, or acknowledged as refused."""
        return self.taken + self._seen_refusals.records

    def close(self) -> None:
        """Accept no more records; those in the ring remain. Consumer's thread; idempotent."""
        if self.is_open:
            self.is_open = False
            self._closed_at = time.monotonic()

    def is_settled(self) -> bool:
        """
        Tell whether every record ever offered was either taken or refused; consumer's thread.

        Once true after `close`, it stays true. It becomes true `SETTLE_S` after the call, or when
        an `offer` in progress has returned and the consumer has taken its record.
        """
        if not self.is_open and time.monotonic() - self._closed_at < SETTLE_S:
            return False
        return self.taken + self.refusals.records == self.offered
