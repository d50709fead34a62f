# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The client: what it fills in, what it remembers, and the losses that it counts."""

from __future__ import annotations

from array import array
import time

from fdr_recorder import Channel, FdrClient, RingConfig
from fdr_recorder.capture.client import MAX_LOSS, MAX_TIME_NS, TransportLosses
from fdr_recorder.capture.ring import RECORD_OVERHEAD_BYTES, RingBudget
from producers import BLOB, make_client
import pytest


def test_a_client_refuses_while_no_flight_is_open() -> None:
    client = make_client()
    assert client.enqueue(b'data') is False
    assert client.ring.offered == 0


def test_a_client_fills_in_times_and_counts_up_the_sequence() -> None:
    client = make_client()
    client.ring.is_open = True
    before_ns = time.monotonic_ns()
    client.enqueue(b'a')
    client.enqueue(b'b', log_time_ns=7)
    client.enqueue(b'c', log_time_ns=8, publish_time_ns=6, sequence=40)
    first, second, third = client.ring.take(3)
    assert first[0] == first[1]
    assert before_ns <= -first[0] <= time.monotonic_ns()  # steady times are negative
    assert second[:4] == (7, 7, 1, b'b')
    assert third[:4] == (8, 6, 40, b'c')


def test_a_client_takes_its_bounds_from_the_configuration() -> None:
    client = FdrClient(Channel('/x', BLOB), RingConfig(max_records=2))
    client.ring.is_open = True
    assert [client.enqueue(b'') for _ in range(3)] == [True, True, False]


def test_a_latched_client_remembers_its_last_message_also_between_flights() -> None:
    client = make_client(latched=True)
    client.enqueue(b'first', publish_time_ns=1)
    client.enqueue(b'second', publish_time_ns=2)
    assert client.latest == (2, 1, b'second')


def test_an_ordinary_client_remembers_nothing() -> None:
    client = make_client()
    client.enqueue(b'data')
    assert client.latest is None


def test_transport_losses_are_told_once_and_as_a_spell() -> None:
    client = make_client()
    client.count_transport_loss(5, 7)
    client.count_transport_loss(10, 10)
    losses = client.acknowledge_losses()
    assert (losses.records, losses.first_sequence, losses.last_sequence) == (4, 5, 10)
    assert 0 < losses.first_ns <= losses.last_ns
    assert client.acknowledge_losses().records == 0
    client.count_transport_loss(20, 21)
    losses = client.acknowledge_losses()
    assert (losses.records, losses.first_sequence, losses.last_sequence) == (2, 20, 21)


def test_the_client_counts_only_the_sequences_that_it_fills_in() -> None:
    client = make_client()
    client.ring.is_open = True
    client.enqueue(b'')
    client.enqueue(b'', sequence=7)
    client.enqueue(b'')
    assert [record[2] for record in client.ring.take(3)] == [0, 7, 1]


def test_a_refused_message_takes_its_sequence_number_with_it() -> None:
    """A reader then sees the jump."""
    client = make_client(ring=RingConfig(max_records=1))
    client.ring.is_open = True
    assert [client.enqueue(b'') for _ in range(3)] == [True, False, False]
    first = client.ring.take(1)
    client.enqueue(b'')
    (last,) = client.ring.take(1)
    assert (first[0][2], last[2]) == (0, 3)


@pytest.mark.parametrize(
    ('given', 'kept'),
    [
        (-1, 0),
        (0, 0),
        (MAX_TIME_NS, MAX_TIME_NS),
        (MAX_TIME_NS + 1, MAX_TIME_NS),
        (2**64, MAX_TIME_NS),
    ],
)
def test_times_out_of_range_become_the_nearest_valid_time(given: int, kept: int) -> None:
    client = make_client()
    client.ring.is_open = True
    client.enqueue(b'', log_time_ns=5, publish_time_ns=given)
    client.enqueue(b'', log_time_ns=given, publish_time_ns=6)
    first, second = client.ring.take(2)
    assert (first[:2], second[:2]) == ((5, kept), (kept, 6))


@pytest.mark.parametrize(
    'data',
    [bytearray(b'abc'), memoryview(b'abc'), array('B', b'abc')],
    ids=['bytearray', 'memoryview', 'array'],
)
def test_a_buffer_is_copied_and_may_change_afterwards(data: bytearray) -> None:
    client = make_client()
    client.ring.is_open = True
    client.enqueue(data)  # type: ignore[arg-type]
    if not isinstance(data, memoryview):
        data[0] = 0
    ((*_, kept, _),) = client.ring.take(1)
    assert (type(kept), kept) == (bytes, b'abc')


@pytest.mark.parametrize('data', ['text', 7, None, [1]])
def test_what_is_no_buffer_is_refused_and_not_counted(data: object) -> None:
    client = make_client()
    client.ring.is_open = True
    with pytest.raises(TypeError):
        client.enqueue(data)  # type: ignore[arg-type]
    assert client.ring.offered == 0
    client.enqueue(b'')
    assert client.ring.take(1)[0][2] == 0


def test_a_latched_client_remembers_also_what_its_ring_refuses() -> None:
    client = make_client(latched=True, ring=RingConfig(max_records=1))
    client.ring.is_open = True
    assert client.enqueue(b'first', publish_time_ns=1)
    assert not client.enqueue(b'second', publish_time_ns=2)
    assert client.latest == (2, 1, b'second')


def test_offer_remembers_the_message_of_a_latched_client_too() -> None:
    client = make_client(latched=True)
    client.ring.is_open = True
    assert client.offer(4, 3, 2, b'data')
    assert client.latest == (3, 2, b'data')
    assert client.ring.take(1)[0][:4] == (4, 3, 2, b'data')


def test_clients_of_one_budget_share_it() -> None:
    budget = RingBudget(2 * RECORD_OVERHEAD_BYTES)
    clients = [FdrClient(Channel(f'/{name}', BLOB), budget=budget) for name in 'ab']
    for client in clients:
        client.ring.is_open = True
        assert client.enqueue(b'')
    assert not clients[0].enqueue(b'')
    clients[1].ring.take(1)
    assert clients[0].enqueue(b'')


def test_losses_of_later_spells_add_up_until_they_are_acknowledged() -> None:
    client = make_client()
    client.count_transport_loss(1, 1)
    first = client.acknowledge_losses()
    client.count_transport_loss(3, 4)
    client.count_transport_loss(8, 9)
    assert client.losses.records == 5, 'since the client was created'
    second = client.acknowledge_losses()
    assert (second.records, second.first_sequence, second.last_sequence) == (4, 3, 9)
    assert second.first_ns >= first.last_ns


def test_a_client_without_losses_has_none_to_acknowledge() -> None:
    assert make_client().acknowledge_losses() == TransportLosses()


def test_what_was_sent_before_it_was_heard_is_counted_apart() -> None:
    client = make_client()
    client.count_before_match(1, 4)
    client.count_transport_loss(7, 7)
    losses = client.acknowledge_losses()
    assert (losses.records, losses.before_match, losses.last_before_match) == (1, 4, 4)
    assert losses.before_match_ns > 0
    client.count_transport_loss(9, 9)
    losses = client.acknowledge_losses()
    assert (losses.records, losses.before_match) == (1, 0)


@pytest.mark.parametrize('last', [2**63 - 1, 2**64 - 1])
def test_an_absurd_first_number_is_bounded(last: int) -> None:
    client = make_client()
    client.count_before_match(1, last)
    assert client.acknowledge_losses().before_match == MAX_LOSS
