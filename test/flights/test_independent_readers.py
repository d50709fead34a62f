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
Readers that are not ours open every kind of flight, and find the bytes that were sent.

`mcap` (both of its readers) and `rosbags` read whatever `open_flight_files` returns; here
`@mcap/core` joins them, and rosbag2 where it is installed, and the indexes are followed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import shutil
import signal
import struct
import subprocess
import sys
from typing import Any
import zlib

from fdr_recorder.flights.recovery.recover import recover
from flight_check import FlightFiles, Message, open_flight_files, read_whole_chunks
import known_flight
from known_flight import content_of, FLIGHT_ID, LATCHED, PRODUCERS
import lz4.frame
from mcap.reader import SeekingReader
from npm_packages import node_modules
import pytest
from ssh_tools import make_key
from waiting import wait_until
import zstandard

COUNT = 600


@dataclass(frozen=True)
class Known:
    """A flight, the numbers that it must hold at least, and how chunks of it are compressed."""

    path: Path
    numbers: range
    compression: str = ''


def closed(root: Path, **options: Any) -> Iterator[Known]:
    writer = known_flight.make_writer(root, **options)
    known_flight.record(writer, range(COUNT))
    writer.close_flight(FLIGHT_ID)
    writer.stop()
    yield Known(root / FLIGHT_ID, range(COUNT), options.get('compression', ''))


def compressed_by_lz4(root: Path) -> Iterator[Known]:
    yield from closed(root, compression='lz4')


def compressed_by_zstd(root: Path) -> Iterator[Known]:
    yield from closed(root, compression='zstd')


def capped(root: Path) -> Iterator[Known]:
    for known in closed(root, cap_bytes=100 * 1024):
        assert not (known.path / 'segment_000000.mcap').exists()
        yield Known(known.path, range(COUNT - 50, COUNT))


def sealed(root: Path) -> Iterator[Known]:
    yield from closed(root, key_file=str(new_key(root)))


def sealed_and_recovered(root: Path) -> Iterator[Known]:
    yield from recovered(root, key_file=str(new_key(root)), compression='zstd')


def new_key(root: Path) -> Path:
    """Return the key of a vehicle."""
    pytest.importorskip('cryptography')
    if shutil.which('ssh-keygen') is None:
        pytest.skip('there is no ssh-keygen')
    return make_key(root / 'identity')


def being_written(root: Path) -> Iterator[Known]:
    writer = known_flight.make_writer(root)
    known_flight.record(writer, range(COUNT))
    wait_until(lambda: is_quiet(root / FLIGHT_ID), 'all on disk')
    yield Known(root / FLIGHT_ID, range(COUNT // 2))
    writer.stop()


def is_quiet(flight: Path) -> bool:
    """Tell whether the last message is there, and all segments but the open one are listed."""
    paths = sorted(flight.glob('*.mcap'))
    listed = (flight / 'metadata.yaml').read_text()
    messages = [message for path in paths[-2:] for message in read_whole_chunks(path)]
    is_there = ('/imu', COUNT - 1) in {(item.topic, item.sequence) for item in messages}
    return is_there and all(path.name in listed for path in paths[:-1])


def recovered(root: Path, **options: Any) -> Iterator[Known]:
    script = Path(known_flight.__file__)
    process = subprocess.Popen([sys.executable, str(script), str(root), json.dumps(options)])
    try:
        segment = root / FLIGHT_ID / 'segment_000003.mcap'
        wait_until(lambda: segment.exists() and segment.stat().st_size > 8192, 'some segments')
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert recover(root, key_file=options.get('key_file', ''))
    yield Known(root / FLIGHT_ID, range(50), options.get('compression', ''))


def recovered_and_compressed(root: Path) -> Iterator[Known]:
    yield from recovered(root, compression='zstd')


KINDS: list[Callable[[Path], Iterator[Known]]] = [
    closed,
    compressed_by_lz4,
    compressed_by_zstd,
    capped,
    being_written,
    recovered,
    recovered_and_compressed,
    sealed,
    sealed_and_recovered,
]


@pytest.fixture(scope='module', params=KINDS, ids=lambda kind: kind.__name__)
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Known]:
    yield from request.param(tmp_path_factory.mktemp(request.param.__name__))


@pytest.fixture(scope='module')
def flight(known: Known) -> FlightFiles:
    return open_flight_files(known.path)


# --- what is in it -----------------------------------------------------------------------------


def test_every_message_is_one_that_was_sent(known: Known, flight: FlightFiles) -> None:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for message in flight.messages:
        if not message.topic.startswith('/fdr/'):
            key = message.topic, message.publisher
            assert message.data == content_of(*key, message.sequence)
            found[key].append(message.sequence)
    for key, step in PRODUCERS.items():
        numbers = found.pop(key, [])
        if key[0] == LATCHED:  # with its repeats
            numbers = sorted(set(numbers))
        assert set(numbers) >= {number for number in known.numbers if step and number % step == 0}
        if numbers:
            assert numbers == list(range(numbers[0], numbers[-1] + 1, step))
    assert not found
    assert '/silent' not in flight.path.joinpath('metadata.yaml').read_text()
    for segment in flight.segments[1:]:
        if len(segment.messages) > 2:  # not what recovery has added: header and footer
            assert segment.messages[1].topic == LATCHED


def test_npms_reader_finds_the_same(known: Known, flight: FlightFiles) -> None:
    modules = node_modules()
    script = Path(__file__).parents[1] / 'support' / 'read_mcap.mjs'
    paths = [str(segment.path) for segment in flight.segments]
    done = subprocess.run(
        ['node', str(script), str(modules), *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for segment, file in zip(flight.segments, json.loads(done.stdout), strict=True):
        assert file['profile'] == 'ros2'
        assert file['count'] == len(segment.messages)
        assert [tuple(item) for item in file['messages']] == list(map(identity, segment.messages))


def test_rosbag2_reads_all_of_it(known: Known, flight: FlightFiles, tmp_path: Path) -> None:
    require_rosbag2()
    copy = tmp_path / 'copy'
    options = {'uri': str(copy), 'storage_id': 'mcap', 'all_topics': True}
    (tmp_path / 'options.yaml').write_text(json.dumps({'output_bags': [options]}))
    command = ['ros2', 'bag', 'convert', '-i', str(known.path), 'mcap']
    command += ['-o', str(tmp_path / 'options.yaml')]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    copied = Counter[Any]()
    for path in copy.glob('*.mcap'):
        copied += seek(path, None, 0, 1 << 63)
    assert copied == Counter((item.topic, item.log_time, item.data) for item in flight.messages)


def require_rosbag2() -> None:
    if shutil.which('ros2') is None:
        pytest.skip('there is no ros2 command; it comes with a ROS 2 installation')
    command = ['ros2', 'bag', 'convert', '--help']
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip('the ros2 command has no bag convert')


def identity(message: Message) -> tuple[str, str, int, str, str, str]:
    return (
        message.topic,
        message.publisher,
        message.sequence,
        str(message.log_time),
        str(message.publish_time),
        hashlib.sha256(message.data).hexdigest(),
    )


# --- through the indexes -----------------------------------------------------------------------


def test_seeking_finds_what_a_full_scan_finds(flight: FlightFiles) -> None:
    for segment in flight.segments:
        times = sorted(message.log_time for message in segment.messages)
        first, last = times[0], times[-1] + 1
        windows = [
            (first + (last - first) * part // 4, first + (last - first) * (part + 1) // 4)
            for part in range(4)
        ]
        for topics in (None, *([topic] for topic in {item.topic for item in segment.messages})):
            for start, end in ((first, last), *windows):
                expected = Counter(
                    (item.topic, item.log_time, item.data)
                    for item in segment.messages
                    if start <= item.log_time < end and (topics is None or item.topic in topics)
                )
                assert seek(segment.path, topics, start, end) == expected


def seek(path: Path, topics: list[str] | None, start: int, end: int) -> Counter[Any]:
    with path.open('rb') as file:
        reader = SeekingReader(file, validate_crcs=True)
        found = reader.iter_messages(topics, starting_at=start, ending_before=end)
        return Counter(
            (channel.topic, message.log_time, message.data) for _, channel, message in found
        )


RECORD = struct.Struct('<BQ')
MAGIC = b'\x89MCAP0\r\n'
(FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX) = range(2, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = range(0x0B, 0x10)


@dataclass(frozen=True)
class Record:
    """A record of a file, by the MCAP specification."""

    offset: int
    opcode: int
    content: bytes

    @property
    def length(self) -> int:
        return RECORD.size + len(self.content)

    def unpack(self, layout: str, offset: int = 0) -> tuple[Any, ...]:
        return struct.unpack_from(f'<{layout}', self.content, offset)


def records_of(data: bytes, offset: int, end: int) -> list[Record]:
    found = []
    while offset < end:
        opcode, length = RECORD.unpack_from(data, offset)
        found.append(Record(offset, opcode, data[offset + RECORD.size:][:length]))
        offset += found[-1].length
    assert offset == end
    return found


def uncompressed(chunk: Record) -> tuple[str, bytes]:
    size, crc, name_length = chunk.unpack('QII', 16)
    name = chunk.content[32:32 + name_length].decode()
    data = chunk.content[40 + name_length:]
    if name == 'lz4':
        data = lz4.frame.decompress(data)
    elif name == 'zstd':
        data = zstandard.ZstdDecompressor().decompress(data)
    assert (len(data), zlib.crc32(data)) == (size, crc)
    return name, data


def test_every_index_points_where_it_should(known: Known, flight: FlightFiles) -> None:
    compressions = set()
    for segment in flight.segments:
        data = segment.path.read_bytes()
        assert data[: len(MAGIC)] == data[-len(MAGIC):] == MAGIC
        records = records_of(data, len(MAGIC), len(data) - len(MAGIC))
        at = {record.offset: record for record in records}
        indexes = [record for record in records if record.opcode == CHUNK_INDEX]
        chunks = {at[index.unpack('Q', 16)[0]] for index in indexes}
        assert chunks == {record for record in records if record.opcode == CHUNK}
        compressions |= {check_chunk(index, at) for index in indexes}
        check_summary(data, records, at)
    assert compressions >= {known.compression}


def check_chunk(index: Record, at: dict[int, Record]) -> str:
    """Follow a chunk index, and the message indexes behind its chunk; return its compression."""
    start, end, offset, length, map_length = index.unpack('QQQQI')
    message_indexes = dict(struct.iter_unpack('<HQ', index.content[36:36 + map_length]))
    indexes_length, name_length = index.unpack('QI', 36 + map_length)
    chunk = at[offset]
    assert (chunk.opcode, chunk.length) == (CHUNK, length)
    assert chunk.unpack('QQ') == (start, end)
    name, data = uncompressed(chunk)
    assert index.content[48 + map_length:][:name_length].decode() == name
    compressed_size = chunk.unpack('Q', 32 + name_length)[0]
    assert index.unpack('QQ', 48 + map_length + name_length) == (compressed_size, len(data))
    messages = {
        (record.unpack('H')[0], record.unpack('Q', 6)[0], record.offset)
        for record in records_of(data, 0, len(data))
    }
    position, found = offset + length, set()
    for channel, place in message_indexes.items():
        assert place == position
        record = at[place]
        assert (record.opcode, record.unpack('H')[0]) == (MESSAGE_INDEX, channel)
        entries = struct.iter_unpack('<QQ', record.content[6:])
        found |= {(channel, time, place) for time, place in entries}
        position += record.length
    assert position == offset + length + indexes_length
    assert found == messages
    assert (start, end) == (min(item[1] for item in found), max(item[1] for item in found))
    return name


def check_summary(data: bytes, records: list[Record], at: dict[int, Record]) -> None:
    """Compare the summary with what stands before it, and follow its offsets."""
    footer = records[-1]
    summary_start, offsets_start, crc = footer.unpack('QQI')
    assert footer.opcode == FOOTER
    assert crc == zlib.crc32(data[summary_start:footer.offset + footer.length - 4])
    (data_end,) = [record for record in records if record.opcode == DATA_END]
    assert data_end.offset + data_end.length == summary_start
    before = [record for record in records if record.offset < data_end.offset]
    summary = [record for record in records if summary_start <= record.offset < offsets_start]
    for opcode in (SCHEMA, CHANNEL):
        assert contents(summary, opcode) == contents(before, opcode) != []
    indexes = [record.unpack('QQ') for record in summary if record.opcode == METADATA_INDEX]
    assert [at[offset].length for offset, _ in indexes] == [length for _, length in indexes]
    metadata = [record for record in before if record.opcode == METADATA]
    assert [at[offset] for offset, _ in indexes] == metadata
    groups = {}
    for record in records:
        if record.opcode == SUMMARY_OFFSET:
            assert record.offset >= offsets_start
            opcode, start, length = record.unpack('BQQ')
            groups[opcode] = records_of(data, start, start + length)
    by_opcode = {
        opcode: [record for record in summary if record.opcode == opcode]
        for opcode in {record.opcode for record in summary}
    }
    assert groups == by_opcode
    assert groups.keys() == {SCHEMA, CHANNEL, STATISTICS, CHUNK_INDEX, METADATA_INDEX}


def contents(records: list[Record], opcode: int) -> list[bytes]:
    return [record.content for record in records if record.opcode == opcode]
