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
Rows without ROS: the writer alone, and the cost of a rotation.

The flight, its rings and the cap policy are the recorder's own, but there is no writer thread: its
work is done here, in turn with what fills the rings. The time is therefore the writer's alone, and
a producer's is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
from pathlib import Path
from statistics import median
import time
from typing import Final

from bench.figures import Row
from bench.trial import memory_directory
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import FdrWriterConfig, RingConfig
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.storage.cap import CapacityCapPolicy
from fdr_recorder.storage.clients import Clients
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.drain import Drain
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.recording import FlightRecording
from mcap.writer import CompressionType, Writer

_SCHEMA: Final = Schema('std_msgs/msg/String', 'string data\n')
_RINGS: Final = 10
_ROOMY: Final = RingConfig(max_records=1 << 20, max_bytes=1 << 32, total_bytes=1 << 32)
_MIB: Final = 1024 * 1024
_SLOW_SYNC_S: Final = 0.1


class SteppedFlight:
    """An open flight whose rings are drained by the writer's code, but without its thread."""

    def __init__(self, directory: Path, config: FdrWriterConfig, rings: int) -> None:
        self._config = config
        self._root = FlightRoot.acquire(directory)
        self._alerts = AlertBoard()
        self.register = clients = Clients(lambda: None, has_preroll=False)
        self._drain = Drain(config, self._alerts, clients)
        self.clients = [FdrClient(Channel(f'/bench/{n}', _SCHEMA), _ROOMY) for n in range(rings)]
        for client in self.clients:
            clients.register(client)
        self._drain.open(self._root, FlightHeader(flight_id='bench'), self._on_rotation)
        self.step = self._drain.round
        """Take one batch from every ring; return whether some ring holds more."""

    @property
    def recording(self) -> FlightRecording:
        """Return the open flight."""
        assert self._drain.recording is not None
        return self._drain.recording

    def _on_rotation(self, closed: ClosedSegment) -> None:
        cap_bytes = self._config.flight_cap_bytes
        CapacityCapPolicy(cap_bytes, self.recording, self._alerts).on_rotation(closed)

    def drain(self) -> None:
        """Write all that the rings hold."""
        while self.step():
            pass

    def close(self) -> None:
        """Close the flight."""
        self._drain.close('bench')
        self._root.release()


def _fill(clients: Sequence[FdrClient], records: Sequence[bytes]) -> None:
    for number, data in enumerate(records):
        clients[number % len(clients)].enqueue(data, number, number, number)


def _our_time(records: Sequence[bytes], rings: int) -> float:
    with memory_directory() as directory:
        flight = SteppedFlight(directory, FdrWriterConfig(min_free_bytes=0), rings)
        _fill(flight.clients, records)
        start = time.perf_counter()
        flight.drain()
        flight.close()
        return time.perf_counter() - start


def _mcap_time(records: Sequence[bytes]) -> float:
    with memory_directory() as directory, (directory / 'bench.mcap').open('wb') as file:
        start = time.perf_counter()
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start('ros2', 'bench')
        schema_id = writer.register_schema(_SCHEMA.name, 'ros2msg', _SCHEMA.definition.encode())
        channels = [
            writer.register_channel(f'/bench/{n}', 'cdr', schema_id) for n in range(_RINGS)
        ]
        for number, data in enumerate(records):
            writer.add_message(channels[number % _RINGS], number, data, number, number)
        writer.finish()  # type: ignore[no-untyped-call]
        return time.perf_counter() - start


def _system_time(records: Sequence[bytes]) -> float:
    with memory_directory() as directory:
        fd = os.open(directory / 'bench', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        start = time.perf_counter()
        for data in records:
            os.write(fd, data)
        os.close(fd)
        return time.perf_counter() - start


def in_turn(
    rounds: int, ours: Callable[[], float], other: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Call both `rounds` times in turn; which one is first alternates."""
    mine, others = [], []
    for number in range(rounds):
        if number % 2:
            others.append(other())
            mine.append(ours())
        else:
            mine.append(ours())
            others.append(other())
    return mine, others


def writer_small(rounds: int, *, quick: bool) -> list[Row]:
    """Small records from rings to a file in memory, against the `mcap` library."""
    count = 50_000 if quick else 300_000
    records = [number.to_bytes(64, 'little') for number in range(count)]
    ours, theirs = in_turn(
        rounds, lambda: _our_time(records, _RINGS), lambda: _mcap_time(records)
    )
    return [
        Row(
            'writer-small',
            'writer alone, 64 B records: speed',
            'mcap.writer.Writer',
            [b / a for a, b in zip(ours, theirs, strict=True)],
            at_least=5,
            samples={
                'ours_us_per_record': [1e6 * t / count for t in ours],
                'theirs_us_per_record': [1e6 * t / count for t in theirs],
            },
        )
    ]


def writer_large(rounds: int, *, quick: bool) -> list[Row]:
    """Large records from rings to files in memory, against the system call alone."""
    count = 64 if quick else 256
    records = [os.urandom(_MIB) for _ in range(count)]
    ours, theirs = in_turn(
        rounds, lambda: _our_time(records, 1), lambda: _system_time(records)
    )
    return [
        Row(
            'writer-large',
            'writer alone, 1 MB records: speed',
            'os.write of the same bytes',
            [b / a for a, b in zip(ours, theirs, strict=True)],
            at_least=0.85,
            samples={
                'ours_gb_per_s': [count * _MIB / t / 1e9 for t in ours],
                'theirs_gb_per_s': [count * _MIB / t / 1e9 for t in theirs],
            },
        )
    ]


def rotation(rounds: int, *, quick: bool) -> list[Row]:
    """Cost of a rotation that drops a segment, with few and with many segments."""
    few, many = 10, 1000 if quick else 10_000
    with memory_directory() as small_flight, memory_directory() as large_flight:
        runners = [_Rotations(small_flight, few), _Rotations(large_flight, many)]
        at_few, at_many = in_turn(rounds, *(runner.measure for runner in runners))
        for runner in runners:
            runner.close()
    return [
        Row(
            'rotation',
            f'cost of a rotation with the cap dropping, {many:,} segments',
            f'{few} segments',
            [b / a for a, b in zip(at_few, at_many, strict=True)],
            at_most=1.5,
            samples={'few_ms': [1e3 * t for t in at_few], 'many_ms': [1e3 * t for t in at_many]},
        )
    ]


class _Rotations:
    """A flight at its cap, with a given number of small segments."""

    _SEGMENT = 16 * 1024
    _RECORD = bytes(2048)
    _MEASURED = 40

    def __init__(self, directory: Path, segments: int) -> None:
        config = FdrWriterConfig(
            segment_size_bytes=self._SEGMENT,
            chunk_size_bytes=4096,
            flight_cap_bytes=segments * self._SEGMENT,
            min_free_bytes=0,
            reserve_bytes=0,
        )
        self._flight = SteppedFlight(directory, config, 1)
        while not self._flight.recording.log.counters().segments_dropped:
            self._rotate(max(10, segments // 10))

    def _rotate(self, count: int) -> None:
        """Write until `count` more segments have ended."""
        flight = self._flight
        goal = flight.recording.log.newest_index + count
        while flight.recording.log.newest_index < goal:
            _fill(flight.clients, [self._RECORD])
            flight.drain()

    def measure(self) -> float:
        """Return the seconds that a rotation takes."""
        start = time.perf_counter()
        self._rotate(self._MEASURED)
        return (time.perf_counter() - start) / self._MEASURED

    def close(self) -> None:
        """Close the flight."""
        self._flight.close()


def pause(rounds: int, *, quick: bool) -> list[Row]:
    """How long the rings wait at most while segments end and the disk is slow."""
    seconds = 2.0 if quick else 5.0
    slow, prompt = in_turn(
        rounds,
        lambda: _longest_pause(seconds, _SLOW_SYNC_S),
        lambda: _longest_pause(seconds, 0.0),
    )
    return [
        Row(
            'pause',
            f'longest round of the writer, 4 MB/s, 4 MiB segments, syncs of {_SLOW_SYNC_S} s',
            '',
            [1e3 * t for t in slow],
            unit='ms',
            note=f'{1e3 * median(prompt):.1f} ms where syncs take no time; a round that finds '
            'the disk more than two segments behind would wait for it',
            samples={'slow_ms': [1e3 * t for t in slow], 'prompt_ms': [1e3 * t for t in prompt]},
        )
    ]


def _longest_pause(seconds: float, sync_s: float) -> float:
    """Record for `seconds`; return the longest time that the writer was away from the rings."""
    longest = 0.0
    syncs = os.fsync, os.fdatasync

    def slow_sync(fd: int) -> None:
        time.sleep(sync_s)
        syncs[0](fd)

    with memory_directory() as directory:
        os.fsync = os.fdatasync = slow_sync  # type: ignore[assignment]
        try:
            flight = SteppedFlight(directory, FdrWriterConfig(segment_size_bytes=4 * _MIB), 1)
            end = time.monotonic() + seconds
            while time.monotonic() < end or flight.recording.log.newest_index < 2:
                _fill(flight.clients, [bytes(16 * 1024)])
                start = time.perf_counter()
                flight.step()
                longest = max(longest, time.perf_counter() - start)
                time.sleep(0.004)
            flight.close()
        finally:
            os.fsync, os.fdatasync = syncs
    return longest
