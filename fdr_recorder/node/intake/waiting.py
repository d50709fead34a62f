# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Waiting for messages, with a middleware that may not be able to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
import math
import time
from typing import Final

from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.requests import Requests
from fdr_recorder.node.intake.subscription_protocol import Subscriber, TopicSubscription
from fdr_recorder.node.quarantine import FAULTS, Quarantine
from fdr_recorder.storage.writer import FileFdrWriter

REST_S: Final = 0.15
"""Longest time from a round to the next: one wake-up then serves many messages, as one of the
writer's."""
REST_SHARE: Final = 0.6
"""The same as a share of `flush_interval_s`: the rest is for the writer and the file."""
SHORT_REST_S: Final = 0.04
"""The same for what is urgent, and for short queues."""
LEAST_REST_S: Final = 0.002
QUEUE_RATE: Final = 25_000
"""A queue should have room for so many messages a second from the first pause on..."""
QUEUE_SHARE: Final = 0.25
"""...and not be fuller than this after those that follow."""
WAITING_BYTES: Final = 8 * 1024 * 1024
"""Memory of messages that should wait in the middleware, at most."""
WAIT: Final = 'messages cannot be waited for, so the intake looks for them all the time'


def lend_wait(
    stack: ExitStack,
    subscriber: Subscriber,
    served: Sequence[TopicSubscription],
    quarantine: Quarantine,
    on_fault: Callable[[], None],
) -> Callable[[], None]:
    """
    Return a function that waits for a message of these subscriptions, as `Subscriber.serving`.

    Messages can be taken without waiting. So if waiting fails, the alert `intake_failed` is
    raised, and for a while the returned function does nothing.

    Args:
        stack: What the middleware holds while the function is used.
        subscriber: Whose subscriptions they are.
        served: The subscriptions.
        quarantine: Decides when waiting is tried again: not before its time for `WAIT`.
        on_fault: Called when waiting fails; the function should then be replaced.

    """

    def blame(error: BaseException) -> None:
        quarantine.blame('', WAIT, error, 'intake_failed')
        on_fault()

    if quarantine.holds('', WAIT):
        return lambda: None
    try:
        wait_for_messages = stack.enter_context(subscriber.serving(served))
    except FAULTS as error:
        blame(error)
        return lambda: None

    def wait() -> None:
        try:
            wait_for_messages()
        except FAULTS as error:
            blame(error)
        else:
            quarantine.relent('', WAIT)

    return wait


class Pace:
    """
    Rests between the rounds of the intake, and gives the writer its turn.

    Meanwhile the middleware keeps the messages, in a queue for each topic. What has arrived since
    the round before tells how soon one of them is full. What has waited there shall not wait once
    more in its ring: the writer looks at the rings now if it has not for long when the next round
    comes.
    """

    def __init__(self, requests: Requests, writer: FileFdrWriter, times: ArrivalTimes) -> None:
        """Begin; requests end a rest, and the writer is woken for its turn."""
        self._requests = requests
        self._writer = writer
        self._times = times
        self._period_s = min(REST_S, writer.config.flush_interval_s * REST_SHARE)
        self._longest_s = self._period_s
        self._former_round, self._writers_turn = -math.inf, time.monotonic()
        self._has_more = False
        """Whether rings hold what the writer was not woken for."""
        self._filling = 0.0
        """How often in a second as much arrives as should wait at most."""

    def serve(self, depth: int) -> None:
        """Serve topics of whose queues the shortest keeps `depth` messages."""
        self._longest_s = min(self._period_s, max(SHORT_REST_S, depth / QUEUE_RATE))

    def rest(self, taken: int, fullness: float, size: int, *, is_urgent: bool) -> None:
        """
        Rest after a round.

        Args:
            taken: How many messages there were.
            fullness: How full the fullest queue was: 0 to 1.
            size: Bytes of the messages in all of them.
            is_urgent: Whether somebody waits for the next round. It should come soon as well where
                messages have the time of the take instead of their arrival.

        """
        now = time.monotonic()
        passed_s, self._former_round = max(now - self._former_round, 1e-6), now
        share = max(fullness / QUEUE_SHARE, size / WAITING_BYTES)
        self._filling = max(share / passed_s, self._filling / 2)  # one round tells little
        is_urgent = self._times.are_late(taken) or is_urgent
        rest_s = min(self._longest_s, SHORT_REST_S) if is_urgent else self._longest_s
        worked_s = now - self._times.round_ns / 1e9 if taken else 0.0  # else it has waited
        rest_s = max(min(rest_s, 1 / max(self._filling, 1.0)) - worked_s, LEAST_REST_S)
        self._has_more = self._has_more or taken > 0
        if now + rest_s > self._writers_turn:
            self.give_turn()
        if fullness < 1.0:
            self._requests.rest(rest_s)

    def give_turn(self) -> None:
        """Let the writer look at what it was not woken for; call it before a wait."""
        if self._has_more:
            self._has_more = False
            self._writers_turn = time.monotonic() + self._period_s
            self._writer.wake()
