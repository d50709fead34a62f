# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Walking a segment from record to record and from chunk to chunk, and reading its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.decode import WholeChunk
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.record_file import RecordFile
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.mcap.summary import read_summary
from fdr_recorder.mcap.walk import IndexedChunk, walk
import pytest

SCHEMA = Schema('a/msg/A', 'uint8 a\n' * 9)
TOPIC = '/a'
METADATA = {'key': 'value'}
TIMES = ((100, 101), (200, 201, 202))
"""Log times of the messages in each of two chunks, all of channel 1."""


class Written:
    """A finished segment with two chunks, built record by record, and where its records lie."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = layout.MAGIC
        self.records: list[tuple[int, int]] = []
        """Opcode and offset of each record of the data section."""
        self.chunk_indexes: list[bytes] = []
        schema = encode.schema(1, SCHEMA.name, SCHEMA.encoding, SCHEMA.definition.encode())
        channel = encode.channel(1, 1, TOPIC, layout.CDR, METADATA)
        for record in (encode.header('ros2', 'test'), encode.metadata('m', METADATA)):
            self._add(record)
        self._add(schema)
        self._add(channel)
        for times in TIMES:
            self._add_chunk(times)
        self._add(encode.data_end())
        statistics = encode.statistics(
            schemas=1,
            chunks=len(TIMES),
            metadata=1,
            start_time=TIMES[0][0],
            end_time=TIMES[-1][-1],
            message_counts={1: sum(map(len, TIMES))},
        )
        self.summary_start = len(self.content)
        summary = [schema, channel, statistics, *self.chunk_indexes]
        offsets_start = self.summary_start + sum(map(len, summary))
        summary.append(encode.summary_offset(layout.SCHEMA, self.summary_start, len(schema)))
        self.content += b''.join(summary)
        self.content += encode.file_end(self.summary_start, offsets_start, summary)
        path.write_bytes(self.content)

    def _add(self, record: bytes) -> None:
        self.records.append((record[0], len(self.content)))
        self.content += record

    def _add_chunk(self, times: tuple[int, ...]) -> None:
        messages = b''
        index = encode.message_index_prefix(1, len(times))
        for time in times:
            index += layout.U64.pack(time) + layout.U64.pack(len(messages))
            body = layout.MESSAGE_FIXED.pack(1, time, time, time) + bytes([time])
            messages += encode.record(layout.MESSAGE, body)
        sizes = {'uncompressed_size': len(messages), 'compressed_size': len(messages)}
        prefix = encode.chunk_prefix(
            start_time=times[0],
            end_time=times[-1],
            uncompressed_crc=crc32([messages]),
            compression='',
            **sizes,
        )
        offset = len(self.content)
        self._add(prefix + messages)
        self.chunk_indexes.append(
            encode.chunk_index(
                start_time=times[0],
                end_time=times[-1],
                chunk_offset=offset,
                chunk_length=len(self.content) - offset,
                message_index_offsets={1: len(self.content)},
                message_index_length=len(index),
                compression='',
                **sizes,
            )
        )
        self._add(index)

    def offsets(self, opcode: int) -> list[int]:
        return [offset for found, offset in self.records if found == opcode]

    def overwrite(self, offset: int, data: bytes) -> None:
        self.content = self.content[:offset] + data + self.content[offset + len(data):]
        self.path.write_bytes(self.content)

    def cut(self, size: int) -> None:
        self.path.write_bytes(self.content[:size])


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / 'a.mcap')


def times_of(chunk: IndexedChunk | WholeChunk, reader: SegmentReader) -> tuple[int, ...]:
    whole = reader.chunk_at(chunk.offset)
    return tuple(message.log_time_ns for message, _ in whole.messages)


# --- from record to record -----------------------------------------------------------------------


def test_a_walk_goes_from_each_end_to_the_next_beginning(written: Written) -> None:
    file = RecordFile(written.path)
    found = []
    for place in walk(file.place_at, len(layout.MAGIC)):
        found.append((place.opcode, place.offset))
        if place.opcode == layout.DATA_END:
            break
    assert found == written.records
    records = walk(file.record_at, len(layout.MAGIC))
    assert [next(records)[:2] for _ in written.records] == written.records
    file.close()


def test_a_walk_passes_on_what_reading_raises(written: Written) -> None:
    torn = written.offsets(layout.CHUNK)[1]
    written.cut(torn + 3)
    file = RecordFile(written.path)
    records = walk(file.record_at, len(layout.MAGIC))
    whole = written.records[: written.records.index((layout.CHUNK, torn))]
    assert [next(records)[:2] for _ in whole] == whole
    with pytest.raises(SegmentError, match='the file ends within a record'):
        next(records)
    file.close()


# --- from chunk to chunk -------------------------------------------------------------------------


def test_chunks_of_a_finished_segment_are_not_read(written: Written) -> None:
    first = written.offsets(layout.CHUNK)[0]
    written.overwrite(first + 60, b'\xff')  # its CRC is wrong now, and nobody sees it
    with SegmentReader(written.path) as reader:
        chunks = list(reader.chunks())
        assert not reader.errors
        assert reader.metadata == {'m': METADATA}
        assert reader.channels[1].topic == TOPIC
        assert reader.channels[1].schema == SCHEMA
        for chunk, times, offset, index in zip(
            chunks,
            TIMES,
            written.offsets(layout.CHUNK),
            written.offsets(layout.MESSAGE_INDEX),
            strict=True,
        ):
            assert isinstance(chunk, IndexedChunk)
            assert (chunk.offset, chunk.end) == (offset, index)
            assert (chunk.start_ns, chunk.end_ns) == (times[0], times[-1])
            assert chunk.indexes == {1: index}
            entries = reader.index_at(index)
            assert tuple(entries[::2]) == times
            size = layout.MESSAGE_PREFIX.size + 1
            assert list(entries[1::2]) == [size * number for number in range(len(times))]
            assert chunk.uncompressed_bytes == size * len(times)
        assert times_of(chunks[1], reader) == TIMES[1]
        with pytest.raises(SegmentError, match='CRC'):
            times_of(chunks[0], reader)


def test_chunks_of_a_torn_segment_are_read(written: Written) -> None:
    written.cut(written.summary_start - 1)
    with SegmentReader(written.path) as reader:
        chunks = list(reader.chunks())
        assert all(isinstance(chunk, WholeChunk) for chunk in chunks)
        assert [times_of(chunk, reader) for chunk in chunks] == list(TIMES)
        assert reader.errors == [reader.tear] != [None]


@pytest.mark.parametrize(
    ('offset', 'data'),
    [
        pytest.param(layout.RECORD_PREFIX.size, b'\x09\0', id='an unknown channel'),
        pytest.param(0, bytes([layout.STATISTICS]), id='no message index'),
    ],
)
def test_a_wrong_record_between_chunks_costs_no_chunk(
    written: Written, offset: int, data: bytes
) -> None:
    written.overwrite(written.offsets(layout.MESSAGE_INDEX)[1] + offset, data)
    with SegmentReader(written.path) as reader:
        chunks = list(reader.chunks())
        assert [type(chunk) for chunk in chunks] == [IndexedChunk, WholeChunk]
        assert [times_of(chunk, reader) for chunk in chunks] == list(TIMES)


def test_messages_have_their_times_and_data(written: Written) -> None:
    with SegmentReader(written.path) as reader:
        messages = list(reader.messages())
        assert reader.is_closed
        assert not reader.errors
    assert [message.log_time_ns for message in messages] == [*TIMES[0], *TIMES[1]]
    assert [message.data for message in messages] == [
        bytes([time]) for times in TIMES for time in times
    ]


# --- a lost schema -------------------------------------------------------------------------------


def known(topic: str, metadata: Mapping[str, Mapping[str, str]]) -> Schema | None:
    return SCHEMA if topic == TOPIC and metadata['m'] == METADATA else None


@pytest.mark.parametrize(
    ('ask', 'name'), [(known, SCHEMA.name), (lambda _topic, _metadata: None, 'unknown/msg/Type1')]
)
def test_the_opener_is_asked_for_a_lost_schema(
    written: Written, ask: Callable[..., Schema | None], name: str
) -> None:
    schema, channel = written.offsets(layout.SCHEMA)[0], written.offsets(layout.CHANNEL)[0]
    written.overwrite(schema, bytes(channel - schema))
    with SegmentReader(written.path, known_schema=ask) as reader:
        names = {message.channel.schema.name for message in reader.messages()}
        (gap,) = reader.gaps
    assert names == {name}
    assert gap.offset == schema
    assert gap.end == channel


# --- the summary ---------------------------------------------------------------------------------


def test_the_summary_says_what_is_in_the_segment(written: Written) -> None:
    file = RecordFile(written.path)
    summary = read_summary(file)
    file.close()
    assert summary.start == written.summary_start
    assert {number: item.topic for number, item in summary.channels.items()} == {1: TOPIC}
    assert summary.counts == {1: sum(map(len, TIMES))}
    assert [chunk.offset for chunk in summary.chunks] == written.offsets(layout.CHUNK)
    assert [(chunk.start_ns, chunk.end_ns) for chunk in summary.chunks] == [
        (times[0], times[-1]) for times in TIMES
    ]
    assert [set(chunk.indexes) for chunk in summary.chunks] == [{1}, {1}]
    assert [chunk.length for chunk in summary.chunks] == [
        index - chunk
        for chunk, index in zip(
            written.offsets(layout.CHUNK), written.offsets(layout.MESSAGE_INDEX), strict=True
        )
    ]


@pytest.mark.parametrize(
    ('behind_end', 'data', 'error'),
    [
        pytest.param(0, b'', None, id='sound'),
        pytest.param(-1, b'x', 'there is no footer', id='magic'),
        pytest.param(-layout.ENDING_LENGTH, b'\x03', 'there is no footer', id='opcode'),
        pytest.param(-28, b'\xff\xff', 'points nowhere', id='start'),
        pytest.param(-12, b'\xff\xff', 'the CRC of the summary is wrong', id='CRC'),
        pytest.param(-60, b'\xff\xff', 'the CRC of the summary is wrong', id='summary'),
    ],
)
def test_a_wrong_summary_is_not_believed(
    written: Written, behind_end: int, data: bytes, error: str | None
) -> None:
    written.overwrite(len(written.content) + behind_end, data)
    file = RecordFile(written.path)
    try:
        if error is None:
            assert read_summary(file).counts
        else:
            with pytest.raises(SegmentError, match=error):
                read_summary(file)
    finally:
        file.close()


def test_what_is_too_short_has_no_summary(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    path.write_bytes(layout.MAGIC * 2)
    file = RecordFile(path)
    with pytest.raises(SegmentError, match='there is no footer'):
        read_summary(file)
    file.close()


# --- one layout ----------------------------------------------------------------------------------


def test_the_layout_is_written_down_once() -> None:
    package = Path(encode.__file__).parents[1]
    others = {
        path.relative_to(package).as_posix()
        for path in package.rglob('*.py')
        if 'import struct' in path.read_text(encoding='utf-8')
    }
    of_cdr = {'types/cdr_to_json.py', 'types/cdr_skipping.py'}
    of_png = {'report/thumbnails.py'}
    of_ssh = {'seal/openssh.py', 'seal/agent.py'}
    of_others = {*of_cdr, *of_png, *of_ssh, 'node/intake/take_by_rcl.py'}  # and rcl's info
    assert others <= {'mcap/layout.py', 'mcap/fields.py', *of_others}
    formats = [
        path.name
        for path in (package / 'mcap').glob('*.py')
        if 'Struct(' in path.read_text(encoding='utf-8')
    ]
    assert formats == ['layout.py']
