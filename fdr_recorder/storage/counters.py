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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from itertools import chain, islice
from typing import Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.activity import Activity
from fdr_recorder.record.channel import Channel, QOS_KEY, TYPE_HASH_KEY
from fdr_recorder.record.codec import own_definition
from fdr_recorder.record.kinds import ConfigChange, FlightFooter
from fdr_recorder.record.loss_detection import joint_detection
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.record_parts import ProducerCounters, TopicActivity
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.units import encodable

KEPT_ACCOUNTS: Final = 1000
"""Accounts that a flight keeps of producers that have left."""


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
    records_before_match: int = 0
    records_throttled: int = 0

    @classmethod
    def in_footer(cls, footer: FlightFooter) -> FlightCounters:
        """Return those that stand in a footer."""
        return cls(**{item.name: getattr(footer, item.name) for item in fields(cls)})

    def as_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


def _key(channel: Channel) -> tuple[str, str]:
    """Return topic and type of a channel, as text that can be encoded whatever they are."""
    return encodable(channel.topic), encodable(getattr(channel.schema, 'name', None))


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
        folded: How many accounts were folded into this one; 0 for that of a producer.
        loss_detection: Whether losses in transport can be seen; that of the channel, when the
            writer last looked.
        first_sequence: Number of the first message that was taken from the ring; None before.
        before_match: What a publisher that came late had sent before it was heard.
        throttled: What was left out, as options or a pause ask.
        activity: When the topic was heard; None for the recorder's own records.

    """

    def __init__(self, channel: Channel, client: FdrClient | None = None) -> None:
        """Open the account, for the records that the client offers from now on or that wait."""
        self.channel = channel
        self.topic, self.type = _key(channel)
        self.publisher = encodable(channel.publisher)
        self.client = client
        self.written = 0
        self.repeated = 0
        self.dropped_overrun = 0
        self.dropped_write_error = 0
        self.lost_transport = 0
        self.folded = 0
        self.loss_detection = joint_detection(channel.loss_detection, '')
        self.first_sequence: int | None = None
        self.before_match = 0
        self.throttled = 0
        self.activity: Activity | None = None
        self._own_offered = 0
        self._offered_before = client.ring.acknowledged if client is not None else 0

    @property
    def offered(self) -> int:
        """Count the records that the producer has offered, as the producer counts them."""
        if self.client is None:
            return self._own_offered
        return self.client.ring.offered - self._offered_before

    def finish(self) -> None:
        """Close the account: the producer is gone, and its ring is settled."""
        if self.client is not None:  # not `offered`: it may be back and offer already
            self._own_offered = self.client.ring.acknowledged - self._offered_before
        self.client = None

    def resume(self, client: FdrClient) -> None:
        """Open the account again: the producer is back."""
        if self.client is None:
            self._offered_before = client.ring.acknowledged - self._own_offered
            self.client = client

    def fold(self, other: ProducerAccount) -> None:
        """Add the counters of an account that is closed."""
        self.folded += 1
        self._own_offered += other.offered
        self.written += other.written
        self.repeated += other.repeated
        self.dropped_overrun += other.dropped_overrun
        self.dropped_write_error += other.dropped_write_error
        self.lost_transport += other.lost_transport
        self.before_match += other.before_match
        self.throttled += other.throttled
        self.loss_detection = joint_detection(self.loss_detection, other.loss_detection)

    def note_first(self, sequence: int) -> None:
        """Note the number of the first message; 0 if the middleware did not number it."""
        is_number = type(sequence) is int and 0 <= sequence < 1 << 64
        is_number = is_number and (self.client is None or self.client.is_numbered)
        self.first_sequence = sequence if is_number else 0

    def hear(self, batch: Sequence[QueuedRecord], clock: SteadyClock) -> None:
        """Note when messages came, once for a batch: two numbers, whatever its size."""
        activity, first, last = self.activity, batch[0][0], batch[-1][0]
        if activity is None or type(first) is not int or type(last) is not int:
            return
        offset_ns = clock.offset_ns
        first_ns = offset_ns - first if first < 0 else first
        if not activity.hear(first_ns, offset_ns - last if last < 0 else last):
            activity.look([clock.at(item[0]) for item in batch if type(item[0]) is int])

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
            folded=self.folded,
            loss_detection=self.loss_detection,
            first_sequence=self.first_sequence or 0,
            before_match=self.before_match,
            throttled=self.throttled,
        )


class Ledger:
    """
    All accounts of a flight, and the counters that belong to no producer.

    It does not grow with the producers that come and go: of those that have left, it keeps the
    accounts of the last `KEPT_ACCOUNTS`, and folds the others, by topic and type. So sums stay
    exact.

    Attributes:
        rollover_count: Segments closed because they were full.
        segments_dropped: Segments dropped to stay below the cap or to free space.
        bytes_dropped: Their size.
        records_in_dropped: Records in them.
        records_in_removed: Of these, records in segments that another program has removed.
        began_ns: Log time at which the flight began.

    """

    def __init__(self) -> None:
        """Begin without an account."""
        self.rollover_count = 0
        self.segments_dropped = 0
        self.bytes_dropped = 0
        self.records_in_dropped = 0
        self.records_in_removed = 0
        self.began_ns = 0
        self._activities: dict[tuple[str, str], Activity] = {}
        """By topic and type."""
        self._chosen_ns: dict[str, int] = {}
        """When topics were chosen that are recorded since; at the beginning they were not."""
        self._by_channel: dict[Channel, ProducerAccount] = {}
        self._left: dict[ProducerAccount, None] = {}
        """Accounts of producers that have left, in the order in which they did."""
        self._folded: dict[tuple[str, str], ProducerAccount] = {}
        """By topic and type."""
        self._own: dict[str, ProducerAccount] = {}

    @property
    def accounts(self) -> tuple[ProducerAccount, ...]:
        """Return all accounts in the order in which they were opened, folded ones at the end."""
        return (*self._by_channel.values(), *self._folded.values())

    def has_account(self, channel: Channel) -> bool:
        """Tell whether a channel has an account of its own; any thread."""
        return channel in self._by_channel

    def open_account(self, client: FdrClient) -> ProducerAccount:
        """Open the account of a client; a client that comes back gets its account again."""
        account = self._by_channel.get(client.channel)
        if account is None:
            account = self._add(ProducerAccount(client.channel, client))
            key, is_latched = (account.topic, account.type), client.channel.latched
            if key not in self._activities:
                self._activities[key] = Activity(self.began_ns, is_latched=is_latched)
                if account.topic in self._chosen_ns:
                    self._activities[key].come_back(self._chosen_ns[account.topic])
            account.activity = self._activities[key]
            account.activity.is_latched &= is_latched
            return account
        self._left.pop(account, None)
        account.resume(client)
        return account

    def close_account(self, account: ProducerAccount) -> None:
        """Close the account of a producer that has left."""
        account.finish()
        self._left[account] = None

    def fold(self) -> list[ProducerAccount]:
        """Fold the oldest accounts of those that have left, if there are too many; return them."""
        surplus = len(self._left) - KEPT_ACCOUNTS
        if surplus <= 0:
            return []
        oldest = list(islice(self._left, surplus))
        for account in oldest:
            del self._left[account], self._by_channel[account.channel]
            key = account.topic, account.type
            if key not in self._folded:
                channel = replace(account.channel, publisher='', metadata={})
                self._folded[key] = ProducerAccount(channel)
            self._folded[key].fold(account)
        return oldest

    def note_change(self, change: ConfigChange) -> None:
        """Note which topics are recorded from now on, and which are not any more."""
        for item in change.topics:
            known = [of for (topic, _), of in self._activities.items() if topic == item.topic]
            for activity in known:
                activity.follow(item.topic, [change])
            if item.is_recorded and not known:
                self._chosen_ns[item.topic] = change.changed_ns

    def account_of(self, channel: Channel) -> ProducerAccount:
        """Return the account of a channel that has one, or into which it was folded."""
        account = self._by_channel.get(channel)
        return account if account is not None else self._folded[_key(channel)]

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
        self._by_channel[account.channel] = account
        return account

    def count_dropped(self, segment: ClosedSegment, *, is_removed: bool) -> None:
        """Count a segment that is dropped, or that another program has removed."""
        self.segments_dropped += 1
        self.bytes_dropped += segment.bytes
        self.records_in_dropped += segment.records
        if is_removed:
            self.records_in_removed += segment.records

    def count_written(self, channel: Channel, records: int) -> None:
        """Count records that were written to a segment."""
        self.account_of(channel).written += records

    def count_write_error(self, channel: Channel, records: int) -> None:
        """Count records that were discarded because the disk refused them."""
        self.account_of(channel).dropped_write_error += records

    def count_lost(self, channel: Channel, records: int) -> None:
        """Count records that were written, and that the disk has lost."""
        self.count_written(channel, -records)
        self.count_write_error(channel, records)

    def topics(
        self, ended_ns: int, waiting: Iterable[Mapping[Channel, int]] = ()
    ) -> list[TopicActivity]:
        """
        Return what is known of each topic up to a log time.

        Records that are `waiting` to be written count as written.
        """
        records = dict.fromkeys(self._activities, 0)
        for account in self.accounts:
            key = account.topic, account.type
            if key in records:
                records[key] += account.written - account.repeated
        for channel, count in chain.from_iterable(counts.items() for counts in waiting):
            if _key(channel) in records:
                records[_key(channel)] += count
        return [
            self._activities[key].told(*key, count, ended_ns) for key, count in records.items()
        ]

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
            records_before_match=sum(account.before_match for account in accounts),
            records_throttled=sum(account.throttled for account in accounts),
        )
