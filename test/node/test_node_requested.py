# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What was asked for by name, and what the footer says became of it."""

from __future__ import annotations

from pathlib import Path
import signal
import time
from typing import Any

from fdr_recorder import recover
from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.info import read_info
from fdr_recorder.node.requested_topics import requested_topics
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, RequestedTopic
from fdr_recorder.topics.names import absolute
from geometry_msgs.msg import PointStamped
from ground import Ground
import pytest
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from recorder_process import RecorderProcess
from std_msgs.msg import Int32, String

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ASKED = {
    'topics': [
        '/heard', '/misspelt', '/quiet', '/alien', '/picky', 'relative', '~/own', '/old',
        '/many/*', '/none/**', '/odd/*', '/left_out',
    ],
    'required': ['/heard=1.5', '/never'],
    'services': ['/reset'],
    'actions': ['/dock*'],
    'topic_types': ['std_msgs/msg/Int32', 'std_msgs/msg/Int64'],
    'exclude': ['/left_out'],
    'qos_profile_overrides': '{/picky: {reliability: reliable}}',
}  # fmt: skip
BECAME = {
    '/heard': 'recorded 1',
    '/never': 'no_publisher 0',
    '/misspelt': 'no_publisher 0',
    '/quiet': 'silent 0',
    '/alien': 'type_unknown 0',
    '/picky': 'qos_incompatible 0',
    'relative': 'recorded 1',
    '~/own': 'recorded 1',
    '/old': 'recorded 1',
    '/many/*': 'recorded 2',
    '/none/**': 'no_publisher 0',
    '/odd/*': 'type_unknown 0',
    '/reset': 'no_publisher 0',
    '/dock*': 'no_publisher 0',
    'std_msgs/msg/Int32': 'recorded 1',
    'std_msgs/msg/Int64': 'no_publisher 0',
}
HEARD = ('/heard', '/relative', '/fdr_recorder/own', '/new', '/many/one', '/many/two')


@pytest.fixture
def without_points(tmp_path: Path) -> dict[str, str | None]:
    """Return an environment in which geometry_msgs is not installed."""
    shim = tmp_path / 'shim' / 'geometry_msgs'
    shim.mkdir(parents=True)
    (shim / '__init__.py').write_text("raise ImportError('not installed, says the test')\n")
    return {'PYTHONPATH': str(shim.parent)}


def became(footer: FlightFooter) -> dict[str, str]:
    return {item.name: f'{item.outcome} {item.topics}' for item in footer.requested}


def told(recorder: RecorderProcess) -> set[tuple[str, str]]:
    """Return what the newest flight has been told on disk."""
    payloads = FlightReader(recorder.flights()[-1]).own_records()
    return {(item.name, item.outcome) for item in payloads if isinstance(item, RequestedTopic)}


@pytest.mark.parametrize('end', ['closed', 'killed'])
def test_what_became_of_each_name(
    ground: Ground,
    tmp_path: Path,
    root: Path,
    without_points: dict[str, str | None],
    end: str,
) -> None:
    with RecorderProcess(
        ground,
        tmp_path,
        root,
        environment=without_points,
        arguments=['-r', '/old:=/new'],
        **ASKED,
    ) as recorder:
        recorder.make('configure')
        ground.publisher(String, '/quiet')
        for topic in ('/alien', '/odd/point'):
            ground.publisher(PointStamped, topic, recorders=0)
        ground.publisher(String, '/picky', qos_profile_sensor_data, recorders=0)
        ground.publisher(String, '/left_out', recorders=0).publish(String(data='x'))
        publishers = [ground.publisher(String, topic) for topic in HEARD]
        number = ground.publisher(Int32, '/some/number')
        recorder.make('activate')
        for publisher in publishers:
            publisher.publish(String(data='x'))
        number.publish(Int32(data=1))
        ground.wait_until(
            lambda: all(recorder.stored(topic) for topic in (*HEARD, '/some/number')),
            'the messages on disk',
        )
        expected = {('/quiet', 'silent'), ('/alien', 'type_unknown'), ('/odd/*', 'type_unknown')}
        expected.add(('/picky', 'qos_incompatible'))
        ground.wait_until(lambda: expected <= told(recorder), 'what the recorder has seen')
        if end == 'closed':
            recorder.make('deactivate')
            footer = recorder.read_flight().footer
        else:
            recorder.stop(signal.SIGKILL)
            [recovered] = recover(root)
            footer = recovered.footer
    assert became(footer) == BECAME
    by_name = {item.name: (item.option, item.topic) for item in footer.requested}
    assert by_name['/old'] == ('topics', '/new')
    assert by_name['~/own'] == ('topics', '/fdr_recorder/own')
    assert by_name['/heard'] == ('required', '/heard')
    header = next(FlightReader(recorder.flights()[0]).own_records())
    assert isinstance(header, FlightHeader)
    assert [item.name for item in header.requested] == list(BECAME)
    assert {item.outcome for item in header.requested} == {''}


def test_a_flight_of_a_moment_knows_it_too(
    ground: Ground, tmp_path: Path, root: Path, without_points: dict[str, str | None]
) -> None:
    """It is over before `discovery_grace_s`, and before the watch has looked once more."""
    with RecorderProcess(
        ground, tmp_path, root, environment=without_points, topics=ASKED['topics'],
        qos_profile_overrides=ASKED['qos_profile_overrides'],
    ) as recorder:
        ground.publisher(String, '/picky', qos_profile_sensor_data, recorders=0)
        ground.publisher(PointStamped, '/alien', recorders=0)
        recorder.make('configure')
        ground.publisher(String, '/quiet')
        recorder.wait_for_alert('topics', 'type_unknown')
        recorder.make('activate', 'deactivate')
        found = became(recorder.read_flight().footer)
    outcomes = [found[name] for name in ('/heard', '/quiet', '/alien', '/picky', '/none/**')]
    assert outcomes == [
        'no_publisher 0', 'silent 0', 'type_unknown 0', 'qos_incompatible 0', 'no_publisher 0'
    ]


def test_only_what_was_seen_while_the_flight_was_open_counts(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """The publisher of one topic leaves before the second flight, that of another in it."""
    options = {'topics': ['/leaves', '/m*'], 'required': ['/left'], 'discovery_grace_s': 0.0}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure')
        left, leaves = ground.publisher(String, '/left'), ground.publisher(String, '/leaves')
        recorder.make('activate')
        ground.wait_until(lambda: len(told(recorder)) == 2, 'both to be seen')
        recorder.make('deactivate')
        ground.arrays.clear()
        ground.node.destroy_publisher(left)
        recorder.wait_for_alert('topics', 'topic_missing')
        recorder.make('activate')
        ground.wait_until(lambda: ('/leaves', 'silent') in told(recorder), 'one to be seen')
        ground.node.destroy_publisher(leaves)
        ground.publisher(String, '/may_come')
        ground.wait_until(lambda: ('/m*', 'silent') in told(recorder), 'the pattern to match')
        recorder.make('deactivate')
        footers = [FlightReader(path) for path in recorder.flights()]
        found = [
            became(payload)
            for flight in footers
            for payload in flight.own_records()
            if isinstance(payload, FlightFooter)
        ]
    assert found == [
        {'/left': 'silent 0', '/leaves': 'silent 0', '/m*': 'no_publisher 0'},
        {'/left': 'no_publisher 0', '/leaves': 'silent 0', '/m*': 'silent 0'},
    ]


@pytest.mark.parametrize('end', ['closed', 'killed'])
def test_how_long_topics_were_silent_and_when(
    ground: Ground, tmp_path: Path, root: Path, end: str
) -> None:
    """One in flight, one to the end, one that comes late, and a latched one."""
    topics = ['/pauses', '/ends', '/late', '/latched']
    with RecorderProcess(ground, tmp_path, root, topics=topics) as recorder:
        recorder.make('configure')
        pauses, ends, late = (ground.publisher(String, topic) for topic in topics[:3])
        latched = ground.publisher(String, '/latched', LATCHED)

        def send(number: int, *publishers: Any) -> float:
            now_s = time.monotonic()
            for publisher in publishers:
                publisher.publish(String(data=str(number)))
            return now_s

        recorder.make('activate')
        opened_s = send(0, pauses, ends, latched)
        ground.wait_until(lambda: recorder.stored('/ends') == 1, 'the first messages')
        paused_s = send(1, pauses, ends)
        ground.wait_until(lambda: time.monotonic() > paused_s + 3, 'three seconds')
        resumed_s = send(2, pauses, late)
        ground.wait_until(lambda: recorder.stored('/late') == 1, 'what comes late')
        ended_s = resumed_s
        if end == 'closed':
            recorder.make('deactivate')
            footer, ended_s = recorder.read_flight().footer, time.monotonic()
        else:
            recorder.stop(signal.SIGKILL)
            [recovered] = recover(root)
            footer = recovered.footer
    offset_ns = log_offset_ns(recorder.flights()[0])
    found = {
        item.topic: (
            item.records,
            item.longest_silence_ns / 1e9,
            (item.silence_began_ns - offset_ns) / 1e9 if item.longest_silence_ns else 0,
        )
        for item in footer.topics
    }
    assert found == {
        '/pauses': (3, pytest.approx(resumed_s - paused_s, abs=0.5), near(paused_s)),
        '/ends': (2, pytest.approx(ended_s - paused_s, abs=1), near(paused_s)),
        '/late': (1, pytest.approx(resumed_s - opened_s, abs=1), near(opened_s)),
        '/latched': (1, 0, 0),
    }
    topics = read_info(recorder.flights()[0]).topics
    gap_ns, began_ns = topics['/ends'].longest_gap
    assert gap_ns / 1e9 == pytest.approx(ended_s - paused_s, abs=1)
    assert (began_ns - offset_ns) / 1e9 == near(paused_s)


def near(monotonic_s: float) -> Any:
    return pytest.approx(monotonic_s, abs=0.7)


def log_offset_ns(flight: Path) -> int:
    """Return log_time minus CLOCK_MONOTONIC."""
    header = next(FlightReader(flight).own_records())
    assert isinstance(header, FlightHeader)
    return header.log_time_offset_ns


def test_names_below_a_namespace() -> None:
    config = FdrConfig(
        topics=('imu', '/imu', '~/state', 'cam*', '/x'), services=('reset',), regex='^/a'
    )
    found = requested_topics(
        config,
        lambda name: absolute(name, '/drone', '/drone/recorder'),
        lambda name: '/y' if name == '/x' else name,
    )
    assert [(item.name, item.option, item.topic) for item in found] == [
        ('imu', 'topics', '/drone/imu'),
        ('/imu', 'topics', '/imu'),
        ('~/state', 'topics', '/drone/recorder/state'),
        ('cam*', 'topics', '/drone/cam*'),
        ('/x', 'topics', '/y'),
        ('reset', 'services', '/drone/reset'),
        ('^/a', 'regex', '^/a'),
    ]


def test_who_asks_for_everything_names_nothing() -> None:
    config = FdrConfig(all_topics=True, all_services=True, all_actions=True, exclude=('/x',))
    assert requested_topics(config, str, str) == ()
