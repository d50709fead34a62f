# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
import os
from pathlib import Path
import struct
from typing import NamedTuple

from conftest import Record
from fdr_recorder import (
    Channel,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    Schema,
    SegmentError,
)
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.decode import Message
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.record.kinds import FlightFooter, SegmentRollover
from fdr_recorder.storage.cap import CapacityCapPolicy
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

STRING = Schema('std_msgs/msg/String', 'string data\n')


def record_flight(
    root: Path, payloads: list[bytes], *, cap_bytes: int = 1 << 40, **options: object
) -> Path:
    """Record payloads on /text and return the flight's directory."""
    values = {'min_free_bytes': 0, 'reserve_bytes': 0, **options}
    writer = FileFdrWriter(root, FdrWriterConfig(**values))  # type: ignore[arg-type]
    writer.on_rotation = CapacityCapPolicy(cap_bytes, writer, writer.alerts).on_rotation
    writer.start()
    client = FdrClient(Channel('/text', STRING, publisher='0a'))
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='flight'))
    try:
        for payload in payloads:
            assert client.enqueue(payload)
        writer.close_flight('flight')
    finally:
        writer.stop()
    return root / 'flight'


def read_segment(path: Path) -> tuple[list[Message], SegmentError | None]:
    with SegmentReader(path) as reader:
        return list(reader.messages()), next(iter(reader.errors), None)


def count_open_files() -> int:
    return len(list(Path('/proc/self/fd').iterdir()))


def record_ends(data: bytes) -> list[tuple[int, int]]:
    """Opcode and end of every record of a whole file."""
    ends, offset = [], len(layout.MAGIC)
    while offset < len(data) - len(layout.MAGIC):
        opcode, length = layout.RECORD_PREFIX.unpack_from(data, offset)
        offset += layout.RECORD_PREFIX.size + length
        ends.append((opcode, offset))
    return ends


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
def test_what_was_written_is_read(tmp_path: Path, compression: str) -> None:
    payloads = [b'%d' % number * 50 for number in range(500)]
    flight = record_flight(
        tmp_path, payloads, compression=compression, chunk_size_bytes=8192
    )
    reader = FlightReader(flight)
    messages = list(reader.messages())
    text = [message for message in messages if message.channel.topic == '/text']
    assert [message.data for message in text] == payloads
    assert [message.sequence for message in text] == list(range(500))
    assert text[0].channel.schema == STRING
    assert text[0].channel.metadata['publisher_gid'] == '0a'
    assert reader.header == FlightHeader(flight_id='flight')
    assert reader.footer is not None
    assert reader.footer.records_written == len(messages)
    assert reader.damage == []


def test_own_records_are_decoded(tmp_path: Path) -> None:
    flight = record_flight(
        tmp_path, [bytes(1000)] * 200, segment_size_bytes=32 * 1024, cap_bytes=100_000
    )
    records = list(FlightReader(flight).own_records())
    dropped = [record for record in records if isinstance(record, SegmentRollover)]
    footer = records[-1]
    assert isinstance(footer, FlightFooter)
    assert len(dropped) == footer.segments_dropped > 0
    assert segment_files(flight)[0].index == footer.segments_dropped


class Cuttable(NamedTuple):
    """A segment, and how many messages its first chunks have: none, one, two and so on."""

    data: bytes
    messages: list[Message]
    ends: list[int]
    chunk_ends: list[int]
    counts: list[int]


@pytest.fixture(scope='module')
def cuttable(tmp_path_factory: pytest.TempPathFactory) -> Cuttable:
    root = tmp_path_factory.mktemp('root')
    path = segment_files(record_flight(root, [bytes(100)] * 40, chunk_size_bytes=1024))[0].path
    data = path.read_bytes()
    with SegmentReader(path) as reader:
        chunks = [[message for message, _ in chunk.messages] for chunk in reader.whole_chunks()]
        assert not reader.errors
    ends = [end for _, end in record_ends(data)]
    chunk_ends = [end for opcode, end in record_ends(data) if opcode == layout.CHUNK]
    counts = list(accumulate(map(len, chunks), initial=0))
    assert len(counts) == len(chunk_ends) + 1
    assert len(set(counts)) == len(counts)
    messages = [message for chunk in chunks for message in chunk]
    return Cuttable(data, messages, ends, chunk_ends, counts)


def test_a_segment_cut_at_any_byte_is_read_up_to_its_last_whole_chunk(
    tmp_path: Path, cuttable: Cuttable
) -> None:
    """At each byte of the prefix of each record, at the last ones, and at some of the others."""
    data, whole, ends, chunk_ends, counts = cuttable
    cut = tmp_path / 'cut.mcap'
    lengths = {place for end in [0, *ends] for place in range(end - 10, end + 11)}
    lengths |= set(range(0, len(data), 11)) | set(range(len(data) - 10, len(data)))
    for length in sorted(lengths & set(range(len(data)))):
        cut.write_bytes(data[:length])
        messages, damage = read_segment(cut)
        assert damage is not None
        assert len(messages) == counts[sum(end <= length for end in chunk_ends)]
        assert [message.data for message in messages] == [
            message.data for message in whole[: len(messages)]
        ]


@pytest.fixture(scope='module')
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp('root')
    flight = record_flight(root, [bytes(50)] * 40, chunk_size_bytes=1024, compression='zstd')
    return segment_files(flight)[0].path.read_bytes()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), max_size=4))
def test_flipped_bits_never_raise(
    tmp_path: Path, segment: bytes, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(segment)
    for place, mask in flips:
        data[int(place * len(data))] ^= mask
    path = tmp_path / 'flipped.mcap'
    path.write_bytes(data)
    read_segment(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=300))
def test_garbage_never_raises(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / 'garbage.mcap'
    for prefix in (b'', layout.MAGIC):
        path.write_bytes(prefix + data)
        messages, damage = read_segment(path)
        assert messages == []
        assert damage is not None


def test_a_huge_length_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / 'huge.mcap'
    with path.open('wb') as file:
        file.write(layout.MAGIC + struct.pack('<BQ', layout.CHUNK, 5 << 30))
        file.truncate(6 << 30)  # sparse: the file is as large as it says
    messages, damage = read_segment(path)
    assert messages == []
    assert damage is not None
    assert 'not believed' in str(damage)


def test_a_chunk_has_no_more_messages_than_its_bytes_can_tell(
    record_flight: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = record_flight(close=True) / 'segment_000000.mcap'
    monkeypatch.setattr('fdr_recorder.mcap.decode._MANY_MESSAGES', 2)
    messages, damage = read_segment(segment)
    assert (len(messages) > 2, damage) == (True, None)
    monkeypatch.setattr('fdr_recorder.mcap.decode._STORED_BYTES', 1 << 20)
    _, damage = read_segment(segment)
    assert 'more messages than' in str(damage)


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    lz4 = pytest.importorskip('lz4.frame')
    bomb = lz4.compress(bytes(64 << 20))
    chunk = encode.chunk_prefix(
        start_time=0,
        end_time=0,
        uncompressed_size=1000,
        uncompressed_crc=0,
        compression='lz4',
        compressed_size=len(bomb),
    )
    path = tmp_path / 'bomb.mcap'
    path.write_bytes(layout.MAGIC + chunk + bomb)
    messages, damage = read_segment(path)
    assert messages == []
    assert 'size' in str(damage)


def lz4_frame(data: bytes) -> tuple[bytes, bytes]:
    """Return a frame, and the same without its end."""
    compressor = pytest.importorskip('lz4.frame').LZ4FrameCompressor()
    endless = compressor.begin() + compressor.compress(data)
    return endless + compressor.flush(), endless


def zstd_frame(data: bytes) -> tuple[bytes, bytes]:
    """Return a frame, and the same without its end."""
    compressor = pytest.importorskip('backports.zstd').ZstdCompressor()
    endless = compressor.compress(data, compressor.FLUSH_BLOCK)
    return endless + compressor.flush(), endless


@pytest.mark.parametrize('frame', [lz4_frame, zstd_frame])
def test_a_compressed_chunk_must_end(
    tmp_path: Path, frame: Callable[[bytes], tuple[bytes, bytes]]
) -> None:
    """Other readers refuse it, though the CRC of what comes out of it is right."""
    declared = encode.schema(1, 'a/msg/B', '', b'') + encode.channel(1, 1, '/text', 'cdr', {})
    body = struct.pack('<HIQQ', 1, 0, 0, 0) + bytes(300_000)
    records = layout.RECORD_PREFIX.pack(layout.MESSAGE, len(body)) + body
    whole, endless = frame(records)
    path = tmp_path / 'chunk.mcap'
    for stored, count in (whole, 1), (endless, 0), (whole + b'x', 0):
        chunk = encode.chunk_prefix(
            start_time=0,
            end_time=0,
            uncompressed_size=len(records),
            uncompressed_crc=crc32([records]),
            compression=frame.__name__.partition('_')[0],
            compressed_size=len(stored),
        )
        path.write_bytes(layout.MAGIC + declared + chunk + stored)
        messages, damage = read_segment(path)
        assert len(messages) == count
        assert damage is not None
        assert ('has no end' in str(damage)) == (count == 0)


def test_links_and_other_files_are_not_followed(tmp_path: Path) -> None:
    flight = record_flight(tmp_path, [b'one'])
    target = segment_files(flight)[0].path
    (flight / 'segment_000001.mcap').symlink_to(target)
    os.mkfifo(flight / 'segment_000002.mcap')
    (flight / 'segment_000003.mcap').mkdir()
    assert [segment.index for segment in segment_files(flight)] == [0]
    with pytest.raises(OSError, match='symbolic'):
        SegmentReader(flight / 'segment_000001.mcap')
    with pytest.raises(SegmentError, match='regular'):
        SegmentReader(flight / 'segment_000002.mcap')


def test_a_reader_that_is_left_early_keeps_no_file_open(tmp_path: Path) -> None:
    path = record_flight(tmp_path, [b'one', b'two'])
    before = count_open_files()
    with FlightReader(path) as flight:
        messages = flight.messages()
        next(messages)
        assert count_open_files() == before + 1
    assert count_open_files() == before
    with FlightReader(str(path)) as flight:
        count = len(list(flight.messages()))
    assert flight.footer is not None
    assert count == flight.footer.records_written


def test_damage_says_where_and_the_rest_of_the_flight_is_read(tmp_path: Path) -> None:
    flight = record_flight(tmp_path, [bytes(1000)] * 100, segment_size_bytes=32 * 1024)
    first, *others = segment_files(flight)
    assert others
    with first.path.open('r+b') as file:
        file.truncate(first.path.stat().st_size - 1)
    reader = FlightReader(flight)
    texts = [message for message in reader.messages() if message.channel.topic == '/text']
    assert len(texts) == 100  # only the last magic is torn
    [damage] = reader.damage
    assert str(first.path) in str(damage)
    assert reader.footer is not None
