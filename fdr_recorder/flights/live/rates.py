# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How many messages, and how fast: topic by topic, over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fdr_recorder.flights.follow import NewChunk
from fdr_recorder.mcap import layout
from fdr_recorder.record.record_parts import TopicActivity
from fdr_recorder.units import NS_PER_S

WINDOW_S: Final = 5.0
"""Over so long a rate is measured; less at the beginning of a flight."""
_LEAST_WINDOW_S: Final = 0.5
_RECORD_BYTES: Final = layout.MESSAGE_PREFIX.size


class _Part(NamedTuple):
    """Messages of one chunk: their span of log times, how many, and the size of their data."""

    start_ns: int
    end_ns: int
    messages: int
    bytes: int


@dataclass
class Flow:
    """
    The messages of one topic, or of all.

    Attributes:
        messages: How many since the flight began.
        last_ns: Log time of the last one; 0 if there is none.

    """

    messages: int = 0
    last_ns: int = 0
    _recent: deque[_Part] = field(default_factory=deque)

    def add(self, times: Sequence[int], size: int) -> None:
        """Take in the messages of one chunk by their log times, and the size of their data."""
        part = _Part(min(times), max(times), len(times), size)
        self.messages += len(times)
        self.last_ns = max(self.last_ns, part.end_ns)
        self._recent.append(part)

    def rates(self, end_ns: int, window_s: float) -> tuple[float, float]:
        """Return messages and bytes a second in a window that ends then; forget what is older."""
        start_ns = end_ns - round(window_s * NS_PER_S)
        while self._recent and self._recent[0].end_ns <= start_ns:
            self._recent.popleft()
        messages = size = 0.0
        for part in self._recent:
            if part.end_ns <= start_ns:  # chunks overlap
                continue
            share = 1.0
            if part.start_ns < start_ns:
                share = (part.end_ns - start_ns) / (part.end_ns - part.start_ns)
            messages += share * part.messages
            size += share * part.bytes
        return messages / window_s, size / window_s


class Flows:
    """The messages of all topics."""

    def __init__(self) -> None:
        """Begin with none."""
        self.topics: dict[tuple[str, str], Flow] = {}
        self.all = Flow()

    def set_totals(self, topics: Iterable[TopicActivity]) -> None:
        """Take the counts from the header of a segment: of all segments before it."""
        for item in topics:
            flow = self.topics.setdefault((item.topic, item.type), Flow())
            flow.messages = item.records
            flow.last_ns = max(flow.last_ns, item.last_message_ns)

    def add(self, topic: str, type_name: str, times: Sequence[int], size: int) -> None:
        """Take in messages of a topic; see `Flow.add`."""
        self.topics.setdefault((topic, type_name), Flow()).add(times, size)
        self.all.add(times, size)

    def add_chunk(self, new: NewChunk) -> None:
        """Take in a chunk by its message indexes: its messages are not read."""
        entries = {
            number: new.segment.index_at(offset) for number, offset in new.chunk.indexes.items()
        }
        sizes = _sizes(entries, new.chunk.uncompressed_bytes)
        for number, pairs in entries.items():
            if pairs:
                channel = new.segment.channels[number]
                size = sum(map(sizes.__getitem__, pairs[1::2]))
                self.add(channel.topic, channel.schema.name, pairs[::2], size)


def _sizes(entries: Mapping[int, Sequence[int]], end: int) -> dict[int, int]:
    """Return the size of each message of a chunk by its offset: up to where the next begins."""
    offsets = sorted(offset for pairs in entries.values() for offset in pairs[1::2])
    return {
        offset: max(following - offset - _RECORD_BYTES, 0)
        for offset, following in zip(offsets, (*offsets[1:], end), strict=True)
    }


def window_s(end_ns: int, known_since_ns: int) -> float:
    """Return over how long rates are measured where no more is known than since then: seconds."""
    return min(WINDOW_S, max((end_ns - known_since_ns) / NS_PER_S, _LEAST_WINDOW_S))
