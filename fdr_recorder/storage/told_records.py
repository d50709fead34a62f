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
What the recorder's own records in a segment tell, kept until the segment is dropped.

They must outlive it. So the open segment keeps them as they are, and a segment that has ended in
sums, encoded: mostly nothing, or some hundred bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.codec import decode_own, encode
from fdr_recorder.record.dropped import DroppedAccount
from fdr_recorder.record.kinds import (
    AlertRecord,
    Overrun,
    PAYLOADS,
    RecordInvalid,
    SegmentRollover,
    Throttled,
    TransportLoss,
    WriteError,
)
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload
from fdr_recorder.storage.closed_segment import ClosedSegment

_TELLING: Final = (
    AlertRecord, Overrun, RecordInvalid, SegmentRollover, Throttled, TransportLoss, WriteError
)
_MOST_KEPT: Final = 10_000
"""Records of one kind that an open segment keeps as they are; of more, the older half is summed
up: no sync that fails can still take those away."""
_SHARE: Final = 8
"""A record of a drop has at most this part of a segment."""
_SEAL_SHARE: Final = 48
"""A seal in such a record has at most this part of a segment."""
_ENTRY_BYTES: Final = 320
"""What a loss and an alert take, with long names."""
_FEWEST, _MOST = 8, 1000


def is_own(channel: Channel) -> bool:
    """Tell whether a channel is one of the recorder itself."""
    return channel.topic.startswith(OWN_TOPIC_PREFIX)


class ToldRecords:
    """
    The records of one own channel in one segment. Used by the writer's thread.

    Attributes:
        waiting: Records that are in the open chunk.

    """

    def __init__(self, payload_type: type[Payload]) -> None:
        """Begin with no record."""
        self.waiting: list[QueuedRecord] = []
        self._payload_type = payload_type
        self._written: list[tuple[int, bytes]] = []
        self._older = DroppedAccount()

    @classmethod
    def of(cls, channel: Channel) -> ToldRecords | None:
        """Return one for a channel of a kind that tells what must outlive the segment."""
        if not is_own(channel):
            return None
        payload_type = PAYLOADS.get(channel.topic.removeprefix(OWN_TOPIC_PREFIX))
        return cls(payload_type) if payload_type in _TELLING else None

    def add_written(self, clock: SteadyClock) -> None:
        """Note that the waiting records are in the file."""
        self._written += [(clock.at(record[0]), record[3]) for record in self.waiting]
        self.waiting.clear()
        if len(self._written) > _MOST_KEPT:
            older = self._written[:_MOST_KEPT // 2]
            del self._written[:_MOST_KEPT // 2]
            self._add(older, self._older)

    def remove(self, records: int) -> None:
        """Forget so many records, the newest in the file: a failed sync has lost them."""
        del self._written[max(len(self._written) - records, 0):]

    def add_to(self, account: DroppedAccount) -> None:
        """Add what the records in the file tell."""
        account.add_account(self._older)
        self._add(self._written, account)

    def _add(self, records: Sequence[tuple[int, bytes]], account: DroppedAccount) -> None:
        for time_ns, data in records:
            account.add(time_ns, decode_own(self._payload_type, data))


def told_by(records: Sequence[ToldRecords], segment_bytes: int) -> bytes:
    """Sum up what the records in a segment tell, for `rollover_of`; empty if nothing."""
    account = DroppedAccount()
    for told in records:
        told.add_to(account)
    if not account:
        return b''
    most = min(max(segment_bytes // _SHARE // _ENTRY_BYTES, _FEWEST), _MOST)
    return encode(SegmentRollover(**account.values(most)))


def rollover_of(
    segment: ClosedSegment, flight_id: str, before: int, cap_bytes: int, segment_bytes: int
) -> SegmentRollover:
    """
    Return the record of a drop; all segments had so many bytes before.

    Where segments are so small that such records would fill them, and each lead to the next drop,
    the last seal is in SEALS alone.
    """
    has_room = segment_bytes >= _SEAL_SHARE * len(segment.last_seal)
    told = decode_own(SegmentRollover, segment.told) if segment.told else SegmentRollover()
    return replace(
        told,
        flight_id=flight_id,
        segment_index=segment.index,
        file_name=segment.file_name,
        bytes=segment.bytes,
        records=segment.records,
        first_log_time_ns=segment.first_log_time_ns,
        last_log_time_ns=segment.last_log_time_ns,
        total_bytes_before=before,
        total_bytes_after=before - segment.bytes,
        cap_bytes=cap_bytes,
        own_records=segment.own_records,
        repeated=segment.repeated,
        last_seal=segment.last_seal.decode() if has_room else '',
    )
