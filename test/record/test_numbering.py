# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sequence numbers: which are missing, in whatever order the others come."""

from __future__ import annotations

import random

from fdr_recorder.record.numbering import MOST_GAPS, Numbering
import pytest


def follow(*numbers: int) -> Numbering:
    """Follow numbers whose messages were published in the order of the numbers."""
    numbering = Numbering()
    for number in numbers:
        numbering.follow(number, number)
    return numbering


def missing(numbering: Numbering) -> int:
    numbering.give_up()
    return numbering.missing


def within(window: int, numbers: list[int], chance: random.Random) -> list[int]:
    """Return numbers in an order in which none overtakes one that is `window` places ahead."""
    return sorted(numbers, key=lambda number: number + chance.random() * window)


@pytest.mark.parametrize('seed', range(50))
def test_what_is_missing_does_not_depend_on_the_order(seed: int) -> None:
    chance = random.Random(seed)
    published = list(range(1, 500))
    heard = [number for number in published if chance.random() < chance.choice((0.2, 0.9, 1))]
    first = heard[0]
    numbering = follow(first, *within(chance.choice((1, 5, 100)), heard[1:], chance))
    assert len(heard) + missing(numbering) == max(heard) - first + 1


def test_numbers_that_begin_anew() -> None:
    numbering = follow(1, 2, 5)
    for place, number in enumerate((1, 2, 4)):
        numbering.follow(number, 100 + place)
    assert missing(numbering) == 2 + 1


def test_a_late_number_is_no_new_beginning() -> None:
    numbering = follow(10, 20)
    numbering.give_up()
    numbering.follow(15, 15)
    numbering.follow(21, 21)
    assert missing(numbering) == 9


def test_numbers_of_before_the_first() -> None:
    assert missing(follow(3, 1, 2, 4)) == 0


def test_what_was_sent_before() -> None:
    numbering = follow(3, 4, 8)
    assert numbering.has_sent(3, 3)
    assert not numbering.has_sent(3, 9)  # published later: it begins anew
    assert not numbering.has_sent(2, 2)  # of before the first
    assert not numbering.has_sent(6, 6)  # missing yet
    numbering.give_up()
    assert not numbering.has_sent(6, 6)
    assert not numbering.has_sent(9, 8)


def test_old_gaps_are_given_up() -> None:
    numbering = Numbering()
    numbering.follow(1, 1, 10)
    numbering.follow(3, 3, 20)
    numbering.follow(5, 5, 30)
    numbering.give_up(25)
    assert (numbering.missing, numbering.has_gaps) == (1, True)
    numbering.follow(4, 4, 40)
    numbering.follow(2, 2, 40)
    assert (missing(numbering), numbering.has_gaps) == (1, False)


def test_memory_is_bounded() -> None:
    numbering = follow(*range(1, 10 * MOST_GAPS, 2))
    assert numbering.missing == 5 * MOST_GAPS - 1 - MOST_GAPS
    assert missing(numbering) == 5 * MOST_GAPS - 1


@pytest.mark.parametrize('number', [2**63, 2**64 - 2])
def test_absurd_jumps(number: int) -> None:
    numbering = follow(1, number, 2, number + 1)
    assert missing(numbering) == number - 3


def test_a_gap_is_filled_from_both_ends_and_the_middle() -> None:
    numbering = follow(1, 10, 2, 9, 5, 6, 3)
    assert missing(numbering) == 3
    assert missing(follow(1, 10, *range(2, 10))) == 0
