# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Latched messages when a flight opens: publishers send once more what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
import time
from typing import Final, NamedTuple

from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.overlap import Key, key_of
from fdr_recorder.node.intake.producer import Producer
from fdr_recorder.node.intake.subscription_protocol import (
    is_numbered,
    TopicSubscription,
    UNKNOWN_GID,
)
from fdr_recorder.quick_dataclass import dataclass

REPLAY_DEADLINE_S: Final = 4.0
"""Messages that a publisher has not replayed by then, it does not hold any more. It learns of the
second subscription after milliseconds, or after 3 s if a packet is lost (Fast DDS's heartbeat)."""
OTHERS_DEADLINE_S: Final = 0.5
"""Where numbers do not tell what is held: how long to wait for more after the newest messages."""


class _Message(NamedTuple):
    """A message that was replayed."""

    data: bytes
    arrival_ns: int
    published_ns: int
    number: int | None


@dataclass(eq=False)
class _Wait:
    """What is awaited of a producer, and what has come."""

    producer: Producer
    published_ns: int
    sequence: int
    data: bytes
    messages: list[_Message] = field(default_factory=list)
    has_newest: bool = False

    def is_newest(self, message: _Message) -> bool:
        """Tell whether a message is the last one that the first subscription had received."""
        if self.producer.is_followed:
            return message.number == self.sequence
        return (message.published_ns, message.data) == (self.published_ns, self.data)


class LatchedReplay:
    """
    Have the publishers of one latched topic send once more what they hold.

    The topic's subscription is older than the flight: it has received these messages already, and
    they were discarded. A second subscription receives them again, and the flight gets them. The
    first one waits meanwhile, so that all messages are in order, none missing, none twice: where
    numbers tell which messages the first one has, too, these are left to it; else it leaves out
    what is `known`.

    Belongs to the intake thread.

    Attributes:
        subscription: The second subscription, if there is one.
        known: Recorded messages that the first subscription may have, too.
        arrival_ns: When the newest message had arrived, or this was made (CLOCK_MONOTONIC).

    """

    def __init__(
        self,
        subscription: TopicSubscription | None,
        producers: Mapping[bytes, Producer],
        times: ArrivalTimes,
        *,
        taken: Iterable[Key] = (),
        is_repeated: bool,
    ) -> None:
        """
        Prepare; nothing is taken before `begin`.

        Args:
            subscription: The second one, transient-local; None without publishers: then new
                messages only wait for the flight.
            producers: The topic's publishers by gid.
            times: Dates the messages.
            taken: Messages that the first subscription has taken, where numbers do not tell.
            is_repeated: Whether the flight has the last message of each publisher anyway.

        """
        self.subscription = subscription
        self.known: list[Key] = []
        self._taken = Counter(taken)
        self._is_repeated = is_repeated
        self._waits = {
            gid: _Wait(producer, *producer.client.latest)
            for gid, producer in producers.items()
            if producer.client.latest is not None
        }
        self._waiting = set(self._waits)
        self.arrival_ns = time.monotonic_ns()
        self._times = times
        self._deadline: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether `begin` was called."""
        return self._deadline is not None

    def begin(self) -> None:
        """Take messages from now on: the flight has opened."""
        self._deadline = time.monotonic() + REPLAY_DEADLINE_S

    def advance(self) -> bool:
        """Record what has arrived; return whether that was all, or the deadline has passed."""
        if self._deadline is None:
            return False
        while self.subscription is not None and time.monotonic() < self._deadline:
            message = self.subscription.take()
            if message is None:
                return not self._waiting
            is_old = self._take(*message)
            if not is_old and not self._waiting:
                break
        return True

    def finish(self) -> None:
        """End at once: record what has arrived, even if no more of it can be taken."""
        if not self.has_begun:
            return
        try:
            self.advance()
        finally:
            for gid in list(self._waiting):
                self._record(gid)

    def _take(
        self, data: bytes, published_ns: int, received_ns: int, number: int | None, gid: bytes
    ) -> bool:
        """Take a message; return False if it is left to the first subscription."""
        if gid not in self._waits and UNKNOWN_GID in self._waits:
            gid = UNKNOWN_GID  # too many to tell them apart
        wait = self._waits.get(gid)
        if wait is None:
            return False
        is_followed = wait.producer.is_followed
        if is_followed and (not is_numbered(number) or (number or 0) > wait.sequence):
            return False
        self.arrival_ns = self._times.place(received_ns, self.arrival_ns)
        message = _Message(data, self.arrival_ns, published_ns, number)
        wait.has_newest |= wait.is_newest(message)
        if gid not in self._waiting:
            self._offer(wait, message)
        else:
            wait.messages.append(message)
        if is_followed:
            if wait.has_newest and gid in self._waiting:
                self._record(gid)
            return True
        key = key_of(gid, number, published_ns)
        if self._taken[key] > 0:
            self._taken[key] -= 1
        else:
            self.known.append(key)
        if all(each.has_newest for each in self._waits.values()):
            deadline = time.monotonic() + OTHERS_DEADLINE_S
            self._deadline = min(deadline, self._deadline or deadline)
        return True

    def _record(self, gid: bytes) -> None:
        self._waiting.discard(gid)
        wait = self._waits[gid]
        messages, producer = wait.messages, wait.producer
        if self._is_repeated and messages and wait.is_newest(messages[0]):
            del messages[0]  # nothing older is held: the flight begins with it
        is_cut = bool(messages) and producer.is_followed
        if not self._is_repeated and not wait.has_newest and not is_cut:
            if not messages:  # its publisher may be gone; the last message is here
                self.arrival_ns = time.monotonic_ns()
            arrival_ns = messages[0].arrival_ns if messages else self.arrival_ns
            newest = _Message(wait.data, arrival_ns, wait.published_ns, wait.sequence)
            messages.insert(0, newest)
        for message in messages:
            self._offer(wait, message)
        if is_cut and not wait.has_newest:
            highest = max(message.number or 0 for message in messages)
            producer.client.count_transport_loss(highest + 1, wait.sequence)

    def _offer(self, wait: _Wait, message: _Message) -> None:
        wait.producer.client.offer(
            -message.arrival_ns,
            max(message.published_ns, 0),
            self._sequence(wait, message),
            message.data,
        )

    def _sequence(self, wait: _Wait, message: _Message) -> int:
        """Return the number of a message in the record: the one that it had there before."""
        if message.number is not None and is_numbered(message.number):
            return message.number
        if wait.is_newest(message):
            return wait.sequence
        return wait.producer.number(None, message.published_ns, 0)
