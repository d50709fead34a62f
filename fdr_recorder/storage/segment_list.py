# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The closed segments of a flight, kept so that listing them in `metadata.yaml` is cheap."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain

from fdr_recorder.record.channel import Channel
from fdr_recorder.seal.sidecars import sums_line
from fdr_recorder.storage.bag_metadata import file_line, path_line, Topic
from fdr_recorder.storage.closed_segment import ClosedSegment


class _Block:
    """
    Consecutive segments of the list, and their lines in `metadata.yaml`.

    Attributes:
        segments: Oldest first.
        paths: Their lines of `relative_file_paths`.
        files: Their lines of `files`.
        sums: Their lines in SHA256SUMS, if the flight is sealed.
        start: Earliest log time; None if they hold no record.
        end: Latest log time.

    """

    __slots__ = ('end', 'files', 'paths', 'segments', 'start', 'sums')

    def __init__(self) -> None:
        self.segments: deque[ClosedSegment] = deque()
        self.paths = self.files = self.sums = b''
        self.start: int | None = None
        self.end = 0

    def append(self, segment: ClosedSegment) -> None:
        """Add the newest segment."""
        self.segments.append(segment)
        self.paths += path_line(segment)
        self.files += file_line(segment)
        self.sums += _sums_line(segment)
        if segment.records:
            start, end = segment.first_log_time_ns, segment.last_log_time_ns
            self.start = start if self.start is None else min(start, self.start)
            self.end = max(end, self.end)

    def popleft(self) -> ClosedSegment:
        """Remove the oldest segment; return it."""
        segment = self.segments.popleft()
        self.paths = self.paths[len(path_line(segment)):]
        self.files = self.files[len(file_line(segment)):]
        self.sums = self.sums[len(_sums_line(segment)):]
        self._measure()
        return segment

    def pop(self) -> ClosedSegment:
        """Remove the newest segment; return it."""
        segment = self.segments.pop()
        self.paths = self.paths[:-len(path_line(segment))]
        self.files = self.files[:-len(file_line(segment))]
        self.sums = self.sums[:len(self.sums) - len(_sums_line(segment))]
        self._measure()
        return segment

    def _measure(self) -> None:
        holding = [segment for segment in self.segments if segment.records]
        self.start = min((segment.first_log_time_ns for segment in holding), default=None)
        self.end = max((segment.last_log_time_ns for segment in holding), default=0)


class SegmentList:
    """
    The closed segments of a flight, oldest first, with their lines in `metadata.yaml`.

    The lines are kept in blocks of segments, of which only the first and the last change: listing
    a flight of ten thousand segments at every rotation costs little. Segments that are never
    dropped are set aside from the front of a queue, so that its first one can go.
    """

    def __init__(self, block_segments: int = 128) -> None:
        """Begin with no segment, and keep up to so many in a block."""
        self._block_segments = block_segments
        self._aside: deque[_Block] = deque()
        self._blocks: deque[_Block] = deque()
        self._queued = 0
        self._length = 0

    def __len__(self) -> int:
        """Return the number of segments."""
        return self._length

    @property
    def queued(self) -> int:
        """Count the segments that were not set aside."""
        return self._queued

    @property
    def oldest(self) -> ClosedSegment:
        """Return the oldest segment that was not set aside; there must be one."""
        return self._blocks[0].segments[0]

    @property
    def newest(self) -> ClosedSegment:
        """Return the newest segment; there must be one."""
        return (self._blocks or self._aside)[-1].segments[-1]

    def append(self, segment: ClosedSegment) -> None:
        """Add the newest segment."""
        self._add(self._blocks, segment)
        self._queued += 1
        self._length += 1

    def _add(self, blocks: deque[_Block], segment: ClosedSegment) -> None:
        if not blocks or len(blocks[-1].segments) >= self._block_segments:
            blocks.append(_Block())
        blocks[-1].append(segment)

    def set_aside(self) -> None:
        """Set the oldest segment in the queue aside; there must be one."""
        segment = self.popleft()
        self._add(self._aside, segment)
        self._length += 1

    def queue_all(self) -> None:
        """Return all segments that were set aside to the queue."""
        self._blocks.extendleft(reversed(self._aside))
        self._aside.clear()
        self._queued = self._length

    def popleft(self) -> ClosedSegment:
        """Remove the oldest segment that was not set aside; return it."""
        segment = self._blocks[0].popleft()
        if not self._blocks[0].segments:
            self._blocks.popleft()
        self._queued -= 1
        self._length -= 1
        return segment

    def pop(self) -> ClosedSegment:
        """Remove the newest segment, one of those set aside if no other is left; return it."""
        blocks = self._blocks or self._aside
        self._queued -= blocks is self._blocks
        segment = blocks[-1].pop()
        if not blocks[-1].segments:
            blocks.pop()
        self._length -= 1
        return segment

    @property
    def _all_blocks(self) -> Iterator[_Block]:
        return chain(self._aside, self._blocks)

    def __iter__(self) -> Iterator[ClosedSegment]:
        """Yield the segments, oldest first."""
        for block in self._all_blocks:
            yield from block.segments

    def path_lines(self) -> list[bytes]:
        """Return the lines of all segments in `relative_file_paths`, in pieces."""
        return [block.paths for block in self._all_blocks]

    def file_lines(self) -> list[bytes]:
        """Return the lines of all segments in `files`, in pieces."""
        return [block.files for block in self._all_blocks]

    def sums_lines(self) -> list[bytes]:
        """Return the lines of all segments in SHA256SUMS, in pieces."""
        return [block.sums for block in self._all_blocks]

    def time_range(self) -> tuple[int, int]:
        """Return the earliest and the latest log time; zeros if there is no record."""
        starts = (block.start for block in self._all_blocks if block.start is not None)
        return min(starts, default=0), max((block.end for block in self._all_blocks), default=0)


def _sums_line(segment: ClosedSegment) -> bytes:
    return sums_line(segment.sha256, segment.file_name) if segment.sha256 else b''


class TopicCounts:
    """
    Messages of each topic in the closed segments of a flight.

    A flight at its cap has thousands of segments with hundreds of topics: this keeps 8 bytes for
    each topic of each segment.
    """

    def __init__(self) -> None:
        """Begin with no segment."""
        self._numbers: dict[Topic, int] = {}
        self._totals: list[int] = []
        self._aside: list[array[int]] = []
        self._segments: deque[array[int]] = deque()
        """For each segment: number of a topic and its messages, alternating."""

    def append(self, counts: Mapping[Channel, int]) -> None:
        """Add the newest segment."""
        kept = array('Q')
        for channel, messages in counts.items():
            if messages:
                number = self._numbers.setdefault(Topic.of(channel), len(self._totals))
                if number == len(self._totals):
                    self._totals.append(0)
                self._totals[number] += messages
                kept.extend((number, messages))
        self._segments.append(kept)

    def set_aside(self) -> None:
        """Set the oldest segment aside, as `SegmentList.set_aside`."""
        self._aside.append(self._segments.popleft())

    def queue_all(self) -> None:
        """Return all segments that were set aside, as `SegmentList.queue_all`."""
        self._segments.extendleft(reversed(self._aside))
        self._aside.clear()

    def popleft(self) -> None:
        """Remove the oldest segment that was not set aside."""
        self._subtract(self._segments.popleft())

    def pop(self) -> array[int]:
        """Remove the newest segment; return what `put_back` needs."""
        kept = (self._segments or self._aside).pop()
        self._subtract(kept)
        return kept

    def put_back(self, kept: array[int]) -> None:
        """Add a segment that was removed by `pop`."""
        for number, messages in zip(kept[::2], kept[1::2], strict=True):
            self._totals[number] += messages
        self._segments.append(kept)

    def _subtract(self, kept: array[int]) -> None:
        for number, messages in zip(kept[::2], kept[1::2], strict=True):
            self._totals[number] -= messages

    def totals(self) -> dict[Topic, int]:
        """Return the number of messages of each topic that has any."""
        totals = self._totals
        return {topic: totals[number] for topic, number in self._numbers.items() if totals[number]}
