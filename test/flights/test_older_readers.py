# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""
Bags for the rosbag2 of older distributions, which refuse what they do not expect.

What they expect is written down here as their sources have it (ros2/rosbag2, branches `humble`,
`iron` and `jazzy`). `rosbag2_storage/.../metadata_io.cpp` (later `yaml.hpp`) converts each value
of `metadata.yaml` to a type and throws where it cannot; `rosbag2_transport/.../qos.cpp` (later in
`rosbag2_storage`) does the same with QoS profiles. The player reads those of `metadata.yaml` or,
without it, those of the file's channels (`rosbag2_storage_mcap/.../mcap_storage.cpp`).
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import os
from pathlib import Path
from typing import Any

from conftest import MakeWriter
from fdr_recorder import Channel, FdrClient, FdrWriterConfig, FlightHeader
from fdr_recorder.cli.main import main
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.flights.export import export
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify.check import verify
from fdr_recorder.record.offered_qos import in_bag_version, offers_latched
from flight_check import open_flight_files
from mcap.reader import make_reader
from producers import BLOB, numbered
import pytest
from rosbags.rosbag2 import Reader
import yaml

FOREVER = {'sec': 9223372036, 'nsec': 854775807}
LATCHED = {
    'history': 'unknown',
    'depth': 0,
    'reliability': 'reliable',
    'durability': 'transient_local',
    'deadline': FOREVER,
    'lifespan': FOREVER,
    'liveliness': 'automatic',
    'liveliness_lease_duration': FOREVER,
    'avoid_ros_namespace_conventions': False,
}
SENSOR = {**LATCHED, 'history': 'keep_last', 'depth': 5, 'reliability': 'best_effort',
          'durability': 'volatile'}  # fmt: skip
TOPICS = {
    '/map': [LATCHED],
    '/imu': [SENSOR, SENSOR],
    '/brief': [{'reliability': 'reliable'}],  # lacks what old readers insist on
    '/none': [],
}
POLICIES = ('history', 'reliability', 'durability', 'liveliness')
NAMED = 9
"""The first version whose policies are names."""


def check_profiles(profiles: object, version: int) -> None:
    """As `YAML::convert<...QoS>::decode` does: nothing may be missing, each value has its type."""
    assert isinstance(profiles, list)
    for profile in profiles:
        for policy in POLICIES:
            assert type(profile[policy]) is (str if version >= NAMED else int)
        assert type(profile['depth']) is int
        assert type(profile['avoid_ros_namespace_conventions']) is bool
        for name in ('deadline', 'lifespan', 'liveliness_lease_duration'):
            assert type(profile[name]['sec']) is type(profile[name]['nsec']) is int


def read_as_rosbag2(bag: Path, version: int) -> dict[str, Any]:
    """Read `metadata.yaml` as the rosbag2 of that metadata version does; return it."""
    info = yaml.safe_load((bag / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert info['version'] == version
    assert info['storage_identifier'] == 'mcap'
    for value in (info['duration']['nanoseconds'], info['message_count'],
                  info['starting_time']['nanoseconds_since_epoch']):  # fmt: skip
        assert type(value) is int
        assert value >= 0
    assert info['compression_format'] == info['compression_mode'] == ''
    assert [bag / name for name in info['relative_file_paths']] == sorted(bag.glob('*.mcap'))
    for file in info['files']:
        assert type(file['path']) is str
        assert type(file['starting_time']['nanoseconds_since_epoch']) is int
        assert type(file['duration']['nanoseconds']) is type(file['message_count']) is int
    for topic in info['topics_with_message_count']:
        about = topic['topic_metadata']
        assert type(topic['message_count']) is int
        assert all(type(about[key]) is str for key in ('name', 'type', 'serialization_format'))
        offered = about['offered_qos_profiles']
        if version < NAMED:  # `.as<std::string>()`; the player skips an empty text
            assert type(offered) is str
            offered = yaml.safe_load(offered) if offered else []
        if about['name'] != '/brief' or version < NAMED:
            check_profiles(offered, version)
        if version >= 7:
            assert type(about['type_description_hash']) is str
    if version >= 6:
        assert all(type(value) is str for value in info['custom_data'].values())
    if version >= 8:
        assert type(info['ros_distro']) is str
    return dict(info)


def check_channels(file: Path, version: int) -> None:
    """Check what a file without `metadata.yaml` says: `MCAPStorage::get_metadata`."""
    with file.open('rb') as opened:
        summary = make_reader(opened).get_summary()
    assert summary is not None
    for channel in summary.channels.values():
        text = channel.metadata.get('offered_qos_profiles', '')
        if text and (channel.topic != '/brief' or version < NAMED):
            check_profiles(yaml.safe_load(text), version)


def check_with_rosbags(bag: Path) -> None:
    """Check with an independent reader, which takes every version."""
    with Reader(bag) as reader:
        offered = {item.topic: item.ext.offered_qos_profiles for item in reader.connections}
        assert sum(1 for _ in reader.messages()) == reader.message_count
    (latched,) = offered['/map']
    assert (latched.durability.name, latched.reliability.name) == ('TRANSIENT_LOCAL', 'RELIABLE')
    assert (latched.history.name, latched.liveliness.name) == ('UNKNOWN', 'AUTOMATIC')
    assert [(item.depth, item.history.name) for item in offered['/imu']] == [(5, 'KEEP_LAST')] * 2
    assert offered['/none'] == []


def record(
    make_writer: MakeWriter, flight_id: str = 'x', distro: str = 'kilted', **options: object
) -> Path:
    """Record a flight with a message of each topic in each of some segments."""
    writer = make_writer(**options)
    clients = [
        FdrClient(
            Channel(
                topic,
                BLOB,
                metadata={'offered_qos_profiles': json.dumps(qos)},
                latched=topic == '/map',
            )
        )
        for topic, qos in TOPICS.items()
        if topic != '/brief' or options.get('bag_version', NAMED) < NAMED
    ]
    for client in clients:
        writer.register(client)
    writer.open_flight(FlightHeader(flight_id=flight_id, ros_distro=distro))
    for number in range(100):
        for client in clients:
            client.enqueue(numbered(number), 10**18 + number, 10**18 + number)
    path = writer.close_flight(flight_id).path
    writer.stop()
    return path


@pytest.fixture
def flight(make_writer: MakeWriter) -> Path:
    """Return a flight as the recorder writes it by default."""
    return record(make_writer, segment_size_bytes=16 * 1024, chunk_size_bytes=2048)


@pytest.mark.parametrize('version', range(5, 10))
def test_an_export_for_an_older_reader(flight: Path, tmp_path: Path, version: int) -> None:
    bag = tmp_path / 'bag'
    assert main(['export', str(flight), '-o', str(bag), '--bag-version', str(version)]) == 0
    info = read_as_rosbag2(bag, version)
    assert info['message_count'] == open_flight_files(bag).bag['message_count'] > 300
    check_channels(bag / 'bag_0.mcap', version)
    check_with_rosbags(bag)


@pytest.mark.parametrize('version', ['4', '10', 'humble'])
def test_a_version_that_nobody_writes(
    flight: Path, tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(['export', str(flight), '-o', str(tmp_path / 'bag'), '--bag-version', version])
    assert exit_.value.code == 3
    assert 'argument --bag-version: invalid' in capsys.readouterr().err
    assert not (tmp_path / 'bag').exists()


def test_an_export_says_what_it_said_without_the_option(flight: Path, tmp_path: Path) -> None:
    export(flight, tmp_path / 'bag')
    read_as_rosbag2(tmp_path / 'bag', 9)
    check_channels(tmp_path / 'bag' / 'bag_0.mcap', 9)


@pytest.mark.parametrize(
    ('distro', 'options', 'version'),
    [
        ('humble', {}, 5),
        ('iron', {}, 7),
        ('jazzy', {}, 9),
        ('kilted', {}, 9),
        ('lyrical', {}, 9),
        ('', {}, 9),
        ('jazzy', {'bag_version': 5}, 5),
        ('humble', {'bag_version': 9}, 9),
    ],
)
def test_a_flight_is_a_bag_of_its_distribution(
    make_writer: MakeWriter, distro: str, options: Mapping[str, int], version: int
) -> None:
    flight = record(make_writer, distro=distro, segment_size_bytes=16 * 1024, **options)
    read_as_rosbag2(flight, version)
    for file in flight.glob('*.mcap'):
        check_channels(file, version)
    check_with_rosbags(flight)
    assert verify(flight).damage == []


@pytest.mark.parametrize('version', [-1, 1, 4, 10])
def test_a_recorder_is_not_given_another_version(version: int) -> None:
    with pytest.raises(ConfigInvalidError, match=r'writer\.bag_version: must be'):
        FdrWriterConfig(bag_version=version)


@pytest.mark.parametrize('is_there', [True, False])
def test_recovery_keeps_the_version(make_writer: MakeWriter, is_there: bool) -> None:
    flight = record(make_writer, distro='humble', chunk_size_bytes=2048)
    segment = flight / 'segment_000000.mcap'
    os.truncate(segment, segment.stat().st_size * 2 // 3)
    if not is_there:
        (flight / 'metadata.yaml').unlink()
    recover(flight)
    read_as_rosbag2(flight, 5)
    check_with_rosbags(flight)


def test_a_cut_of_an_old_bag_begins_with_its_latched_messages(
    make_writer: MakeWriter, tmp_path: Path
) -> None:
    flight = record(make_writer, bag_version=5)
    out = tmp_path / 'cut'
    query = Query(flight, start_ns=10**18 + 50, end_ns=10**18 + 51, with_latched=True)
    export(query, out, bag_version=5)
    read_as_rosbag2(out, 5)
    topics = [message.topic for message in open_flight_files(out).messages]
    assert topics.count('/map') == 2
    assert topics.count('/imu') == 1


def test_the_report_names_what_an_old_bag_numbers(
    make_writer: MakeWriter, tmp_path: Path
) -> None:
    flight = record(make_writer, bag_version=5)
    page = tmp_path / 'page.html'
    assert main(['report', str(flight), '-o', str(page)]) == 0
    assert 'best effort, volatile, keep last, depth 5' in page.read_text()


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('[{"durability": "transient_local"}]', True),
        ('- durability: transient_local', True),
        ('[{"durability": 1}]', True),
        ('- {history: 1, durability: 1, depth: 10}', True),
        ('[{"durability": "transient_local"}, {"durability": "volatile"}]', False),
        ('[{"durability": 1}, {"durability": 2}]', False),
        ('[{"durability": 2}]', False),
        ('[{"history": 1, "durability": 10}]', False),
        ('[]', False),
        ('', False),
    ],
)
def test_whether_a_topic_is_latched_in_any_bag(text: str, expected: bool) -> None:
    assert offers_latched(text) is expected


def test_what_is_no_policy_is_unknown_in_numbers() -> None:
    text = '[{"reliability": "perhaps", "durability": [1], "history": 2, "more": "kept"}]'
    (profile,) = json.loads(in_bag_version(text, 5))
    assert (profile['reliability'], profile['durability'], profile['history']) == (3, 3, 2)
    assert profile['more'] == 'kept'
    assert in_bag_version(in_bag_version(text, 5), 5) == in_bag_version(text, 5)
