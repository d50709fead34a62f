# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The latched (transient-local) messages that are repeated at the start of each segment."""

from __future__ import annotations

from collections.abc import Sequence

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.storage.chunk import check_record
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.segment_index import check_channel


class LatchedRepeats:
    """
    Keeps the last message of each latched producer; writer's thread.

    A segment that begins with them is complete even after those before it were dropped.
    """

    def __init__(self, clock: SteadyClock) -> None:
        self._records: dict[ProducerAccount, QueuedRecord] = {}
        self._clock = clock
        self.begun_ns = 0
        """When the newest segment was begun: the log time of its repeats (`steady_now`)."""

    def keep(self, account: ProducerAccount, record: QueuedRecord) -> None:
        """Keep a producer's newest message in place of the one before, if it can be encoded."""
        is_new = account not in self._records
        if not check_record(record) and not (is_new and check_channel(account.channel)):
            publish_time_ns = self._clock.at(record[1])
            self._records[account] = (record[0], publish_time_ns, *record[2:])

    def behind_repeats(self, batch: Sequence[QueuedRecord]) -> Sequence[QueuedRecord]:
        """Return records of a latched channel, none dated before the repeat in its segment."""
        latest_ns = self.begun_ns - 1
        return [
            (min(record[0], latest_ns), *record[1:])
            if type(record[0]) is int and record[0] < 0
            else record
            for record in batch
        ]

    def append_to(self, segment: Segment, now_ns: int, limit: int) -> list[ProducerAccount]:
        """
        Append the messages to a new segment; return the producers of those that it has room for.

        They are in one chunk with the header: if it cannot be written there is no segment.

        Args:
            segment: The new segment, which holds its header alone.
            now_ns: The log time of the repeats, that of the header.
            limit: The size in bytes up to which the segment may be filled by this.

        """
        repeated = []
        for account, (_, publish_time_ns, sequence, data, _) in self._records.items():
            size = segment.finished_size(more_channel=account.channel, more_bytes=len(data))
            if size <= limit:
                record = (now_ns, publish_time_ns, sequence, data, 0)
                segment.append(account.channel, [record], force=True)
                repeated.append(account)
        return repeated
