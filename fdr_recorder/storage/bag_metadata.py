"""`metadata.yaml`: what makes a flight directory a rosbag2 bag (metadata version 9).

Written by hand and not by a YAML library because it is renewed at every rotation: the part that
grows with the number of segments is put together from pieces that are made once for each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import yaml

from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import RECORD_SCHEMA_VERSION, FlightHeader
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.storage.segment import ClosedSegment
from fdr_recorder.version import __version__

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


class SegmentEntry:
    """The two pieces of `metadata.yaml` that speak of one closed segment."""

    __slots__ = ('file', 'path', 'segment')

    def __init__(self, segment: ClosedSegment) -> None:
        """Prepare the text."""
        name = _quoted(segment.file_name)
        duration = segment.last_log_time_ns - segment.first_log_time_ns
        self.segment = segment
        self.path = f'    - {name}\n'
        self.file = (
            f'    - {{path: {name}, '
            f'starting_time: {{nanoseconds_since_epoch: {segment.first_log_time_ns}}}, '
            f'duration: {{nanoseconds: {duration}}}, message_count: {segment.records}}}\n'
        )


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
    entries: Iterable[SegmentEntry],
    topic_counts: Mapping[Topic, int],
    custom_data: Mapping[str, str],
    ros_distro: str,
) -> str:
    """Return the text of `metadata.yaml`.

    Args:
        entries: The closed segments that are there, oldest first.
        topic_counts: Messages of each topic in them.
        custom_data: What rosbag2 keeps under `custom_data`.
        ros_distro: For example `kilted`; empty if unknown.

    """
    entries = list(entries)
    segments = [entry.segment for entry in entries if entry.segment.records]
    start = min((segment.first_log_time_ns for segment in segments), default=0)
    end = max((segment.last_log_time_ns for segment in segments), default=0)
    parts = [
        'rosbag2_bagfile_information:\n',
        f'  version: {BAG_VERSION}\n',
        '  storage_identifier: mcap\n',
        f'  duration: {{nanoseconds: {end - start}}}\n',
        f'  starting_time: {{nanoseconds_since_epoch: {start}}}\n',
        f'  message_count: {sum(topic_counts.values())}\n',
        '  topics_with_message_count:' + ('\n' if topic_counts else ' []\n'),
        *(_topic(topic, count) for topic, count in topic_counts.items()),
        '  compression_format: ""\n',
        '  compression_mode: ""\n',
        '  relative_file_paths:' + ('\n' if entries else ' []\n'),
        *(entry.path for entry in entries),
        '  files:' + ('\n' if entries else ' []\n'),
        *(entry.file for entry in entries),
        '  custom_data:' + ('\n' if custom_data else ' {}\n'),
        *(f'    {key}: {_quoted(value)}\n' for key, value in custom_data.items()),
        f'  ros_distro: {_quoted(ros_distro)}\n',
    ]
    return ''.join(parts)


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
