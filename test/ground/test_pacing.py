# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Pacing: what the pilot reads is new, true, and not too much."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
import random

from fdr_recorder.ground.pacing import BURST, Fact, KEPT_S, Pacing, RATE_HZ, REPEAT_S
from fdr_recorder.ground.texts import Severity
from hypothesis import given
from hypothesis import strategies as st

FULL = Fact('FDR: DISK FULL', Severity.ERROR, 'FDR: disk has space again')
SILENT = Fact('FDR: /odom is silent', Severity.WARNING, 'FDR: /odom speaks again')
STEP_S = 0.1
SEVERITIES = (Severity.WARNING, Severity.ERROR)


class Pilot:
    """Reads everything at once; time is virtual."""

    def __init__(self) -> None:
        self.pacing = Pacing()
        self.now = 1000.0
        self.read: list[tuple[float, str]] = []
        self.facts: dict[Hashable, Fact] = {}

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.read]

    def look(self) -> None:
        self.pacing.update(self.facts, self.now)
        while (due := self.pacing.next_text(self.now)) is not None:
            self.read.append((self.now, due[1]))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.look()


def is_within_rate(read: list[tuple[float, str]]) -> bool:
    """Tell whether every span of time has at most a burst, and one text for each second."""
    times = [at for at, _ in read]
    return all(
        end - begin <= BURST + RATE_HZ * (times[end - 1] - times[begin]) + 1e-6
        for begin in range(len(times))
        for end in range(begin + 1, len(times) + 1)
    )


def test_each_change_is_told_once_and_at_once() -> None:
    pilot = Pilot()
    pilot.facts = {'full': FULL, 'odom': SILENT}
    pilot.look()
    pilot.wait(10)
    assert pilot.read == [(1000.0, FULL.text), (1000.0, SILENT.text)]
    pilot.facts = {}
    pilot.look()
    pilot.wait(300)
    assert pilot.texts[2:] == [FULL.over, SILENT.over]
    assert pilot.read[-1][0] < 1010.2


def test_a_present_error_is_told_again_and_a_warning_is_not() -> None:
    pilot = Pilot()
    pilot.facts = {'full': FULL, 'odom': SILENT}
    pilot.look()
    pilot.wait(4 * REPEAT_S + 1)
    assert pilot.texts.count(FULL.text) == 5
    assert pilot.texts.count(SILENT.text) == 1


def test_ten_minutes_of_flapping_stay_within_the_rate() -> None:
    pilot = Pilot()
    dice = random.Random(1)
    for step in range(6000):
        pilot.facts = {}
        if dice.random() < 0.5:
            pilot.facts['full'] = FULL
        if step // 600 % 2:
            pilot.facts['odom'] = SILENT
        pilot.wait(STEP_S)
    assert len(pilot.read) <= BURST + 600 * RATE_HZ
    assert is_within_rate(pilot.read)
    assert pilot.texts.count(FULL.text) > 100
    said = [pilot.texts.count(text) for text in (SILENT.text, SILENT.over)]
    assert said == [5, 4]  # it is not drowned; at the end it is silent
    assert all(new != old for old, new in zip(pilot.texts, pilot.texts[1:], strict=False))


def test_what_is_over_before_its_turn_is_not_told() -> None:
    pilot = Pilot()
    many = {number: Fact(f'{number} is silent', Severity.WARNING, 'over') for number in range(20)}
    pilot.facts = dict(many)
    pilot.look()
    assert len(pilot.read) == BURST
    del pilot.facts[19]
    pilot.facts['full'] = FULL
    pilot.wait(1)
    assert pilot.texts[-1] == FULL.text  # errors first
    pilot.wait(30)
    assert '19 is silent' not in pilot.texts
    assert 'over' not in pilot.texts


@given(st.lists(st.tuples(st.sets(st.sampled_from('abcdefgh')), st.floats(0, 3)), max_size=60))
def test_no_text_is_sent_that_is_not_true(story: list[tuple[set[str], float]]) -> None:
    pacing, now = Pacing(), 50.0
    told: dict[str, str] = {}
    read = []
    for present, pause_s in story:
        facts: Mapping[Hashable, Fact] = {
            name: Fact(f'{name} on', SEVERITIES[name < 'd'], f'{name} off') for name in present
        }
        pacing.update(facts, now)
        while (due := pacing.next_text(now)) is not None:
            name, state = due[1].split()
            assert (state == 'on') == (name in present)
            told[name] = state
            read.append((now, due[1]))
        now += pause_s
    assert is_within_rate(read)
    if story:
        present = story[-1][0]
        facts = {name: Fact(f'{name} on', SEVERITIES[0], f'{name} off') for name in present}
        pacing.update(facts, now)
        while pacing.is_waiting(now):
            now += 1
            if (due := pacing.next_text(now)) is not None:
                told[due[1].split()[0]] = due[1].split()[1]
        assert {name for name, state in told.items() if state == 'on'} == present


def test_a_ground_station_that_comes_back_is_told_everything_that_it_may_not_know() -> None:
    pilot = Pilot()
    pilot.facts = {'full': FULL, 'odom': SILENT}
    pilot.look()
    pilot.wait(10)
    del pilot.facts['odom']
    pilot.wait(10)
    assert pilot.texts == [FULL.text, SILENT.text, SILENT.over]
    pilot.pacing.tell_again(pilot.now, over=pilot.now - 15)
    pilot.look()
    assert sorted(pilot.texts[3:]) == sorted([FULL.text, SILENT.over])
    pilot.wait(1)
    pilot.pacing.tell_again(pilot.now, over=pilot.now)  # one that is new
    pilot.look()
    assert pilot.texts[5:] == [FULL.text]
    pilot.wait(5)
    pilot.facts['wifi'] = SILENT
    pilot.wait(2)
    pilot.pacing.tell_again(pilot.now, present=pilot.now - 3, over=pilot.now - 3)  # a fading
    pilot.look()
    assert pilot.texts[6:] == [SILENT.text, SILENT.text]


def test_many_faults_of_a_kind_are_told_by_one_text() -> None:
    pilot = Pilot()

    def fact(name: str) -> Fact:
        def several(more: int, begins: bool) -> str:
            return f'{name} {"on" if begins else "off"}, +{more} more'

        return Fact(f'{name} on', Severity.WARNING, f'{name} off', 'kind', several)

    pilot.facts = {name: fact(name) for name in 'abcde'}
    pilot.look()
    assert pilot.texts == ['a on', 'b on', 'c on', 'd on', 'e on']  # a burst has room for them
    pilot.wait(6)
    pilot.facts |= {str(number): fact(str(number)) for number in range(40)} | {'full': FULL}
    pilot.look()
    assert pilot.texts[5:] == [FULL.text, '0 on, +39 more']
    pilot.wait(62)
    pilot.facts = {}
    pilot.wait(60)
    assert sorted(pilot.texts[7:]) == sorted([*[FULL.text] * 2, FULL.over, 'a off, +44 more'])


def test_what_is_over_is_forgotten_in_time() -> None:
    pilot = Pilot()
    for number in range(300):
        pilot.facts = {number: SILENT}
        pilot.wait(2)
    pilot.facts = {}
    pilot.wait(KEPT_S + 10)
    assert not pilot.pacing._items


def test_what_is_said_once_waits_for_its_turn() -> None:
    pilot = Pilot()
    for number in range(20):
        pilot.pacing.say(Severity.INFO, f'said {number}', pilot.now)
    pilot.facts = {'odom': SILENT}
    pilot.look()
    pilot.wait(20)
    assert pilot.texts == [SILENT.text, *(f'said {number}' for number in range(12, 20))]
    assert is_within_rate(pilot.read)
