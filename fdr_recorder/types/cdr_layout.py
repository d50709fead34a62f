# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
What a message consists of on the wire: numbers, texts, lists and structures of these.

It follows from the definition of the type, which comes from a file and may be hostile: the number
of fields is bounded, and a type that contains itself is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TYPE_CHECKING, Union

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.typestore import parse_types, WIDE_STRING
from rosbags.interfaces import Nodetype

if TYPE_CHECKING:
    from rosbags.interfaces.typing import FieldDesc, Typesdict

NUMBERS: Final = {
    'bool': '?', 'byte': 'u1', 'char': 'u1', 'octet': 'u1', 'int8': 'i1', 'uint8': 'u1',
    'int16': 'i2', 'uint16': 'u2', 'int32': 'i4', 'uint32': 'u4', 'int64': 'i8', 'uint64': 'u8',
    'float32': 'f4', 'float64': 'f8',
}  # fmt: skip
FILLER: Final = 'structure_needs_at_least_one_member'
"""The name that ROS 2 gives to the one byte of a message without fields."""
MAX_FIELDS: Final = 10_000
MAX_DEPTH: Final = 32


@dataclass(frozen=True)
class Number:
    """
    A number.

    Attributes:
        dtype: Its type, as numpy names it, without byte order: `f8`; `?` for a boolean.

    """

    dtype: str

    @property
    def width(self) -> int:
        """Return its size, which it is aligned to as well."""
        return int(self.dtype[1:] or 1)

    @property
    def min_bytes(self) -> int:
        """Return how many bytes it takes at least."""
        return self.width

    @property
    def is_fixed(self) -> bool:
        """Tell whether it always takes as many bytes."""
        return True


@dataclass(frozen=True)
class Text:
    """A text: UTF-8, or UTF-16 of which each unit takes 32 bits, if it is `wide`."""

    wide: bool = False
    min_bytes: int = 4
    is_fixed: bool = False


@dataclass(frozen=True)
class Items:
    """A list of `count` elements, or, without `count`, one that begins with their number."""

    element: Node
    count: int | None = None

    @cached_property
    def min_bytes(self) -> int:
        """Return how many bytes it takes at least."""
        return 4 if self.count is None else self.count * self.element.min_bytes

    @cached_property
    def is_fixed(self) -> bool:
        """Tell whether it always takes as many bytes, if it begins at the same alignment."""
        return self.count is not None and self.element.is_fixed

    @property
    def is_bytes(self) -> bool:
        """Tell whether it is of bytes, which are kept as such."""
        return isinstance(self.element, Number) and self.element.dtype == 'u1'


@dataclass(frozen=True)
class Struct:
    """The fields of a message, by name; there is at least one."""

    fields: tuple[tuple[str, Node], ...]

    @cached_property
    def min_bytes(self) -> int:
        """Return how many bytes it takes at least."""
        return sum(node.min_bytes for _, node in self.fields)

    @cached_property
    def is_fixed(self) -> bool:
        """Tell whether it always takes as many bytes, if it begins at the same alignment."""
        return all(node.is_fixed for _, node in self.fields)


Node = Union[Number, Text, Items, Struct]  # noqa: UP007 - of classes that are not yet defined


def layout_of(schema: Schema) -> Struct:
    """
    Return what the messages of a type consist of.

    Raises:
        RecordError: The definition is missing or unusable, contains itself, has too many fields,
            or has one that cannot be converted.

    """
    return _Reader(schema).struct(schema.name, 0)


class _Reader:

    def __init__(self, schema: Schema) -> None:
        self._types: Typesdict = parse_types(schema)
        self._name = schema.name
        self._fields = 0

    def struct(self, name: str, depth: int) -> Struct:
        if name not in self._types:
            raise self._error(f'{name:.100} is not defined')
        if depth > MAX_DEPTH:
            raise self._error(f'types are nested more than {MAX_DEPTH} deep')
        fields = self._types[name][1]
        self._fields += len(fields) + 1
        if self._fields > MAX_FIELDS:
            raise self._error(f'it has more than {MAX_FIELDS} fields')
        if len({field for field, _ in fields}) < len(fields):
            raise self._error(f'two fields of {name:.100} have the same name')
        nodes = tuple((field, self._node(node, depth + 1)) for field, node in fields)
        return Struct(nodes or ((FILLER, Number('u1')),))

    def _node(self, node: FieldDesc, depth: int) -> Node:
        if node[0] == Nodetype.NAME:
            return Text(wide=True) if node[1] == WIDE_STRING else self.struct(node[1], depth)
        if node[0] == Nodetype.BASE:
            kind = node[1][0]
            if kind == 'string':
                return Text()
            if kind not in NUMBERS:
                raise self._error(f'it has a {kind:.20}')
            return Number(NUMBERS[kind])
        element, count = node[1]
        return Items(self._node(element, depth), count if node[0] == Nodetype.ARRAY else None)

    def _error(self, why: str) -> RecordError:
        return RecordError(f'messages of {self._name:.100} cannot be taken apart: {why}')
