# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What came in while the node was inactive."""

from __future__ import annotations

from pathlib import Path

from ground import Ground, LATCHED, serialize_message
from rclpy.duration import Duration
from recorder_process import are_the_same, read_flight, RecorderProcess
from std_msgs.msg import String


def texts(*words: str) -> list[bytes]:
    return [serialize_message(String(data=word)) for word in words]


def test_each_flight_begins_with_the_last_seconds(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'topics': ['/chatter', '/map'], 'preroll_s': 60.0}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        publisher = ground.publisher(String, '/chatter')
        latched = ground.publisher(String, '/map', LATCHED)
        latched.publish(String(data='map'))

        def publish(*words: str) -> None:
            for word in words:
                publisher.publish(String(data=word))
            assert publisher.wait_for_all_acked(Duration(seconds=10))

        publish('before', 'just before')
        recorder.make('activate')
        publish('in flight')
        ground.wait_until(lambda: recorder.stored('/chatter') == 3, 'all three')
        recorder.make('deactivate')
        publish('between')
        recorder.make('activate')
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'what came between')
        recorder.make('deactivate')
        first, second = map(read_flight, recorder.flights())
    assert are_the_same(first.of_topic('/chatter'), texts('before', 'just before', 'in flight'))
    assert are_the_same(second.of_topic('/chatter'), texts('between'))
    for flight in (first, second):
        assert are_the_same(flight.of_topic('/map'), texts('map'))
