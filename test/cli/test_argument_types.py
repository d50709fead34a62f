# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes, counts and times as people type them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from fdr_recorder.cli.argument_types import (
    Moment,
    parse_count,
    parse_frequency,
    parse_interval,
    parse_moment,
    parse_rate,
    parse_seconds,
    parse_size,
)
from fdr_recorder.units import NS_PER_S as SECOND
import pytest


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
    ('parse', 'text', 'what'),
    [
        (parse_rate, '0', 'rate'),
        (parse_rate, '-2', 'rate'),
        (parse_rate, 'fast', 'rate'),
        (parse_frequency, '0', 'frequency'),
        (parse_interval, '-1', 'duration'),
        (parse_seconds, '0', 'duration'),
        (parse_count, '-1', 'number'),
    ],
)
def test_what_is_refused_is_called_by_its_name(
    parse: Callable[[str], object], text: str, what: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=f'invalid {what}: .*; write .*'):
        parse(text)
    assert parse_interval('0') == 0
    assert parse_rate('0.5') == 0.5


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
