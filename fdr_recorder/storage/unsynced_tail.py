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
The end of a segment that is not known to be on the disk.

What is in a segment's file is *written*; after a sync that succeeds it is *synced*. A sync that
fails puts all that was written since the last good one *in doubt*: the kernel reports the error
once, may have thrown the pages away, and the next sync returns 0. So what is in doubt is read back
past the page cache. If it is whole, one more sync must succeed (the disk may hold it in a cache of
its own); then it is synced. If it is not, it is *lost* from the first part on that is not whole.

The kernel may report an error late: ext4 has been seen to return 0 for the very sync whose data
are gone, and the error from the next. So a sync that fails puts what the one before covered in
doubt, too, and what the next ones cover is read back although they succeed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import field
import errno
import os

from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.compression import decompress
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.seal.seal import Digest
from fdr_recorder.storage.files import AppendFile
from fdr_recorder.storage.read_back import Medium


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """
    What one call has appended to a segment: a chunk, or the ending.

    All but the records of a chunk is kept as it is. Those have the CRC of the chunk.

    Attributes:
        offset: Where it begins in the file.
        announcements: Descriptions of channels, or the beginning of the file.
        head: What follows up to the records.
        stored_size: Size of the records as they are in the file.
        size: Uncompressed size of the records.
        compression: How they are compressed.
        crc: CRC-32 of the uncompressed records.
        tail: What follows the records.
        records: How many of each channel, by its number in the segment.
        span: Earliest and latest log time of its records.
        span_before: Earliest and latest log time in the segment before it.
        pieces: All of it, for the first part of a segment, which can be written again.
        seal: Number of the seal in it.
        digest: Of the file before it, if the segment is sealed.

    """

    offset: int
    announcements: Sequence[bytes]
    head: bytes = b''
    stored_size: int = 0
    size: int = 0
    compression: str = ''
    crc: int = 0
    tail: Sequence[bytes] = ()
    records: Mapping[int, int] = field(default_factory=dict)
    span: tuple[int, int] = (0, 0)
    span_before: tuple[int, int] = (0, 0)
    pieces: Sequence[bytes] = ()
    seal: int | None = None
    digest: Digest | None = None

    @property
    def length(self) -> int:
        """Its size in the file."""
        around = sum(map(len, self.announcements)) + len(self.head) + sum(map(len, self.tail))
        return around + self.stored_size

    def is_whole(self, data: bytes) -> bool:
        """Tell whether data, read from its place in the file, are what was written there."""
        head = b''.join(self.announcements) + self.head
        end = len(head) + self.stored_size
        if data[:len(head)] != head or data[end:] != b''.join(self.tail):
            return False
        if not self.stored_size:
            return True
        try:
            records = decompress(self.compression, memoryview(data)[len(head):end], self.size)
        except ValueError:
            return False
        return len(records) == self.size and crc32((records,)) == self.crc


class UnsyncedTail:
    """
    The parts of a segment that are not synced, and what is known of them.

    The writer's thread adds parts, and takes them out between two jobs of the thread that syncs;
    that only calls `sync`, and only once at a time.
    """

    def __init__(self, file: AppendFile, *, keeps_parts: bool) -> None:
        """Begin with what a file has; without parts, nothing can be confirmed."""
        self._file = file
        self._keeps_parts = keeps_parts
        self._parts: deque[Part] = deque()
        self._trusted_end = self._synced_end = file.size
        """Up to where the last sync but one was good, and the last one."""
        self._confirmed_end = 0
        """Up to here it was read back and found whole."""
        self._doubt_end = 0
        """Up to here it is in doubt; 0 if nothing is."""
        self._error: OSError | None = None
        self._lost_from: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether something was read back and found not to be what was written."""
        return self._lost_from is not None

    def add(self, part: Part) -> None:
        """Add what was appended to the file."""
        if self._keeps_parts:
            self._parts.append(part)

    @property
    def synced_seals(self) -> list[int]:
        """Return the numbers of the seals among them that are on the disk."""
        return [
            part.seal
            for part in self._parts
            if part.seal is not None and part.offset + part.length <= self._synced_end
        ]

    def trim(self) -> None:
        """Forget the parts that were synced before the last sync."""
        while self._parts and self._parts[0].offset < self._trusted_end:
            self._parts.popleft()

    def take_lost(self) -> list[Part]:
        """Take out all parts from the first on that is lost; nothing is in doubt any more."""
        lost_from, self._lost_from = self._lost_from, None
        assert lost_from is not None
        lost = self._take_from(lost_from)
        self._doubt_end, self._error = 0, None
        return lost

    def take_last_chunk(self) -> list[Part]:
        """Take out the newest chunk, if it is there, and what follows it."""
        chunks = [
            part.offset for part in self._parts if part.records and part.offset >= self._synced_end
        ]
        return self._take_from(chunks[-1]) if chunks else []

    def _take_from(self, offset: int) -> list[Part]:
        taken: list[Part] = []
        while self._parts and self._parts[-1].offset >= offset:
            taken.append(self._parts.pop())
        self._doubt_end = min(self._doubt_end, offset)
        self._confirmed_end = min(self._confirmed_end, offset)
        self._synced_end = min(self._synced_end, offset)
        return taken[::-1]

    def sync(self, *, is_finished: bool, is_checked: bool = False) -> OSError | None:
        """
        Force the file to the disk; after a sync that failed, find out what is there.

        Args:
            is_finished: Whether the segment is ended.
            is_checked: Whether what it covers is read back although it succeeds.

        Returns:
            The error of a sync that failed, if nothing is lost by it; None if none has failed.

        Raises:
            OSError: Something is lost, or remains in doubt.

        """
        if self._lost_from is not None and self._error is not None:
            raise self._error
        if not self._doubt_end:
            try:
                end = self._sync(is_finished=is_finished)
            except OSError as error:
                self._error = error
            else:
                if is_checked:
                    unsaid = OSError(errno.EIO, os.strerror(errno.EIO))
                    self._read_back(end, unsaid, is_doubted=False)
                self._trusted_end, self._synced_end = self._synced_end, end
                return None
        assert self._error is not None
        self._read_back(self._doubt_end, self._error)
        end = self._sync(is_finished=is_finished)
        confirmed, self._error = self._error, None
        self._synced_end, self._doubt_end = end, 0
        return confirmed

    def _sync(self, *, is_finished: bool) -> int:
        """Sync; return up to where that was."""
        parts = tuple(self._parts)[-1:]
        end = max((part.offset + part.length for part in parts), default=self._synced_end)
        try:
            self._file.sync(is_finished=is_finished)
        except OSError:
            self._doubt_end = self._file.reach  # what was written meanwhile included
            raise
        return end

    def _read_back(self, doubt_end: int, error: OSError, *, is_doubted: bool = True) -> None:
        """
        Raise the error of the sync unless the medium has all up to there.

        What is doubted must be seen there.
        """
        end = max(self._trusted_end, self._confirmed_end)
        for part in tuple(self._parts):
            if end >= doubt_end:
                return
            if part.offset < end:
                continue
            if not self._is_on_the_medium(part, if_unknown=not is_doubted):
                self._lost_from, self._error = part.offset, error
                raise error
            self._confirmed_end = end = part.offset + part.length
        if end < min(doubt_end, self._file.reach):
            raise error  # the writer has just appended a part and will add it

    def _is_on_the_medium(self, part: Part, *, if_unknown: bool) -> bool:
        try:
            medium = Medium(self._file.fileno())
            try:
                return part.is_whole(medium.read(part.offset, part.length))
            finally:
                medium.close()
        except NotImplementedError:
            return if_unknown
        except OSError:
            return False
