# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A long mission: publishers that come and go, thousands of segments; what grows with it."""

from __future__ import annotations

from pathlib import Path
import time
from typing import Final

from bench.core import SteppedFlight
from bench.figures import Row
from bench.trial import memory_directory
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import FdrWriterConfig, RingConfig
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.channel import Channel

_SCHEMA: Final = Schema('std_msgs/msg/String', 'string data\n')
_RING: Final = RingConfig(max_records=64)
_SEGMENT: Final = 16 * 1024
_MEASURED: Final = 50
_PUBLISHERS: Final = 10
"""That come and go in each segment; every second one of them is latched."""


class Mission:
    """
    A flight without a cap, in which every segment has other publishers.

    Attributes:
        segments: How many were begun.
        publishers: How many have come and gone.

    """

    def __init__(self, directory: Path) -> None:
        """Open the flight."""
        config = FdrWriterConfig(
            segment_size_bytes=_SEGMENT, chunk_size_bytes=8192, min_free_bytes=0, reserve_bytes=0
        )
        self.flight = SteppedFlight(directory, config, 1)
        self.segments = self.publishers = 0

    def go_on(self, segments: int) -> float:
        """Record until there are so many; return the seconds that each of the last took."""
        start = time.perf_counter()
        while self.segments < segments:
            if self.segments == segments - _MEASURED:
                start = time.perf_counter()
            self._record_segment()
        return (time.perf_counter() - start) / _MEASURED

    def _record_segment(self) -> None:
        flight = self.flight
        for _ in range(_PUBLISHERS):
            number = self.publishers
            self.publishers += 1
            channel = Channel(
                f'/bench/{number % 3}', _SCHEMA, publisher=f'{number:032x}', latched=number % 2 > 0
            )
            client = FdrClient(channel, _RING)
            flight.register.register(client)
            client.enqueue(bytes(100), sequence=1)
            flight.register.retire(client)
        flight.clients[0].enqueue(bytes(1000))
        flight.drain()
        flight.recording.split()
        self.segments += 1

    def kept(self) -> dict[str, int]:
        """Count what the flight keeps in memory of publishers."""
        recording = self.flight.recording
        return {
            'accounts': len(recording.log.ledger.accounts),
            'open accounts': len(recording.accounts),
            'retiring clients': len(self.flight.register.retiring),
        }


def resident_mib() -> float:
    """Return the memory of this process (Linux: proc(5))."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * 4096 / 2**20


def mission(_rounds: int, *, quick: bool) -> list[Row]:
    """Cost of a rotation and memory while publishers come and go over many segments."""
    stages = (100, 500, 1000) if quick else (100, 1000, 10_000)
    costs, memory = [], []
    with memory_directory() as directory:
        run = Mission(directory)
        for segments in stages:
            costs.append(run.go_on(segments))
            memory.append(resident_mib())
        publishers, kept = run.publishers, run.kept()
        run.flight.close()
    few, many = stages[0], stages[-1]
    what = f'at {many:,} segments, {publishers:,} publishers that came and went'
    at = ', '.join(
        f'{segments:,}: {1e3 * cost:.2f} ms, {size:.0f} MiB'
        for segments, cost, size in zip(stages, costs, memory, strict=True)
    )
    return [
        Row(
            'mission',
            f'a segment and its rotation {what}',
            f'at {few} segments',
            [costs[-1] / costs[0]],
            at_most=1.5,
            note=f'{at}; {", ".join(f"{count:,} {name}" for name, count in kept.items())}',
            samples={'segments': stages, 'seconds': costs, 'resident_mib': memory},
        ),
        Row(
            'mission',
            f'memory {what}, for each segment since {stages[1]:,}',
            '',
            [1024 * (memory[-1] - memory[1]) / (stages[-1] - stages[1])],
            at_most=2.0,
            unit='KiB',
        ),
    ]
