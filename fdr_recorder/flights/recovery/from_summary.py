# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads what a finished segment contains from its summary."""

from __future__ import annotations

from collections.abc import Sequence

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.recovery.contents import Collector, SegmentContents
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.reader import without_frames
from fdr_recorder.mcap.summary import ChunkIndex, read_summary
from fdr_recorder.record.kinds import OWN_TOPIC_PREFIX


class SummaryReader(Collector):
    """Reads the summary of a closed segment, and the chunks with the recorder's own records."""

    def read(self) -> SegmentContents:
        """Read them; raise `SegmentError` if the summary is missing or wrong."""
        reader = self.reader
        self.begin()
        contents, found = self.contents, self.contents.found
        summary = read_summary(reader)
        reader.channels.update(summary.channels)
        for described in summary.channels.values():
            self.add_channel(described)
        for chunk in summary.chunks:
            record = encode.record(layout.CHUNK_INDEX, bytes(chunk.record.content))
            found.add_chunk(record, chunk.start_ns, chunk.end_ns)
        for channel_id, count in summary.counts.items():
            if channel_id in self.channels:
                found.by_id(channel_id).written = count
        self._read_chunks(summary.chunks)
        contents.is_closed = True
        contents.data_end = summary.start - layout.DATA_END_LENGTH
        return contents

    def _read_chunks(self, chunks: Sequence[ChunkIndex]) -> None:
        """Read the chunks that have own records, and the first ones as long as they repeat."""
        own = {
            channel_id
            for channel_id, channel in self.channels.items()
            if channel.topic.startswith(OWN_TOPIC_PREFIX)
        }
        contents, may_repeat = self.contents, True
        for chunk in chunks:
            if not may_repeat and not chunk.channels & own:
                continue
            before = sum(contents.repeated.values())
            try:
                for message, _ in self.reader.chunk_at(chunk.offset).messages:
                    self.note(message)
            except SegmentError as error:  # a bad chunk does not make the summary wrong
                contents.damage = contents.damage or without_frames(error)
            may_repeat = may_repeat and (
                chunk is chunks[0] or sum(contents.repeated.values()) > before
            )
