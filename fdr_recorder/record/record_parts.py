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
What the recorder's own records have lists of: counters of a producer, sums of a dropped segment.

Their names and fields follow the rules of `fdr_recorder.record.kinds`.
"""

from __future__ import annotations

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.payload import Payload


@dataclass(frozen=True, kw_only=True)
class TopicActivity(Payload):
    """
    One topic of a flight, in one type: how many messages, and the longest time without one.

    See `fdr_recorder.record.activity`.
    """

    topic: str = ''
    type: str = ''
    records: int = 0
    longest_silence_ns: int = 0
    silence_began_ns: int = 0
    last_message_ns: int = 0
    latched: bool = False


@dataclass(frozen=True, kw_only=True)
class ProducerCounters(Payload):
    """
    The counters of one producer in one flight.

    `offered = written - repeated + dropped_overrun + dropped_write_error` holds for each, and
    `published = offered + throttled + lost_transport + before_match` where `loss_detection` is
    `sequence`. Where it is `none` losses in transport cannot be seen, and the last two mean
    nothing. It is empty for what does not come from a middleware, and in flights of versions
    before 1.3.0.

    `first_sequence` is the number of the first message that was recorded; 0 if it is not known.
    `before_match` counts what a publisher that came while the flight was open had sent before it
    was heard. `throttled` counts what was left out, as asked.

    With `folded` above 0 these are the sums of so many publishers of the topic and type that have
    left; `publisher` is empty then, and `first_sequence` is 0.
    """

    topic: str = ''
    type: str = ''
    publisher: str = ''
    offered: int = 0
    written: int = 0
    repeated: int = 0
    dropped_overrun: int = 0
    dropped_write_error: int = 0
    lost_transport: int = 0
    folded: int = 0
    loss_detection: str = ''
    first_sequence: int = 0
    before_match: int = 0
    throttled: int = 0


@dataclass(frozen=True, kw_only=True)
class ChangedTopic(Payload):
    """A topic that is recorded from now on, or not any more, because an option was changed."""

    topic: str = ''
    is_recorded: bool = False


@dataclass(frozen=True, kw_only=True)
class DroppedSegments(Payload):
    """
    Segments of the numbers from first to last that are gone, with the records that told of them.

    `cause` is `capacity`, or `removed` for those that another program has removed.
    """

    cause: str = ''
    segments: int = 0
    first_index: int = 0
    last_index: int = 0
    bytes: int = 0
    records: int = 0
    own_records: int = 0
    repeated: int = 0
    first_log_time_ns: int = 0
    last_log_time_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class DroppedLoss(Payload):
    """
    Sums of what so many records of losses told (`times`) that were in a segment which is gone.

    `cause` is `transport`, `before_match`, `overrun`, `write_error`, `invalid` or `throttled`.
    Topic and publisher are empty where there were too many to name each.
    """

    cause: str = ''
    topic: str = ''
    publisher: str = ''
    error_name: str = ''
    times: int = 0
    records: int = 0
    bytes: int = 0
    segments: int = 0
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class DroppedAlert(Payload):
    """
    Sums of what records of one alert told that were in a segment which is gone.

    It was raised and cleared so many times, with this `message` last, and then it `is_present`.
    """

    code: str = ''
    level: int = 0
    subject: str = ''
    message: str = ''
    raised: int = 0
    cleared: int = 0
    is_present: bool = False
    first_ns: int = 0
    last_ns: int = 0
