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

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
import math
import random

from fdr_recorder.capture.throttle import Throttle
from fdr_recorder.units import NS_PER_S
import pytest

BOOT_NS = 5_000 * NS_PER_S
MINUTE_S = 60
LATE_S = 0.5


def kept(throttle: Throttle, times: list[float]) -> list[float]:
    """Return which of the times of arrival are recorded."""
    return [at for at in times if throttle.admits(BOOT_NS + round(at * NS_PER_S))]


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


def late_by_chance(times: list[float]) -> list[float]:
    chance = random.Random(7)
    return list(accumulate((at + chance.uniform(0, LATE_S) for at in times), max))


def in_bunches(times: list[float]) -> list[float]:
    return [math.ceil(at / LATE_S) * LATE_S for at in times]


def in_uneven_bunches(times: list[float]) -> list[float]:
    chance = random.Random(3)
    ends = list(accumulate(chance.uniform(0.01, LATE_S) for _ in range(10 * MINUTE_S)))
    return [ends[bisect_left(ends, at)] for at in times]


def after_hiccups(times: list[float]) -> list[float]:
    """Stop for half a second, every three seconds."""
    return [max(at, at // 3 * 3 + LATE_S) for at in times]


@pytest.mark.parametrize(
    'arrive', [late_by_chance, in_bunches, in_uneven_bunches, after_hiccups]
)
@pytest.mark.parametrize(
    ('published_hz', 'max_hz'),
    [(1000, 10), (1000, 100), (1000, 900), (1000, 1000), (100, 2), (100, 30), (100, 99)],
)
def test_messages_that_arrive_late_cost_no_rate(
    published_hz: float, max_hz: float, arrive: Callable[[list[float]], list[float]]
) -> None:
    times = arrive(jittered(published_hz, 0.3))
    assert len(kept(Throttle(max_hz), times)) == pytest.approx(max_hz * MINUTE_S, rel=0.01, abs=2)


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


def test_publishers_that_are_looked_at_in_turn_share_the_rate_of_their_topic() -> None:
    """Each has 100 messages whenever it is looked at: what the second one has is older."""
    throttle = Throttle(20)
    times = [at + n / 1000 for at in range(MINUTE_S * 10) for _ in 'ab' for n in range(100)]
    assert len(kept(throttle, [at / 10 for at in times])) == pytest.approx(1200, rel=0.005)


@pytest.mark.parametrize('step_s', [-3600.0, 3600.0])
def test_a_clock_of_arrivals_that_is_set_keeps_the_rate(step_s: float) -> None:
    """That of who hands messages over with a log time."""
    throttle, times = Throttle(10), [n / 100 for n in range(6000)]
    kept(throttle, times)
    found = kept(throttle, [MINUTE_S + step_s + at for at in times])
    assert len(found) == pytest.approx(600, abs=2)


def test_a_rate_is_changed_between_two_messages() -> None:
    throttle, times = Throttle(10), jittered(1000, 0.2, 4)
    assert len(kept(throttle, times[:2000])) == pytest.approx(20, abs=1)
    throttle.set_rate(100)
    assert len(kept(throttle, times[2000:])) == pytest.approx(200, abs=2)
