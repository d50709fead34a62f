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
The recorder's own records: a frozen dataclass for each kind.

A payload class has the fields of the ROS message of the same name in `msg/` (`AlertRecord` has
those of `Alert`), in the same order; their names are in `KNOWN_PAYLOAD_KEYS`. In a payload from a
newer version, fields that this version does not know are in `extra`; in one from an older version,
fields that it lacks have their default. `fdr_recorder.record.codec` encodes and decodes payloads.

Times named `..._ns` are nanoseconds since 1970 by the flight's steady clock, see
`fdr_recorder.clock`, apart from `..._monotonic_ns` (CLOCK_MONOTONIC of the recording host) and
those of the system clock at the flight's start and end. Sizes named `bytes` are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar, Final

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.record_parts import (
    ChangedTopic,
    DroppedAlert,
    DroppedLoss,
    DroppedSegments,
    ProducerCounters,
    TopicActivity,
)

RECORD_SCHEMA_VERSION: Final = '1.6.0'
"""Semantic version of the record schema, as stored in every segment.

1.1.0: flight_header, and flight_footer up to `clean_shutdown`.
1.2.0: identity of software, vehicle and host in the header; all further counters, in total and
for each producer, in the footer; the other kinds.
1.3.0: `log_time` is steady; its offset, and the state of the clock, in the header, the clock at
the end in the footer; clock_step and clock_status; `flight_number` in the header; `folded`,
`loss_detection`, `first_sequence` and `before_match` in the counters of producers, and the total
of the last one; `before_match` in transport_loss.
1.4.0: `requested` and `topics` in header and footer; requested_topic; in write_error when the
spell ended and of which times the discarded records were; record_invalid; in
segment_rollover what the dropped segment told.
1.5.0: `last_seal` in segment_rollover.
1.6.0: pin; flight_removed; throttled, `throttled` in the counters of producers, and its total;
`metadata` in the header; node_parameters; config_change.
"""

METADATA_NAME: Final = 'fdr_recorder'
"""Of the MCAP metadata record that explains a segment."""


@dataclass(frozen=True, kw_only=True)
class RequestedTopic(Payload):
    """
    One thing that the configuration asked for by name, and what became of it.

    As a record of its own it tells that the `outcome` has become another, as far as that is not
    seen in the messages themselves. See `fdr_recorder.record.requested`.
    """

    KIND = 'requested_topic'

    name: str = ''
    outcome: str = ''
    topic: str = ''
    option: str = ''
    topics: int = 0


@dataclass(frozen=True, kw_only=True)
class FlightHeader(Payload):
    """
    The identity of a flight, and the configuration, software and host that record it.

    It is the first record of the flight, repeated as the first record of each later segment, with
    what has become of the topics up to there.
    """

    KIND = 'flight_header'
    NESTED: ClassVar[Mapping[str, type[Payload]]] = {
        'requested': RequestedTopic, 'topics': TopicActivity
    }

    flight_id: str = ''
    flight_started_at_iso: str = ''
    flight_started_at_monotonic_ns: int = 0
    config_snapshot: str = ''
    signing_key_rotation_event: str = ''
    manifest_content_hashes: Mapping[str, str] = field(default_factory=dict)
    flight_started_at_ns: int = 0
    vehicle_id: str = ''
    software_version: str = ''
    ros_distro: str = ''
    rmw_implementation: str = ''
    python_version: str = ''
    host_name: str = ''
    host_platform: str = ''
    process_id: int = 0
    log_time_offset_ns: int = field(default=0, compare=False)
    flight_number: int = field(default=0, compare=False)
    host_suspended_ns: int = field(default=0, compare=False)
    clock_state: int = field(default=0, compare=False)
    clock_source: str = field(default='', compare=False)
    requested: tuple[RequestedTopic, ...] = field(default=(), compare=False)
    topics: tuple[TopicActivity, ...] = field(default=(), compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FlightFooter(Payload):
    """The end of a flight and its counters. It is the last record of the flight."""

    KIND = 'flight_footer'
    NESTED: ClassVar[Mapping[str, type[Payload]]] = {
        'producers': ProducerCounters, 'requested': RequestedTopic, 'topics': TopicActivity
    }

    flight_id: str = ''
    flight_ended_at_iso: str = ''
    flight_ended_at_monotonic_ns: int = 0
    records_written: int = 0
    records_dropped_overrun: int = 0
    bytes_written: int = 0
    rollover_count: int = 0
    clean_shutdown: bool = False
    segments_dropped: int = 0
    bytes_dropped: int = 0
    records_dropped_write_error: int = 0
    records_lost_transport: int = 0
    records_repeated: int = 0
    producers: tuple[ProducerCounters, ...] = ()
    flight_ended_at_ns: int = 0
    host_suspended_ns: int = 0
    clock_state: int = 0
    records_before_match: int = 0
    requested: tuple[RequestedTopic, ...] = ()
    topics: tuple[TopicActivity, ...] = ()
    records_throttled: int = 0


@dataclass(frozen=True, kw_only=True)
class SegmentRollover(Payload):
    """
    A closed segment was dropped to keep the flight below its cap or to free low disk space.

    What it told of losses, alerts and `earlier` drops is kept in sums. Among its records were
    `own_records` of the recorder and `repeated` ones; `last_seal` was its last seal, if sealed.
    """

    KIND = 'segment_rollover'
    NESTED: ClassVar[Mapping[str, type[Payload]]] = {
        'earlier': DroppedSegments, 'losses': DroppedLoss, 'alerts': DroppedAlert
    }

    flight_id: str = ''
    segment_index: int = 0
    file_name: str = ''
    bytes: int = 0
    records: int = 0
    first_log_time_ns: int = 0
    last_log_time_ns: int = 0
    total_bytes_before: int = 0
    total_bytes_after: int = 0
    cap_bytes: int = 0
    own_records: int = 0
    repeated: int = 0
    earlier: tuple[DroppedSegments, ...] = ()
    losses: tuple[DroppedLoss, ...] = ()
    alerts: tuple[DroppedAlert, ...] = ()
    last_seal: str = ''


@dataclass(frozen=True, kw_only=True)
class Overrun(Payload):
    """A full ring refused records of one producer."""

    KIND = 'overrun'

    topic: str = ''
    publisher: str = ''
    records: int = 0
    bytes: int = 0
    first_drop_ns: int = 0
    last_drop_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class TransportLoss(Payload):
    """
    Messages of one publisher never arrived.

    `records` of the sequence numbers from `first_sequence` to `last_sequence` (both lost) are
    missing. With `before_match` these are what a publisher that came while the flight was open had
    sent before it was heard.
    """

    KIND = 'transport_loss'

    topic: str = ''
    publisher: str = ''
    records: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    first_seen_ns: int = 0
    last_seen_ns: int = 0
    before_match: bool = False


@dataclass(frozen=True, kw_only=True)
class Throttled(Payload):
    """
    Messages of one publisher were left out, as options or a pause ask: no loss.

    They had arrived from `first_ns` to `last_ns`. The topic, all its publishers together, was
    recorded at `max_rate_hz` messages a second at most.
    """

    KIND = 'throttled'

    topic: str = ''
    publisher: str = ''
    records: int = 0
    max_rate_hz: float = 0.0
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class WriteError(Payload):
    """
    The disk failed for a while; written once the disk accepts data again.

    `segments` were ended by it before they were full; older recorders ended one each time. The
    records that were discarded were received from `first_record_ns` to `last_record_ns`; both are
    0 if there was none. The disk accepted data again at `ended_ns`.
    """

    KIND = 'write_error'

    error_number: int = 0
    error_name: str = ''
    first_error_ns: int = 0
    last_error_ns: int = 0
    records: int = 0
    bytes: int = 0
    segments: int = 1
    ended_ns: int = 0
    first_record_ns: int = 0
    last_record_ns: int = 0

    @property
    def lost_from_to_ns(self) -> tuple[int, int]:
        """Return from when to when records were discarded; older recorders tell of errors."""
        if self.first_record_ns:
            return self.first_record_ns, self.last_record_ns
        return self.first_error_ns, self.last_error_ns


@dataclass(frozen=True, kw_only=True)
class RecordInvalid(Payload):
    """
    Records of one producer cannot be encoded, for a `reason`, and were discarded.

    They were received from `first_record_ns` to `last_record_ns`. The counters have them among
    those that were discarded because of the disk (`dropped_write_error`).
    """

    KIND = 'record_invalid'

    topic: str = ''
    publisher: str = ''
    records: int = 0
    reason: str = ''
    first_record_ns: int = 0
    last_record_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class AlertRecord(Payload):
    """An alert that was raised or cleared while the flight was open."""

    KIND = 'alert'

    code: str = ''
    level: int = 0
    raised: bool = True
    subject: str = ''
    message: str = ''
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClockStep(Payload):
    """
    The system clock was set: it would have shown `before_ns`, and showed `after_ns`.

    Both times and `monotonic_ns` are of the moment at which it was noticed.
    """

    KIND = 'clock_step'

    monotonic_ns: int = 0
    before_ns: int = 0
    after_ns: int = 0
    suspended_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class ClockStatus(Payload):
    """Both clocks at one moment, and how the system clock is kept right."""

    KIND = 'clock_status'

    monotonic_ns: int = 0
    system_ns: int = 0
    suspended_ns: int = 0
    clock_state: int = 0
    source: str = ''
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pin(Payload):
    """
    A time of the flight was pinned: no cap removes the segments that overlap it.

    It reaches from `from_ns` to `to_ns` in log time, which may be to come. Segments up to
    `dropped_until_ns` had been dropped before, if that is within it; else that is 0.
    """

    KIND = 'pin'

    why: str = ''
    from_ns: int = 0
    to_ns: int = 0
    dropped_until_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class NodeParameters(Payload):
    """
    The parameters of a node by name, as JSON, as it told when it was asked in flight.

    Later changes are messages of the topic `/parameter_events`. With a `failure` they are unknown.
    """

    KIND = 'node_parameters'

    node: str = ''
    parameters: Mapping[str, str] = field(default_factory=dict)
    failure: str = ''


@dataclass(frozen=True, kw_only=True)
class ConfigChange(Payload):
    """
    An option was changed while the flight was open.

    `before` and `after` are its values as YAML. `topics` begin or end with it, as far as they are
    known then. With several options that were changed at once, the last has the topics. A topic
    that is found later is told by another record, with the same `changed_ns`, and with `before`
    equal to `after`. To emit it, `changed_ns` is 0 for now, or steady, see `steady_now`.
    """

    KIND = 'config_change'
    NESTED: ClassVar[Mapping[str, type[Payload]]] = {'topics': ChangedTopic}

    option: str = ''
    before: str = ''
    after: str = ''
    changed_ns: int = 0
    topics: tuple[ChangedTopic, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FlightRemoved(Payload):
    """
    Another flight of the root was removed while this one was recorded.

    The limit `cause` asked for it, which was `limit_bytes`. If it was sealed, `newest_seal` is the
    SHA-256 of its newest seal.
    """

    KIND = 'flight_removed'

    flight_id: str = ''
    flight_number: int = 0
    bytes: int = 0
    cause: str = ''
    limit_bytes: int = 0
    root_bytes_before: int = 0
    root_bytes_after: int = 0
    newest_seal: str = ''


PAYLOADS: Final[Mapping[str, type[Payload]]] = {
    cls.KIND: cls
    for cls in Payload.__subclasses__()
    if cls.KIND and cls.__module__ == __name__
}
"""The payload class of every kind."""

KNOWN_PAYLOAD_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    kind: cls.known_keys() for kind, cls in PAYLOADS.items()
}
"""The fields that this version knows, by kind."""
