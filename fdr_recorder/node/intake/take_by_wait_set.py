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
Subscriptions with a wait set of the intake's own, below rclpy's executors.

rclpy's executors dispatch each message through a task, which costs twenty times as much as taking
it. These subscriptions belong to the node, so the graph shows them, but no executor serves them.

This file has everything that the recorder uses below rclpy's public interface: `Subscription`
with `take_message`, `EventHandle`, `WaitSet` and `GuardCondition`. They are the same in rclpy 7.1
(Jazzy) and 9.x (Kilted), except that Jazzy's message info lacks the publisher's gid; so messages
are taken by `take_by_rcl.py`, where that works. rclpy 3 (Humble) has no event for publishers that
come and leave: there the graph is asked. With an rclpy without the others, `take_by_executor.py`
is used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, ExitStack
from functools import partial
from typing import Any, Final, TypeAlias

from fdr_recorder.node.intake.participants import Participants
from fdr_recorder.node.intake.subscription_protocol import (
    raw_message,
    RawMessage,
    TopicSubscription,
)
from fdr_recorder.node.intake.take_by_rcl import RclTake
from fdr_recorder.node.topic_plan import publisher_gid, TopicPlan
from fdr_recorder.topics.names import TopicType
from rclpy.node import Node

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

    IS_AVAILABLE = all(
        callable(part)
        for part in (
            _rclpy.Subscription.take_message,
            _rclpy.WaitSet.get_ready_entities,
            _rclpy.GuardCondition.trigger_guard_condition,
        )
    )
    """Whether this rclpy has everything that this file uses."""
except (ImportError, AttributeError):
    IS_AVAILABLE = False

WAIT_NS: Final = 1_000_000_000
"""A bound, should a wake-up ever be missed."""


def _take_by_rclpy(
    handle: Any,  # noqa: ANN401 - a private class of rclpy's
    plan: TopicPlan,
) -> Callable[[], RawMessage | None]:
    take_message = partial(handle.take_message, plan.message_type, True)

    def take() -> RawMessage | None:
        message = take_message()
        return None if message is None else raw_message(*message)

    return take


_Status: TypeAlias = tuple[int, object, int]
"""How many publishers a subscription has, something that changes with each, refused ones."""


class _Events:
    """Asks the middleware for the publishers of a subscription, which costs 4 us."""

    def __init__(self, subscription: Any) -> None:  # noqa: ANN401
        kinds: Any = _rclpy.rcl_subscription_event_type_t
        with subscription:
            self._matched: Any = _rclpy.EventHandle(subscription, kinds.RCL_SUBSCRIPTION_MATCHED)
            self._refused: Any = _rclpy.EventHandle(
                subscription, kinds.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS
            )

    def status(self) -> _Status:
        matched, refused = self._matched.take_event(), self._refused.take_event()
        return matched.current_count, matched.total_count, refused.total_count

    def destroy(self) -> None:
        for handle in (self._matched, self._refused):
            handle.destroy_when_not_in_use()


class _Graph:
    """Asks the graph for the publishers of a topic, which costs 50 us and more."""

    def __init__(self, node: Node, key: TopicType) -> None:
        self._node = node
        self._topic, self._type = key

    def status(self) -> _Status:
        endpoints = self._node.get_publishers_info_by_topic(self._topic)
        ours = (endpoint for endpoint in endpoints if endpoint.topic_type == self._type)
        publishers = frozenset(map(publisher_gid, ours))
        return len(publishers), publishers, 0

    def destroy(self) -> None:
        """Do nothing: it holds nothing."""


class _Subscription:
    """
    A `TopicSubscription` below rclpy's own class.

    Executors visit each object of rclpy's class whenever they wake: 3 ms with 500 topics.
    """

    def __init__(
        self,
        node: Node,
        plan: TopicPlan,
        how: RclTake | None,
        on_destroyed: Callable[[Node, TopicType], object],
    ) -> None:
        self._node, self._key, self._on_destroyed = node, plan.key, on_destroyed
        with node.handle:
            self.handle: Any = _rclpy.Subscription(
                node.handle, plan.message_type, plan.name, plan.qos.get_c_qos_profile()
            )
        has_events = hasattr(_rclpy, 'EventHandle')
        self._matches = _Events(self.handle) if has_events else _Graph(node, plan.key)
        self.take: Callable[[], RawMessage | None]
        self._end_taking: Callable[[], None] | None = None
        if how is not None:
            self.take, self._end_taking = how.of(self.handle)
        else:
            self.take = _take_by_rclpy(self.handle, plan)
        self._last: _Status = (0, 0, 0)

    @property
    def matched(self) -> int:
        return self._last[0]

    def has_changed(self) -> bool:
        """Return whether publishers have come or left since the last call."""
        last, self._last = self._last, self._matches.status()
        return self._last != last

    def destroy(self) -> None:
        if self._end_taking is not None:
            self._end_taking()
        self._matches.destroy()
        self.handle.destroy_when_not_in_use()
        self._on_destroyed(self._node, self._key)


class WaitSetSubscriber:
    """A `Subscriber` with a wait set of its own."""

    def __init__(self, node: Node, how: RclTake | None = None) -> None:
        """Start without subscriptions; messages are taken by rclpy, or as `how` says."""
        self._participants = Participants(node)
        self._how = how
        self._context: Any = node.context.handle
        self._guard = _rclpy.GuardCondition(self._context)  # type: ignore[arg-type]

    def subscribe(self, plan: TopicPlan) -> _Subscription:
        """As `Subscriber.subscribe`."""
        leave = self._participants.leave
        return self._participants.subscribe(
            plan.key, lambda node: _Subscription(node, plan, self._how, leave)
        )

    @contextmanager
    def serving(
        self, subscriptions: Sequence[TopicSubscription]
    ) -> Iterator[Callable[[], None]]:
        """As `Subscriber.serving`."""
        served = [
            subscription.handle
            for subscription in subscriptions
            if isinstance(subscription, _Subscription)
        ]
        with ExitStack() as handles:
            for handle in (*served, self._context, self._guard):
                handles.enter_context(handle)
            wait_set = _rclpy.WaitSet(len(served), 1, 0, 0, 0, 0, self._context)
            handles.enter_context(wait_set)

            def wait() -> None:
                wait_set.clear_entities()
                for handle in served:
                    wait_set.add_subscription(handle)
                wait_set.add_guard_condition(self._guard)
                wait_set.wait(WAIT_NS)

            yield wait

    def gather(self) -> bool:
        """Do nothing: `take` asks the middleware itself."""
        return False

    def wake(self) -> None:
        """As `Subscriber.wake`."""
        self._guard.trigger_guard_condition()

    def close(self) -> None:
        """As `Subscriber.close`; the guard condition ends with its last reference."""
        self._participants.close()
