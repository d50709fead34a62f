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
which is slower and needs only rclpy's public interface. rclpy 7.1 (Jazzy) does not tell the
publisher of a message: there a topic has one ring for all its publishers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
import logging
import threading
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import RingBudget
from fdr_recorder.config import RingConfig
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.latched_replay import LatchedReplay
from fdr_recorder.node.intake.subscription_protocol import Subscriber, TopicSubscription
from fdr_recorder.node.intake.topic_intake import Producer, TopicIntake, UNKNOWN_GID
from fdr_recorder.node.topic_plan import node_names, TopicPlan
from fdr_recorder.record.channel import Channel
from fdr_recorder.storage.writer import FileFdrWriter
from rclpy.node import Node

logger = logging.getLogger(__name__)

REST_S: Final = 0.02
"""Pause after a round, so that one wake-up serves many messages. Meanwhile the middleware keeps
`intake_depth` messages of each topic."""
REST_PER_TOPIC_S: Final = 0.00012
"""Pause for so long if that is more: a take that finds nothing costs a hundredth of it."""
MAX_REST_S: Final = 0.06
"""Longest pause. Messages wait so long before they reach a ring; `flush_interval_s` is four times
as long."""
HURRY: Final = 250
"""No pause after a round that took so many messages of one topic."""
MOST_GATHERS: Final = 20
"""Most calls of `gather` in a row: new messages may arrive all the time."""
CALL_DEADLINE_S: Final = 2.0
"""How long another thread waits until the intake thread has made a call."""
OVERLAP_S: Final = 1.0
"""How long a subscription overlaps with its successor: until then, all publishers know the new
one."""


@dataclass(eq=False)
class _Successor:
    """A subscription that will replace another one at `due_at` (monotonic seconds)."""

    plan: TopicPlan
    subscription: TopicSubscription
    due_at: float = field(default_factory=lambda: time.monotonic() + OVERLAP_S)


class IntakeThread:
    """
    Take messages from the middleware and hand them to the writer.

    Methods about topics are called by the graph watch's thread, the others by the thread of the
    node's executor; everything else happens in the intake thread.

    Attributes:
        intakes: The topics by name; while the thread runs, only it changes them.

    """

    def __init__(
        self,
        node: Node,
        subscriber: Subscriber,
        writer: FileFdrWriter,
        config: RingConfig,
        alerts: AlertBoard,
    ) -> None:
        """Make an intake without topics, not started; `stop` closes the subscriber."""
        self._alerts = alerts
        self._node = node
        self._subscriber = subscriber
        self._writer = writer
        self._config = config
        self._budget = RingBudget(config.total_bytes)
        self._times = ArrivalTimes()
        self.intakes: dict[str, TopicIntake] = {}
        self._successors: dict[str, _Successor] = {}
        self._replaced: list[TopicSubscription] = []
        self._calls: list[Callable[[], None]] = []
        self._calls_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._must_stop = False
        self._is_set_stale = False
        self._is_opening = False
        """Whether latched topics wait for a flight that will open now."""

    # --- topics --------------------------------------------------------------------------

    def add(self, plan: TopicPlan) -> None:
        """Subscribe to a topic; raise RCLError if the middleware refuses."""
        intake = TopicIntake(plan, self._subscriber.subscribe(plan), self._meet, self._times)

        def add() -> None:
            self.intakes[plan.name] = intake
            if self._is_opening and plan.is_latched:
                intake.replay = LatchedReplay(None, {}, self._times, is_repeated=False)

        self._call(add)

    def remove(self, topic: str) -> None:
        """Unsubscribe from a topic; the writer still takes what its rings hold."""
        self._drop_successor(topic)

        def remove() -> None:
            intake = self.intakes.pop(topic)
            self._take_all([intake])
            for producer in intake.producers.values():
                self._writer.retire(producer.client)
            self._replaced.append(intake.subscription)

        self._call_and_wait(remove)
        self.tidy()

    def name_publishers(self, topic: str, nodes: Mapping[bytes, str]) -> None:
        """Set the node names of a topic's publishers; the graph learns them after the gids."""

        def name() -> None:
            intake = self.intakes[topic]
            intake.plan = replace(intake.plan, publishers=nodes)
            for gid, producer in intake.producers.items():
                producer.name(nodes.get(gid, ''))

        self._call(name)

    def replace(self, plan: TopicPlan) -> None:
        """Subscribe to a topic with another QoS; no message is recorded twice or missed."""
        self._drop_successor(plan.name)
        self._successors[plan.name] = _Successor(plan, self._subscriber.subscribe(plan))

        def begin() -> None:
            self.intakes[plan.name].known = set()

        self._call(begin)

    def _drop_successor(self, topic: str) -> None:
        if topic in self._successors:
            self._successors.pop(topic).subscription.destroy()

    @property
    def is_adapting(self) -> bool:
        """Whether `tidy` has something to do soon."""
        return bool(self._successors or self._replaced)

    def tidy(self) -> None:
        """Switch to new subscriptions that are due; destroy those that were replaced."""
        now = time.monotonic()
        if self._replaced:
            self._call(partial(self._forget_known, frozenset(self._successors)))
        while self._replaced:
            self._replaced.pop().destroy()
        for topic, successor in list(self._successors.items()):
            if now >= successor.due_at:
                del self._successors[topic]
                self._call(partial(self._take_over, successor))

    def changed_topics(self) -> set[str]:
        """Return the topics whose publishers have changed since the last call."""
        return {
            topic
            for topic, intake in list(self.intakes.items())
            if intake.subscription.has_changed()
        }

    def matched(self, topic: str) -> int:
        """Return the number of publishers of a topic at the last call of `changed_topics`."""
        intake = self.intakes.get(topic)
        return intake.subscription.matched if intake is not None else 0

    def silence_s(self, topic: str) -> float:
        """Return the seconds since the last message of a topic; 0 for an unknown topic."""
        intake = self.intakes.get(topic)
        return time.monotonic() - intake.heard_at if intake is not None else 0.0

    def publishers(self, topic: str) -> set[bytes]:
        """Return the gids of a topic's publishers that have a ring; any thread."""
        intake = self.intakes.get(topic)
        return set(intake.producers) - {UNKNOWN_GID} if intake is not None else set()

    def forget_publishers(self, topic: str, gone: set[bytes]) -> None:
        """Retire the rings of publishers that have left; the writer still takes what they hold."""

        def forget() -> None:
            self._gather()
            self.intakes[topic].drain_all()  # else their last messages would make a new ring
            producers = self.intakes[topic].producers
            for gid in gone & producers.keys():
                self._writer.retire(producers.pop(gid).client)

        self._call(forget)

    # --- flights -------------------------------------------------------------------------

    def hold_latched(self) -> None:
        """
        Ask latched publishers to send once more what they hold: a flight will open now.

        Latched topics wait from now until `replay_latched` and the end of the replay, also those
        that are added meanwhile.
        """

        def hold() -> None:
            self._is_opening = True
            latched = [intake for intake in self.intakes.values() if intake.plan.is_latched]
            self._take_all(latched)  # makes all publishers known
            latched_bytes = sum(intake.latched_bytes for intake in self.intakes.values())
            is_repeated = latched_bytes < self._writer.config.segment_size_bytes // 4
            for intake in latched:
                clients = {gid: producer.client for gid, producer in intake.producers.items()}
                subscription = self._subscriber.subscribe(intake.plan) if clients else None
                intake.replay = LatchedReplay(
                    subscription, clients, self._times, is_repeated=is_repeated
                )

        self._call_and_wait(hold)

    def replay_latched(self) -> None:
        """Record what latched publishers hold; the flight has opened."""

        def replay() -> None:
            self._is_opening = False
            for intake in self.intakes.values():
                if intake.replay is not None:
                    intake.replay.begin()

        self._call(replay)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name='fdr_intake', daemon=True)
        self._thread.start()

    def catch_up(self) -> bool:
        """
        Wait until all messages that arrived before this call are in the rings.

        Return False if that takes longer than `CALL_DEADLINE_S`.
        """
        return self._call_and_wait(lambda: self._take_all(self.intakes.values()))

    def stop(self) -> None:
        """End the thread, release rings and subscriptions. Idempotent."""
        self._must_stop = True
        self._subscriber.wake()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._alerts.clear('intake_failed', 'the intake is stopped')
        self._answer_calls()
        for topic in list(self.intakes):
            self.remove(topic)
        self.tidy()
        self._subscriber.close()

    def _call(self, call: Callable[[], None]) -> None:
        """Have the intake thread make a call; without a thread, make it here."""
        if self._thread is None:
            call()
            return
        with self._calls_lock:
            self._calls.append(call)
        self._subscriber.wake()

    def _call_and_wait(self, call: Callable[[], None]) -> bool:
        """Have the intake thread make a call; return whether it did within `CALL_DEADLINE_S`."""
        done = threading.Event()

        def call_and_tell() -> None:
            call()
            done.set()

        self._call(call_and_tell)
        return done.wait(CALL_DEADLINE_S)

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._must_stop:
                self._serve()
        except Exception as error:
            logger.exception('the intake has failed; nothing more is recorded')
            self._alerts.raise_alert('intake_failed', f'nothing more is recorded: {error!r}')

    def _serve(self) -> None:
        """
        Take messages until the set of subscriptions changes.

        While messages come, every round takes from every subscription: an empty one costs one
        microsecond. Filling the wait set, as each wait needs, costs a hundred. So the thread waits
        only after a whole pause without a message.
        """
        intakes = list(self.intakes.values())
        for intake in intakes:
            intake.is_empty = False  # it may not have been looked at for long
        self._is_set_stale = False
        served = [intake.served for intake in intakes if intake.served is not None]
        with self._subscriber.serving(served) as wait:
            rest_s = min(max(REST_S, len(intakes) * REST_PER_TOPIC_S), MAX_REST_S)
            replaying = [intake for intake in intakes if intake.replay is not None]
            asked = [
                (intake.subscription.take, intake) for intake in intakes if intake.replay is None
            ]
            while not self._must_stop and not self._calls and not self._is_set_stale:
                self._times.begin_round()
                self._subscriber.gather()
                most = 0
                for take, intake in asked:
                    message = take()
                    if message is not None:
                        most = max(most, intake.drain(message))
                for intake in replaying:
                    if intake.replay is not None and intake.replay.advance():
                        self._end_replay(intake)
                if not most and not self._is_set_stale:
                    wait()
                if most < HURRY:
                    time.sleep(rest_s)
        self._answer_calls()

    def _answer_calls(self) -> None:
        with self._calls_lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

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
            intake.drain_all()

    def _end_replay(self, intake: TopicIntake) -> None:
        """End a replay, if there is one: from now on the topic is served like the others."""
        replay, intake.replay = intake.replay, None
        if replay is None:
            return
        replay.finish()
        intake.arrival_ns = max(intake.arrival_ns, replay.arrival_ns)
        if replay.known:
            intake.known = replay.known | (intake.known or set())
        if replay.subscription is not None:
            self._replaced.append(replay.subscription)
        self._is_set_stale = True

    def _take_over(self, successor: _Successor) -> None:
        """Switch a topic to its new subscription."""
        self._gather()
        intake = self.intakes[successor.plan.name]
        intake.drain_all()
        self._replaced.append(intake.subscription)
        intake.plan, intake.subscription = successor.plan, successor.subscription

    def _forget_known(self, adapting: Collection[str]) -> None:
        """Forget `known` messages of topics that have no second subscription any more."""
        for topic, intake in self.intakes.items():
            if topic not in adapting:
                intake.known = None

    def _meet(self, intake: TopicIntake, gid: bytes) -> Producer:
        """
        Make the ring of a publisher, at its first message.

        If its node is unknown, ask the graph. That costs 0.1 ms, or 4 ms for a topic with a
        hundred publishers; then all of them are known.
        """
        if gid != UNKNOWN_GID and not intake.plan.publishers.get(gid):
            endpoints = self._node.get_publishers_info_by_topic(intake.plan.name)
            intake.plan = replace(intake.plan, publishers=node_names(endpoints))
        plan = intake.plan
        metadata = dict(plan.metadata)
        channel = Channel(
            plan.name, plan.schema, publisher=gid.hex(), metadata=metadata, latched=plan.is_latched
        )
        client = FdrClient(channel, self._config, budget=self._budget)
        producer = intake.producers[gid] = Producer(client, metadata)
        producer.name(plan.publishers.get(gid, ''))
        self._writer.register(client)
        return producer
