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
Copies attachments and metadata of other programs into an export.

No message refers to them, so all of a recording's are copied; of attachments, those from the time
that is asked for. Memory does not grow with their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.bags.unpacked import UnpackedMessages
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.recording import Kind, recording_at
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.fields import ForeignFields
from fdr_recorder.mcap.foreign import ForeignReader
from fdr_recorder.mcap.record_file import RecordPlace
from fdr_recorder.record.kinds import METADATA_NAME
from fdr_recorder.storage.segment import Segment

_OF_THE_FILE: Final = (METADATA_NAME, 'rosbag2')
"""Names of metadata that describe the file that they are in, as ours and that of rosbag2 do."""
_BLOCK_BYTES: Final = 1 << 20
_MOST_NAMES: Final = 1 << 20
"""So many bytes may the names and the times of an attachment have, and metadata."""


class ExportedFile(Segment):
    """A file that an export writes."""

    def copy_extras(self, query: Query) -> None:
        """
        Copy what a recording of another program has besides messages.

        Raises:
            OSError: A file cannot be read or written.

        """
        recording = recording_at(query.flight)
        if recording.kind not in (Kind.BAG, Kind.FILE):
            return
        self.flush()
        for path in recording.files:
            with suppress(SegmentError), recording.open(path) as file:  # its messages told of it
                inner = file.packed if isinstance(file, UnpackedMessages) else file
                if isinstance(inner, ForeignReader):
                    for place in _extras(inner):
                        try:
                            self._copy(inner, place, query)
                        except SegmentError as error:
                            query.damage.append(str(error))

    def _copy(self, file: ForeignReader, place: RecordPlace, query: Query) -> None:
        fields = _fields(file, place)
        offset, length = self.size, place.end - place.offset
        if place.opcode == layout.METADATA:
            name = fields.string()
            if name in _OF_THE_FILE:
                return
            opcode, index = layout.METADATA_INDEX, encode.metadata_index(offset, length, name)
        else:
            times = fields.bytes(layout.ATTACHMENT_TIMES.size)
            time_ns, _ = layout.ATTACHMENT_TIMES.unpack(times)
            if not (query.start_ns or 0) <= time_ns < (query.end_ns or 1 << 64):
                return
            name, media_type, size = fields.string(), fields.string(), fields.u64()
            end = place.end - layout.U32.size
            (crc,) = layout.U32.unpack(file.read(end, layout.U32.size))
            if crc and crc32(_blocks(file, place.content, end)) != crc:
                what = f'the CRC of the attachment {name:.100} is wrong; it is copied as it is'
                query.damage.append(str(SegmentError(file.path, place.offset, what)))
            opcode = layout.ATTACHMENT_INDEX
            index = encode.attachment_index(offset, length, bytes(times), size, name, media_type)
        for block in _blocks(file, place.offset, place.end):
            self._file.append([block])
        self._contents.indexes.setdefault(opcode, []).append(index)


def _extras(file: ForeignReader) -> Iterator[RecordPlace]:
    """Yield where attachments and metadata are; stop where nothing is whole any more."""
    offset = len(layout.MAGIC)
    while offset + layout.RECORD_PREFIX.size <= file.size:
        place = file.place_at(offset)
        if place.end > file.size or place.opcode in (0, layout.DATA_END, layout.FOOTER):
            return
        if place.opcode in (layout.ATTACHMENT, layout.METADATA):
            yield place
        offset = place.end


def _fields(file: ForeignReader, place: RecordPlace) -> ForeignFields:
    head = file.read(place.content, min(place.length, _MOST_NAMES))
    return ForeignFields(memoryview(head), file.path, place.offset)


def _blocks(file: ForeignReader, start: int, end: int) -> Iterator[bytes]:
    for offset in range(start, end, _BLOCK_BYTES):
        yield file.read(offset, min(_BLOCK_BYTES, end - offset))
