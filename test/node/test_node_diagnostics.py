# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the ground sees on the diagnostics topic."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
import socket
import threading

from diagnostic_msgs.msg import DiagnosticArray
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.diagnostics_publisher import DiagnosticsPublisher
from ground import DiagnosticStatus, Ground, values_of
from publisher_process import PublisherProcess
import pytest
from recorder_process import RecorderProcess

ALWAYS = {'state', 'topics_subscribed', 'topics_not_published'}
CONFIGURED = ALWAYS | {
    'flight_root',
    'disk_free_bytes',
    'disk_bytes',
    'flight_id',
    'segment_index',
    'segments',
    'flight_bytes',
    'producers',
    'ring_fill_percent',
    'records_per_second',
    'bytes_per_second',
    'degraded',
    'disk_stalled_seconds',
    'status_age_seconds',
    'records_written',
    'records_dropped_overrun',
    'bytes_written',
    'rollover_count',
    'segments_dropped',
    'bytes_dropped',
    'records_dropped_write_error',
    'records_lost_transport',
    'records_repeated',
    'records_before_match',
    'records_throttled',
}
GROUPS = ['summary', 'disk', 'capacity', 'rings', 'transport', 'topics', 'recorder']


def test_the_summary(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/chatter'], 'vehicle_id': 'drone-7'}
    with (
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
        PublisherProcess(ground, tmp_path, '/chatter') as publisher,
    ):
        unconfigured = recorder.wait_for_summary(lambda values: True, 'the first summary')
        assert values_of(unconfigured).keys() == ALWAYS
        assert unconfigured.hardware_id == socket.gethostname()
        recorder.make('configure')
        inactive = recorder.wait_for_summary(
            lambda values: values['state'] == 'inactive', 'a summary while inactive'
        )
        assert values_of(inactive).keys() == CONFIGURED
        assert inactive.level == DiagnosticStatus.WARN
        assert inactive.message == 'not recording (inactive)'
        assert inactive.hardware_id == 'drone-7'
        recorder.make('activate')
        publisher.hear()
        # Two in flight, for there is no rate without; then one that saw the messages.
        for _ in range(2):
            recorder.wait_for_summary(lambda values: bool(values['flight_id']), 'a flight')
        publisher.ask('publish', 0, 100)
        active = recorder.wait_for_summary(
            lambda values: float(values['records_per_second']) >= 50, 'the rate'
        )
        values = values_of(active)
        assert values.keys() == CONFIGURED | {'estimated_seconds_to_full'}
        assert active.level == DiagnosticStatus.OK
        (path,) = recorder.flights()
        assert active.message == f'recording {path.name}'
        assert values['flight_id'] == path.name
        assert values['flight_root'] == str(root)
        assert values['topics_subscribed'] == values['producers'] == '1'
        assert int(values['records_written']) == 102  # header, and that a publisher was seen
        assert int(values['bytes_written']) == (path / 'segment_000000.mcap').stat().st_size
        assert int(values['estimated_seconds_to_full']) > 0
        recorder.make('deactivate', 'cleanup')
        recorder.wait_for_summary(lambda values: values.keys() == ALWAYS, 'the last summary')

        arrays = [array for array in ground.arrays if len(array.status) > 1]
        for array in arrays:
            assert [item.name for item in array.status] == [
                f'fdr_recorder: {group}' for group in GROUPS
            ]
            summary = array.status[0]
            is_ok = summary.level == DiagnosticStatus.OK
            assert is_ok == summary.message.startswith('recording ')
        stamps = [array.header.stamp.sec + array.header.stamp.nanosec / 1e9 for array in arrays]
        gaps = [later - earlier for earlier, later in pairwise(stamps)]
        assert sum(gaps) / len(gaps) == pytest.approx(1.0, abs=0.25)


def test_a_topic_of_its_own(ground: Ground, tmp_path: Path, root: Path) -> None:
    arrays: list = []
    ground.listen('/drone/health', arrays)
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        diagnostics_topic='/drone/health',
        required=['/gps'],
        discovery_grace_s=0.0,
    ) as recorder:
        recorder.wait_for_summary(lambda values: True, 'a summary on /diagnostics')
        recorder.make('configure', 'activate')
        ground.wait_until(lambda: len(arrays) >= 2, 'two messages on /drone/health')
        elsewhere = len(ground.arrays)
        recorder.make('deactivate')
        ground.wait_until(
            lambda: arrays[-1].status[0].message.startswith('not recording (inactive)'),
            'the news on /drone/health',
        )
        assert len(ground.arrays) == elsewhere
        topics = [item for item in arrays[-1].status if item.name == 'fdr_recorder: topics']
        assert topics[0].level == DiagnosticStatus.WARN


def test_an_alert_is_not_told_as_over_while_it_lasts(ground: Ground) -> None:
    """It begins while all statuses are made: in another thread, and at each step of that."""
    board = AlertBoard()
    begins: list[threading.Thread] = []

    def raise_one(topic: str) -> None:
        thread = threading.Thread(
            target=board.raise_alert, args=('topic_missing', 'gone'), kwargs={'subject': topic}
        )
        thread.start()
        thread.join(0.2)  # it may have to wait
        begins.append(thread)

    def summarize() -> DiagnosticStatus:
        raise_one(f'/while_summary_{len(begins)}')
        return DiagnosticStatus(name='summary')

    def hardware_id() -> str:
        if threading.current_thread() is threading.main_thread():
            raise_one(f'/while_published_{len(begins)}')
        return 'drone-7'

    heard: list[dict[str, str]] = []

    def hear(array: DiagnosticArray) -> None:
        topics = [status for status in array.status if status.name.endswith(': topics')]
        heard.extend(map(values_of, topics))

    subscription = ground.node.create_subscription(DiagnosticArray, '/told', hear, 100)
    publisher = DiagnosticsPublisher(
        ground.node,
        '/told',
        board,
        groups={'topics': ('topic_missing',)},
        summarize=summarize,
        hardware_id=hardware_id,
    )
    try:
        ground.wait_until(lambda: len(heard) >= 9, 'three times all statuses')
    finally:
        publisher.stop()
        ground.node.destroy_subscription(subscription)
        for thread in begins:
            thread.join()
    for before, after in pairwise(heard):
        assert before.keys() <= after.keys()
