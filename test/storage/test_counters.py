# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The running counters of a flight: one account for each producer, totals that are sums."""

from __future__ import annotations

from dataclasses import fields

from fdr_recorder import Channel, FdrClient, FlightFooter, FlightHeader, RingConfig
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import Overrun
from fdr_recorder.storage.counters import FlightCounters, KEPT_ACCOUNTS, Ledger
from producers import BLOB, make_client
import pytest


def open_client(topic: str = '/blob', max_records: int = 100) -> FdrClient:
    client = make_client(topic, ring=RingConfig(max_records=max_records))
    client.ring.is_open = True
    return client


def enqueue(client: FdrClient, count: int) -> None:
    for _ in range(count):
        client.enqueue(b'')


# --- one producer ------------------------------------------------------------------------------


def test_offered_counts_accepted_and_refused_records_from_the_beginning_of_the_flight() -> None:
    client = open_client(max_records=3)
    enqueue(client, 2)
    client.ring.take(10)  # by the flight before
    account = Ledger().open_account(client)
    assert account.offered == 0
    enqueue(client, 5)
    assert account.offered == 5


def test_records_that_wait_in_the_ring_belong_to_the_flight_that_takes_them() -> None:
    """A pre-roll: enqueued before the flight began."""
    client = open_client()
    enqueue(client, 4)
    client.ring.take(1)
    assert Ledger().open_account(client).offered == 3


def test_refusals_before_the_flight_count_unless_they_were_acknowledged() -> None:
    client = open_client(max_records=1)
    enqueue(client, 3)
    client.ring.acknowledge_refusals()
    enqueue(client, 1)
    assert Ledger().open_account(client).offered == 2  # one that waits, the last refusal


def test_a_finished_account_keeps_its_counters() -> None:
    client = open_client()
    account = Ledger().open_account(client)
    enqueue(client, 3)
    client.ring.take(3)
    account.finish()
    enqueue(client, 1)
    assert (account.offered, account.client) == (3, None)


def test_a_producer_that_comes_back_goes_on_with_its_account() -> None:
    ledger, client = Ledger(), open_client()
    account = ledger.open_account(client)
    enqueue(client, 3)
    client.ring.take(3)
    account.finish()
    enqueue(client, 2)
    client.ring.take(2)  # discarded while it was away
    assert ledger.open_account(client) is account
    assert account.offered == 3
    enqueue(client, 1)
    assert account.offered == 4
    assert ledger.accounts == (account,)


def test_own_records_have_consecutive_numbers() -> None:
    account = Ledger().own_account(Overrun)
    assert [account.count_own(), account.count_own()] == [0, 1]
    assert account.offered == 2


def test_a_snapshot_has_all_counters_of_the_producer() -> None:
    client = open_client('/imu')
    account = Ledger().open_account(client)
    enqueue(client, 9)
    names = (
        'written', 'repeated', 'dropped_overrun', 'dropped_write_error', 'lost_transport',
        'before_match',
    )  # fmt: skip
    for number, name in enumerate(names, 10):
        setattr(account, name, number)
    snapshot = account.snapshot()
    assert (snapshot.topic, snapshot.type, snapshot.publisher) == ('/imu', BLOB.name, '')
    assert snapshot.offered == 9
    assert [getattr(snapshot, name) for name in names] == [10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize(
    ('taken', 'expected'), [(7, 7), (0, 0), (2**64 - 1, 2**64 - 1), (-1, 0), (2**64, 0)]
)
def test_the_first_number_is_noted_once_and_fits_the_footer(taken: int, expected: int) -> None:
    account = Ledger().open_account(open_client())
    assert account.snapshot().first_sequence == 0
    account.note_first(taken)
    assert account.snapshot().first_sequence == expected
    assert encode(FlightFooter(producers=(account.snapshot(),)))


# --- all producers -----------------------------------------------------------------------------


def test_clients_of_one_topic_have_an_account_each() -> None:
    ledger = Ledger()
    first, second = (make_client('/blob', publisher) for publisher in ('01', '02'))
    assert ledger.open_account(first) is not ledger.open_account(second)
    assert [account.channel.publisher for account in ledger.accounts] == ['01', '02']


def test_each_kind_of_own_records_has_one_account() -> None:
    ledger = Ledger()
    account = ledger.own_account(FlightHeader)
    assert ledger.own_account(FlightHeader) is account
    assert ledger.own_account(FlightFooter) is not account
    assert account.channel.topic == FlightHeader.channel_topic()
    assert account.channel.metadata['topic_type_hash']


def test_written_and_discarded_records_are_counted_by_channel() -> None:
    ledger, client = Ledger(), make_client()
    account = ledger.open_account(client)
    other = ledger.own_account(Overrun)
    ledger.count_written(client.channel, 3)
    ledger.count_written(client.channel, 4)
    ledger.count_write_error(client.channel, 5)
    assert (account.written, account.dropped_write_error) == (7, 5)
    assert (other.written, other.dropped_write_error) == (0, 0)


def test_a_channel_without_an_account_is_an_error() -> None:
    with pytest.raises(KeyError):
        Ledger().count_written(Channel('/blob', BLOB), 1)


def test_accounts_of_producers_that_left_are_folded_by_topic_and_type() -> None:
    ledger, gone = Ledger(), KEPT_ACCOUNTS + 5
    for number in range(gone):
        client = make_client('/odd' if number % 2 else '/even', f'{number:04x}')
        account = ledger.open_account(client)
        account.written = number
        account.before_match = 2 * number
        account.note_first(number)
        account.loss_detection = 'none' if number == 3 else 'sequence'
        ledger.close_account(account)
    before = ledger.totals(0)
    folded = ledger.fold()
    assert [account.channel.publisher for account in folded] == [f'{n:04x}' for n in range(5)]
    assert ledger.fold() == []
    assert ledger.totals(0) == before
    assert len(ledger.accounts) == KEPT_ACCOUNTS + 2
    even, odd = (account.snapshot() for account in ledger.accounts[-2:])
    assert (even.topic, even.type, even.publisher) == ('/even', BLOB.name, '')
    assert (even.folded, even.written) == (3, 0 + 2 + 4)
    assert (odd.topic, odd.folded, odd.written) == ('/odd', 2, 1 + 3)
    assert (even.loss_detection, odd.loss_detection) == ('sequence', 'none')
    assert (even.before_match, odd.before_match) == (2 * (0 + 2 + 4), 2 * (1 + 3))
    assert (even.first_sequence, odd.first_sequence) == (0, 0)
    ledger.count_written(folded[4].channel, 10)  # it was in the open chunk
    ledger.count_write_error(folded[3].channel, 1)
    even, odd = (account.snapshot() for account in ledger.accounts[-2:])
    assert (even.written, odd.dropped_write_error) == (16, 1)


def test_a_producer_that_is_back_is_not_folded() -> None:
    ledger, client = Ledger(), open_client()
    account = ledger.open_account(client)
    ledger.close_account(account)
    assert ledger.open_account(client) is account
    for number in range(KEPT_ACCOUNTS + 1):
        ledger.close_account(ledger.open_account(make_client('/blob', f'{number:04x}')))
    ledger.fold()
    assert ledger.has_account(client.channel)


def test_totals_are_the_sums_of_all_accounts_and_what_was_dropped() -> None:
    ledger = Ledger()
    for factor, account in (
        (1, ledger.open_account(make_client('/a'))),
        (100, ledger.own_account(Overrun)),
    ):
        account.written = 1 * factor
        account.repeated = 2 * factor
        account.dropped_overrun = 3 * factor
        account.dropped_write_error = 4 * factor
        account.lost_transport = 5 * factor
        account.before_match = 6 * factor
        account.throttled = 7 * factor
    ledger.rollover_count, ledger.segments_dropped, ledger.bytes_dropped = 6, 7, 8000
    assert ledger.totals(bytes_present=500) == FlightCounters(
        records_written=101,
        records_repeated=202,
        records_dropped_overrun=303,
        records_dropped_write_error=404,
        records_lost_transport=505,
        records_before_match=606,
        records_throttled=707,
        bytes_written=8500,
        rollover_count=6,
        segments_dropped=7,
        bytes_dropped=8000,
    )


def test_counters_by_name_are_fields_of_the_footer() -> None:
    """The footer and `metadata.yaml` take them as they are."""
    names = FlightCounters().as_dict().keys()
    assert list(names) == [item.name for item in fields(FlightCounters)]
    assert names <= {item.name for item in fields(FlightFooter)}
