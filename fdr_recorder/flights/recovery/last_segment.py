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
What the last segment of a flight says of the flight; what tells that the flight is whole.

A list of thousands of flights reads no more of a closed flight: the two ends of the file, and
single records, which the message indexes lead to. What is believed has been checked against a CRC.
Where anything is unusual the segment is read as recovery reads it (`read_contents`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import SegmentFile
from fdr_recorder.flights.metadata_reader import Metadata
from fdr_recorder.flights.reader import own_record
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.recovery.recounted_topics import recounted_requests
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.flights.sealed import is_opening
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import Decoder, FileChannel, Message
from fdr_recorder.mcap.record_file import RecordFile
from fdr_recorder.mcap.summary import ChunkIndex, read_summary
from fdr_recorder.record.kinds import (
    ClockStatus,
    ClockStep,
    FlightFooter,
    FlightHeader,
    RequestedTopic,
)
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.storage.segment import LIBRARY, PROFILE

_END_BYTES: Final = 16 << 10
"""So much of each end of the file is read at once: mostly that is all."""
_WANTED: Final = frozenset(
    kind.channel_topic() for kind in (FlightHeader, FlightFooter, ClockStep, ClockStatus)
)


class LastSegment(NamedTuple):
    """
    What the last segment of a flight says of it.

    Attributes:
        header: The flight's header; None if the segment has none.
        footer: Its footer; None if there is none, or records of the recorder follow it.
        own_records: The recorder's own records in order, headers apart; at least the footer and
            those of the clock.
        first_ns: Earliest log time; 0 without a record.
        last_ns: Latest log time.
        is_closed: Whether summary and footer of the file are there, and right.
        contents: All that it contains; None if little was read of it, and there is a footer.

    """

    header: FlightHeader | None
    footer: FlightFooter | None
    own_records: Sequence[Payload]
    first_ns: int
    last_ns: int
    is_closed: bool
    contents: SegmentContents | None = None

    def ends(self, metadata: Metadata) -> bool:
        """Tell whether it ends the flight, and `metadata.yaml` has been renewed since."""
        return self.is_closed and self.footer is not None and metadata.follows(self.footer)


def read_last_segment(segment: SegmentFile) -> LastSegment | None:
    """
    Read what the last segment of a flight says of it.

    Returns:
        What it says; None if it is unreadable as a segment, or was dropped just now.

    Raises:
        OSError: It cannot be read.

    """
    try:
        with suppress(SegmentError, RecordError), closing(_Ends(segment.path)) as file:
            if (seen := _look(file)) is not None:
                return seen
        read = read_contents(segment.path, segment.index)
    except (SegmentError, FileNotFoundError):
        return None
    first_ns, last_ns = read.found.span
    return LastSegment(
        read.header, read.footer, read.own_records, first_ns, last_ns, read.is_closed, read
    )


def requested_up_to(last: LastSegment | None) -> tuple[RequestedTopic, ...]:
    """
    Return what became of what a flight without a footer had asked for, by its last segment.

    Its header tells what was recorded before; the newest messages are in it.
    """
    if last is None or last.contents is None:
        return ()
    return recounted_requests([last.contents], ())


def are_all_ended(
    segments: Sequence[SegmentFile], metadata: Metadata, last: LastSegment | None = None
) -> bool:
    """
    Tell whether each segment is listed in `metadata.yaml`, and ends as a closed one does.

    The last one is not looked at again if it has been read.
    """
    if metadata.segments != {segment.path.name for segment in segments}:
        return False
    to_look_at = segments if last is None else segments[:-1]
    return (last is None or last.is_closed) and all(map(_ends_with_magic, to_look_at))


def are_left_sealed(
    segments: Sequence[SegmentFile], metadata: Metadata, last: LastSegment
) -> bool:
    """Tell whether recovery has left torn segments as they are: it changes no sealed byte."""
    is_all = metadata.segments == {segment.path.name for segment in segments}
    return is_opening(last.header) and is_all and metadata.says_recovered


def are_listed_ended(segments: Sequence[SegmentFile], metadata: Metadata) -> bool:
    """Tell whether those that `metadata.yaml` lists, which were closed, end as closed ones do."""
    return all(_ends_with_magic(item) for item in segments if item.path.name in metadata.segments)


def _ends_with_magic(segment: SegmentFile) -> bool:
    with suppress(SegmentError), closing(RecordFile(segment.path)) as file:
        return file.ends_with_magic
    return False


class _Ends(RecordFile):
    """A file whose two ends have been read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._head = self._tail = b''
        self._tail_start = self.size
        try:
            self._head = super().read(0, min(self.size, _END_BYTES))
            self._tail_start = max(self.size - _END_BYTES, 0)
            self._tail = super().read(self._tail_start, self.size - self._tail_start)
        except OSError:
            self.close()
            raise

    def read(self, offset: int, length: int) -> bytes:
        if offset >= self._tail_start and length <= self.size - offset:
            start = offset - self._tail_start
            return self._tail[start:start + length]
        if 0 <= offset <= len(self._head) - length:
            return self._head[offset:offset + length]
        return super().read(offset, length)


def _look(file: _Ends) -> LastSegment | None:
    """Read what is wanted; raise `SegmentError` or `RecordError` if anything is wrong."""
    decoder = Decoder(file.path)
    _check_program(file, decoder)
    summary = read_summary(file, OWN_TOPIC_PREFIX)
    own = summary.channels
    wanted = {number: channel for number, channel in own.items() if channel.topic in _WANTED}
    own_chunks = [chunk for chunk in summary.chunks if not own.keys().isdisjoint(chunk.indexes)]
    records: list[Payload] = []
    newest = ''
    for chunk in own_chunks:
        channels = own if chunk is own_chunks[-1] else wanted
        for message in _messages(file, decoder, chunk, channels):
            newest = message.channel.topic
            if newest in _WANTED and (payload := own_record(message)) is not None:
                records.append(payload)
    headers = [record for record in records if isinstance(record, FlightHeader)]
    footer = records[-1] if records else None
    if not headers or not isinstance(footer, FlightFooter) or newest != footer.channel_topic():
        return None
    own_records = [record for record in records if not isinstance(record, FlightHeader)]
    first_ns = min(chunk.start_ns for chunk in summary.chunks)
    last_ns = max(chunk.end_ns for chunk in summary.chunks)
    return LastSegment(headers[-1], footer, own_records, first_ns, last_ns, is_closed=True)


def _check_program(file: _Ends, decoder: Decoder) -> None:
    file.check_magic()
    record = file.record_at(len(layout.MAGIC))
    fields = decoder.fields(record)
    named = fields.string(), fields.string().partition(' ')[0]
    if record.opcode != layout.HEADER or named != (PROFILE, LIBRARY.split()[0]):
        raise SegmentError(file.path, record.offset, 'not a segment of this recorder')


def _messages(
    file: _Ends, decoder: Decoder, chunk: ChunkIndex, channels: Mapping[int, FileChannel]
) -> Iterator[Message]:
    """Yield the messages of some channels in a chunk, in order."""
    places: list[tuple[int, int]] = []
    for number in channels.keys() & chunk.indexes.keys():
        index = file.record_at(chunk.indexes[number])
        fields = decoder.fields(index)
        if index.opcode != layout.MESSAGE_INDEX or fields.u16() != number:
            raise SegmentError(file.path, index.offset, 'not the message index of the channel')
        entries = fields.bytes(fields.u32())
        if len(entries) % layout.MESSAGE_INDEX_ENTRY_LENGTH:
            raise SegmentError(file.path, index.offset, 'the message index is torn')
        offsets = (offset for _, offset in layout.MESSAGE_INDEX_ENTRY.iter_unpack(entries))
        places += ((offset, number) for offset in offsets)
    if not places:
        return
    record = file.record_at(chunk.offset)
    if record.opcode != layout.CHUNK:
        raise SegmentError(file.path, record.offset, 'the summary points elsewhere')
    content = decoder.chunk_records(record)
    for offset, number in sorted(places):
        if offset > len(content) - layout.MESSAGE_PREFIX.size:
            raise SegmentError(file.path, chunk.offset, 'a message index points nowhere')
        begin = layout.MESSAGE_PREFIX.unpack_from(content, offset)
        opcode, length, channel, sequence, log_time_ns, publish_time_ns = begin
        end = offset + layout.RECORD_PREFIX.size + length
        if (opcode, channel) != (layout.MESSAGE, number) or end > len(content):
            raise SegmentError(file.path, chunk.offset, 'a message index points elsewhere')
        data = bytes(content[offset + layout.MESSAGE_PREFIX.size:end])
        yield Message(channels[number], sequence, log_time_ns, publish_time_ns, data)
