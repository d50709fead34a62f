# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes and times, as they are shown."""

from __future__ import annotations

from pathlib import Path
import re

from fdr_recorder.units import are, format_duration, format_size, format_time, plural, were
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

SECOND = 1_000_000_000
PACKAGE = Path(__file__).resolve().parents[1] / 'fdr_recorder'
ALWAYS_MANY = ('Show all', 'every one of', 'Every one of', 'decides when')
"""Texts that are said of more than one, or in which the noun is a verb."""


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


@pytest.mark.parametrize(
    ('count', 'text'), [(0, '0 records are'), (1, '1 record is'), (1002, '1,002 records are')]
)
def test_a_verb_follows_a_count(count: int, text: str) -> None:
    assert f'{plural(count, "record")} {are(count)}' == text
    assert were(count) == ('was' if count == 1 else 'were')


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: path.stem)
def test_no_text_says_1_records(path: Path) -> None:
    """A count is followed by a noun through `plural`; a fixed plural says `1 records`."""
    nouns = 'records|messages|flights|segments|topics|files|publishers'
    found = re.findall(rf"f['\"].*[^\"]\}} (?:{nouns})\b.*", path.read_text())
    assert [line for line in found if not any(fixed in line for fixed in ALWAYS_MANY)] == []
