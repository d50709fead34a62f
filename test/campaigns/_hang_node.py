# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The rounds of the campaign `hang` with the node, over DDS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
import random
import signal
import time

from campaigns.hang import (
    check_closed,
    closed_segments,
    draw_points,
    KIB,
    REACH_S,
    SHORT_S,
)
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from slow_disk import ENDED_WITHIN_S, SLACK_S, TOLD_WITHIN_S
from stalled_flight import check, stalled_flight, StalledFlight


def run_node(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Let the disk of a node hang a few times in a flight; end it, or end the node in a hang."""
    figures: Counter[str] = Counter({'nodes': 1})
    options = {
        'ring__max_records': rng.choice([400, 20_000]),
        'writer__segment_size_bytes': rng.choice([64, 1024]) * KIB,
        'writer__chunk_size_bytes': 8 * KIB,
    }
    is_ended_in_a_hang = rng.random() < 0.5
    with stalled_flight(directory, 'configure', 'activate', **options) as flight:
        has_long_hangs = False
        for _ in range(rng.randint(1, 2)):
            _load_for(flight, rng.uniform(0.1, 0.8))
            has_long_hangs |= _hang(flight, rng, figures, is_long=rng.random() < 0.6)
            _go_on(flight)
        if is_ended_in_a_hang:
            _hang(flight, rng, figures, is_long=True)
            end_in_a_hang(flight)
            figures['ended in a hang'] += 1
            return figures
        flight.recorder.make('deactivate')
        lost = check(flight)
        assert has_long_hangs or not lost, f'{lost} refused in short hangs'
        figures['records_refused'] += lost
        assert flight.recorder.stop() == 0
    return figures


def end_in_a_hang(flight: StalledFlight) -> float:
    """End the node by SIGTERM, recover the flight, check it; return the seconds it took."""
    path = flight.recorder.flights()[-1]
    closed = closed_segments(path)
    since = time.monotonic()
    code = flight.recorder.stop(signal.SIGTERM)
    seconds = time.monotonic() - since
    assert seconds < ENDED_WITHIN_S + SLACK_S
    assert code in (0, 1), f'exit code {code}:\n{flight.recorder.log}'
    flight.disk.answer()
    assert code == 0 or f'{path} is not closed' in flight.recorder.log
    recover(path)
    check_closed(closed)
    assert verify(path).verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)
    return seconds


def _load_for(flight: StalledFlight, seconds: float) -> None:
    until = time.monotonic() + seconds
    flight.load_until(lambda: time.monotonic() > until, 'the end of the time')


def _hang(
    flight: StalledFlight, rng: random.Random, figures: Counter[str], *, is_long: bool
) -> bool:
    """Let calls hang under load; return whether they did so for long."""
    points = draw_points(rng)
    before = len(flight.told())
    flight.disk.hang(*points)
    until = time.monotonic() + REACH_S
    flight.load_until(
        lambda: flight.disk.is_reached() or time.monotonic() > until, 'a call that hangs'
    )
    reached_at = flight.disk.reached_at
    if reached_at is None:
        figures['not_reached'] += 1
        return False
    figures['hangs'] += 1
    figures[f'hangs of {points[0]}'] += 1
    if not is_long:
        _load_for(flight, rng.uniform(0.02, SHORT_S))
        assert len(flight.told()) == before or time.time() - reached_at > SHORT_S
        return time.time() - reached_at > 2 * SHORT_S  # a slow machine
    flight.load_until(lambda: len(flight.told()) > before, 'the alert disk_stalled')
    assert flight.told()[-1]
    assert time.time() - reached_at < TOLD_WITHIN_S + SLACK_S
    figures['told'] += 1
    _load_for(flight, rng.uniform(0, 2.5))
    return True


def _go_on(flight: StalledFlight) -> None:
    flight.disk.answer()
    flight.load_until(lambda: not any(flight.told()[-1:]), 'the end of the alert')
