# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""What reading a file of a recording looks like, whoever wrote it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap.decode import FileChannel, Message, WholeChunk
from fdr_recorder.mcap.summary import Summary
from fdr_recorder.mcap.walk import IndexedChunk


class RecordingFile(Protocol):
    """
    A file of a recording, open for reading. `SegmentReader` is one.

    Attributes:
        path: Where it is.
        size: Its size, in bytes.

    """

    path: Path
    size: int

    @property
    def channels(self) -> dict[int, FileChannel]:
        """Return the channels by number, as far as they have been read."""

    @property
    def metadata(self) -> Mapping[str, Mapping[str, str]]:
        """Return the metadata records by name, likewise."""

    @property
    def tear(self) -> SegmentError | None:
        """Why nothing is whole from some place on; None if it has not been read, or is closed."""

    @property
    def errors(self) -> list[SegmentError]:
        """List what was wrong with what has been read."""

    @property
    def ends_with_magic(self) -> bool:
        """Whether the file ends as a finished one does."""

    def messages(self) -> Iterator[Message]:
        """Yield every message that can be read, in the order of the file."""

    def chunks(self) -> Iterator[IndexedChunk | WholeChunk]:
        """Yield every chunk; an `IndexedChunk` was not read, and has at least one message."""

    def summary(self) -> Summary:
        """Read the summary; raise `SegmentError` if there is none that tells of all chunks."""

    def chunk_at(self, offset: int) -> WholeChunk:
        """Read an `IndexedChunk`; raise `SegmentError` if it is not whole."""

    def index_at(self, offset: int) -> array[int]:
        """Read a message index of an `IndexedChunk`: log time and place, in turn."""

    def records_of(self, chunk: IndexedChunk) -> memoryview:
        """Read the uncompressed records of an `IndexedChunk`."""
