# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The nodes that subscribe: of a topic's types, a participant may accept only one (Fast DDS)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import logging
import threading
import time
from typing import Final, TypeVar

from fdr_recorder.topics.names import TopicType
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Pauses after a new participant was made in vain; each one is twice as long as the one before."""

_Subscription = TypeVar('_Subscription')


class Participants:
    """
    Lends a node to each subscription: the first one whose participant accepts it.

    A participant is a context in rclpy. Further ones are made only when all others refuse, and are
    gone with their last subscription. Messages of all participants can be waited for in one wait
    set. Any thread may call any method.
    """

    def __init__(
        self,
        node: Node,
        on_made: Callable[[Node], object] = lambda _: None,
        on_gone: Callable[[Node], object] = lambda _: None,
    ) -> None:
        """
        Begin with one node, which belongs to the caller.

        Args:
            node: The first node; further ones get its name and `_type2`, `_type3`, and so on.
            on_made: Called with each further node.
            on_gone: Called before it is destroyed.

        """
        self._nodes = [node]
        self._subscriptions: dict[Node, Counter[TopicType]] = {node: Counter()}
        self._on_made, self._on_gone = on_made, on_gone
        self._lock = threading.Lock()
        self._pause_s = 0.0
        self._make_at = 0.0

    def subscribe(self, key: TopicType, make: Callable[[Node], _Subscription]) -> _Subscription:
        """
        Return what `make` returns for the first node whose participant accepts it.

        A node that has the topic in this type is asked before the others. Call `leave` with that
        node when the subscription was destroyed.

        Raises:
            RCLError: All refuse; the error is that of the first one.

        """
        with self._lock:
            refusal: RuntimeError | None = None
            for node in sorted(self._nodes, key=lambda node: not self._subscriptions[node][key]):
                try:
                    return self._made(node, key, make(node))
                except RuntimeError as error:  # RCLError
                    refusal = refusal or error
            assert refusal is not None
            if time.monotonic() < self._make_at:
                raise refusal
            node = self._add()
            try:
                subscription = make(node)
            except RuntimeError:  # so the reason is not the type
                self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
                self._make_at = time.monotonic() + self._pause_s
                self._remove(node)
                raise refusal from None
            self._pause_s = 0.0
            logger.info('%s subscribes to further types of topics', node.get_name())
            return self._made(node, key, subscription)

    def _made(self, node: Node, key: TopicType, subscription: _Subscription) -> _Subscription:
        self._subscriptions[node][key] += 1
        return subscription

    def leave(self, node: Node, key: TopicType) -> None:
        """Note that a subscription of a node was destroyed; the last one ends a further node."""
        with self._lock:
            self._subscriptions[node] -= Counter([key])
            if node is not self._nodes[0] and not self._subscriptions[node]:
                self._remove(node)

    def _add(self) -> Node:
        """Make a node in a context of its own: in the same domain, without signal handlers."""
        first = self._nodes[0]
        context = Context()
        context.init(
            ['--ros-args', '--enclave', _enclave_of(first)],
            initialize_logging=False,
            domain_id=first.context.get_domain_id(),
        )
        taken = {node.get_name() for node in self._nodes}
        names = (f'{first.get_name()}_type{rank}' for rank in range(2, len(taken) + 2))
        try:
            node = rclpy.create_node(
                next(name for name in names if name not in taken),
                namespace=first.get_namespace(),
                context=context,
                use_global_arguments=False,
                start_parameter_services=False,
                enable_rosout=False,
                parameter_overrides=[Parameter('start_type_description_service', value=False)],
            )
        except BaseException:
            context.try_shutdown()
            raise
        self._nodes.append(node)
        self._subscriptions[node] = Counter()
        self._on_made(node)
        return node

    def _remove(self, node: Node) -> None:
        self._nodes.remove(node)
        del self._subscriptions[node]
        self._on_gone(node)
        node.destroy_node()
        node.context.try_shutdown()
        node.context.destroy()

    def close(self) -> None:
        """End all further nodes, after all subscriptions were destroyed."""
        with self._lock:
            for node in self._nodes[1:]:
                self._remove(node)


def _enclave_of(node: Node) -> str:
    """Return the enclave of a node's context, which rclpy tells of nodes in the graph alone."""
    own = node.get_name(), node.get_namespace()
    for name, namespace, enclave in node.get_node_names_and_namespaces_with_enclaves():
        if (name, namespace) == own:
            return str(enclave)
    return '/'
