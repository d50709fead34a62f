# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The producer's handle on its ring."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from fdr_recorder.capture.ring import Ring, RingBudget
from fdr_recorder.config import RingConfig
from fdr_recorder.record.channel import Channel

MAX_TIME_NS: Final = 2**63 - 1
"""As far as the clocks of ROS 2 and the readers of bags go: the year 2262."""


class Losses(NamedTuple):
    """
    Records of a publisher that never reached this process.

    Attributes:
        records: How many, since the client was made.
        first_sequence: Lowest missing sequence number of the current spell.
        last_sequence: Highest missing sequence number.
        first_ns: When the spell's first gap was noticed (system clock).
        last_ns: When the latest gap was noticed.

    """

    records: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    first_ns: int = 0
    last_ns: int = 0


class FdrClient:
    """
    What a producer holds to have its records written.

    A client belongs to one thread at a time, its producer. Register it with a `FileFdrWriter`;
    from then on the writer's thread takes what is enqueued, while a flight is open.

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
        Make a client with an empty ring.

        Args:
            channel: What its records are.
            config: Bounds of the ring; `total_bytes` is the business of `budget`.
            budget: Memory bound shared with other clients of the same producing thread.

        """
        config = config or RingConfig()
        self.channel = channel
        self.ring = Ring(
            max_records=config.max_records, max_bytes=config.max_bytes, budget=budget
        )
        self.offer = self._keep_and_offer if channel.latched else self.ring.offer
        """As `enqueue`, for who knows log time, publish time (both valid), sequence and data."""
        self.latest: tuple[int, int, bytes] | None = None
        """Publish time, sequence number and data of a latched channel's last message."""
        self.losses = Losses()
        """Replaced as a whole by the producer's thread."""
        self._acknowledged_losses = 0
        self._next_sequence = 0

    def enqueue(
        self,
        data: bytes,
        log_time_ns: int | None = None,
        publish_time_ns: int | None = None,
        sequence: int | None = None,
    ) -> bool:
        """
        Hand a serialised message to the writer. Never blocks, never raises on a full ring.

        Args:
            data: The message in the channel's encoding. `bytes` are kept, not copied.
            log_time_ns: When it was received (system clock); now, if not given.
            publish_time_ns: When it was published; as `log_time_ns`, if not given. Times that
                no clock can show (a publisher's may be broken) become the nearest that one can.
            sequence: The publisher's number for it; counted up by the client, if not given.

        Returns:
            False if no flight is open, or if the ring was full and the record is counted as
            dropped by overrun.

        Raises:
            TypeError: `data` is no bytes.

        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if log_time_ns is None:
            log_time_ns = time.time_ns()
        if publish_time_ns is None:
            publish_time_ns = log_time_ns
        if sequence is None:
            sequence = self._next_sequence
            self._next_sequence += 1
        if not 0 <= log_time_ns <= MAX_TIME_NS or not 0 <= publish_time_ns <= MAX_TIME_NS:
            log_time_ns = min(max(log_time_ns, 0), MAX_TIME_NS)
            publish_time_ns = min(max(publish_time_ns, 0), MAX_TIME_NS)
        return self.offer(log_time_ns, publish_time_ns, sequence, data)

    def _keep_and_offer(
        self, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes
    ) -> bool:
        self.latest = (publish_time_ns, sequence, data)
        return self.ring.offer(log_time_ns, publish_time_ns, sequence, data)

    def count_transport_loss(self, first_sequence: int, last_sequence: int) -> None:
        """Say that the records of these numbers never arrived; producer's thread."""
        now = time.time_ns()
        records, first, _, first_ns, _ = self.losses
        if self._acknowledged_losses == records:  # the writer has told of all before
            first, first_ns = first_sequence, now
        lost = last_sequence - first_sequence + 1
        self.losses = Losses(records + lost, first, last_sequence, first_ns, now)

    def acknowledge_losses(self) -> Losses:
        """Return what was lost since the last call; writer's thread."""
        losses, seen = self.losses, self._acknowledged_losses
        self._acknowledged_losses = losses.records
        return losses._replace(records=losses.records - seen)
