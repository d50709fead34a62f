# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The fields of an MCAP record, one after the other; none reaches beyond its record."""

from __future__ import annotations

from pathlib import Path
import struct

from fdr_recorder.errors import SegmentError

_U16 = struct.Struct('<H')
_U32 = struct.Struct('<I')
_U64 = struct.Struct('<Q')


class Fields:
    """Takes a record apart. Each method raises `SegmentError` if the record is too short."""

    def __init__(self, content: memoryview, path: Path, offset: int) -> None:
        """Take the content of a record, and for messages where it came from."""
        self._content = content
        self._position = 0
        self._path = path
        self._offset = offset

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing left."""
        return self._position >= len(self._content)

    def bytes(self, length: int) -> memoryview:
        """Take so many bytes."""
        position = self._position
        if length > len(self._content) - position:
            raise SegmentError(self._path, self._offset, 'a field reaches beyond its record')
        self._position += length
        return self._content[position:self._position]

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Take integers."""
        return layout.unpack(self.bytes(layout.size))

    def u16(self) -> int:
        """Take a 16-bit integer."""
        return self.unpack(_U16)[0]

    def u32(self) -> int:
        """Take a 32-bit integer."""
        return self.unpack(_U32)[0]

    def u64(self) -> int:
        """Take a 64-bit integer."""
        return self.unpack(_U64)[0]

    def string(self) -> str:
        """Take a string. None that the recorder writes has a zero in it, but a torn page has."""
        try:
            text = str(self.bytes(self.u32()), 'utf-8')
        except UnicodeDecodeError as error:
            raise SegmentError(self._path, self._offset, 'a string is not UTF-8') from error
        if '\0' in text:
            raise SegmentError(self._path, self._offset, 'there are zeros in a string')
        return text

    def string_map(self) -> dict[str, str]:
        """Take a map of strings."""
        length = self.u32()
        end = self._position + length
        if end > len(self._content):
            raise SegmentError(self._path, self._offset, 'a map reaches beyond its record')
        values: dict[str, str] = {}
        while self._position < end:
            key = self.string()
            values[key] = self.string()
        return values
