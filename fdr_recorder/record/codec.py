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
Message definitions as MCAP schemas, and the recorder's own records as CDR.

The definitions of the recorder's own messages are the files in `msg/`; they are installed to
`share/fdr_recorder/msg` for ROS and inside this package for everybody else. Nothing is generated
from them: the type system of the `rosbags` library encodes and decodes at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, MISSING
from enum import IntEnum
from functools import cache, lru_cache
import math
from pathlib import Path
import re
from typing import Any, cast, Final, TypeVar

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.kinds import MESSAGE_PACKAGE, Payload, PAYLOADS
from fdr_recorder.types.definition import Definition
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_msg, TypesysError
from rosbags.typesys.store import Typestore

_PayloadT = TypeVar('_PayloadT', bound=Payload)

_MAX_DEFINITION_CHARACTERS: Final = 64 * 1024
_MAX_DEFINITION_LINES: Final = 1000
_MAX_DEFINITION_TYPES: Final = 8
_MAX_UNROLLED: Final = 1000
"""Bounds on the definition of one of the recorder's own records in a file; see `decode`."""

_FIXED_ARRAY = re.compile(r'\[\s*([0-9]+)\s*\]')


def _own_msg_directory() -> Path:
    """Find the definitions: in the installed package, or at the top of a source tree."""
    here = Path(__file__).resolve().parent
    installed = here / 'msg'
    return installed if installed.is_dir() else here.parents[1] / 'msg'


def _read_own_msg(name: str) -> str:
    package, _, message = name.split('/')
    path = _own_msg_directory() / f'{message}.msg'
    if package != MESSAGE_PACKAGE or not path.is_file():
        msg = f'{name} is not a message of {MESSAGE_PACKAGE}'
        raise RecordError(msg)
    return path.read_text(encoding='utf-8')


def own_schema(payload_type: type[Payload]) -> Schema:
    """Return the schema of one kind of the recorder's own records."""
    return _own_schema(payload_type.type_name())


@cache
def _own_schema(type_name: str) -> Schema:
    return Definition.collect(type_name, _read_own_msg).schema


@lru_cache(maxsize=64)
def _typestore(schema: Schema) -> Typestore:
    """
    Return a type system that knows one schema.

    One for each schema, not one for all: files of different versions define the same name
    differently.
    """
    store = Typestore()
    try:
        store.register(get_types_from_msg(schema.definition, schema.name))
        store.get_msgdef(schema.name)
    except (TypesysError, KeyError, RecursionError) as error:
        msg = f'the definition of {schema.name} cannot be used: {error}'
        raise RecordError(msg) from error
    return store


def type_description_hash(schema: Schema) -> str:
    """Return the type's version hash, `RIHS01_...` (REP-2016)."""
    return _typestore(schema).hash_rihs01(schema.name)


def encode(payload: Payload) -> bytes:
    """
    Encode a payload as CDR, by this version's definition of its kind.

    Raises:
        RecordError: A value does not fit its field.

    """
    schema = own_schema(type(payload))
    store = _typestore(schema)
    try:
        return bytes(store.serialize_cdr(_to_message(payload, store), schema.name))
    except Exception as error:  # the generated encoder raises whatever the value leads it to
        msg = f'{payload!r} cannot be encoded: {error}'
        raise RecordError(msg) from error


def _to_message(payload: Payload, store: Typestore) -> object:
    values = {
        name: _to_field(getattr(payload, name), store) for name in type(payload).known_keys()
    }
    return store.types[payload.type_name()](**values)


def _to_field(value: object, store: Typestore) -> Any:  # noqa: ANN401 - any field type
    if isinstance(value, Mapping):
        key_value = cast('Any', store.types[f'{MESSAGE_PACKAGE}/msg/KeyValue'])
        return [key_value(key=key, value=text) for key, text in value.items()]
    if isinstance(value, tuple):
        return [_to_message(part, store) for part in value]
    return int(value) if isinstance(value, IntEnum) else value


def decode(kind: str, data: bytes | memoryview, schema: Schema | None = None) -> Payload:
    """
    Decode one of the recorder's own records.

    Args:
        kind: For example `flight_header`.
        data: CDR, as it lies in the file.
        schema: The schema of the channel it came from, which may be newer or older than this
            version's; without one, this version's.

    Raises:
        RecordError: The kind is unknown, the schema is unusable, or the bytes do not fit it.

    """
    payload_type = PAYLOADS.get(kind)
    if payload_type is None:
        msg = f'{kind!r} is not a kind of record; known are {", ".join(PAYLOADS)}'
        raise RecordError(msg)
    schema = schema or own_schema(payload_type)
    if not _is_harmless(schema.definition):
        msg = f'the definition of {schema.name[:80]!r} is larger than that of any record'
        raise RecordError(msg)
    try:
        store = _typestore(schema)
        payload = _from_message(payload_type, store.deserialize_cdr(data, schema.name), store)
    except RecordError:
        raise
    except Exception as error:  # the generated decoder raises whatever the file leads it to
        msg = f'a {kind} record of {len(data)} bytes cannot be decoded: {error!r:.200}'
        raise RecordError(msg) from error
    if not _is_sound(payload):
        msg = f'a {kind} record has fields of other types than it should'
        raise RecordError(msg)
    return payload


@lru_cache(maxsize=64)
def _is_harmless(definition: str) -> bool:
    """
    Tell whether a definition is of a size that decoding by it takes little time and memory.

    The decoder is generated from the definition, with fixed arrays unrolled.
    """
    return (
        len(definition) <= _MAX_DEFINITION_CHARACTERS
        and definition.count('\n') <= _MAX_DEFINITION_LINES
        and definition.count('MSG:') <= _MAX_DEFINITION_TYPES
        and math.prod(int(size.lstrip('0')[:9] or 1) for size in _FIXED_ARRAY.findall(definition))
        <= _MAX_UNROLLED
    )


def _is_sound(payload: Payload) -> bool:
    """Tell whether every field has the type that it should have, whatever the file's schema."""
    for item in fields(payload):
        value = getattr(payload, item.name)
        if item.name == 'extra':
            continue
        if item.default_factory is not MISSING:  # a map of texts
            if not all(isinstance(text, str) for pair in value.items() for text in pair):
                return False
        elif isinstance(item.default, tuple):
            nested = payload.NESTED[item.name]
            if not all(isinstance(part, nested) and _is_sound(part) for part in value):
                return False
        elif type(value) is not type(item.default):
            return False
    return True


def _from_message(payload_type: type[_PayloadT], message: object, store: Typestore) -> _PayloadT:
    known = {item.name for item in fields(payload_type) if item.name != 'extra'}
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    type_name: str = message.__msgtype__  # type: ignore[attr-defined]
    for name, (node_type, _) in store.fielddefs[type_name][1]:
        value = getattr(message, name)
        if name not in known:
            extra[name] = value
        elif node_type is Nodetype.SEQUENCE:
            values[name] = _from_sequence(payload_type, name, value, store)
        else:
            values[name] = value
    return payload_type(**values, extra=extra)


def _from_sequence(
    payload_type: type[Payload], name: str, value: list[Any], store: Typestore
) -> object:
    nested = payload_type.NESTED.get(name)
    if nested is not None:
        return tuple(_from_message(nested, part, store) for part in value)
    return {part.key: part.value for part in value}
