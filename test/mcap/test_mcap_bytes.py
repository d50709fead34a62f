# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The bytes of each MCAP record type, decoded by the `mcap` library's own record readers."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
import zlib

from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.storage.chunk import Chunk
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap import records
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.stream_reader import breakup_chunk, StreamReader

U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
TEXT = st.text(st.characters(codec='utf-8'), max_size=20)
MAP = st.dictionaries(TEXT, TEXT, max_size=4)
OFFSETS = st.dictionaries(U16, U64, max_size=5)

settings.register_profile('bytes', max_examples=60, deadline=None)
quick = settings(settings.get_profile('bytes'))


def read(data: bytes, opcode: int, reader: Callable[..., Any]) -> Any:
    """Decode one record; it must be of that type and fill its bytes exactly."""
    stream = ReadDataStream(BytesIO(data))
    assert stream.read1() == opcode
    assert stream.read8() == len(data) - 9
    needs_length = reader is records.Message.read
    result = reader(stream, len(data) - 9) if needs_length else reader(stream)
    assert stream.count == len(data)
    return result


def test_the_opcodes_are_those_of_the_format() -> None:
    for name in (
        'HEADER FOOTER SCHEMA CHANNEL MESSAGE CHUNK MESSAGE_INDEX CHUNK_INDEX STATISTICS '
        'METADATA METADATA_INDEX SUMMARY_OFFSET DATA_END'
    ).split():
        assert getattr(layout, name) == getattr(Opcode, name), name


@quick
@given(TEXT, TEXT)
def test_header(profile: str, library: str) -> None:
    found = read(encode.header(profile, library), Opcode.HEADER, records.Header.read)
    assert (found.profile, found.library) == (profile, library)


@quick
@given(U16, TEXT, TEXT, st.binary(max_size=50))
def test_schema(schema_id: int, name: str, encoding: str, data: bytes) -> None:
    encoded = encode.schema(schema_id, name, encoding, data)
    found = read(encoded, Opcode.SCHEMA, records.Schema.read)
    assert found == records.Schema(id=schema_id, name=name, encoding=encoding, data=data)


@quick
@given(U16, U16, TEXT, TEXT, MAP)
def test_channel(
    channel_id: int, schema_id: int, topic: str, encoding: str, metadata: dict[str, str]
) -> None:
    encoded = encode.channel(channel_id, schema_id, topic, encoding, metadata)
    found = read(encoded, Opcode.CHANNEL, records.Channel.read)
    assert found == records.Channel(
        id=channel_id,
        schema_id=schema_id,
        topic=topic,
        message_encoding=encoding,
        metadata=metadata,
    )


@quick
@given(U16, U32, U64, U64, st.binary(max_size=50))
def test_message(channel: int, sequence: int, log: int, publish: int, data: bytes) -> None:
    prefix = layout.MESSAGE_PREFIX.pack(
        layout.MESSAGE, len(data) + layout.MESSAGE_FIXED_LENGTH, channel, sequence, log, publish
    )
    found = read(prefix + data, Opcode.MESSAGE, records.Message.read)
    assert found == records.Message(
        channel_id=channel, sequence=sequence, log_time=log, publish_time=publish, data=data
    )


@quick
@given(U64, U64, U64, U32, st.sampled_from(['', 'lz4', 'zstd']), st.binary(max_size=50))
def test_chunk(start: int, end: int, size: int, crc: int, compression: str, data: bytes) -> None:
    prefix = encode.chunk_prefix(
        start_time=start,
        end_time=end,
        uncompressed_size=size,
        uncompressed_crc=crc,
        compression=compression,
        compressed_size=len(data),
    )
    assert len(prefix) == encode.chunk_prefix_length(compression)
    found = read(prefix + data, Opcode.CHUNK, records.Chunk.read)
    assert found == records.Chunk(
        message_start_time=start,
        message_end_time=end,
        uncompressed_size=size,
        uncompressed_crc=crc,
        compression=compression,
        data=data,
    )


@quick
@given(U64, U64, U64, U64, OFFSETS, U64, st.sampled_from(['', 'lz4', 'zstd']), U64, U64)
def test_chunk_index(
    start: int,
    end: int,
    offset: int,
    length: int,
    indexes: dict[int, int],
    index_length: int,
    compression: str,
    compressed: int,
    uncompressed: int,
) -> None:
    encoded = encode.chunk_index(
        start_time=start,
        end_time=end,
        chunk_offset=offset,
        chunk_length=length,
        message_index_offsets=indexes,
        message_index_length=index_length,
        compression=compression,
        compressed_size=compressed,
        uncompressed_size=uncompressed,
    )
    assert len(encoded) == encode.chunk_index_length(compression, len(indexes))
    found = read(encoded, Opcode.CHUNK_INDEX, records.ChunkIndex.read)
    assert found == records.ChunkIndex(
        message_start_time=start,
        message_end_time=end,
        chunk_start_offset=offset,
        chunk_length=length,
        message_index_offsets=indexes,
        message_index_length=index_length,
        compression=compression,
        compressed_size=compressed,
        uncompressed_size=uncompressed,
    )


@quick
@given(U32, U32, U32, U64, U64, st.dictionaries(U16, st.integers(0, 2**40), max_size=5))
def test_statistics(
    schemas: int, chunks: int, metadata: int, start: int, end: int, counts: dict[int, int]
) -> None:
    encoded = encode.statistics(
        schemas=schemas % 2**16,
        chunks=chunks,
        metadata=metadata,
        start_time=start,
        end_time=end,
        message_counts=counts,
    )
    assert len(encoded) == encode.statistics_length(len(counts))
    found = read(encoded, Opcode.STATISTICS, records.Statistics.read)
    assert found == records.Statistics(
        message_count=sum(counts.values()),
        schema_count=schemas % 2**16,
        channel_count=len(counts),
        attachment_count=0,
        metadata_count=metadata,
        chunk_count=chunks,
        message_start_time=start,
        message_end_time=end,
        channel_message_counts=counts,
    )


@quick
@given(TEXT, MAP)
def test_metadata(name: str, values: dict[str, str]) -> None:
    found = read(encode.metadata(name, values), Opcode.METADATA, records.Metadata.read)
    assert found == records.Metadata(name=name, metadata=values)


@quick
@given(U64, U64, TEXT)
def test_metadata_index(offset: int, length: int, name: str) -> None:
    encoded = encode.metadata_index(offset, length, name)
    found = read(encoded, Opcode.METADATA_INDEX, records.MetadataIndex.read)
    assert found == records.MetadataIndex(offset=offset, length=length, name=name)


@quick
@given(U8, U64, U64)
def test_summary_offset(opcode: int, start: int, length: int) -> None:
    encoded = encode.summary_offset(opcode, start, length)
    assert len(encoded) == layout.SUMMARY_OFFSET_LENGTH
    found = read(encoded, Opcode.SUMMARY_OFFSET, records.SummaryOffset.read)
    assert found == records.SummaryOffset(
        group_opcode=opcode, group_start=start, group_length=length
    )


def test_data_end() -> None:
    assert len(encode.data_end()) == layout.DATA_END_LENGTH
    found = read(encode.data_end(), Opcode.DATA_END, records.DataEnd.read)
    assert found == records.DataEnd(data_section_crc=0)


@quick
@given(U64, U64, st.lists(st.binary(max_size=20), max_size=4))
def test_the_end_of_the_file(start: int, offset_start: int, summary: list[bytes]) -> None:
    """The footer's CRC is that of the summary and of the footer up to the CRC itself."""
    encoded = encode.file_end(start, offset_start, summary)
    footer, magic = encoded[: -len(layout.MAGIC)], encoded[-len(layout.MAGIC):]
    assert len(footer) == layout.FOOTER_LENGTH
    assert magic == b'\x89MCAP0\r\n'
    found = read(footer, Opcode.FOOTER, records.Footer.read)
    assert found == records.Footer(
        summary_start=start,
        summary_offset_start=offset_start,
        summary_crc=zlib.crc32(b''.join(summary) + footer[:-4]),
    )


RECORDS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 90, 40_000])),
    min_size=1,
    max_size=20,
)


@quick
@given(RECORDS)
def test_a_chunk_of_records_and_its_message_indexes(items: list[tuple[int, int, int]]) -> None:
    """What a reader finds by the index is the message, small ones joined or large ones apart."""
    chunk = Chunk()
    for sequence, (channel_id, log_time, size) in enumerate(items):
        batch = [(log_time, 5, 2**32 + sequence, bytes([sequence]) * size, 0)]
        assert chunk.add(channel_id, batch, 0, room=1 << 30, full_size=1 << 30) == 1
    content = b''.join(chunk.buffers())
    assert (len(content), chunk.records) == (chunk.size, len(items))
    assert crc32(chunk.buffers()) == zlib.crc32(content)
    assert chunk.time_range() == (min(t for _, t, _ in items), max(t for _, t, _ in items))

    found = breakup_chunk(
        records.Chunk(
            compression='',
            data=content,
            message_end_time=0,
            message_start_time=0,
            uncompressed_crc=zlib.crc32(content),
            uncompressed_size=len(content),
        ),
        validate_crc=True,
    )
    assert [
        (item.channel_id, item.log_time, item.publish_time, item.sequence, item.data)
        for item in found
        if isinstance(item, records.Message)
    ] == [
        (channel_id, log_time, 5, sequence, bytes([sequence]) * size)
        for sequence, (channel_id, log_time, size) in enumerate(items)
    ]

    pieces, offsets = chunk.message_indexes()
    indexes = b''.join(pieces)
    assert set(offsets) == {channel_id for channel_id, _, _ in items}
    for channel_id, offset in offsets.items():
        stream = StreamReader(BytesIO(indexes[offset:]), skip_magic=True)
        index = next(stream.records)
        assert isinstance(index, records.MessageIndex)
        assert index.channel_id == channel_id
        times = [log_time for item_id, log_time, _ in items if item_id == channel_id]
        assert [log_time for log_time, _ in index.records] == times
        for log_time, position in index.records:
            length = int.from_bytes(content[position + 1:position + 9], 'little')
            message = read(
                content[position:position + 9 + length], Opcode.MESSAGE, records.Message.read
            )
            assert (message.channel_id, message.log_time) == (channel_id, log_time)


def test_a_chunk_stops_when_it_is_full() -> None:
    chunk = Chunk()
    batch = [(1, 1, number, bytes(100), 0) for number in range(10)]
    assert chunk.add(1, batch, 0, room=1 << 20, full_size=300) == 3
    assert chunk.add(1, batch, 3, room=1 << 20, full_size=300) == 3


def test_a_chunk_stops_when_there_is_no_room() -> None:
    chunk = Chunk()
    cost = layout.MESSAGE_PREFIX.size + layout.MESSAGE_INDEX_ENTRY_LENGTH + 100
    batch = [(1, 1, number, bytes(100), 0) for number in range(10)]
    assert chunk.add(1, batch, 0, room=2 * cost, full_size=1 << 20) == 2
    assert chunk.add(2, batch, 0, room=cost - 1, full_size=1 << 20) == 0
    assert set(chunk.indexes) == {1}
