# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Conditions on topics, as texts: what is read, and what is said of mistakes."""

from __future__ import annotations

from fdr_recorder.errors import ConditionError, ConfigInvalidError
from fdr_recorder.topics.armed import ArmedConfig
from fdr_recorder.topics.condition import Constant, parse_condition, wrong_conditions
from hypothesis import given
from hypothesis import strategies as st
import pytest


@pytest.mark.parametrize(
    ('text', 'topic', 'path', 'operator', 'value', 'held_s'),
    [
        ('/battery_state: voltage < 14.2', '/battery_state', ('voltage',), '<', 14.2, None),
        ('rc/in:channels[4]>=1500 for .5s', 'rc/in', ('channels', 4), '>=', 1500, 0.5),
        ('~/x: a.b[0].c_2 != -1e3', '~/x', ('a', 'b', 0, 'c_2'), '!=', -1000.0, None),
        ('/x:a[1][2]==0x1F', '/x', ('a', 1, 2), '==', 31, None),
        ('/x: is_on == TRUE for 2 s ', '/x', ('is_on',), '==', True, 2.0),
        ('/x: mode == "for 3 s: a"', '/x', ('mode',), '==', 'for 3 s: a', None),
        ("/x: mode != ''", '/x', ('mode',), '!=', '', None),
        ('/x: s == ARMED_2', '/x', ('s',), '==', Constant('ARMED_2'), None),
    ],
)
def test_a_condition_is_read(
    text: str,
    topic: str,
    path: tuple[str | int, ...],
    operator: str,
    value: object,
    held_s: float | None,
) -> None:
    read = parse_condition(text)
    assert (read.text, read.topic, read.path, read.operator) == (text, topic, path, operator)
    assert (read.value, read.held_s) == (value, held_s)
    assert type(read.value) is type(value)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', "no colon after the topic; write it like '/battery_state: voltage < 14.2'"),
        ('/x voltage < 3', 'no colon after the topic'),
        (': a < 3', 'not a topic name'),
        ('/x/*: a < 3', 'not a topic name'),
        ('/x:', "must come a field, such as voltage, not 'the end'"),
        ('/x: [3] < 3', "must come a field, such as voltage, not '[3] < 3'"),
        ('/x: a', "after a must come <, <=, >, >=, == or !=, not 'the end'"),
        ('/x: a = 3', "must come <, <=, >, >=, == or !=, not '= 3'"),
        ('/x: a.b[ == 3', 'after a.b must come .name or [index]'),
        ('/x: a. == 3', 'after a must come .name or [index]'),
        ('/x: a ==', 'a number, true, false, a text in quotes or a constant'),
        ('/x: a == 1.2.3', "not '1.2.3'"),
        ('/x: a == 1_0', "not '1_0'"),
        ("/x: a == 'b", 'a text in quotes'),
        ('/x: a == 3 and b == 4', 'one comparison is all'),
        ('/x: a == 3 for ever', 'one comparison is all'),
        ('/x: a == 3 for 4000 s', 'at most 3600 s'),
        ('/x: __import__("os") == 1', 'must come a field'),
        ('/x: f() == 1', "after f must come <, <=, >, >=, == or !=, not '() == 1'"),
        (f'/x: a == {"9" * 5000}', 'more than 500 characters'),
    ],
)
def test_a_mistake_is_told(text: str, said: str) -> None:
    with pytest.raises(ConditionError) as told:
        parse_condition(text)
    assert said in str(told.value)
    assert str(told.value) == wrong_conditions([text, '/x: a < 3'])


@given(st.text(max_size=60) | st.text('/x: a.b[0]<>=!"\' 1e9fors', max_size=40))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    try:
        read = parse_condition(text)
    except ConditionError:
        return
    assert parse_condition(read.text) == read
    assert text.partition(':')[0].strip() == read.topic
    assert read.field.partition('[')[0] in text


def test_every_wrong_condition_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigInvalidError) as told:
        ArmedConfig(trigger_on=('/x: a < 3', '/y a < 3', '/z: a'))
    (mistake,) = told.value.mistakes
    assert mistake.startswith("trigger_on: '/y a < 3': it has no colon")
    assert "'/z: a': after a must come" in mistake


def test_something_must_say_that_the_vehicle_is_armed() -> None:
    with pytest.raises(ConfigInvalidError, match='source: none needs trigger_on'):
        ArmedConfig(source='none')
    assert ArmedConfig(source='none', trigger_on=('/x: a < 3',)).trigger_on
