# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes and times, as people write them and as they are shown."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from fdr_recorder.units import (
    format_duration,
    format_size,
    format_time,
    Moment,
    parse_count,
    parse_moment,
    parse_seconds,
    parse_size,
    plural,
)
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ('text', 'size'),
    [
        ('0', 0),
        ('1000000', 1_000_000),
        ('12B', 12),
        ('20GB', 20 * 1000**3),
        ('20 gb', 20 * 1000**3),
        ('20GiB', 20 * 1024**3),
        ('20G', 20 * 1024**3),
        ('1.5k', 1536),
        ('0.5TB', 5 * 10**11),
    ],
)
def test_sizes_are_understood(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ('parse', 'text'),
    [
        *((parse_size, text) for text in ('', 'x', '-1', '1X', '1iB', '1 2', '1e3', 'GB')),
        *((parse_moment, text) for text in ('', 'noon', 'nan', 'inf', '1e3', '12:30')),
        *((parse_seconds, text) for text in ('', '0', '-1', 'nan', 'inf', 'x')),
        *((parse_count, text) for text in ('', '-1', '1.5', 'x', '²')),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(
    parse: Callable[[str], object], text: str
) -> None:
    with pytest.raises(ArgumentTypeError, match='write'):
        parse(text)


@pytest.mark.parametrize(
    ('text', 'moment'),
    [
        ('12.5', Moment(seconds=12.5)),
        ('-10', Moment(seconds=-10)),
        ('1970-01-01T00:00:01Z', Moment(time_ns=SECOND)),
        ('1970-01-01 00:00:01', Moment(time_ns=SECOND)),
        ('1970-01-01T01:00:01+01:00', Moment(time_ns=SECOND)),
        ('1970-01-01T00:00:01.5Z', Moment(time_ns=SECOND * 3 // 2)),
        ('1970-01-01T00:00:00.123456789Z', Moment(time_ns=123_456_000)),
    ],
)
def test_times_are_understood(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


def test_a_moment_is_counted_from_the_beginning_or_from_the_end() -> None:
    start, end = 100 * SECOND, 160 * SECOND
    assert Moment(seconds=1.5).in_flight(start, end) == 101_500_000_000
    assert Moment(seconds=-10).in_flight(start, end) == 150 * SECOND
    assert Moment(time_ns=7).in_flight(start, end) == 7


@pytest.mark.parametrize(
    ('size', 'text'),
    [(0, '0 B'), (960, '960 B'), (52_019, '50.8 KiB'), (1 << 30, '1.0 GiB'), (1 << 42, '4.0 TiB')],
)
def test_sizes_are_shown(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '0.000 s'),
        (0.04, '0.040 s'),
        (12.46, '12.5 s'),
        (59.96, '1 min 00 s'),
        (185, '3 min 05 s'),
        (3599.6, '1 h 00 min'),
        (90_000, '25 h 00 min'),
        (7 * 86_400, '7 days'),
    ],
)
def test_durations_are_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_times_and_counts_are_shown() -> None:
    assert format_time(0) == '1970-01-01 00:00:00Z'
    assert plural(1, 'flight') == '1 flight'
    assert plural(1002, 'record') == '1,002 records'


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_whatever_a_file_says_can_be_shown(number: int) -> None:
    assert format_time(number)
    assert format_size(number)
    assert format_duration(number / SECOND)
