# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The intake of one topic: its messages go to the rings of their publishers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.latched_replay import LatchedReplay
from fdr_recorder.node.intake.subscription_protocol import RawMessage, TopicSubscription
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.record.channel import NODE_KEY

TAKE_LIMIT: Final = 2000
"""Most messages taken from one topic before the next topic."""
MAX_REPEAT: Final = 1 << 20
"""A number that is lower by more is no repetition: subscriptions overlap for a second only."""
UNKNOWN_GID: Final = b''
"""Stands for all publishers of a topic where rclpy does not tell the publisher."""
NOT_NUMBERED: Final = 2**64 - 1
"""What the middleware gives for the number of a message if it does not number them; None, too."""


def is_numbered(number: object) -> bool:
    """Tell whether the middleware has numbered a message."""
    return isinstance(number, int) and 0 <= number < NOT_NUMBERED


@dataclass(eq=False)
class Producer:
    """One publisher of one topic."""

    client: FdrClient
    metadata: dict[str, str]
    next_sequence: int | None = None
    """The number after that of the last message; None before the first, or without a gid."""

    def name(self, node_name: str) -> None:
        """Set the node name that segments store, from the next segment on."""
        if node_name:
            self.metadata[NODE_KEY] = node_name


@dataclass(eq=False)
class TopicIntake:
    """
    Take the messages of one topic and hand them to the rings of their publishers.

    Belongs to the intake thread.

    Attributes:
        plan: How to record the topic.
        subscription: Where the messages come from.
        meet: Makes the ring of a publisher, at its first message.
        times: Dates messages; shared by all topics.
        producers: The publishers by gid.
        heard_at: When a message was last taken, or this was made (monotonic seconds).
        arrival_ns: When the newest message had arrived, or this was made (CLOCK_MONOTONIC).
        is_empty: Whether the last look at the subscription left nothing there.
        replay: Latched messages that come first; those of `subscription` wait meanwhile.
        known: Without gids: publish time and sequence number of each message that another
            subscription may have taken, too; None while there is no other.

    """

    plan: TopicPlan
    subscription: TopicSubscription
    meet: Callable[[TopicIntake, bytes, bool], Producer]
    times: ArrivalTimes = field(default_factory=ArrivalTimes)
    producers: dict[bytes, Producer] = field(default_factory=dict)
    heard_at: float = field(default_factory=time.monotonic)
    arrival_ns: int = field(default_factory=time.monotonic_ns)
    is_empty: bool = False
    replay: LatchedReplay | None = None
    known: set[tuple[int, int]] | None = None

    @property
    def served(self) -> TopicSubscription | None:
        """Return the subscription to take from; None while a replay waits for its flight."""
        if self.replay is None:
            return self.subscription
        return self.replay.subscription if self.replay.has_begun else None

    @property
    def latched_bytes(self) -> int:
        """Size of the latched messages that each segment repeats at its start."""
        kept = (producer.client.latest for producer in self.producers.values())
        return sum(len(message[2]) for message in kept if message is not None)

    def drain(self, message: RawMessage) -> int:
        """
        Take all available messages, up to `TAKE_LIMIT`; return how many.

        The caller has taken the first message. The loop runs once for every message; rclpy's take
        is nine tenths of its cost.
        """
        take, producers = self.subscription.take, self.producers
        times = self.times
        shift_ns, latest_ns = times.shift_ns, times.round_ns
        earliest_ns = max(self.arrival_ns, times.emptied_ns) if self.is_empty else self.arrival_ns
        last_gid: bytes | None = None
        taken = 0
        try:
            while True:
                taken += 1
                data, info = message
                publisher = info.get('publisher_gid')
                gid = publisher['data'] if publisher is not None else UNKNOWN_GID
                if gid != last_gid:
                    last_gid = gid
                    number = info['publication_sequence_number']
                    producer = producers.get(gid) or self.meet(self, gid, is_numbered(number))
                    offer = producer.client.offer
                sequence = info['publication_sequence_number'] or 0
                published_ns, received_ns = info['source_timestamp'], info['received_timestamp']
                if sequence == producer.next_sequence or self._is_new(
                    producer, published_ns, sequence
                ):
                    if gid:
                        producer.next_sequence = sequence + 1
                    arrival_ns = received_ns + shift_ns
                    if not earliest_ns <= arrival_ns <= latest_ns:
                        arrival_ns = times.place(received_ns, earliest_ns)
                    earliest_ns = arrival_ns
                    offer(-arrival_ns, published_ns if published_ns > 0 else 0, sequence, data)
                if taken >= TAKE_LIMIT:
                    break
                following = take()
                if following is None:
                    break
                message = following
        finally:
            self.arrival_ns, self.is_empty = earliest_ns, taken < TAKE_LIMIT
        self.heard_at = time.monotonic()
        return taken

    def _is_new(self, producer: Producer, published_ns: int, sequence: int) -> bool:
        """
        Check a message whose number is not the expected one; count those in between as lost.

        It is not new if another subscription of the topic has taken it already.
        """
        expected = producer.next_sequence
        if expected is not None:
            if expected - MAX_REPEAT <= sequence < expected:
                return False
            first = max(expected, 0)
            if sequence > first:  # else its numbers begin anew
                producer.client.count_transport_loss(first, sequence - 1)
        elif self.known is not None:
            if (published_ns, sequence) in self.known:
                return False
            self.known.add((published_ns, sequence))
        return True

    def drain_all(self) -> None:
        """Take all available messages."""
        while (message := self.subscription.take()) is not None:
            self.drain(message)
