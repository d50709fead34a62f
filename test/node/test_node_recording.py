# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the node records: values, times, sequences, publishers."""

from __future__ import annotations

from pathlib import Path
import random
import time

from fdr_recorder.record.kinds import TransportLoss
from ground import BEST_EFFORT, Ground, LATCHED, serialize_message
from publisher_process import PublisherProcess
import pytest
from rclpy.duration import Duration
from recorder_process import are_the_same, read_flight, RecorderProcess
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import String

BURST = 20_000


@pytest.mark.smoke
def test_values_times_and_sequences(ground: Ground, tmp_path: Path, root: Path) -> None:
    dice = random.Random(1)
    imu = Imu()
    imu.header.frame_id = 'imu'
    imu.angular_velocity.x = dice.random()
    imu.orientation_covariance = [dice.random() for _ in range(9)]
    image = Image(height=800, width=500, encoding='rgb8', data=dice.randbytes(1_200_001))
    texts = ('', 'a', 'ab', 'abc', 'Ünïcödé ✈', 'x' * 99)
    messages = {
        '/chatter': [serialize_message(String(data=text)) for text in texts],
        '/imu': [serialize_message(imu)] * 20,
        '/image': [serialize_message(image)] * 3,
    }
    types = {'/chatter': String, '/imu': Imu, '/image': Image}
    before = time.time_ns()
    with RecorderProcess(ground, tmp_path, root, topics=list(messages)) as recorder:
        recorder.make('configure', 'activate')
        for topic, values in messages.items():
            publisher = ground.publisher(types[topic], topic)
            for value in values:
                publisher.publish(value)
            count = len(values)
            ground.wait_until(
                lambda topic=topic, count=count: recorder.stored(topic) == count, topic
            )
        recorder.make('deactivate')
    after = time.time_ns()
    flight = recorder.read_flight()
    for topic, values in messages.items():
        recorded = flight.of_topic(topic)
        assert are_the_same(recorded, values), topic
        assert [message.sequence for message in recorded] == list(range(1, len(values) + 1))
        assert {message.publisher for message in recorded} == ground.gids(topic)
        for message in recorded:
            assert before < message.publish_time <= message.log_time < after


@pytest.mark.smoke
def test_every_publisher_of_a_topic_has_its_channel(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        here = [ground.publisher(String, '/chatter') for _ in range(2)]
        for number in range(10):
            for name, publisher in zip('ab', here, strict=True):
                publisher.publish(String(data=f'{name} {number}'))
        with PublisherProcess(ground, tmp_path, '/chatter') as elsewhere:
            gid = elsewhere.hear()['gid']
            elsewhere.ask('publish', 0, 10)
            ground.wait_until(lambda: recorder.stored('/chatter') == 30, 'all on disk')
            ground.wait_until(lambda: len(ground.gids('/chatter')) == 3, 'all in the graph')
            gids = ground.gids('/chatter')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    by_publisher = {gid: flight.of_topic('/chatter', gid) for gid in gids}
    for recorded in by_publisher.values():
        assert [message.sequence for message in recorded] == list(range(1, 11))
    assert are_the_same(by_publisher[gid], [String(data=f'{number} ') for number in range(10)])
    names = {
        bytes(recorded[0].data[8:9]) for own, recorded in by_publisher.items() if own != gid
    }
    assert names == {b'a', b'b'}
    (producers,) = [
        [item for item in flight.footer.producers if item.topic == '/chatter']
    ]
    assert {(item.publisher, item.offered, item.lost_transport) for item in producers} == {
        (own, 10, 0) for own in gids
    }


@pytest.mark.smoke
def test_publishers_of_every_qos(ground: Ground, tmp_path: Path, root: Path) -> None:
    profiles = {'/best_effort': BEST_EFFORT, '/latched': LATCHED}
    with RecorderProcess(ground, tmp_path, root, topics=list(profiles)) as recorder:
        recorder.make('configure', 'activate')
        for topic, qos in profiles.items():
            publisher = ground.publisher(String, topic, qos)

            def keep_publishing(publisher=publisher, topic=topic) -> bool:
                publisher.publish(String(data=topic))
                return recorder.stored(topic) >= 5

            ground.wait_until(keep_publishing, f'five messages of {topic}')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    offered = {
        topic['topic_metadata']['name']: topic['topic_metadata']['offered_qos_profiles']
        for topic in flight.bag['topics_with_message_count']
    }
    assert offered['/best_effort'][0]['reliability'] == 'best_effort'
    assert offered['/latched'][0]['durability'] == 'transient_local'
    sequences = [message.sequence for message in flight.of_topic('/latched')]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_a_latched_message_is_in_every_flight(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    publisher = ground.publisher(String, '/map', LATCHED, recorders=0)
    publisher.publish(String(data='the map'))
    with RecorderProcess(ground, tmp_path, root, topics=['/map']) as recorder:
        recorder.make('configure')
        ground.wait_until(publisher.get_subscription_count, 'the recorder')
        assert publisher.wait_for_all_acked(Duration(seconds=30))
        for _ in range(2):
            recorder.make('activate', 'deactivate')
    flights = [read_flight(path) for path in recorder.flights()]
    assert len(flights) == 2
    for flight in flights:
        (message,) = flight.of_topic('/map')
        assert are_the_same([message], [String(data='the map')])
    assert flights[1].footer.records_repeated == 1


def test_what_comes_while_inactive_is_let_go(ground: Ground, tmp_path: Path, root: Path) -> None:
    publisher = ground.publisher(String, '/chatter', recorders=0)
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure')
        ground.wait_until(publisher.get_subscription_count, 'the recorder')
        for phase in ('early', 'first', 'between', 'second'):
            for number in range(100):
                publisher.publish(String(data=f'{phase} {number}'))
            if phase in {'early', 'between'}:
                assert publisher.wait_for_all_acked(Duration(seconds=30))
                recorder.make('activate')
            else:
                ground.wait_until(lambda: recorder.stored('/chatter') == 100, f'{phase} on disk')
                recorder.make('deactivate')
    flights = [read_flight(path) for path in recorder.flights()]
    for flight, phase, first in zip(flights, ('first', 'second'), (101, 301), strict=True):
        recorded = flight.of_topic('/chatter')
        assert are_the_same(
            recorded, [String(data=f'{phase} {number}') for number in range(100)]
        )
        assert [message.sequence for message in recorded] == list(range(first, first + 100))
        assert flight.footer.records_lost_transport == 0


def test_what_was_acknowledged_before_deactivate_is_accounted_for(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/burst']) as recorder,
        PublisherProcess(ground, tmp_path, '/burst', depth=BURST) as publisher,
    ):
        recorder.make('configure', 'activate')
        told = publisher.hear()['gid']
        assert publisher.ask('publish', 0, BURST) == {'published': BURST}
        assert publisher.ask('acknowledged') == {'acknowledged': True}
        recorder.make('deactivate')
    flight = recorder.read_flight()
    (producer,) = [item for item in flight.footer.producers if item.topic == '/burst']
    assert producer.publisher == told
    recorded = flight.of_topic('/burst')
    assert producer.offered + producer.lost_transport == BURST, (
        f'recorded are {recorded[0].sequence} to {recorded[-1].sequence}'
    )
    assert producer.dropped_overrun == 0
    assert len(recorded) == BURST - producer.lost_transport
    assert are_the_same(
        recorded, [String(data=f'{message.sequence - 1} ') for message in recorded]
    )
    losses = flight.payloads(TransportLoss)
    assert sum(loss.records for loss in losses) == producer.lost_transport
