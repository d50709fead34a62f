# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Gaps: unreadable bytes between readable records, and where a record may begin behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import re
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap import layout

_BEGINNING: Final = re.compile(
    rb'\x03.{3}\0{5}..(?:.{2}\0\0)[!-~]'  # schema: length, id, name
    rb'|\x04.{3}\0{5}.{4}(?:.{2}\0\0)[!-~]'  # channel: length, two ids, topic
    rb'|\x06(.{4}\0{4}).{16}.{4}\0{4}.{4}(\0{4}|\x03\0{3}lz4|\x04\0{3}zstd)(.{4}\0{4})'
    rb'|\x0F\x04\0{11}',  # data end
    re.DOTALL,
)
"""Records that data can be read from again, as the recorder writes them."""

_LONGEST_BEGINNING: Final = 64
_WINDOW_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(_WINDOW_BYTES + _LONGEST_BEGINNING)
_CHUNK_FIXED_BYTES: Final = layout.CHUNK_FIXED.size + layout.U32.size + layout.U64.size
"""Content length of a chunk without the name of its compression and its records."""


@dataclass(eq=False)
class Gap:
    """
    Bytes of a segment that cannot be read.

    Attributes:
        offset: Where they begin in the file.
        end: Where whole records begin again.
        error: What is wrong; None for a record of opcode `UNREADABLE`, which an earlier `patch`
            has left.
        first_ns: The latest log time in the chunk before; 0 if there is none.
        last_ns: The earliest log time in the next chunk; 0 if there is none.
        fill: Substitutes for lost records, to be written where the gap begins.

    """

    offset: int
    end: int
    error: SegmentError | None
    first_ns: int = 0
    last_ns: int = 0
    fill: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        """How many bytes stay unread when `fill` is written."""
        return self.end - self.offset - len(self.fill)

    @property
    def patch(self) -> bytes:
        """Return what is to be written at `offset`, for readers to pass over the rest."""
        if not self.size:
            return bytes(self.fill)
        length = self.size - layout.RECORD_PREFIX.size
        return bytes(self.fill) + layout.RECORD_PREFIX.pack(layout.UNREADABLE, length)

    def take(self, lost: bytes = b'') -> bool:
        """Take in records that were lost, if they leave nothing, or a record, of the gap."""
        left = self.size - len(lost)
        if left and left < layout.RECORD_PREFIX.size:
            return False
        self.fill += lost
        return True


def possible_records(
    read: Callable[[int, int], bytes], start: int, end: int
) -> Iterator[int]:
    """Yield where from `start` to `end` a schema, a channel, a chunk or the data end may begin."""
    for base in range(start, end, _WINDOW_BYTES):
        block = read(base, min(_WINDOW_BYTES + _LONGEST_BEGINNING, end - base))
        if block == _ZEROS[: len(block)]:  # a hole; this is a hundred times faster
            continue
        position = 0
        while (match := _BEGINNING.search(block, position)) and match.start() < _WINDOW_BYTES:
            position = match.start() + 1
            length, compression, stored = match.groups()
            if length is None or layout.U64.unpack(length)[0] == (
                _CHUNK_FIXED_BYTES + len(compression) - 4 + layout.U64.unpack(stored)[0]
            ):
                yield base + match.start()
