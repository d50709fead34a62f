# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Checks one MCAP file of another program: what it promises, as far as it promises anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.reader import Advance
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.checksum import crc32
from fdr_recorder.mcap.decode import FileChannel, Message, WholeChunk
from fdr_recorder.mcap.foreign import ForeignReader
from fdr_recorder.mcap.reader import Part, without_frames
from fdr_recorder.mcap.record_file import RecordPlace
from fdr_recorder.mcap.summary import Summary
from fdr_recorder.topics.names import TopicType
from fdr_recorder.units import NS_PER_S, plural

CHUNK_CRC: Final = 'CRCs of chunks'
MESSAGE_INDEX: Final = 'message indexes against the chunks'
ATTACHMENT_CRC: Final = 'CRCs of attachments'
DATA_CRC: Final = 'the CRC of the data section'
SUMMARY_CRC: Final = 'the CRC of the summary'
CHUNK_INDEX: Final = 'the index of chunks'
STATISTICS: Final = 'counts against the statistics'
"""What was checked."""
NO_CHUNK_CRC: Final = 'the bytes of chunks without a CRC'
NO_MESSAGE_CRC: Final = 'the bytes of messages outside of chunks, which have no CRC'
NO_MESSAGE_INDEX: Final = 'chunks without message index'
NO_ATTACHMENT_CRC: Final = 'the bytes of attachments without a CRC'
NO_SUMMARY: Final = 'files without a summary'
NO_SUMMARY_CRC: Final = 'the bytes of a summary without a CRC'
NO_CHUNK_INDEX: Final = 'chunks: the summary has no index of them'
NO_STATISTICS: Final = 'counts: the summary has no statistics'
"""What cannot be checked."""
UNPROTECTED: Final = (NO_CHUNK_CRC, NO_MESSAGE_CRC)
"""Of these, what keeps changed messages from being seen."""

_OF_DATA: Final = frozenset(
    (
        layout.HEADER,
        layout.MESSAGE,
        layout.CHUNK,
        layout.MESSAGE_INDEX,
        layout.ATTACHMENT,
        layout.METADATA,
        layout.DATA_END,
    )
)
_MOST_SUMMARY_RECORDS: Final = 10_000_000
_MOST_CHANNELS: Final = 1000
"""Of so many the topic is kept at hand."""
_BLOCK_BYTES: Final = 1 << 20
_MOST_FAULTS: Final = 20


@dataclass
class Findings:
    """
    What the files of a recording have, and what is wrong with them.

    Attributes:
        damage: What is wrong, in words.
        tears: Where files end in the middle, by name.
        counts: Messages by topic and type.
        file_counts: Messages by file.
        bytes: Size of the files.
        checked: How often each promise was checked, by what it is about.
        unchecked: How often there is nothing to check, likewise.
        first_ns: Earliest log time.
        last_ns: Latest log time.
        attachments: How many files are attached.
        steps_back: How often a log time is earlier than the one before.
        furthest_ns: By how much at most.

    """

    damage: list[str] = field(default_factory=list)
    tears: dict[str, str] = field(default_factory=dict)
    counts: Counter[TopicType] = field(default_factory=Counter)
    file_counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    first_ns: int = 0
    last_ns: int = 0
    attachments: int = 0
    steps_back: int = 0
    furthest_ns: int = 0
    _latest_ns: int = 0
    _keys: dict[FileChannel, TopicType] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Return the number of all messages."""
        return self.counts.total()

    def damaged(self, text: str) -> None:
        """Take in what is wrong, once."""
        if len(self.damage) < _MOST_FAULTS and text not in self.damage:
            self.damage.append(text)

    def take(self, message: Message) -> None:
        """Take in a message."""
        channel, time_ns = message.channel, message.log_time_ns
        key = self._keys.get(channel)
        if key is None:
            if len(self._keys) >= _MOST_CHANNELS:  # each file describes its channels anew
                self._keys.clear()
            key = self._keys[channel] = TopicType(channel.topic, channel.schema.name)
        if not self.counts:
            self.first_ns = self._latest_ns = self.last_ns = time_ns
        self.counts[key] += 1
        if time_ns < self._latest_ns:
            self.steps_back += 1
            self.furthest_ns = max(self.furthest_ns, self.last_ns - time_ns)
            self.first_ns = min(self.first_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)
        self._latest_ns = time_ns

    @property
    def disorder(self) -> str:
        """Say how far the messages are not in the order of their log times; empty if they are."""
        if not self.steps_back:
            return ''
        return (
            f'the messages are not in the order of their log times: they go back '
            f'{plural(self.steps_back, "time")}, by up to {self.furthest_ns / NS_PER_S:.3f} s'
        )


class McapCheck:
    """Checks one file."""

    def __init__(self, file: ForeignReader, findings: Findings) -> None:
        """Take the file, which was not read yet."""
        self._file = file
        self._findings = findings
        self._spans: dict[int, tuple[int, int]] = {}
        self._counts: Counter[int] = Counter()
        self._attachments = 0
        self._loose = 0
        self._chunk: WholeChunk | None = None
        self._indexed: set[int] = set()

    def run(self, advance: Advance) -> None:
        """Read all of the file; tell `advance` of progress."""
        file, found, done = self._file, self._findings, 0
        try:
            for part in file.parts():
                self._take(part)
                advance(part.end - done)
                done = part.end
        except SegmentError as error:
            file.tear = without_frames(error)
            if not file.size or (error.offset and not file.ends_with_magic):
                found.tears[file.path.name] = str(error)
            else:  # it does not even begin as such a file, or ends as one that was finished
                found.damaged(str(error))
        else:
            self._settle()
        for gap in file.gaps:
            found.damaged(f'{gap.error}; {plural(gap.size, "byte")} cannot be read')
        for fault in file.decoder.faults:
            found.damaged(str(fault))
        if file.tear is None:
            self._check_frame(file.whole_bytes)
            is_checked = self._check_data_crc(file.whole_bytes)
            if self._loose and not is_checked:
                found.unchecked[NO_MESSAGE_CRC] += self._loose
            self._check_summary()
        found.file_counts[file.path.name] = self._counts.total()
        advance(file.size - done)

    def _damaged(self, offset: int, what: str) -> None:
        self._findings.damaged(str(SegmentError(self._file.path, offset, what)))

    def _take(self, part: Part) -> None:
        if isinstance(part, WholeChunk):
            self._settle()
            for message, _ in part.messages:
                self._findings.take(message)
                self._counts[message.channel.id] += 1
            if part.record is None:
                self._loose += len(part.messages)
            else:
                self._begin_chunk(part)
        elif isinstance(part, RecordPlace) and part.opcode == layout.MESSAGE_INDEX:
            self._check_index(part)
        elif isinstance(part, RecordPlace) and part.opcode == layout.HEADER:
            if part.offset != len(layout.MAGIC):
                self._damaged(part.offset, 'a header in the middle of the file')
        elif isinstance(part, RecordPlace) and part.opcode == layout.ATTACHMENT:
            self._settle()
            self._attachments += 1
            self._findings.attachments += 1
            self._check_attachment(part)
        else:
            self._settle()

    # --- chunks --------------------------------------------------------------------------

    def _begin_chunk(self, chunk: WholeChunk) -> None:
        assert chunk.record is not None
        self._chunk, self._indexed = chunk, set()
        fields = self._file.decoder.fields(chunk.record)
        start_ns, end_ns, _, crc = fields.unpack(layout.CHUNK_FIXED)
        self._findings.checked[CHUNK_CRC] += bool(crc)
        self._findings.unchecked[NO_CHUNK_CRC] += not crc
        times = [message.log_time_ns for message, _ in chunk.messages]
        span = min(times), max(times)
        self._spans[chunk.offset] = span
        if (start_ns, end_ns) != span:
            self._damaged(chunk.offset, 'the chunk names other times than its messages have')

    def _check_index(self, place: RecordPlace) -> None:
        """Compare a message index with the chunk before it."""
        chunk, file = self._chunk, self._file
        if chunk is None:
            self._damaged(place.offset, 'a message index without a chunk')
            return
        (number,) = layout.U16.unpack(file.read(place.content, layout.U16.size))
        entries = file.index_at(place.offset)
        said = sorted(zip(entries[::2], entries[1::2], strict=True))
        there = sorted(
            (message.log_time_ns, offset)
            for message, offset in chunk.messages
            if message.channel.id == number
        )
        self._indexed.add(number)
        self._findings.checked[MESSAGE_INDEX] += 1
        if said != there:
            self._damaged(place.offset, 'the message index does not fit the chunk')

    def _settle(self) -> None:
        """Find out whether the chunk before has all of its message indexes."""
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        lacking = {message.channel.id for message, _ in chunk.messages} - self._indexed
        if lacking and self._indexed:
            self._damaged(chunk.offset, f'{plural(len(lacking), "message index")} missing')
        self._findings.unchecked[NO_MESSAGE_INDEX] += not self._indexed

    # --- what every file has -------------------------------------------------------------

    def _check_frame(self, end: int) -> None:
        """Check that the file begins with a header, and that after its data all ends once."""
        file, footer = self._file, self._file.size - layout.ENDING_LENGTH
        start = len(layout.MAGIC)
        header = file.record_at(start)
        if header.opcode != layout.HEADER:
            self._damaged(start, 'the file does not begin with a header')
        else:
            fields = file.decoder.fields(header)
            try:
                fields.string(), fields.string()  # the profile and the program
            except SegmentError as error:
                self._findings.damaged(str(error))
        place = file.place_at(end)
        if place.opcode != layout.DATA_END:
            self._damaged(end, 'no record tells the end of the data')
        elif place.length < layout.U32.size:
            self._damaged(end, 'the record that tells the end of the data is too short')
        for _ in range(_MOST_SUMMARY_RECORDS):
            if place.opcode == layout.FOOTER or place.end > footer:
                break
            place = file.place_at(place.end)
            if place.opcode in _OF_DATA:
                self._damaged(place.offset, 'a record that belongs before the end of the data')
                return
        if (place.offset, place.opcode) != (footer, layout.FOOTER):
            self._damaged(max(footer, 0), 'the file does not end with a footer')

    # --- the rest ------------------------------------------------------------------------

    def _check_attachment(self, place: RecordPlace) -> None:
        file = self._file
        end = place.end - layout.U32.size
        if end < place.content:
            self._damaged(place.offset, 'the attachment is too short')
            return
        (crc,) = layout.U32.unpack(file.read(end, layout.U32.size))
        if not crc:
            self._findings.unchecked[NO_ATTACHMENT_CRC] += 1
        elif crc32(self._blocks(place.content, end)) != crc:
            self._damaged(place.offset, 'the CRC of the attachment is wrong')
        else:
            self._findings.checked[ATTACHMENT_CRC] += 1

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        for offset in range(start, end, _BLOCK_BYTES):
            yield self._file.read(offset, min(_BLOCK_BYTES, end - offset))

    def _check_data_crc(self, offset: int) -> bool:
        """Check the CRC of the data section up to an offset; return whether it has one."""
        record = self._file.record_at(offset)
        if record.opcode != layout.DATA_END or len(record.content) < layout.U32.size:
            return False
        (crc,) = layout.U32.unpack_from(record.content)
        if crc and crc32(self._blocks(0, offset)) != crc:
            self._damaged(offset, 'the CRC of the data section is wrong')
        self._findings.checked[DATA_CRC] += bool(crc)
        return bool(crc)

    def _check_summary(self) -> None:
        file, found = self._file, self._findings
        try:
            summary = file.take_summary()
        except SegmentError as error:
            if file.has_summary:
                found.damaged(str(error))
            else:
                found.unchecked[NO_SUMMARY] += 1
            return
        crc = file.read(file.size - len(layout.MAGIC) - layout.U32.size, layout.U32.size)
        found.checked[SUMMARY_CRC] += any(crc)
        found.unchecked[NO_SUMMARY_CRC] += not any(crc)
        self._check_chunk_indexes(summary)
        self._check_statistics(summary)

    def _check_chunk_indexes(self, summary: Summary) -> None:
        said = {chunk.offset: (chunk.start_ns, chunk.end_ns) for chunk in summary.chunks}
        if not said and self._spans:
            self._findings.unchecked[NO_CHUNK_INDEX] += 1
            return
        for offset, span in self._spans.items():
            if said.get(offset) != span:
                what = 'other times for' if offset in said else 'no entry for'
                self._damaged(summary.start, f'the summary has {what} the chunk at byte {offset}')
        self._findings.checked[CHUNK_INDEX] += len(self._spans)

    def _check_statistics(self, summary: Summary) -> None:
        said = summary.statistics
        if said is None:
            self._findings.unchecked[NO_STATISTICS] += 1
            return
        self._findings.checked[STATISTICS] += 1
        counts = {number: count for number, count in summary.counts.items() if count}
        for what, told, there in (
            ('message', said.records, self._counts.total()),
            ('attachment', said.attachments, self._attachments),
        ):
            if told != there:
                text = f'the statistics count {plural(told, what)}; there are {there:,}'
                self._damaged(summary.start, text)
        if summary.counts and counts != self._counts:
            for number in sorted(counts.keys() | self._counts.keys()):
                channel = self._file.channels.get(number)
                topic = channel.topic if channel is not None else f'channel {number}'
                told, there = counts.get(number, 0), self._counts[number]
                if told != there:
                    text = f'the statistics count {plural(told, "message")} of {topic}'
                    self._damaged(summary.start, f'{text}; there are {there:,}')


def describe_checks(findings: Findings) -> tuple[list[str], list[str]]:
    """Say what was checked, and what cannot be checked."""
    checked = [text for text, count in findings.checked.items() if count]
    unchecked = [
        f'{text} ({count:,})' if count > 1 else text
        for text, count in findings.unchecked.items()
        if count
    ]
    return checked, unchecked
