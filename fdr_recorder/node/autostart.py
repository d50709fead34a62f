"""Autostart: a lifecycle node configures and activates itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer

from fdr_recorder.node.reporter import STEADY_CLOCK

INTERVAL_S: Final = 2.0


class Autostart:
    """Tries until it has worked once, or until somebody else is in command.

    The transitions are made in the node's own process, so that they depend on nobody who must be
    there in time to ask for them. In the executor's thread.

    Attributes:
        is_acting: Whether the transition that is made now is its own.

    """

    def __init__(self, node: LifecycleNode, state: Callable[[], str]) -> None:
        """Take the node, and what tells its state."""
        self.is_acting = False
        self._node = node
        self._state = state
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Try now, and again every two seconds."""
        self._timer = self._node.create_timer(INTERVAL_S, self._try, clock=STEADY_CLOCK)
        self._try()

    def end(self) -> None:
        """Try no more. Idempotent."""
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
