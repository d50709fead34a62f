# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""QoS: adapted to what publishers offer, while they come and go; overridden by topic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fdr_recorder.record.kinds import AlertRecord
from fdr_recorder.topics.qos_overrides import POLICIES
from ground import BEST_EFFORT, DiagnosticStatus, Ground, LATCHED, RELIABLE
from publisher_process import PublisherProcess
import pytest
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from recorder_process import RecorderProcess
from std_msgs.msg import String

pytestmark = pytest.mark.smoke
TOPIC = '/chatter'


def requested(ground: Ground, topic: str = TOPIC) -> list[QoSProfile]:
    """Return what the recorder's subscriptions ask for, as another process sees it."""
    return [item.qos_profile for item in ground.node.get_subscriptions_info_by_topic(topic)]


def wait_until_requested(ground: Ground, **policies: object) -> None:
    def is_requested() -> bool:
        profiles = requested(ground)
        return len(profiles) == 1 and all(
            getattr(profiles[0], name) == value for name, value in policies.items()
        )

    ground.wait_until(is_requested, f'{policies} asked for')


# --- adapted -----------------------------------------------------------------------------------


def test_nothing_is_lost_or_twice_while_it_adapts(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    sent = 0
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        reliable = ground.publisher(String, TOPIC)

        def publish_until(condition, what: str) -> None:
            def publish_and_look() -> bool:
                nonlocal sent
                reliable.publish(String(data=f'reliable {sent}'))
                sent += 1
                return bool(condition())

            ground.wait_until(publish_and_look, what)

        publish_until(lambda: recorder.stored(TOPIC), 'the first on disk')
        wait_until_requested(ground, reliability=ReliabilityPolicy.RELIABLE)
        best_effort = ground.publisher(String, TOPIC, BEST_EFFORT, recorders=0)
        publish_until(
            lambda: [qos.reliability for qos in requested(ground)]
            == [ReliabilityPolicy.BEST_EFFORT],
            'best effort asked for',
        )
        best_effort.publish(String(data='best effort'))
        publish_until(
            lambda: any(b'best' in item.data for item in recorder.stored_messages(TOPIC)),
            'the other on disk',
        )
        ground.node.destroy_publisher(best_effort)
        publish_until(
            lambda: [qos.reliability for qos in requested(ground)] == [ReliabilityPolicy.RELIABLE],
            'reliable asked for again',
        )
        assert reliable.wait_for_all_acked(Duration(seconds=30))
        recorder.make('deactivate')
    flight = recorder.read_flight()
    texts = [item.data[8:].split(b'\0')[0].decode() for item in flight.of_topic(TOPIC)]
    assert [text for text in texts if text.startswith('reliable')] == [
        f'reliable {number}' for number in range(sent)
    ]
    assert texts.count('best effort') == 1
    assert flight.footer.records_lost_transport == 0
    assert not flight.payloads(AlertRecord)


def test_a_volatile_publisher_that_joins_latched_ones(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    latched = ground.publisher(String, TOPIC, LATCHED, recorders=0)
    latched.publish(String(data='held'))
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(lambda: recorder.stored(TOPIC) == 1, 'what is held on disk')
        wait_until_requested(ground, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        volatile = ground.publisher(String, TOPIC, RELIABLE, recorders=0)
        ground.wait_until(volatile.get_subscription_count, 'the recorder')
        wait_until_requested(ground, durability=DurabilityPolicy.VOLATILE)
        for publisher, text in ((volatile, 'volatile'), (latched, 'latched')):
            publisher.publish(String(data=text))
        ground.wait_until(lambda: recorder.stored(TOPIC) == 3, 'both on disk')
        recorder.make('deactivate')
    texts = [item.data[8:].split(b'\0')[0] for item in recorder.read_flight().of_topic(TOPIC)]
    assert sorted(texts) == [b'held', b'latched', b'volatile']


def test_a_killed_publisher_that_returns_with_less(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=[TOPIC]) as recorder:
        recorder.make('configure', 'activate')
        with PublisherProcess(ground, tmp_path, TOPIC) as publisher:
            publisher.hear()
            publisher.ask('publish', 0, 3)
            ground.wait_until(lambda: recorder.stored(TOPIC) == 3, 'the first three on disk')
        options = {'reliability': 'best_effort', 'node': 'returned'}
        with PublisherProcess(ground, tmp_path, TOPIC, **options) as publisher:
            publisher.hear()
            publisher.ask('publish', 3, 3)
            ground.wait_until(lambda: recorder.stored(TOPIC) == 6, 'all on disk')
        recorder.make('deactivate')


def test_publishers_with_deadline_lifespan_and_liveliness(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    profiles = {
        '/deadline': QoSProfile(depth=10, deadline=Duration(seconds=1)),
        '/lifespan': QoSProfile(depth=10, lifespan=Duration(seconds=20)),
        '/liveliness': QoSProfile(
            depth=10,
            liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
            liveliness_lease_duration=Duration(seconds=1),
        ),
        '/all': QoSProfile(history=HistoryPolicy.KEEP_ALL),
    }
    with RecorderProcess(ground, tmp_path, root, topics=list(profiles)) as recorder:
        recorder.make('configure', 'activate')
        for topic, qos in profiles.items():
            ground.publisher(String, topic, qos).publish(String(data=topic))
            ground.wait_until(lambda topic=topic: recorder.stored(topic) == 1, f'{topic} on disk')
        recorder.make('deactivate')
    offered = {
        item['topic_metadata']['name']: item['topic_metadata']['offered_qos_profiles']
        for item in recorder.read_flight().bag['topics_with_message_count']
    }
    assert offered['/deadline'][0]['deadline'] == {'sec': 1, 'nsec': 0}
    assert offered['/lifespan'][0]['lifespan'] == {'sec': 20, 'nsec': 0}
    assert offered['/liveliness'][0]['liveliness'] == 'manual_by_topic'
    assert offered['/liveliness'][0]['liveliness_lease_duration'] == {'sec': 1, 'nsec': 0}


# --- overridden --------------------------------------------------------------------------------


def test_policies_are_those_of_rclpy() -> None:
    kinds: dict[str, Any] = {
        'history': HistoryPolicy,
        'reliability': ReliabilityPolicy,
        'durability': DurabilityPolicy,
        'liveliness': LivelinessPolicy,
    }
    assert {
        name: set(kind.short_keys()) - {'unknown'} for name, kind in kinds.items()
    } == {name: set(values) for name, values in POLICIES.items()}


def test_overrides_from_text_and_file(ground: Ground, tmp_path: Path, root: Path) -> None:
    path = tmp_path / 'qos.yaml'
    path.write_text("""
        /chatter:
          history: keep_last
          depth: 20
          reliability: best_effort
          durability: volatile
          deadline: {sec: 5, nsec: 0}
          lifespan: {sec: 0, nsec: 0}
          liveliness: automatic
          liveliness_lease_duration: {sec: 7, nsec: 5}
          avoid_ros_namespace_conventions: false
        other:
          reliability: best_effort
    """)
    options = {
        'topics': [TOPIC, '/other'],
        'qos_profile_overrides': '{/other: {depth: 5, liveliness: system_default}}',
        'qos_profile_overrides_path': str(path),
    }
    offer = QoSProfile(
        depth=1,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        deadline=Duration(seconds=1),
        liveliness_lease_duration=Duration(seconds=1),
    )
    publishers = [ground.publisher(String, name, offer, recorders=0) for name in (TOPIC, '/other')]
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        for publisher in publishers:
            ground.wait_until(publisher.get_subscription_count, 'the recorder')
        (qos,) = requested(ground)
        assert qos.reliability == ReliabilityPolicy.BEST_EFFORT
        assert qos.durability == DurabilityPolicy.VOLATILE
        assert qos.deadline == Duration(seconds=5)
        assert qos.liveliness == LivelinessPolicy.AUTOMATIC
        assert qos.liveliness_lease_duration == Duration(seconds=7, nanoseconds=5)
        (qos,) = requested(ground, '/other')  # the text goes before the file; the rest is adapted
        assert qos.reliability == ReliabilityPolicy.RELIABLE
        assert qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    header, *_ = recorder.read_flight().messages
    snapshot = header.payload().config_snapshot  # type: ignore[attr-defined]
    assert 'liveliness_lease_duration' in snapshot  # what the file said is in the recording
    assert 'system_default' in snapshot


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('/chatter: {relaibility: reliable, depth: x}', '/chatter: relaibility: there is no such'),
        ('/chatter: {relaibility: reliable, depth: x}', '/chatter: depth: must be a whole number'),
        ('[', 'not YAML'),
        (None, 'No such file or directory'),
    ],
)
def test_a_file_with_mistakes(
    ground: Ground, tmp_path: Path, root: Path, text: str | None, said: str
) -> None:
    path = tmp_path / 'qos.yaml'
    if text is not None:
        path.write_text(text)
    options = {'topics': [TOPIC], 'qos_profile_overrides_path': str(path)}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        assert not recorder.change_state('configure')
        status = recorder.wait_for_alert('recorder', 'config_invalid')
        assert f'qos_profile_overrides_path: {path}: ' in status.message
        assert said in status.message
        path.write_text('')
        recorder.make('configure')


def test_an_override_that_publishers_do_not_meet(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {
        'topics': [TOPIC],
        'qos_profile_overrides': f'{{{TOPIC}: {{reliability: reliable}}}}',
    }
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        reliable = ground.publisher(String, TOPIC)
        best_effort = ground.publisher(String, TOPIC, BEST_EFFORT, recorders=0)
        status = recorder.wait_for_alert('topics', 'qos_incompatible')
        assert status.level == DiagnosticStatus.WARN
        assert f'{TOPIC} is not recorded from all publishers' in status.message
        assert 'Best effort publisher and reliable subscription' in status.message
        reliable.publish(String(data='recorded'))
        best_effort.publish(String(data='refused'))
        ground.wait_until(lambda: recorder.stored(TOPIC) == 1, 'the one on disk')
        ground.node.destroy_publisher(best_effort)
        recorder.wait_for_ok('topics')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    assert [b'recorded' in item.data for item in flight.of_topic(TOPIC)] == [True]
    assert [(alert.code, alert.raised) for alert in flight.payloads(AlertRecord)] == [
        ('qos_incompatible', True),
        ('qos_incompatible', False),
    ]
