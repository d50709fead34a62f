# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tries at run time whether messages can be taken by `rcl`, as rclpy takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import logging
import time
from typing import Any, Final

from fdr_recorder.node.intake.subscription_protocol import (
    is_numbered,
    raw_message,
    RawMessage,
)
from fdr_recorder.node.intake.take_by_rcl import RclTake
from fdr_recorder.node.quarantine import FAULTS
from fdr_recorder.node.topic_plan import publisher_gid
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

logger = logging.getLogger(__name__)

TOPIC: Final = '~/_take_trial'
"""Hidden, and there for some milliseconds."""
DEADLINE_S: Final = 2.0
"""For a message from this process to itself, which takes some milliseconds on an idle machine."""
MOST_APART_NS: Final = 1_000_000_000
"""Reception times of two subscriptions may differ by this."""


def rcl_take(node: Node) -> RclTake | None:
    """
    Return what takes messages by `rcl`, if it agrees with rclpy; else None, and say so.

    The node publishes a message, and takes it by both. Executor's thread; takes some milliseconds,
    and `DEADLINE_S` at most if the message does not arrive.
    """
    try:
        return _tried(node)
    except FAULTS as error:
        logger.warning(
            'messages are taken by rclpy alone, which costs more; with rclpy 7 (Jazzy), losses in '
            'transport cannot be seen, as it does not tell who has published a message: %s', error
        )
        return None


def _tried(node: Node) -> RclTake:
    publisher = node.create_publisher(String, TOPIC, QoSProfile(depth=1))
    topic = publisher.topic_name
    wait = partial(_wait_for, time.monotonic() + DEADLINE_S)
    handles: list[Any] = []
    try:
        for _ in range(2):
            with node.handle:
                qos: Any = QoSProfile(depth=1).get_c_qos_profile()
                handles.append(_rclpy.Subscription(node.handle, String, topic, qos))
        by_rclpy, by_rcl = handles
        gid = wait(lambda: _own_gid(node, topic), 'the graph does not list a publisher')
        how = RclTake(len(gid))
        take, end = how.of(by_rcl)
        wait(lambda: publisher.get_subscription_count() >= 2, 'a subscription is not matched')
        publisher.publish(String(data=topic))
        taken = wait(lambda: by_rclpy.take_message(String, True), 'no message has come')
        expected = raw_message(*taken)
        message = wait(take, 'no message has come by rcl')
        end()
        _compare(message, expected, gid)
        return how
    finally:
        for handle in handles:
            handle.destroy_when_not_in_use()
        node.destroy_publisher(publisher)


def _own_gid(node: Node, topic: str) -> bytes:
    endpoints = node.get_publishers_info_by_topic(topic)
    return publisher_gid(endpoints[0]) if endpoints else b''


def _wait_for(
    deadline: float, condition: Callable[[], Any], failure: str
) -> Any:  # noqa: ANN401 - what comes
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(failure)
        time.sleep(0.001)
    return value


def _compare(message: RawMessage, expected: RawMessage, gid: bytes) -> None:
    """Raise `ValueError` if a message is not what rclpy and the graph say."""
    data, published_ns, received_ns, number, own_gid = message
    rclpy_gid = expected[4]
    agreements = {
        'data': data == expected[0],
        'publish time': published_ns == expected[1],
        'reception time': abs(received_ns - expected[2]) < MOST_APART_NS,
        'number': number == expected[3] or not (is_numbered(number) or is_numbered(expected[3])),
        'gid': own_gid == gid if not rclpy_gid else own_gid == rclpy_gid,
    }
    wrong = [name for name, agrees in agreements.items() if not agrees]
    if wrong:
        raise ValueError(f'rcl and rclpy disagree about {" and ".join(wrong)}')
