# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Topics that come and go, each with another name: their subscriptions do not add up."""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.node import graph_watch, idle
from fdr_recorder.node.graph_watch import GraphWatch
from fdr_recorder.node.intake.take_by_wait_set import WaitSetSubscriber
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import plan_own_topic
from fdr_recorder.storage.writer import FileFdrWriter
from ground import Ground
import pytest
from std_msgs.msg import String

NAMED = '/named'
TYPE = 'std_msgs/msg/String'


def test_topics_that_come_and_go(
    ground: Ground, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, 'MOST_IDLE', 2)
    monkeypatch.setattr(graph_watch, 'REVIEW_INTERVAL_S', 0.2)
    config = FdrConfig.from_options({'flight_root': str(root), 'topics': ['/come/*', NAMED]})
    alerts = AlertBoard()
    quarantine = Quarantine(alerts)
    writer = FileFdrWriter(root, config.writer)
    intake = IntakeThread(
        ground.node, WaitSetSubscriber(ground.node), writer, config.ring, quarantine
    )
    named = ground.node.create_publisher(String, NAMED, 10)
    own = plan_own_topic('/own', String, 10)
    watch = GraphWatch(ground.node, intake, config, alerts, quarantine, own, writer)
    intake.start()
    watch.start()
    try:
        ground.wait_until(lambda: (NAMED, TYPE) in intake.intakes, f'{NAMED} to be subscribed to')
        ground.node.destroy_publisher(named)
        for number in range(6):
            topic = f'/come/t{number}'
            publisher = ground.publisher(String, topic)
            ground.node.destroy_publisher(publisher)
        ground.wait_until(lambda: len(intake.intakes) == 4, 'the oldest to be released')
        assert {key.topic for key in intake.intakes} == {'/own', NAMED, '/come/t4', '/come/t5'}
        ground.publisher(String, '/come/t0')
        ground.wait_until(lambda: ('/come/t0', TYPE) in intake.intakes, 'the topic that is back')
    finally:
        watch.stop()
        intake.stop()
