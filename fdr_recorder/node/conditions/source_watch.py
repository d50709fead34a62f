# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Subscribe to a source, and hear what its messages say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
import time
from typing import Any, Final

from fdr_recorder.errors import ConditionError
from fdr_recorder.node.conditions.comparison import Reader
from fdr_recorder.node.conditions.source import Source
from fdr_recorder.node.parameters import valid_name
from fdr_recorder.node.qos import qos_for
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import endpoints_by_type
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

QUEUE_DEPTH: Final = 10
LONGEST_PAUSE_S: Final = 10.0
WATCH: Final = 'cannot be watched'
LIST: Final = 'has publishers that cannot be listed'
"""The work that fails where a source cannot be used, and where its topic cannot be found."""


class SourceWatch:
    """
    Listens to one source, in the executor's thread of its node.

    Its messages, and no others, are deserialised by rclpy. `look` finds the topic.

    Attributes:
        source: What it listens to.
        topic: Full name of its topic.
        heard_at: When it last said something, at first when it began (monotonic seconds).
        has_spoken: Whether it has ever said something.

    """

    def __init__(
        self,
        node: Node,
        source: Source,
        heard: Callable[[bool, float], object],
        quarantine: Quarantine,
    ) -> None:
        """
        Listen once `look` has found the topic; `heard` gets what is said, and when.

        Raises:
            ConfigInvalidError: The topic has no valid name.

        """
        self.source = source
        with valid_name('topic'):
            self.topic = node.resolve_topic_name(source.topic)
        self.heard_at = time.monotonic()
        self.has_spoken = False
        self._node = node
        self._heard = heard
        self._quarantine = quarantine
        self._subject = source.name or self.topic
        self._subscription: Subscription[Any] | None = None
        self._type_name = ''
        self._read: Reader = lambda _: None

    @property
    def is_subscribed(self) -> bool:
        """Whether the topic has been found."""
        return self._subscription is not None

    def look(self) -> None:
        """
        Subscribe in the type and with the QoS that the publishers have now.

        An alert tells if that fails, or if no type of the topic has what is compared. While the
        topic has no publisher, what was told of the last ones stands.
        """
        if self._quarantine.holds(self._subject, LIST):
            return
        with self._guarded(LIST):
            found = endpoints_by_type(self._node.get_publishers_info_by_topic(self.topic))
            if not found:
                self._quarantine.pardon(self._subject)
            elif not self._quarantine.holds(self._subject, WATCH):
                with self._guarded(WATCH):
                    self._follow(found)

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._quarantine.drop(self._subject)

    def _guarded(self, work: str) -> AbstractContextManager[None]:
        return self._quarantine.guard(
            self._subject, work, 'condition_unusable', longest_s=LONGEST_PAUSE_S
        )

    def _follow(self, found: Mapping[str, Sequence[TopicEndpointInfo]]) -> None:
        """Subscribe in one of the types; one that is subscribed to stays while it has any."""
        if self._type_name not in found:
            self._type_name = self._choose(found)
        if not self._type_name:
            return
        qos, before = qos_for(found[self._type_name], QUEUE_DEPTH), self._subscription
        message_class = self.source.message_class(self._type_name)
        if before is None or before.qos_profile != qos or before.msg_type is not message_class:
            self._read = self.source.reader(message_class)
            self._subscription = self._node.create_subscription(
                message_class, self.topic, self._on_message, qos
            )
            if before is not None:
                self._node.destroy_subscription(before)

    def _choose(self, found: Mapping[str, Sequence[TopicEndpointInfo]]) -> str:
        """Return the first type that can be read; empty if there is none of the source's."""
        failed: ConditionError | None = None
        for type_name in found:
            if self.source.types and type_name not in self.source.types:
                continue
            try:
                self.source.reader(self.source.message_class(type_name))
            except ConditionError as error:
                failed = error
            else:
                return type_name
        if failed is not None:
            raise failed
        return ''

    def _on_message(self, message: Any) -> None:  # noqa: ANN401 - ROS messages carry no types
        says = self._read(message)
        if says is not None:
            self.heard_at, self.has_spoken = time.monotonic(), True
            self._heard(says, self.heard_at)
