# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A client for a lifecycle node in another process: its state, and its transitions."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from fdr_recorder.node.topic_plan import publisher_gid
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future


class RemoteLifecycle:
    """
    Request state and transitions without waiting for the answers; in the executor's thread.

    Attributes:
        name: The node's full name.
        state: The label of its state at its last answer; empty before the first.
        answered_at: Time of its last answer, at first of the start (monotonic seconds).

    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = node.resolve_service_name(name)
        self.state = ''
        self.answered_at = time.monotonic()
        self._node = node
        self._get: Client[Any, Any] = node.create_client(GetState, f'{self.name}/get_state')
        self._change: Client[Any, Any] = node.create_client(
            ChangeState, f'{self.name}/change_state'
        )
        self._asked: Future[Any] | None = None
        self._told: Future[Any] | None = None
        self._seen: set[bytes] = set()

    @property
    def is_changing(self) -> bool:
        """Whether a requested transition is not answered yet."""
        return self._told is not None

    def has_started(self) -> bool:
        """Return whether a new process has the name since the last call."""
        endpoints = self._node.get_publishers_info_by_topic(f'{self.name}/transition_event')
        present = {publisher_gid(endpoint) for endpoint in endpoints}
        is_new = bool(present - self._seen)
        self._seen |= present
        return is_new

    def ask(self, answered: Callable[[int], None]) -> None:
        """
        Request the state; forget an earlier request for it.

        The answer also ends the wait for an earlier transition: the node answers in order, so the
        answer about the transition is lost.
        """
        if self._asked is not None:
            self._get.remove_pending_request(self._asked)
        if not self._get.service_is_ready():
            return

        def take(response: Any) -> None:  # noqa: ANN401 - ROS message classes carry no types
            self._asked = None
            self._forget_told()
            state: State = response.current_state
            self.state = state.label
            answered(state.id)

        self._asked = self._call(self._get, GetState.Request(), take)

    def change(self, transition: int, answered: Callable[[bool], None]) -> None:
        """Request a transition (`lifecycle_msgs/Transition`)."""

        def take(response: Any) -> None:  # noqa: ANN401
            self._told = None
            answered(bool(response.success))

        self._forget_told()
        request = ChangeState.Request(transition=Transition(id=transition))
        self._told = self._call(self._change, request, take)

    def _forget_told(self) -> None:
        if self._told is not None:
            self._change.remove_pending_request(self._told)
            self._told = None

    def _call(
        self, client: Client[Any, Any], request: Any, take: Callable[[Any], None]  # noqa: ANN401
    ) -> Future[Any]:
        def done(future: Future[Any]) -> None:
            self.answered_at = time.monotonic()
            take(future.result())

        future: Future[Any] = client.call_async(request)
        future.add_done_callback(done)
        return future
