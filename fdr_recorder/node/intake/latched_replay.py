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

from collections.abc import Mapping
import time
from typing import Any, Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.subscription_protocol import TopicSubscription

REPLAY_DEADLINE_S: Final = 4.0
"""Messages that a publisher has not replayed by then, it does not hold any more. It learns of the
second subscription after milliseconds, or after 3 s if a packet is lost (Fast DDS's heartbeat)."""
OTHERS_DEADLINE_S: Final = 0.5
"""Without gids: how long to wait for other publishers after the newest message."""

_Message = tuple[bytes, int, int, int]
"""Data, time of arrival (CLOCK_MONOTONIC), publish time, sequence number."""


class LatchedReplay:
    """
    Have the publishers of one latched topic send once more what they hold.

    The topic's subscription is older than the flight: it has received these messages already, and
    they were discarded. A second subscription receives them again; the flight gets those that the
    first one had received before. The first one waits meanwhile, so that all messages are in
    order, none missing, none twice.

    Belongs to the intake thread.

    Attributes:
        subscription: The second subscription, if there is one.
        known: Publish time and sequence number of each recorded message, where messages do not
            tell their publisher.
        arrival_ns: When the newest message had arrived, or this was made (CLOCK_MONOTONIC).

    """

    def __init__(
        self,
        subscription: TopicSubscription | None,
        clients: Mapping[bytes, FdrClient],
        times: ArrivalTimes,
        *,
        is_repeated: bool,
    ) -> None:
        """
        Prepare; nothing is taken before `begin`.

        Args:
            subscription: The second one, transient-local; None without publishers: then new
                messages only wait for the flight.
            clients: The clients of the topic's publishers by gid.
            times: Dates the messages.
            is_repeated: Whether the flight has the last message of each publisher anyway.

        """
        self.subscription = subscription
        self.known: set[tuple[int, int]] = set()
        self._is_repeated = is_repeated
        self._waiting = {
            gid: (client, client.latest, list[_Message]())
            for gid, client in clients.items()
            if client.latest is not None
        }
        self.arrival_ns = time.monotonic_ns()
        self._times = times
        self._held_ns = time.time_ns()
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
        while self._waiting and self.subscription is not None:
            message = self.subscription.take()
            if message is None:
                return time.monotonic() >= self._deadline
            self._take(*message)
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

    def _take(self, data: bytes, info: Mapping[str, Any]) -> None:
        publisher = info.get('publisher_gid')
        gid = publisher['data'] if publisher is not None else b''
        if gid not in self._waiting:
            return
        _, latest, messages = self._waiting[gid]
        published_ns, sequence = info['source_timestamp'], info['publication_sequence_number']
        is_new = sequence > latest[1] if gid else published_ns > self._held_ns
        if is_new:  # the first subscription has it, too
            return
        if gid and messages and sequence != messages[-1][3] + 1:
            messages.clear()  # while sending, the publisher has replaced the older ones
        self.arrival_ns = self._times.place(info['received_timestamp'], self.arrival_ns)
        messages.append((data, self.arrival_ns, published_ns, sequence))
        if gid:
            if sequence == latest[1]:
                self._record(gid)
            return
        self.known.add((published_ns, sequence))
        if (published_ns, sequence) == latest[:2]:
            self._deadline = time.monotonic() + OTHERS_DEADLINE_S

    def _record(self, gid: bytes) -> None:
        client, (published_ns, last, data), messages = self._waiting.pop(gid)
        if not messages:
            if not self._is_repeated:  # its publisher may be gone; the last message is here
                client.enqueue(data, None, published_ns, last)
                self.arrival_ns = time.monotonic_ns()
            return
        end = messages[-1]
        if self._is_repeated and len(messages) == 1 and end[2:] == (published_ns, last):
            return
        for data, arrival_ns, published_ns, sequence in messages:
            client.offer(-arrival_ns, max(published_ns, 0), sequence, data)
        if gid and end[3] < last:
            client.count_transport_loss(end[3] + 1, last)
