# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Steady times: records keep their order and their distances, whatever the system clock does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
import time

from false_clock import FalseClock
from fdr_recorder import FdrWriterConfig, FileFdrWriter, FlightHeader
from fdr_recorder.clock import Reading, SteadyClock
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from flight_check import check_flight
from producers import make_client, numbered
import pytest
from waiting import wait_until

S = 1_000_000_000
DAY = 86_400 * S
QUICK = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0, flush_interval_s=0.05)


@pytest.fixture
def writer(root: Path) -> Iterator[FileFdrWriter]:
    """Return a started writer that keeps a pre-roll."""
    writer = FileFdrWriter(root, QUICK, preroll_s=60.0)
    writer.start()
    yield writer
    writer.stop()


# --- the clock of a flight -----------------------------------------------------------------------


def test_a_reading_has_both_clocks_of_one_moment(clock: FalseClock) -> None:
    clock.error_ns = -DAY
    before, now, after = time.monotonic_ns(), Reading.now(), time.monotonic_ns()
    assert before <= now.monotonic_ns <= after
    assert abs(now.offset_ns - (time.time_ns() - time.monotonic_ns())) < S // 10
    assert now.suspended_ns >= 0 or abs(now.suspended_ns) < S // 1000


def test_steady_times_begin_with_the_system_clock_and_go_on_without_it(clock: FalseClock) -> None:
    now = Reading.now()
    steady = SteadyClock.begin(now, now.monotonic_ns)
    assert steady.at(-now.monotonic_ns) == now.system_ns
    clock.error_ns = -10 * DAY
    assert steady.at(-now.monotonic_ns - 5 * S) == now.system_ns + 5 * S
    assert steady.at(7) == 7  # given by a client: as it is


def test_what_was_kept_before_1970_began_is_not_dated_before_it() -> None:
    now = Reading(monotonic_ns=1000 * S, system_ns=2 * S)
    steady = SteadyClock.begin(now, oldest_ns=990 * S)
    assert steady.at(-990 * S) == 0
    assert steady.at(-1000 * S) == 10 * S


# --- flights -------------------------------------------------------------------------------------


@pytest.mark.parametrize('step_ns', [-DAY, DAY, -S // 5, 20_000 * DAY], ids=str)
def test_a_clock_that_is_set_moves_no_record(
    writer: FileFdrWriter, clock: FalseClock, step_ns: int
) -> None:
    """Before the flight, in the pre-roll, in it, and between two segments."""
    client, truth = make_client(), []

    def send(count: int) -> None:
        for _ in range(count):
            truth.append(time.monotonic_ns())
            assert client.enqueue(numbered(len(truth)), sequence=len(truth))

    writer.register(client)
    send(3)
    clock.error_ns += step_ns
    send(3)
    started_ns = time.time_ns()
    writer.open_flight(FlightHeader(flight_id='x'))
    send(3)
    for _ in range(3):
        clock.error_ns -= step_ns
        send(5)
        wait_until(lambda: not len(client.ring), 'the ring to be empty')
        writer.split()
        clock.error_ns += step_ns
        send(5)
    summary = writer.close_flight('x')
    flight = check_flight(summary)
    messages = flight.of_topic('/blob')
    assert len(messages) == len(truth)
    base_ns = flight.payloads(FlightHeader)[0].log_time_offset_ns
    assert abs(base_ns + truth[6] - started_ns) < S
    for message, true_ns in zip(messages, truth, strict=True):
        assert 0 <= message.log_time - base_ns - true_ns < S // 10
    assert all(a.log_time <= b.log_time for a, b in pairwise(messages))
    for kind in ('flight_header', 'alert'):
        times = [item.log_time for item in flight.of_topic(f'/fdr/{kind}')]
        assert times == sorted(times)
    assert verify(summary.path).verdict is Verdict.COMPLETE


def test_a_latched_message_is_not_dated_before_its_repeat(writer: FileFdrWriter) -> None:
    """It may have waited in its ring while a segment was begun."""
    client = make_client(latched=True)
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    for number in range(1, 40):
        client.enqueue(numbered(number), sequence=number)
        if number % 4 == 0:
            writer.split()
    messages = check_flight(writer.close_flight('x')).of_topic('/blob')
    assert len(messages) > 39  # some are repeats
    assert all(a.log_time <= b.log_time for a, b in pairwise(messages))


def test_a_time_that_a_client_gives_is_kept(writer: FileFdrWriter) -> None:
    client = make_client()
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    client.enqueue(numbered(1), 5, 6)
    (message,) = check_flight(writer.close_flight('x')).of_topic('/blob')
    assert (message.log_time, message.publish_time) == (5, 6)


# --- arrivals ------------------------------------------------------------------------------------


class Bed:
    """Arrivals on both clocks of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic_ns, self.offset_ns = 1000 * S, 1_800_000_000 * S
        monkeypatch.setattr('time.monotonic_ns', lambda: self.monotonic_ns)
        monkeypatch.setattr('time.time_ns', lambda: self.system_ns)
        self.times = ArrivalTimes()

    @property
    def system_ns(self) -> int:
        return self.monotonic_ns + self.offset_ns


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Return both clocks and arrival times by them."""
    return Bed(monkeypatch)


def test_an_arrival_is_dated_by_its_age(bed: Bed) -> None:
    received_ns, true_ns = bed.system_ns, bed.monotonic_ns
    bed.monotonic_ns += 3 * S
    bed.times.begin_round()
    assert received_ns + bed.times.shift_ns == true_ns
    assert bed.times.place(received_ns, 0) == true_ns


@pytest.mark.parametrize('step_ns', [-DAY, DAY, 20_000 * DAY], ids=str)
def test_an_arrival_before_a_step_is_dated_by_the_clock_of_then(bed: Bed, step_ns: int) -> None:
    bed.times.begin_round()
    emptied_ns = bed.monotonic_ns
    bed.monotonic_ns += 2 * S
    before, before_ns = bed.system_ns, bed.monotonic_ns
    bed.offset_ns += step_ns
    bed.monotonic_ns += S
    after, after_ns = bed.system_ns, bed.monotonic_ns
    bed.monotonic_ns += S
    bed.times.begin_round()
    assert bed.times.place(before, emptied_ns) == before_ns
    assert bed.times.place(after, emptied_ns) == after_ns


def test_an_impossible_arrival_becomes_the_nearest_possible_time(bed: Bed) -> None:
    now_ns, floor_ns = bed.monotonic_ns, bed.monotonic_ns - 5 * S
    assert bed.times.place(bed.system_ns + DAY, floor_ns) == now_ns
    assert bed.times.place(bed.system_ns - DAY, floor_ns) == floor_ns
    for unknown in (0, -1, None, 1.5):
        assert bed.times.place(unknown, floor_ns) == now_ns
    assert bed.times.place(bed.system_ns, now_ns + 7) == now_ns + 7  # never back
