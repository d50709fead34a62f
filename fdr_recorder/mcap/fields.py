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
from fdr_recorder.mcap import layout


class Fields:
    """Takes a record apart. Each method raises `SegmentError` if the record is too short."""

    def __init__(self, content: memoryview, path: Path, offset: int) -> None:
        """Begin at the first field; file and offset of the record are for error messages."""
        self._content = content
        self._position = 0
        self._path = path
        self._offset = offset

    def check_end(self, what: str = 'record') -> None:
        """Raise `SegmentError` if more follows, as where a torn page ends in zeros."""
        if self._position < len(self._content):
            text = f'the {what} is larger than its content'
            raise SegmentError(self._path, self._offset, text)

    def bytes(self, length: int) -> memoryview:
        """Take so many bytes."""
        position = self._position
        if length > len(self._content) - position:
            raise SegmentError(self._path, self._offset, 'a field reaches beyond its record')
        self._position += length
        return self._content[position:self._position]

    def unpack(self, fixed: struct.Struct) -> tuple[int, ...]:
        """Take integers."""
        return fixed.unpack(self.bytes(fixed.size))

    def u16(self) -> int:
        """Take a 16-bit integer."""
        return self.unpack(layout.U16)[0]

    def u32(self) -> int:
        """Take a 32-bit integer."""
        return self.unpack(layout.U32)[0]

    def u64(self) -> int:
        """Take a 64-bit integer."""
        return self.unpack(layout.U64)[0]

    def string(self) -> str:
        """Take a string. None that the recorder writes has a zero in it, but a torn page has."""
        try:
            text = str(self.bytes(self.u32()), 'utf-8')
        except UnicodeDecodeError as error:
            raise SegmentError(self._path, self._offset, 'a string is not UTF-8') from error
        if '\0' in text:
            raise SegmentError(self._path, self._offset, 'there are zeros in a string')
        return text

    def definition(self, encoding: str) -> str:
        """Take the definition of a schema, which is in that language."""
        return self.string()

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

    def id_map(self) -> dict[int, int]:
        """Take a map of 64-bit integers by channel id."""
        entries = self.bytes(self.u32())
        if len(entries) % layout.ID_AND_U64.size:
            raise SegmentError(self._path, self._offset, 'a field reaches beyond its record')
        return dict(layout.ID_AND_U64.iter_unpack(entries))


class ForeignFields(Fields):
    """The fields of a record that another program wrote: of these less is known."""

    def check_end(self, what: str = 'record') -> None:
        """Accept that more follows: MCAP allows further fields."""

    def string(self) -> str:
        """Take a string; bytes that are not UTF-8 are escaped."""
        return str(self.bytes(self.u32()), 'utf-8', 'backslashreplace')

    def definition(self, encoding: str) -> str:
        """Take a definition, which may be binary: see `Schema`."""
        is_text = encoding in (layout.ROS2MSG, layout.ROS2IDL)
        errors = 'backslashreplace' if is_text else 'surrogateescape'
        return str(self.bytes(self.u32()), 'utf-8', errors)
