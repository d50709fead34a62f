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
Subscriptions served by an executor of rclpy, for an rclpy that does not support `wait_set`.

It uses public interfaces only, and reaches about 8,000 messages a second. The subscriptions belong
to a second node; the intake thread spins its executor, which thus never waits for a transition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from fdr_recorder.node.intake.participants import Participants
from fdr_recorder.node.intake.subscription_protocol import (
    raw_message,
    RawMessage,
    TopicSubscription,
)
from fdr_recorder.node.topic_plan import publisher_gid, TopicPlan
from fdr_recorder.topics.names import TopicType
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

WAIT_S: Final = 0.05
"""Longest wait; calls of other threads wait as long: waking an executor does not end its wait."""
GATHER_LIMIT: Final = 1000
"""Most messages to queue before the intake takes them."""


class _Subscription:
    """A `TopicSubscription` whose messages an executor puts into a queue."""

    def __init__(
        self,
        node: Node,
        plan: TopicPlan,
        on_message: Callable[[], None],
        on_destroyed: Callable[[Node, TopicType], object],
    ) -> None:
        self._node, self._key, self._on_destroyed = node, plan.key, on_destroyed
        self._topic = plan.name
        self._queue: deque[RawMessage] = deque()
        self._publishers: frozenset[bytes] = frozenset()

        def receive(data: bytes, info: Mapping[str, Any]) -> None:
            self._queue.append(raw_message(data, info))
            on_message()

        self._subscription = node.create_subscription(
            plan.message_type, plan.name, receive, plan.qos, raw=True
        )

    def take(self) -> RawMessage | None:
        return self._queue.popleft() if self._queue else None

    @property
    def matched(self) -> int:
        return len(self._publishers)

    def has_changed(self) -> bool:
        last = self._publishers
        endpoints = self._node.get_publishers_info_by_topic(self._topic)
        self._publishers = frozenset(publisher_gid(endpoint) for endpoint in endpoints)
        return self._publishers != last

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)
        self._on_destroyed(self._node, self._key)


class ExecutorSubscriber:
    """A `Subscriber` that spins an executor."""

    def __init__(self, node: Node) -> None:
        """Start without subscriptions; the second node gets the name of `node` and `_intake`."""
        self._node = rclpy.create_node(
            f'{node.get_name()}_intake',
            namespace=node.get_namespace(),
            context=node.context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._participants = Participants(
            self._node, self._executor.add_node, self._executor.remove_node
        )
        self._received = 0

    def subscribe(self, plan: TopicPlan) -> _Subscription:
        """As `Subscriber.subscribe`."""
        leave = self._participants.leave
        return self._participants.subscribe(
            plan.key, lambda node: _Subscription(node, plan, self._count, leave)
        )

    def _count(self) -> None:
        self._received += 1

    @contextmanager
    def serving(
        self, _subscriptions: Sequence[TopicSubscription]
    ) -> Iterator[Callable[[], None]]:
        """As `Subscriber.serving`."""

        def wait() -> None:
            self._executor.spin_once(timeout_sec=WAIT_S)

        yield wait

    def gather(self) -> bool:
        """As `Subscriber.gather`."""
        in_vain = 0
        for _ in range(GATHER_LIMIT):
            before = self._received
            self._executor.spin_once(timeout_sec=0)
            in_vain = in_vain + 1 if self._received == before else 0
            if in_vain == 2:  # one alone may lie between two rounds of the executor
                return False
        return True

    def wake(self) -> None:
        """As `Subscriber.wake`."""
        self._executor.wake()

    def close(self) -> None:
        """As `Subscriber.close`."""
        self._participants.close()
        self._executor.shutdown()
        self._node.destroy_node()
