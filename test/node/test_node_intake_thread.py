# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The intake by itself, in the moment that a flight opens."""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.node.definitions import Definitions
from fdr_recorder.node.intake.take_by_wait_set import WaitSetSubscriber
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import plan_topic
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.storage.writer import FileFdrWriter
from flight_check import read_whole_chunks
from ground import Ground
import pytest
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from recorder_process import read_flight
from std_msgs.msg import String

TOPIC = '/static'
HELD = 5


def held(segment: Path) -> set[bytes]:
    """Return the different messages that are on disk."""
    return {message.data for message in read_whole_chunks(segment) if message.topic == TOPIC}


class CountingSubscriber(WaitSetSubscriber):
    """Knows how many rounds the intake has made."""

    rounds = 0

    def gather(self) -> bool:
        self.rounds += 1
        return super().gather()


@pytest.mark.parametrize('is_found_first', [True, False])
def test_a_latched_topic_that_is_found_as_a_flight_opens(
    ground: Ground, root: Path, is_found_first: bool
) -> None:
    qos = QoSProfile(depth=HELD, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = ground.publisher(String, TOPIC, qos, recorders=0)
    for number in range(HELD):
        publisher.publish(String(data=str(number)))
    config = FdrConfig(flight_root=str(root))
    subscriber = CountingSubscriber(ground.node)
    writer = FileFdrWriter(root, config.writer)
    intake = IntakeThread(
        ground.node, subscriber, writer, config.ring, Quarantine(AlertBoard())
    )
    definitions = Definitions(ground.node)
    endpoints = ground.wait_until(lambda: ground.node.get_publishers_info_by_topic(TOPIC))
    plan = plan_topic(TOPIC, endpoints, definitions, 100)
    assert plan is not None
    writer.start()
    intake.start()
    try:
        if is_found_first:
            intake.add(plan)
            intake.hold_latched()
        else:
            intake.hold_latched()
            intake.add(plan)
        ground.wait_until(publisher.get_subscription_count)
        assert publisher.wait_for_all_acked(Duration(seconds=30))
        rounds = subscriber.rounds
        ground.wait_until(lambda: subscriber.rounds > rounds + 2, 'a chance to let them go')
        writer.open_flight(new_flight_header('f', config))
        intake.replay_latched()
        segment = root / 'f' / 'segment_000000.mcap'
        ground.wait_until(lambda: len(held(segment)) == HELD, 'all that is held')
        assert intake.catch_up()
        writer.close_flight('f')
    finally:
        intake.stop()
        writer.stop()
        definitions.close()
    flight = read_flight(root / 'f')
    begun_at = flight.messages[0].log_time  # the header's, and of what the segment repeats
    found = [message for message in flight.of_topic(TOPIC) if message.log_time != begun_at]
    assert len(found) == HELD
