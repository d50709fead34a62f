# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Autostart: publishers that start seconds after the recorder are not missing."""

from __future__ import annotations

from pathlib import Path
import time
from types import SimpleNamespace
from typing import Any

from fdr_recorder import AlertBoard
from fdr_recorder.node.graph_watch import CHECK_INTERVAL_S, GraphWatch, REVIEW_INTERVAL_S
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_alerts import TopicAlerts
from ground import Ground
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import String


def test_publishers_that_start_within_four_seconds_are_not_missing(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    delays = {'/at_once': 0.0, '/soon': 1.3, '/later': 2.7, '/latest': 4.0}
    options: dict[str, Any] = {'autostart': True, 'required': [*delays]}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.wait_for_log('ready: ')
        since = time.monotonic()
        for topic, delay in delays.items():
            ground.wait_until(lambda at=since + delay: time.monotonic() >= at, 'the time')
            ground.publisher(String, topic)
        ground.wait_until(lambda: time.monotonic() > since + 6.0, 'the end of the grace time')
        assert 'topic_missing' not in recorder.log
        assert 'for want of a publisher' not in recorder.log


@pytest.mark.parametrize('grace_s', [0.5, 1.5])
def test_one_that_never_comes_is_missing_after_the_grace_and_no_longer_once_it_comes(
    ground: Ground, tmp_path: Path, root: Path, grace_s: float
) -> None:
    options: dict[str, Any] = {'autostart': True, 'required': ['/gps']}
    with RecorderProcess(
        ground, tmp_path, root, discovery_grace_s=grace_s, **options
    ) as recorder:
        recorder.wait_for_log('topic_missing: /gps is required and has no publisher')
        publisher = ground.publisher(String, '/gps')
        recorder.wait_for_log('topic_missing of /gps over: it has a publisher')
        ground.node.destroy_publisher(publisher)
        recorder.wait_for_log('topic_missing: /gps is required', times=2)


def test_a_topic_that_is_absent_is_looked_for_often_also_if_it_was_there_before() -> None:
    board = AlertBoard()
    tells = TopicAlerts(board, Quarantine(board), 0.0)
    watch: Any = GraphWatch.__new__(GraphWatch)
    watch._wanted = SimpleNamespace(is_open=False, named={'/gps': '/gps'})
    watch._plans = {'/gps': {}}  # it is subscribed to already
    watch._intake = SimpleNamespace(is_adapting=False)
    watch._changed_at, watch._tells = {}, tells
    tells.tell_missing('/gps', is_published=True)
    assert watch._interval_s() == REVIEW_INTERVAL_S
    tells.tell_missing('/gps', is_published=False)
    assert watch._interval_s() == CHECK_INTERVAL_S
    tells.tell_missing('/gps', is_published=True)
    assert watch._interval_s() == REVIEW_INTERVAL_S
