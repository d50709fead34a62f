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
The system clock is set under the recorder: its process, over DDS.

It may begin in 1970. In segments and between them it is set ahead and back, by a fifth of a second
and by decades, or runs at another rate. What is published has the true CLOCK_MONOTONIC in it. It
needs ROS 2 and a C compiler.
"""

from __future__ import annotations

from pathlib import Path
import random
import time

from campaigns import Figures

NAME = 'clock'
ABOUT = 'The system clock is set in flight: order, distances and UTC of all records stay true.'
DEFAULT_ROUNDS = 50
SHORT_ROUNDS = 1

S = 1_000_000_000
STEPS_S = (0.2, 1.0, 3.7, 60.0, 3600.0, 86_400.0, 400 * 86_400.0)


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Record one flight whose clock is set several times."""
    return _run_round(rng, directory, rng.randint(2, 6))


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Record one flight that begins in 1970; the clock is set twice."""
    return _run_round(rng, directory, 2)


def _run_round(rng: random.Random, directory: Path, events: int) -> Figures:
    # importing them skips where there is no ROS 2, and says so
    from clock_flight import clock_recorder, ClockFlight
    from false_clock import ProcessClock
    from ground import own_ground

    root = directory / 'flights'
    root.mkdir()
    clock = ProcessClock(directory)
    if rng.random() < 0.5:
        clock.error_ns = -time.time_ns() + rng.randint(1, 3600) * S
    elif rng.random() < 0.5:
        clock.error_ns = rng.choice((-1, 1)) * round(rng.choice(STEPS_S) * S)
    begins_in_1970 = clock.now_ns() < 86_400 * S
    preroll_s = rng.choice((0.0, 5.0))
    with own_ground() as ground, clock_recorder(
        ground, directory, root, clock, preroll_s=preroll_s, writer__segment_size_bytes=64 << 10
    ) as recorder:
        recorder.make('configure')
        flight = ClockFlight(ground, recorder, clock)
        flight.open()
        flight.publish()
        slews = splits = 0
        for _ in range(events):
            what = rng.random()
            if what < 0.2:
                flight.slew(rng.choice((-1, 1)))
                slews += 1
            elif what < 0.4 and begins_in_1970:
                flight.set_clock(-clock.error_ns)
                begins_in_1970 = False
            else:
                sign = 1 if clock.now_ns() < 500 * 86_400 * S else rng.choice((-1, 1))
                flight.set_clock(sign * round(rng.choice(STEPS_S) * S))
            if rng.random() < 0.5:
                flight.split()
                splits += 1
            flight.publish()
        flight.close()
        files = flight.check()
        assert recorder.stop() == 0
    return {
        'steps': len(flight.steps),
        'slews': slews,
        'splits': splits,
        'preroll': preroll_s > 0,
        'records_checked': len(files.messages),
    }
