# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads single records of a file, at any offset; believes nothing before it is checked."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import stat
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout

MAX_RECORD_BYTES: Final = 1 << 30
"""A record, compressed or not, that claims to be larger is not believed."""

DATA_OPCODES: Final = frozenset(
    (*range(layout.HEADER, layout.DATA_END + 1), layout.UNREADABLE)
) - {layout.FOOTER}
"""What a data section may hold. Another private record would be another program's: in a segment
it is more likely one of these, with a bit of its opcode turned."""


class RecordPlace(NamedTuple):
    """Where a record lies in a file, by its first bytes: `content` begins behind these."""

    opcode: int
    content: int
    length: int

    @property
    def offset(self) -> int:
        """Where it begins."""
        return self.content - layout.RECORD_PREFIX.size

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.content + self.length


class RawRecord(NamedTuple):
    """A record as it lies in a file; `content` is what follows opcode and length."""

    opcode: int
    offset: int
    content: memoryview

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + layout.RECORD_PREFIX.size + len(self.content)


class RecordFile:
    """An MCAP file, open for reading records by their offsets; `size` is as it was opened."""

    def __init__(self, path: Path | str) -> None:
        """Open the file; raise `OSError`, or `SegmentError` for a link or no regular file."""
        self.path = Path(path)
        self._fd = os.open(
            self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
        try:
            status = os.fstat(self._fd)
        except OSError:
            self.close()
            raise
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise SegmentError(self.path, 0, 'not a regular file')

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def read(self, offset: int, length: int) -> bytes:
        """Read so many bytes from an offset; raise `SegmentError` if the file is shorter."""
        if not 0 <= offset <= self.size - length:
            raise SegmentError(self.path, offset, 'the file ends within a record')
        data = b''
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                raise SegmentError(self.path, offset, 'the file ends within a record')
            data += more
        return data

    def check_magic(self) -> None:
        """Raise `SegmentError` if the file does not begin with the magic of MCAP."""
        if self.read(0, len(layout.MAGIC)) != layout.MAGIC:
            raise SegmentError(self.path, 0, 'this is no MCAP file')

    @property
    def ends_with_magic(self) -> bool:
        """Whether the file ends as a finished one does; reads nothing but that."""
        start = self.size - len(layout.MAGIC)
        return start >= len(layout.MAGIC) and self.read(start, len(layout.MAGIC)) == layout.MAGIC

    def place_at(self, offset: int) -> RecordPlace:
        """Read the first bytes of the record that begins at an offset; the rest may be missing."""
        opcode, length = layout.RECORD_PREFIX.unpack(self.read(offset, layout.RECORD_PREFIX.size))
        return RecordPlace(opcode, offset + layout.RECORD_PREFIX.size, length)

    def record_at(self, offset: int) -> RawRecord:
        """Read a record; raise `SegmentError` if it is not whole, or too large to be believed."""
        place = self.place_at(offset)
        if place.end > self.size:
            raise SegmentError(self.path, offset, 'the file ends within a record')
        if place.length > MAX_RECORD_BYTES:
            what = f'a record of {place.length} bytes is not believed'
            raise SegmentError(self.path, offset, what)
        content = memoryview(self.read(place.content, place.length))
        return RawRecord(place.opcode, offset, content)

    def data_record_at(self, offset: int) -> RawRecord:
        """Read a record that may be in a data section; raise as `record_at` does."""
        record = self.record_at(offset)
        if record.opcode not in DATA_OPCODES:
            # zeros, for example: so reads a page that a power cut kept from the disk
            what = f'no record begins with the byte {record.opcode}'
            raise SegmentError(self.path, offset, what)
        if record.opcode == layout.DATA_END and self._summary_start() != record.end:
            raise SegmentError(self.path, self.size, 'the summary is not complete')
        return record

    def _summary_start(self) -> int | None:
        """Return where the summary begins, by the footer; None without footer or magic."""
        if self.size < layout.ENDING_LENGTH or not self.ends_with_magic:
            return None
        place = self.size - layout.ENDING_LENGTH + layout.RECORD_PREFIX.size
        return int.from_bytes(self.read(place, layout.U64.size), 'little')
