# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Commands of the ground, carried out on a recorder by its services."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any, Final

from fdr_recorder.ground.mavlink import Result
from fdr_recorder.node.remote_lifecycle import RemoteLifecycle
from lifecycle_msgs.msg import State, Transition
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

Answer = Callable[[Result, str], object]

ASK_INTERVAL_S: Final = 0.5
"""How often to ask for the state during a transition, whose answer may be lost."""
SILENCE_S: Final = 3.0
"""A recorder that does not tell its state for so long does not answer."""
DEADLINE_S: Final = 15.0
ALERT_S: Final = 0.2
"""The alert that says why a transition was refused may come after the refusal."""

_STEPS: Final = {
    ('start', State.PRIMARY_STATE_UNCONFIGURED): Transition.TRANSITION_CONFIGURE,
    ('start', State.PRIMARY_STATE_INACTIVE): Transition.TRANSITION_ACTIVATE,
    ('stop', State.PRIMARY_STATE_ACTIVE): Transition.TRANSITION_DEACTIVATE,
}


class Execution:
    """Carries out commands on one recorder. In the executor's thread; nothing waits."""

    def __init__(self, node: Node, recorder: str) -> None:
        self._lifecycle = RemoteLifecycle(node, recorder)
        self._pin: Client[Any, Any] = node.create_client(
            Trigger, f'{self._lifecycle.name}/pin'
        )
        self._pinned: Future[Any] | None = None
        self._change: _Change | None = None

    def begin(self, name: str, answer: Answer) -> None:
        """Begin to carry out `pin`, `start` or `stop`; the answer comes later, once."""
        if name == 'pin':
            self._call_pin(answer)
        elif self._change is not None and not self._change.is_over:
            answer(Result.TEMPORARILY_REJECTED, 'busy')
        else:
            self._change = _Change(self._lifecycle, name, answer)

    def tick(self) -> None:
        """Go on with a transition; call it often."""
        if self._change is not None:
            self._change.tick(time.monotonic())

    def _call_pin(self, answer: Answer) -> None:
        if not self._pin.service_is_ready():
            answer(Result.FAILED, 'the recorder does not answer')
            return
        if self._pinned is not None:  # its answer was lost
            self._pin.remove_pending_request(self._pinned)

        def done(future: Future[Any]) -> None:
            response: Any = future.result()
            answer(Result.ACCEPTED if response.success else Result.DENIED, response.message)

        self._pinned = self._pin.call_async(Trigger.Request())
        self._pinned.add_done_callback(done)


class _Change:
    """
    One command that changes the state, from the first question to the answer.

    Attributes:
        is_over: Whether it was answered.

    """

    def __init__(self, lifecycle: RemoteLifecycle, name: str, answer: Answer) -> None:
        self._lifecycle = lifecycle
        self._name = name
        self._answer = answer
        self._began_at = self._asked_at = time.monotonic()
        self._refused_at: float | None = None
        self.is_over = False
        lifecycle.ask(self._on_state)

    def tick(self, now: float) -> None:
        """Ask again, or give up."""
        if self.is_over:
            return
        is_silent = now - max(self._lifecycle.answered_at, self._began_at) > SILENCE_S
        if self._refused_at is not None:
            if now - self._refused_at > ALERT_S:
                is_stop = self._name == 'stop'
                self._end(Result.TEMPORARILY_REJECTED if is_stop else Result.FAILED, '')
        elif now - self._began_at > DEADLINE_S:
            self._end(Result.FAILED, 'it takes too long')
        elif is_silent and not self._lifecycle.is_changing:
            self._end(Result.FAILED, 'the recorder does not answer')
        elif now - self._asked_at > ASK_INTERVAL_S and not self._lifecycle.is_changing:
            self._asked_at = now
            self._lifecycle.ask(self._on_state)

    def _on_state(self, state: int) -> None:
        if self.is_over:
            return
        step = _STEPS.get((self._name, state))
        if step is None:
            is_stopped = state in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_UNCONFIGURED)
            is_active = state == State.PRIMARY_STATE_ACTIVE
            if is_active if self._name == 'start' else is_stopped:
                self._end(Result.ACCEPTED, '')
            elif state == State.PRIMARY_STATE_FINALIZED:
                self._end(Result.DENIED, 'the recorder was shut down')
            return  # during a transition: ask again
        self._lifecycle.change(step, self._on_change)

    def _on_change(self, has_succeeded: bool) -> None:
        if self.is_over:
            return
        if has_succeeded:
            self._lifecycle.ask(self._on_state)
        else:
            self._refused_at = time.monotonic()

    def _end(self, result: Result, reason: str) -> None:
        self.is_over = True
        self._answer(result, reason)
