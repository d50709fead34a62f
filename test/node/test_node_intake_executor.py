# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Two ways from the middleware into the rings: a wait set, and an executor of rclpy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from flight_check import FlightFiles
from ground import BEST_EFFORT, Ground, LATCHED, RCLPY_TELLS_PUBLISHERS
from publisher_process import PublisherProcess
from recorder_process import read_flight, RecorderProcess
from sensor_msgs.msg import Image
from std_msgs.msg import String

TOPICS = ('/chatter', '/latched', '/best_effort', '/image')


def recorder_process(ground: Ground, directory: Path, **options: object) -> RecorderProcess:
    (directory / 'flights').mkdir(parents=True)
    return RecorderProcess(
        ground, directory, name=directory.name, topics=list(TOPICS), **options
    )


def content(flight: FlightFiles) -> Counter[tuple[object, ...]]:
    """Return what does not depend on when it was received."""
    return Counter(
        (topic, message.publisher, message.sequence, message.publish_time, message.data)
        for topic in TOPICS
        for message in flight.of_topic(topic)
    )


def without_gids(found: Counter[tuple[object, ...]]) -> Counter[tuple[object, ...]]:
    """Leave out the publishers, where rclpy does not tell them."""
    if RCLPY_TELLS_PUBLISHERS:
        return found
    return Counter((message[0], *message[2:]) for message in found.elements())


def test_both_ways_record_the_same(ground: Ground, tmp_path: Path) -> None:
    with (
        recorder_process(ground, tmp_path / 'by_wait_set') as one,
        recorder_process(ground, tmp_path / 'by_executor', intake_via_executor=True) as other,
    ):
        both = (one, other)

        def stored(topic: str, count: int) -> None:
            ground.wait_until(
                lambda: all(recorder.stored(topic) == count for recorder in both), topic
            )

        latched = ground.publisher(String, '/latched', LATCHED, recorders=0)
        latched.publish(String(data='before'))
        for recorder in both:
            recorder.make('configure', 'activate')
        stored('/latched', 1)
        chatter = ground.publisher(String, '/chatter', recorders=2)
        best_effort = ground.publisher(String, '/best_effort', BEST_EFFORT, recorders=2)
        image = ground.publisher(Image, '/image', recorders=2)
        for number in range(30):
            best_effort.publish(String(data=f'{number}'))
        stored('/best_effort', 30)  # before anything fills the middleware's shared memory
        for number in range(300):
            chatter.publish(String(data=f'{number}'))
        image.publish(Image(height=800, width=500, data=bytes(1_200_000)))
        stored('/chatter', 300)
        with PublisherProcess(ground, tmp_path, '/chatter', subscribers=2) as elsewhere:
            assert elsewhere.hear()['gid']
            elsewhere.ask('publish', 0, 50)
            stored('/chatter', 350)
        stored('/image', 1)
        for recorder in both:
            recorder.make('deactivate', 'activate')  # the next flight gets what is latched, too
        latched.publish(String(data='after'))
        stored('/latched', 2)
        for recorder in both:
            recorder.make('deactivate')
        flights = [[read_flight(path) for path in recorder.flights()] for recorder in both]
        for by_wait_set, by_executor in zip(*flights, strict=True):
            found = content(by_wait_set)
            assert without_gids(found) == without_gids(content(by_executor))
            assert set(found.values()) == {1}
            assert by_executor.footer.records_lost_transport == 0


def test_it_says_which_way(ground: Ground, tmp_path: Path) -> None:
    with recorder_process(ground, tmp_path / 'drone', intake_via_executor=True) as recorder:
        recorder.make('configure')
        recorder.wait_for_log('through an executor of rclpy')
        ground.wait_until(
            lambda: ground.node.get_node_names().count('drone_intake') == 1, 'the second node'
        )
        recorder.make('cleanup')
        ground.wait_until(
            lambda: 'drone_intake' not in ground.node.get_node_names(), 'the second node to go'
        )


def test_what_has_arrived_is_recorded_though_the_flight_ends(
    ground: Ground, tmp_path: Path
) -> None:
    with recorder_process(ground, tmp_path / 'drone', intake_via_executor=True) as recorder:
        recorder.make('configure', 'activate')
        with PublisherProcess(ground, tmp_path, '/chatter', depth=4000) as publisher:
            gid = publisher.hear()['gid']
            publisher.ask('publish', 0, 3000)
            assert publisher.ask('acknowledged')['acknowledged']
            recorder.make('deactivate')
        recorded = recorder.read_flight().of_topic('/chatter')
        assert [message.sequence for message in recorded] == list(range(1, 3001))
        assert {message.publisher for message in recorded} <= {gid, ''}  # Jazzy does not tell
