# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Counts anew what a flight that was not closed contains, for the footer that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from fdr_recorder.flights.directory import SegmentFile
from fdr_recorder.flights.recovery.recounted_topics import recounted_requests
from fdr_recorder.flights.recovery.segment_contents import SegmentContents
from fdr_recorder.record.dropped import COUNTER_OF, DroppedAccount, loss_of, REMOVED
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, Pin, SegmentRollover
from fdr_recorder.record.loss_detection import joint_detection
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.record_parts import DroppedLoss, ProducerCounters, TopicActivity
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.counters import KEPT_ACCOUNTS
from fdr_recorder.units import iso_time

_MAX_COUNT: Final = (1 << 63) - 1
_COUNTS: Final = (
    'offered', 'written', 'repeated', 'dropped_overrun', 'dropped_write_error', 'lost_transport',
    'before_match', 'throttled',
)
_PayloadT = TypeVar('_PayloadT', bound=Payload)


@dataclass(frozen=True)
class Drops:
    """
    What the cap had dropped from a flight when it ended.

    Another program has removed the segments of `records_removed` of its records.
    """

    segments: int = 0
    bytes: int = 0
    records: int = 0
    records_removed: int = 0


def find_drops(
    counters: Mapping[str, int],
    segments: Sequence[SegmentContents],
    damaged: Sequence[SegmentFile] = (),
) -> Drops:
    """
    Find out what was dropped.

    The records of drops tell, and `metadata.yaml` does, where that tells of more: older recorders
    left out what was told in segments that were dropped. It counts a drop when its record is on
    the disk and the file is not yet removed. A segment that is there was not dropped, nor was one
    that is damaged. Where some are pinned it is not the oldest that have gone, but then the
    records tell of all.
    """
    account = dropped_account(segments, damaged)
    removed = account.total('records', cause=REMOVED)
    told = Drops(
        account.total('segments'), account.total('bytes'), account.total('records'), removed
    )
    if counters.get('segments_dropped', 0) <= told.segments or _has_pins(segments):
        return told
    dropped = counters['segments_dropped']  # the oldest go first
    kept = [contents for contents in segments if contents.index < dropped]
    set_aside = {file.index for file in damaged if file.index < dropped}
    unreadable = [item for item in _rollovers(segments) if item.segment_index in set_aside]
    return Drops(
        dropped - len(kept) - len(set_aside),
        counters.get('bytes_dropped', 0)
        - sum(contents.size for contents in kept)
        - sum(rollover.bytes for rollover in unreadable),
        counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0)
        - sum(contents.records for contents in kept)
        - sum(rollover.records for rollover in unreadable),
        max(counters.get(bag_metadata.RECORDS_IN_REMOVED_KEY, 0), removed),
    )


def _has_pins(segments: Sequence[SegmentContents]) -> bool:
    return any(isinstance(record, Pin) for item in segments for record in item.own_records)


def _rollovers(segments: Sequence[SegmentContents]) -> Iterator[SegmentRollover]:
    for contents in segments:
        for record in contents.own_records:
            if isinstance(record, SegmentRollover):
                yield record


def dropped_account(
    segments: Sequence[SegmentContents], damaged: Sequence[SegmentFile]
) -> DroppedAccount:
    """Sum up what segments that are there tell of those that are not; the damaged are there."""
    there = {item.index for item in segments}.union(item.index for item in damaged)
    return DroppedAccount.of_flight(_rollovers(segments), there)


def recounted_footer(
    segments: Sequence[SegmentContents],
    header: FlightHeader,
    drops: Drops,
    topics: Sequence[TopicActivity],
    *,
    damaged: Sequence[SegmentFile] = (),
    ended_at_ns: int,
    bytes_present: int,
) -> FlightFooter:
    """
    Return the footer of a flight, recounted from its segments; it counts itself.

    `topics` are those of `recounted_topics`; `bytes_present` is the size of the segments, the
    footer included.
    """
    losses = _losses(segments, damaged)
    producers = _folded(_producers(segments, losses), segments)
    write_errors = [loss for loss in losses if loss.cause == 'write_error']
    discarded = sum(loss.records for loss in write_errors)
    elapsed = max(ended_at_ns - header.flight_started_at_ns, 0)
    written = sum(contents.records for contents in segments) + drops.records + 1
    footer = FlightFooter(
        flight_id=header.flight_id,
        flight_ended_at_iso=iso_time(ended_at_ns),
        flight_ended_at_monotonic_ns=header.flight_started_at_monotonic_ns + elapsed,
        records_written=written,
        records_dropped_overrun=sum(producer.dropped_overrun for producer in producers),
        bytes_written=bytes_present + drops.bytes,
        rollover_count=max(
            segments[-1].index - sum(loss.segments for loss in write_errors), 0
        ),
        clean_shutdown=False,
        segments_dropped=drops.segments,
        bytes_dropped=drops.bytes,
        records_dropped_write_error=discarded
        + sum(producer.dropped_write_error for producer in producers),
        records_lost_transport=sum(producer.lost_transport for producer in producers),
        records_repeated=sum(producer.repeated for producer in producers),
        records_before_match=sum(producer.before_match for producer in producers),
        records_throttled=sum(producer.throttled for producer in producers),
        producers=tuple(map(_bounded, producers)),
        requested=tuple(map(_bounded, recounted_requests(segments, topics))),
        topics=tuple(map(_bounded, topics)),
    )
    return _bounded(footer)


def _losses(
    segments: Sequence[SegmentContents], damaged: Sequence[SegmentFile]
) -> list[DroppedLoss]:
    """Return all losses that the segments tell of, also those of segments that are gone."""
    told = (loss_of(record) for contents in segments for record in contents.own_records)
    return [*dropped_account(segments, damaged).losses, *filter(None, told)]


def _producers(
    segments: Sequence[SegmentContents], losses: Sequence[DroppedLoss]
) -> list[ProducerCounters]:
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for contents in segments:
        for channel, count in contents.found.counts.items():
            key = channel.topic, channel.publisher
            values = sums.setdefault(key, {'type': channel.schema.name})
            _add(values, 'written', count)
            _add(values, 'repeated', contents.repeated.get(channel, 0))
            known = values.get('loss_detection', '')
            values['loss_detection'] = joint_detection(known, channel.loss_detection)
    for loss in losses:
        if loss.cause in COUNTER_OF:
            values = sums.setdefault((loss.topic, loss.publisher), {})
            _add(values, COUNTER_OF[loss.cause], loss.records)
    key = FlightFooter.channel_topic(), ''
    _add(sums.setdefault(key, {'type': FlightFooter.type_name()}), 'written', 1)
    return [
        ProducerCounters(
            topic=topic,
            publisher=publisher,
            offered=values.get('written', 0)
            - values.get('repeated', 0)
            + values.get('dropped_overrun', 0)
            + values.get('dropped_write_error', 0),
            **values,
        )
        for (topic, publisher), values in sums.items()
    ]


def _folded(
    producers: list[ProducerCounters], segments: Sequence[SegmentContents]
) -> list[ProducerCounters]:
    """
    Fold the publishers that were heard last the longest ago, by topic and type, if there are many.

    A writer does so with those that have left; which have is not known here.
    """
    last_heard = {
        (channel.topic, channel.publisher): contents.index
        for contents in segments
        for channel in contents.found.counts
    }
    publishers = sorted(
        (item for item in producers if item.publisher),
        key=lambda item: last_heard.get((item.topic, item.publisher), -1),
    )
    oldest = publishers[: max(len(publishers) - KEPT_ACCOUNTS, 0)]
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for item in oldest:
        values = sums.setdefault((item.topic, item.type), {})
        _add(values, 'folded', 1)
        known = values.get('loss_detection', '')
        values['loss_detection'] = joint_detection(known, item.loss_detection)
        for name in _COUNTS:
            _add(values, name, getattr(item, name))
    gone = {id(item) for item in oldest}
    return [item for item in producers if id(item) not in gone] + [
        ProducerCounters(topic=topic, type=type_name, **values)
        for (topic, type_name), values in sums.items()
    ]


def _add(values: dict[str, Any], name: str, count: int) -> None:
    values[name] = values.get(name, 0) + count


def _bounded(payload: _PayloadT) -> _PayloadT:
    """Return a payload with its numbers bounded, so that it can be encoded."""
    numbers: dict[str, Any] = {}
    for name in payload.known_keys():
        value = getattr(payload, name)
        if type(value) is int:
            numbers[name] = min(max(value, 0), _MAX_COUNT)
    return replace(payload, **numbers)
