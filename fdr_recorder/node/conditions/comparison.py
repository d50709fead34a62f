# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A condition, bound to the type of the topic's messages: what one message says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ctypes import c_float
import math
import operator
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import ConditionError, RecordError
from fdr_recorder.node.message_class import import_message_class
from fdr_recorder.topics.condition import Condition, Constant, path_text
from rosidl_parser import definition as idl

Reader = Callable[[Any], 'bool | None']
"""Returns what a message says; None if it says nothing."""

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    '<': operator.lt,
    '<=': operator.le,
    '>': operator.gt,
    '>=': operator.ge,
    '==': operator.eq,
    '!=': operator.ne,
}
_FLOATS: Final = ('float', 'double', 'long double')
_MOST_NAMES: Final = 12


class _Field(NamedTuple):
    """A field at the end of a path: its type, and the class of the message that has it."""

    slot_type: idl.AbstractType
    owner: type[Any]


def bind(condition: Condition, message_class: type[Any]) -> Reader:
    """
    Return what evaluates a condition for messages of one type; it raises nothing.

    A message says nothing if its array is too short for the index, or if the number is NaN. A
    float32 is compared as one: `== 14.2` holds for a field that was set to 14.2.

    Raises:
        ConditionError: The type has no such field, or it cannot be compared so.

    """
    field = _find(condition, message_class)
    value = _comparable(condition, field)
    compare, path = _OPERATORS[condition.operator], condition.path
    may_be_nan = getattr(field.slot_type, 'typename', '') in _FLOATS

    def read(message: Any) -> bool | None:  # noqa: ANN401 - ROS messages carry no types
        for part in path:
            if isinstance(part, str):
                message = getattr(message, part)
            elif part < len(message):
                message = message[part]
            else:
                return None
        if isinstance(message, (bytes, bytearray)):  # what rclpy has for `byte`
            message = message[0]
        if may_be_nan and math.isnan(message):
            return None
        return bool(compare(message, value))

    return read


def _find(condition: Condition, message_class: type[Any]) -> _Field:
    """Follow the path through the types."""
    slot_type: idl.AbstractType | None = None
    owner, done = message_class, tuple[str | int, ...]()
    for part in condition.path:
        if isinstance(part, int):
            slot_type = _element(condition, slot_type, done, part)
        else:
            if slot_type is not None:
                owner = _nested(condition, slot_type, done)
            slot_type = _slot(condition, owner, done, part)
        done += (part,)
    assert slot_type is not None
    return _Field(slot_type, owner)


def _slot(
    condition: Condition, owner: type[Any], done: tuple[str | int, ...], name: str
) -> idl.AbstractType:
    slots = dict(zip(owner.get_fields_and_field_types(), owner.SLOT_TYPES, strict=True))
    if name in slots:
        found: idl.AbstractType = slots[name]
        return found
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only

    near = get_close_matches(name, slots, n=1)
    hint = f'; did you mean {near[0]}?' if near else f'; it has {_listed([*slots])}'
    of = f' in {path_text(done)}' if done else ''
    raise ConditionError(
        condition.text, f'{_type_name(owner)}{of} has no field {name}{hint}'
    )


def _element(
    condition: Condition,
    slot_type: idl.AbstractType | None,
    done: tuple[str | int, ...],
    index: int,
) -> idl.AbstractType:
    if not isinstance(slot_type, idl.AbstractNestedType):
        raise ConditionError(condition.text, f'{path_text(done)} is no array: leave out [{index}]')
    size = 0
    if isinstance(slot_type, idl.Array):
        size = slot_type.size
    elif slot_type.has_maximum_size():
        size = int(getattr(slot_type, 'maximum_size', 0))
    if size and index >= size:
        raise ConditionError(
            condition.text, f'{path_text(done)} has {size} elements: [0] to [{size - 1}]'
        )
    element: idl.AbstractType = slot_type.value_type
    return element


def _nested(
    condition: Condition, slot_type: idl.AbstractType, done: tuple[str | int, ...]
) -> type[Any]:
    if isinstance(slot_type, idl.AbstractNestedType):
        raise ConditionError(
            condition.text, f'{path_text(done)} is an array: write {path_text(done)}[0]'
        )
    if not isinstance(slot_type, idl.NamespacedType):
        raise ConditionError(condition.text, f'{path_text(done)} has no fields')
    type_name = '/'.join(slot_type.namespaced_name())
    try:
        return import_message_class(type_name)
    except RecordError as error:
        raise ConditionError(condition.text, str(error)) from error


def _comparable(condition: Condition, field: _Field) -> bool | int | float | str:
    """Return the value in the form that the field has."""
    slot_type, value = field.slot_type, condition.value
    if isinstance(slot_type, idl.AbstractNestedType):
        raise ConditionError(
            condition.text, f'{condition.field} is an array: write {condition.field}[0]'
        )
    if isinstance(slot_type, idl.NamespacedType):
        owner = _nested(condition, slot_type, condition.path)
        names = _listed([*owner.get_fields_and_field_types()])
        raise ConditionError(
            condition.text, f'{condition.field} is a message; it has the fields {names}'
        )
    if isinstance(value, Constant):
        value = _constant(condition, field.owner, value.name)
    type_name = getattr(slot_type, 'typename', '')
    if isinstance(slot_type, idl.AbstractGenericString):
        wrong = '' if isinstance(value, str) else 'is a text: put the value in quotes'
    elif type_name == 'boolean':
        wrong = '' if isinstance(value, bool) else 'is true or false'
    else:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        wrong = '' if is_number else 'is a number'
    if wrong:
        raise ConditionError(condition.text, f'{condition.field} {wrong}')
    if isinstance(value, (bool, str)):
        if condition.operator not in {'==', '!='}:
            raise ConditionError(
                condition.text,
                f'{condition.field} can only be compared with == and !=',
            )
        return value
    if type_name == 'float':
        return c_float(value).value  # as the message has it; infinite beyond its range
    return value


def _constant(condition: Condition, owner: type[Any], name: str) -> bool | int | float | str:
    value = getattr(owner, name, None) if name.isupper() else None
    if isinstance(value, (bytes, bytearray)) and len(value) == 1:
        value = value[0]
    if not isinstance(value, (bool, int, float, str)):
        raise ConditionError(
            condition.text,
            f'{_type_name(owner)} has no constant {name}; put a text in quotes',
        )
    return value


def _type_name(message_class: type[Any]) -> str:
    return f'{message_class.__module__.partition(".")[0]}/msg/{message_class.__name__}'


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ', '.join(names[:_MOST_NAMES]) + (f' and {more} more' if more > 0 else '')
