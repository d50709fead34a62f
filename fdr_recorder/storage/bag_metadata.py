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
`metadata.yaml`: what makes a flight directory a rosbag2 bag (metadata version 9).

Written by hand and not by a YAML library because it is renewed at every rotation: the part that
grows with the number of segments is put together from the texts of groups of them, of which only
the first and the last change.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
import json
import re

from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import FlightHeader, RECORD_SCHEMA_VERSION
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.version import __version__
import yaml

FILE_NAME = 'metadata.yaml'
BAG_VERSION = 9

RECORDS_IN_DROPPED_KEY = 'records_in_dropped_segments'

_QOS_KEY = 'offered_qos_profiles'
_TYPE_HASH_KEY = 'topic_type_hash'


@dataclass(frozen=True)
class Topic:
    """A topic as a bag lists it. Channels of one topic, type and QoS are one topic."""

    name: str
    type: str
    serialization_format: str
    offered_qos_profiles: str
    type_description_hash: str

    @classmethod
    def of(cls, channel: Channel) -> Topic:
        """Return the topic that a channel belongs to."""
        return cls(
            channel.topic,
            channel.schema.name,
            channel.message_encoding,
            channel.metadata.get(_QOS_KEY, ''),
            channel.metadata.get(_TYPE_HASH_KEY, ''),
        )


class _Block:
    """
    Segments that are neighbours in a list, and what they add to `metadata.yaml`.

    Attributes:
        segments: Oldest first.
        paths: Their lines of `relative_file_paths`.
        files: Their lines of `files`.
        start: Earliest log time; None if they hold no record.
        end: Latest log time.

    """

    __slots__ = ('end', 'files', 'paths', 'segments', 'start')

    def __init__(self) -> None:
        self.segments: deque[ClosedSegment] = deque()
        self.paths = self.files = b''
        self.start: int | None = None
        self.end = 0

    def append(self, segment: ClosedSegment) -> None:
        """Take in the newest segment."""
        self.segments.append(segment)
        self.paths += _path_line(segment)
        self.files += _file_line(segment)
        if segment.records:
            start, end = segment.first_log_time_ns, segment.last_log_time_ns
            self.start = start if self.start is None else min(start, self.start)
            self.end = max(end, self.end)

    def popleft(self) -> ClosedSegment:
        """Take out the oldest segment."""
        segment = self.segments.popleft()
        self.paths = self.paths[len(_path_line(segment)):]
        self.files = self.files[len(_file_line(segment)):]
        holding = [segment for segment in self.segments if segment.records]
        self.start = min((segment.first_log_time_ns for segment in holding), default=None)
        self.end = max((segment.last_log_time_ns for segment in holding), default=0)
        return segment


class SegmentList:
    """The closed segments that are there, oldest first, ready to be listed at little cost."""

    def __init__(self) -> None:
        """Begin with none."""
        self.block_segments = 128
        self._length = 0
        self.blocks: deque[_Block] = deque()
        """The segments in groups, oldest first."""

    def __len__(self) -> int:
        """Return how many segments."""
        return self._length

    def append(self, segment: ClosedSegment) -> None:
        """Take in the newest segment."""
        if not self.blocks or len(self.blocks[-1].segments) >= self.block_segments:
            self.blocks.append(_Block())
        self.blocks[-1].append(segment)
        self._length += 1

    def popleft(self) -> ClosedSegment:
        """Take out the oldest segment."""
        segment = self.blocks[0].popleft()
        if not self.blocks[0].segments:
            self.blocks.popleft()
        self._length -= 1
        return segment


class TopicCounts:
    """
    Messages of each topic in the segments that are there.

    A flight at its cap has thousands of segments with hundreds of topics: for each segment and
    topic 8 bytes are kept.
    """

    def __init__(self) -> None:
        """Begin with no segment."""
        self._numbers: dict[Topic, int] = {}
        self._totals: list[int] = []
        self._segments: deque[array[int]] = deque()
        """Of each: a topic's number and its messages, in turn."""

    def append(self, counts: Mapping[Channel, int]) -> None:
        """Take in the newest segment."""
        kept = array('I')
        for channel, messages in counts.items():
            if messages:
                number = self._numbers.setdefault(Topic.of(channel), len(self._totals))
                if number == len(self._totals):
                    self._totals.append(0)
                self._totals[number] += messages
                kept.extend((number, messages))
        self._segments.append(kept)

    def popleft(self) -> None:
        """Take out the oldest segment."""
        kept = self._segments.popleft()
        for number, messages in zip(kept[::2], kept[1::2], strict=True):
            self._totals[number] -= messages

    def totals(self) -> dict[Topic, int]:
        """Return the messages of each topic that has some."""
        totals = self._totals
        return {topic: totals[number] for topic, number in self._numbers.items() if totals[number]}


def custom_data(
    header: FlightHeader,
    counters: FlightCounters,
    *,
    records_in_dropped: int,
    clean_shutdown: bool,
) -> dict[str, str]:
    """Return what `metadata.yaml` says of a flight beside what rosbag2 wants to know."""
    return {
        'flight_id': header.flight_id,
        'vehicle_id': header.vehicle_id,
        'software_version': __version__,
        'record_schema_version': RECORD_SCHEMA_VERSION,
        **{name: str(value) for name, value in counters.as_dict().items()},
        RECORDS_IN_DROPPED_KEY: str(records_in_dropped),
        'clean_shutdown': 'true' if clean_shutdown else 'false',
    }


def render(
    segments: SegmentList,
    topic_counts: Mapping[Topic, int],
    custom_data: Mapping[str, str],
    ros_distro: str,
) -> list[bytes]:
    """
    Return the text of `metadata.yaml`, in pieces.

    Args:
        segments: The closed segments that are there.
        topic_counts: Messages of each topic in them.
        custom_data: What rosbag2 keeps under `custom_data`.
        ros_distro: For example `kilted`; empty if unknown.

    """
    blocks = segments.blocks
    start = min((block.start for block in blocks if block.start is not None), default=0)
    end = max((block.end for block in blocks), default=0)
    beginning = (
        'rosbag2_bagfile_information:\n',
        f'  version: {BAG_VERSION}\n',
        '  storage_identifier: mcap\n',
        f'  duration: {{nanoseconds: {max(end - start, 0)}}}\n',
        f'  starting_time: {{nanoseconds_since_epoch: {start}}}\n',
        f'  message_count: {sum(topic_counts.values())}\n',
        '  topics_with_message_count:' + ('\n' if topic_counts else ' []\n'),
        *(_topic(topic, count) for topic, count in topic_counts.items()),
        '  compression_format: ""\n',
        '  compression_mode: ""\n',
        '  relative_file_paths:' + ('\n' if segments else ' []\n'),
    )
    ending = (
        '  custom_data:' + ('\n' if custom_data else ' {}\n'),
        *(f'    {key}: {_quoted(value)}\n' for key, value in custom_data.items()),
        f'  ros_distro: {_quoted(ros_distro)}\n',
    )
    return [
        ''.join(beginning).encode(),
        *(block.paths for block in blocks),
        b'  files:\n' if segments else b'  files: []\n',
        *(block.files for block in blocks),
        ''.join(ending).encode(),
    ]


def _path_line(segment: ClosedSegment) -> bytes:
    return f'    - {_quoted(segment.file_name)}\n'.encode()


def _file_line(segment: ClosedSegment) -> bytes:
    start, end = segment.first_log_time_ns, segment.last_log_time_ns
    return (
        f'    - {{path: {_quoted(segment.file_name)}, '
        f'starting_time: {{nanoseconds_since_epoch: {start}}}, '
        f'duration: {{nanoseconds: {end - start}}}, message_count: {segment.records}}}\n'
    ).encode()


_NOT_PLAIN = re.compile(r'["\\]|[^ -~]')


def _quoted(text: str) -> str:
    """Return a double-quoted YAML scalar in ASCII; JSON's surrogate pairs would be no YAML."""
    return '"' + _NOT_PLAIN.sub(lambda match: f'\\U{ord(match[0]):08X}', text) + '"'


def _topic(topic: Topic, count: int) -> str:
    return f'{_topic_metadata(topic)}      message_count: {count}\n'


@cache
def _topic_metadata(topic: Topic) -> str:
    """Return what does not change; the QoS profiles are YAML in the channel and a list here."""
    profiles = yaml.safe_load(topic.offered_qos_profiles) or []
    return (
        '    - topic_metadata:\n'
        f'        name: {_quoted(topic.name)}\n'
        f'        type: {_quoted(topic.type)}\n'
        f'        serialization_format: {_quoted(topic.serialization_format)}\n'
        f'        offered_qos_profiles: {json.dumps(profiles)}\n'
        f'        type_description_hash: {_quoted(topic.type_description_hash)}\n'
    )
