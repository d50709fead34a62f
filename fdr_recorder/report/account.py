# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What became of every message of a flight that has a footer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fdr_recorder.flights.info import TopicDetails
from fdr_recorder.record.kinds import FlightFooter, OWN_TOPIC_PREFIX


@dataclass(frozen=True)
class Account:
    """
    What became of the messages of a flight that has a footer.

    Attributes:
        offered: Reached the recorder.
        lost_transport: Never did, as far as sequence numbers tell.
        dropped_overrun: Refused by a full ring.
        dropped_write_error: Refused by the disk.
        written: Lie in segments, repeats and dropped segments included.
        repeated: Latched messages written again.
        own: Records of the recorder itself, written.
        dropped: Of what was written, lay in segments that were dropped.
        present: Lie in the segments that are here.

    """

    offered: int
    lost_transport: int
    dropped_overrun: int
    dropped_write_error: int
    written: int
    repeated: int
    own: int
    dropped: int
    present: int

    @classmethod
    def of(cls, topics: Iterable[TopicDetails], footer: FlightFooter) -> Account:
        """Sum up."""
        of_topics = [
            item for item in footer.producers if not item.topic.startswith(OWN_TOPIC_PREFIX)
        ]

        def total(name: str) -> int:
            return sum(getattr(item, name) for item in of_topics)

        written = total('written')
        present = sum(topic.messages for topic in topics)
        return cls(
            offered=total('offered'),
            lost_transport=total('lost_transport'),
            dropped_overrun=total('dropped_overrun'),
            # a recovered flight does not know whose they were
            dropped_write_error=total('dropped_write_error')
            or footer.records_dropped_write_error,
            written=written,
            repeated=total('repeated'),
            own=footer.records_written - written,
            dropped=max(written - present, 0),
            present=present,
        )

    @property
    def published(self) -> int:
        """How many messages are known of."""
        return self.offered + self.lost_transport

    @property
    def missing(self) -> int:
        """How many of them are not here."""
        return (
            self.lost_transport + self.dropped_overrun + self.dropped_write_error + self.dropped
        )
