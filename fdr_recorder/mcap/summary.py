# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads the summary at the end of a finished segment: its channels, its chunks and its counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.decode import Decoder, FileChannel
from fdr_recorder.mcap.record_file import MAX_RECORD_BYTES, RawRecord, RecordFile

_TOPIC_OFFSET: Final = 2 * layout.U16.size + layout.U32.size
"""Of the topic in a channel record: behind two numbers, and its length."""


class ChunkIndex(NamedTuple):
    """
    The summary's entry for a chunk.

    `record` is the entry itself; it says in what span of log times the chunk's messages are, where
    the chunk lies, and where the message index of each channel that has messages in it.
    """

    record: RawRecord
    start_ns: int
    end_ns: int
    offset: int
    length: int
    indexes: Mapping[int, int]


class Statistics(NamedTuple):
    """How much there is in a file, and its earliest and latest log time."""

    records: int
    schemas: int
    channels: int
    attachments: int
    metadata: int
    chunks: int
    start_ns: int
    end_ns: int


class Summary(NamedTuple):
    """
    What the summary of a segment says.

    It begins at `start`, behind the data end record. Channels are by number, chunks in file order,
    and `counts` are the messages of each channel. Those of the recorder have `statistics`.
    """

    start: int
    channels: Mapping[int, FileChannel]
    chunks: Sequence[ChunkIndex]
    counts: Mapping[int, int]
    statistics: Statistics | None = None


def read_summary(
    file: RecordFile, topics: str = '', decoder: Decoder | None = None
) -> Summary:
    """
    Read the summary; the data section is neither read nor checked.

    Args:
        file: A finished segment.
        topics: Take in only the channels whose topics begin like this; the others cost little.
        decoder: Takes in the descriptions; by default one that expects a segment.

    Raises:
        SegmentError: There is none, its CRC is wrong, or a record makes no sense.

    """
    decoder = decoder or Decoder(file.path)
    start, content = _find_summary(file, decoder)
    prefix = topics.encode()
    schemas: dict[int, RawRecord] = {}
    chunks: list[ChunkIndex] = []
    counts: dict[int, int] = {}
    statistics: Statistics | None = None
    for record in _records(file, start, content):
        opcode = record.opcode
        if opcode in (layout.FOOTER, layout.SUMMARY_OFFSET):
            break
        if opcode == layout.SCHEMA and prefix:
            schemas[decoder.fields(record).u16()] = record
        elif opcode == layout.CHANNEL and prefix:
            if record.content[_TOPIC_OFFSET:_TOPIC_OFFSET + len(prefix)] == prefix:
                (number,) = layout.U16.unpack_from(record.content, layout.U16.size)
                if number in schemas:
                    decoder.describe(schemas[number])
                decoder.describe(record)
        elif opcode == layout.CHUNK_INDEX:
            fields = decoder.fields(record)
            start_ns, end_ns, offset, length = fields.unpack(layout.CHUNK_INDEX_FIXED)
            indexes = fields.id_map()
            chunks.append(ChunkIndex(record, start_ns, end_ns, offset, length, indexes))
        elif opcode == layout.STATISTICS:
            fields = decoder.fields(record)
            statistics = Statistics(*fields.unpack(layout.STATISTICS_FIXED))
            counts.update(fields.id_map())
        else:
            decoder.describe(record)
    return Summary(start, decoder.channels, chunks, counts, statistics)


def _records(file: RecordFile, start: int, content: memoryview) -> Iterator[RawRecord]:
    """Yield the records of the summary, which begins at an offset of the file."""
    position, size = 0, layout.RECORD_PREFIX.size
    while position + size <= len(content):
        opcode, length = layout.RECORD_PREFIX.unpack_from(content, position)
        end = position + size + length
        if end > len(content):
            break
        yield RawRecord(opcode, start + position, content[position + size:end])
        position = end
    raise SegmentError(file.path, start + position, 'the summary ends within a record')


def _find_summary(file: RecordFile, decoder: Decoder) -> tuple[int, memoryview]:
    """Return where the summary begins, according to the footer, and all that follows."""
    if file.size < layout.ENDING_LENGTH:
        raise SegmentError(file.path, 0, 'there is no footer')
    footer = file.record_at(file.size - layout.ENDING_LENGTH)
    magic = file.read(footer.end, len(layout.MAGIC))
    if footer.opcode != layout.FOOTER or magic != layout.MAGIC:
        raise SegmentError(file.path, footer.offset, 'there is no footer')
    fields = decoder.fields(footer)
    (start, _), crc = fields.unpack(layout.FOOTER_OFFSETS), fields.u32()
    if not len(layout.MAGIC) <= start <= footer.offset:
        raise SegmentError(file.path, footer.offset, 'the footer points nowhere')
    if footer.end - start > MAX_RECORD_BYTES:
        what = f'a summary of {footer.end - start} bytes is not believed'
        raise SegmentError(file.path, start, what)
    content = memoryview(file.read(start, footer.end - start))
    if (crc or decoder.NEEDS_CRC) and crc32([content[:-layout.U32.size]]) != crc:
        raise SegmentError(file.path, start, 'the CRC of the summary is wrong')
    return start, content
