# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How long topics were silent, found batch by batch."""

from __future__ import annotations

from itertools import pairwise

from fdr_recorder.record.activity import Activity, SHORTEST_SILENCE_NS
from fdr_recorder.record.kinds import ConfigChange
from fdr_recorder.record.record_parts import ChangedTopic
from hypothesis import given
from hypothesis import strategies as st
import pytest

SECOND = 1_000_000_000
BEGAN = 100 * SECOND


def hear(activity: Activity, *seconds: float) -> None:
    """Take in one batch of messages, that many seconds after the flight's start."""
    take(activity, [BEGAN + round(second * SECOND) for second in seconds])


def take(activity: Activity, times: list[int]) -> None:
    if not activity.hear(times[0], times[-1]):
        activity.look(times.copy())


def silence(activity: Activity, ended: float) -> tuple[float, float]:
    """Return begin and length of the longest silence, in seconds after the flight's start."""
    began_ns, silent_ns = activity.silence(BEGAN + round(ended * SECOND))
    return ((began_ns - BEGAN) / SECOND, silent_ns / SECOND) if silent_ns else (0, 0)


@pytest.fixture
def activity() -> Activity:
    """Return that of a topic without a message."""
    return Activity(BEGAN)


@pytest.mark.parametrize(
    ('heard', 'expected'),
    [
        ([0.5, 1, 1.5, 41.5, 42], (1.5, 40)),
        ([40, 40.5, 41], (0, 40)),
        ([0.5, 1, 2], (2, 43)),
        ([], (0, 45)),
    ],
)
def test_silence_in_the_middle_before_the_first_message_and_behind_the_last(
    activity: Activity, heard: list[float], expected: tuple[float, float]
) -> None:
    for second in heard:
        hear(activity, second)
    assert silence(activity, 45) == expected
    whole = Activity(BEGAN)
    if heard:
        hear(whole, *heard)  # all in one batch
    assert silence(whole, 45) == expected


def test_what_is_shorter_than_a_second_is_no_silence(activity: Activity) -> None:
    for second in range(1, 100):
        hear(activity, second * 0.9)
    assert silence(activity, 89.5) == (0, 0)


def test_a_batch_is_looked_into_only_if_it_may_hide_a_silence(activity: Activity) -> None:
    for second in range(1000):
        first_ns = BEGAN + second * SECOND // 2
        assert activity.hear(first_ns, first_ns + SECOND // 2 - 1)
    assert not activity.hear(BEGAN + 600 * SECOND, BEGAN + 601 * SECOND)


def test_a_second_publisher_divides_the_silence_of_the_first(activity: Activity) -> None:
    """Rings are emptied one after the other: the second one's messages are older."""
    hear(activity, 0.5, 60)
    hear(activity, *range(1, 31))
    assert silence(activity, 60.5) == (30, 30)
    hear(activity, 45)
    assert silence(activity, 60.5) == (30, 15)


def test_a_latched_topic_is_never_silent() -> None:
    activity = Activity(BEGAN, is_latched=True)
    hear(activity, 1)
    assert silence(activity, 60) == (0, 0)


def test_what_a_client_dates_out_of_the_flight_lengthens_no_silence(activity: Activity) -> None:
    hear(activity, 30)
    hear(activity, 1e9)
    hear(activity, -100)
    assert silence(activity, 45) == (0, 30)
    assert activity.told('/x', 'x/msg/X', 1, BEGAN).longest_silence_ns == 0


batches = st.lists(
    st.tuples(st.integers(0, 60_000), st.lists(st.integers(0, 9_000), max_size=4)), max_size=8
)


@given(batches=batches)
def test_in_whatever_order_batches_come_the_longest_silence_is_found(
    batches: list[tuple[int, list[int]]],
) -> None:
    times = [BEGAN]
    activity = Activity(BEGAN)
    for start, steps in batches:
        batch = [BEGAN + start * SECOND // 1000]
        for step in steps:
            batch.append(batch[-1] + step * SECOND // 1000)
        times += batch
        take(activity, batch)
    ended = max(times) + SECOND
    longest = max(after - before for before, after in pairwise(sorted([*times, ended])))
    assert longest >= SHORTEST_SILENCE_NS
    began_ns, silent_ns = activity.silence(ended)
    assert silent_ns <= longest
    assert not any(began_ns < time_ns < began_ns + silent_ns for time_ns in times)
    if len(times) <= 9:  # else a silence that was not kept may be the longest in the end
        assert silent_ns == longest


@given(batches=batches)
def test_what_goes_on_from_a_header_finds_the_same(
    batches: list[tuple[int, list[int]]],
) -> None:
    """In order, as one publisher sends; the header is written between two batches."""
    whole = Activity(BEGAN)
    parts = Activity(BEGAN)
    now, count = BEGAN, 0
    for pause, steps in batches:
        batch = [now + pause * SECOND // 1000]
        for step in steps:
            batch.append(batch[-1] + step * SECOND // 1000)
        now, count = batch[-1], count + len(batch)
        take(whole, batch)
        take(parts, batch)
        header = parts.told('/x', 'x/msg/X', count, now + SECOND // 4)
        parts = Activity.go_on(header, BEGAN)
    assert parts.silence(now + SECOND) == whole.silence(now + SECOND)


# --- topics that are not to be recorded for a while --------------------------------------------


def at(second: float) -> int:
    return BEGAN + round(second * SECOND)


def test_while_it_is_not_to_be_recorded_a_topic_is_not_silent(activity: Activity) -> None:
    take(activity, [at(1), at(1.5)])
    activity.leave(at(3))
    assert silence(activity, 60) == (1.5, 1.5)
    activity.come_back(at(20))
    assert silence(activity, 24) == (20, 4)
    take(activity, [at(22), at(22.5)])
    assert silence(activity, 23) == (20, 2)


def test_before_it_is_chosen_a_topic_is_not_silent(activity: Activity) -> None:
    activity.come_back(at(30))
    take(activity, [at(31.5), at(32)])
    assert silence(activity, 32) == (30, 1.5)


def test_what_was_changed_may_be_known_before_or_after(activity: Activity) -> None:
    """Recovery knows all changes first."""
    changes = [
        ConfigChange(changed_ns=at(second), topics=(ChangedTopic(topic='/a', is_recorded=back),))
        for second, back in ((5, False), (15, True), (25, False))
    ]
    activity.follow('/other', changes)
    assert silence(activity, 20) == (0, 20)
    activity.follow('/a', changes)
    for second in (1, 4, 17, 24):
        take(activity, [at(second)])
    assert silence(activity, 100) == (17, 7)
