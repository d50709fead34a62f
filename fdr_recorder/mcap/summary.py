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

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.decode import Decoder, FileChannel
from fdr_recorder.mcap.record_file import RawRecord, RecordFile
from fdr_recorder.mcap.walk import walk


class ChunkIndex(NamedTuple):
    """
    The summary's entry for a chunk.

    `record` is the entry itself; it says in what span of log times the chunk's messages are, where
    the chunk lies, and which channels have messages in it.
    """

    record: RawRecord
    start_ns: int
    end_ns: int
    offset: int
    length: int
    channels: frozenset[int]


class Summary(NamedTuple):
    """
    What the summary of a segment says.

    It begins at `start`, behind the data end record. Channels are by number, chunks in file order,
    and `counts` are the messages of each channel.
    """

    start: int
    channels: Mapping[int, FileChannel]
    chunks: Sequence[ChunkIndex]
    counts: Mapping[int, int]


def read_summary(file: RecordFile) -> Summary:
    """
    Read the summary; the data section is neither read nor checked.

    Raise `SegmentError` if there is none, its CRC is wrong, or a record makes no sense.
    """
    decoder = Decoder(file.path)
    start = _find_summary(file, decoder)
    chunks: list[ChunkIndex] = []
    counts: dict[int, int] = {}
    for record in walk(file.record_at, start):
        if record.opcode in (layout.FOOTER, layout.SUMMARY_OFFSET):
            break
        decoder.describe(record)
        fields = decoder.fields(record)
        if record.opcode == layout.CHUNK_INDEX:
            start_ns, end_ns, offset, length = fields.unpack(layout.CHUNK_INDEX_FIXED)
            channels = frozenset(fields.id_map())
            chunks.append(ChunkIndex(record, start_ns, end_ns, offset, length, channels))
        elif record.opcode == layout.STATISTICS:
            fields.unpack(layout.STATISTICS_FIXED)
            counts.update(fields.id_map())
    return Summary(start, decoder.channels, chunks, counts)


def _find_summary(file: RecordFile, decoder: Decoder) -> int:
    """Return where the summary begins, according to the footer."""
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
    if crc32([file.read(start, footer.end - layout.U32.size - start)]) != crc:
        raise SegmentError(file.path, start, 'the CRC of the summary is wrong')
    return start
