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
Walks through a segment from chunk to chunk, without reading those that nobody wants.

Every record says how long it is, and behind each chunk a message index for each channel says when
its messages were received. That is believed where a segment is sealed; what is torn, broken or
still growing is read whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
import struct
import sys
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.reader import SegmentReader, WholeChunk

_CHUNK_BEGINNING: Final = struct.Struct('<QQQ')
_CHANNEL_ID: Final = struct.Struct('<H')
_ENTRY_BYTES: Final = 16
_ENTRIES_OFFSET: Final = 2 + 4
"""Where the entries of a message index begin: behind channel id and length."""


class IndexedChunk(NamedTuple):
    """
    A chunk that was not read.

    Attributes:
        offset: Where its record begins in the file.
        end: Where that ends.
        start_ns: Earliest log time in it.
        end_ns: Latest log time in it.
        uncompressed_bytes: Size of the records in it.
        indexes: For each channel that has messages in it, where their index lies in the file.

    """

    offset: int
    end: int
    start_ns: int
    end_ns: int
    uncompressed_bytes: int
    indexes: Mapping[int, int]


def is_closed(reader: SegmentReader) -> bool:
    """Tell whether a segment ends as a sealed one does."""
    start = reader.size - len(layout.MAGIC)
    return start >= len(layout.MAGIC) and reader.read(start, len(layout.MAGIC)) == layout.MAGIC


def index_entries(reader: SegmentReader, offset: int) -> array[int]:
    """
    Return log time and offset in the chunk of each message, in turn, from a message index.

    Args:
        reader: The segment.
        offset: Where the index lies in it.

    Raises:
        SegmentError: It is not there.

    """
    content = reader.record_at(offset).content[_ENTRIES_OFFSET:]
    entries = array('Q')
    entries.frombytes(content[: len(content) // _ENTRY_BYTES * _ENTRY_BYTES])
    if sys.byteorder == 'big':
        entries.byteswap()
    return entries


def chunks(reader: SegmentReader) -> Iterator[IndexedChunk | WholeChunk]:
    """
    Yield the chunks of a segment; schemas and channels are known to the reader by then.

    Nothing in the file makes it raise; see `damage`.
    """
    done = 0
    if is_closed(reader):
        try:
            for chunk in _walk(reader):
                yield chunk
                done = chunk.end
        except SegmentError:
            pass  # what is there can be found only by reading all of it
        else:
            return
    try:
        for part in reader.parts():
            if isinstance(part, WholeChunk) and part.end > done:
                yield part
    except SegmentError as error:
        reader.tear = error


def damage(reader: SegmentReader, *, is_last: bool) -> list[str]:
    """
    Say what was wrong with a segment whose chunks have been read.

    Args:
        reader: The segment.
        is_last: Whether it is the last of its flight. It is no damage that such a one is torn: it
            is still growing, or the flight was not closed.

    """
    errors = [gap.error for gap in reader.gaps]
    if not is_last:
        errors.append(reader.tear)
    return [str(error) for error in errors if error is not None]


def _walk(reader: SegmentReader) -> Iterator[IndexedChunk]:
    """
    Yield the chunks of a sealed segment.

    Raises:
        SegmentError: What is there is not what should be; the chunks before it are complete.

    """
    chunk: IndexedChunk | None = None
    indexes: dict[int, int] = {}
    offset = len(layout.MAGIC)
    while True:
        prefix = reader.read(offset, layout.RECORD_PREFIX.size)
        opcode, length = layout.RECORD_PREFIX.unpack(prefix)
        content = offset + layout.RECORD_PREFIX.size
        if opcode == layout.MESSAGE_INDEX and chunk is not None:
            (channel_id,) = _CHANNEL_ID.unpack(reader.read(content, _CHANNEL_ID.size))
            if channel_id not in reader.channels:
                raise SegmentError(reader.path, offset, f'unknown channel {channel_id}')
            indexes[channel_id] = offset
        elif chunk is not None:
            if not indexes:
                raise SegmentError(reader.path, offset, 'a chunk without message index')
            yield chunk._replace(indexes=indexes)
            chunk = None
        if opcode == layout.CHUNK:
            beginning = reader.read(content, _CHUNK_BEGINNING.size)
            start_ns, end_ns, size = _CHUNK_BEGINNING.unpack(beginning)
            chunk = IndexedChunk(offset, content + length, start_ns, end_ns, size, {})
            indexes = {}
        elif opcode in (layout.SCHEMA, layout.CHANNEL, layout.METADATA):
            reader.describe(reader.record_at(offset))
        elif opcode == layout.DATA_END:
            return
        elif opcode not in (layout.HEADER, layout.MESSAGE_INDEX):
            raise SegmentError(reader.path, offset, f'an unexpected record {opcode}')
        offset = content + length
