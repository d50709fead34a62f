# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What came in before the flight was opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import time

from conftest import QUICK
from fdr_recorder import FdrClient, FdrWriterConfig, FileFdrWriter, FlightHeader, RingConfig
from fdr_recorder.capture.ring import RingBudget
from fdr_recorder.errors import FlightExistsError
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.storage.flight_directory import FlightDirectory
from flight_check import check_flight
from producers import make_client, number_of, numbered, open_flight, send
import pytest
from waiting import wait_until


@pytest.fixture
def writer(root: Path) -> Iterator[FileFdrWriter]:
    """Return a started writer that keeps the last minute."""
    config = FdrWriterConfig(**QUICK)  # type: ignore[arg-type]
    writer = FileFdrWriter(root, config, preroll_s=60.0)
    writer.start()
    yield writer
    writer.stop()


def old(number: int, age_s: float) -> tuple[bytes, int]:
    """Return a message and its log time: so long ago."""
    return numbered(number), time.time_ns() - int(age_s * 1e9)


def flight_numbers(writer: FileFdrWriter, flight_id: str) -> list[int]:
    flight = check_flight(writer.close_flight(flight_id))
    return [number_of(message.data) for message in flight.of_topic('/blob')]


def test_a_flight_begins_with_the_last_seconds(writer: FileFdrWriter) -> None:
    client = make_client()
    writer.register(client)
    for number, age_s in enumerate((300, 120, 61, 50, 10, 0)):
        assert client.enqueue(*old(number, age_s))
    wait_until(lambda: len(client.ring) == 3, 'the oldest to be forgotten')
    writer.open_flight(FlightHeader(flight_id='x'))
    send(client, range(6, 9))
    assert flight_numbers(writer, 'x') == list(range(3, 9))


def test_each_flight_has_its_own(writer: FileFdrWriter) -> None:
    client = make_client()
    open_flight(writer, 'first', client)
    send(client, range(5))
    assert flight_numbers(writer, 'first') == list(range(5))
    send(client, range(5, 8))
    writer.open_flight(FlightHeader(flight_id='second'))
    send(client, range(8, 10))
    assert flight_numbers(writer, 'second') == list(range(5, 10))


def test_a_publisher_that_has_left_is_in_it(writer: FileFdrWriter) -> None:
    client = make_client()
    writer.register(client)
    send(client, range(4))
    writer.retire(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    assert flight_numbers(writer, 'x') == list(range(4))


def test_a_full_ring_forgets_the_oldest_and_not_the_newest(writer: FileFdrWriter) -> None:
    client = make_client(ring=RingConfig(max_records=100))
    writer.register(client)
    count = 0
    while client.ring.taken < 500:
        count += send(client, range(count, count + 10))  # as fast as there is room
    wait_until(lambda: client.ring.fill <= 0.5, 'the oldest to be forgotten')
    writer.open_flight(FlightHeader(flight_id='x'))
    found = flight_numbers(writer, 'x')
    assert 40 <= len(found) <= 50
    assert found == list(range(count - len(found), count))
    assert verify(writer.close_flight('x').path).verdict is Verdict.COMPLETE


def test_all_rings_forget_alike_when_they_are_too_much_together(
    writer: FileFdrWriter,
) -> None:
    budget = RingBudget(200_000)
    clients = [FdrClient(make_client(f'/blob{n}').channel, budget=budget) for n in range(2)]
    for client in clients:
        writer.register(client)
    for number in range(300):
        for client in clients:
            assert client.enqueue(*old(number, (300 - number) / 10))
    wait_until(lambda: budget.fill <= 0.5, 'the oldest to be forgotten')
    left = [len(client.ring) for client in clients]
    assert min(left) > 50
    assert abs(left[0] - left[1]) <= 1


def test_losses_of_the_last_seconds_are_in_it_and_older_ones_not(
    writer: FileFdrWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    writer.register(client)
    now_ns = time.monotonic_ns
    with monkeypatch.context() as earlier:
        earlier.setattr('fdr_recorder.capture.client.time.monotonic_ns', lambda: now_ns() - 10**12)
        client.count_transport_loss(0, 9)
    for taken in (1, 2):  # the first time it may be in the midst of it
        client.enqueue(*old(9, 300))
        wait_until(lambda taken=taken: client.ring.taken == taken, 'old things to be forgotten')
    client.enqueue(numbered(0), sequence=10)
    client.count_transport_loss(11, 12)
    client.enqueue(numbered(1), sequence=13)
    writer.open_flight(FlightHeader(flight_id='x'))
    summary = writer.close_flight('x')
    assert summary.footer.records_lost_transport == 2
    assert verify(summary.path).verdict is Verdict.LOSSES


def test_latched_messages_come_once(writer: FileFdrWriter) -> None:
    client = make_client(latched=True)
    writer.register(client)
    assert not client.enqueue(numbered(1))
    writer.open_flight(FlightHeader(flight_id='x'))
    assert flight_numbers(writer, 'x') == [1]


def test_a_flight_that_cannot_be_opened_costs_nothing_of_it(
    writer: FileFdrWriter, root: Path
) -> None:
    FlightDirectory.create(root, 'x').close()
    client = make_client()
    writer.register(client)
    send(client, range(3))
    with pytest.raises(FlightExistsError):
        writer.open_flight(FlightHeader(flight_id='x'))
    send(client, range(3, 5))
    writer.open_flight(FlightHeader(flight_id='y'))
    assert flight_numbers(writer, 'y') == list(range(5))


def test_without_it_nothing_is_kept(root: Path) -> None:
    writer, client = FileFdrWriter(root, FdrWriterConfig(min_free_bytes=0)), make_client()
    writer.start()
    try:
        writer.register(client)
        assert not client.enqueue(numbered(0))
    finally:
        writer.stop()
