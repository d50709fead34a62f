# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A subscription of the intake: taken from directly, and told of its publishers."""

from __future__ import annotations

from typing import Any, Final

from fdr_recorder.node.topics import TopicPlan
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node

_EVENTS: Final = _rclpy.rcl_subscription_event_type_t


class TopicSubscription:
    """
    Subscribes to a topic as planned.

    The node owns the subscription, for everybody to see in the graph; but rclpy's own class for
    it is left out, because executors look at each of those whenever they wake: with 500 topics
    that is 3 ms.

    Made and destroyed by the watch or in transitions; the intake's thread takes from it.

    Attributes:
        handle: What lies below rclpy's class; `take_message` takes from it.

    """

    def __init__(self, node: Node, plan: TopicPlan) -> None:
        """
        Subscribe.

        Raises:
            RCLError: The middleware refuses; it has the topic with another type, for example.

        """
        with node.handle:
            self.handle: Any = _rclpy.Subscription(
                node.handle, plan.message_type, plan.name, plan.qos.get_c_qos_profile()
            )
        with self.handle:
            self._matched: Any = _rclpy.EventHandle(self.handle, _EVENTS.RCL_SUBSCRIPTION_MATCHED)
            self._refused: Any = _rclpy.EventHandle(
                self.handle, _EVENTS.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS
            )
        self._last = (0, 0, 0)

    @property
    def matched(self) -> int:
        """How many publishers there were at the last call of `has_changed`."""
        return self._last[0]

    def has_changed(self) -> bool:
        """
        Tell whether publishers have come or left since the last call.

        That costs 4 us; asking the graph for the publishers of a topic costs 50 us and more.
        """
        matched = self._matched.take_event()
        last = self._last
        self._last = (
            matched.current_count,
            matched.total_count,
            self._refused.take_event().total_count,
        )
        return self._last != last

    def destroy(self) -> None:
        """Unsubscribe, as soon as nobody takes from it any more."""
        for handle in (self._matched, self._refused, self.handle):
            handle.destroy_when_not_in_use()
