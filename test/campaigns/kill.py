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
The recorder is killed at any moment: under load, at any system call, while it recovers.

A child process records; it is killed by `SIGKILL`, from outside at a random time or by itself in
the middle of a random system call (a `writev` then ends after a random byte). What the flight must
contain is known from memory that parent and child share: each record that was offered and what
became of it, and how many records the writer had taken from each ring, and when. The flights of
some rounds are sealed: none may look like a forgery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
import logging
import mmap
import os
from pathlib import Path
import random
import signal
import struct
import threading
import time
from typing import Any
import zlib

from campaigns import Figures
from campaigns._authentic import Seals
from campaigns._recovered import check_recovered, last_footer, snapshot
from fdr_recorder import (
    CapacityCapPolicy,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    RingConfig,
)
from fdr_recorder.flights.recovery.recover import needs_recovery, recover
from fdr_recorder.storage.closed_segment import ClosedSegment
from flight_check import FlightFiles
from producers import blob, make_client
from waiting import wait_until

NAME = 'kill'
ABOUT = (
    'SIGKILL under load, at any moment and in any system call, and again while recovering: '
    'what was taken from a ring longer ago than flush_interval_s is there.'
)
DEFAULT_ROUNDS = 200
SHORT_ROUNDS = 8

KIB = 1024
FLIGHT = 'flight'
BESIDE = 'beside'


CALLS = ('writev', 'write', 'fsync', 'fdatasync', 'ftruncate', 'open', 'rename', 'unlink', 'mkdir')
"""What changes a flight."""
RARE_CALLS = ('ftruncate', 'rename', 'unlink')


# --- what happens in a round -------------------------------------------------------------------


@dataclass(frozen=True)
class FatalCall:
    """The system call in which a process dies."""

    names: tuple[str, ...]
    number: int

    @classmethod
    def draw(cls, rng: random.Random, most: int) -> FatalCall:
        """Draw one of many calls of any kind, or one of a few of a rare kind."""
        if rng.random() < 0.5:
            return cls(CALLS, int(most ** rng.random()))
        return cls((rng.choice(RARE_CALLS),), rng.randint(1, 6))


@dataclass(frozen=True)
class Plan:
    """Everything that chance decides about a round."""

    options: dict[str, Any]
    cap_bytes: int
    clients: int
    latched: int
    ring_records: int
    sizes: tuple[int, ...]
    burst: int
    pause_s: float
    sync_delay_s: float
    load_s: float
    """How long it records before it closes the flight."""
    phase: int
    """Killed from outside in this phase..."""
    delay_s: float
    """...after this time..."""
    fatal_call: FatalCall | None
    """...unless it comes to this system call before."""
    seals: Seals
    recovery_kills: tuple[FatalCall, ...]
    """The system calls at which recovery is killed, one attempt after the other."""
    seed: int


OPENING, RECORDING, CLOSING, CLOSED = 1, 2, 3, 4


def make_plan(rng: random.Random, directory: Path) -> Plan:
    """Draw a round; the keys for sealed flights get into its directory."""
    segment_size = rng.choice([16, 16, 48, 48, 256, 2048]) * KIB
    load_s = rng.uniform(0.1, 0.8)
    phase = rng.choices([OPENING, RECORDING, CLOSING], [1, 5, 2])[0]
    return Plan(
        options={
            'segment_size_bytes': segment_size,
            'chunk_size_bytes': rng.choice([1, 4, 32, 1024]) * KIB,
            'flush_interval_s': rng.choice([0.1, 0.15, 0.25]),
            'sync_interval_s': rng.choice([0.02, 0.1, 1.0]),
            'batch_size': rng.choice([8, 64, 512]),
            'segment_duration_s': rng.choice([0.0, 0.0, 0.1]),
            'compression': rng.choice(['none', 'lz4', 'zstd']),
            'reserve_bytes': rng.choice([0, 64 * KIB]),
            'min_free_bytes': 0,
        },
        cap_bytes=rng.choice([1 << 40, int(segment_size * rng.uniform(1.2, 4))]),
        clients=rng.randint(1, 5),
        latched=rng.choice([0, 0, 1, 2]),
        ring_records=rng.choice([20, 65_536, 65_536]),
        sizes=tuple(rng.choice([30, 100, 1000, 5000, 40_000]) for _ in range(4)),
        burst=rng.choice([1, 5, 20]),
        pause_s=rng.uniform(0.0002, 0.001),
        sync_delay_s=rng.choice([0.0, 0.0, rng.uniform(0.002, 0.2)]),
        load_s=load_s,
        phase=phase,
        delay_s=rng.uniform(0, load_s) if phase == RECORDING else rng.uniform(0, 0.03),
        fatal_call=rng.choice([None, FatalCall.draw(rng, 2000)]),
        seals=Seals.draw(rng, directory),
        recovery_kills=tuple(
            FatalCall.draw(rng, 40) for _ in range(rng.choice([0, 0, 1, 3]))
        ),
        seed=rng.randrange(1 << 32),
    )


# --- what parent and child share ---------------------------------------------------------------

MAX_CLIENTS = 7
MAX_RECORDS = 20_000
"""Of each client."""
MAX_SAMPLES = 20_000
MAX_CLOSED = 2000
OFFERED, TAKEN_IN, REFUSED = 1, 2, 3
"""What became of a record: `OFFERED` stays only if the child died in `enqueue`."""

_U64 = struct.Struct('<Q')
_SAMPLE = struct.Struct(f'<{1 + MAX_CLIENTS}Q')
_CLOSED = struct.Struct('<3Q')
_SAMPLES_AT = 64
_CLOSED_AT = _SAMPLES_AT + MAX_SAMPLES * _SAMPLE.size
_FATES_AT = _CLOSED_AT + MAX_CLOSED * _CLOSED.size


class Shared:
    """Memory that outlives the child: what it has done, as it did it."""

    def __init__(self) -> None:
        """Allocate it, all zero."""
        self.memory = mmap.mmap(-1, _FATES_AT + MAX_CLIENTS * MAX_RECORDS)

    def _get(self, place: int) -> int:
        return int(_U64.unpack_from(self.memory, place * 8)[0])

    def _set(self, place: int, value: int) -> None:
        _U64.pack_into(self.memory, place * 8, value)

    @property
    def phase(self) -> int:
        return self._get(0)

    @phase.setter
    def phase(self, value: int) -> None:
        self._set(0, value)

    @property
    def died_at_ns(self) -> int:
        """When the child has killed itself (CLOCK_MONOTONIC, which all processes share)."""
        return self._get(1)

    @died_at_ns.setter
    def died_at_ns(self, value: int) -> None:
        self._set(1, value)

    def set_fate(self, client: int, sequence: int, fate: int) -> None:
        self.memory[_FATES_AT + client * MAX_RECORDS + sequence] = fate

    def fates(self, client: int) -> list[int]:
        start = _FATES_AT + client * MAX_RECORDS
        return list(self.memory[start:start + MAX_RECORDS].rstrip(b'\0'))

    def add_sample(self, number: int, taken: list[int]) -> None:
        """Note what was taken from the rings: read before the clock, so it is true by then."""
        row = [time.monotonic_ns(), *taken, *[0] * (MAX_CLIENTS - len(taken))]
        _SAMPLE.pack_into(self.memory, _SAMPLES_AT + number * _SAMPLE.size, *row)
        self._set(2, number + 1)

    def samples(self) -> list[tuple[int, ...]]:
        return [
            _SAMPLE.unpack_from(self.memory, _SAMPLES_AT + number * _SAMPLE.size)
            for number in range(self._get(2))
        ]

    def add_closed(self, closed: ClosedSegment) -> None:
        _CLOSED.pack_into(
            self.memory,
            _CLOSED_AT + closed.index * _CLOSED.size,
            1,
            closed.bytes,
            closed.records,
        )

    def closed(self, index: int) -> tuple[int, int]:
        """Return bytes and records of a segment that was closed because it was full."""
        known, size, records = _CLOSED.unpack_from(self.memory, _CLOSED_AT + index * _CLOSED.size)
        assert known, f'segment {index} is gone, but had never been closed'
        return size, records


# --- the child ---------------------------------------------------------------------------------


def in_child(work: Callable[[], None]) -> int:
    """Start a child process that does some work and ends; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        logging.disable()
        work()
        code = 0
    finally:
        os._exit(code)


def wait_for(pid: int) -> int:
    """Wait for a child; return the signal that ended it, 0 for none."""
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, 'the child has failed'
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def die_at(fatal: FatalCall, rng: random.Random, before_death: Callable[[], None]) -> None:
    """Have this process killed in one of its next system calls."""
    numbers = count(1)

    def die() -> None:
        before_death()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def wrapped(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) != fatal.number:
                return real(*args, **kwargs)
            if name == 'writev':
                data = b''.join(args[1])
                os.write(args[0], data[: rng.randint(0, len(data))])
            elif rng.random() < 0.5:
                real(*args, **kwargs)
            return die()

        return call

    for name in fatal.names:
        setattr(os, name, wrapped(name))


def slow_down(sync_delay_s: float) -> None:
    """Let every `fsync` take longer, as on a worn memory card."""

    def delayed(real: Callable[[int], None]) -> Callable[[int], None]:
        def call(fd: int) -> None:
            time.sleep(sync_delay_s)
            real(fd)

        return call

    os.fsync, os.fdatasync = delayed(os.fsync), delayed(os.fdatasync)


def content(sequence: int, size: int) -> bytes:
    """Return a message that can be recognised by itself."""
    filling = (b'%d/' % sequence) * (size // 4)
    return blob(struct.pack('<QI', sequence, zlib.crc32(filling[:size])) + filling[:size])


def check_content(data: bytes, sequence: int) -> None:
    number, crc = struct.unpack_from('<QI', data, 8)
    assert number == sequence
    assert zlib.crc32(data[20:]) == crc


def record(root: Path, plan: Plan, shared: Shared) -> None:
    """Record a flight that is closed in peace, then the one that will not be."""
    rng = random.Random(plan.seed)
    writer = FileFdrWriter(root, FdrWriterConfig(**plan.options, seal=plan.seals.config))
    writer.start()
    writer.open_flight(FlightHeader(flight_id=BESIDE))
    writer.close_flight(BESIDE)

    policy = CapacityCapPolicy(plan.cap_bytes, writer, writer.alerts)

    def rotated(closed: ClosedSegment) -> None:
        shared.add_closed(closed)
        policy.on_rotation(closed)

    writer.on_rotation = rotated
    ring = RingConfig(max_records=plan.ring_records)
    clients = [
        make_client(f'/topic_{number}', f'{number:02x}', latched=number < plan.latched, ring=ring)
        for number in range(plan.clients + plan.latched)
    ]
    for client in clients:
        writer.register(client)
        if client.channel.latched and rng.random() < 0.5:  # published before the flight
            client.enqueue(content(0, 50), 1, 1, 0)
    slow_down(plan.sync_delay_s)
    if plan.fatal_call:

        def note_death() -> None:
            shared.died_at_ns = time.monotonic_ns()

        die_at(plan.fatal_call, rng, note_death)
    must_stop = threading.Event()
    threads = [
        threading.Thread(target=sample, args=(clients, shared)),
        threading.Thread(target=produce, args=(clients, plan, shared, must_stop)),
    ]
    shared.phase = OPENING
    for thread in threads:
        thread.daemon = True
        thread.start()
    writer.open_flight(FlightHeader(flight_id=FLIGHT))
    shared.phase = RECORDING
    time.sleep(plan.load_s)
    shared.phase = CLOSING
    writer.close_flight(FLIGHT)
    shared.phase = CLOSED
    must_stop.set()
    time.sleep(60)


def sample(clients: list[FdrClient], shared: Shared) -> None:
    for number in range(MAX_SAMPLES):
        shared.add_sample(number, [client.ring.taken for client in clients])
        time.sleep(0.002)


def produce(
    clients: list[FdrClient], plan: Plan, shared: Shared, must_stop: threading.Event
) -> None:
    """Offer records to all clients, numbered from 1; note what became of each."""
    rng = random.Random(plan.seed + 1)
    sequences = [0] * len(clients)
    for cycle in range(MAX_RECORDS - 1):
        for number, client in enumerate(clients):
            if client.channel.latched and cycle % 20:
                continue
            sequences[number] = sequence = sequences[number] + 1
            data = content(sequence, rng.choice(plan.sizes))
            now_ns = time.time_ns()
            shared.set_fate(number, sequence, OFFERED)
            is_taken = client.enqueue(data, now_ns, now_ns, sequence)
            shared.set_fate(number, sequence, TAKEN_IN if is_taken else REFUSED)
        if cycle % plan.burst == 0:
            time.sleep(plan.pause_s * plan.burst)
        if must_stop.is_set():
            return


# --- the parent --------------------------------------------------------------------------------


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Record, kill, recover (and kill that, too), and look for every record."""
    plan = make_plan(rng, directory)
    shared = Shared()
    pid = in_child(lambda: record(directory, plan, shared))
    died_at_ns = kill(pid, plan, shared)
    path = directory / FLIGHT
    before = snapshot(directory / BESIDE)
    was_unclean = path.is_dir() and needs_recovery(path)
    for fatal in plan.recovery_kills:
        kill_recovery(directory, fatal, rng, plan.seals)
    plan.seals.check(path)
    started_at = time.monotonic()
    recovered = recover(directory, key_file=plan.seals.of_recovery(rng))
    seconds = time.monotonic() - started_at
    assert snapshot(directory / BESIDE) == before, 'a clean flight was touched'
    assert len(recovered) <= 1
    figures: dict[str, int | float] = {
        'recovered': was_unclean,
        'recovery_s': seconds,
        'cut_bytes': sum(flight.cut_bytes for flight in recovered),
        'recovery_kills': len(plan.recovery_kills),
    }
    if not list(path.glob('*.mcap')):
        assert shared.phase <= OPENING, 'the flight is gone'
        return {**figures, 'never_opened': 1}
    dropped = [shared.closed(index) for index in range(first_segment(path))]
    plan.seals.check(path)
    flight, _ = check_recovered(path, dropped_records=[records for _, records in dropped])
    assert last_footer(flight).bytes_dropped == sum(size for size, _ in dropped)
    if shared.phase == CLOSED:
        assert last_footer(flight).clean_shutdown
    lost_s = check_records(flight, plan, shared, died_at_ns)
    limit_s = plan.options['flush_interval_s']
    assert lost_s <= limit_s, f'lost what was taken {lost_s} s before; {plan}'
    return {
        **figures,
        'records': len(flight.messages),
        'segments': len(flight.segments),
        'dropped': len(dropped),
        'oldest_lost_share': lost_s / limit_s,
    }


def kill(pid: int, plan: Plan, shared: Shared) -> int:
    """Let the child be killed; return when that was (CLOCK_MONOTONIC, nanoseconds)."""
    with reaped(pid):
        wait_until(
            lambda: shared.phase >= plan.phase or shared.died_at_ns, 'the phase to be killed in'
        )
        deadline = time.monotonic() + plan.delay_s
        while time.monotonic() < deadline and not shared.died_at_ns:
            time.sleep(0.001)
        now_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
    return shared.died_at_ns or now_ns


@contextmanager
def reaped(pid: int) -> Iterator[None]:
    """Leave no child behind."""
    try:
        yield
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    assert wait_for(pid) == signal.SIGKILL, 'the child ended by itself'


def kill_recovery(root: Path, fatal: FatalCall, rng: random.Random, seals: Seals) -> None:
    """Recover in a child that is killed at one of its system calls, if it comes so far."""

    def work() -> None:
        die_at(fatal, rng, lambda: None)
        recover(root, key_file=seals.of_recovery(rng))

    wait_for(in_child(work))


def first_segment(path: Path) -> int:
    return min(int(file.stem.rpartition('_')[2]) for file in path.glob('*.mcap'))


def check_records(flight: FlightFiles, plan: Plan, shared: Shared, died_at_ns: int) -> float:
    """
    Check that every producer's records are there, in order, without a gap, as they were.

    Returns:
        How many seconds before the end the oldest record that is not in the flight had been
        taken from its ring.

    """
    samples = shared.samples()
    lost_ns = 0
    for number in range(plan.clients + plan.latched):
        fates = shared.fates(number)
        messages = [
            message
            for message in flight.of_topic(f'/topic_{number}')
            if message.log_time == message.publish_time  # repeats have another log time
        ]
        for message in messages:
            check_content(message.data, message.sequence)
        found = [message.sequence for message in messages]
        offered = [sequence for sequence, fate in enumerate(fates) if fate in (OFFERED, TAKEN_IN)]
        if fates and fates[-1] == OFFERED and found[-1:] != offered[-1:]:
            offered.pop()  # it died before that record was in the ring, or just after
        first = offered.index(found[0]) if found else 0
        end = first + len(found)
        assert found == offered[first:end], f'/topic_{number}: a gap, or a record twice'
        if not last_footer(flight).segments_dropped:
            assert first == 0, f'/topic_{number}: the first {first} records are not there'
        if not found and last_footer(flight).segments_dropped:
            continue  # all of them went with the oldest segments
        for time_ns, *taken in samples:
            if taken[number] > end and time_ns <= died_at_ns:
                lost_ns = max(lost_ns, died_at_ns - time_ns)
                break
    return lost_ns / 1e9
