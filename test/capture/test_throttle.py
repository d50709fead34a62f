# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Throttles: exact rates over long times, whatever the jitter; no burst after a gap."""

from __future__ import annotations

from itertools import pairwise
import random

from fdr_recorder.capture.throttle import Throttle
from fdr_recorder.units import NS_PER_S
import pytest

EPOCH_NS = 1_700_000_000 * NS_PER_S
BOOT_NS = 5_000 * NS_PER_S
MINUTE_S = 60


def kept(
    throttle: Throttle, times: list[float], *, late_s: float = 0.0, ahead_s: float = 0.0
) -> list[float]:
    """Return which of the times of publishing are recorded; they arrive up to so late."""
    chance = random.Random(7)
    return [
        time_s
        for time_s in times
        if throttle.admits(
            BOOT_NS + round((time_s + chance.uniform(0, late_s)) * NS_PER_S),
            EPOCH_NS + round((time_s + ahead_s) * NS_PER_S),
        )
    ]


def jittered(rate_hz: float, jitter: float, seconds: float = MINUTE_S) -> list[float]:
    """Return times at a rate, each off by a share of the period at most, in either direction."""
    chance, period_s = random.Random(1), 1 / rate_hz
    count = round(seconds * rate_hz)
    return sorted((n + chance.uniform(-jitter, jitter)) * period_s for n in range(count))


@pytest.mark.parametrize('jitter', [0.0, 0.1, 0.45, 0.9])
@pytest.mark.parametrize(
    ('published_hz', 'max_hz'),
    [(1000, 10), (1000, 333), (1000, 950), (1000, 1000), (100, 30), (100, 99), (11, 10), (10, 10)],
)
def test_rates_are_exact_over_a_minute(
    published_hz: float, max_hz: float, jitter: float
) -> None:
    times = jittered(published_hz, jitter)
    assert len(kept(Throttle(max_hz), times)) == pytest.approx(max_hz * MINUTE_S, rel=0.005)


@pytest.mark.parametrize('max_hz', [10, 100, 300])
def test_messages_that_arrive_in_bunches_are_counted_as_they_were_sent(max_hz: float) -> None:
    times = jittered(1000, 0.3)
    found = kept(Throttle(max_hz), times, late_s=0.2)
    assert len(found) == pytest.approx(max_hz * MINUTE_S, rel=0.005)
    assert min(b - a for a, b in pairwise(found)) > 0.3 / max_hz


def test_a_topic_below_its_rate_is_whole() -> None:
    times = jittered(7, 0.4)
    assert kept(Throttle(10), times) == times


@pytest.mark.parametrize('max_hz', [2.0, 20, 200])
def test_after_a_gap_nothing_is_made_good(max_hz: float) -> None:
    throttle = Throttle(max_hz)
    before = [n / 1000 for n in range(2000)]
    kept(throttle, before)
    burst = [12 + n / 100_000 for n in range(1000)]  # 10 s of silence, then 10 ms full of them
    assert len(kept(throttle, burst)) <= max(0.01 * max_hz + 1, 1)
    after = [12.01 + n / 1000 for n in range(5000)]
    assert len(kept(throttle, after)) == pytest.approx(5 * max_hz, abs=1)


def test_a_source_whose_clock_is_set_keeps_its_rate() -> None:
    throttle = Throttle(10)
    found = kept(throttle, jittered(100, 0.2))
    for step_s in (-3600.0, 3600.0, -0.5):
        later = [found[-1] + 0.01 * n for n in range(1, 6001)]
        now = kept(throttle, later, ahead_s=step_s)
        assert len(now) == pytest.approx(600, abs=2), step_s
        found = now


def test_publishers_whose_clocks_differ_share_the_rate_of_their_topic() -> None:
    throttle = Throttle(20)
    count = 0
    for n in range(6000):  # both at 50 Hz
        arrival_ns = BOOT_NS + n * NS_PER_S // 100
        ahead_ns = 5 * NS_PER_S if n % 2 else 0
        count += throttle.admits(arrival_ns, EPOCH_NS + arrival_ns + ahead_ns)
    assert count == pytest.approx(20 * MINUTE_S, rel=0.005)


@pytest.mark.parametrize('published_ns', [0, EPOCH_NS])
def test_without_times_of_the_source_those_of_arrival_count(published_ns: int) -> None:
    """It tells none, or always the same."""
    throttle = Throttle(10)
    arrivals = [BOOT_NS + n * NS_PER_S // 100 for n in range(60_000)]
    admitted = [at for at in arrivals if throttle.admits(at, published_ns)]
    assert len(admitted) == pytest.approx(6000, rel=0.005)


def test_a_rate_is_changed_between_two_messages() -> None:
    throttle, times = Throttle(10), jittered(1000, 0.2, 4)
    assert len(kept(throttle, times[:2000])) == pytest.approx(20, abs=1)
    throttle.set_rate(100)
    assert len(kept(throttle, times[2000:])) == pytest.approx(200, abs=2)
