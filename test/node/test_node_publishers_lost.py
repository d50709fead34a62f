# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Publishers that discovery loses and finds again: one publisher, one account, the gap counted."""

from __future__ import annotations

import os
from pathlib import Path
import signal
from unittest import mock

from fdr_recorder import Verdict, verify
from fdr_recorder.record.kinds import TransportLoss
from fdr_recorder.record.record_parts import ProducerCounters
from flight_check import FlightFiles
from ground import Ground, values_of
from publisher_process import PublisherProcess
import pytest
from recorder_process import read_flight, RecorderProcess
from ros_domain import ros_environment
from std_srvs.srv import Trigger

TOPIC = '/imu'
MISSED = 20
MATCH_DEADLINE_S = 6
PROFILE = 'short_lease.xml'
NO_SHARED_MEMORY = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
"""Its ports are not trusted any more once a process was stopped."""


class Scene:
    """
    A recorder and a publisher that lose each other by discovery, both alive all the time.

    First the publisher is stopped until the recorder has lost it; then the recorder, until the
    publisher, which goes on, has lost the recorder.
    """

    def __init__(self, ground: Ground, directory: Path, root: Path, **options: object) -> None:
        self.ground = ground
        environment = {**ros_environment(ground.domain_id, PROFILE), **NO_SHARED_MEMORY}
        self.recorder = RecorderProcess(
            ground, directory, root, topics=[TOPIC], environment=environment
        )
        with mock.patch.dict(os.environ, NO_SHARED_MEMORY):
            self.publisher = PublisherProcess(
                ground, directory, TOPIC, profile=PROFILE, **options
            )
        self.published = 0

    def __enter__(self) -> Scene:
        self.recorder.__enter__()
        self.recorder.make('configure', 'activate')
        self.publisher.hear()
        self.be_heard()
        return self

    def __exit__(self, *_: object) -> None:
        self.publisher.__exit__()
        self.recorder.__exit__()

    def publish(self, count: int = 1) -> None:
        self.publisher.ask('publish', self.published, count)
        self.published += count

    def be_heard(self) -> None:
        """Publish until a message that is published from now on is on the disk."""
        before = self.published

        def is_heard() -> bool:
            self.publish()
            messages = self.messages()
            return bool(messages) and messages[-1] > before

        self.ground.wait_until(is_heard, 'a message that is heard')

    def messages(self) -> list[int]:
        """Return the sequence numbers, from 1, that are in the first segment."""
        return [message.sequence for message in self.recorder.stored_messages(TOPIC)]

    def lose_publisher(self) -> None:
        """Stop the publisher until the recorder has lost it."""
        self.publisher.send(signal.SIGSTOP)
        self.recorder.wait_for_summary(
            lambda values: values['producers'] == '0', 'the end of its lease'
        )

    def lose_recorder(self) -> None:
        """Stop the recorder until the publisher has lost it; publish what nobody hears."""
        self.recorder.send(signal.SIGSTOP)
        self.publisher.send(signal.SIGCONT)
        assert self.publisher.ask('subscribers', 0, 30) == {'subscribers': 0}
        self.publish(MISSED)

    def find(self) -> None:
        """Let the recorder go on; they find each other, and it hears the publisher."""
        self.recorder.send(signal.SIGCONT)
        if self.publisher.ask('subscribers', 1, MATCH_DEADLINE_S) != {'subscribers': 1}:
            pytest.skip('Fast DDS has not matched them again, as happens after a stop')

        def is_heard() -> bool:
            self.publish()
            return values_of(self.recorder.statuses('summary')[-1])['producers'] != '0'

        self.ground.wait_until(is_heard, 'a message that is heard')

    def end(self) -> list[FlightFiles]:
        """End the recorder, which closes its flight; return all flights."""
        assert self.recorder.stop() == 0
        return [read_flight(path) for path in self.recorder.flights()]


@pytest.fixture
def scene(ground: Ground, tmp_path: Path, root: Path) -> Scene:
    return Scene(ground, tmp_path, root, reliability='best_effort')


def check(flight: FlightFiles, publisher: str = '') -> ProducerCounters:
    """Check that a publisher has one account, of all from its first message to its last."""
    (counters,) = [
        item
        for item in flight.footer.producers
        if item.topic == TOPIC and publisher in item.publisher
    ]
    numbers = [message.sequence for message in flight.of_topic(TOPIC, counters.publisher)]
    assert len(set(numbers)) == len(numbers) == counters.offered
    assert counters.offered + counters.lost_transport == numbers[-1] - numbers[0] + 1
    recorded = sum(
        loss.records
        for loss in flight.payloads(TransportLoss)
        if loss.publisher == counters.publisher and not loss.before_match
    )
    assert recorded == counters.lost_transport
    verification = verify(flight.path)
    assert verification.damage == []
    missing = flight.footer.records_lost_transport + flight.footer.records_before_match
    assert (verification.verdict is Verdict.LOSSES) == (missing > 0)
    return counters


def test_a_publisher_that_is_lost_and_found(scene: Scene) -> None:
    with scene:
        scene.lose_publisher()
        scene.lose_recorder()
        scene.find()
        scene.be_heard()
        (flight,) = scene.end()
    assert check(flight).lost_transport >= MISSED


def test_a_publisher_that_is_found_in_a_later_segment(scene: Scene) -> None:
    with scene:
        scene.lose_publisher()
        split = scene.ground.call(Trigger, '/fdr_recorder/split', Trigger.Request())
        assert split.success
        scene.lose_recorder()
        scene.find()
        scene.publish(3)
        (flight,) = scene.end()
    assert len(flight.segments) == 2
    assert check(flight).lost_transport >= MISSED


def test_a_publisher_that_is_found_in_the_next_flight(scene: Scene) -> None:
    """What it sent between the flights is no loss of either."""
    with scene:
        scene.lose_publisher()
        scene.recorder.make('deactivate', 'activate')
        scene.lose_recorder()
        scene.find()
        scene.be_heard()
        before, after = scene.end()
    assert check(before).lost_transport == 0
    assert check(after).lost_transport == 0


def test_a_publisher_that_is_found_while_the_qos_is_adapted(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """A best-effort one comes to a reliable one: the topic is subscribed to anew."""
    other_directory = tmp_path / 'other'
    other_directory.mkdir()
    with Scene(ground, tmp_path, root, reliability='reliable', depth=2) as scene:
        scene.lose_publisher()
        scene.lose_recorder()
        options = {'reliability': 'best_effort', 'node': 'other'}
        with PublisherProcess(ground, other_directory, TOPIC, **options) as other:
            scene.find()
            scene.publish(3)
            gid = other.hear()['gid']
            for _ in range(3):
                other.ask('publish', 0, 3)
                scene.publish(3)
            scene.publisher.ask('acknowledged')
            other.leave()
        (flight,) = scene.end()
    publishers = {item.publisher for item in flight.footer.producers if item.topic == TOPIC}
    (first,) = publishers - {gid}
    assert check(flight, first).lost_transport >= MISSED - 2
