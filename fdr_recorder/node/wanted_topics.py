# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which topics of the graph are wanted: the options, by names as the node resolves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import logging
from typing import Any

from fdr_recorder.config import FdrConfig
from fdr_recorder.node.qos import NO_OVERRIDE
from fdr_recorder.node.quarantine import FAULTS
from fdr_recorder.node.requested_topics import requested_topics
from fdr_recorder.record.requested import is_plain, is_topic
from fdr_recorder.topics.names import absolute
from fdr_recorder.topics.qos_overrides import parse_qos_overrides
from fdr_recorder.topics.selection import TopicSelection
from rclpy.node import Node

logger = logging.getLogger(__name__)


def resolver(node: Node) -> Callable[[str], str]:
    """Return what resolves names and patterns in the options of a node, without remapping."""
    namespace, node_name = node.get_namespace(), node.get_fully_qualified_name()
    return lambda name: absolute(name, namespace, node_name)


class WantedTopics:
    """
    Tells which topics to record, and how. For the graph watch's thread.

    Attributes:
        named: The topics that the options name, and that name before remapping.
        required: Seconds after which each required topic is stale.
        is_open: Whether other topics may be recorded when they appear.
        requested: All that the options ask for by name.

    """

    def __init__(self, node: Node, config: FdrConfig) -> None:
        """
        Resolve the names in the options, with the remappings of `node`.

        Raises:
            ConfigInvalidError: An option has two values for one topic.

        """
        self._node = node
        resolved = resolver(node)
        self._selection = TopicSelection(config, resolved)
        self.is_open = self._selection.is_open
        if not self._selection.names and not self.is_open:
            logger.warning('no topics are chosen: only the flight header is recorded')

        def resolve(name: str) -> str:  # applies remappings
            try:
                return node.resolve_topic_name(name)
            except FAULTS:  # too long with the namespace: no topic can have this name
                return name

        overrides, _ = parse_qos_overrides(config.qos_profile_overrides)
        self._overrides = {resolve(name): policies for name, policies in overrides.items()}
        self.required = {
            resolve(name): stale_after_s
            for name, stale_after_s in self._selection.required.items()
        }
        self.named = {
            resolve(name): name
            for name in self._selection.names
            if resolve(name) in self.required or not self._selection.excludes(resolve(name))
        }

        self.requested = tuple(
            item
            for item in requested_topics(config, resolved, resolve)
            if not (is_topic(item) and is_plain(item)) or item.topic in self.named
        )

    def wants(self, topic: str, type_name: str) -> bool:
        """Return whether to record a topic of the graph in a type that it has."""
        name = self.named.get(topic)
        if name is not None:
            return self._selection.wants(name, type_name)
        if not self._selection.wants(topic, type_name):
            return False
        return self._node.resolve_topic_name(topic) == topic  # else it means another one here

    def max_rate(self, topic: str) -> float:
        """Return at how many messages a second to record a topic at most; 0 for all."""
        return self._selection.max_rate(self.named.get(topic, topic))

    def qos_override(self, topic: str) -> Mapping[str, Any]:
        """Return the QoS policies that the options give for a topic."""
        return self._overrides.get(topic, NO_OVERRIDE)
