# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which topics the graph has, and of which types."""

from __future__ import annotations

from typing import Final

from fdr_recorder.node.quarantine import Quarantine
from rclpy.node import Node

LIST: Final = 'topics cannot be listed'
LIST_NODES: Final = 'topics of a node cannot be listed'
"""Work that can fail, in the words of `Quarantine`."""
RETRY_S: Final = 1.0
"""How long to wait, at most, until a list that failed is tried again."""


class GraphList:
    """Lists the topics of the graph. For the graph watch's thread."""

    def __init__(self, node: Node, quarantine: Quarantine) -> None:
        """Ask `node`; `quarantine` decides when to ask again after an error."""
        self._node = node
        self._quarantine = quarantine

    @property
    def is_faulty(self) -> bool:
        """Whether the middleware could not list the topics when it was asked last."""
        return self._quarantine.faults('', LIST) > 0

    def look(self) -> dict[str, list[str]] | None:
        """Return the types of each topic; None if that cannot be said now."""
        if self._quarantine.holds('', LIST):
            return None
        found: dict[str, list[str]] | None = None
        with self._quarantine.guard('', LIST, longest_s=RETRY_S):
            found = dict(self._node.get_topic_names_and_types())
        if self.is_faulty:
            with self._quarantine.guard('', LIST_NODES):
                found = self._topics_of_nodes()
        return found

    def _topics_of_nodes(self) -> dict[str, list[str]]:
        """
        Return topics and types, asked for node by node.

        One name that is not UTF-8 makes the middleware's whole list unreadable. That of each other
        node is not.
        """
        graph: dict[str, set[str]] = {}
        for name, namespace in self._node.get_node_names_and_namespaces():
            with self._quarantine.guard('', LIST_NODES):
                topics = self._node.get_publisher_names_and_types_by_node(name, namespace)
                for topic, types in topics:
                    graph.setdefault(topic, set()).update(types)
        return {topic: sorted(types) for topic, types in graph.items()}
