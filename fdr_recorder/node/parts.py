# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The parts of a configured recorder: built together, released together."""

from __future__ import annotations

from contextlib import ExitStack, suppress
import logging
from pathlib import Path
import time

from fdr_recorder.alerts import ALERT_LEVELS, AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import FlightNotOpenError
from fdr_recorder.node.armed_hold import ArmedHold
from fdr_recorder.node.conditions.rising_edges import RisingEdges
from fdr_recorder.node.errands import Errands
from fdr_recorder.node.graph_watch import GraphWatch
from fdr_recorder.node.intake import take_by_wait_set
from fdr_recorder.node.intake.subscription_protocol import Subscriber
from fdr_recorder.node.intake.take_by_executor import ExecutorSubscriber
from fdr_recorder.node.intake.take_trial import rcl_take
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.notes import Notes
from fdr_recorder.node.parameter_survey import ParameterSurvey
from fdr_recorder.node.pausing import Pausing
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.root_taking import take_root
from fdr_recorder.node.topic_plan import plan_own_topic
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.record_flight import make_writer
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.topics.condition import Condition
from fdr_recorder.topics.names import PARAMETER_EVENTS
from rclpy.node import Node
from std_msgs.msg import String

logger = logging.getLogger(__name__)


@dataclass
class Parts:
    """The parts of a configured recorder; `release` holds what cleanup calls, in reverse."""

    config: FdrConfig
    root: FlightRoot
    writer: FileFdrWriter
    intake: IntakeThread
    watch: GraphWatch
    hold: ArmedHold
    pausing: Pausing
    notes: Notes
    release: ExitStack
    flight: Path | None = None
    """Directory of the flight that was begun last, until it is closed."""


def build_parts(node: Node, config: FdrConfig, board: AlertBoard, errands: Errands) -> Parts:
    """
    Take the flight root, subscribe, and start the intake; release all of it if that fails.

    Raises:
        FdrError: The flight root is in use, or cannot be used.

    """
    with ExitStack() as release:
        owner = node.get_fully_qualified_name()
        root = take_root(config, owner, board, errands, release)
        writer = make_writer(config, root, board)
        quarantine = Quarantine(board)
        intake = IntakeThread(node, _subscriber(node, config), writer, config.ring, quarantine)
        release.callback(intake.stop)
        release.callback(writer.stop)
        annotation = plan_own_topic(
            node.resolve_topic_name('~/annotation'), String, config.intake_depth
        )
        watch = GraphWatch(node, intake, config, board, quarantine, annotation, writer)
        release.callback(watch.stop)
        hold = ArmedHold(node, config, board)
        release.callback(hold.stop)
        pausing = Pausing(intake, board, {annotation.name, *_always(config)})
        release.callback(pausing.resume, 'not configured any more')
        notes = Notes(annotation, writer)
        release.callback(notes.stop)
        release.callback(_pin_by_conditions(node, config, writer, board).stop)
        if config.record_parameters:
            release.callback(ParameterSurvey(node, writer, quarantine).stop)
        intake.start()
        watch.start()
        return Parts(config, root, writer, intake, watch, hold, pausing, notes, release.pop_all())


def _pin_by_conditions(
    node: Node, config: FdrConfig, writer: FileFdrWriter, board: AlertBoard
) -> RisingEdges:
    """Pin the time around the beginning of each condition of `pin_on`; without one, do nothing."""

    def begun(condition: Condition, since: float) -> None:
        held_s = time.monotonic() - since
        with suppress(FlightNotOpenError):  # then there is nothing to pin
            writer.pin(condition.text, before_s=config.pin_before_s + held_s)

    conditions = [text for text in config.pin_on if text not in ALERT_LEVELS]
    return RisingEdges(node, conditions, begun, Quarantine(board))


def _always(config: FdrConfig) -> tuple[str, ...]:
    """Return the topics that a pause does not leave out."""
    return (PARAMETER_EVENTS,) if config.record_parameters else ()


def _subscriber(node: Node, config: FdrConfig) -> Subscriber:
    if not config.intake_via_executor and take_by_wait_set.IS_AVAILABLE:
        return take_by_wait_set.WaitSetSubscriber(node, rcl_take(node))
    logger.warning('messages come through an executor of rclpy: about 8,000 a second at most')
    return ExecutorSubscriber(node)
