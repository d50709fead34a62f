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

Single producer, single consumer, no lock: every attribute has one thread that writes it, and the
two sides meet in `collections.deque`, whose `append` and `popleft` are atomic (also on
free-threaded CPython). A side that reads the other's counter may see it late; both then err on
the safe side: the producer sees less room than there is, the consumer sees fewer records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Final, NamedTuple

RECORD_OVERHEAD_BYTES: Final = 200
"""Memory that a queued record takes beside its data: the tuple, four integers, two headers."""


QueuedRecord = tuple[int, int, int, bytes, int]
"""A record in a ring: log time and publish time (nanoseconds of the system clock), the publisher's
sequence number, the serialised message, and the bytes that the ring had ever taken with it. A
plain tuple, because it is made for every message.
"""


class Drops(NamedTuple):
    """
    What a ring has refused since it was made.

    Attributes:
        records: How many records.
        bytes: Their data.
        first_ns: First refusal of the current spell (system clock): since the consumer last
            said that it had seen all of them.
        last_ns: The latest refusal.

    """

    records: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0


class RingBudget:
    """A bound on the memory of several rings together, all filled by the same thread."""

    __slots__ = ('granted', 'max_bytes', 'returned')

    def __init__(self, max_bytes: int) -> None:
        """Take the bound in bytes."""
        self.max_bytes = max_bytes
        self.granted = 0
        """Bytes ever taken; written by the producing thread alone."""
        self.returned = 0
        """Bytes ever given back; written by the consumer alone."""

    @property
    def fill(self) -> float:
        """How much of it is used: 0 to 1."""
        return (self.granted - self.returned) / self.max_bytes


class Ring:
    """
    A queue that refuses the newest record when it is full, and counts what it refused.

    `offer` is for the producer's thread; `take`, `acknowledge_drops` and setting `is_open` are for
    the consumer's; `len` and the counters may be read by anybody.

    Attributes:
        budget: The bound that it shares with others.
        is_open: Whether records are taken; set by the consumer.
        call_consumer: Called in the producer's thread when the ring has become half full, once
            until the consumer takes; set by the consumer, who may rest for long otherwise.
        offered: Records ever offered while open, refused ones included; written by the producer.
        drops: What was refused; replaced as a whole by the producer.
        taken: Records ever taken out; written by the consumer.

    """

    __slots__ = (
        '_acknowledged',
        '_bytes_in',
        '_bytes_out',
        '_half_bytes',
        '_half_records',
        '_has_called',
        '_max_bytes',
        '_max_records',
        '_records',
        'budget',
        'call_consumer',
        'drops',
        'is_open',
        'offered',
        'taken',
    )

    def __init__(
        self, *, max_records: int, max_bytes: int, budget: RingBudget | None = None
    ) -> None:
        """
        Make an empty ring that is shut.

        Args:
            max_records: Most records that it holds.
            max_bytes: Most memory that they take, `RECORD_OVERHEAD_BYTES` each included.
            budget: Bound that this ring shares with others of the same producing thread.

        """
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._half_records = (max_records + 1) // 2
        self._half_bytes = max_bytes // 2
        self.budget = budget
        self._records: deque[QueuedRecord] = deque()
        self.is_open = False
        self.call_consumer: Callable[[], object] | None = None
        self._has_called = False
        """Set by the producer, taken back by the consumer."""
        # producer's
        self.offered = 0
        self.drops = Drops()
        self._bytes_in = 0
        # consumer's
        self.taken = 0
        self._acknowledged = Drops()
        self._bytes_out = 0

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._records)

    @property
    def fill(self) -> float:
        """How full the ring is by records or by bytes, whichever is more: 0 to 1."""
        return max(
            len(self._records) / self._max_records,
            self.bytes / self._max_bytes,
        )

    def offer(self, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes) -> bool:
        """
        Queue a record; producer's thread. Never blocks, never raises.

        Returns:
            True if it was queued; False if the ring is shut (nothing is counted: nobody records)
            or full (the refusal is counted).

        """
        if not self.is_open:
            return False
        self.offered += 1
        size = len(data) + RECORD_OVERHEAD_BYTES
        ring_bytes = self._bytes_in + size
        waiting_bytes, waiting = ring_bytes - self._bytes_out, len(self._records)
        if waiting_bytes > self._half_bytes or waiting >= self._half_records:
            if not self._has_called and self.call_consumer is not None:
                self._has_called = True
                self.call_consumer()
            if waiting_bytes > self._max_bytes or waiting >= self._max_records:
                return self._refuse(len(data))
        budget = self.budget
        if budget is not None:
            granted = budget.granted + size
            if granted - budget.returned > budget.max_bytes:
                return self._refuse(len(data))
            budget.granted = granted
        self._bytes_in = ring_bytes
        self._records.append((log_time_ns, publish_time_ns, sequence, data, ring_bytes))
        return True

    def _refuse(self, size: int) -> bool:
        now = time.time_ns()
        records, total, first_ns, _ = self.drops
        if self._acknowledged.records == records:  # the consumer has told of all before
            first_ns = now
        self.drops = Drops(records + 1, total + size, first_ns, now)
        return False

    @property
    def bytes(self) -> int:
        """Memory that the waiting records take, `RECORD_OVERHEAD_BYTES` each included."""
        return self._bytes_in - self._bytes_out

    def take(self, limit: int, max_bytes: int | None = None) -> list[QueuedRecord]:
        """
        Remove and return records, oldest first; consumer's thread.

        Args:
            limit: Most records.
            max_bytes: Take no more once so much was taken (as `bytes` counts).

        """
        records = self._records
        waiting = len(records)
        if not waiting:
            return []
        self._has_called = False  # first of all: what comes now may call again
        popleft = records.popleft
        if max_bytes is None or self.bytes <= max_bytes:
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

    def forget(self, before_ns: int, most_fill: float) -> None:
        """
        Let the oldest records go; consumer's thread.

        Args:
            before_ns: All that were received before (log time).
            most_fill: And as many as it takes for the ring to be no fuller.

        """
        records = self._records
        while records and (records[0][0] < before_ns or self.fill > most_fill):
            self.take(1)

    def acknowledge_drops(self) -> Drops:
        """Return what was refused since the last call; consumer's thread."""
        drops, seen = self.drops, self._acknowledged
        self._acknowledged = drops
        return Drops(
            drops.records - seen.records, drops.bytes - seen.bytes, drops.first_ns, drops.last_ns
        )

    @property
    def accounted(self) -> int:
        """Count the records whose end the consumer knows: taken, or acknowledged as refused."""
        return self.taken + self._acknowledged.records

    def is_settled(self) -> bool:
        """
        Tell whether every record ever offered was either taken or refused.

        Once the ring is shut this becomes true at the latest when an `offer` that was under way
        has returned and the consumer has taken its record.
        """
        return self.taken + self.drops.records == self.offered
