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
Reads a segment while it is being written: what is new in it, and of that no more than is needed.

A chunk and its message indexes are appended in one call, but a reader may see the first part of
that before the rest. So a chunk counts as new once something else follows its indexes, or once the
file has not grown between two looks.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.reader import SegmentReader, without_frames
from fdr_recorder.mcap.record_file import DATA_OPCODES, MAX_RECORD_BYTES, RecordPlace
from fdr_recorder.mcap.walk import IndexedChunk

_DESCRIPTIONS: Final = (layout.SCHEMA, layout.CHANNEL, layout.METADATA)


class GrowingSegment(SegmentReader):
    """
    A segment that may grow, be cut back, and be unlinked while it is open here.

    Attributes:
        problem: Why nothing can be read from here on, however the file grows; else None.

    """

    def __init__(self, path: Path | str) -> None:
        """Open the file as `SegmentReader` does; nothing is read yet."""
        super().__init__(path)
        self.problem: SegmentError | None = None
        self._offset = 0
        self._chunk: IndexedChunk | None = None
        self._indexes: dict[int, int] = {}
        self._seen_bytes = -1

    def __enter__(self) -> GrowingSegment:
        """Return itself: the file is open."""
        return self

    def new_chunks(self) -> Iterator[IndexedChunk]:
        """
        Yield the chunks that are new since the last call, without reading them.

        Schemas and channels before them are known by then. A chunk without indexes has to be read
        to know what is in it (`chunk_at`). `is_closed` is set at the end of the data. Never waits;
        raise `OSError` if the file cannot be read.
        """
        self.size = os.fstat(self._fd).st_size
        has_grown, self._seen_bytes = self.size != self._seen_bytes, self.size
        if self._offset > self.size:  # what had been written was cut off again: the disk failed
            self._offset, self._chunk = self.size, None
        while not self.is_closed and (place := self._whole_record()) is not None:
            is_index = place.opcode == layout.MESSAGE_INDEX
            if not is_index and self._chunk is not None:
                yield self._chunk
                self._chunk = None
            try:
                self._take(place)
            except SegmentError as error:
                self.problem = without_frames(error)
                return
            self._offset = place.end
        if self._chunk is not None and not has_grown:
            yield self._chunk
            self._chunk = None

    def chunks_so_far(self) -> list[IndexedChunk]:
        """
        Return the chunks that are new and there already.

        Also the last one: `new_chunks` holds that back until it has seen that no index follows.
        Raise `OSError` if the file cannot be read.
        """
        return [*self.new_chunks(), *self.new_chunks()]

    def _whole_record(self) -> RecordPlace | None:
        """Return the record that begins where the last one ended, if it is there and whole."""
        if self.problem is not None:
            return None
        try:
            if not self._offset:
                if self.size < len(layout.MAGIC):
                    return None
                self.check_magic()
                self._offset = len(layout.MAGIC)
            if self.size - self._offset < layout.RECORD_PREFIX.size:
                return None
            place = self.place_at(self._offset)
            if place.opcode not in DATA_OPCODES or place.length > MAX_RECORD_BYTES:
                raise SegmentError(self.path, self._offset, 'no record of a segment begins here')
        except SegmentError as error:
            if os.fstat(self._fd).st_size >= self.size:  # else it is being cut back
                self.problem = without_frames(error)
            return None
        return place if place.end <= self.size else None

    def _take(self, place: RecordPlace) -> None:
        """Take in a record; raise `SegmentError` if it is not as it should be."""
        if place.opcode == layout.CHUNK:
            fixed = self.read(place.content, layout.CHUNK_FIXED.size)
            start_ns, end_ns, size, _ = layout.CHUNK_FIXED.unpack(fixed)
            self._indexes = {}
            self._chunk = IndexedChunk(
                place.offset, place.end, start_ns, end_ns, size, self._indexes
            )
        elif place.opcode == layout.MESSAGE_INDEX:
            (channel_id,) = layout.U16.unpack(self.read(place.content, layout.U16.size))
            if channel_id in self.channels:
                self._indexes[channel_id] = place.offset
        elif place.opcode in _DESCRIPTIONS:
            self.decoder.describe(self.record_at(place.offset))
        elif place.opcode == layout.DATA_END:
            self.is_closed = True
