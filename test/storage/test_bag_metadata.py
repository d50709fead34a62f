# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`metadata.yaml`: a flight directory is a rosbag2 bag, at every moment."""

from __future__ import annotations

from collections import Counter
import json
from pathlib import Path
import threading
import tracemalloc

from conftest import MakeWriter
from fdr_recorder import AlertBoard, CapacityCapPolicy, Channel, FdrClient, FlightHeader
from fdr_recorder.storage.bag_metadata import FILE_NAME, render, Topic
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.files import replace_file
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.segment_list import SegmentList, TopicCounts
from flight_check import check_flight, open_flight_files
from hypothesis import given, settings
from hypothesis import strategies as st
from producers import BLOB, make_client, numbered, open_flight, send, TEXT
import pytest
from rosbags.rosbag2 import Reader
from waiting import wait_until
import yaml

QOS = """
- history: keep_last
  depth: 10
  reliability: reliable
  durability: transient_local
  deadline: {sec: 9223372036, nsec: 854775807}
  lifespan: {sec: 9223372036, nsec: 854775807}
  liveliness: automatic
  liveliness_lease_duration: {sec: 9223372036, nsec: 854775807}
  avoid_ros_namespace_conventions: false
"""


def test_a_flight_that_has_just_begun_is_a_bag(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    open_flight(writer, 'x')
    with Reader(root / 'x') as reader:
        assert reader.message_count == 0
    assert open_flight_files(root / 'x').custom_data['clean_shutdown'] == 'false'


def test_the_offered_qos_and_the_type_hash_are_in_the_bag(make_writer: MakeWriter) -> None:
    type_hash = 'RIHS01_' + '0' * 64
    metadata = {'offered_qos_profiles': QOS, 'topic_type_hash': type_hash}
    client = FdrClient(Channel('/map', BLOB, metadata=metadata))
    writer = make_writer()
    open_flight(writer, 'x', client)
    send(client, range(2))
    summary = writer.close_flight('x')
    with Reader(summary.path) as reader:
        (connection,) = [item for item in reader.connections if item.topic == '/map']
        (profile,) = connection.ext.offered_qos_profiles  # type: ignore[union-attr]
        assert profile.depth == 10
        assert profile.durability.name == 'TRANSIENT_LOCAL'
        assert connection.digest == type_hash
        assert connection.msgcount == 2
        assert len(list(reader.messages([connection]))) == 2


def test_two_publishers_of_a_topic_are_one_topic_of_the_bag(make_writer: MakeWriter) -> None:
    writer = make_writer()
    clients = [make_client('/imu', '01'), make_client('/imu', '02'), make_client('/gps')]
    open_flight(writer, 'x', *clients)
    for client in clients:
        send(client, range(5))
    flight = check_flight(writer.close_flight('x'))
    counts = {
        item['topic_metadata']['name']: item['message_count']
        for item in flight.bag['topics_with_message_count']
    }
    assert (counts['/imu'], counts['/gps']) == (10, 5)


@pytest.mark.parametrize('vehicle_id', ['', 'drone 7', '"quoted" \\ back', 'Möwe', '🚁', 'a\nb: c',
                                        '\x7f', '\u2028', '\x85', 'null', '0x10'])  # fmt: skip
def test_whatever_a_vehicle_is_called_the_bag_opens(
    make_writer: MakeWriter, vehicle_id: str
) -> None:
    writer = make_writer()
    writer.open_flight(FlightHeader(flight_id='x', vehicle_id=vehicle_id, ros_distro='kilted'))
    flight = check_flight(writer.close_flight('x'))
    assert flight.custom_data['vehicle_id'] == vehicle_id
    assert flight.bag['ros_distro'] == 'kilted'


TEXTS = st.text(st.characters(codec='utf-8'), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 2**40), st.integers(1, 9)), max_size=9
    ),
    st.integers(0, 9),
    st.dictionaries(st.from_regex(r'[a-z_]{1,9}', fullmatch=True), TEXTS, max_size=4),
    TEXTS,
)
def test_the_text_is_yaml_and_says_what_was_given(
    segments: list[tuple[int, int, int]],
    dropped: int,
    custom_data: dict[str, str],
    distro: str,
) -> None:
    def text() -> bytes:
        lines = listed.path_lines(), listed.file_lines()
        return b''.join(render(*lines, listed.time_range(), counts, custom_data, distro))

    listed = SegmentList(block_segments=3)
    counts: dict[Topic, int] = {}
    for index, (start, long, count) in enumerate(segments):
        name = f'segment_{index:06d}.mcap'
        listed.append(ClosedSegment(index, name, 1000, count, start, start + long, {}))
        text()  # what it keeps must not grow old
    for _ in range(min(dropped, len(segments))):
        listed.popleft()
        text()
    segments = segments[dropped:]
    total = sum(count for _, _, count in segments)
    counts = {Topic.of(Channel('/a', TEXT)): total} if total else {}
    bag = yaml.safe_load(text())
    info = bag['rosbag2_bagfile_information']
    assert info['message_count'] == total
    assert (info['custom_data'] or {}) == custom_data
    assert info['ros_distro'] == distro
    assert len(info['relative_file_paths']) == len(info['files']) == len(segments)
    starts = [start for start, _, _ in segments]
    assert info['starting_time']['nanoseconds_since_epoch'] == min(starts, default=0)
    ends = [start + long for start, long, _ in segments]
    assert info['duration']['nanoseconds'] == max(ends, default=0) - min(starts, default=0)


@given(
    st.lists(st.dictionaries(st.integers(0, 4), st.integers(0, 2**32 - 1)), max_size=9),
    st.integers(0, 9),
)
def test_messages_of_a_topic_are_those_in_the_segments_that_are_there(
    segments: list[dict[int, int]], dropped: int
) -> None:
    channels = [Channel(f'/{number // 2}', TEXT) for number in range(5)]
    counts = TopicCounts()
    for segment in segments:
        counts.append({channels[number]: messages for number, messages in segment.items()})
    for _ in segments[:dropped]:
        counts.popleft()
    expected: Counter[Topic] = Counter()
    for segment in segments[dropped:]:
        for number, messages in segment.items():
            expected[Topic.of(channels[number])] += messages
    assert counts.totals() == +expected


def test_little_is_kept_of_a_closed_segment() -> None:
    channels = [Channel(f'/{number}', TEXT) for number in range(500)]
    directory = FlightDirectory(Path('/there/is/none'))
    tracemalloc.start()
    try:
        for index in range(100):
            name = f'segment_{index:06d}.mcap'
            counts = dict.fromkeys(channels, 1000 + index)
            directory.add(ClosedSegment(index, name, 1000, 500_000, 10**18, 10**18, counts))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / 100 < 10_000, 'a flight of 10,000 segments and 500 topics would take 100 MB'


def test_a_bag_can_be_opened_at_any_moment_of_a_flight_that_drops_segments(
    make_writer: MakeWriter, root: Path
) -> None:
    """A reader may lose a race against a drop; then, and only then, is there a newer metadata."""
    writer, client = (
        make_writer(segment_size_bytes=16 * 1024, chunk_size_bytes=2048),
        make_client(),
    )
    policy = CapacityCapPolicy(80 * 1024, writer, AlertBoard())
    writer.on_rotation = policy.on_rotation
    open_flight(writer, 'x', client)
    path = root / 'x'
    done = threading.Event()
    opened: list[int] = []
    failures: list[tuple[str, BaseException]] = []

    def keep_opening() -> None:
        while not done.is_set():
            before = (path / FILE_NAME).read_text()
            try:
                with Reader(path) as reader:
                    opened.append(reader.message_count)
                    read = sum(1 for _ in reader.messages())
                    assert read == opened[-1]
            except BaseException as error:
                if (path / FILE_NAME).read_text() == before:
                    failures.append((before, error))
                    return

    reader = threading.Thread(target=keep_opening)
    reader.start()
    try:
        number = 0
        while len(opened) < 60 or len(set(opened)) <= 5:
            if failures or number >= 200_000:
                break
            number += send(client, range(number, number + 20), 500)
            if number % 400 == 0:
                wait_until(lambda: len(client.ring) == 0, 'the writer')
    finally:
        done.set()
        reader.join()
    assert failures == []
    summary = writer.close_flight('x')
    assert summary.footer.segments_dropped > 20
    assert len(set(opened)) > 5


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'metadata.yaml'
    replace_file(path, [b'first'])

    def fsync(_fd: int) -> None:
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr('os.fsync', fsync)
        with pytest.raises(OSError, match='No space'):
            replace_file(path, [b'second'])
    assert path.read_bytes() == b'first'
    assert [item.name for item in tmp_path.iterdir()] == ['metadata.yaml']
    replace_file(path, [b'third'])
    assert path.read_bytes() == b'third'


def test_custom_data_are_strings(make_writer: MakeWriter) -> None:
    """rosbag2 reads them as a map of strings."""
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    client.enqueue(numbered(1))
    flight = check_flight(writer.close_flight('x'))
    assert all(isinstance(value, str) for value in flight.custom_data.values())
    json.dumps(flight.custom_data)
