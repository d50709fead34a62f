# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The recorder's remote control: its lifecycle services, with deadlines."""

from __future__ import annotations

from collections.abc import Callable
import time
from types import TracebackType
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
import rclpy
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

_Message = Any  # ROS message classes carry no types

_SLICE_S = 0.1  # a wait inside rclpy does not see Ctrl-C before it ends

TRANSITIONS = {
    'configure': (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
    'activate': (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
    'deactivate': (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE),
    'cleanup': (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
}
"""A transition's number, and the state that it leads to."""


class LifecycleError(Exception):
    """The node did not answer in time, or refused a transition."""


class Lifecycle:
    """The client of one lifecycle node; use it as a context manager."""

    def __init__(self, node_name: str, check: Callable[[], None]) -> None:
        """
        Create the service clients.

        Args:
            node_name: the lifecycle node's full name, ``/fdr_recorder``.
            check: is called a few times a second and may raise: the node's process may have died.

        """
        self._name = node_name
        self._check = check
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            'fdr_demo', context=self._context, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._change: Client[Any, Any] = self._node.create_client(
            ChangeState, f'{node_name}/change_state'
        )
        self._get: Client[Any, Any] = self._node.create_client(
            GetState, f'{node_name}/get_state'
        )

    def __enter__(self) -> Lifecycle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait_for_node(self, timeout_s: float) -> None:
        """
        Wait until the node's services are there and answer.

        Raises:
            LifecycleError: they are not, after `timeout_s` seconds.

        """
        deadline = time.monotonic() + timeout_s
        for client in (self._change, self._get):
            while not client.wait_for_service(_SLICE_S):
                self._check()
                if time.monotonic() > deadline:
                    raise LifecycleError(
                        f'no service {client.srv_name} within {timeout_s:.0f} s'
                    )
        self.state(max(1.0, deadline - time.monotonic()))

    def state(self, timeout_s: float = 5.0) -> str:
        """Return the node's state: ``unconfigured``, ``inactive``, ``active`` ..."""
        response = self._call(self._get, GetState.Request(), timeout_s)
        return str(response.current_state.label)

    def change(self, transition: str, timeout_s: float) -> float:
        """
        Make a transition and return the seconds it took.

        Raises:
            LifecycleError: refused, not done within `timeout_s` seconds, or done to another
                state than the transition's.

        """
        number, expected = TRANSITIONS[transition]
        request = ChangeState.Request()
        request.transition.id = number
        start = time.monotonic()
        response = self._call(self._change, request, timeout_s)
        took = time.monotonic() - start
        if not response.success:
            raise LifecycleError(f'{self._name} refused to {transition}; it is {self.state()} now')
        after = self._call(self._get, GetState.Request(), 5.0).current_state
        if after.id != expected:
            raise LifecycleError(f'{self._name} is {after.label} after {transition}')
        return took

    def _call(self, client: Client[Any, Any], request: _Message, timeout_s: float) -> _Message:
        """Call a service and wait for its response."""
        future = client.call_async(request)
        deadline = time.monotonic() + timeout_s
        while not future.done():
            self._check()
            if time.monotonic() > deadline:
                client.remove_pending_request(future)
                raise LifecycleError(f'{client.srv_name}: no answer within {timeout_s:.0f} s')
            self._executor.spin_until_future_complete(future, _SLICE_S)
        return future.result()
