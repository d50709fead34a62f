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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from fdr_recorder.flights.recovery.contents import SegmentContents
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    Overrun,
    Payload,
    ProducerCounters,
    SegmentRollover,
    TransportLoss,
    WriteError,
)
from fdr_recorder.storage import bag_metadata
from fdr_recorder.units import iso_time

_MAX_COUNT: Final = (1 << 63) - 1
_PayloadT = TypeVar('_PayloadT', bound=Payload)


@dataclass(frozen=True)
class Drops:
    """What the cap had dropped from a flight when it ended."""

    segments: int
    bytes: int
    records: int


def find_drops(counters: Mapping[str, int], segments: Sequence[SegmentContents]) -> Drops:
    """
    Find out what was dropped.

    `metadata.yaml` counts a drop when its record is on the disk and the file is not yet removed.
    Without it, the surviving records tell. A segment that is there was not dropped.
    """
    present = {contents.index: contents for contents in segments}
    rollovers = {
        record.segment_index: record
        for contents in segments
        for record in contents.own_records
        if isinstance(record, SegmentRollover)
    }
    if 'segments_dropped' not in counters:
        gone = [record for index, record in rollovers.items() if index not in present]
        return Drops(
            len(gone), sum(record.bytes for record in gone), sum(r.records for r in gone)
        )
    kept = [
        contents
        for index, contents in present.items()
        if index < counters['segments_dropped']  # the oldest go first
    ]
    return Drops(
        counters['segments_dropped'] - len(kept),
        counters.get('bytes_dropped', 0) - sum(contents.size for contents in kept),
        counters.get(bag_metadata.RECORDS_IN_DROPPED_KEY, 0)
        - sum(contents.records for contents in kept),
    )


class Recount:
    """The counters of a flight, recounted from its segments."""

    def __init__(
        self,
        segments: Sequence[SegmentContents],
        header: FlightHeader,
        drops: Drops,
        ended_at_ns: int,
    ) -> None:
        self._header = header
        self._ended_at_ns = ended_at_ns
        self._segments = segments
        self._records: list[Payload] = [
            record for contents in segments for record in contents.own_records
        ]
        self._drops = drops

    def footer(self, bytes_present: int) -> FlightFooter:
        """Return the footer; it counts itself."""
        producers = self._producers()
        write_errors = [record for record in self._records if isinstance(record, WriteError)]
        started = self._header
        elapsed = max(self._ended_at_ns - started.flight_started_at_ns, 0)
        footer = FlightFooter(
            flight_id=started.flight_id,
            flight_ended_at_iso=iso_time(self._ended_at_ns),
            flight_ended_at_monotonic_ns=started.flight_started_at_monotonic_ns + elapsed,
            records_written=sum(contents.records for contents in self._segments)
            + self._drops.records
            + 1,
            records_dropped_overrun=sum(producer.dropped_overrun for producer in producers),
            bytes_written=bytes_present + self._drops.bytes,
            rollover_count=max(self._segments[-1].index - len(write_errors), 0),
            clean_shutdown=False,
            segments_dropped=self._drops.segments,
            bytes_dropped=self._drops.bytes,
            records_dropped_write_error=sum(record.records for record in write_errors),
            records_lost_transport=sum(producer.lost_transport for producer in producers),
            records_repeated=sum(producer.repeated for producer in producers),
            producers=tuple(map(_bounded, producers)),
        )
        return _bounded(footer)

    def _producers(self) -> list[ProducerCounters]:
        sums: dict[tuple[str, str], dict[str, Any]] = {}
        for contents in self._segments:
            for channel, count in contents.found.counts.items():
                values = sums.setdefault(_key(channel), {'type': channel.schema.name})
                _add(values, 'written', count)
                _add(values, 'repeated', contents.repeated.get(channel, 0))
        for record in self._records:
            if isinstance(record, Overrun):
                values = sums.setdefault((record.topic, record.publisher), {})
                _add(values, 'dropped_overrun', record.records)
            elif isinstance(record, TransportLoss):
                values = sums.setdefault((record.topic, record.publisher), {})
                _add(values, 'lost_transport', record.records)
        footer_key = (FlightFooter.channel_topic(), '')
        footer = sums.setdefault(footer_key, {'type': FlightFooter.type_name()})
        _add(footer, 'written', 1)
        return [
            ProducerCounters(
                topic=topic,
                publisher=publisher,
                offered=values.get('written', 0)
                - values.get('repeated', 0)
                + values.get('dropped_overrun', 0),
                **values,
            )
            for (topic, publisher), values in sums.items()
        ]


def _key(channel: Channel) -> tuple[str, str]:
    return channel.topic, channel.publisher


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
