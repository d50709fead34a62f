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
The running counters of an open flight. Only the writer's thread changes them.

Each producer has an account. The totals are sums of these, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.record.channel import Channel, QOS_KEY, TYPE_HASH_KEY
from fdr_recorder.record.codec import own_definition
from fdr_recorder.record.kinds import Payload, ProducerCounters


@dataclass(frozen=True)
class FlightCounters:
    """
    The counters of a flight at one moment.

    `bytes_written` counts the bytes in files, without the summary of the open segment.
    """

    records_written: int = 0
    records_dropped_overrun: int = 0
    bytes_written: int = 0
    rollover_count: int = 0
    segments_dropped: int = 0
    bytes_dropped: int = 0
    records_dropped_write_error: int = 0
    records_lost_transport: int = 0
    records_repeated: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


def _encodable(text: object) -> str:
    return str(text).encode(errors='backslashreplace').decode()


class ProducerAccount:
    """
    Counts what happened to the records of one producer in one flight.

    Attributes:
        channel: The producer's channel.
        topic: Text of the channel that can be encoded, whatever the channel holds.
        type: Likewise.
        publisher: Likewise.
        client: Its client; None for the recorder's own records, and once the producer is gone.
        written: Records written to segments, including repeats and dropped segments.
        repeated: Transient-local messages repeated at a segment's start.
        dropped_overrun: Records that the ring refused.
        dropped_write_error: Records that were discarded because the disk refused them, or because
            they cannot be encoded.
        lost_transport: Messages lost in transport.

    """

    def __init__(self, channel: Channel, client: FdrClient | None = None) -> None:
        """Open the account, for the records that the client offers from now on or that wait."""
        self.channel = channel
        self.topic = _encodable(channel.topic)
        self.type = _encodable(getattr(channel.schema, 'name', None))
        self.publisher = _encodable(channel.publisher)
        self.client = client
        self.written = 0
        self.repeated = 0
        self.dropped_overrun = 0
        self.dropped_write_error = 0
        self.lost_transport = 0
        self._own_offered = 0
        self._offered_before = client.ring.acknowledged if client is not None else 0

    @property
    def offered(self) -> int:
        """Count the records that the producer has offered, as the producer counts them."""
        if self.client is None:
            return self._own_offered
        return self.client.ring.offered - self._offered_before

    def finish(self) -> None:
        """Close the account: the producer is gone, and its ring is empty."""
        self._own_offered = self.offered
        self.client = None

    def resume(self, client: FdrClient) -> None:
        """Open the account again: the producer is back."""
        self._offered_before = client.ring.acknowledged - self.offered
        self.client = client

    def count_own(self) -> int:
        """Count one more of the recorder's own records; return its sequence number."""
        self._own_offered += 1
        return self._own_offered - 1

    def snapshot(self) -> ProducerCounters:
        """Return the counters for the footer."""
        return ProducerCounters(
            topic=self.topic,
            type=self.type,
            publisher=self.publisher,
            offered=self.offered,
            written=self.written,
            repeated=self.repeated,
            dropped_overrun=self.dropped_overrun,
            dropped_write_error=self.dropped_write_error,
            lost_transport=self.lost_transport,
        )


class Ledger:
    """
    All accounts of a flight, and the counters that belong to no producer.

    Attributes:
        accounts: In the order in which they were opened.
        rollover_count: Segments closed because they were full.
        segments_dropped: Segments dropped to stay below the cap or to free space.
        bytes_dropped: Their size.
        records_in_dropped: Records in them.

    """

    def __init__(self) -> None:
        """Begin without an account."""
        self.accounts: list[ProducerAccount] = []
        self.rollover_count = 0
        self.segments_dropped = 0
        self.bytes_dropped = 0
        self.records_in_dropped = 0
        self._by_channel: dict[Channel, ProducerAccount] = {}
        self._own: dict[str, ProducerAccount] = {}

    def open_account(self, client: FdrClient) -> ProducerAccount:
        """Open the account of a client; a client that comes back gets its account again."""
        account = self._by_channel.get(client.channel)
        if account is None:
            return self._add(ProducerAccount(client.channel, client))
        account.resume(client)
        return account

    def account_of(self, channel: Channel) -> ProducerAccount:
        """Return the account of a channel that has one."""
        return self._by_channel[channel]

    def own_account(self, payload_type: type[Payload]) -> ProducerAccount:
        """Return the account of one kind of the recorder's own records."""
        account = self._own.get(payload_type.KIND)
        if account is None:
            definition = own_definition(payload_type)
            metadata = {QOS_KEY: '', TYPE_HASH_KEY: definition.type_hash}
            topic = payload_type.channel_topic()
            channel = Channel(topic, definition.schema, metadata=metadata)
            account = self._own[payload_type.KIND] = self._add(ProducerAccount(channel))
        return account

    def _add(self, account: ProducerAccount) -> ProducerAccount:
        self.accounts.append(account)
        self._by_channel[account.channel] = account
        return account

    def count_written(self, channel: Channel, records: int) -> None:
        """Count records that were written to a segment."""
        self._by_channel[channel].written += records

    def count_write_error(self, channel: Channel, records: int) -> None:
        """Count records that were discarded because the disk refused them."""
        self._by_channel[channel].dropped_write_error += records

    def count_lost(self, channel: Channel, records: int) -> None:
        """Count records that were written, and that the disk has lost."""
        self.count_written(channel, -records)
        self.count_write_error(channel, records)

    def totals(self, bytes_present: int) -> FlightCounters:
        """Return the sums of all accounts, with the size of the segments that were not dropped."""
        accounts = self.accounts
        return FlightCounters(
            records_written=sum(account.written for account in accounts),
            records_dropped_overrun=sum(account.dropped_overrun for account in accounts),
            bytes_written=bytes_present + self.bytes_dropped,
            rollover_count=self.rollover_count,
            segments_dropped=self.segments_dropped,
            bytes_dropped=self.bytes_dropped,
            records_dropped_write_error=sum(
                account.dropped_write_error for account in accounts
            ),
            records_lost_transport=sum(account.lost_transport for account in accounts),
            records_repeated=sum(account.repeated for account in accounts),
        )
