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
from contextlib import suppress
import logging
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.errors import RecordError
from fdr_recorder.storage.chunk import sound_record
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.segment_index import check_channel
from fdr_recorder.units import format_size, plural

logger = logging.getLogger(__name__)

MOST_LEFT: Final = 100
"""Messages kept of publishers that have left; far below `KEPT_ACCOUNTS`."""
LEFT_SHARE: Final = 8
"""Their data have at most the size of a segment divided by this."""
MOST_REPEATED: Final = 30_000
"""Each takes one of the 65,535 numbers that a segment has for channels."""
MOST_SHARE: Final = 2
"""A segment begins with at most its size divided by this; the rest is for new messages."""


class LatchedRepeats:
    """
    Keeps the last message of each latched producer; writer's thread.

    A segment that begins with them is complete even after those before it were dropped. The
    messages of publishers that are there come first. Of those that have left, the newest are kept,
    within a bound: a node that starts again and again leaves one message each time.
    """

    def __init__(self, clock: SteadyClock, segment_size_bytes: int) -> None:
        """Begin with no message; take the flight's clock and the size of a segment."""
        self.begun_ns = 0
        """When the newest segment was begun: the log time of its repeats (`steady_now`)."""
        self._clock = clock
        self._most_bytes = segment_size_bytes // MOST_SHARE
        self._most_left_bytes = segment_size_bytes // LEFT_SHARE
        self._present: dict[ProducerAccount, QueuedRecord] = {}
        self._left: dict[ProducerAccount, QueuedRecord] = {}
        """In the order in which their producers left."""
        self._left_bytes = 0
        self._has_told_of_left = False
        self._has_told_of_size = False

    def keep(self, account: ProducerAccount, record: QueuedRecord) -> None:
        """Keep a producer's newest message in place of the one before, if it can be encoded."""
        is_new = account not in self._present
        with suppress(RecordError):
            record = sound_record(record)
            if not (is_new and check_channel(account.channel)):
                publish_time_ns = self._clock.at(record[1])
                self._present[account] = (record[0], publish_time_ns, *record[2:])

    def behind_repeats(self, batch: Sequence[QueuedRecord]) -> Sequence[QueuedRecord]:
        """Return records of a latched channel, none dated before the repeat in its segment."""
        latest_ns = self.begun_ns - 1
        return [
            (min(record[0], latest_ns), *record[1:])
            if type(record[0]) is int and record[0] < 0
            else record
            for record in batch
        ]

    def leave(self, account: ProducerAccount) -> None:
        """Note that a producer has left; keep its message as long as there is room."""
        record = self._present.pop(account, None)
        if record is None:
            return
        out: list[ProducerAccount] = []
        if len(record[3]) > self._most_left_bytes:  # it would take the place of all others
            out.append(account)
        else:
            self._left[account] = record
            self._left_bytes += len(record[3])
        while len(self._left) > MOST_LEFT or self._left_bytes > self._most_left_bytes:
            oldest = next(iter(self._left))
            self._left_bytes -= len(self._left.pop(oldest)[3])
            out.append(oldest)
        if out and not self._has_told_of_left:
            self._has_told_of_left = True
            logger.warning(
                'publishers of latched topics have left, the last of %s: from now on segments '
                'begin with the messages of those that are there, and of those that left with '
                'the newest only (%d, and %s at most)',
                out[-1].topic,
                MOST_LEFT,
                format_size(self._most_left_bytes),
            )

    def come_back(self, account: ProducerAccount) -> None:
        """Note that a producer that had left is back."""
        record = self._left.pop(account, None)
        if record is not None:
            self._left_bytes -= len(record[3])
            self._present[account] = record

    def append_to(self, segment: Segment, now_ns: int) -> list[ProducerAccount]:
        """
        Append the messages to a new segment; return the producers of those that it has room for.

        They are in one chunk with the header: if it cannot be written there is no segment.

        Args:
            segment: The new segment, which holds its header alone.
            now_ns: The log time of the repeats, that of the header.

        """
        newest_first = (*self._present.items(), *reversed(self._left.items()))
        repeated: list[ProducerAccount] = []
        for account, (_, publish_time_ns, sequence, data, _) in newest_first:
            size = segment.finished_size(more_channel=account.channel, more_bytes=len(data))
            if size <= self._most_bytes and len(repeated) < MOST_REPEATED:
                record = (now_ns, publish_time_ns, sequence, data, 0)
                segment.append(account.channel, [record], force=True)
                repeated.append(account)
        if len(repeated) < len(newest_first) and not self._has_told_of_size:
            self._has_told_of_size = True
            fitting = set(repeated)
            logger.warning(
                '%s of latched topics have no room at the start of segments, which is half of '
                'writer.segment_size_bytes; first of %s',
                plural(len(newest_first) - len(repeated), 'message'),
                next(account for account, _ in newest_first if account not in fitting).topic,
            )
        return repeated
