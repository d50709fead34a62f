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
Find out what a segment contains without reading more of it than is needed.

A finished segment says it in its summary; a torn one is read front to back, one chunk in memory at
a time. Either way the result is enough to go on writing at the end of the data section, and to
list the segment in `metadata.yaml`. For a torn one it also says what must be written over bytes
that cannot be read, so that every reader passes over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.recovery.scan_torn_segment import Scanner
from fdr_recorder.flights.recovery.segment_contents import Collector, SegmentContents
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.reader import SegmentReader, without_frames
from fdr_recorder.mcap.summary import ChunkIndex, read_summary
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX


def read_contents(
    path: Path, index: int, *, was_synced: bool = True, started_ns: int = 0
) -> SegmentContents:
    """
    Find out what a segment contains.

    Args:
        path: The file.
        index: Number of the segment in the flight.
        was_synced: Whether all of it was certainly synced to the disk after it was ended. If
            not, a power cut may have left its summary whole and a chunk before it torn: then all
            of it is read, and such a segment counts as torn.
        started_ns: When the flight began (system clock), if that is known.

    Raises:
        OSError: The file cannot be read.
        SegmentError: It is no segment: not even its beginning is whole.

    """
    with open_segment(path, started_ns=started_ns) as reader:
        try:
            contents = _read_finished(reader, index)
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


def _read_finished(reader: SegmentReader, index: int) -> SegmentContents:
    """Read the summary, and some chunks; raise `SegmentError` if it is missing or wrong."""
    collector = Collector(reader, index)
    collector.begin()
    contents, found = collector.contents, collector.contents.found
    summary = read_summary(reader)
    reader.channels.update(summary.channels)
    for described in summary.channels.values():
        collector.add_channel(described)
    for chunk in summary.chunks:
        record = encode.record(layout.CHUNK_INDEX, bytes(chunk.record.content))
        found.add_chunk(record, chunk.start_ns, chunk.end_ns)
    for channel_id, count in summary.counts.items():
        if channel_id in collector.channels:
            found.by_id(channel_id).written = count
    _read_chunks(collector, summary.chunks)
    contents.is_closed = True
    contents.data_end = summary.start - layout.DATA_END_LENGTH
    return contents


def _read_chunks(collector: Collector, chunks: Sequence[ChunkIndex]) -> None:
    """Read the chunks that have own records, and the first ones as long as they repeat."""
    own = {
        channel_id
        for channel_id, channel in collector.channels.items()
        if channel.topic.startswith(OWN_TOPIC_PREFIX)
    }
    contents, may_repeat = collector.contents, True
    for chunk in chunks:
        if not may_repeat and own.isdisjoint(chunk.indexes):
            continue
        before = sum(contents.repeated.values())
        try:
            for message, _ in collector.reader.chunk_at(chunk.offset).messages:
                collector.note(message)
        except SegmentError as error:  # a bad chunk does not make the summary wrong
            contents.damage = contents.damage or without_frames(error)
        has_repeated = sum(contents.repeated.values()) > before
        may_repeat = may_repeat and (chunk is chunks[0] or has_repeated)
