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
The ground station: it drives and watches the nodes under test, from the test's own process.

Importing this module skips the tests of a module where ROS 2 is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
import time
from typing import Any, TypeVar
from unittest import mock

import pytest
from ros_domain import own_domain, ros_environment

try:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from geometry_msgs.msg import PointStamped
    from lifecycle_msgs.msg import TransitionEvent
    import rclpy
    from rclpy import subscription
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from rclpy.serialization import serialize_message
    from rclpy.signals import SignalHandlerOptions
except ImportError as missing:
    pytest.skip(f'ROS 2 is not installed here: {missing}', allow_module_level=True)

__all__ = [
    'BEST_EFFORT',
    'DEADLINE_S',
    'LATCHED',
    'RCLPY_TELLS_PUBLISHERS',
    'RELIABLE',
    'DiagnosticStatus',
    'Ground',
    'PointStamped',
    'has_alert',
    'own_ground',
    'serialize_message',
    'values_of',
]

RCLPY_TELLS_PUBLISHERS = hasattr(subscription, 'MessageInfo')
"""Whether rclpy says who has published a message; that of Jazzy does not, but rcl below it."""
DEADLINE_S = 30.0
_SLICE_S = 0.02
_T = TypeVar('_T')

RELIABLE = QoSProfile(depth=1000)
BEST_EFFORT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@contextmanager
def own_ground() -> Iterator[Ground]:
    """Lend a ground station in a domain of its own."""
    with own_domain() as domain_id, Ground(domain_id) as ground:
        yield ground


class Ground:
    """
    The ground station: a node in the test's process, with a context of its own.

    It spins only while the test waits for something, in the test's thread.

    Attributes:
        domain_id: The ROS domain that it is in.
        node: The node.
        arrays: Every message of `/diagnostics`, in order.
        events: Every state change of every recorder: node name, start state, goal state.

    """

    def __init__(self, domain_id: int) -> None:
        self.domain_id = domain_id
        self.arrays: list[DiagnosticArray] = []
        self.events: list[tuple[str, str, str]] = []
        self._clients: dict[str, Any] = {}
        self._nodes: list[Node] = []
        self._context = Context()
        with mock.patch.dict(os.environ, ros_environment(domain_id)):
            rclpy.init(
                context=self._context,
                domain_id=domain_id,
                signal_handler_options=SignalHandlerOptions.NO,
            )
            self.node = rclpy.create_node(
                'ground',
                context=self._context,
                start_parameter_services=False,
                enable_rosout=False,
            )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.listen('/diagnostics', self.arrays)

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        self.node.destroy_node()
        self._context.shutdown()
        self._context.destroy()

    # --- waiting -----------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        """Let another node of the same context live while the test waits, until the end."""
        self._executor.add_node(node)
        self._nodes.append(node)

    def spin(self) -> None:
        """Receive what is there, or what comes in a moment."""
        self._executor.spin_once(timeout_sec=_SLICE_S)

    def wait_until(
        self,
        condition: Callable[[], _T],
        what: str = 'the condition',
        deadline_s: float = DEADLINE_S,
    ) -> _T:
        """Return the first true value of `condition`; fail the test if there is none in time."""
        deadline = time.monotonic() + deadline_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                message = f'{what} did not come true within {deadline_s} s'
                raise AssertionError(message)
            self.spin()

    def client(self, service_type: Any, name: str) -> Any:
        """Return the client of a service; there is one for each."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, name)
        return self._clients[name]

    def call(
        self, service_type: Any, name: str, request: Any, *, again_after_s: float = DEADLINE_S
    ) -> Any:
        """
        Call a service and return its response.

        Args:
            service_type: For example `GetState`.
            name: Of the service.
            request: What is asked.
            again_after_s: Ask again after so long. The first answer of all can be lost: the
                service may know the question before it knows who is to get the answer.

        """
        client = self.client(service_type, name)
        self.wait_until(client.service_is_ready, f'service {name}')
        futures = [client.call_async(request)]
        asked_at = time.monotonic()

        def answered() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at > again_after_s:
                futures.append(client.call_async(request))
                asked_at = time.monotonic()
            return any(future.done() for future in futures)

        self.wait_until(answered, f'the answer of {name}')
        return next(future.result() for future in futures if future.done())

    # --- topics ------------------------------------------------------------------------------

    def publisher(
        self, message_type: Any, topic: str, qos: QoSProfile = RELIABLE, *, recorders: int = 1
    ) -> Any:
        """Return a publisher, as soon as so many recorders subscribe to it."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait_until(
            lambda: publisher.get_subscription_count() >= recorders, f'a subscriber of {topic}'
        )
        return publisher

    def gids(self, topic: str) -> set[str]:
        """Return the gids of a topic's publishers, hexadecimal, as recordings have them."""
        endpoints = self.node.get_publishers_info_by_topic(topic)
        return {bytes(endpoint.endpoint_gid).hex() for endpoint in endpoints}

    # --- diagnostics -------------------------------------------------------------------------

    def listen(self, topic: str, arrays: list[DiagnosticArray]) -> None:
        """Collect a topic's diagnostics."""
        self.node.create_subscription(DiagnosticArray, topic, arrays.append, RELIABLE)

    def hear_events_of(self, node_name: str) -> None:
        """Collect the state changes of a lifecycle node."""

        def collect(event: TransitionEvent) -> None:
            self.events.append((node_name, event.start_state.label, event.goal_state.label))

        self.node.create_subscription(
            TransitionEvent, f'/{node_name}/transition_event', collect, RELIABLE
        )


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    """Return the key-value pairs of a status."""
    return {item.key: item.value for item in status.values}


def has_alert(status: DiagnosticStatus, code: str) -> bool:
    """Tell whether a status says that this fault is present."""
    return status.level != DiagnosticStatus.OK and any(
        item.key.split(' ')[0] == code for item in status.values
    )
