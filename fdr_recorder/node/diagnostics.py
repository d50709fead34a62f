"""What the ground sees: a summary once a second, and every alert at once, on `/diagnostics`."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from fdr_recorder.alerts import Alert, AlertBoard, AlertLevel
from fdr_recorder.storage.writer import WriterStatus

SUMMARY_INTERVAL_S: Final = 1.0
QUEUE_DEPTH: Final = 50

GROUPS: Final = {
    'disk': (
        'disk_full',
        'write_error',
        'disk_low',
        'flight_root_locked',
        'flight_root_unusable',
    ),
    'capacity': ('cap_misconfigured', 'segments_dropped'),
    'rings': ('overrun',),
    'transport': ('transport_loss',),
    'topics': ('topic_missing', 'topic_stale', 'type_unknown'),
    'recorder': (
        'config_invalid',
        'transition_refused',
        'writer_failed',
        'intake_failed',
        'unclean_flight_recovered',
    ),
}
"""Alert codes by fault group; each group is one status, named after the node and the group."""

_LEVELS: Final = {
    AlertLevel.WARN: DiagnosticStatus.WARN,
    AlertLevel.ERROR: DiagnosticStatus.ERROR,
}


@dataclass(frozen=True)
class RecorderStatus:
    """What the summary says beside the writer's own status.

    Attributes:
        state: Lifecycle state of the node.
        root: The flight root; None while unconfigured.
        vehicle_id: Which vehicle this is.
        subscribed: Topics that are subscribed to.
        missing: Wanted topics that nobody has published yet.
        writer: What the writer says; None while unconfigured.

    """

    state: str
    root: Path | None = None
    vehicle_id: str = ''
    subscribed: int = 0
    missing: tuple[str, ...] = ()
    writer: WriterStatus | None = None


class Diagnostics:
    """Publishes the state of the recorder as `diagnostic_msgs/DiagnosticArray`.

    The summary comes from a timer of the node's executor. An alert is published at once, in the
    thread that raised or cleared it, so that it is out even while a transition keeps the executor
    busy.
    """

    def __init__(
        self, node: Node, topic: str, board: AlertBoard, status: Callable[[], RecorderStatus]
    ) -> None:
        """Publish from now on, until `stop`."""
        self.topic = topic
        self._node = node
        self._board = board
        self._status = status
        self._rates = _Rates()
        self._publisher = node.create_publisher(DiagnosticArray, topic, QUEUE_DEPTH)
        self._timer = node.create_timer(SUMMARY_INTERVAL_S, self._publish_summary)
        board.listen(self._on_alert)

    def stop(self) -> None:
        """Publish no more."""
        self._board.unlisten(self._on_alert)
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish_summary(self) -> None:
        status = self._status()
        present = self._board.present()
        groups = [self._group(name, present, status) for name in GROUPS]
        self._publish([self._summary(status, present), *groups])

    def _on_alert(self, alert: Alert) -> None:
        """Publish the group that the alert belongs to; in any thread."""
        group = next(name for name, codes in GROUPS.items() if alert.code in codes)
        status = self._group(group, self._board.present(), self._status())
        if not alert.raised:
            status.message = f'{alert.code} over: {alert.message}'
        self._publish([status])

    def _publish(self, statuses: list[DiagnosticStatus]) -> None:
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _name(self, part: str) -> str:
        return f'{self._node.get_name()}: {part}'

    def _group(
        self, group: str, present: Iterable[Alert], status: RecorderStatus
    ) -> DiagnosticStatus:
        alerts = [alert for alert in present if alert.code in GROUPS[group]]
        worst = max(alerts, key=lambda alert: alert.level, default=None)
        values: dict[str, object] = {}
        for alert in alerts:
            name = f'{alert.code} {alert.subject}'.rstrip()
            values[name] = alert.message
            values.update({f'{name} {key}': value for key, value in alert.values.items()})
        return DiagnosticStatus(
            level=DiagnosticStatus.OK if worst is None else _LEVELS[worst.level],
            name=self._name(group),
            message='ok' if worst is None else worst.message,
            hardware_id=_hardware_id(status),
            values=_key_values(values),
        )

    def _summary(self, status: RecorderStatus, present: Iterable[Alert]) -> DiagnosticStatus:
        """Say whether it records; never OK unless it does."""
        worst = max(present, key=lambda alert: alert.level, default=None)
        level = DiagnosticStatus.OK if worst is None else _LEVELS[worst.level]
        writer = status.writer
        if writer is not None and writer.flight_id and not writer.is_degraded:
            message = f'recording {writer.flight_id}'
        else:
            message = f'not recording ({status.state})'
            level = max(level, DiagnosticStatus.WARN)
        if worst is not None:
            message += f': {worst.message}'
        return DiagnosticStatus(
            level=level,
            name=self._name('summary'),
            message=message,
            hardware_id=_hardware_id(status),
            values=_key_values(self._summary_values(status)),
        )

    def _summary_values(self, status: RecorderStatus) -> dict[str, object]:
        values: dict[str, object] = {
            'state': status.state,
            'topics_subscribed': status.subscribed,
            'topics_not_published': ', '.join(status.missing),
        }
        free = _free_bytes(status.root)
        if free is not None:
            values['flight_root'] = status.root
            values['disk_free_bytes'] = free
        writer = status.writer
        if writer is None:
            return values
        records_rate, bytes_rate = self._rates.update(writer)
        values |= {
            'flight_id': writer.flight_id,
            'segment_index': writer.segment_index,
            'segments': writer.segments,
            'flight_bytes': writer.total_bytes,
            'producers': writer.producers,
            'ring_fill_percent': f'{100 * writer.ring_fill:.1f}',
            'records_per_second': f'{records_rate:.1f}',
            'bytes_per_second': f'{bytes_rate:.0f}',
            'degraded': writer.is_degraded,
        }
        if free is not None and bytes_rate > 0:
            values['estimated_seconds_to_full'] = f'{free / bytes_rate:.0f}'
        return values | dict(writer.counters.as_dict())


class _Rates:
    """Records and bytes per second between two summaries."""

    def __init__(self) -> None:
        self._flight_id = ''
        self._last = (0.0, 0, 0)

    def update(self, writer: WriterStatus) -> tuple[float, float]:
        now = time.monotonic()
        counters = writer.counters
        before, self._last = self._last, (now, counters.records_written, counters.bytes_written)
        same_flight = writer.flight_id and writer.flight_id == self._flight_id
        self._flight_id = writer.flight_id
        elapsed = now - before[0]
        if not same_flight or elapsed <= 0:
            return 0.0, 0.0
        records = (counters.records_written - before[1]) / elapsed
        return records, (counters.bytes_written - before[2]) / elapsed


def _free_bytes(root: Path | None) -> int | None:
    if root is None:
        return None
    try:
        status = os.statvfs(root)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def _hardware_id(status: RecorderStatus) -> str:
    return status.vehicle_id or socket.gethostname()


def _key_values(values: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
