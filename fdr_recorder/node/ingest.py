"""The intake: from DDS into the rings, in one thread with one wait set.

rclpy's executors dispatch each message through a task, which costs twenty times what taking it
costs. The intake's subscriptions belong to the node, for everybody to see in the graph, but to a
callback group that no executor serves; the intake's own thread waits for all of them and takes
from each that is ready until it is empty.

This is the one file that uses what lies below rclpy's public interface: `WaitSet`,
`GuardCondition`, and a subscription's `handle` with `take_message` and `pointer`. They are the
same in rclpy 7.1 (Jazzy) and 9.x (Kilted), apart from the publisher's gid in the message info,
which Jazzy lacks: there a topic has one ring, however many publishers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.subscription import Subscription

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import RingBudget
from fdr_recorder.config import RingConfig
from fdr_recorder.node.topics import TopicPlan
from fdr_recorder.record.channel import Channel
from fdr_recorder.storage.writer import FileFdrWriter

logger = logging.getLogger(__name__)

REST_S: Final = 0.02
"""Rest after a round, so that one wake-up serves many messages. The middleware keeps
`intake_depth` of each topic meanwhile."""
HURRY: Final = 250
"""No rest after a round that found so many messages of one topic."""
TAKE_LIMIT: Final = 2000
"""Most messages taken from one topic before the next has its turn."""
WAIT_NS: Final = 1_000_000_000
"""In case a wake-up is missed; none is known to be."""
CATCH_UP_DEADLINE_S: Final = 2.0
UNKNOWN_GID: Final = b''


class _Unserved(CallbackGroup):
    """Keeps the executor away from the intake's subscriptions."""

    def can_execute(self, entity: Any) -> bool:  # noqa: ANN401 - as its base class
        return False

    def beginning_execution(self, entity: Any) -> bool:  # noqa: ANN401
        return False

    def ending_execution(self, entity: Any) -> None:  # noqa: ANN401
        pass


@dataclass(eq=False)
class _Source:
    """One publisher of one topic."""

    client: FdrClient
    last_sequence: int | None = None


@dataclass(eq=False)
class _Intake:
    """One topic's subscription, and its publishers by gid."""

    plan: TopicPlan
    subscription: Subscription[Any]
    sources: dict[bytes, _Source] = field(default_factory=dict)


class Ingest:
    """Takes messages from the middleware and hands them to the writer.

    `add`, `replace`, `tidy`, `publishers`, `forget_publishers`, `start`, `catch_up` and `stop` are
    for the thread of the node's executor; everything else happens in the intake's own thread.
    """

    def __init__(
        self, node: Node, writer: FileFdrWriter, config: RingConfig, alerts: AlertBoard
    ) -> None:
        """Make an intake without topics.

        Args:
            node: The node that will own the subscriptions.
            writer: Where the publishers' rings are registered.
            config: Bounds of the rings.
            alerts: Where a fault of the intake is raised.

        """
        self._alerts = alerts
        self._node = node
        self._writer = writer
        self._config = config
        self._budget = RingBudget(config.total_bytes)
        self._group = _Unserved()
        self._intakes: dict[str, _Intake] = {}
        self._replaced: list[Subscription[Any]] = []
        self._context = node.context.handle
        self._guard = _rclpy.GuardCondition(self._context)  # type: ignore[arg-type]
        self._calls: list[Callable[[], None]] = []
        self._calls_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._must_stop = False

    def add(self, plan: TopicPlan) -> None:
        """Subscribe to a topic."""
        intake = _Intake(plan, self._subscribe(plan))

        def add() -> None:
            self._intakes[plan.name] = intake

        self._call(add)

    def publishers(self, topic: str) -> set[bytes]:
        """Return the gids of a topic's publishers that have a ring; any thread."""
        intake = self._intakes.get(topic)
        return set(intake.sources) - {UNKNOWN_GID} if intake is not None else set()

    def replace(self, plan: TopicPlan) -> None:
        """Subscribe to a topic anew, with another QoS; nothing is recorded twice."""
        subscription = self._subscribe(plan)

        def replace() -> None:
            intake = self._intakes[plan.name]
            self._drain(intake)
            self._replaced.append(intake.subscription)
            intake.plan, intake.subscription = plan, subscription

        self._call(replace)

    def tidy(self) -> None:
        """Give back subscriptions that were replaced."""
        while self._replaced:
            self._node.destroy_subscription(self._replaced.pop())

    def _subscribe(self, plan: TopicPlan) -> Subscription[Any]:
        return self._node.create_subscription(
            plan.message_type,
            plan.name,
            _never_called,
            plan.qos,
            callback_group=self._group,
            raw=True,
        )

    def forget_publishers(self, topic: str, gone: set[bytes]) -> None:
        """Give back the rings of publishers that have left; what they hold is still written."""

        def forget() -> None:
            sources = self._intakes[topic].sources
            for gid in gone & sources.keys():
                self._writer.retire(sources.pop(gid).client)

        self._call(forget)

    def start(self) -> None:
        """Start the thread."""
        self._must_stop = False
        self._thread = threading.Thread(target=self._run, name='fdr_intake', daemon=True)
        self._thread.start()

    def catch_up(self) -> bool:
        """Wait until everything that had arrived before this call is in the rings.

        Returns:
            False if that did not happen within `CATCH_UP_DEADLINE_S`.

        """
        done = threading.Event()

        def take_all() -> None:
            for intake in self._intakes.values():
                while self._drain(intake) == TAKE_LIMIT:
                    pass
            done.set()

        self._call(take_all)
        return done.wait(CATCH_UP_DEADLINE_S)

    def stop(self) -> None:
        """End the thread, give back rings and subscriptions. Idempotent."""
        self._must_stop = True
        self._guard.trigger_guard_condition()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._alerts.clear('intake_failed', 'the intake is stopped')
        self._answer_calls()
        for intake in self._intakes.values():
            for source in intake.sources.values():
                self._writer.retire(source.client)
            self._node.destroy_subscription(intake.subscription)
        self._intakes.clear()
        self.tidy()

    def _call(self, call: Callable[[], None]) -> None:
        """Have the intake's thread make a call; make it here while there is none."""
        if self._thread is None:
            call()
            return
        with self._calls_lock:
            self._calls.append(call)
        self._guard.trigger_guard_condition()

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._must_stop:
                self._serve()
        except Exception as error:
            logger.exception('the intake has failed; nothing more is recorded')
            self._alerts.raise_alert('intake_failed', f'nothing more is recorded: {error!r}')

    def _serve(self) -> None:
        """Take messages until the set of subscriptions changes.

        While messages come, every subscription is asked each time: that costs a microsecond for
        one that is empty, where the wait set, which must be filled anew for every wait, costs a
        hundred. So it is waited only once nothing has come for a whole rest.
        """
        with ExitStack() as handles:
            intakes = list(self._intakes.values())
            for intake in intakes:
                handles.enter_context(intake.subscription.handle)
            handles.enter_context(self._context)  # type: ignore[arg-type]
            wait_set = _rclpy.WaitSet(
                len(intakes), 1, 0, 0, 0, 0, self._context  # type: ignore[arg-type]
            )
            handles.enter_context(wait_set)
            handles.enter_context(self._guard)
            while not self._must_stop and not self._calls:
                most = max(map(self._drain, intakes), default=0)
                if not most:
                    wait_set.clear_entities()
                    for intake in intakes:
                        wait_set.add_subscription(intake.subscription.handle)
                    wait_set.add_guard_condition(self._guard)
                    wait_set.wait(WAIT_NS)
                if most < HURRY:
                    time.sleep(REST_S)
        self._answer_calls()

    def _answer_calls(self) -> None:
        with self._calls_lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _drain(self, intake: _Intake) -> int:
        """Take the messages of one topic that are there; return how many.

        The loop runs once for every message. rclpy's take is nine tenths of its cost.
        """
        take: Any = intake.subscription.handle.take_message
        message_type = intake.plan.message_type
        sources = intake.sources
        taken = 0
        while taken < TAKE_LIMIT:
            message: tuple[bytes, dict[str, Any]] | None = take(message_type, True)
            if message is None:
                break
            taken += 1
            data, info = message
            publisher = info.get('publisher_gid')
            gid = publisher['data'] if publisher is not None else UNKNOWN_GID
            source = sources.get(gid) or self._meet(intake, gid)
            sequence = info['publication_sequence_number'] or 0
            if gid:
                last = source.last_sequence
                if last is not None and sequence != last + 1:
                    if sequence <= last:  # known from a subscription that was replaced
                        continue
                    source.client.count_transport_loss(last + 1, sequence - 1)
                source.last_sequence = sequence
            source.client.enqueue(
                data, info['received_timestamp'] or None, info['source_timestamp'], sequence
            )
        return taken

    def _meet(self, intake: _Intake, gid: bytes) -> _Source:
        """Give a publisher that is seen for the first time its ring."""
        plan = intake.plan
        metadata = dict(plan.metadata)
        node_name = plan.publishers.get(gid)
        if node_name:
            metadata['publisher_node'] = node_name
        channel = Channel(
            plan.name, plan.schema, publisher=gid.hex(), metadata=metadata, latched=plan.is_latched
        )
        client = FdrClient(channel, self._config, budget=self._budget)
        source = intake.sources[gid] = _Source(client)
        self._writer.register(client)
        return source


def _never_called(_message: bytes) -> None:
    """Stand where rclpy asks for a callback."""
