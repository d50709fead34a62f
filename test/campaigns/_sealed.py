# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sealed flights that end in every honest way, in one flight root, for the campaign `tamper`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import errno
from itertools import count
import multiprocessing
from multiprocessing.connection import Connection
import os
from pathlib import Path
import random
import re
import shutil
import time
from typing import Any
from unittest import mock

from campaigns._interpose import recorder_logs
from campaigns._recovered import snapshot
from fdr_recorder import (
    CapacityCapPolicy,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
)
from fdr_recorder.config import SealConfig
from fdr_recorder.errors import SealError
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.mcap import layout
from fdr_recorder.seal.seal import NONE, RECORD_NAME, Seal
from fdr_recorder.storage.closed_segment import ClosedSegment
from producers import make_client, numbered
from sealed_ground import allow, make_key, VEHICLE
from waiting import wait_until

SYNC_INTERVAL_S = 0.05
_MARK = re.compile(len(RECORD_NAME).to_bytes(4, 'little') + RECORD_NAME.encode())
_TEXT = re.compile(rb'fdr-seal-v1\n(?:[a-z0-9_]+:.*\n)+')
_SEGMENT = 24 * 1024
_START_S = 30.0

_PROCESSES = multiprocessing.get_context('forkserver')
"""Processes that begin with one thread: a lock that another one holds would stay held."""
_PROCESSES.set_forkserver_preload([__name__])


@dataclass
class Sealed:
    """
    A sealed flight that nobody has changed.

    Attributes:
        path: Its directory.
        kind: How it ended.
        is_closed: Whether the recorder has closed it, with a disk that worked.
        older: A copy of an earlier state of it; None if there is none.
        killed_at: When it was killed (system clock, s); 0 if it was not.

    """

    path: Path
    kind: str
    is_closed: bool = False
    older: Path | None = None
    killed_at: float = 0.0


@dataclass
class Vehicle:
    """A vehicle with its identity key, and the root in which it records."""

    directory: Path
    rng: random.Random
    flights: list[Sealed] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make key and root."""
        self.key = make_key(self.directory / 'identity')
        self.keys = allow(self.directory / 'allowed_signers', self.key)
        self.root = self.directory / 'flights'
        self.root.mkdir()

    def fly(self, kind: str) -> Sealed:
        """Record a flight that ends like that."""
        name = f'{len(self.flights)}_{kind}'
        flight = Sealed(self.root / name, kind)
        _KINDS[kind](self, flight)
        self.flights.append(flight)
        return flight

    def config(self, **options: Any) -> FdrWriterConfig:
        """Return options of the writer."""
        return FdrWriterConfig(**{
            'segment_size_bytes': _SEGMENT,
            'chunk_size_bytes': self.rng.choice([1024, 2048, 4000]),
            'compression': self.rng.choice(['none', 'none', 'lz4', 'zstd']),
            'flush_interval_s': 0.02,
            'sync_interval_s': SYNC_INTERVAL_S,
            'min_free_bytes': 0,
            'reserve_bytes': 0,
            'seal': SealConfig(key_file=str(self.key)),
            **options,
        })


@contextmanager
def recording(
    vehicle: Vehicle, flight: Sealed, *, cap_bytes: int = 1 << 40
) -> Iterator[tuple[FileFdrWriter, FdrClient]]:
    """Open a flight; stop the writer afterwards."""
    writer = FileFdrWriter(vehicle.root, vehicle.config())

    def keep_cap(closed: ClosedSegment) -> None:
        CapacityCapPolicy(cap_bytes, writer, writer.alerts).on_rotation(closed)

    writer.on_rotation = keep_cap
    writer.start()
    try:
        client = make_client('/blob', '0a')
        writer.register(client)
        writer.open_flight(FlightHeader(flight_id=flight.path.name, vehicle_id=VEHICLE))
        yield writer, client
    finally:
        writer.stop()


def send_some(writer: FileFdrWriter, client: FdrClient, rng: random.Random) -> None:
    """Send some messages, with a sync between some of them, and now and then split."""
    for _ in range(rng.randrange(2, 6)):
        before = writer.status.newest_seal
        for number in range(rng.randrange(5, 40)):
            client.enqueue(numbered(number, rng.choice([50, 400, 2000])))
        if rng.random() < 0.2:
            writer.split()
        wait_until(lambda before=before: writer.status.newest_seal != before, 'another seal')


def is_still(path: Path) -> bool:
    """Tell whether nobody writes into a directory any more."""
    before = snapshot(path)
    time.sleep(4 * SYNC_INTERVAL_S)  # this is what is being measured
    return snapshot(path) == before


# --- the ways in which it ends ------------------------------------------------------------------


def closed(vehicle: Vehicle, flight: Sealed, *, cap_bytes: int = 1 << 40) -> None:
    """Close it; keep a copy of what was there in the middle of it."""
    rng = vehicle.rng
    with recording(vehicle, flight, cap_bytes=cap_bytes) as (writer, client):
        send_some(writer, client, rng)
        wait_until(lambda: is_still(flight.path), 'the end of writing')
        flight.older = vehicle.directory / f'older_{flight.path.name}'
        shutil.copytree(flight.path, flight.older)
        send_some(writer, client, rng)
        writer.close_flight(flight.path.name)
    flight.is_closed = True


def capped(vehicle: Vehicle, flight: Sealed) -> None:
    """Close it; its oldest segments were dropped."""
    closed(vehicle, flight, cap_bytes=vehicle.rng.choice([2, 3, 5]) * _SEGMENT)


def killed(vehicle: Vehicle, flight: Sealed) -> None:
    """Kill the recorder at a random moment."""
    rng = vehicle.rng
    cap_bytes = rng.choice([1 << 40, 3 * _SEGMENT])
    moment_s, seed = rng.uniform(0.15, 0.8), rng.random()
    ready, said = _PROCESSES.Pipe(duplex=False)
    child = _PROCESSES.Process(
        target=_record_on, args=(vehicle, flight, cap_bytes, seed, said), daemon=True
    )
    child.start()
    said.close()
    try:
        assert ready.poll(_START_S), 'the recorder does not begin'
        ready.recv()
        time.sleep(moment_s)  # it is the moment that is random
    finally:
        child.kill()
        flight.killed_at = time.time()
        child.join()
        ready.close()


def _record_on(
    vehicle: Vehicle, flight: Sealed, cap_bytes: int, seed: float, said: Connection
) -> None:
    with recorder_logs(), recording(vehicle, flight, cap_bytes=cap_bytes) as (_, client):
        said.send(True)
        source = random.Random(seed)
        for number in count():
            client.enqueue(numbered(number, source.choice([50, 400, 2000])))
            if source.random() < 0.4:
                time.sleep(source.uniform(0, 0.01))


def powerless(vehicle: Vehicle, flight: Sealed) -> None:
    """Take what was not known to be on the disk: cut off, zeros, or old rubbish."""
    killed(vehicle, flight)
    flight.killed_at = 0.0
    rng = vehicle.rng
    path = max(flight.path.glob('*.mcap'))
    data = bytearray(path.read_bytes())
    seals = seals_of(path)
    durable = max((seal.durable for _, _, seal in seals), default=NONE)
    kept = max((end for _, end, seal in seals if seal.number <= durable), default=0)
    gone = min(int(item.stem[8:]) for item in flight.path.glob('*.mcap'))
    told = [end for _, end, seal in seals if seal.segments_dropped >= gone]
    if gone and told:  # they are removed once it is on the disk that they are dropped
        kept = max(kept, told[0])
    place = rng.randint(kept, len(data))
    way = rng.randrange(3)
    if way == 0:
        del data[place:]
    else:
        start = min((place + 511) // 512 * 512, len(data))
        end = min(start + 512 * rng.randint(1, 8), len(data))
        data[start:end] = bytes(end - start) if way == 1 else rng.randbytes(end - start)
    path.write_bytes(data)


def recovered(vehicle: Vehicle, flight: Sealed) -> None:
    """Recover it afterwards."""
    rng = vehicle.rng
    rng.choice([killed, powerless])(vehicle, flight)
    flight.killed_at = 0.0
    recover(flight.path, key_file=rng.choice(['', vehicle.key]))


def degraded(vehicle: Vehicle, flight: Sealed) -> None:
    """Let the disk refuse data for some spells; then close it."""
    rng = vehicle.rng
    real = {name: getattr(os, name) for name in ('writev', 'fdatasync')}
    failing: set[str] = set()

    def faulty(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if name in failing:
                number = errno.ENOSPC if name == 'writev' else errno.EIO
                raise OSError(number, os.strerror(number))
            return real[name](*args)

        return call

    with (
        mock.patch('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.02),
        mock.patch.multiple(os, **{name: faulty(name) for name in real}),
        recording(vehicle, flight) as (writer, client),
    ):
        send_some(writer, client, rng)
        for _ in range(rng.randint(1, 3)):
            failing.add(rng.choice([*real]))
            for number in range(rng.randrange(20, 60)):
                client.enqueue(numbered(number, 400))
            wait_until(lambda: writer.status.is_degraded, 'the fault')
            failing.clear()
            wait_until(lambda: not writer.status.is_degraded, 'its end')
            send_some(writer, client, rng)
        writer.close_flight(flight.path.name)


_KINDS: dict[str, Callable[[Vehicle, Sealed], None]] = {
    'closed': closed,
    'capped': capped,
    'killed': killed,
    'powerless': powerless,
    'recovered': recovered,
    'degraded': degraded,
}
KINDS = tuple(_KINDS)


# --- seals in a file ----------------------------------------------------------------------------


def seals_of(path: Path) -> list[tuple[int, int, Seal]]:
    """Return beginning, end and contents of the seals in a segment, behind holes too."""
    found = []
    data = path.read_bytes()
    for match in _MARK.finditer(data):
        start = match.start() - layout.RECORD_PREFIX.size
        opcode, length = layout.RECORD_PREFIX.unpack_from(data, start)
        end = start + layout.RECORD_PREFIX.size + length
        if opcode != layout.METADATA or end > len(data):
            continue
        text = _TEXT.search(data, start, end)
        try:
            seal = Seal.parse(text[0].decode()) if text is not None else None
        except (SealError, UnicodeDecodeError):
            continue
        if seal is not None:
            found.append((start, end, seal))
    return found
