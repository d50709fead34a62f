# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages of a flight, by topic and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.merge import merged
from fdr_recorder.flights.reader import Advance, read_chunks, read_segments
from fdr_recorder.flights.recording import Kind, recording_at
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.flights.utc import UtcTimes
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.channel import PUBLISHER_KEY, QOS_KEY
from fdr_recorder.record.offered_qos import offers_latched
from fdr_recorder.topics.names import compile_pattern


@dataclass
class Query:
    """
    Messages of a flight, by topic, type and time.

    Attributes:
        flight: Its directory.
        topics: Names, or patterns as in the recorder's option `topics`; all topics if there are
            none.
        start_ns: Log time (system clock) of the first; None for from the beginning.
        end_ns: Log time behind the last; None for to the end.
        with_latched: Begin with the last message of each latched topic from before the start; its
            log time is the start then, as for those that the recorder repeats in each segment.
        utc: Yield messages with their log time in true UTC, by these; None for log times as they
            are. `start_ns` and `end_ns` are log times all the same.
        types: Full names of types; all types if there are none. A topic may have several.
        all_topics: The topics that the flight has, once `messages` has come to an end.
        damage: What could not be read, in words, once it has.

    """

    flight: Path
    topics: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    with_latched: bool = False
    utc: UtcTimes | None = None
    types: tuple[str, ...] = ()
    all_topics: set[str] = field(default_factory=set)
    damage: list[str] = field(default_factory=list)
    _latched: dict[tuple[str, str, int], Message] = field(default_factory=dict)
    _wanted: dict[FileChannel, bool] = field(default_factory=dict)
    _segment: Path | None = None
    _is_begun: bool = False

    def __post_init__(self) -> None:
        """Prepare the patterns."""
        self._patterns = [compile_pattern(pattern) for pattern in self.topics]

    def again(self) -> Query:
        """Return the same query, which has not read anything."""
        return Query(
            self.flight,
            self.topics,
            self.start_ns,
            self.end_ns,
            self.with_latched,
            self.utc,
            self.types,
        )

    def messages(self) -> Iterator[Message]:
        """
        Yield them one by one, those of each chunk in the order of their log times.

        Chunks overlap by as long as records have waited in the rings; but each producer's own
        messages are always in order. Of other recordings chunks may overlap in any way, and their
        messages are merged. Otherwise as `batches`.
        """
        if recording_at(self.flight).kind is not Kind.FLIGHT:
            yield from merged(self.batches())
            return
        for batch in self.batches():
            yield from sorted(batch, key=attrgetter('log_time_ns'))

    def _dated(self, messages: Iterable[Message]) -> list[Message]:
        """Return messages with the times that are asked for."""
        if self.utc is None:
            return list(messages)
        dated = []
        for message in messages:
            utc_ns = max(self.utc.at(message.log_time_ns), 0)
            is_own = message.publish_time_ns == message.log_time_ns  # by the recorder's clock, too
            published_ns = utc_ns if is_own else message.publish_time_ns
            dated.append(message._replace(log_time_ns=utc_ns, publish_time_ns=published_ns))
        return dated

    def batches(self, advance: Advance = lambda _bytes: None) -> Iterator[list[Message]]:
        """
        Yield them as they lie in the files, those of one chunk at a time.

        Chunks that have none of them are not read; `advance` is told of progress. Raise `OSError`
        if a file cannot be read.
        """
        for chunk_messages in self._chunks(advance):
            wanted = list(filter(self._wants, chunk_messages))
            if wanted and self._latched:
                assert self.start_ns is not None
                latched, self._latched = self._latched.values(), {}
                self._is_begun = True
                yield self._dated(m._replace(log_time_ns=self.start_ns) for m in latched)
            if wanted:
                yield self._dated(wanted)

    def wants_topic(self, name: str) -> bool:
        """Tell whether a topic is among those that are wanted."""
        return not self.topics or any(pattern.fullmatch(name) for pattern in self._patterns)

    def _wants_channel(self, channel: FileChannel) -> bool:
        is_type = not self.types or channel.schema.name in self.types
        return is_type and self.wants_topic(channel.topic)

    def _is_wanted(self, channel: FileChannel) -> bool:
        """Tell the same as `_wants_channel`, which is too slow for every message."""
        is_wanted = self._wanted.get(channel)
        if is_wanted is None:
            is_wanted = self._wanted[channel] = self._wants_channel(channel)
        return is_wanted

    def why_nothing(self) -> str:
        """Say why there was no message: the predicate of a sentence about the flight."""
        if not any(map(self.wants_topic, self.all_topics)):
            topics = ', '.join(sorted(self.all_topics))
            return f'has none of the topics that are asked for; it has {topics}'
        what = f'these topics{" and types" if self.types else ""}'
        return f'has no message of {what} in this time; `fdr info` says what it has'

    def _wants(self, message: Message) -> bool:
        is_before = self.start_ns is not None and message.log_time_ns < self.start_ns
        is_behind = self.end_ns is not None and message.log_time_ns >= self.end_ns
        channel = message.channel
        if is_behind or not self._is_wanted(channel):
            return False
        if is_before and self.with_latched and not self._is_begun and _is_latched(channel):
            self._latched[self._latched_key(channel)] = message
        return not is_before

    def _latched_key(self, channel: FileChannel) -> tuple[str, str, int]:
        """
        Return by what a producer is known; forget others of the topic that cannot be told apart.

        Those without a gid are known within one segment only, which repeats what they hold.
        """
        gid = channel.metadata.get(PUBLISHER_KEY, '')
        if gid:
            return channel.topic, gid, 0
        segment = str(self._segment)
        for key in list(self._latched):
            if key[0] == channel.topic and key[2] and key[1] != segment:
                del self._latched[key]
        return channel.topic, segment, channel.id

    def _chunks(self, advance: Advance) -> Iterator[Iterator[Message]]:
        """Yield the messages of each chunk that has wanted ones, and maybe others."""
        for reader in read_segments(self.flight, self.damage):
            self._segment = reader.path
            self._wanted.clear()  # each segment has its own channels
            for chunk in read_chunks(reader, advance):
                if isinstance(chunk, IndexedChunk):
                    if not self._may_be_in(chunk, reader):
                        continue
                    try:
                        chunk = reader.chunk_at(chunk.offset)
                    except SegmentError as error:
                        self.damage.append(str(error))
                        continue
                yield (message for message, _ in chunk.messages)
            self.all_topics |= {channel.topic for channel in reader.channels.values()}

    def is_in(self, reader: RecordingFile) -> bool:
        """Tell whether a file may have wanted messages; by its indexes, where it has any."""
        self._wanted.clear()
        is_there = False
        for chunk in reader.chunks():
            if isinstance(chunk, IndexedChunk):
                is_there = self._may_be_in(chunk, reader)
            else:
                is_there = any(self._wants(message) for message, _ in chunk.messages)
            if is_there:
                break
        self.all_topics |= {channel.topic for channel in reader.channels.values()}
        return is_there

    def _may_be_in(self, chunk: IndexedChunk, reader: RecordingFile) -> bool:
        """Tell whether a chunk may have messages that are wanted."""
        if self.end_ns is not None and chunk.start_ns >= self.end_ns:
            return False
        channels = [reader.channels[number] for number in chunk.indexes]
        is_before = self.start_ns is not None and chunk.end_ns < self.start_ns
        return any(
            self._wants_channel(channel)
            and (not is_before or (self.with_latched and _is_latched(channel)))
            for channel in channels
        )


def _is_latched(channel: FileChannel) -> bool:
    """Tell whether a topic is latched (transient local)."""
    return offers_latched(channel.metadata.get(QOS_KEY, ''))
