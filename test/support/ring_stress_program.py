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
Put a ring under stress in this interpreter, and print what came of it as JSON.

    PYTHONPATH=. python3.14 test/support/ring_stress_program.py 10

It needs the standard library alone, so that every interpreter at hand can run it. One producer
fills rings with a shared budget as fast as it can; the consumer takes, opens and closes them as
flights begin and end; a third thread reads what any thread may read.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import sys
import sysconfig
import threading
import time

from fdr_recorder.capture.ring import RECORD_OVERHEAD_BYTES, Ring, RingBudget

DATA = b'12345678'
COST = RECORD_OVERHEAD_BYTES + len(DATA)
RECORDS, BYTES, BUDGET = 50, 40 * COST, 60 * COST
"""Each of the bounds is reached now and then."""


class Stress:
    """Two rings of one producer, from the first flight to the last."""

    def __init__(self) -> None:
        self.budget = RingBudget(BUDGET)
        self.rings = [
            Ring(max_records=RECORDS, max_bytes=BYTES, budget=self.budget) for _ in range(2)
        ]
        self.must_stop = False
        self.wakes = 0
        self.queued: list[list[int]] = [[], []]
        self.taken: list[list[int]] = [[], []]
        self.acknowledged = [0, 0]
        self.faults: list[str] = []

    def wake(self) -> None:
        self.wakes += 1

    def produce(self) -> None:
        offers = [(ring.offer, self.queued[which]) for which, ring in enumerate(self.rings)]
        number = 0
        while not self.must_stop:
            for offer, queued in offers:
                if offer(number, number, number, DATA):
                    queued.append(number)
            number += 1

    def watch(self) -> None:
        """Read as displays do: what is read may be late, but never impossible."""
        while not self.must_stop:
            for ring in self.rings:
                taken, refused = ring.taken, ring.refusals.records
                if taken + refused > ring.offered:
                    self.faults.append('more taken and refused than offered')
                if not 0 <= len(ring) <= RECORDS:
                    self.faults.append('more records than the ring may hold')

    def take(self, which: int, limit: int) -> None:
        batch = self.rings[which].take(limit, 10 * COST)
        if any(record[3] is not DATA for record in batch):
            self.faults.append('a record has changed')
        self.taken[which] += [record[2] for record in batch]
        self.acknowledged[which] += self.rings[which].acknowledge_refusals().records

    def fly(self, rounds: int) -> None:
        """Record one flight: open, take, close, and take until the rings are settled."""
        for ring in self.rings:
            ring.call_consumer = self.wake
            ring.is_open = True
        for number in range(rounds):
            for which in range(2):
                self.take(which, 1 + number % 16)
        for ring in self.rings:
            ring.close()
        for which, ring in enumerate(self.rings):
            while not ring.is_settled():
                self.take(which, 64)
            if len(ring):
                self.faults.append('a settled ring is not empty')

    def has_tried_all(self) -> bool:
        """Return whether the producer had its turn; on a busy machine it may wait for long."""
        return self.wakes > 0 and any(self.taken) and any(self.acknowledged)

    def late(self) -> int:
        """Count records that came after their ring was settled."""
        return sum(map(len, self.rings))

    def check(self) -> None:
        for which, ring in enumerate(self.rings):
            if self.taken[which] != self.queued[which]:
                self.faults.append('what came out is not what went in, in its order')
            self.acknowledged[which] += ring.acknowledge_refusals().records
            if ring.offered != ring.taken + self.acknowledged[which]:
                self.faults.append('offered is not taken + refused')
        if self.budget.granted != self.budget.returned:
            self.faults.append('the budget is not whole again')


def started(*targets: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    return threads


def main(seconds: float) -> None:
    """Run flights for so long, until all was tried, and print the outcome."""
    sys.setswitchinterval(1e-5)
    stress = Stress()
    threads = started(stress.produce, stress.watch)
    flights = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or not stress.has_tried_all():
        stress.fly(rounds=flights % 40)
        time.sleep(0.0005)  # the producer meets closed rings
        if stress.late():
            stress.faults.append('a record came after its ring was settled')
        flights += 1
    stress.must_stop = True
    for thread in threads:
        thread.join()
    stress.check()
    has_gil = not sysconfig.get_config_var('Py_GIL_DISABLED')
    print(
        json.dumps(
            {
                'python': sys.version.split()[0],
                'free_threaded': not getattr(sys, '_is_gil_enabled', lambda: has_gil)(),
                'flights': flights,
                'taken': sum(map(len, stress.taken)),
                'refused': sum(stress.acknowledged),
                'wakes': stress.wakes,
                'faults': sorted(set(stress.faults)),
            }
        )
    )


if __name__ == '__main__':
    main(float(sys.argv[1]))
