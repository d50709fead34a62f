# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`FdrClient`: through it a producer hands its messages to the writer."""

from __future__ import annotations

from collections import deque
import operator
import time
from typing import Final, NamedTuple

from fdr_recorder.capture.ring import Ring, RingBudget
from fdr_recorder.capture.throttle import Throttle
from fdr_recorder.clock import steady_now
from fdr_recorder.config import RingConfig
from fdr_recorder.record.channel import Channel

MAX_TIME_NS: Final = 2**63 - 1
"""The latest time that ROS 2 clocks and readers of bags can represent: in the year 2262."""

MAX_LOSS: Final = 2**32
"""Messages that one jump in sequence numbers counts as, at most."""


class TransportLosses(NamedTuple):
    """
    Records of a publisher that never reached this process.

    Attributes:
        records: How many, since the client was created.
        first_sequence: Lowest missing sequence number since the last acknowledgement.
        last_sequence: Highest missing sequence number.
        first_ns: When the first loss since the last acknowledgement was noticed (CLOCK_MONOTONIC).
        last_ns: When the latest loss was noticed.
        before_match: How many of others, that the publisher had sent before it was heard.
        last_before_match: Highest sequence number of these.
        before_match_ns: When they were noticed.

    """

    records: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    first_ns: int = 0
    last_ns: int = 0
    before_match: int = 0
    last_before_match: int = 0
    before_match_ns: int = 0


NO_LOSSES: Final = TransportLosses()


class LeftOut(NamedTuple):
    """
    Messages that were left out since the last acknowledgement.

    Attributes:
        records: How many.
        first_ns: When the first of them had arrived (CLOCK_MONOTONIC).
        last_ns: When the last had.

    """

    records: int = 0
    first_ns: int = 0
    last_ns: int = 0


NOTHING_LEFT_OUT: Final = LeftOut()


class FdrClient:
    """
    Hands the messages of one producer to the writer, through a ring of its own.

    A client belongs to one thread at a time, its producer. Register it with a `FileFdrWriter`:
    while a flight is open, the writer's thread then takes the enqueued messages.

    Example:
        >>> client = FdrClient(Channel('/imu', schema))
        >>> writer.register(client)
        >>> client.enqueue(cdr_bytes)
        True

    """

    def __init__(
        self,
        channel: Channel,
        config: RingConfig | None = None,
        *,
        budget: RingBudget | None = None,
    ) -> None:
        """
        Create a client with an empty ring.

        Args:
            channel: The channel of its messages.
            config: Bounds of the ring; its `total_bytes` is not used here, but in `budget`.
            budget: Memory bound shared with other clients of the same producing thread.

        """
        config = config or RingConfig()
        self.channel = channel
        self.ring = Ring(
            max_records=config.max_records, max_bytes=config.max_bytes, budget=budget
        )
        self.offer = self._keep_and_offer if channel.latched else self.ring.offer
        """Like `enqueue`, given valid log time, publish time, sequence number and data. A negative
        time is steady, see `steady_now`."""
        self.latest: tuple[int, int, bytes] | None = None
        """Publish time, sequence number and data of the last message of a latched channel."""
        self.losses = NO_LOSSES
        """Replaced as a whole by the producer's thread."""
        self.throttle: Throttle | None = None
        """What leaves messages out; see `limit`."""
        self.throttled = 0
        """How many were left out while the ring was open; written by the producer's thread."""
        self._first_throttled_ns = self._last_throttled_ns = 0
        self._acknowledged_throttled = 0
        self._held: tuple[int, int, int, bytes] | None = None
        self._marks: deque[tuple[int, int]] = deque(maxlen=config.max_records)
        """Of messages that were queued after others were left out: how many were offered before,
        and how many had been left out. For the pre-roll."""
        self._marked = 0
        self.is_numbered = True
        """Whether the publisher's messages have numbers of the middleware; producer's thread."""
        self._seen_losses = self.losses
        self._acknowledged_losses = 0
        self._acknowledged_before_match = 0
        self._next_sequence = 0

    def enqueue(
        self,
        data: bytes,
        log_time_ns: int | None = None,
        publish_time_ns: int | None = None,
        sequence: int | None = None,
    ) -> bool:
        """
        Hand a serialised message to the writer. Never blocks; a full ring raises no error.

        Args:
            data: The message in the channel's encoding. `bytes` are kept, not copied.
            log_time_ns: When the message was received (system clock), stored as it is; by default
                now, by the flight's steady clock.
            publish_time_ns: When it was published; by default `log_time_ns`. Times out of range
                (a publisher's clock may be broken) become the nearest valid time.
            sequence: The publisher's sequence number; by default counted by the client.

        Returns:
            False if no flight is open, or if the ring is full: then the record is counted as
            dropped by overrun; or if a rate is set, and it is left out.

        Raises:
            TypeError: `data` is not bytes-like, or a time or the sequence number is not an
                integer. The record is not counted.

        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        log_time_ns = steady_now() if log_time_ns is None else _valid_time(log_time_ns)
        publish_time_ns = (
            log_time_ns if publish_time_ns is None else _valid_time(publish_time_ns)
        )
        if sequence is None:
            sequence = self._next_sequence
            self._next_sequence += 1
        elif type(sequence) is not int:
            sequence = int(operator.index(sequence))
        return self.offer(log_time_ns, publish_time_ns, sequence, data)

    def _keep_and_offer(
        self, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes
    ) -> bool:
        self.latest = (publish_time_ns, sequence, data)
        return self.ring.offer(log_time_ns, publish_time_ns, sequence, data)

    # --- messages that are left out ------------------------------------------------------

    def limit(self, throttle: Throttle | None) -> None:
        """
        Leave messages out as a throttle says; None records all. Producer's thread.

        Others may share it. Of a latched channel the newest message that was left out is held
        back: if none follows in time, it is recorded, so that the newest is never missing.
        """
        if throttle is not self.throttle and self._held is not None:
            self.release()
        self.throttle = throttle
        if throttle is not None:
            self.offer = self._throttle_and_offer
        else:
            self.offer = self._keep_and_offer if self.channel.latched else self.ring.offer

    def _throttle_and_offer(
        self, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes
    ) -> bool:
        ring, throttle, is_latched = self.ring, self.throttle, self.channel.latched
        if is_latched:
            self.latest = (publish_time_ns, sequence, data)
        if throttle is None or not ring.is_open:
            self._forget_held()
            return ring.offer(log_time_ns, publish_time_ns, sequence, data)
        if throttle.admits(abs(log_time_ns)):
            if self._held is not None:
                self._leave_out(abs(self._held[0]))
                self._forget_held()
            if self.throttled != self._marked:
                self._mark()
            return ring.offer(log_time_ns, publish_time_ns, sequence, data)
        if not is_latched:
            self._leave_out(abs(log_time_ns))
            return False
        if self._held is not None:
            self._leave_out(abs(self._held[0]))
        self._held = (log_time_ns, publish_time_ns, sequence, data)
        throttle.holders[self] = None
        return False

    def _leave_out(self, arrival_ns: int, records: int = 1) -> None:
        if self.throttled == self._acknowledged_throttled:
            self._first_throttled_ns = arrival_ns
        self._last_throttled_ns = arrival_ns
        self.throttled += records

    def _mark(self) -> None:
        self._marked = self.throttled
        self._marks.append((self.ring.offered, self.throttled))

    def leave_out(self, records: int) -> None:
        """Count messages that were not to be recorded before the next one; producer's thread."""
        if self.ring.is_open and records > 0:
            now_ns = time.monotonic_ns()
            self._leave_out(now_ns, records)
            self._mark()

    def release(self) -> None:
        """Record the message that is held back, if there is one; producer's thread."""
        held = self._held
        self._forget_held()
        if held is not None:
            self.ring.offer(*held)

    def _forget_held(self) -> None:
        self._held = None
        if self.throttle is not None:
            self.throttle.holders.pop(self, None)

    def acknowledge_throttled(self) -> LeftOut:
        """Return what was left out since the last call; writer's thread."""
        throttled = self.throttled
        records = throttled - self._acknowledged_throttled
        if not records:
            return NOTHING_LEFT_OUT
        first_ns, last_ns = self._first_throttled_ns, self._last_throttled_ns
        self._marks.clear()
        self._acknowledged_throttled = throttled
        return LeftOut(records, first_ns, last_ns)

    def forget_throttled(self) -> None:
        """Forget what was left out before the oldest message in the ring; writer's thread."""
        throttled, marks, gone = self.throttled, self._marks, self.ring.acknowledged
        while marks and marks[0][0] <= gone:
            self._acknowledged_throttled = marks.popleft()[1]
        if not len(self.ring):
            self._acknowledged_throttled = max(self._acknowledged_throttled, throttled)

    # --- losses --------------------------------------------------------------------------

    def count_transport_loss(
        self, first_sequence: int, last_sequence: int, noticed_ns: int = 0
    ) -> None:
        """
        Count the messages of these sequence numbers as lost in transport; producer's thread.

        A jump counts as `MAX_LOSS` messages at most: a publisher's numbers may be absurd. The gap
        was noticed at `noticed_ns` (CLOCK_MONOTONIC); 0 means now.

        Raises:
            TypeError: A number is not an integer.
            ValueError: A number does not fit into 64 bits, or the last is below the first.

        """
        lost, last_sequence = _jump(first_sequence, last_sequence)
        noticed_ns = noticed_ns or time.monotonic_ns()
        records, first, _, first_ns, last_ns, *_ = self.losses
        if self._acknowledged_losses == records:  # all earlier ones are reported
            first, first_ns = int(operator.index(first_sequence)), noticed_ns
            last_ns = noticed_ns
        self.losses = self.losses._replace(
            records=records + lost,
            first_sequence=first,
            last_sequence=last_sequence,
            first_ns=min(first_ns, noticed_ns),
            last_ns=max(last_ns, noticed_ns),
        )

    def count_before_match(
        self, first_sequence: int, last_sequence: int, noticed_ns: int = 0
    ) -> None:
        """
        Count messages that the publisher had sent before it was heard; as `count_transport_loss`.

        For one that has come while a flight is open.
        """
        lost, last_sequence = _jump(first_sequence, last_sequence)
        self.losses = self.losses._replace(
            before_match=self.losses.before_match + lost,
            last_before_match=last_sequence,
            before_match_ns=noticed_ns or time.monotonic_ns(),
        )

    def acknowledge_losses(self) -> TransportLosses:
        """Return the losses since the last call; writer's thread."""
        losses = self.losses
        if losses is self._seen_losses:  # as it is nearly always, for each of hundreds of topics
            return NO_LOSSES
        self._seen_losses = losses
        seen, seen_before_match = self._acknowledged_losses, self._acknowledged_before_match
        self._acknowledged_losses = losses.records
        self._acknowledged_before_match = losses.before_match
        return losses._replace(
            records=losses.records - seen, before_match=losses.before_match - seen_before_match
        )


def _jump(first_sequence: int, last_sequence: int) -> tuple[int, int]:
    """Return how many messages a range of sequence numbers counts as, and the last number."""
    first_sequence = int(operator.index(first_sequence))
    last_sequence = int(operator.index(last_sequence))
    if not 0 <= first_sequence <= last_sequence < 2**64:
        raise ValueError(f'no range of numbers: {first_sequence} to {last_sequence}')
    return min(last_sequence - first_sequence + 1, MAX_LOSS), last_sequence


def _valid_time(time_ns: int) -> int:
    """Return the nearest time that can be stored; raise `TypeError` if it is no integer."""
    if type(time_ns) is not int:
        time_ns = int(operator.index(time_ns))
    return min(max(time_ns, 0), MAX_TIME_NS)
