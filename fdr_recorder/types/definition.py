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
Definitions of message types: text, fields, dependencies, hash, and the schema in a file.

Names are full names here: `package/msg/Type`, `package/srv/Type_Event`,
`package/action/Type_FeedbackMessage`.

`fields_of` is the only parser of `.msg` text beside that of `rosbags`. The latter has no `wstring`
and no services, takes `char` for a character, and is fifty times slower: too slow for a node that
starts with hundreds of topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
import hashlib
import json
import re
from typing import Any, Final, NamedTuple

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.layout import ROS2IDL, ROS2MSG
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.quick_dataclass import dataclass

SEPARATOR: Final = '=' * 80
MAX_CHARACTERS: Final = 1 << 20
"""Of a definition that is read, with all types that it uses; of real ones none comes near it."""
_LINE = re.compile(
    r'^\s*(?P<type>[A-Za-z][\w/]*)(?:<=(?P<string_bound>\d+))?'
    r'(?P<shape>\[(?P<is_bound><=)?(?P<size>\d+)?\])?'
    r'\s+(?P<name>[A-Za-z]\w*)\s*(?P<is_constant>=)?'
)
_CHAR = re.compile(r'^[ \t]*char(?=\s|\[)', re.MULTILINE)
_NAMES: Final = {
    1: '', 2: 'int8', 3: 'uint8', 4: 'int16', 5: 'uint16', 6: 'int32', 7: 'uint32', 8: 'int64',
    9: 'uint64', 10: 'float32', 11: 'float64', 15: 'bool', 16: 'byte', 17: 'string', 18: 'wstring',
    21: 'string', 22: 'wstring',
}  # fmt: skip
"""Built-in types by their id in `type_description_interfaces/msg/FieldType`; 1 is a nested type.
Other ids, such as that of `wchar`, have no name in `.msg` files."""
_TYPE_IDS: Final = {
    'char': 3,  # in ROS 2
    **{name: type_id for type_id, name in _NAMES.items() if name and type_id <= 18},
}
_NESTED_ID: Final = 1
_BOUNDED: Final = 4
"""From the id of a string to that of a bounded string."""
_ARRAY, _BOUNDED_SEQUENCE, _SEQUENCE = 48, 96, 144
"""From the id of a type to that of its array, bounded sequence or sequence."""
_IDL_TYPES: Final = {
    'float32': 'float', 'float64': 'double', 'char': 'uint8', 'bool': 'boolean', 'byte': 'octet'
}  # fmt: skip

TextReader = Callable[[str], str]
"""Returns the text of a type by its full name; raises `RecordError` if it does not know it."""


class Field(NamedTuple):
    """
    A field of a message.

    Attributes:
        name: Its name.
        type: A built-in type, or a type's full name.
        string_bound: Maximum length of a bounded string; else 0.
        is_array: Whether it is an array of exactly `size` elements.
        is_sequence: Whether it is a sequence, of at most `size` elements unless that is 0.
        size: Of an array or a bounded sequence; else 0.

    """

    name: str
    type: str
    string_bound: int = 0
    is_array: bool = False
    is_sequence: bool = False
    size: int = 0

    @classmethod
    def described(
        cls, name: str, type_id: int, capacity: int, string_capacity: int, nested: str
    ) -> Field:
        """Return a field from its `description`; raise `RecordError` if `.msg` has no such."""
        base = type_id % _ARRAY
        if base not in _NAMES:
            raise RecordError(f'{name}: a .msg file cannot have a field of type id {type_id}')
        is_array = type_id // _ARRAY == 1
        is_sequence = type_id > _BOUNDED_SEQUENCE
        return cls(name, _NAMES[base] or nested, string_capacity, is_array, is_sequence, capacity)

    def msg(self) -> str:
        """Return the field as a line of a `.msg` file."""
        bound = f'<={self.string_bound}' if self.string_bound else ''
        limit = '<=' if self.is_sequence and self.size else ''
        shape = f'[{limit}{self.size or ""}]' if self.is_array or self.is_sequence else ''
        return f'{short_name(self.type)}{bound}{shape} {self.name}'

    def description(self) -> dict[str, Any]:
        """Describe the field as REP-2016 does, without its default value."""
        type_id = _TYPE_IDS.get(self.type, _NESTED_ID)
        if self.string_bound:
            type_id += _BOUNDED
        if self.is_array:
            type_id += _ARRAY
        elif self.is_sequence:
            type_id += _BOUNDED_SEQUENCE if self.size else _SEQUENCE
        return {
            'name': self.name,
            'type': {
                'type_id': type_id,
                'capacity': self.size,
                'string_capacity': self.string_bound,
                'nested_type_name': '' if self.type in _TYPE_IDS else self.type,
            },
        }

    def idl(self) -> str:
        """Return the field as a member of an IDL struct."""
        name = _IDL_TYPES.get(self.type, self.type).replace('/', '::')
        if self.string_bound:
            name += f'<{self.string_bound}>'
        if self.is_sequence:
            name = f'sequence<{name}, {self.size}>' if self.size else f'sequence<{name}>'
        return f'{name} {self.name}' + (f'[{self.size}]' if self.is_array else '')


def full_name(name: str, package: str = '') -> str:
    """Return the full name of a type; `Type` and `package/Type` are messages."""
    parts = name.split('/')
    if len(parts) == 1:
        return f'{package}/msg/{name}'
    return name if len(parts) > 2 else f'{parts[0]}/msg/{parts[1]}'


def short_name(name: str) -> str:
    """Return the name of a type as `.msg` files have it: `package/Type` for a message."""
    return name.replace('/msg/', '/')


def fields_of(name: str, text: str) -> list[Field]:
    """Return the fields in the text of a type."""
    package = name.partition('/')[0]
    fields = []
    for line in text.splitlines():
        match = _LINE.match(line.partition('#')[0])
        if match and not match['is_constant']:
            type_name, size = match['type'], int(match['size'] or 0)
            if type_name not in _TYPE_IDS:
                type_name = full_name(type_name, package)
            bound = int(match['string_bound'] or 0)
            is_array = bool(size and not match['is_bound'])
            is_sequence = bool(match['shape']) and not is_array
            fields.append(Field(match['name'], type_name, bound, is_array, is_sequence, size))
    return fields


@dataclass(frozen=True)
class Definition:
    """
    A type and all types that it uses, directly or indirectly.

    `texts` has the text of each in the syntax of `.msg` files, by full name; the type's own first.
    """

    name: str
    texts: Mapping[str, str]

    @classmethod
    def collect(cls, name: str, read: TextReader) -> Definition:
        """Read a type and the types that it uses; `RecordError` from `read` propagates."""
        name = full_name(name)
        texts: dict[str, str] = {}
        pending = [name]
        while pending:
            current = pending.pop(0)
            if current not in texts:
                texts[current] = read(current)
                used = (field.type for field in fields_of(current, texts[current]))
                pending += [name for name in used if name not in _TYPE_IDS]
        return cls(name, texts)

    def _members(self) -> Iterator[tuple[str, list[Field]]]:
        """Yield each type with what it consists of, on the wire and in its hash."""
        placeholder = [Field('structure_needs_at_least_one_member', 'uint8')]
        for name, text in self.texts.items():
            yield name, fields_of(name, text) or placeholder

    @cached_property
    def type_hash(self) -> str:
        """Return the version hash of the type, `RIHS01_...` (REP-2016)."""
        described = {
            name: {'type_name': name, 'fields': [field.description() for field in fields]}
            for name, fields in self._members()
        }
        root = described.pop(self.name)
        whole = {
            'type_description': root,
            'referenced_type_descriptions': [described[name] for name in sorted(described)],
        }
        return f'RIHS01_{hashlib.sha256(json.dumps(whole).encode()).hexdigest()}'

    @cached_property
    def encoding(self) -> str:
        """
        How `text` is encoded: `ros2msg` of the MCAP registry, or `ros2idl`.

        The latter is for services, as the syntax of `.msg` files has no name for a type that is
        not a message, and readers interpret such names differently; and for types with a
        `wstring`. `rosbags` cannot even open a bag that has one of these in `ros2msg`.
        """
        is_wide = any(field.type == 'wstring' for _, fields in self._members() for field in fields)
        return ROS2IDL if is_wide or '/srv/' in self.name else ROS2MSG

    @property
    def schema(self) -> Schema:
        """Return the schema of a channel of this type."""
        return Schema(self.name, self.text, self.encoding)

    @cached_property
    def text(self) -> str:
        """
        Return the whole definition, as rosbag2 writes it.

        In `ros2msg` it is the text of the type, then for each dependency a line of 80 `=`, a line
        `MSG: package/Type` and its text; in `ros2idl` each type has two such lines. `char` means
        `uint8` in ROS 2 and is replaced by it: other readers take it for a character.
        """
        if self.encoding == ROS2IDL:
            return ''.join(
                f'{SEPARATOR}\nIDL: {name}\n{_idl(name, fields)}'
                for name, fields in self._members()
            )
        parts = [
            ('' if name == self.name else f'{SEPARATOR}\nMSG: {short_name(name)}\n')
            + _CHAR.sub('uint8', text)
            for name, text in self.texts.items()
        ]
        return '\n'.join(part.rstrip('\n') for part in parts) + '\n'


def _idl(name: str, fields: list[Field]) -> str:
    """Return a type as IDL, without comments, constants and defaults."""
    package, kind, struct = name.split('/')
    lines = ''.join(f'      {field.idl()};\n' for field in fields)
    return (
        f'module {package} {{\n  module {kind} {{\n    struct {struct} {{\n{lines}'
        '    };\n  };\n};\n'
    )
