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
What rosbag2 has compressed: whole files, or the data of each message.

Chunks of an MCAP file that are compressed are another matter: see `mcap.compression`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import shutil
import tempfile
from typing import Final, TYPE_CHECKING

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap.compression import unpack, unpack_whole
from fdr_recorder.mcap.decode import FileChannel, Message, WholeChunk
from fdr_recorder.mcap.record_file import MAX_RECORD_BYTES
from fdr_recorder.mcap.summary import Summary
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fdr_recorder.flights.recording_file import RecordingFile

_BLOCK_BYTES: Final = 1 << 20
_SPARE_BYTES: Final = 256 << 20
"""So much of the temporary directory stays free."""


@contextmanager
def unpacked_file(path: Path, compression: str) -> Iterator[Path]:
    """
    Uncompress a file into the temporary directory (`TMPDIR`), for as long as it is needed.

    Raises:
        OSError: It cannot be read, or the copy cannot be written.
        SegmentError: It is not compressed like that, or there is no space for it.

    """
    with tempfile.TemporaryDirectory(prefix='fdr_') as directory:
        target = Path(directory, 'unpacked')
        room = shutil.disk_usage(directory).free - _SPARE_BYTES
        done = 0
        with path.open('rb') as packed, target.open('wb') as file:
            try:
                for piece in unpack(compression, iter(lambda: packed.read(_BLOCK_BYTES), b'')):
                    done += len(piece)
                    if done > room:
                        what = f'uncompressed it has more than the {format_size(max(room, 0))} '
                        what += f'that {tempfile.gettempdir()} has room for; set TMPDIR'
                        raise SegmentError(path, 0, what)
                    file.write(piece)
            except ValueError as error:
                raise SegmentError(path, 0, str(error)) from error
        yield target


class UnpackedMessages:
    """
    A file whose messages are compressed one by one, as if they were not; a `RecordingFile`.

    Attributes are those of the file, which is `packed`; `errors` tell of messages that cannot be
    uncompressed, too.
    """

    def __init__(self, file: RecordingFile, compression: str) -> None:
        """Take the file, which stays its owner's, and the compression of its messages."""
        self.packed = file
        self._compression = compression
        self._fault: SegmentError | None = None
        self.path = file.path
        self.size = file.size

    @property
    def channels(self) -> dict[int, FileChannel]:
        """Return the channels by number."""
        return self.packed.channels

    @property
    def metadata(self) -> Mapping[str, Mapping[str, str]]:
        """Return the metadata records by name."""
        return self.packed.metadata

    @property
    def tear(self) -> SegmentError | None:
        """Why nothing is whole from some place on."""
        return self.packed.tear

    @property
    def ends_with_magic(self) -> bool:
        """Whether the file ends as a finished one does."""
        return self.packed.ends_with_magic

    @property
    def errors(self) -> list[SegmentError]:
        """List what was wrong with what has been read."""
        return [*self.packed.errors, *([self._fault] if self._fault else [])]

    def messages(self) -> Iterator[Message]:
        """Yield every message that can be read."""
        for chunk in self.chunks():
            for message, _ in chunk.messages:
                yield message

    def chunks(self) -> Iterator[WholeChunk]:
        """Yield the messages, uncompressed."""
        for chunk in self.packed.chunks():
            if isinstance(chunk, IndexedChunk):
                try:
                    chunk = self.packed.chunk_at(chunk.offset)
                except SegmentError as error:
                    self._fault = self._fault or error
                    continue
            messages = [
                (message, place)
                for packed, place in chunk.messages
                if (message := self._unpacked(packed, chunk.offset)) is not None
            ]
            if messages:
                yield WholeChunk(chunk.offset, chunk.end, messages)

    def _unpacked(self, message: Message, offset: int) -> Message | None:
        try:
            data = unpack_whole(self._compression, message.data, MAX_RECORD_BYTES)
        except ValueError as error:
            what = f'a message of {message.channel.topic}: {error}'
            self._fault = self._fault or SegmentError(self.path, offset, what)
            return None
        return message._replace(data=data)

    def summary(self) -> Summary:
        """Raise `SegmentError`: there is none."""
        raise SegmentError(self.path, 0, 'its messages are compressed')

    def chunk_at(self, offset: int) -> WholeChunk:
        """Raise `SegmentError`: `chunks` has read them all."""
        raise SegmentError(self.path, offset, 'its messages are compressed')

    def index_at(self, offset: int) -> array[int]:
        """Raise as `chunk_at`."""
        raise SegmentError(self.path, offset, 'its messages are compressed')

    def records_of(self, chunk: IndexedChunk) -> memoryview:
        """Raise as `chunk_at`."""
        raise SegmentError(self.path, chunk.offset, 'its messages are compressed')
