# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Texts by way of MAVROS, where its messages are installed and it is there."""

from __future__ import annotations

from typing import Any, Final

from fdr_recorder.ground.station import Outside
from fdr_recorder.ground.texts import Severity
from fdr_recorder.node.message_class import import_message_class
from rclpy.node import Node
from rclpy.publisher import Publisher

TYPE: Final = 'mavros_msgs/msg/StatusText'
QUEUE_DEPTH: Final = 10


class Mavros:
    """
    Publishes texts for MAVROS.

    Attributes:
        outside: For the thread that talks with the ground.

    """

    def __init__(self, node: Node, topic: str) -> None:
        """Create the publisher; raise `RecordError` if the messages are not installed."""
        self._type: type[Any] = import_message_class(TYPE)
        self._publisher: Publisher[Any] = node.create_publisher(self._type, topic, QUEUE_DEPTH)
        self._node = node
        self._is_there = False
        self.outside = Outside(lambda: self._is_there, self._send)

    def look(self) -> None:
        """Find out whether MAVROS is there; in the executor's thread."""
        self._is_there = self._publisher.get_subscription_count() > 0

    def _send(self, severity: Severity, text: str) -> None:
        message = self._type(severity=int(severity), text=text)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
