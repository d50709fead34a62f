# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Dataclasses with shared methods behave as those of the standard library."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, field, fields, FrozenInstanceError, replace
from typing import Any, ClassVar

from fdr_recorder import quick_dataclass
import pytest

DECORATORS = (dataclasses.dataclass, quick_dataclass.dataclass)
pytestmark = pytest.mark.parametrize('dataclass', DECORATORS, ids=['standard', 'quick'])


def make(dataclass: Any) -> Any:
    @dataclass(frozen=True)
    class Point:
        KIND: ClassVar[str] = 'point'

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list, compare=False)

    return Point


def test_values_come_by_place_by_name_or_by_default(dataclass: Any) -> None:
    point = make(dataclass)
    assert repr(point(1)).endswith('Point(x=1, y=2, tags=[])')
    assert asdict(point(1, tags=['a'])) == {'x': 1, 'y': 2, 'tags': ['a']}
    assert asdict(replace(point(1), y=3)) == {'x': 1, 'y': 3, 'tags': []}
    assert point(1).tags is not point(1).tags
    assert [item.name for item in fields(point)] == ['x', 'y', 'tags']
    assert point.__match_args__ == ('x', 'y', 'tags')


@pytest.mark.parametrize(
    ('values', 'named'), [((), {}), ((1, 2, [], 4), {}), ((1,), {'z': 0}), ((1,), {'x': 1})]
)
def test_wrong_arguments_are_refused(
    dataclass: Any, values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        make(dataclass)(*values, **named)


def test_frozen_ones_compare_by_content_and_do_not_change(dataclass: Any) -> None:
    point = make(dataclass)
    one, same, other = point(1, tags=['a']), point(1), point(2)
    assert one == same != other
    assert hash(one) == hash(same)
    assert one != make(dataclass)(1)
    with pytest.raises(FrozenInstanceError):
        one.x = 3
    with pytest.raises(FrozenInstanceError):
        del one.x
    assert one.x == 1


def test_others_change_and_have_no_hash(dataclass: Any) -> None:
    @dataclass
    class Count:
        value: int = 0

    count = Count()
    count.value += 1
    assert count == Count(1)
    with pytest.raises(TypeError):
        hash(count)


def test_without_eq_each_is_itself(dataclass: Any) -> None:
    @dataclass(eq=False)
    class Case:
        value: int = 0

    case = Case()
    assert {case: 1}[case] == 1
    assert case != Case()


@pytest.mark.parametrize('slots', [False, True])
def test_a_subclass_has_the_fields_of_its_base(dataclass: Any, slots: bool) -> None:
    @dataclass(frozen=True, kw_only=True, slots=slots)
    class Base:
        name: str = ''

    @dataclass(frozen=True, kw_only=True, slots=slots)
    class Part(Base):
        size: int

        def __repr__(self) -> str:
            return f'{self.name}:{self.size}'

    assert repr(Part(size=1, name='a')) == 'a:1'
    assert Part(size=1) == Part(size=1, name='')
    assert hasattr(Part(size=1), '__dict__') is not slots
    with pytest.raises(TypeError):
        Part(1)


def test_what_follows_is_called_once_all_is_set(dataclass: Any) -> None:
    @dataclass(frozen=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError(self.value)

    assert Checked(1).value == 1
    with pytest.raises(ValueError, match='-1'):
        Checked(-1)
