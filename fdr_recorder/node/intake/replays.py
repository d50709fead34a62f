# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Latched topics while a flight opens: which of them wait, and for what; how that ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.latched_replay import LatchedReplay
from fdr_recorder.node.intake.subscription_protocol import Subscriber, TopicSubscription
from fdr_recorder.node.intake.topic_intake import TopicIntake
from fdr_recorder.node.quarantine import Quarantine

REPLAY: Final = 'cannot be replayed'
"""Work that can fail, in the words of `Quarantine`."""


class Replays:
    """
    Begins and ends the replays of all latched topics. Belongs to the intake thread.

    Attributes:
        is_opening: Whether latched topics wait for a flight that will open now.

    """

    def __init__(
        self, subscriber: Subscriber, times: ArrivalTimes, quarantine: Quarantine
    ) -> None:
        """Begin without a replay."""
        self.is_opening = False
        self._subscriber = subscriber
        self._times = times
        self._quarantine = quarantine

    def hold(
        self, latched: Sequence[TopicIntake], intakes: Iterable[TopicIntake], most_repeated: int
    ) -> None:
        """
        Have latched topics wait, and their publishers send once more what they hold.

        Args:
            latched: These topics; nothing that has arrived waits to be taken.
            intakes: All topics.
            most_repeated: Bytes of latched messages that the flight begins with, at most.

        """
        latched_bytes = sum(intake.latched_bytes for intake in intakes)
        is_repeated = latched_bytes < most_repeated
        for intake in latched:
            producers = dict(intake.producers)
            subscription = None
            if producers:
                with self._quarantine.guard(intake.plan.key, REPLAY):
                    subscription = self._subscriber.subscribe(intake.plan)
            intake.replay = LatchedReplay(
                subscription,
                producers,
                self._times,
                taken=intake.recent,
                is_repeated=is_repeated,
            )

    def join(self, intake: TopicIntake) -> None:
        """Have a topic that is new wait, too, if others do."""
        if self.is_opening and intake.plan.is_latched:
            intake.replay = LatchedReplay(None, {}, self._times, is_repeated=False)

    def begin(self, intakes: Iterable[TopicIntake]) -> None:
        """Record from now on what is replayed: the flight has opened."""
        self.is_opening = False
        for intake in intakes:
            if intake.replay is not None:
                intake.replay.begin()

    def end(self, intake: TopicIntake) -> TopicSubscription | None:
        """End the replay of a topic that has one; return its subscription, to be destroyed."""
        replay, intake.replay = intake.replay, None
        if replay is None:
            return None
        with self._quarantine.guard(intake.plan.key, REPLAY):
            replay.finish()
        intake.arrival_ns = max(intake.arrival_ns, replay.arrival_ns)
        if replay.known:
            intake.leave_out(replay.known)
        return replay.subscription
