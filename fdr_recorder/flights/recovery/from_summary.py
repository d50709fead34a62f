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
What a segment contains, found out without reading more of it than is needed.

A sealed segment says it in its summary; a torn one is read front to back (`scanner`), one chunk in
memory at a time. Either way the result is enough to go on writing at the end of the data section,
and to list the segment in `metadata.yaml`. For a torn one it also says what must be written over
bytes that cannot be read, so that every reader passes over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.reader import open_segment
from fdr_recorder.flights.recovery.collector import Collector, SegmentContents
from fdr_recorder.flights.recovery.scanner import Scanner
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.reader import without_frames
from fdr_recorder.mcap.summary import ChunkIndex, read_summary
from fdr_recorder.record.kinds import OWN_TOPIC_PREFIX

__all__ = ['SegmentContents', 'read_contents']


def read_contents(
    path: Path, index: int, *, was_synced: bool = True, started_ns: int = 0
) -> SegmentContents:
    """
    Find out what a segment contains.

    Args:
        path: The file.
        index: Number of the segment in the flight.
        was_synced: Whether all of it was certainly forced to the disk, once it was sealed. If
            not, a power cut may have left its summary whole and a chunk before it torn: then all
            of it is read, and such a segment is not sealed.
        started_ns: When the flight began (system clock), if that is known.

    Raises:
        OSError: The file cannot be read.
        SegmentError: It is no segment: not even its beginning is whole.

    """
    with open_segment(path, started_ns=started_ns) as reader:
        try:
            contents = _SummaryReader(reader, index).read()
        except SegmentError:
            return Scanner(reader, index).scan()
        if was_synced:
            return contents
        scanned = Scanner(reader, index).scan()
        is_whole = reader.is_closed and (scanned.data_end, scanned.records) == (
            contents.data_end,
            contents.records,
        )
        return contents if is_whole and not (scanned.missing or scanned.patches) else scanned


class _SummaryReader(Collector):
    """Reads the summary of a sealed segment, and the chunks with the recorder's own records."""

    def read(self) -> SegmentContents:
        reader = self.reader
        found = self.begin()
        summary = read_summary(reader)
        reader.channels.update(summary.channels)
        for described in summary.channels.values():
            self.add_channel(found, described)
        for chunk in summary.chunks:
            record = encode.record(layout.CHUNK_INDEX, bytes(chunk.record.content))
            found.add_chunk(record, chunk.start_ns, chunk.end_ns)
        for channel_id, count in summary.counts.items():
            if channel_id in self.channels:
                found.by_id(channel_id).written = count
        self._read_chunks(summary.chunks)
        return SegmentContents(
            reader.path,
            self.index,
            is_sealed=True,
            size=reader.size,
            data_end=summary.start - layout.DATA_END_LENGTH,
            found=found,
            own_records=self.own_records,
            header=self.header,
            repeated=self.repeated,
            damage=self.damage,
        )

    def _read_chunks(self, chunks: Sequence[ChunkIndex]) -> None:
        """Read the chunks that have own records, and the first ones as long as they repeat."""
        own = {
            channel_id
            for channel_id, channel in self.channels.items()
            if channel.topic.startswith(OWN_TOPIC_PREFIX)
        }
        may_repeat = True
        for chunk in chunks:
            if not may_repeat and not chunk.channels & own:
                continue
            before = sum(self.repeated.values())
            try:
                for message, _ in self.reader.chunk_at(chunk.offset).messages:
                    self.note(message)
            except SegmentError as error:  # a bad chunk does not make the summary wrong
                self.damage = self.damage or without_frames(error)
            may_repeat = may_repeat and (
                chunk is chunks[0] or sum(self.repeated.values()) > before
            )
