# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Publish a node's statuses on `/diagnostics`: all once a second, and every alert at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.units import encodable
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # where Humble has it
from rclpy.node import Node

SUMMARY_INTERVAL_S: Final = 1.0
QUEUE_DEPTH: Final = 50

STEADY_CLOCK: Final = Clock(clock_type=ClockType.STEADY_TIME)
"""The clock of all timers. A node's own clock stops with a simulation (`use_sim_time`)."""


class DiagnosticsPublisher:
    """
    Publish the state of a node as `diagnostic_msgs/DiagnosticArray`.

    A timer of the node's executor publishes all statuses. An alert is published at once by the
    thread that raised or cleared it, even while a transition keeps the executor busy.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        board: AlertBoard,
        *,
        groups: Mapping[str, Sequence[str]],
        summarize: Callable[[], DiagnosticStatus],
        hardware_id: Callable[[], str],
    ) -> None:
        """
        Publish from now on, until `stop`.

        Args:
            node: The node.
            topic: Topic to publish on.
            board: The faults of the node.
            groups: Alert codes by fault group; each group is one status.
            summarize: Returns the first status, without regard to faults; called once a second.
            hardware_id: Returns the name of the vehicle; called in any thread.

        """
        self.topic = topic
        self._node = node
        self._board = board
        self._groups = groups
        self._summarize = summarize
        self._hardware_id = hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, topic, QUEUE_DEPTH)
        self._timer = node.create_timer(
            SUMMARY_INTERVAL_S, self._publish_all, clock=STEADY_CLOCK
        )
        board.listen(self._on_alert)

    def stop(self) -> None:
        """Stop publishing."""
        self._board.unlisten(self._on_alert)
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish_all(self) -> None:
        summary = self._summarize()
        with self._board.still() as present:  # an alert that begins meanwhile is published later
            worst = worst_of(present)
            if worst is not None:
                summary.level = max(summary.level, level_of(worst))
                summary.message += f': {worst.message}'
            self._publish([summary, *(self._group(name, present) for name in self._groups)])

    def _on_alert(self, alert: Alert) -> None:
        """Publish the group of the alert; any thread."""
        group = next(name for name, codes in self._groups.items() if alert.code in codes)
        status = self._group(group, self._board.present())
        if not alert.raised:
            status.message = f'{alert.code} over: {alert.message}'
        self._publish([status])

    def _publish(self, statuses: list[DiagnosticStatus]) -> None:
        node = self._node.get_fully_qualified_name().lstrip('/')
        hardware_id = self._hardware_id()
        for status in statuses:
            status.name = f'{node}: {status.name}'
            status.hardware_id = hardware_id
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _group(self, group: str, present: Iterable[Alert]) -> DiagnosticStatus:
        alerts = [alert for alert in present if alert.code in self._groups[group]]
        worst = worst_of(alerts)
        values: dict[str, object] = {}
        for alert in alerts:
            name = f'{alert.code} {alert.subject}'.rstrip()
            values[name] = alert.message
            values.update({f'{name} {key}': value for key, value in alert.values.items()})
        return DiagnosticStatus(
            level=level_of(worst),
            name=group,
            message='ok' if worst is None else worst.message,
            values=key_values(values),
        )


def worst_of(alerts: Iterable[Alert]) -> Alert | None:
    """Return the alert of the highest level; None if there is none."""
    return max(alerts, key=lambda alert: alert.level, default=None)


def level_of(worst: Alert | None) -> bytes:
    """Return the level of a status with this as its worst alert; `AlertLevel` has its values."""
    return b'\0' if worst is None else bytes([worst.level])


def key_values(values: Mapping[str, object]) -> list[KeyValue]:
    """Return values as `DiagnosticStatus.values`."""
    return [KeyValue(key=key, value=encodable(value)) for key, value in values.items()]
