# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads a torn segment front to back: what is in it, and what must be done to complete it."""

from __future__ import annotations

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.recovery.segment_contents import Collector, program_of, SegmentContents
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.decode import WholeChunk
from fdr_recorder.mcap.gaps import Gap
from fdr_recorder.mcap.reader import Part, SegmentReader, without_frames
from fdr_recorder.mcap.record_file import RawRecord
from fdr_recorder.record.kinds import METADATA_NAME
from fdr_recorder.seal.seal import RECORD_NAME as SEAL_NAME
from fdr_recorder.storage.chunk import Chunk
from fdr_recorder.storage.segment import LIBRARY, PROFILE
from fdr_recorder.storage.segment_index import SegmentIndex


class _Pending:
    """A chunk, until it is known what follows it: message indexes `found`, and those `wanted`."""

    def __init__(self, chunk: WholeChunk) -> None:
        self.chunk = chunk
        self.index = Chunk()
        self.found: list[bytes] = []
        for message, place in chunk.messages:
            entries = self.index.indexes.setdefault(message.channel.id, [])
            entries.extend((message.log_time_ns, place))
        pieces, _ = self.index.message_indexes()
        self.wanted = [b''.join(pair) for pair in zip(pieces[::2], pieces[1::2], strict=True)]


class Scanner(Collector):
    """Reads a torn segment, chunk by whole chunk."""

    def __init__(self, reader: SegmentReader, index: int) -> None:
        """Begin at the beginning of the file: with nothing known of it."""
        super().__init__(reader, index)
        reader.decoder.forget()
        self.lost_beginning = b''
        self._pending: _Pending | None = None
        self._begin()
        self._began_well = not self.lost_beginning

    def scan(self) -> SegmentContents:
        """Read all of it; raise `SegmentError` if nothing in it is whole: it is no segment."""
        error: SegmentError | None = None
        try:
            for part in self.reader.parts():
                self.take(part)
        except SegmentError as tear:
            error = without_frames(tear)
        return self.finish(error)

    def take(self, part: Part) -> None:
        """Take the next part of the data section; raise as `scan` does."""
        pending = self._pending
        if isinstance(part, RawRecord) and part.opcode == layout.MESSAGE_INDEX:
            if pending is not None:
                pending.found.append(encode.record(part.opcode, bytes(part.content)))
            return
        if pending is not None:
            self._settle(pending, part)
        self._pending = _Pending(part) if isinstance(part, WholeChunk) else None
        if self.lost_beginning:
            self._begin_anew(part)
        elif isinstance(part, RawRecord):
            self._describe(part)

    def finish(self, damage: SegmentError | None) -> SegmentContents:
        """Return what was taken, and what ended it; raise as `scan` does."""
        reader, contents, pending = self.reader, self.contents, self._pending
        contents.damage = damage
        if self.lost_beginning or not (self._began_well or pending or contents.records):
            raise damage or SegmentError(reader.path, 0, 'no chunk in it is whole')
        contents.data_end = reader.whole_bytes
        if pending is not None:
            self._add_chunk(pending)
            if pending.found != pending.wanted:
                contents.data_end, contents.missing = pending.chunk.end, pending.wanted
        gaps = [gap for gap in reader.gaps if gap.error is not None or gap.fill]
        contents.patches += [(gap.offset, gap.patch) for gap in gaps]
        contents.unreadable_bytes = sum(gap.size for gap in reader.gaps)
        return contents

    def _begin(self) -> None:
        try:
            self.begin()
        except SegmentError:  # what every segment begins with is known all the same
            path = self.reader.path
            about = {'flight_id': path.parent.name, 'segment_index': str(self.contents.index)}
            beginning = layout.MAGIC + encode.header(PROFILE, LIBRARY)
            metadata = encode.metadata(METADATA_NAME, about)
            self.lost_beginning = beginning + metadata
            index = encode.metadata_index(len(beginning), len(metadata), METADATA_NAME)
            self.contents.found = SegmentIndex(index)

    def _begin_anew(self, part: Part) -> None:
        """Replace the beginning once its end is known; raise if the file is of another program."""
        error = SegmentError(self.reader.path, 0, 'not a segment of this recorder')
        if isinstance(part, RawRecord) and part.opcode == layout.HEADER:
            if program_of(self.reader, part)[1] not in ('', LIBRARY.split()[0]):
                raise error
        elif not isinstance(part, RawRecord) or part.opcode != layout.METADATA:
            if not self._gap_before(part, 0, error).take(self.lost_beginning):
                raise error
            self.lost_beginning = b''

    def _gap_before(
        self, part: Part, start: int, error: SegmentError
    ) -> Gap:
        """Return a gap from an offset up to a part; if that is a gap itself, let it grow."""
        if not isinstance(part, Gap):
            part = Gap(start, part.offset, error)
            self.reader.gaps.append(part)
        part.offset = start
        return part

    def _describe(self, record: RawRecord) -> None:
        """Take in a schema or a channel, even without messages: its number is taken; or a seal."""
        if record.opcode == layout.METADATA and SEAL_NAME in self.reader.metadata:
            name = self.reader.decoder.fields(record).string()
            if name == SEAL_NAME:
                length = record.end - record.offset
                self.contents.has_seals = True
                self.contents.found.add_metadata(
                    encode.metadata_index(record.offset, length, name)
                )
        if record.opcode not in (layout.SCHEMA, layout.CHANNEL):
            return
        number = self.reader.decoder.fields(record).u16()
        as_written = encode.record(record.opcode, bytes(record.content))
        if record.opcode == layout.SCHEMA:
            self.contents.found.add_schema(self.reader.schemas[number], number, as_written)
        elif number not in self.channels:
            self.add_channel(self.reader.channels[number], as_written)

    def _settle(self, pending: _Pending, part: Part) -> None:
        """Take in a chunk that something follows; missing message indexes go into a gap."""
        chunk = pending.chunk
        if pending.found != pending.wanted:
            error = SegmentError(self.reader.path, chunk.end, 'a message index is wrong')
            gap = self._gap_before(part, chunk.end, error)
            if not gap.take(b''.join(pending.wanted)):  # not laid out by the recorder
                gap.offset = chunk.offset
                return
        self._add_chunk(pending)

    def _add_chunk(self, pending: _Pending) -> None:
        """Take in a chunk with its message indexes, which may still have to be written."""
        chunk, index = pending.chunk, pending.index
        for message, _ in chunk.messages:
            if message.channel.id not in self.channels:  # it stands for one that is lost
                self.add_channel(message.channel)
            self.note(message)
        assert chunk.record is not None
        fields = self.reader.decoder.fields(chunk.record)
        times = fields.unpack(layout.CHUNK_TIMES)
        start, end = index.time_range()
        if times != (start, end):  # these have no CRC
            place = chunk.offset + layout.RECORD_PREFIX.size
            self.contents.patches.append((place, layout.CHUNK_TIMES.pack(start, end)))
        uncompressed_size, _ = fields.u64(), fields.u32()
        compression, compressed_size = fields.string(), fields.u64()
        _, places = index.message_indexes()
        record = encode.chunk_index(
            start_time=start,
            end_time=end,
            chunk_offset=chunk.offset,
            chunk_length=chunk.end - chunk.offset,
            message_index_offsets={
                channel_id: chunk.end + place for channel_id, place in places.items()
            },
            message_index_length=sum(map(len, pending.wanted)),
            compression=compression,
            compressed_size=compressed_size,
            uncompressed_size=uncompressed_size,
        )
        found = self.contents.found
        found.add_chunk(record, start, end)
        for channel_id, entries in index.indexes.items():
            found.by_id(channel_id).written += len(entries) // 2
            self.contents.hear(found.by_id(channel_id).channel, entries[::2])
