# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Topics and publishers that come and go, and topics that cannot be recorded."""

from __future__ import annotations

from pathlib import Path
import time

from fdr_recorder.record.kinds import AlertRecord
from ground import BEST_EFFORT, DiagnosticStatus, Ground, PointStamped
from publisher_process import PublisherProcess
from recorder_process import are_the_same, RecorderProcess
from std_msgs.msg import String


def test_a_topic_that_appears_in_flight(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/early', '/late', '/never', '/not_this'], 'exclude': ['/not_this']}
    early = ground.publisher(String, '/early', recorders=0)
    ground.publisher(String, '/not_this', recorders=0)
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(early.get_subscription_count, 'the recorder')
        summary = recorder.wait_for_summary(
            lambda values: values['topics_subscribed'] == '1', 'one topic'
        )
        values = {item.key: item.value for item in summary.values}
        assert values['topics_not_published'] == '/late, /never'
        late = ground.publisher(String, '/late')
        late.publish(String(data='here I am'))
        ground.wait_until(lambda: recorder.stored('/late') == 1, 'the message on disk')
        recorder.wait_for_summary(
            lambda values: values['topics_not_published'] == '/never', 'two topics'
        )
        recorder.make('deactivate')
    flight = recorder.read_flight()
    assert are_the_same(flight.of_topic('/late'), [String(data='here I am')])
    assert not flight.of_topic('/not_this')


def test_a_publisher_that_leaves_and_returns(ground: Ground, tmp_path: Path, root: Path) -> None:
    gids = []
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        for stay in range(2):
            with PublisherProcess(ground, tmp_path, '/chatter') as publisher:
                gids.append(publisher.hear()['gid'])
                publisher.ask('publish', 100 * stay, 50)
                ground.wait_until(
                    lambda count=50 * (stay + 1): recorder.stored('/chatter') == count, 'on disk'
                )
                recorder.wait_for_summary(lambda values: values['producers'] == '1', 'its ring')
                publisher.leave()
            recorder.wait_for_summary(lambda values: values['producers'] == '0', 'its end')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    for stay, gid in enumerate(gids):
        recorded = flight.of_topic('/chatter')[50 * stay:50 * (stay + 1)]
        assert {message.publisher for message in recorded} == {gid}
        assert [message.sequence for message in recorded] == list(range(1, 51))
        assert are_the_same(
            recorded, [String(data=f'{100 * stay + number} ') for number in range(50)]
        )
    assert flight.footer.records_lost_transport == 0
    about = [item for item in flight.footer.producers if item.topic == '/chatter']
    assert sorted((item.publisher, item.written) for item in about) == sorted(
        (gid, 50) for gid in gids
    )


def test_a_type_that_is_not_installed(ground: Ground, tmp_path: Path, root: Path) -> None:
    shim = tmp_path / 'shim' / 'geometry_msgs'
    shim.mkdir(parents=True)
    (shim / '__init__.py').write_text("raise ImportError('not installed, says the test')\n")
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        topics=['/point', '/chatter', '/nobody'],
        environment={'PYTHONPATH': str(shim.parent)},
    ) as recorder:
        point = ground.publisher(PointStamped, '/point', recorders=0)
        recorder.make('configure', 'activate')
        chatter = ground.publisher(String, '/chatter')
        status = recorder.wait_for_alert('topics', 'type_unknown')
        assert status.level == DiagnosticStatus.WARN
        assert '/point cannot be recorded: its type geometry_msgs/msg/PointStamped' in (
            status.message
        )
        point.publish(PointStamped())
        chatter.publish(String(data='all the same'))
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'the message on disk')
        recorder.wait_for_summary(lambda values: values['topics_subscribed'] == '1', 'a second')
        assert len(recorder.at_once('topics', count=1)) == 1
        recorder.wait_for_log('for want of a publisher: /nobody. ')
        recorder.make('deactivate')
        flight = recorder.read_flight()
        assert not flight.of_topic('/point')
        alerts = [item.payload() for item in flight.of_topic('/fdr/alert')]
        assert [alert.code for alert in alerts] == ['type_unknown']  # type: ignore[attr-defined]


def test_a_required_topic_that_appears_within_the_grace_time_is_not_missing(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """Discovery takes a second or two; nodes come up one after the other."""
    names = ['/gps', '/imu']
    options = {'topics': names, 'required': names, 'discovery_grace_s': 3.0}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        configured_at = time.monotonic()
        ground.wait_until(lambda: time.monotonic() > configured_at + 1.5, 'a late publisher')
        _ = ground.publisher(String, '/gps', recorders=0)
        status = recorder.wait_for_alert('topics', 'topic_missing')
        assert time.monotonic() > configured_at + 2.5
        assert 'topic_missing /imu' in {item.key for item in status.values}
        said = {item.key for each in recorder.statuses('topics') for item in each.values}
        assert 'topic_missing /gps' not in said
        recorder.make('cleanup')


def test_a_required_topic(ground: Ground, tmp_path: Path, root: Path) -> None:
    names = ['/gps', '/imu']
    options = {'topics': names, 'required': names, 'discovery_grace_s': 0.5}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        status = recorder.wait_for_alert('topics', 'topic_missing')
        assert status.level == DiagnosticStatus.WARN

        def missing() -> set[str]:
            return {item.key for item in recorder.statuses('topics')[-1].values if ' ' in item.key}

        both = {'topic_missing /gps', 'topic_missing /imu'}
        ground.wait_until(lambda: missing() == both, 'both topics missing')
        recorder.make('activate')
        publishers = [ground.publisher(String, name) for name in names]
        recorder.wait_for_ok('topics')
        summary = recorder.wait_for_summary(lambda values: True, 'another summary')
        assert summary.level == DiagnosticStatus.OK
        ground.node.destroy_publisher(publishers[0])
        recorder.wait_for_alert('topics', 'topic_missing')
        ground.wait_until(
            lambda: '/gps' in recorder.statuses('topics')[-1].message, 'the missing topic'
        )
        recorder.make('deactivate', 'cleanup')
        recorder.wait_for_ok('topics')
        flight = recorder.read_flight()
        alerts = [item.payload() for item in flight.of_topic('/fdr/alert')]
        told = [(item.subject, item.raised) for item in alerts]  # type: ignore[attr-defined]
        assert told == [
            ('/gps', True),
            ('/imu', True),
            ('/gps', False),
            ('/imu', False),
            ('/gps', True),
        ]


def test_a_required_topic_that_falls_silent(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {
        'topics': ['/chatter'],
        'required': ['/imu=0.5', '/gps', '/map=0'],
        'stale_after_s': 2.0,
        'discovery_grace_s': 0.5,
        'exclude': ['/gps'],
    }
    publishers = [ground.publisher(String, name, recorders=0) for name in ('/imu', '/gps', '/map')]
    imu, gps, _ = publishers
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        for publisher in publishers:  # they are recorded, though only required
            ground.wait_until(publisher.get_subscription_count, 'the recorder')

        def stale() -> set[str]:
            """Return the topics that the newest status names; before take-off, too."""
            statuses = recorder.statuses('topics')[-1:]
            values = {item.key for status in statuses for item in status.values}
            return {value.split(' ')[1] for value in values if value.startswith('topic_stale ')}

        def publish_until(publishers, expected: set[str]) -> None:
            def publish_and_look() -> bool:
                for publisher in publishers:
                    publisher.publish(String(data='here I am'))
                return stale() == expected

            ground.wait_until(publish_and_look, f'{expected} stale')

        publish_until([], {'/imu', '/gps'})
        assert recorder.statuses('topics')[-1].level == DiagnosticStatus.WARN
        assert 'is required and has been silent for' in recorder.statuses('topics')[-1].message
        publish_until([imu, gps], set())
        recorder.make('activate')
        publish_until([gps], {'/imu'})
        publish_until([imu, gps], set())
        ground.node.destroy_publisher(imu)
        recorder.wait_for_alert('topics', 'topic_missing')
        recorder.make('deactivate')
    flight = recorder.read_flight()
    told = [(alert.code, alert.subject, alert.raised) for alert in flight.payloads(AlertRecord)]
    assert [item for item in told if item[1] == '/imu'][:2] == [
        ('topic_stale', '/imu', True),
        ('topic_stale', '/imu', False),
    ]
    assert ('topic_missing', '/imu', True) in told
    assert flight.of_topic('/gps')


def test_a_best_effort_publisher_that_comes_after_a_reliable_one(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        reliable = ground.publisher(String, '/chatter')
        reliable.publish(String(data='reliable'))
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'the first on disk')
        best_effort = ground.publisher(String, '/chatter', BEST_EFFORT, recorders=0)

        def is_recorded() -> bool:
            best_effort.publish(String(data='best effort'))
            return recorder.stored('/chatter') > 1

        ground.wait_until(is_recorded, 'its messages on disk')
        reliable.publish(String(data='still here'))
        ground.wait_until(
            lambda: any(
                b'still here' in item.data for item in recorder.stored_messages('/chatter')
            ),
            'the second of the other on disk',
        )
        recorder.make('deactivate')
    recorded = recorder.read_flight().of_topic('/chatter')
    assert len({message.publisher for message in recorded}) == 2
    of_reliable = [item for item in recorded if b'best effort' not in item.data]
    assert are_the_same(of_reliable, [String(data='reliable'), String(data='still here')])
    assert [message.sequence for message in of_reliable] == [1, 2]
