# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""An export has the messages that were asked for, as they were, for every reader."""

from __future__ import annotations

from collections.abc import Sequence
import errno
from pathlib import Path
import tracemalloc

from conftest import MakeWriter, Record, SMALL
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import Channel, FdrClient, FdrWriterConfig, FileFdrWriter
from fdr_recorder.errors import ExportError
from fdr_recorder.flights.export import export
from fdr_recorder.flights.query import Query
from flight_check import Message, open_flight_files, read_segment
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from paths_of_kinds import Kinds
from producers import BLOB, number_of, numbered, open_flight, send
import pytest
from rosbags.rosbag2 import Reader

LATCHED = '[{"durability": "transient_local", "reliability": "reliable"}]'
PUBLISHERS = (('/imu/data', '0a'), ('/imu/data', '0b'), ('/imu/mag', '0a'), ('/gps/fix', '0c'))
STEP_NS = 1_000_000
FIRST_NS = 1_700_000_000_000_000_000
COUNT = 100


def qos_channel(topic: str, publisher: str, qos: str = '[]', **options: object) -> Channel:
    metadata = {'offered_qos_profiles': qos, 'topic_type_hash': 'RIHS01_x', 'a': 'b'}
    return Channel(topic, BLOB, publisher=publisher, metadata=metadata, **options)


def record_several(root: Path, writer: FileFdrWriter, flight_id: str = 'x') -> Path:
    """Record a flight of several publishers, with log times that are known."""
    clients = [FdrClient(qos_channel(*publisher)) for publisher in PUBLISHERS]
    open_flight(writer, flight_id, *clients)
    for number in range(COUNT):
        for offset, client in enumerate(clients):
            log_time = FIRST_NS + number * STEP_NS + offset
            client.enqueue(numbered(number, 200), log_time, log_time - 7, number + 1)
    writer.close_flight(flight_id)
    writer.stop()
    return root / flight_id


@pytest.fixture(scope='module')
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('flights')
    writer = FileFdrWriter(root, FdrWriterConfig(**SMALL, min_free_bytes=0, reserve_bytes=0))
    writer.start()
    return record_several(root, writer)


def read_bag(path: Path) -> list[tuple[str, str, int, bytes]]:
    with Reader(path) as reader:
        return [(conn.topic, conn.msgtype, time, data) for conn, time, data in reader.messages()]


def left_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# --- what it contains --------------------------------------------------------------------------


def test_a_whole_flight_in_one_file(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / 'flight.mcap'
    exported = export(Query(flight), out)
    original = open_flight_files(flight)
    assert len(original.segments) > 3
    copy = read_segment(out)
    assert copy.messages == original.messages
    assert exported.path == out
    assert exported.messages == len(original.messages)
    assert exported.bytes == out.stat().st_size
    assert exported.topics == len({message.topic for message in copy.messages})
    assert exported.first_ns == min(message.log_time for message in copy.messages)
    assert exported.last_ns == max(message.log_time for message in copy.messages)
    assert exported.damage == ()
    assert left_in(tmp_path) == {'flight.mcap'}


def test_a_bag_opens_as_a_bag(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / 'bag'
    export(Query(flight), out, ros_distro='kilted')
    bag = open_flight_files(out)  # compares `mcap`, `rosbags` and metadata.yaml
    assert bag.messages == open_flight_files(flight).messages
    assert bag.bag['ros_distro'] == 'kilted'
    assert bag.custom_data['exported_from_flight'] == 'x'
    assert left_in(tmp_path) == {'bag'}
    assert left_in(out) == {'bag_0.mcap', 'metadata.yaml'}


def channels_of(path: Path) -> set[tuple[str, str, str, tuple[tuple[str, str], ...]]]:
    with path.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return {
        (
            channel.topic,
            channel.message_encoding,
            summary.schemas[channel.schema_id].name,
            tuple(channel.metadata.items()),
        )
        for channel in summary.channels.values()
    }


def test_channels_keep_what_they_say(flight: Path, tmp_path: Path) -> None:
    export(Query(flight), tmp_path / 'out.mcap')
    original = set().union(*map(channels_of, flight.glob('*.mcap')))
    assert channels_of(tmp_path / 'out.mcap') == original
    assert ('/imu/data', 'cdr', BLOB.name) in {channel[:3] for channel in original}
    with (tmp_path / 'out.mcap').open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert len(summary.channels) == len(original)  # one for each, not one for each segment


def wanted(
    messages: Sequence[Message], topics: set[str], start: int | None, end: int | None
) -> list[Message]:
    return [
        message
        for message in messages
        if message.topic in topics
        and (start is None or message.log_time >= start)
        and (end is None or message.log_time < end)
    ]


TIMES = st.none() | st.integers(FIRST_NS - 10, FIRST_NS + COUNT * STEP_NS + 10)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    topics=st.sets(st.sampled_from(['/imu/data', '/imu/mag', '/gps/fix', '/nowhere'])),
    start=TIMES,
    end=TIMES,
)
def test_a_cut_has_what_lies_in_it_and_nothing_else(
    flight: Path, tmp_path_factory: pytest.TempPathFactory, topics: set[str], start: int, end: int
) -> None:
    original = open_flight_files(flight).messages
    known = topics or {message.topic for message in original}
    expected = wanted(original, known, start, end)
    out = tmp_path_factory.mktemp('cut') / 'cut.mcap'
    query = Query(flight, tuple(topics), start, end)
    if expected:
        export(query, out)
        assert list(read_segment(out).messages) == expected
    else:
        with pytest.raises(ExportError, match='has no'):
            export(query, out)
        assert not left_in(out.parent)


@pytest.mark.parametrize(
    ('patterns', 'topics'),
    [
        (['/imu/*'], {'/imu/data', '/imu/mag'}),
        (['/imu/d???'], {'/imu/data'}),
        (['/*/fix', '/imu/mag'], {'/gps/fix', '/imu/mag'}),
        (['/*'], None),
        (['/i**'], {'/imu/data', '/imu/mag'}),
        (['/fdr/*'], {'/fdr/flight_header', '/fdr/flight_footer'}),
    ],
)
def test_topics_by_pattern(
    flight: Path, tmp_path: Path, patterns: list[str], topics: set[str] | None
) -> None:
    query = Query(flight, tuple(patterns))
    if topics is None:
        with pytest.raises(ExportError, match='has none of the topics'):
            export(query, tmp_path / 'out.mcap')
        return
    export(query, tmp_path / 'out.mcap')
    assert {message.topic for message in read_segment(tmp_path / 'out.mcap').messages} == topics


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
def test_compression_is_that_of_the_output(
    flight: Path, tmp_path: Path, compression: str, make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer(**SMALL, compression='lz4')
    client = FdrClient(qos_channel('/zeros', '0a'))
    open_flight(writer, 'z', client)
    for number in range(200):
        client.enqueue(bytes([0, 1, 0, 0]) + number.to_bytes(4, 'little') + bytes(200))
    writer.close_flight('z')
    out = tmp_path / 'out.mcap'
    export(Query(root / 'z'), out, compression=compression)
    assert read_segment(out).messages == open_flight_files(root / 'z').messages
    with out.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    used = {index.compression for index in summary.chunk_indexes}
    assert used == {'' if compression == 'none' else compression}


# --- latched topics ----------------------------------------------------------------------------


@pytest.fixture
def latched_flight(make_writer: MakeWriter, root: Path) -> Path:
    """Record a flight in which a latched topic has three messages, and another many."""
    writer = make_writer(**SMALL)
    tf = FdrClient(qos_channel('/tf_static', '0e', LATCHED, latched=True))
    imu = FdrClient(qos_channel('/imu', '0f'))
    open_flight(writer, 'x', tf, imu)
    for number in range(COUNT):
        time_ns = FIRST_NS + number * STEP_NS
        if number in (10, 20, 80):
            tf.enqueue(numbered(1000 + number), time_ns, time_ns, number)
        imu.enqueue(numbered(number, 400), time_ns, time_ns, number)
    writer.close_flight('x')
    return root / 'x'


def test_a_cut_begins_with_the_latched_messages_from_before(
    latched_flight: Path, tmp_path: Path
) -> None:
    start = FIRST_NS + 30 * STEP_NS + 1
    end = FIRST_NS + 40 * STEP_NS
    out = tmp_path / 'cut.mcap'
    export(Query(latched_flight, ('/tf_static', '/imu'), start, end, with_latched=True), out)
    first, *rest = read_segment(out).messages
    assert (first.topic, first.publisher, first.log_time) == ('/tf_static', '0e', start)
    assert number_of(first.data) == 1020
    assert (first.sequence, first.publish_time) == (20, FIRST_NS + 20 * STEP_NS)
    assert [number_of(message.data) for message in rest] == list(range(31, 40))


def test_a_cut_begins_with_those_of_all_publishers_also_without_gids(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    """The middleware may not tell who they are; each segment repeats what both hold."""
    writer = make_writer(**SMALL)
    both = [FdrClient(qos_channel('/tf_static', '', LATCHED, latched=True)) for _ in 'ab']
    imu = FdrClient(qos_channel('/imu', '0f'))
    open_flight(writer, 'x', *both, imu)
    for number in range(COUNT):
        time_ns = FIRST_NS + number * STEP_NS
        if number in (10, 20, 80):
            for which, client in enumerate(both):
                client.enqueue(numbered(1000 * which + number), time_ns, time_ns, number)
        imu.enqueue(numbered(number, 400), time_ns, time_ns, number)
    writer.close_flight('x')
    assert len(list((root / 'x').glob('*.mcap'))) > 5
    for start, latest in ((30, 20), (90, 80)):
        out = tmp_path / f'{start}.mcap'
        begins, ends = (FIRST_NS + place * STEP_NS + 1 for place in (start, start + 5))
        export(Query(root / 'x', (), begins, ends, with_latched=True), out)
        held = [item for item in read_segment(out).messages if item.topic == '/tf_static']
        assert sorted(number_of(item.data) for item in held) == [latest, 1000 + latest]


def test_without_the_topic_there_is_no_latched_message(
    latched_flight: Path, tmp_path: Path
) -> None:
    start = FIRST_NS + 30 * STEP_NS
    out = tmp_path / 'cut.mcap'
    export(Query(latched_flight, ('/imu',), start, with_latched=True), out)
    assert {message.topic for message in read_segment(out).messages} == {'/imu'}


# --- flights that did not end well -------------------------------------------------------------


@pytest.fixture
def kinds(make_writer: MakeWriter, record_flight: Record, root: Path, tmp_path: Path) -> Kinds:
    return Kinds(root, tmp_path, make_writer, record_flight)


@pytest.mark.parametrize('kind', ['unclean', 'recovered', 'capped', 'recording'])
def test_whatever_is_there_is_exported(kinds: Kinds, tmp_path: Path, kind: str) -> None:
    flight = kinds.make(kind)
    exported = export(Query(flight, ('/blob',)), tmp_path / 'out.mcap')
    numbers = [number_of(message.data) for message in read_segment(tmp_path / 'out.mcap').messages]
    expected = range(200)[-len(numbers):] if kind == 'capped' else range(60)
    assert numbers == list(expected)
    assert exported.damage == ()


def test_a_bad_chunk_is_passed_over_and_named(kinds: Kinds, tmp_path: Path) -> None:
    exported = export(Query(kinds.damaged(), ('/blob',)), tmp_path / 'out.mcap')
    numbers = [number_of(message.data) for message in read_segment(tmp_path / 'out.mcap').messages]
    assert 50 < len(numbers) < 60
    assert numbers == sorted(set(numbers))
    assert len(exported.damage) == 1
    assert 'segment_000001.mcap' in exported.damage[0]


# --- where it goes -----------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['out.mcap', 'out'])
@pytest.mark.parametrize('what', ['file', 'directory', 'dangling link'])
def test_nothing_is_overwritten(flight: Path, tmp_path: Path, name: str, what: str) -> None:
    out = tmp_path / name
    if what == 'file':
        out.write_text('precious')
    elif what == 'directory':
        out.mkdir()
    else:
        out.symlink_to('nowhere')
    with pytest.raises(ExportError, match='is there already'):
        export(Query(flight), out)
    assert left_in(tmp_path) == {name}
    assert what != 'file' or out.read_text() == 'precious'


@pytest.mark.parametrize('name', ['out.mcap', 'out'])
def test_it_has_its_name_only_when_it_is_complete(
    flight: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    seen: list[bool] = []

    def look(_bytes: int) -> None:
        seen.append(out.exists())

    export(Query(flight), out, advance=look)
    assert seen
    assert not any(seen)
    assert out.exists()


def test_what_has_come_meanwhile_is_not_overwritten(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.mcap'
    with pytest.raises(ExportError, match='meanwhile'):
        export(Query(flight), out, advance=lambda _bytes: bool(out.write_text('precious')))
    assert out.read_text() == 'precious'
    assert left_in(tmp_path) == {'out.mcap'}


@pytest.mark.parametrize('name', ['out.mcap', 'out'])
def test_a_full_disk_leaves_nothing(
    flight: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writes.fail(errno.ENOSPC, on_call=2)
    with pytest.raises(OSError, match='No space left') as caught:
        export(Query(flight), tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert left_in(tmp_path) == set()


def test_the_directory_must_be_there(flight: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match='create it first'):
        export(Query(flight), tmp_path / 'nowhere' / 'out.mcap')


def test_an_unknown_topic_is_told_with_those_that_there_are(flight: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r'it has .*/gps/fix, /imu/data, /imu/mag'):
        export(Query(flight, ('/imu',)), tmp_path / 'out.mcap')


def test_memory_does_not_grow_with_the_flight(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    writer = make_writer()
    client = FdrClient(qos_channel('/large', '0a'))
    open_flight(writer, 'x', client)
    send(client, range(600), 100_000)
    writer.close_flight('x')
    tracemalloc.start()
    export(Query(root / 'x'), tmp_path / 'out.mcap', compression='zstd')
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / 'out.mcap').stat().st_size > 55_000_000
    assert peak < 12_000_000
