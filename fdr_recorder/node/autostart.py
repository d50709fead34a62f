# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A lifecycle node makes transitions itself: at its start, and when a disk answers again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fdr_recorder.node.diagnostics_publisher import STEADY_CLOCK
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer

INTERVAL_S: Final = 2.0
LATE_INTERVAL_S: Final = 0.5


class Autostart:
    """
    Try until the node is active, or until somebody else makes a transition.

    All calls are in the executor's thread. `state` returns the label of the node's state.

    Attributes:
        is_acting: Whether the current transition is its own.

    """

    def __init__(self, node: LifecycleNode, state: Callable[[], str]) -> None:
        self.is_acting = False
        self._node = node
        self._state = state
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Try now, and again every two seconds."""
        self._timer = self._node.create_timer(INTERVAL_S, self._try, clock=STEADY_CLOCK)
        self._try()

    def end(self) -> None:
        """Stop trying. Idempotent."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _try(self) -> None:
        self.is_acting = True
        try:
            if self._state() == 'unconfigured':
                self._node.trigger_configure()
            if self._state() == 'inactive':
                self._node.trigger_activate()
        finally:
            self.is_acting = False
        if self._state() == 'active':
            self.end()


class LateDeactivation:
    """
    Deactivate the node once its disk answers: it did not when somebody asked for that.

    All calls are in the executor's thread. `may_act` returns whether to do it now; None if it is
    no longer needed.

    Attributes:
        is_acting: Whether the current transition is its own.

    """

    def __init__(self, node: LifecycleNode, may_act: Callable[[], bool | None]) -> None:
        self.is_acting = False
        self._node = node
        self._may_act = may_act
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Try from now on, until the node is not active. Idempotent."""
        if self._timer is None:
            self._timer = self._node.create_timer(LATE_INTERVAL_S, self._try, clock=STEADY_CLOCK)

    def _try(self) -> None:
        if self._may_act():
            self.is_acting = True
            try:
                self._node.trigger_deactivate()
            finally:
                self.is_acting = False
        if self._may_act() is None and self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
