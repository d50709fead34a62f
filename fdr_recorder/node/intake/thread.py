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
The intake thread: takes the messages of all topics from the middleware into the rings.

It takes them from a `Subscriber`: `wait_set`, which bypasses rclpy's executors, or `executor`,
which is slower and needs only rclpy's public interface. Each topic and type has an intake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
import math
import threading
import time
from typing import Final

from fdr_recorder.config import RingConfig
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.producer import OpenGaps
from fdr_recorder.node.intake.publishers import Publishers
from fdr_recorder.node.intake.replays import REPLAY, Replays
from fdr_recorder.node.intake.requests import Requests
from fdr_recorder.node.intake.subscription_protocol import (
    Subscriber,
    TopicSubscription,
    UNKNOWN_GID,
)
from fdr_recorder.node.intake.successor import Successor
from fdr_recorder.node.intake.topic_intake import TAKE_LIMIT, TopicIntake
from fdr_recorder.node.intake.waiting import lend_wait, Pace, WAIT
from fdr_recorder.node.quarantine import FAULTS, Quarantine
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.topics.names import TopicType
from rclpy.node import Node

MOST_GATHERS: Final = 20
"""Most calls of `gather` in a row: new messages may arrive all the time."""
RENEW_AFTER: Final = 3
"""Failures in succession after which a topic gets a new subscription for its next try."""
LONGEST_STOP_S: Final = 1.0
"""Longest pause when all topics fail at once: meanwhile the middleware keeps their messages."""

FOLLOW: Final = 'does not tell whether its publishers come and leave'
TAKE: Final = 'cannot be taken from the middleware'
RENEW: Final = 'cannot be subscribed to anew'
SERVE: Final = 'messages cannot be taken'
"""Work that can fail, in the words of `Quarantine`."""


class IntakeThread:
    """
    Take messages from the middleware and hand them to the writer.

    Methods about topics are called by the graph watch's thread, the others by the thread of the
    node's executor; everything else happens in the intake thread. It ends only when asked to: an
    error costs the topic at which it happens a pause, as `Quarantine` decides, or all topics a
    short one. Without a wait set that works, the thread looks for messages without waiting.

    Attributes:
        intakes: By topic and type; while the thread runs, only it changes them.

    """

    def __init__(
        self,
        node: Node,
        subscriber: Subscriber,
        writer: FileFdrWriter,
        config: RingConfig,
        quarantine: Quarantine,
    ) -> None:
        """Make an intake without topics, not started; `stop` closes the subscriber."""
        self._quarantine = quarantine
        self._node = node
        self._subscriber = subscriber
        self._writer = writer
        self._publishers = Publishers(node, writer, config, quarantine)
        self._times = ArrivalTimes()
        self._open_gaps = OpenGaps()
        self.intakes: dict[TopicType, TopicIntake] = {}
        self._successors: dict[TopicType, Successor] = {}
        self._replaced: list[TopicSubscription] = []
        self._requests = Requests(subscriber, quarantine)
        self._pace = Pace(self._requests, writer, self._times)
        self._thread: threading.Thread | None = None
        self._must_stop = threading.Event()
        self._is_set_stale = False
        self._replays = Replays(subscriber, self._times, quarantine)

    # --- topics --------------------------------------------------------------------------

    def add(self, plan: TopicPlan, *, is_late: bool = False) -> None:
        """
        Subscribe to a topic; raise RCLError if the middleware refuses.

        What it sent before is not missing if it `is_late`: it was not to be recorded.
        """
        self._publishers.newcomers.list(plan.publishers, are_old=is_late)
        subscription = self._subscriber.subscribe(plan)
        intake = TopicIntake(
            plan, subscription, self._publishers.meet, self._times, self._open_gaps
        )

        def add() -> None:
            self.intakes[plan.key] = intake
            self._replays.join(intake)

        self._requests.make(add)

    def remove(self, key: TopicType, *, is_unwanted: bool = False) -> None:
        """Unsubscribe from a topic; what its publishers send then is left out if `is_unwanted`."""
        self._drop_successor(key)

        def remove() -> None:
            intake = self.intakes.pop(key)
            self._take_all([intake])
            self._quarantine.drop(key)
            for gid, producer in list(intake.producers.items()):
                self._publishers.part_with(intake, gid)
                if is_unwanted:
                    producer.pause()
            self._replaced.append(intake.subscription)
            if not any(other.topic == key.topic for other in self.intakes):
                self._publishers.throttles.drop(key.topic)

        self._requests.make_and_wait(remove)
        self.tidy()

    def limit(self, plan: TopicPlan) -> None:
        """Record a topic at the rate of this plan from now on."""

        def limit() -> None:
            intake = self.intakes[plan.key]
            intake.plan = replace(intake.plan, max_rate_hz=plan.max_rate_hz)
            self._publishers.throttles.apply([intake])

        self._requests.make_and_wait(limit)

    def name_publishers(self, key: TopicType, nodes: Mapping[bytes, str]) -> None:
        """Set the node names of a topic's publishers; the graph learns them after the gids."""
        self._publishers.newcomers.list(nodes)

        def name() -> None:
            intake = self.intakes[key]
            intake.plan = replace(intake.plan, publishers=nodes)
            for gid, producer in intake.producers.items():
                producer.name(nodes.get(gid, ''))
            self._publishers.retire_surplus(intake)

        self._requests.make(name)

    def replace(self, plan: TopicPlan) -> None:
        """Subscribe to a topic with another QoS; no message is recorded twice or missed."""
        self._drop_successor(plan.key)
        # first: what the other one takes may be taken already
        intake = self.intakes[plan.key]
        self._requests.make_and_wait(intake.await_successor)
        self._successors[plan.key] = Successor(plan, self._subscriber.subscribe(plan))

    def _drop_successor(self, key: TopicType) -> None:
        if (successor := self._successors.pop(key, None)) is not None:
            successor.subscription.destroy()

    @property
    def is_adapting(self) -> bool:
        """Whether `tidy` has something to do soon."""
        return bool(self._successors or self._replaced)

    def tidy(self) -> None:
        """Switch to new subscriptions that are due; destroy those that were replaced."""
        now = time.monotonic()
        for intake in list(self.intakes.values()):
            if intake.overlap is not None and intake.overlap.ends_at < now:
                self._requests.make(intake.end_overlap)
        while self._replaced:
            with self._quarantine.guard('', 'a subscription cannot be destroyed'):
                self._replaced.pop().destroy()
        for key, successor in list(self._successors.items()):
            if now >= successor.due_at:
                del self._successors[key]
                self._requests.make(partial(self._take_over, successor))

    def changed_topics(self) -> set[str]:
        """Return the topics whose publishers have changed since the last call."""
        changed = set()
        for key, intake in list(self.intakes.items()):
            if not self._quarantine.holds(key, FOLLOW):
                with self._quarantine.guard(key, FOLLOW):
                    if intake.subscription.has_changed():
                        changed.add(key.topic)
        return changed

    def matched(self, key: TopicType) -> int:
        """Return the number of publishers at the last call of `changed_topics`."""
        intake = self.intakes.get(key)
        return intake.subscription.matched if intake is not None else 0

    def silence_s(self, keys: Iterable[TopicType]) -> float:
        """Return the seconds since the last message of any of these; 0 if all are unknown."""
        heard_at = [intake.heard_at for intake in map(self.intakes.get, keys) if intake]
        return time.monotonic() - max(heard_at) if heard_at else 0.0

    def publishers(self, key: TopicType) -> set[bytes]:
        """Return the gids that have a ring, and that the graph knows or knew; any thread."""
        intake = self.intakes.get(key)
        producers = list(intake.producers.items()) if intake is not None else []
        return {gid for gid, producer in producers if producer.is_identified}

    def forget_publishers(self, key: TopicType, gone: set[bytes]) -> None:
        """
        Retire the rings of publishers that have left; the writer still takes what they hold.

        `UNKNOWN_GID` stands for all that the graph does not know.
        """

        def forget() -> None:
            self._gather()
            intake = self.intakes[key]
            self._drain(intake)  # else their last messages would make a new ring
            for gid, producer in list(intake.producers.items()):
                if (gid if producer.is_identified else UNKNOWN_GID) in gone:
                    self._publishers.part_with(intake, gid)

        self._requests.make(forget)

    # --- flights -------------------------------------------------------------------------

    def hold_latched(self) -> None:
        """
        Ask latched publishers to send once more what they hold: a flight will open now.

        Latched topics wait from now until `replay_latched` and the end of the replay, also those
        that are added meanwhile.
        """

        def hold() -> None:
            self._replays.is_opening = True
            self._publishers.newcomers.begin_flight()
            latched = [intake for intake in self.intakes.values() if intake.plan.is_latched]
            self._take_all(latched)  # makes all publishers known
            self._open_gaps.settle()
            self._open_gaps.is_patient = True
            most_repeated = self._writer.config.segment_size_bytes // 4
            self._replays.hold(latched, self.intakes.values(), most_repeated)

        self._requests.make_and_wait(hold)

    def replay_latched(self) -> None:
        """Record what latched publishers hold; the flight has opened."""
        self._requests.make(lambda: self._replays.begin(self.intakes.values()))

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name='fdr_intake', daemon=True)
        self._requests.has_thread = True
        self._thread.start()

    def catch_up(self) -> bool:
        """
        Wait until all messages that arrived before this call are in the rings.

        From now on until the next flight, missing numbers are lost at once. Return False if that
        takes longer than `requests.DEADLINE_S`.
        """

        def catch_up() -> None:
            self._open_gaps.is_patient = False
            self._take_all(self.intakes.values())
            self._open_gaps.settle()
            self._publishers.throttles.release_all()

        return self._requests.make_and_wait(catch_up)

    def pause(self, always: Set[str]) -> None:
        """Leave out and count what arrives from now on, but for some topics, until `resume`."""
        self._requests.make_and_wait(lambda: self._pause(always))

    def resume(self) -> None:
        """Record again what arrives from now on. Idempotent."""
        self._requests.make_and_wait(lambda: self._pause(None))

    def _pause(self, always: Set[str] | None) -> None:
        """Take what has arrived, then pause all topics but some; None resumes."""
        self._take_all(self.intakes.values())
        self._publishers.throttles.pause(always)
        self._publishers.throttles.apply(self.intakes.values())

    def stop(self) -> None:
        """End the thread, release rings and subscriptions. Idempotent."""
        self._must_stop.set()
        self._requests.wake()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._requests.has_thread = False
        self._requests.answer()
        for key in list(self.intakes):
            self.remove(key)
        self.tidy()
        self._subscriber.close()
        self._quarantine.drop('')

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._must_stop.is_set():
            try:
                self._serve()
            except FAULTS as error:
                pause_s = self._quarantine.blame(
                    '', SERVE, error, 'intake_failed', longest_s=LONGEST_STOP_S
                )
                self._must_stop.wait(pause_s)

    def _serve(self) -> None:
        """
        Take messages until the set of subscriptions changes, or a topic in quarantine is due.

        While messages come, every round takes from every subscription: an empty one costs one
        microsecond. Filling the wait set, as each wait needs, costs a hundred. So the thread waits
        only after a whole pause without a message.
        """
        held = self._quarantine.held(TAKE)
        retry_at = min((*held.values(), *self._quarantine.held(WAIT).values()), default=math.inf)
        intakes = [intake for key, intake in self.intakes.items() if key not in held]
        on_trial = self._quarantine.failing(TAKE)
        for intake in intakes:
            intake.is_empty = False  # it may not have been looked at for long
        self._is_set_stale = False
        throttles, pace = self._publishers.throttles, self._pace
        served = [intake.served for intake in intakes if intake.served is not None]
        with ExitStack() as stack:
            wait = lend_wait(stack, self._subscriber, served, self._quarantine, self._renew_set)
            pace.serve(min((intake.depth for intake in intakes), default=TAKE_LIMIT))
            replaying = [intake for intake in intakes if intake.replay is not None]
            asked = [
                (intake.subscription.take, intake, 1 / min(intake.depth, TAKE_LIMIT))
                for intake in intakes
                if intake.replay is None
            ]
            while not (
                self._requests.pending
                or self._is_set_stale
                or self._must_stop.is_set()
                or time.monotonic() >= retry_at
            ):
                self._times.begin_round()
                self._subscriber.gather()
                taken, fullness = 0, 0.0
                for take, intake, share in asked:
                    try:
                        message = take()
                        if message is not None:
                            of_topic = intake.drain(message)
                            taken += of_topic
                            fullness = max(fullness, of_topic * share)
                            if on_trial and intake.plan.key in on_trial:
                                self._quarantine.relent(intake.plan.key, TAKE)
                    except FAULTS as error:
                        self._blame(intake, error)
                for intake in replaying:
                    is_over = intake.replay is not None
                    with self._quarantine.guard(intake.plan.key, REPLAY):
                        is_over = intake.replay is not None and intake.replay.advance()
                    if is_over:
                        self._end_replay(intake)
                self._quarantine.relent('', SERVE)
                if self._open_gaps:
                    self._open_gaps.settle(self._times.round_ns)
                if throttles:
                    throttles.release(self._times.round_ns)
                if not taken and not self._is_set_stale:
                    pace.give_turn()
                    wait()
                size = self._publishers.count_bytes()
                pace.rest(taken, fullness, size, is_urgent=bool(replaying))
        self._requests.answer()

    def _renew_set(self) -> None:
        """End `_serve` after this round; it is called again."""
        self._is_set_stale = True

    def _blame(self, intake: TopicIntake, error: BaseException) -> None:
        """Leave a topic alone for a while; if it goes on failing, with a new subscription."""
        key = intake.plan.key
        self._is_set_stale = True
        self._quarantine.blame(key, TAKE, error)
        if self._quarantine.faults(key, TAKE) < RENEW_AFTER:
            return
        with self._quarantine.guard(key, RENEW):
            intake.await_successor()
            subscription = self._subscriber.subscribe(intake.plan)
            self._replaced.append(intake.subscription)
            intake.succeed(intake.plan, subscription)

    def _gather(self) -> None:
        """Make all messages that have arrived available to `take`."""
        for _ in range(MOST_GATHERS):
            if not self._subscriber.gather():
                return

    def _take_all(self, intakes: Iterable[TopicIntake]) -> None:
        """Take all messages that have arrived for some topics; end their replays."""
        self._times.begin_round()
        self._gather()
        for intake in intakes:
            self._end_replay(intake)
            self._drain(intake)

    def _drain(self, intake: TopicIntake) -> None:
        """Take all messages of a topic that can be taken."""
        try:
            intake.drain_all()
        except FAULTS as error:
            self._blame(intake, error)

    def _end_replay(self, intake: TopicIntake) -> None:
        """End a replay, if there is one: from now on the topic is served like the others."""
        if intake.replay is None:
            return
        subscription = self._replays.end(intake)
        if subscription is not None:
            self._replaced.append(subscription)
        self._is_set_stale = True

    def _take_over(self, successor: Successor) -> None:
        """Switch a topic to its new subscription, unless a replay must be over first."""
        key = successor.plan.key
        intake = self.intakes[key]
        if intake.replay is not None:
            if self._successors.setdefault(key, successor) is not successor:
                self._replaced.append(successor.subscription)
            return
        self._gather()
        self._drain(intake)
        self._replaced.append(intake.subscription)
        intake.succeed(successor.plan, successor.subscription)
