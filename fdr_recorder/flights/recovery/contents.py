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

from collections.abc import Iterator
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.recovery.collector import Collector, SegmentContents
from fdr_recorder.flights.recovery.scanner import Scanner
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.fields import Fields
from fdr_recorder.mcap.reader import RawRecord, SegmentReader, without_frames
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
    with SegmentReader(path, started_ns=started_ns) as reader:
        try:
            contents = _SummaryReader(reader, index).read()
        except SegmentError:
            return Scanner(reader, index).scan()
        if was_synced:
            return contents
        scanned = Scanner(reader, index).scan()
        is_whole = reader.is_sealed and (scanned.data_end, scanned.records) == (
            contents.data_end,
            contents.records,
        )
        return contents if is_whole and not (scanned.missing or scanned.patches) else scanned


class _SummaryReader(Collector):
    """Reads the summary of a sealed segment, and the chunks with the recorder's own records."""

    def read(self) -> SegmentContents:
        reader = self.reader
        found = self.begin()
        summary_start = self._check_footer()
        chunks: list[tuple[RawRecord, int, frozenset[int]]] = []
        counts: dict[int, int] = {}
        for record in self._summary(summary_start):
            reader.describe(record)
            fields = Fields(record.content, reader.path, record.offset)
            if record.opcode == layout.CHANNEL:
                self.add_channel(found, reader.channels[fields.u16()])
            elif record.opcode == layout.CHUNK_INDEX:
                start, end, offset, _ = (fields.u64() for _ in range(4))
                content = fields.bytes(fields.u32())
                offsets = Fields(content, reader.path, record.offset)
                channels = set()
                while not offsets.is_at_end:
                    channels.add(offsets.u16())
                    offsets.u64()
                raw = encode.record(record.opcode, bytes(record.content))
                found.add_chunk(raw, start, end)
                chunks.append((record, offset, frozenset(channels)))
            elif record.opcode == layout.STATISTICS:
                fields.bytes(42)
                table = Fields(fields.bytes(fields.u32()), reader.path, record.offset)
                while not table.is_at_end:
                    channel_id = table.u16()
                    counts[channel_id] = table.u64()
        for channel_id, count in counts.items():
            if channel_id in self.channels:
                found.by_id(channel_id).written = count
        self._read_chunks([(offset, channels) for _, offset, channels in chunks])
        return SegmentContents(
            reader.path,
            self.index,
            is_sealed=True,
            size=reader.size,
            data_end=summary_start - layout.DATA_END_LENGTH,
            found=found,
            own_records=self.own_records,
            header=self.header,
            repeated=self.repeated,
            damage=self.damage,
        )

    def _check_footer(self) -> int:
        """Return where the summary begins, if its CRC is right."""
        reader = self.reader
        end_size = layout.FOOTER_LENGTH + len(layout.MAGIC)
        footer_offset = reader.size - end_size
        if footer_offset < 0:
            raise SegmentError(reader.path, 0, 'there is no footer')
        footer = reader.record_at(footer_offset)
        magic = reader.read(footer.end, len(layout.MAGIC))
        if footer.opcode != layout.FOOTER or magic != layout.MAGIC:
            raise SegmentError(reader.path, footer_offset, 'there is no footer')
        fields = Fields(footer.content, reader.path, footer_offset)
        summary_start, _, crc = fields.u64(), fields.u64(), fields.u32()
        if not len(layout.MAGIC) <= summary_start <= footer_offset:
            raise SegmentError(reader.path, footer_offset, 'the footer points nowhere')
        length = footer.end - 4 - summary_start
        if crc32([reader.read(summary_start, length)]) != crc:
            raise SegmentError(reader.path, summary_start, 'the CRC of the summary is wrong')
        return summary_start

    def _summary(self, offset: int) -> Iterator[RawRecord]:
        while True:
            record = self.reader.record_at(offset)
            if record.opcode in (layout.FOOTER, layout.SUMMARY_OFFSET):
                return
            yield record
            offset = record.end

    def _read_chunks(self, chunks: list[tuple[int, frozenset[int]]]) -> None:
        """Read the chunks that have own records, and the first ones as long as they repeat."""
        own = {
            channel_id
            for channel_id, channel in self.channels.items()
            if channel.topic.startswith(OWN_TOPIC_PREFIX)
        }
        may_repeat = True
        for offset, channel_ids in chunks:
            if not may_repeat and not channel_ids & own:
                continue
            before = sum(self.repeated.values())
            try:
                for message, _ in self.reader.whole_chunk(self.reader.record_at(offset)).messages:
                    self.note(message)
            except SegmentError as error:  # a bad chunk does not make the summary wrong
                self.damage = self.damage or without_frames(error)
            may_repeat = may_repeat and (
                offset == chunks[0][0] or sum(self.repeated.values()) > before
            )
