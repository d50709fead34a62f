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
The text of `metadata.yaml`, which makes a flight directory a rosbag2 bag (version 5 to 9).

The versions differ, for a reader, in the QoS profiles alone: up to 8 a text, since 9 a list. What
came with versions 6 to 8 is always there, and older readers do not look at it.

No YAML library renders it, because it is renewed at every rotation: the lines of the segments come
from `SegmentList`, which keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
import re

from fdr_recorder.mcap.layout import ROS2IDL
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import Channel, QOS_KEY, TYPE_HASH_KEY
from fdr_recorder.record.kinds import FlightHeader, RECORD_SCHEMA_VERSION
from fdr_recorder.record.offered_qos import FIRST_WITH_NAMES, in_bag_version, qos_list
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.version import __version__, BAG_VERSION

FILE_NAME = 'metadata.yaml'

RECORDS_IN_DROPPED_KEY = 'records_in_dropped_segments'
RECORDS_IN_REMOVED_KEY = 'records_in_removed_segments'
"""Part of those in dropped segments: another program has removed them."""
FLIGHT_NUMBER_KEY = 'flight_number'

CLOSED = 'closed'
RECOVERED = 'recovered'
NOT_CLOSED = (
    'not closed: a recorder writes it now, or a crash or a power cut has ended it, and '
    '`fdr recover` completes it'
)
"""The metadata of an open flight say it from the first moment: a crash leaves nobody to do so."""


@dataclass(frozen=True)
class Topic:
    """A topic as a bag lists it: all channels of the same topic, type and QoS."""

    name: str
    type: str
    serialization_format: str
    offered_qos_profiles: str
    type_description_hash: str

    @classmethod
    def of(cls, channel: Channel) -> Topic:
        """
        Return the topic to which a channel belongs.

        Types with a `wstring` go without hash: `rosbags` cannot make it again, and refuses a bag
        whose hashes it cannot check.
        """
        schema = channel.schema
        is_wide = schema.encoding == ROS2IDL and 'wstring' in schema.definition
        return cls(
            channel.topic,
            schema.name,
            channel.message_encoding,
            channel.metadata.get(QOS_KEY, ''),
            '' if is_wide else channel.metadata.get(TYPE_HASH_KEY, ''),
        )


def custom_data(
    header: FlightHeader,
    counters: FlightCounters,
    *,
    records_in_dropped: int,
    records_in_removed: int,
    ended: str,
) -> dict[str, str]:
    """
    Return the `custom_data` of a flight: its metadata, ids and counters, and how it ended.

    That is `CLOSED`, `RECOVERED`, or `NOT_CLOSED`. Metadata with the name of one of the others are
    in the header alone.
    """
    own = {
        'flight_id': header.flight_id,
        'vehicle_id': header.vehicle_id,
        'software_version': __version__,
        'record_schema_version': RECORD_SCHEMA_VERSION,
        **{name: str(value) for name, value in counters.as_dict().items()},
        RECORDS_IN_DROPPED_KEY: str(records_in_dropped),
        RECORDS_IN_REMOVED_KEY: str(records_in_removed),
        FLIGHT_NUMBER_KEY: str(header.flight_number),
        'clean_shutdown': 'true' if ended == CLOSED else 'false',
        'ended': ended,
    }
    return {**{key: text for key, text in header.metadata.items() if key not in own}, **own}


def render(
    path_lines: Sequence[bytes],
    file_lines: Sequence[bytes],
    time_range: tuple[int, int],
    topic_counts: Mapping[Topic, int],
    custom_data: Mapping[str, str],
    ros_distro: str,
    bag_version: int = BAG_VERSION,
) -> list[bytes]:
    """
    Return the text of `metadata.yaml`, in pieces.

    The lines are the `path_line` and `file_line` of each closed segment, oldest first, in pieces.
    """
    start, end = time_range
    beginning = (
        'rosbag2_bagfile_information:\n',
        f'  version: {bag_version}\n',
        '  storage_identifier: mcap\n',
        f'  duration: {{nanoseconds: {max(end - start, 0)}}}\n',
        f'  starting_time: {{nanoseconds_since_epoch: {start}}}\n',
        f'  message_count: {sum(topic_counts.values())}\n',
        '  topics_with_message_count:' + ('\n' if topic_counts else ' []\n'),
        *(_topic(topic, count, bag_version) for topic, count in topic_counts.items()),
        '  compression_format: ""\n',
        '  compression_mode: ""\n',
        '  relative_file_paths:' + ('\n' if path_lines else ' []\n'),
    )
    ending = (
        '  custom_data:' + ('\n' if custom_data else ' {}\n'),
        *(f'    {_key(key)}: {_quoted(value)}\n' for key, value in custom_data.items()),
        f'  ros_distro: {_quoted(ros_distro)}\n',
    )
    return [
        ''.join(beginning).encode(),
        *path_lines,
        b'  files:\n' if file_lines else b'  files: []\n',
        *file_lines,
        ''.join(ending).encode(),
    ]


def path_line(segment: ClosedSegment) -> bytes:
    """Return the line of a segment in `relative_file_paths`."""
    return f'    - {_quoted(segment.file_name)}\n'.encode()


def file_line(segment: ClosedSegment) -> bytes:
    """Return the line of a segment in `files`."""
    start, end = segment.first_log_time_ns, segment.last_log_time_ns
    return (
        f'    - {{path: {_quoted(segment.file_name)}, '
        f'starting_time: {{nanoseconds_since_epoch: {start}}}, '
        f'duration: {{nanoseconds: {end - start}}}, message_count: {segment.records}}}\n'
    ).encode()


_NOT_PLAIN = re.compile(r'["\\]|[^ -~]')


_PLAIN_KEY = re.compile(r'[a-z]+_[a-z_]+|ended')
"""Keys of YAML that mean nothing else, as `yes`, `1e3` or `null` would."""


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """Return a double-quoted YAML scalar in ASCII, without JSON's surrogate pairs."""
    return '"' + _NOT_PLAIN.sub(lambda match: f'\\U{ord(match[0]):08X}', text) + '"'


def _topic(topic: Topic, count: int, bag_version: int) -> str:
    return f'{_topic_metadata(topic, bag_version)}      message_count: {count}\n'


@lru_cache(maxsize=4096)
def _topic_metadata(topic: Topic, bag_version: int) -> str:
    """Return the part that stays; the QoS profiles are YAML in the channel and a list here."""
    profiles = qos_list(topic.offered_qos_profiles)
    if bag_version < FIRST_WITH_NAMES:
        profiles = _quoted(in_bag_version(profiles, bag_version))
    return (
        '    - topic_metadata:\n'
        f'        name: {_quoted(topic.name)}\n'
        f'        type: {_quoted(topic.type)}\n'
        f'        serialization_format: {_quoted(topic.serialization_format)}\n'
        f'        offered_qos_profiles: {profiles or "[]"}\n'
        f'        type_description_hash: {_quoted(topic.type_description_hash)}\n'
    )
