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
Walks from record to record; and from chunk to chunk, without reading the chunks.

Every record says how long it is, and behind each chunk a message index for each channel says when
its messages were received. That is believed where a segment is finished, so that chunks need not
be read; a segment that is torn, broken or still growing is read whole (`reader`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import Decoder, WholeChunk
from fdr_recorder.mcap.gaps import Gap
from fdr_recorder.mcap.record_file import RawRecord, RecordFile, RecordPlace

_PartT = TypeVar('_PartT', bound='RecordPlace | RawRecord | WholeChunk | Gap')


def walk(part_at: Callable[[int], _PartT], offset: int) -> Iterator[_PartT]:
    """Yield what begins at an offset, then what begins where that ends, and so on."""
    while True:
        part = part_at(offset)
        yield part
        offset = part.end


class IndexedChunk(NamedTuple):
    """
    A chunk that was not read: its place in the file, and the span of its log times.

    `indexes` says, for each channel that has messages in it, where their index lies in the file.
    """

    offset: int
    end: int
    start_ns: int
    end_ns: int
    uncompressed_bytes: int
    indexes: Mapping[int, int]


def indexed_chunks(file: RecordFile, decoder: Decoder) -> Iterator[IndexedChunk]:
    """
    Yield the chunks of a finished segment; the decoder takes in the descriptions before each.

    Raise `SegmentError` if a record is not as it should be; the chunks before it are complete.
    """
    chunk: IndexedChunk | None = None
    indexes: dict[int, int] = {}
    for place in walk(file.place_at, len(layout.MAGIC)):
        opcode, content, _ = place
        if opcode == layout.MESSAGE_INDEX and chunk is not None:
            (channel_id,) = layout.U16.unpack(file.read(content, layout.U16.size))
            if channel_id not in decoder.channels:
                raise SegmentError(file.path, place.offset, f'unknown channel {channel_id}')
            indexes[channel_id] = place.offset
        elif chunk is not None:
            if not indexes:
                raise SegmentError(file.path, place.offset, 'a chunk without message index')
            yield chunk
            chunk = None
        if opcode == layout.CHUNK:
            fixed = file.read(content, layout.CHUNK_FIXED.size)
            start_ns, end_ns, size, _ = layout.CHUNK_FIXED.unpack(fixed)
            indexes = {}
            chunk = IndexedChunk(place.offset, place.end, start_ns, end_ns, size, indexes)
        elif opcode in (layout.SCHEMA, layout.CHANNEL, layout.METADATA):
            decoder.describe(file.record_at(place.offset))
        elif opcode == layout.DATA_END:
            return
        elif opcode not in (layout.HEADER, layout.MESSAGE_INDEX):
            raise SegmentError(file.path, place.offset, f'an unexpected record {opcode}')
