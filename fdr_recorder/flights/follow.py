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
Follows a flight while it is being recorded: from chunk to chunk, and into the next segment.

It reads what is new and nothing twice, takes no lock, and holds one file open: a segment that is
dropped meanwhile stays readable to its end. The recorder cannot notice it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
import errno
from itertools import islice
from operator import attrgetter
from pathlib import Path
import time
from typing import Final, NamedTuple

from fdr_recorder.errors import NoFlightError, SegmentError
from fdr_recorder.flights.directory import flights_in, segment_files, SegmentFile
from fdr_recorder.flights.in_use import is_being_recorded
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.growing import GrowingSegment
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.flight_root import root_holder, RootHolder

_FOOTER_TOPIC: Final = FlightFooter.channel_topic()
_HEADER_TOPIC: Final = FlightHeader.channel_topic()
_TRIES: Final = 5
_GONE: Final = (errno.ENOENT, errno.ENOTDIR)
_CLOCK_TICK_NS: Final = 100_000_000
"""So exact are the times of directories at least: a younger one may change without a sign."""


class NewChunk(NamedTuple):
    """A chunk that is new, the number of the segment that it is in, and the segment."""

    number: int
    segment: GrowingSegment
    chunk: IndexedChunk

    def channels(self) -> list[FileChannel]:
        """Return the channels that have messages in it; without indexes all that may."""
        known = self.segment.channels
        return [known[number] for number in self.chunk.indexes or known]

    def messages(self) -> list[Message]:
        """
        Return its messages in the order of their log times, without repeats of earlier ones.

        Raise `SegmentError` if it is not whole, or not any more.
        """
        whole = self.segment.chunk_at(self.chunk.offset).messages
        messages = sorted((message for message, _ in whole), key=attrgetter('log_time_ns'))
        if not self.number:
            return messages
        begun_ns = {m.log_time_ns for m in messages if m.channel.topic == _HEADER_TOPIC}
        return [
            message
            for message in messages
            if message.log_time_ns not in begun_ns or message.channel.topic == _HEADER_TOPIC
        ]


class FlightFollower:
    """
    A place in a flight from which one goes on. Used by one thread.

    Attributes:
        flight: The flight's directory.
        index: Number of the segment that is followed.
        missed: Segments that were dropped before they could be read.
        has_footer: Whether the flight's footer has been passed: it was closed, or recovered.

    """

    def __init__(self, flight: Path, *, from_start: bool = False, earlier: int = 0) -> None:
        """
        Begin with the newest segment, so many earlier, or with the oldest that is there.

        Raises:
            NoFlightError: There is no segment.
            OSError: It cannot be read.

        """
        self.flight = flight
        self.missed = 0
        self.has_footer = False
        self._files: list[SegmentFile] = []
        self._listed_ns = -1
        for is_last in (*[False] * _TRIES, True):
            segments = segment_files(flight)
            if not segments:
                raise NoFlightError(flight, 'there is no flight: it has no segment_*.mcap')
            begin = segments[0 if from_start else max(len(segments) - 1 - earlier, 0)]
            try:
                self.segment = GrowingSegment(begin.path)
            except FileNotFoundError:  # it was dropped just now
                if is_last:
                    raise
                continue
            break
        self.index = begin.index

    def close(self) -> None:
        """Close the file. Idempotent."""
        self.segment.close()

    def __enter__(self) -> FlightFollower:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def new_chunks(self) -> Iterator[NewChunk]:
        """Yield what is new since the last call; never wait. Raise `OSError` as reading does."""
        while True:
            following = self._following()
            # looked at before the last read: what is written in the next is behind all of this
            is_left = following is not None and _has_messages(following)
            yield from self._new_in_segment()
            if following is None or not (self.segment.is_closed or is_left):
                return
            if not self.segment.is_closed:  # given up by the recorder: it does not grow any more
                yield from self._new_in_segment()
            self._go_on(following)

    def chunks_so_far(self) -> list[NewChunk]:
        """Return what is new and there already, the last chunk included; as `new_chunks`."""
        return [*self.new_chunks(), *self.new_chunks()]

    def _new_in_segment(self) -> Iterator[NewChunk]:
        for chunk in self.segment.new_chunks():
            for number in chunk.indexes:
                if self.segment.channels[number].topic == _FOOTER_TOPIC:
                    self.has_footer = True
            yield NewChunk(self.index, self.segment, chunk)

    def _following(self) -> SegmentFile | None:
        """Return the next segment, if it is there. Lists the files only if some came or went."""
        try:
            changed_ns = self.flight.stat().st_mtime_ns
            if changed_ns != self._listed_ns:
                self._files = segment_files(self.flight)
                is_old = time.time_ns() - changed_ns > _CLOCK_TICK_NS
                self._listed_ns = changed_ns if is_old else -1
        except OSError as error:
            if error.errno in _GONE:  # the flight was removed, or has another name now
                return None
            raise
        return next((file for file in self._files if file.index > self.index), None)

    def _go_on(self, following: SegmentFile) -> None:
        with suppress(FileNotFoundError):  # then it was dropped: the one behind it is next
            segment = GrowingSegment(following.path)
            self.segment.close()
            self.missed += following.index - self.index - 1
            self.segment, self.index = segment, following.index
            return
        self._listed_ns = -1


def _has_messages(segment: SegmentFile) -> bool:
    """
    Tell whether a segment has more than its beginning, be it dropped by now.

    The recorder writes the beginning, one chunk, before it writes the end of the segment before.
    """
    try:
        with GrowingSegment(segment.path) as growing:
            return len(growing.chunks_so_far()) > 1
    except FileNotFoundError:
        return True


def last_messages(
    follower: FlightFollower, wants: Callable[[FileChannel], bool], count: int
) -> list[Message]:
    """
    Return the last messages of what is there already, oldest first; the follower goes on behind.

    Reads as little as it can, from the end. Memory: one chunk besides the messages.
    """
    found: list[Message] = []

    def search(chunks: list[NewChunk]) -> None:
        while chunks and len(found) < count:
            new = chunks.pop()
            if not any(map(wants, new.channels())):
                continue
            with suppress(SegmentError):
                wanted = [message for message in new.messages() if wants(message.channel)]
                found.extend(islice(reversed(wanted), count - len(found)))

    first = follower.index
    chunks = follower.chunks_so_far()
    if chunks and chunks[-1].number != first:  # the recorder has gone on meanwhile
        first = chunks[-1].number
        chunks = [chunk for chunk in chunks if chunk.number == first]
    search(chunks)
    for segment in reversed(segment_files(follower.flight)):
        if len(found) >= count:
            break
        if segment.index >= first:
            continue
        with suppress(FileNotFoundError, SegmentError):
            reader = GrowingSegment(segment.path)
            try:
                those = reader.chunks_so_far()
                search([NewChunk(segment.index, reader, chunk) for chunk in those])
            finally:
                reader.close()
    found.reverse()
    return sorted(found, key=attrgetter('log_time_ns'))


def is_recorded(flight: Path, holder: RootHolder | None) -> bool:
    """Tell whether a flight is being written by the owner of its root."""
    started_ns = 0
    if holder is not None and not holder.locks_flights:  # an older recorder: by its age
        with suppress(OSError):
            started_ns = flight.stat().st_ctime_ns
    return is_being_recorded(flight, holder, started_ns)


def by_number(root: Path) -> list[Path]:
    """List the flights of a root, the newest first, reading little of each."""
    numbers = {}
    for flight in flights_in(root):
        counters = read_metadata(flight).counters
        numbers[flight] = (counters.get(bag_metadata.FLIGHT_NUMBER_KEY, 0), flight.name)
    return sorted(numbers, key=lambda flight: numbers[flight], reverse=True)


def recorded_flight(root: Path) -> Path | None:
    """Return the flight of a root that is being recorded; None if none is."""
    holder = root_holder(root)
    if holder is None:
        return None
    return next((flight for flight in by_number(root) if is_recorded(flight, holder)), None)
