# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The bounded queue between one producer and the writer."""

from __future__ import annotations

import threading

from fdr_recorder.capture.ring import RECORD_OVERHEAD_BYTES, Ring, RingBudget
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, RuleBasedStateMachine


def open_ring(
    max_records: int = 1000, max_bytes: int = 1_000_000, budget: RingBudget | None = None
) -> Ring:
    ring = Ring(max_records=max_records, max_bytes=max_bytes, budget=budget)
    ring.is_open = True
    return ring


def offer(ring: Ring, number: int = 0, size: int = 0) -> bool:
    return ring.offer(number, number, number, bytes(size))


def numbers(ring: Ring, limit: int = 1_000_000) -> list[int]:
    return [record[2] for record in ring.take(limit)]


# --- taking ------------------------------------------------------------------------------------


def test_records_come_out_as_they_went_in() -> None:
    ring = open_ring()
    ring.offer(3, 2, 1, b'abc')
    (record,) = ring.take(10)
    assert record[:4] == (3, 2, 1, b'abc')


def test_the_oldest_comes_out_first() -> None:
    ring = open_ring()
    for number in range(5):
        offer(ring, number)
    assert numbers(ring, 2) == [0, 1]
    assert numbers(ring) == [2, 3, 4]


def test_data_is_kept_not_copied() -> None:
    ring = open_ring()
    data = bytes(1000)
    ring.offer(0, 0, 0, data)
    assert ring.take(1)[0][3] is data


def test_an_empty_ring_gives_nothing() -> None:
    assert open_ring().take(10) == []


# --- bounds ------------------------------------------------------------------------------------


def test_bound_in_records() -> None:
    ring = open_ring(max_records=3)
    assert [offer(ring, number) for number in range(5)] == [True, True, True, False, False]
    assert numbers(ring) == [0, 1, 2]


def test_bound_in_bytes_counts_the_overhead_of_each_record() -> None:
    ring = open_ring(max_bytes=2 * (RECORD_OVERHEAD_BYTES + 10))
    assert [offer(ring, size=10) for _ in range(3)] == [True, True, False]
    assert not offer(ring, size=0)


def test_the_bound_in_bytes_may_be_reached_exactly() -> None:
    ring = open_ring(max_bytes=RECORD_OVERHEAD_BYTES + 10)
    assert not offer(ring, size=11)
    assert offer(ring, size=10)


def test_taking_makes_room_again() -> None:
    ring = open_ring(max_records=2, max_bytes=2 * RECORD_OVERHEAD_BYTES)
    for number in range(10):
        assert offer(ring, 2 * number)
        assert offer(ring, 2 * number + 1)
        assert not offer(ring)
        assert numbers(ring) == [2 * number, 2 * number + 1]


def test_a_budget_bounds_several_rings_together() -> None:
    budget = RingBudget(3 * RECORD_OVERHEAD_BYTES)
    first, second = open_ring(budget=budget), open_ring(budget=budget)
    assert [offer(first), offer(second), offer(first)] == [True, True, True]
    assert not offer(second)
    assert (first.refusals.records, second.refusals.records) == (0, 1)
    first.take(1)
    assert offer(second)
    assert not offer(first)


def test_fill_is_the_greater_of_records_and_bytes() -> None:
    ring = open_ring(max_records=10, max_bytes=4 * (RECORD_OVERHEAD_BYTES + 100))
    assert ring.fill == 0
    offer(ring, size=100)
    assert ring.fill == 1 / 4
    ring = open_ring(max_records=10)
    offer(ring)
    assert ring.fill == 1 / 10


# --- refusals ----------------------------------------------------------------------------------


def test_refusals_are_counted_in_records_and_bytes() -> None:
    ring = open_ring(max_records=1)
    for size in (1, 20, 300):
        offer(ring, size=size)
    assert (ring.offered, ring.refusals.records, ring.refusals.bytes) == (3, 2, 320)


def test_a_shut_ring_takes_nothing_and_counts_nothing() -> None:
    ring = open_ring()
    ring.is_open = False
    assert not offer(ring)
    assert (ring.offered, ring.refusals.records, len(ring)) == (0, 0, 0)


def test_a_spell_of_refusals_begins_after_the_last_was_acknowledged() -> None:
    ring = open_ring(max_records=1)
    offer(ring)
    offer(ring, size=5)
    offer(ring, size=6)
    first = ring.acknowledge_refusals()
    assert (first.records, first.bytes) == (2, 11)
    assert 0 < first.first_ns <= first.last_ns
    offer(ring, size=7)
    second = ring.acknowledge_refusals()
    assert (second.records, second.bytes) == (1, 7)
    assert first.last_ns <= second.first_ns == second.last_ns


def test_acknowledging_twice_tells_of_nothing_new() -> None:
    ring = open_ring(max_records=1)
    offer(ring)
    offer(ring)
    ring.acknowledge_refusals()
    assert ring.acknowledge_refusals().records == 0


def test_acknowledged_is_what_was_taken_or_reported_as_refused() -> None:
    ring = open_ring(max_records=2)
    for _ in range(5):
        offer(ring)
    assert ring.acknowledged == 0
    ring.take(1)
    assert ring.acknowledged == 1
    ring.acknowledge_refusals()
    assert ring.acknowledged == 4


def test_settled_once_every_record_is_taken_or_refused() -> None:
    ring = open_ring(max_records=1)
    assert ring.is_settled()
    offer(ring)
    offer(ring)
    assert not ring.is_settled()
    ring.take(1)
    assert ring.is_settled()


# --- against a model ---------------------------------------------------------------------------


class RingAgainstAList(RuleBasedStateMachine):
    """Two rings with a shared budget do what two plain lists with the same bounds would."""

    RECORDS, BYTES, BUDGET = 4, 1500, 2000

    def __init__(self) -> None:
        super().__init__()
        self.budget = RingBudget(self.BUDGET)
        self.rings = [
            Ring(max_records=self.RECORDS, max_bytes=self.BYTES, budget=self.budget)
            for _ in range(2)
        ]
        self.models: list[list[tuple[int, int]]] = [[], []]
        self.offered, self.refused, self.refused_bytes = [0, 0], [0, 0], [0, 0]
        self.told, self.taken = [0, 0], [0, 0]
        self.number = 0

    def used(self, which: int) -> int:
        return sum(size + RECORD_OVERHEAD_BYTES for _, size in self.models[which])

    @rule(which=st.integers(0, 1), size=st.integers(0, 800))
    def offer(self, which: int, size: int) -> None:
        self.number += 1
        ring, model = self.rings[which], self.models[which]
        taken = ring.offer(self.number, self.number, self.number, bytes(size))
        if not ring.is_open:
            assert not taken
            return
        self.offered[which] += 1
        cost = size + RECORD_OVERHEAD_BYTES
        fits = (
            len(model) < self.RECORDS
            and self.used(which) + cost <= self.BYTES
            and self.used(0) + self.used(1) + cost <= self.BUDGET
        )
        assert taken == fits
        if fits:
            model.append((self.number, size))
        else:
            self.refused[which] += 1
            self.refused_bytes[which] += size

    @rule(
        which=st.integers(0, 1),
        limit=st.integers(1, 6),
        max_bytes=st.none() | st.integers(1, 2500),
    )
    def take(self, which: int, limit: int, max_bytes: int | None) -> None:
        model = self.models[which]
        expected: list[tuple[int, int]] = []
        used = 0
        while model and len(expected) < limit and (max_bytes is None or used < max_bytes):
            expected.append(model.pop(0))
            used += expected[-1][1] + RECORD_OVERHEAD_BYTES
        batch = self.rings[which].take(limit, max_bytes)
        assert [(record[2], len(record[3])) for record in batch] == expected
        self.taken[which] += len(batch)

    @rule(which=st.integers(0, 1), before=st.integers(0, 60), most_fill=st.floats(0, 1))
    def discard_oldest(self, which: int, before: int, most_fill: float) -> None:
        ring, model = self.rings[which], self.models[which]
        while model and (
            model[0][0] < before
            or max(len(model) / self.RECORDS, self.used(which) / self.BYTES) > most_fill
        ):
            model.pop(0)
            self.taken[which] += 1
        ring.discard_oldest(before, most_fill)

    @rule(which=st.integers(0, 1))
    def acknowledge(self, which: int) -> None:
        new = self.rings[which].acknowledge_refusals().records
        assert new == self.refused[which] - self.told[which]
        self.told[which] = self.refused[which]

    @rule(which=st.integers(0, 1), is_open=st.booleans())
    def set_open(self, which: int, is_open: bool) -> None:
        self.rings[which].is_open = is_open

    @precondition(lambda self: not any(ring.is_open for ring in self.rings))
    @rule()
    def open_both(self) -> None:
        for ring in self.rings:
            ring.is_open = True

    @invariant()
    def counters_agree(self) -> None:
        for which, ring in enumerate(self.rings):
            model = self.models[which]
            assert len(ring) == len(model)
            assert ring.offered == self.offered[which]
            assert ring.taken == self.taken[which]
            assert ring.refusals[:2] == (self.refused[which], self.refused_bytes[which])
            assert ring.acknowledged == self.taken[which] + self.told[which]
            assert ring.is_settled() == (not model)
            assert ring.fill == max(len(model) / self.RECORDS, self.used(which) / self.BYTES)


RingAgainstAList.TestCase.settings = settings(max_examples=60, deadline=None)
TestRingAgainstAList = RingAgainstAList.TestCase


# --- two threads -------------------------------------------------------------------------------


def test_two_threads_lose_nothing_and_keep_the_order() -> None:
    """A ring that is full now and then: what came out and what was refused is what went in."""
    total = 60_000
    budget = RingBudget(64 * (RECORD_OVERHEAD_BYTES + 8))
    ring = open_ring(max_records=100, budget=budget)
    refused: list[int] = []
    done = threading.Event()

    def produce() -> None:
        refused.extend(
            number
            for number in range(total)
            if not ring.offer(number, number, number, b'12345678')
        )
        done.set()

    producer = threading.Thread(target=produce)
    producer.start()
    taken: list[int] = []
    most = acknowledged = 0
    while not (done.is_set() and ring.is_settled()):
        most = max(most, len(ring))
        taken += numbers(ring, 16)
        acknowledged += ring.acknowledge_refusals().records
    producer.join()
    acknowledged += ring.acknowledge_refusals().records

    assert most <= 64
    assert taken == sorted(set(taken))
    assert sorted(taken + refused) == list(range(total))
    assert (ring.offered, ring.taken, acknowledged) == (total, len(taken), len(refused))
    assert budget.granted == budget.returned
