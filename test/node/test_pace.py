# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How long the intake rests, and when the writer has its turn."""

from __future__ import annotations

from collections.abc import Callable
import random
import threading
import time
from types import SimpleNamespace
from typing import Any

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.node.intake import waiting
from fdr_recorder.node.intake.arrival_times import ArrivalTimes
from fdr_recorder.node.intake.requests import Requests
from fdr_recorder.node.intake.topic_intake import TAKE_LIMIT, TopicIntake
from fdr_recorder.node.intake.waiting import LEAST_REST_S, Pace, SHORT_REST_S, WAITING_BYTES
from fdr_recorder.node.quarantine import Quarantine
import pytest
from rclpy.qos import HistoryPolicy, QoSProfile

PERIOD_S = 0.15
WORK_S = 0.001


class World:
    """A clock that only rests move, and what the pace asks for."""

    def __init__(self, depth: int = 4000, flush_interval_s: float = 0.25) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        self.turns: list[float] = []
        writer: Any = SimpleNamespace(
            config=SimpleNamespace(flush_interval_s=flush_interval_s),
            wake=lambda: self.turns.append(self.now),
        )
        requests: Any = SimpleNamespace(rest=self.rest)
        self.depth = depth
        self.times: Any = SimpleNamespace(round_ns=0, are_late=lambda _: False)
        self._parts = requests, writer, self.times

    def make(self) -> Pace:
        pace = Pace(*self._parts)
        pace.serve(self.depth)
        return pace

    def work(self, seconds: float = WORK_S) -> None:
        """Pass the time of a round."""
        self.times.round_ns = round(self.now * 1e9)
        self.now += seconds

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def run(self, pace: Pace, rate: float, *, size: int = 256, rounds: int = 40) -> list[int]:
        """Let one topic send; return how many messages waited at each round."""
        queue, waited, before = min(self.depth, TAKE_LIMIT), [], self.now
        for _ in range(rounds):
            self.work()
            count = int(rate * (self.now - before))
            before = self.now
            waited.append(count)
            pace.rest(count, count / queue, count * size, is_urgent=False)
        return waited


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(**options: Any) -> World:
        world = World(**options)
        monkeypatch.setattr(waiting, 'time', SimpleNamespace(monotonic=lambda: world.now))
        return world

    return make


def test_with_few_messages_it_rests_long_and_the_writer_as_often(
    world: Callable[..., World]
) -> None:
    here = world()
    here.run(here.make(), 100)
    assert here.rests[1:] == pytest.approx([PERIOD_S - WORK_S] * 39)
    assert len(here.turns) == len(here.rests) - 1  # nothing had come before the first


def test_without_messages_the_writer_is_left_alone(world: Callable[..., World]) -> None:
    here = world()
    here.run(here.make(), 0)
    assert set(here.rests) == {PERIOD_S}
    assert not here.turns


def test_before_a_wait_the_writer_gets_what_is_left(world: Callable[..., World]) -> None:
    here = world()
    pace = here.make()
    for _ in range(3):
        pace.rest(1, 0.001, 256, is_urgent=True)
    owed = len(here.turns)
    pace.give_turn()
    pace.give_turn()
    assert owed == 1
    assert len(here.turns) == 2


def test_it_rests_no_longer_than_flush_interval_allows(world: Callable[..., World]) -> None:
    here = world(flush_interval_s=0.05)
    here.run(here.make(), 100)
    assert max(here.rests) == pytest.approx(0.03)


@pytest.mark.parametrize('rate', [5_000, 26_000, 60_000, 200_000])
def test_no_queue_fills(world: Callable[..., World], rate: int) -> None:
    here = world()
    waited = here.run(here.make(), rate)
    assert max(waited[:1]) <= 0.04 * rate
    assert max(waited[10:]) <= TAKE_LIMIT / 2


@pytest.mark.parametrize(('depth', 'rate'), [(10, 100), (10, 250), (100, 2000), (1000, 20_000)])
def test_nor_does_a_short_one(world: Callable[..., World], depth: int, rate: int) -> None:
    here = world(depth=depth)
    waited = here.run(here.make(), rate)
    assert max(waited) <= depth
    assert max(waited[10:]) <= depth / 2


def test_large_messages_do_not_pile_up(world: Callable[..., World]) -> None:
    here = world()
    waited = here.run(here.make(), 300, size=1_000_000)
    assert max(waited[10:]) * 1_000_000 <= 1.1 * WAITING_BYTES


def test_after_a_full_queue_it_goes_on_at_once(world: Callable[..., World]) -> None:
    here = world()
    here.make().rest(TAKE_LIMIT, 1.0, 0, is_urgent=False)
    assert not here.rests


def test_what_is_urgent_comes_soon(world: Callable[..., World]) -> None:
    here = world()
    pace = here.make()
    here.work()
    pace.rest(1, 0.001, 256, is_urgent=True)
    here.times.are_late = bool
    here.work()
    pace.rest(1, 0.001, 256, is_urgent=False)
    assert here.rests == pytest.approx([SHORT_REST_S - WORK_S] * 2)


def test_slow_rounds_come_as_often(world: Callable[..., World]) -> None:
    """As where five hundred publishers are met in one; but a wait is no work."""
    here = world()
    pace = here.make()
    for work_s, taken in ((0.1, 500), (0.3, 500), (60.0, 0)):
        here.work(work_s)
        pace.rest(taken, taken / TAKE_LIMIT, 256, is_urgent=False)
    assert here.rests == pytest.approx([PERIOD_S - 0.1, LEAST_REST_S, PERIOD_S])


@pytest.mark.parametrize('seed', range(20))
def test_nothing_waits_longer_than_a_period_for_the_writer(
    world: Callable[..., World], seed: int
) -> None:
    """From its arrival on, whatever rates come and go; but for the work of two rounds."""
    here, source = world(), random.Random(seed)
    pace, before, arrivals = here.make(), here.now, [here.now]
    for _ in range(200):
        here.work()
        rate = source.choice([10, 1_000, 20_000, 100_000])
        count = max(int(rate * (here.now - before)), 1)
        before, turns = here.now, len(here.turns)
        pace.rest(count, min(count / TAKE_LIMIT, 1.0), count * 256, is_urgent=False)
        if len(here.turns) > turns:
            assert before - arrivals[0] <= PERIOD_S + 0.005
            arrivals = []
        arrivals.append(before)


def test_a_request_ends_a_rest() -> None:
    subscriber: Any = SimpleNamespace(wake=lambda: None)
    requests = Requests(subscriber, Quarantine(AlertBoard()))
    requests.has_thread = True
    made = threading.Event()

    def serve() -> None:
        while not made.is_set():
            requests.rest(60)
            requests.answer()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert requests.make_and_wait(made.set)
    thread.join(10)
    assert not thread.is_alive()


def test_messages_that_are_dated_at_the_take_are_found_out() -> None:
    times = ArrivalTimes()
    times.begin_round()
    assert not times.are_late(0)
    for received_ns in (None, 0, time.time_ns()):  # Humble, no middleware, at the take
        times.place(received_ns, times.round_ns)
    assert times.are_late(3)
    times.begin_round()
    assert times.are_late(0)  # nothing new is known
    times.begin_round()
    times.place(time.time_ns(), times.round_ns)
    assert not times.are_late(2)  # the other one had arrived before


@pytest.mark.parametrize(
    ('history', 'depth', 'bound'),
    [
        (HistoryPolicy.KEEP_LAST, 20, 20),
        (HistoryPolicy.KEEP_LAST, 1, 1),
        (HistoryPolicy.KEEP_ALL, 5, 2**31),
    ],
)
def test_how_many_a_queue_keeps(history: HistoryPolicy, depth: int, bound: int) -> None:
    plan: Any = SimpleNamespace(qos=QoSProfile(history=history, depth=depth))
    intake: Any = TopicIntake(plan, plan, plan)
    assert intake.depth == bound
