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
What became of the topics of a flight that was not closed.

The header of each segment tells it up to there, dropped segments included: only the messages
behind the newest are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.mcap.decode import WholeChunk
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.record.activity import Activity
from fdr_recorder.record.channel import QOS_KEY
from fdr_recorder.record.flight_header import began_ns
from fdr_recorder.record.kinds import ConfigChange, FlightHeader, RequestedTopic
from fdr_recorder.record.offered_qos import offers_latched
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.record.record_parts import TopicActivity
from fdr_recorder.record.requested import became

_MOST_SEGMENTS: Final = 2
"""Segments whose messages are looked at. Headers before record schema 1.4.0 tell nothing: what was
silent in a longer flight stays unknown then."""

_Key = tuple[str, str]


def recounted_topics(
    segments: Sequence[SegmentContents], ended_ns: int
) -> tuple[TopicActivity, ...]:
    """Return what became of each topic up to the end of the flight; nothing if that is unknown."""
    headers = [(place, item.header) for place, item in enumerate(segments) if item.header]
    if not headers:
        return ()
    start, header = next(
        ((place, header) for place, header in reversed(headers) if header.topics), headers[0]
    )
    rest = segments[start:]
    is_whole = bool(header.topics) or segments[start].index == 0
    if not is_whole or len(rest) > _MOST_SEGMENTS:
        return ()
    changes = [
        record
        for contents in segments
        for record in contents.own_records
        if isinstance(record, ConfigChange)
    ]
    return _Recount(header, rest, changes).topics(ended_ns)


def recounted_requests(
    segments: Sequence[SegmentContents], topics: Sequence[TopicActivity]
) -> tuple[RequestedTopic, ...]:
    """Return what became of what the configuration asked for, of which these topics were heard."""
    told: list[RequestedTopic] = []
    for contents in segments:
        told += contents.header.requested if contents.header else ()
        told += [record for record in contents.own_records if isinstance(record, RequestedTopic)]
    present = [
        TopicActivity(topic=channel.topic, type=channel.schema.name, records=count)
        for contents in segments
        for channel, count in contents.found.counts.items()
    ]
    return became(told, (*topics, *present))


class _Recount:
    """Goes on from what a header tells, with the messages of its segment and those behind it."""

    def __init__(
        self,
        header: FlightHeader,
        segments: Sequence[SegmentContents],
        changes: Sequence[ConfigChange],
    ) -> None:
        first = segments[0]
        written_ns = max(first.header_time_ns, first.found.first_log_time_ns)
        self._began_ns = began_ns(header, written_ns, is_first=first.index == 0)
        self._activities = {
            (told.topic, told.type): Activity.go_on(told, self._began_ns)
            for told in header.topics
        }
        self._changes = changes
        for (topic, _), activity in self._activities.items():
            activity.follow(topic, changes)
        for contents in segments:
            self._count(contents)
            for channel, times in contents.heard:
                self._hear((channel.topic, channel.schema.name), times, contents)
            if not contents.heard:
                with open_segment(contents.path, started_ns=contents.started_ns) as reader:
                    for key, times in _times(reader):
                        self._hear(key, times, contents)

    def topics(self, ended_ns: int) -> tuple[TopicActivity, ...]:
        """Return what is known up to the end."""
        return tuple(
            activity.told(*key, activity.records, ended_ns)
            for key, activity in self._activities.items()
        )

    def _count(self, contents: SegmentContents) -> None:
        for channel, count in contents.found.counts.items():
            if not channel.topic.startswith(OWN_TOPIC_PREFIX):
                is_latched = offers_latched(channel.metadata.get(QOS_KEY, ''))
                activity = self._activity((channel.topic, channel.schema.name))
                activity.records += count - contents.repeated.get(channel, 0)
                activity.is_latched = is_latched

    def _activity(self, key: _Key) -> Activity:
        if key not in self._activities:
            self._activities[key] = Activity(self._began_ns)
            self._activities[key].follow(key[0], self._changes)
        return self._activities[key]

    def _hear(self, key: _Key, times: Sequence[int], contents: SegmentContents) -> None:
        times = [time_ns for time_ns in times if time_ns != contents.header_time_ns]  # no repeats
        if times and not key[0].startswith(OWN_TOPIC_PREFIX):
            activity = self._activity(key)
            if not activity.hear(min(times), max(times)):
                activity.look(times)


def _times(reader: SegmentReader) -> Iterator[tuple[_Key, list[int]]]:
    """Yield log times of messages, by topic and type, chunk by chunk; skip what is damaged."""
    for chunk in reader.chunks():
        by_channel: dict[int, list[int]] = {}
        if isinstance(chunk, WholeChunk):
            for message, _ in chunk.messages:
                by_channel.setdefault(message.channel.id, []).append(message.log_time_ns)
        else:
            for number, offset in chunk.indexes.items():
                try:
                    by_channel[number] = reader.index_at(offset)[::2].tolist()
                except SegmentError:
                    continue
        for number, times in by_channel.items():
            channel = reader.channels.get(number)
            if channel is not None:
                yield (channel.topic, channel.schema.name), times
