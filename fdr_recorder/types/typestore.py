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
The types in a schema, parsed by `rosbags`: their fields, and a decoder of their messages.

A schema comes from a file, which may be hostile. The limits below bound the time and the memory
that parser, generator and decoder take; the definitions of real messages are far below them.

`rosbags` is loaded when it is first used: a recorder that starts need not wait for it.
"""

from __future__ import annotations

from functools import lru_cache
import re
from typing import cast, Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.layout import ROS2IDL, ROS2MSG
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.definition import MAX_CHARACTERS, SEPARATOR
from fdr_recorder.types.idl import plain_idl

if TYPE_CHECKING:
    from rosbags.interfaces.typing import FieldDesc, Typesdict
    from rosbags.typesys.store import Typestore

MAX_PARSED_CHARACTERS: Final = 100_000
"""As `MAX_LINES`, without empty lines and lines of comments."""
MAX_LINES: Final = 2000
MAX_TYPES: Final = 200
MAX_UNROLLED: Final = 1000
"""Elements of fixed arrays of strings or messages: the generated decoder has a line for each."""

WIDE_STRING: Final = 'fdr_recorder/msg/WideString'
"""Stands for `wstring`, which `rosbags` cannot decode: `units` of UTF-16, each in 32 bits, as
rmw_fastrtps sends them."""

_EMPTY_LINE: Final = re.compile(r'^[ \t]*(?:#.*)?\n', re.MULTILINE)
_WIDE_BOUND: Final = re.compile(r'^([ \t]*wstring)<=\d+', re.MULTILINE)
"""Does not change the wire format, and `rosbags` cannot parse it."""
_IDL: Final = re.compile(r'(?:[\w\s:;{}\[\],>]|<(?!<|\s*sequence))*')
"""All IDL that is read, once it is plain. The time that `rosbags` takes for nested sequences, and
the memory that it takes for expressions, have no bound."""


@lru_cache(maxsize=64)
def parse_types(schema: Schema) -> Typesdict:
    """
    Return the constants and fields of all types in a schema, by full name.

    Types that the definition uses but does not contain are not reported.

    Raises:
        RecordError: The definition is missing, has wrong syntax or exceeds the limits.

    """
    if schema.encoding not in ('', ROS2MSG, ROS2IDL):
        raise RecordError(f'{schema.name:.100} is defined in {schema.encoding:.40}, not in ROS')
    if not schema.definition:
        raise RecordError(f'there is no definition of {schema.name:.100} in the file')
    try:
        return _parse(schema)
    except Exception as error:  # the parser can raise anything
        raise _unusable(schema, error) from error


@lru_cache(maxsize=64)
def typestore_of(schema: Schema) -> Typestore:
    """
    Return a typestore that decodes the messages of one schema.

    Each schema has its own: files of different versions define the same name differently.

    Raises:
        RecordError: As `parse_types`, or the definition lacks a type or contains itself.

    """
    from rosbags.typesys.store import Typestore  # noqa: PLC0415

    types = parse_types(schema)
    store = Typestore()
    try:
        store.register(types)
        store.get_msgdef(schema.name)
    except Exception as error:  # so can the generator
        raise _unusable(schema, error) from error
    return store


def _unusable(schema: Schema, error: Exception) -> RecordError:
    return RecordError(f'the definition of {schema.name:.100} cannot be used: {error!r:.200}')


def _parse(schema: Schema) -> Typesdict:
    from rosbags.typesys import get_types_from_idl, get_types_from_msg  # noqa: PLC0415

    is_idl = schema.encoding == ROS2IDL
    _check('characters', len(schema.definition), MAX_CHARACTERS)
    text = schema.definition
    text = _plain_parts(text) if is_idl else _EMPTY_LINE.sub('', text)
    _check('characters to parse', len(text), MAX_PARSED_CHARACTERS)
    _check('lines', text.count('\n'), MAX_LINES)
    if is_idl:
        types: Typesdict = {}
        for part in text.split(f'{SEPARATOR}\n'):
            struct = part.partition('\n')[2] if part.startswith('IDL: ') else part
            if not _IDL.fullmatch(struct):
                raise ValueError('it has more of IDL than structures of plain types')
            if struct.strip():
                types.update(get_types_from_idl(struct))
    else:
        types = get_types_from_msg(_WIDE_BOUND.sub(r'\1', text), schema.name)
    _check('types', len(types), MAX_TYPES)
    if 'wstring' in text:
        types = _replace_wide_strings(types)
    unrolled = sum(_unrolled(node) for _, fields in types.values() for _, node in fields)
    _check('array elements', unrolled, MAX_UNROLLED)
    return types


def _plain_parts(text: str) -> str:
    """Return IDL without comments and the like; the lines that part it stay."""
    separator = f'{SEPARATOR}\n'
    parts = []
    for part in text.split(separator):
        heading, _, struct = part.partition('\n') if part.startswith('IDL: ') else ('', '', part)
        parts.append(f'{heading}\n{plain_idl(struct)}' if heading else plain_idl(struct))
    return separator.join(parts)


def _replace_wide_strings(types: Typesdict) -> Typesdict:
    from rosbags.interfaces import Nodetype  # noqa: PLC0415

    def replaced(node: FieldDesc) -> FieldDesc:
        if node[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            element, size = node[1]
            return cast('FieldDesc', (node[0], (replaced(element), size)))
        name = node[1] if node[0] == Nodetype.NAME else node[1][0]
        is_wide = name.rpartition('/')[2] == 'wstring' and name not in types
        return (Nodetype.NAME, WIDE_STRING) if is_wide else node

    units: FieldDesc = (Nodetype.SEQUENCE, ((Nodetype.BASE, ('uint32', 0)), 0))
    return {
        **{
            name: (constants, [(field, replaced(node)) for field, node in fields])
            for name, (constants, fields) in types.items()
        },
        WIDE_STRING: ([], [('units', units)]),
    }


def _check(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise ValueError(f'it has {count} {what}; up to {limit} are supported')


def _unrolled(node: FieldDesc) -> int:
    from rosbags.interfaces import Nodetype  # noqa: PLC0415

    if node[0] != Nodetype.ARRAY:
        return 0
    (kind, element), size = node[1]
    is_number = kind == Nodetype.BASE and element[0] != 'string'
    return 0 if is_number else abs(size)
