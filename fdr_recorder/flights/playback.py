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
The messages of a recording in the order in which they are to be played, read ahead of their time.

Chunks overlap by as long as records have waited in the rings, so messages are sorted within a
window. What the recorder has written again at the beginning of a segment is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from pathlib import Path
import threading
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import read_segments
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.record.channel import PUBLISHER_KEY, QOS_KEY
from fdr_recorder.record.offered_qos import offers_latched
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.topics.names import TopicType
from fdr_recorder.units import NS_PER_S

_WINDOW_NS: Final = NS_PER_S
"""Records wait no longer in the rings, as a rule."""
_AHEAD_BYTES: Final = 64 << 20
_AHEAD_MESSAGES: Final = 20_000
_MESSAGE_BYTES: Final = 500
"""What a message takes besides its data."""


class Timed(NamedTuple):
    """A message, and when it is to be played (nanoseconds, on the recording's own time)."""

    time_ns: int
    message: Message


def is_latched(channel: FileChannel) -> bool:
    """Tell whether all publishers of a channel's topic are latched."""
    return offers_latched(channel.metadata.get(QOS_KEY, ''))


def topics_in(recording: Path, query: Query) -> dict[TopicType, list[FileChannel]]:
    """
    Return the channels of each topic and type that a query wants; the recorder's own left out.

    Reads the summaries, and files without one from front to back. Raise `OSError` as reading
    does.
    """
    found: dict[TopicType, dict[str, FileChannel]] = {}
    for reader in read_segments(recording, []):
        try:
            channels = [*reader.summary().channels.values()]
        except SegmentError:
            for _ in reader.chunks():
                pass
            channels = [*reader.channels.values()]
        for channel in channels:
            is_type = not query.types or channel.schema.name in query.types
            is_own = channel.topic.startswith(OWN_TOPIC_PREFIX)
            if is_type and not is_own and query.wants_topic(channel.topic):
                of_topic = found.setdefault(TopicType(channel.topic, channel.schema.name), {})
                of_topic.setdefault(channel.metadata.get(PUBLISHER_KEY, ''), channel)
    return {key: [*of_topic.values()] for key, of_topic in found.items()}


def in_order(query: Query, *, by_publish_time: bool = False) -> Iterator[Timed]:
    """Yield what a query finds in the order of time; the recorder's own records are left out."""

    def time_of(message: Message) -> int:
        if by_publish_time and message.publish_time_ns and not is_latched(message.channel):
            return message.publish_time_ns
        return message.log_time_ns

    heap: list[tuple[int, int, Message]] = []
    waiting = number = newest_ns = 0
    last: dict[tuple[str, str], tuple[int, int]] = {}
    latched: dict[FileChannel, bool] = {}
    for batch in query.batches():
        for message in batch:
            channel = message.channel
            if channel.topic.startswith(OWN_TOPIC_PREFIX):
                continue
            if channel not in latched:
                latched[channel] = is_latched(channel)
            if latched[channel]:
                key = channel.topic, channel.metadata.get(PUBLISHER_KEY, '')
                identity = message.publish_time_ns, message.sequence
                if last.get(key) == identity:  # repeated at the beginning of a segment
                    continue
                last[key] = identity
            time_ns = time_of(message)
            number += 1
            newest_ns = max(newest_ns, time_ns)
            waiting += len(message.data) + _MESSAGE_BYTES
            heappush(heap, (time_ns, number, message))
        while heap and (heap[0][0] <= newest_ns - _WINDOW_NS or waiting > _AHEAD_BYTES):
            time_ns, _, message = heappop(heap)
            waiting -= len(message.data) + _MESSAGE_BYTES
            yield Timed(time_ns, message)
    while heap:
        time_ns, _, message = heappop(heap)
        yield Timed(time_ns, message)


class ReadAhead:
    """
    Reads messages ahead in a thread of its own; bounded memory.

    Who takes them waits only if the disk is slower than the recording.
    """

    def __init__(self, messages: Callable[[], Iterator[Timed]]) -> None:
        """Begin to read; `close` ends it."""
        self._messages = messages
        self._ready: deque[Timed] = deque()
        self._bytes = 0
        self._is_over = self._is_closed = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name='fdr_ahead', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End reading. Idempotent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def fill(self, seconds: float) -> None:
        """Wait until there is no room or nothing more to read, so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._is_full(), seconds)

    def next(self) -> Timed | None:
        """Return the next message, None behind the last one; raise what reading has raised."""
        with self._changed:
            while not self._ready and not self._is_over:
                self._changed.wait()
            if not self._ready:
                if self._error is not None:
                    raise self._error
                return None
            timed = self._ready.popleft()
            was_full = self._is_full()
            self._bytes -= len(timed.message.data)
            if was_full or not self._ready:
                self._changed.notify_all()
            return timed

    def _is_full(self) -> bool:
        return self._bytes >= _AHEAD_BYTES or len(self._ready) >= _AHEAD_MESSAGES

    def _read(self) -> None:
        error: Exception | None = None
        try:
            for timed in self._messages():
                with self._changed:
                    while self._is_full() and not self._is_closed:
                        self._changed.wait()
                    if self._is_closed:
                        return
                    self._ready.append(timed)
                    self._bytes += len(timed.message.data)
                    if len(self._ready) == 1 or self._is_full():
                        self._changed.notify_all()
        except Exception as found:  # whoever takes messages decides
            error = found
        finally:
            with self._changed:
                self._error, self._is_over = error, True
                self._changed.notify_all()
