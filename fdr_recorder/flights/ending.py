# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tells how a flight ended, by its footer and `metadata.yaml`."""

from __future__ import annotations

from collections.abc import Set

from fdr_recorder.flights.metadata_reader import Metadata
from fdr_recorder.flights.status import Ended
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX


def how_it_ended(
    footer: FlightFooter | None, metadata: Metadata, present: Set[str], *, is_open: bool
) -> Ended:
    """
    Tell how a flight ended.

    Args:
        footer: Its footer; None if it has none.
        metadata: What its `metadata.yaml` says. That is renewed after the footer is on the disk:
            a recorder that was killed in between has not closed the flight.
        present: Names of the segments that are there.
        is_open: Whether it is being recorded, if it has no footer.

    """
    if footer is None:
        return Ended.OPEN if is_open else Ended.UNKNOWN
    if not metadata.follows(footer) or not present <= metadata.segments:
        return Ended.UNKNOWN
    if not footer.clean_shutdown:
        return Ended.RECOVERED
    return Ended.CLOSED if metadata.says_closed else Ended.UNKNOWN


def has_its_end(footer: FlightFooter | None, ended: Ended) -> bool:
    """Tell whether nothing is missing at the end of a flight, as far as it was recorded."""
    return ended is Ended.OPEN or (footer is not None and footer.clean_shutdown)


def left_out_by_topic(footer: FlightFooter) -> dict[str, int]:
    """Return how many messages were left out, by topic."""
    left_out: dict[str, int] = {}
    for item in footer.producers:
        if item.throttled:
            left_out[item.topic] = left_out.get(item.topic, 0) + item.throttled
    return left_out


def has_no_message(footer: FlightFooter) -> bool:
    """Tell whether a flight never had a message of the vehicle."""
    return not any(
        item.offered + item.lost_transport + item.before_match
        for item in footer.producers
        if not item.topic.startswith(OWN_TOPIC_PREFIX)
    )
