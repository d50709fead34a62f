# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parts of a recorder around a middleware that fails on request, in the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.config import FdrConfig, FdrWriterConfig
from fdr_recorder.node import message_class, quarantine
from fdr_recorder.node.graph_watch import GraphWatch
from fdr_recorder.node.intake.subscription_protocol import RawMessage
from fdr_recorder.node.intake.take_by_wait_set import WaitSetSubscriber
from fdr_recorder.node.intake.take_trial import rcl_take
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.topic_plan import plan_own_topic, TopicPlan
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.storage.writer import FileFdrWriter
from flight_check import check_flight, FlightFiles, Message, read_whole_chunks
from ground import Ground
from std_msgs.msg import String

QUICK = {'FIRST_PAUSE_S': 0.1, 'LONGEST_PAUSE_S': 0.8, 'ALERT_HOLD_S': 0.3}
"""Times of the quarantine in these tests."""


class Faults:
    """
    What the middleware does wrong now.

    A fault is known by what is called, and by its topic, if it has one: `('take', '/imu')`.
    """

    def __init__(self) -> None:
        self.errors: dict[tuple[str, str], BaseException] = {}
        self.raised: list[tuple[str, str]] = []
        self.change: dict[str, Callable[[RawMessage], RawMessage]] = {}
        """What the middleware makes of a topic's messages, or of those of all others ('')."""

    def check(self, call: str, topic: str = '') -> None:
        """Raise the error of a call, if it has one now."""
        error = self.errors.get((call, topic))
        if error is not None:
            self.raised.append((call, topic))
            raise error

    def before(self, call: str, topic: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that checks before it does its work."""

        def check_first(*args: Any, **options: Any) -> Any:
            self.check(call, topic)
            return function(*args, **options)

        return check_first


class _FaultyNode:
    """A node whose questions to the graph fail on request."""

    def __init__(self, node: Any, faults: Faults) -> None:
        self._node, self._faults = node, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._node, name)
        if name == 'get_topic_names_and_types':
            return self._faults.before(name, '', found)
        if name not in (
            'count_publishers', 'get_publishers_info_by_topic', 'resolve_topic_name'
        ):
            return found

        def ask(topic: str) -> Any:
            self._faults.check(name, topic)
            return found(topic)

        return ask


class _FaultySubscriber(WaitSetSubscriber):
    """Takes, waits and subscribes with faults."""

    def __init__(self, node: Any, faults: Faults) -> None:
        super().__init__(node, rcl_take(node))
        self._faults = faults

    def subscribe(self, plan: TopicPlan) -> Any:
        self._faults.check('subscribe', plan.name)
        made: Any = super().subscribe(plan)
        for name in ('take', 'has_changed', 'destroy'):
            setattr(made, name, self._faults.before(name, plan.name, getattr(made, name)))
        take = made.take

        def take_and_change() -> Any:
            changes = self._faults.change
            message, change = take(), changes.get(plan.name) or changes.get('')
            return message if message is None or change is None else change(message)

        made.take = take_and_change
        return made

    def serving(self, subscriptions: Any) -> Any:
        self._faults.check('serving')
        lent = super().serving(subscriptions)
        faults = self._faults

        class Lent:

            def __enter__(self) -> Callable[[], None]:
                return faults.before('wait', '', lent.__enter__())

            def __exit__(self, *error: Any) -> None:
                lent.__exit__(*error)

        return Lent()

    def gather(self) -> bool:
        self._faults.check('gather')
        return super().gather()

    def wake(self) -> None:
        self._faults.check('wake')
        super().wake()


class FaultyRecorder:
    """
    Writer, intake and graph watch of a recorder on the ground's node; records from the start.

    Attributes:
        faults: What the middleware does wrong now.
        told: Every alert, in order.

    """

    def __init__(self, ground: Ground, root: Path, faults: Faults, **options: Any) -> None:
        self.faults = faults
        self.board = AlertBoard()
        self.told: list[Alert] = []
        self.board.listen(self.told.append)
        self._ground, self._root = ground, root
        self._quick = mock.patch.multiple(quarantine, **QUICK)
        self._import = mock.patch.object(
            message_class,
            'import_module',
            faults.before('import', '', message_class.import_module),
        )
        quick_writer = FdrWriterConfig(
            flush_interval_s=0.05, sync_interval_s=0.1, min_free_bytes=0, reserve_bytes=0
        )
        self._config = FdrConfig(flight_root=str(root), writer=quick_writer, **options)

    def __enter__(self) -> FaultyRecorder:
        self._quick.start()
        self._import.start()
        node: Any = _FaultyNode(self._ground.node, self.faults)
        cases = quarantine.Quarantine(self.board)
        self.writer = FileFdrWriter(self._root, self._config.writer, alerts=self.board)
        subscriber = _FaultySubscriber(node, self.faults)
        self.intake = IntakeThread(node, subscriber, self.writer, self._config.ring, cases)
        own = plan_own_topic('/fdr/annotation', String, 10)
        self.watch = GraphWatch(
            node, self.intake, self._config, self.board, cases, own, self.writer
        )
        self.intake.start()
        self.watch.start()
        self.writer.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.stop()
        self.intake.stop()
        self.writer.stop()
        self._import.stop()
        self._quick.stop()

    def open(self, flight_id: str = 'x') -> None:
        """Open a flight, as the node does."""
        self.intake.hold_latched()
        self.writer.open_flight(new_flight_header(flight_id, self._config))
        self.intake.replay_latched()

    def close(self, flight_id: str = 'x') -> FlightFiles:
        """Close the flight, and check it."""
        assert self.intake.catch_up()
        return check_flight(self.writer.close_flight(flight_id))

    def stored(self, topic: str, flight_id: str = 'x') -> list[Message]:
        """Return a topic's messages that are in whole chunks."""
        return [
            message
            for path in sorted((self._root / flight_id).glob('*.mcap'))
            for message in read_whole_chunks(path)
            if message.topic == topic
        ]

    def alert(self, code: str, subject: str = '') -> Alert:
        """Wait until a fault has been told, and return its alert."""
        return self._ground.wait_until(
            lambda: next(
                (
                    alert
                    for alert in self.told
                    if alert.raised and (alert.code, alert.subject) == (code, subject)
                ),
                None,
            ),
            f'{code} {subject}',
        )

    def wait_until_over(self) -> None:
        """Wait until no fault is present."""
        self._ground.wait_until(lambda: not self.board.present(), 'the end of all alerts')
