# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One publisher of one topic: its ring, and what its sequence numbers say of losses."""

from __future__ import annotations

from typing import Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.clock import Reading
from fdr_recorder.node.intake.newcomers import Arrival, SURE
from fdr_recorder.node.intake.subscription_protocol import is_numbered
from fdr_recorder.record.channel import BY_SEQUENCE, LOSS_DETECTION_KEY, NO_DETECTION, NODE_KEY
from fdr_recorder.record.numbering import HISTORY_S, NumberGap, Numbering

GRACE_NS: Final = 1_000_000_000
"""How long missing numbers may still come: topics with keys are delivered in another order."""


class Producer(Numbering):
    """
    One publisher of one topic, or all of them where messages do not tell whose they are.

    A gap that nothing fills within `GRACE_NS` is a loss; what was counted once stays so. Belongs
    to the intake thread.

    Attributes:
        client: Its ring.
        metadata: Of its channel; segments have it as it is when they are begun.
        is_identified: Whether its gid is one that the graph knows.
        met: When it was first heard.
        heard_ns: When the last round began in which it was heard (CLOCK_MONOTONIC).

    """

    def __init__(
        self, client: FdrClient, metadata: dict[str, str], is_identified: bool = True
    ) -> None:
        """Begin without a message."""
        super().__init__()
        self.client = client
        self.metadata = metadata
        self.is_identified = is_identified
        self.met = Reading.now()
        self.heard_ns = 0
        self._unnumbered = 0
        self._arrival: Arrival | None = None
        self._first_heard = 0
        """Of a new one: what is missing below this number was sent before it was heard."""
        self._first_published_ns = 0
        self._is_paused = False

    def expect_all(self, arrival: Arrival = SURE) -> None:
        """
        Expect its first message: it has come while a flight is open.

        Numbers begin at 1. What it has sent before the first that is heard is missing.
        """
        self._arrival, self.next_number = arrival, 1

    def note_first_arrival(self, received_ns: int) -> None:
        """
        Note when its first message arrived (system clock), before it was taken.

        What was published since is no history: if it is missing, it is lost.
        """
        if not self.newest_ns and 0 < received_ns < self.met.system_ns:
            self.met = self.met._replace(system_ns=received_ns)

    def pause(self) -> None:
        """Note that its topic is not to be recorded for a while."""
        self._is_paused = True

    def resume(self, number: int | None) -> None:
        """Note that its topic is to be recorded again, from the message of this number on."""
        if self._is_paused and self.is_followed and number is not None:
            before, self._is_paused = self.next_number, False
            if 0 <= before < number:
                self.client.leave_out(number - before)
                self.next_number = number

    def name(self, node_name: str) -> None:
        """Set the node name that segments store, from the next segment on."""
        if node_name:
            self.metadata[NODE_KEY] = node_name

    @property
    def is_followed(self) -> bool:
        """Whether its numbers tell of losses: the channel says so, too."""
        return self.metadata.get(LOSS_DETECTION_KEY, BY_SEQUENCE) == BY_SEQUENCE

    def number(self, number: int | None, published_ns: int, now_ns: int) -> int:
        """
        Note a message whose number may not be the expected one; return its number in the record.

        Without numbers, messages are counted from 1.
        """
        if number is None or not is_numbered(number):
            self._unnumbered += 1
            self.metadata[LOSS_DETECTION_KEY] = NO_DETECTION
            self.client.is_numbered = False
            self.stop()
            return self._unnumbered
        if self.is_followed:
            met = self.met
            is_history = (
                self.client.channel.latched
                and published_ns < met.system_ns
                and now_ns < met.monotonic_ns + HISTORY_S * 1e9
            )
            if self._arrival is not None and (is_history or self.next_number == 1):
                self._first_heard, is_history = max(self._first_heard, number), False
                self._first_published_ns = self._first_published_ns or published_ns
            self.follow(number, published_ns, now_ns, is_history=is_history)
        return number

    def note_missing(self, gap: NumberGap) -> None:
        """Count numbers that are given up: lost in transport, or sent before it was heard."""
        if gap.last >= self._first_heard:
            self.client.count_transport_loss(*gap)
        elif self._arrival is not None and self._has_come(self._arrival):
            self.client.count_before_match(*gap)

    def _has_come(self, arrival: Arrival) -> bool:
        """Tell whether it has come while the flight was open: by its rate, if that is needed."""
        sent = self.next_number - 1 - self._first_heard
        span_ns = self.newest_ns - self._first_published_ns
        if not arrival.since_ns or sent <= 0 or span_ns <= 0:
            return arrival.is_likely
        began_ns = self._first_published_ns - (self._first_heard - 1) * span_ns / sent
        return began_ns >= arrival.since_ns


class OpenGaps:
    """
    The producers of all topics of which numbers are missing. Belongs to the intake thread.

    Attributes:
        is_patient: Whether gaps wait for `GRACE_NS`; not while a flight closes.

    """

    def __init__(self) -> None:
        """Begin without a gap."""
        self._producers: set[Producer] = set()
        self.is_patient = True

    def __len__(self) -> int:
        """Return how many producers have gaps."""
        return len(self._producers)

    def note(self, producer: Producer) -> None:
        """Note that a producer has gaps; without a flight there is nothing to wait for."""
        if self.is_patient and producer.client.ring.is_open:
            self._producers.add(producer)
        else:
            producer.give_up()

    def settle(self, now_ns: int | None = None) -> None:
        """Count as lost what has not come within the grace, or at once without a time."""
        before_ns = None if now_ns is None else now_ns - GRACE_NS
        for producer in list(self._producers):
            producer.give_up(before_ns)
            if not producer.has_gaps:
                self._producers.discard(producer)
