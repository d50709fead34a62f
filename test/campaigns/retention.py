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
What is kept, and what goes: caps, pins, low space, kills and recoveries, flight after flight.

Each flight of a round is recorded by a process of its own, with options chosen at random, into the
same root, often on a small file system: with caps of the flight and of the root, with pins at
moments chosen at random, some with too little space, some killed; its publishers lose messages,
and are kept below rates that change in flight. Between them some flights are recovered, pinned or
removed. What was told to be pinned must be there afterwards, nothing may be gone without its
record, and every account must be exact: what was published is offered, left out, lost, or came
before the publisher was heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import random
import signal
import subprocess
import sys
import time
from typing import Any

from campaigns import Figures
from campaigns._recovered import check_recovered, last_footer
from disk_faults import fill_disk, mounted_tmpfs
from fdr_recorder.capture.throttle import CATCH_UP_NS, CATCH_UP_PERIODS
from fdr_recorder.flights.directory import flights_in
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.pinning import pin, Selection
from fdr_recorder.flights.prune import plan_pruning, prune
from fdr_recorder.flights.prune_log import removed_flights
from fdr_recorder.flights.recovery.recover import needs_recovery, recover
from fdr_recorder.record.dropped import DroppedAccount
from fdr_recorder.record.kinds import FlightFooter, FlightRemoved, Pin, SegmentRollover
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.storage.pins import read_pins, Window
from flight_check import FlightFiles, open_flight_files

NAME = 'retention'
ABOUT = (
    'Caps, pins, rates, low space, kills and recoveries, many flights in one root: no pinned '
    'byte is lost, nothing is gone without its record, every account is exact.'
)
DEFAULT_ROUNDS = 500
SHORT_ROUNDS = 1

KIB = 1024
SEGMENT = 32 * KIB
DISK_BYTES = 4 << 20
PATIENCE_S = 60.0


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Record some flights, one after the other."""
    return _run_round(rng, directory, rng.randint(2, 5))


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Record three flights."""
    return _run_round(rng, directory, 3)


def _run_round(rng: random.Random, directory: Path, flights: int) -> Figures:
    with _root(rng, directory) as root:
        found = Round(root, rng)
        for number in range(flights):
            found.fly(f'flight{number}')
            found.look_after()
        found.check()
    return found.figures


@contextmanager
def _root(rng: random.Random, directory: Path) -> Iterator[Path]:
    """Yield an empty root, mostly on a small file system."""
    root = directory / 'root'
    root.mkdir()
    if rng.random() < 0.7:
        with mounted_tmpfs(root, DISK_BYTES):
            yield root
    else:
        yield root


class Round:
    """A root, and what is known of its flights from outside."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root = root
        self.rng = rng
        self.figures: Counter[str] = Counter()
        self.pinned: dict[str, list[Window]] = {}
        """Windows that PINS of a flight had, when a process said so."""
        self.closed: dict[str, list[dict[str, Any]]] = {}
        """By flight that was closed, what each publisher says of itself."""
        self.most: dict[str, dict[str, int]] = {}
        """By flight and topic, how many messages were published at most."""
        self.plans: dict[str, list[dict[str, Any]]] = {}
        """By flight, its publishers."""
        self.flown: list[str] = []
        self.pruned: set[str] = set()

    # --- what happens --------------------------------------------------------------------

    def fly(self, name: str) -> None:
        """Record a flight in another process, which may be killed."""
        rng = self.rng
        options = {
            'segment_size_bytes': rng.choice((1, 2)) * SEGMENT,
            'chunk_size_bytes': rng.choice((2, 8)) * KIB,
            'flush_interval_s': 0.02,
            'sync_interval_s': rng.choice((0.02, 0.1)),
            'flight_cap_bytes': rng.choice((4, 8, 1000)) * SEGMENT,
            'root_cap_bytes': rng.choice((0, 10, 20, 30)) * SEGMENT,
            'min_free_bytes': rng.choice((0, 256)) * KIB,
            'on_low_space': rng.choice(('degrade', 'drop_oldest')),
            'reserve_bytes': rng.choice((0, 64)) * KIB,
        }
        plan = {
            'name': name,
            'seed': rng.getrandbits(32),
            'seconds': rng.uniform(0.3, 1.5),
            'pins': rng.choice((0, 1, 1, 3)),
            'options': options,
            'publishers': [_publisher(rng, number) for number in range(rng.choice((1, 1, 2)))],
        }
        self.plans[name] = plan['publishers']
        is_killed = rng.random() < 0.4
        kill_after_s = rng.uniform(0.05, 1.0)
        has_spell = rng.random() < 0.3 and self.root.is_mount()
        program = Path(__file__).parents[1] / 'support' / 'retention_program.py'
        process = subprocess.Popen(
            [sys.executable, program, str(self.root), json.dumps(plan)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        ballast = None
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if json.loads(first or '{}').get('began'):
                self.flown.append(name)
                if has_spell:
                    ballast = fill_disk(self.root, leave_bytes=rng.choice((0, 128)) * KIB)
                    time.sleep(rng.uniform(0.05, 0.3))
                    ballast.unlink()
                if is_killed:
                    time.sleep(kill_after_s)
                    process.send_signal(signal.SIGKILL)
            out, error = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.communicate()
            if ballast is not None:
                ballast.unlink(missing_ok=True)
        assert process.returncode in (0, -signal.SIGKILL), error
        self.figures['killed'] += process.returncode != 0
        lines = [line for line in (first + out).splitlines() if line.endswith('}')]
        self._note(name, [json.loads(line) for line in lines])

    def _note(self, name: str, told: list[dict[str, Any]]) -> None:
        for item in told:
            if 'pinned' in item:
                windows = [Window(*window) for window in item['pinned']]
                self.pinned.setdefault(name, []).extend(windows)
                self.figures['pins'] += 1
            if 'most' in item:
                self.most[name] = item['most']
            if 'closed' in item:
                self.closed.setdefault(name, []).append(item)
        self.figures['flights'] += any('began' in item for item in told)
        self.figures['refused'] += any('refused' in item for item in told)

    def look_after(self) -> None:
        """Recover, pin or remove flights, or leave all to what comes."""
        rng = self.rng
        for path in flights_in(self.root):
            if needs_recovery(path) and rng.random() < 0.6:
                recover(path)
                self.figures['recovered'] += 1
        there = flights_in(self.root)
        if there and rng.random() < 0.2:
            path = rng.choice(there)
            pin(path, Selection(), 'the campaign')
            self.pinned.setdefault(path.name, []).extend(read_pins(path).windows)
        if there and rng.random() < 0.2:
            listed = [list_flight(path) for path in there]
            plan = plan_pruning(listed, keep=rng.randint(1, 3), unclean=rng.random() < 0.5)
            self.pruned |= {flight.path.name for flight in prune(self.root, plan)}

    # --- what must hold ------------------------------------------------------------------

    def check(self) -> None:
        """Check the root, after all flights are recovered."""
        for path in flights_in(self.root):
            if needs_recovery(path):
                recover(path)
        there = {path.name: path for path in flights_in(self.root)}
        logged = removed_flights(self.root)
        for name in self.flown:
            assert name in there or name in logged, f'{name} is gone without a record'
            assert name in there or name not in self.pinned, f'{name} had pins, and is gone'
        told = set()
        for name, path in there.items():
            flight, _ = check_recovered_by_its_records(path)
            told |= {item.flight_id for item in flight.payloads(FlightRemoved)}
            self._check_pins(name, path, flight)
            footer = last_footer(flight)
            self._check_published(name, footer)
            self.figures['segments_dropped'] += footer.segments_dropped
        assert told <= logged.keys(), 'a record tells of a removal that the log does not have'
        self.figures['flights_removed'] += len(logged)

    def _check_published(self, name: str, footer: FlightFooter) -> None:
        """Check that what was published is accounted for; of a killed flight, not more than it."""
        accounts = {item.topic: item for item in footer.producers if item.loss_detection}
        for topic, account in accounts.items():
            assert _published(account) <= self.most[name][topic], (name, account)
        if not footer.clean_shutdown:
            return
        rules = {plan['topic']: plan['rates'] for plan in self.plans[name]}
        for told in self.closed.get(name, ()):
            account = accounts[told['closed']]
            assert _published(account) == told['published'], (name, account, told)
            assert account.lost_transport == told['lost_transport'], (name, account, told)
            assert account.before_match == told['before_match'], (name, account, told)
            rates = [rate for _, rate in rules[account.topic]]
            assert any(rate is not None for rate in rates) or not account.throttled
            if len(rates) == 1 and rates[0] is not None:
                caught_up = CATCH_UP_PERIODS + CATCH_UP_NS / 1e9 * rates[0]
                most = rates[0] * told['took_s'] + caught_up + 2
                assert account.offered <= most, (name, account, told, rates)
            self.figures['accounts'] += 1
            self.figures['throttled'] += account.throttled
            self.figures['overrun'] += account.dropped_overrun

    def _check_pins(self, name: str, path: Path, flight: FlightFiles) -> None:
        """Check that nothing was dropped that was pinned when it was dropped."""
        known = self.pinned.get(name, [])
        pins = read_pins(path)
        assert all(pins.covers(window) for window in known), f'{name}: a pin is lost'
        since: list[tuple[Window, int]] = []
        for message in flight.messages:
            if message.topic == Pin.channel_topic():
                record = message.payload()
                assert isinstance(record, Pin)
                since.append((Window(record.from_ns, record.to_ns), message.log_time))
            if message.topic != SegmentRollover.channel_topic():
                continue
            rollover = message.payload()
            assert isinstance(rollover, SegmentRollover)
            if (path / rollover.file_name).exists() or not rollover.cap_bytes:
                continue
            first_ns, last_ns = rollover.first_log_time_ns, rollover.last_log_time_ns
            for window, time_ns in since:
                overlaps = first_ns <= window.to_ns and last_ns >= window.from_ns
                assert not overlaps or message.log_time < time_ns, (
                    f'{name}: {rollover.file_name} was pinned, and is dropped'
                )


def _publisher(rng: random.Random, number: int) -> dict[str, Any]:
    """Choose a publisher: how it is heard, and the rates that it is kept to, by time."""
    changes = rng.choice((0, 0, 1, 1, 3))
    times = [0.0, *sorted(rng.uniform(0.0, 1.5) for _ in range(changes - 1))]
    rates = [(at_s, rng.choice((None, 0, 7.0, 80.0, 500.0))) for at_s in times[:changes]]
    return {
        'topic': ('/blob', '/state')[number],
        'publisher': str(number) * 32,
        'latched': number == 1,
        'ring': rng.choice((12, 1000, 1000)),
        'rates': rates,
        'loss': rng.choice((0.0, 0.02, 0.2)),
        'before': rng.choice((0, 0, 30)),
        'tells_time': rng.random() < 0.5,
    }


def _published(account: ProducerCounters) -> int:
    """Return how many messages its publisher has published, by an account."""
    return (
        account.offered + account.throttled + account.lost_transport + account.before_match
    )


def check_recovered_by_its_records(path: Path) -> tuple[FlightFiles, object]:
    """Check a flight, with what its own records say of the segments that were dropped."""
    flight = open_flight_files(path)
    present = [segment.path.name for segment in flight.segments]
    rollovers = [
        item for item in flight.payloads(SegmentRollover) if item.file_name not in present
    ]
    account = DroppedAccount.of_flight(rollovers, ())
    segments, records = account.total('segments'), account.total('records')
    dropped = [records] + [0] * (segments - 1) if segments else []
    return check_recovered(path, dropped_records=dropped)
