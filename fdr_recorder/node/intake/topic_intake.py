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

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import field
import time
from typing import Final

from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.latched_replay import LatchedReplay
from fdr_recorder.node.intake.overlap import Key, key_of, Overlap
from fdr_recorder.node.intake.producer import OpenGaps, Producer
from fdr_recorder.node.intake.subscription_protocol import (
    is_numbered,
    RawMessage,
    TopicSubscription,
)
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.quick_dataclass import dataclass
from rclpy.qos import HistoryPolicy

UNBOUNDED: Final = 2**31
"""Depth of a queue that keeps all."""
TAKE_LIMIT: Final = 2000
"""Most messages taken from one topic before the next topic."""
MOST_RECENT: Final = 100
"""Messages that are remembered where numbers do not tell which were taken: publishers that come
again repeat what they hold."""


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
        open_gaps: Producers of which numbers are missing; shared by all topics.
        producers: The publishers by gid.
        heard_at: When a message was last taken, or this was made (monotonic seconds).
        arrival_ns: When the newest message had arrived, or this was made (CLOCK_MONOTONIC).
        is_empty: Whether the last look at the subscription left nothing there.
        replay: Latched messages that come first; those of `subscription` wait meanwhile.
        overlap: What another subscription has taken or will take, too; None while there is none.
        recent: The latest messages whose numbers say nothing.

    """

    plan: TopicPlan
    subscription: TopicSubscription
    meet: Callable[[TopicIntake, bytes, bool], Producer]
    times: ArrivalTimes = field(default_factory=ArrivalTimes)
    open_gaps: OpenGaps = field(default_factory=OpenGaps)
    producers: dict[bytes, Producer] = field(default_factory=dict)
    heard_at: float = field(default_factory=time.monotonic)
    arrival_ns: int = field(default_factory=time.monotonic_ns)
    is_empty: bool = False
    replay: LatchedReplay | None = None
    overlap: Overlap | None = None
    recent: deque[Key] = field(default_factory=lambda: deque(maxlen=MOST_RECENT))

    @property
    def served(self) -> TopicSubscription | None:
        """Return the subscription to take from; None while a replay waits for its flight."""
        if self.replay is None:
            return self.subscription
        return self.replay.subscription if self.replay.has_begun else None

    @property
    def depth(self) -> int:
        """How many messages the middleware keeps for the next round, at most."""
        qos = self.plan.qos
        keeps_all = qos.history == HistoryPolicy.KEEP_ALL
        return UNBOUNDED if keeps_all else max(qos.depth, 1)

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
        is_overlapping = self.overlap is not None
        producer = producers.get(message[4]) or self._meet(message)
        last_gid = message[4]
        producer.heard_ns = latest_ns
        offer = producer.client.offer
        taken = last_published_ns = 0
        try:
            while True:
                taken += 1
                data, published_ns, received_ns, number, gid = message
                if gid != last_gid:
                    if last_published_ns > producer.newest_ns:  # noqa: PLR1730 - faster
                        producer.newest_ns = last_published_ns
                    last_gid, last_published_ns = gid, 0
                    producer = producers.get(gid) or self._meet(message)
                    producer.heard_ns = latest_ns
                    offer = producer.client.offer
                if number == producer.next_number and not is_overlapping:
                    sequence: int | None = producer.next_number
                    producer.next_number += 1
                else:
                    producer.newest_ns = max(producer.newest_ns, last_published_ns)
                    sequence = self._follow(producer, gid, number, published_ns)
                last_published_ns = published_ns
                if sequence is not None:
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
            if last_published_ns > producer.newest_ns:  # noqa: PLR1730 - faster
                producer.newest_ns = last_published_ns
        self.heard_at = time.monotonic()
        return taken

    def _meet(self, message: RawMessage) -> Producer:
        """Make the ring of a publisher; it was heard when its first message arrived."""
        _, _, received_ns, number, gid = message
        producer = self.meet(self, gid, is_numbered(number))
        producer.note_first_arrival(received_ns)
        producer.resume(number)
        return producer

    def _follow(
        self, producer: Producer, gid: bytes, number: int | None, published_ns: int
    ) -> int | None:
        """
        Note a message whose number is not the expected one, or that may come twice.

        Return its number in the record; None if another subscription has taken it.
        """
        key = key_of(gid, number, published_ns)
        if self.overlap is not None and (key[1] is not None or published_ns > 0):
            is_new = self.overlap.is_new(key)
        else:
            is_new = True
        if number is not None and self.plan.is_latched and producer.has_sent(number, published_ns):
            is_new = False  # matched again, its publisher repeats what it holds
        if not producer.is_followed:
            self.recent.append(key)
        if not is_new:
            return None
        sequence = producer.number(number, published_ns, self.times.round_ns)
        if producer.has_gaps:
            self.open_gaps.note(producer)
        return sequence

    def await_successor(self) -> None:
        """Remember from now on what is taken: another subscription may take it, too."""
        if self.overlap is None:
            self.overlap = Overlap()
        self.overlap.begin(self.recent)

    def succeed(self, plan: TopicPlan, subscription: TopicSubscription) -> None:
        """Take from another subscription, which has taken nothing before `await_successor`."""
        self.plan, self.subscription = plan, subscription
        if self.overlap is not None:
            self.overlap.take_over()

    def leave_out(self, known: Iterable[Key]) -> None:
        """Leave out messages that another subscription has taken before this one."""
        if self.overlap is None:
            self.overlap = Overlap()
        self.overlap.leave_out(known)

    def end_overlap(self) -> None:
        """Forget what former subscriptions have taken, if it comes no more."""
        if self.overlap is not None and self.overlap.ends_at < time.monotonic():
            self.overlap = None

    def drain_all(self) -> None:
        """Take all available messages."""
        while (message := self.subscription.take()) is not None:
            self.drain(message)
