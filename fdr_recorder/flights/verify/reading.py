# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads all of a flight for `verify`: what the files contain, and what they say of losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import SegmentFile
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.reader import own_record
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.flights.verify.result import Loss, Verification, when
from fdr_recorder.mcap.decode import LOST_TOPIC_PREFIX, Message, WholeChunk
from fdr_recorder.mcap.gaps import Gap
from fdr_recorder.mcap.reader import SegmentReader, without_frames
from fdr_recorder.record.channel import (
    LOSS_DETECTION_KEY,
    NO_DETECTION,
    PUBLISHER_KEY,
    QOS_KEY,
)
from fdr_recorder.record.dropped import loss_of, THROTTLED
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, SegmentRollover
from fdr_recorder.record.numbering import HISTORY_S, NOTHING_EXPECTED, Numbering
from fdr_recorder.record.offered_qos import offers_latched
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.record.record_parts import DroppedLoss
from fdr_recorder.units import plural

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.flights.verify.seal_reading import SealReading
    from fdr_recorder.flights.verify.seals import FlightSeals

_SEQUENCE_RANGE: Final = 1 << 32
_MAX_DAMAGE: Final = 100
"""A broken flight is broken after so many findings; a list without end helps nobody."""

_DISCARDED: Final = ('write_error', 'invalid')
_MAY_BE_HEADER: Final = (FlightHeader.channel_topic(), LOST_TOPIC_PREFIX)


@dataclass
class Producer:
    """
    What the files contain of one producer.

    `type` is that of its messages, `loss_detection` that of its channel; `lost` is what records of
    losses say is missing, `before_match` what they say was sent before it was heard. `lost` has
    what was left out on purpose, too.
    """

    type: str = ''
    loss_detection: str = ''
    written: int = 0
    repeated: int = 0
    lost: int = 0
    before_match: int = 0
    numbering: Numbering = field(default_factory=Numbering)
    heard_ns: int | None = None
    """Log time of its first message."""
    gaps_ns: tuple[int, int] = (0, 0)
    """Log times of the message before the first gap in its numbers and of that behind the last."""
    _latest_ns: int = 0

    @property
    def missing(self) -> int:
        """Count the sequence numbers that are missing."""
        self.numbering.give_up()
        return self.numbering.missing

    def skip(self) -> None:
        """Expect any number next: segments are not there; their records are accounted for."""
        self.numbering.give_up()
        self.numbering.next_number = NOTHING_EXPECTED

    def follow(self, message: Message) -> None:
        """Follow sequence numbers, of which the file has the low 32 bits, if they say anything."""
        metadata, numbering = message.channel.metadata, self.numbering
        if not metadata.get(PUBLISHER_KEY) or metadata.get(LOSS_DETECTION_KEY) == NO_DETECTION:
            return
        if self.heard_ns is None:
            self.heard_ns = message.log_time_ns
        number, expected = message.sequence, numbering.next_number
        if expected != NOTHING_EXPECTED:
            step = (number - expected) % _SEQUENCE_RANGE
            number = expected + step - (_SEQUENCE_RANGE if step > _SEQUENCE_RANGE // 2 else 0)
            if number > expected:
                self.gaps_ns = self.gaps_ns[0] or self._latest_ns, message.log_time_ns
        self._latest_ns = message.log_time_ns
        is_history = (
            offers_latched(metadata.get(QOS_KEY, ''))
            and message.publish_time_ns < self.heard_ns
            and message.log_time_ns < self.heard_ns + HISTORY_S * 1e9
        )
        numbering.follow(number, message.publish_time_ns, is_history=is_history)


class FlightReading:
    """
    What is known of a flight while it is read, segment by segment.

    Producers are by topic and gid, `first_ns` is the log time of the first message that is here.
    `tears` has, by file, where the last segment ends in the middle, and others that are not named
    by `metadata.yaml`: they may be growing. That is read first: what it names has been closed.
    `seals` are None where they are not looked at.
    """

    def __init__(self, result: Verification, seals: FlightSeals | None = None) -> None:
        self.result = result
        self.seals = seals
        self.metadata = read_metadata(result.path)
        self.producers: dict[tuple[str, str], Producer] = {}
        self.last: Message | None = None
        self.first_ns = 0
        self.rollovers: list[SegmentRollover] = []
        self.write_errors = 0
        self.started_ns = 0
        self.header: FlightHeader | None = None
        self._begun_ns = 0
        self._index = -1
        self._disorder: list[str] = []
        self.tears: dict[str, str] = {}
        self.flight_id = ''

    def damaged(self, text: str) -> None:
        """Take in what is wrong, in words."""
        if len(self.result.damage) < _MAX_DAMAGE:
            self.result.damage.append(text)

    def read(self, segment: SegmentFile, *, is_last: bool) -> None:
        """Read one segment whole."""
        if 0 <= self._index < segment.index - 1:
            for producer in self.producers.values():
                producer.skip()
        self._index = segment.index
        header_time_ns = -1
        count = 0
        with open_segment(segment.path, started_ns=self.started_ns) as reader:
            seals = None
            if self.seals is not None:
                seals = self.seals.reading(reader, segment.index, self.flight_id)
            for message in _messages(reader, seals):
                if not count:
                    if message.channel.topic.startswith(_MAY_BE_HEADER):
                        header_time_ns = message.log_time_ns
                    if not reader.gaps:  # else it may be lost
                        self._check_header(segment, message)
                count += 1
                self._take(message, header_time_ns)
            if self.seals is not None and seals is not None:
                self.seals.add(seals.finish())
        self.result.records += count
        for gap in reader.gaps:
            self._note_gap(gap, segment.path.name)
        if reader.tear is not None:
            if segment.path.name in self.metadata.segments and not is_last:
                self.damaged(str(reader.tear))
            else:
                self.tears[segment.path.name] = str(reader.tear)
        if reader.is_closed:
            self._check_summary(segment, count)

    def _note_gap(self, gap: Gap, name: str) -> None:
        """Report bytes that cannot be read; a loss, if recovery has dealt with them."""
        if gap.error is None:
            times = gap.first_ns, gap.last_ns
            loss = Loss('unreadable', 0, '', '', *times, file_name=name, bytes=gap.size)
            self.result.losses.append(loss)
        else:
            between = when(gap.first_ns, gap.last_ns)
            self.damaged(f'{gap.error}; {plural(gap.size, "byte")} cannot be read{between}')

    def _check_header(self, segment: SegmentFile, message: Message) -> None:
        payload = self._decode(message)
        if not isinstance(payload, FlightHeader):
            self.damaged(f'{segment.path}: does not begin with a flight header')
            return
        self.flight_id = self.flight_id or payload.flight_id  # the directory may be renamed
        if payload.flight_id != self.flight_id:
            self.damaged(f'{segment.path}: belongs to flight {payload.flight_id[:80]!r}')
        elif self.header is None:
            self.header = payload
            self.started_ns = payload.flight_started_at_ns or message.log_time_ns
        if payload.log_time_offset_ns:  # else by a clock
            if message.log_time_ns < self._begun_ns:  # that may be set back
                text = f'{segment.path}: was begun before the segment in front of it'
                self._disorder.append(text)
            self._begun_ns = message.log_time_ns

    def finish(self) -> None:
        """Take in what only the whole flight can tell, once all segments are read."""
        footer = self.result.footer
        if footer is not None and footer.clean_shutdown:  # recovery does not know when one began
            for text in self._disorder:
                self.damaged(text)

    def _check_summary(self, segment: SegmentFile, count: int) -> None:
        try:
            contents = read_contents(segment.path, segment.index)
        except SegmentError as error:
            self.damaged(str(error))
            contents = None
        if contents is None or not contents.is_closed:
            self.damaged(f'{segment.path}: the summary cannot be used')
        elif (said := contents.found.records) != count:
            text = f'{plural(count, "record")}, but its summary counts {said:,}'
            self.damaged(f'{segment.path}: {text}')

    def _take(self, message: Message, header_time_ns: int) -> None:
        """Account for one message."""
        channel = message.channel
        key = (channel.topic, channel.metadata.get(PUBLISHER_KEY, ''))
        producer = self.producers.get(key) or self.producers.setdefault(key, Producer())
        producer.written += 1
        producer.type = channel.schema.name
        producer.loss_detection = channel.metadata.get(LOSS_DETECTION_KEY, '')
        self.last = message
        self.first_ns = self.first_ns or message.log_time_ns
        if channel.topic.startswith(OWN_TOPIC_PREFIX):
            self._note(self._decode(message))
        elif message.log_time_ns == header_time_ns:
            producer.repeated += 1
        else:
            producer.follow(message)

    def _decode(self, message: Message) -> Payload | None:
        try:
            return own_record(message)
        except RecordError as error:
            self.damaged(str(error))
            return None

    def _note(self, payload: Payload | None) -> None:
        """Take in what the recording says of itself."""
        if isinstance(payload, FlightFooter):
            self.result.footer = payload
        elif isinstance(payload, SegmentRollover):
            self.rollovers.append(payload)
        elif payload is not None and (loss := loss_of(payload)) is not None:
            self.take_loss(loss)

    def take_loss(self, told: DroppedLoss, *, explains: bool = True) -> None:
        """Take in a loss; it may be one that `explains` numbers missing in what is here."""
        key = told.topic, told.publisher
        if told.cause in _DISCARDED:
            self.write_errors += told.records
        elif told.cause == 'before_match':
            self.producers.setdefault(key, Producer()).before_match += told.records
        elif explains:
            self.producers.setdefault(key, Producer()).lost += told.records
        if told.cause == THROTTLED:
            left_out = self.result.left_out
            left_out[told.topic] = left_out.get(told.topic, 0) + told.records
        elif told.records:  # else all records have waited for the disk
            times = told.first_ns, told.last_ns
            self.result.losses.append(Loss(told.cause, told.records, *key, *times))


def _messages(reader: SegmentReader, seals: SealReading | None) -> Iterator[Message]:
    """Yield the messages of a segment; its seals are looked at in the same pass."""
    if seals is None:
        yield from reader.messages()
        return
    try:
        for part in reader.parts():
            seals.take(part)
            if isinstance(part, WholeChunk):
                for message, _ in part.messages:
                    yield message
    except SegmentError as error:
        reader.tear = without_frames(error)
