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
What a flight that is being recorded has told so far: its losses and its alerts.

The newest segment tells as it grows. Those before it are read by their summaries, the newest
first, a few at a time; what dropped segments told is in the records of their drops.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
import time

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import SegmentFile
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.reader import own_record
from fdr_recorder.mcap.decode import Message
from fdr_recorder.mcap.growing import GrowingSegment
from fdr_recorder.mcap.summary import read_summary
from fdr_recorder.record.dropped import DroppedAccount
from fdr_recorder.record.kinds import SegmentRollover
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload


class LiveAccount:
    """Sums of what is told. Used by one thread."""

    def __init__(self, past: list[SegmentFile]) -> None:
        """Take the segments that are there already but for the newest, oldest first."""
        self._told = DroppedAccount()
        self._counted: set[int] = set()
        self._rollovers: dict[int, SegmentRollover] = {}
        self._past = deque(past)
        self._sum: DroppedAccount | None = None

    @property
    def unread_segments(self) -> int:
        """How many segments are not read yet: until then there may be more than is told."""
        return len(self._past)

    def count(self, index: int) -> None:
        """Note that a segment is read: the record of its drop will tell nothing new."""
        self._counted.add(index)

    def add(self, message: Message) -> Payload | None:
        """Take in a record of the recorder itself; return it decoded, if that is possible."""
        try:
            payload = own_record(message)
        except RecordError:
            return None
        if isinstance(payload, SegmentRollover):
            if payload.segment_index not in self._counted:
                self._rollovers[payload.segment_index] = payload
                self._sum = None
        elif payload is not None:
            self._told.add(message.log_time_ns, payload)
            self._sum = None
        return payload

    def read_past(self, seconds: float) -> None:
        """Read segments from before for about so long, at least one."""
        end = time.monotonic() + seconds
        while self._past:
            segment = self._past.pop()
            with suppress(FileNotFoundError, SegmentError):  # dropped: another one tells
                self._read(segment)
            if time.monotonic() >= end:
                break
        if not self._past:
            self._rollovers = {
                index: payload
                for index, payload in self._rollovers.items()
                if index not in self._counted
            }

    def _read(self, segment: SegmentFile) -> None:
        with open_segment(segment.path) as reader:
            try:
                summary = read_summary(reader, OWN_TOPIC_PREFIX)
                reader.channels.update(summary.channels)
                offsets = [
                    chunk.offset
                    for chunk in summary.chunks
                    if not summary.channels.keys().isdisjoint(chunk.indexes)
                ]
                messages = [m for at in offsets for m, _ in reader.chunk_at(at).messages]
            except SegmentError:
                messages = _own_in_torn(segment)
        self.count(segment.index)
        for message in messages:
            if message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                self.add(message)

    def sum(self) -> DroppedAccount:
        """Return all that is told, dropped segments included."""
        if self._sum is None:
            self._sum = DroppedAccount()
            self._sum.add_account(self._told)
            gone = DroppedAccount.of_flight(self._rollovers.values(), self._counted)
            self._sum.add_account(gone)
        return self._sum


def _own_in_torn(segment: SegmentFile) -> list[Message]:
    """Return the recorder's own records of a segment that has no summary."""
    messages = []
    with GrowingSegment(segment.path) as reader:
        for chunk in reader.chunks_so_far():
            topics = (reader.channels[number].topic for number in chunk.indexes)
            if any(topic.startswith(OWN_TOPIC_PREFIX) for topic in topics):
                messages += [message for message, _ in reader.chunk_at(chunk.offset).messages]
    return messages
