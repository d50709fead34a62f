# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Call somebody whenever a condition on a topic begins to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import time
from typing import Final

from fdr_recorder.node.conditions.source import of_condition
from fdr_recorder.node.conditions.source_watch import SourceWatch
from fdr_recorder.node.conditions.switch import Switch
from fdr_recorder.node.diagnostics_publisher import STEADY_CLOCK
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.topics.condition import Condition, parse_condition
from rclpy.node import Node

DEBOUNCE_S: Final = 0.3
"""So long a condition must hold that does not say `for N s`."""
LOOK_S: Final = 1.0
TICK_S: Final = 0.05


class RisingEdges:
    """
    Watches conditions, in the executor's thread of the node.

    It has timers and subscriptions only if there is a condition.

    Example:
        >>> edges = RisingEdges(node, config.pin_on, begun, quarantine)
        >>> edges.stop()

    """

    def __init__(
        self,
        node: Node,
        conditions: Iterable[str],
        begun: Callable[[Condition, float], object],
        quarantine: Quarantine,
    ) -> None:
        """
        Watch from now on.

        Args:
            node: Has the subscriptions.
            conditions: Texts, which the configuration has checked.
            begun: Called once a condition has held for its debounce, with the condition and the
                time since when it has held (monotonic seconds). It must raise nothing.
            quarantine: Decides about conditions that cannot be watched.

        Raises:
            ConditionError: A text is not a condition.
            ConfigInvalidError: A topic has no valid name.

        """
        self._node = node
        self._begun = begun
        self._watched: list[tuple[Condition, SourceWatch, Switch]] = []
        self._on: set[int] = set()
        for condition in map(parse_condition, conditions):
            source = of_condition(condition, DEBOUNCE_S)
            switch = Switch(source.debounce_s)
            watch = SourceWatch(node, source, self._hears(switch), quarantine)
            self._watched.append((condition, watch, switch))
        self._timers = []
        if self._watched:
            self._tick = node.create_timer(TICK_S, self._judge, clock=STEADY_CLOCK)
            self._tick.cancel()
            self._timers = [
                node.create_timer(LOOK_S, self._look, clock=STEADY_CLOCK), self._tick
            ]
            self._look()

    def stop(self) -> None:
        """Stop watching. Idempotent."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        self._timers = []
        for _, watch, _ in self._watched:
            watch.stop()
        self._watched = []

    def _look(self) -> None:
        for _, watch, _ in self._watched:
            watch.look()

    def _hears(self, switch: Switch) -> Callable[[bool, float], None]:
        """Return what hears one condition; the timer runs only while something has changed."""

        def heard(says: bool, now: float) -> None:
            if says != switch.says:
                switch.hear(says, now)
                self._judge()
                self._tick.reset()

        return heard

    def _judge(self) -> None:
        now = time.monotonic()
        is_settled = True
        for index, (condition, _, switch) in enumerate(self._watched):
            is_on = switch.is_on(now)
            is_settled &= is_on == switch.says
            if not is_on:
                self._on.discard(index)
            elif index not in self._on:
                self._on.add(index)
                self._begun(condition, switch.since)
        if is_settled:
            self._tick.cancel()
