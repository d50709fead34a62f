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
Encode the recorder's own records as CDR, and decode them.

Their definitions are the files in `msg/`, installed to `share/fdr_recorder/msg` for ROS and inside
this package for everybody else. No code is generated at build time: `Encoder` and `rosbags`, which
decodes by the definitions of any version in a file, use them at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, MISSING
from functools import cache, lru_cache
import math
from operator import is_
from pathlib import Path
import re
from typing import Any, Final, TYPE_CHECKING, TypeVar

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.decoder import Decoder
from fdr_recorder.record.encoder import Encoder
from fdr_recorder.record.kinds import PAYLOADS
from fdr_recorder.record.payload import MESSAGE_PACKAGE, Payload
from fdr_recorder.types.definition import Definition

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

_PayloadT = TypeVar('_PayloadT', bound=Payload)

_MAX_CHARACTERS: Final = 64 * 1024
_MAX_LINES: Final = 1000
_MAX_TYPES: Final = 8
_MAX_UNROLLED: Final = 1000
"""Limits of the definition of an own record, which are far below those of other types: a hostile
file may have many, and all are decoded whenever a flight is read."""

_FIXED_ARRAY: Final = r'\[\s*([0-9]+)\s*\]'


def own_definition(payload_type: type[Payload]) -> Definition:
    """Return this version's definition of one kind of the recorder's own records."""
    return _collect(payload_type.type_name())


@cache
def _collect(type_name: str) -> Definition:
    return Definition.collect(type_name, _read_own_msg)


def _read_own_msg(name: str) -> str:
    here = Path(__file__).resolve().parent
    installed = here / 'msg'
    directory = installed if installed.is_dir() else here.parents[1] / 'msg'
    package, _, message = name.split('/')
    path = directory / f'{message}.msg'
    if package != MESSAGE_PACKAGE or not path.is_file():
        raise RecordError(f'{name} is not a message of {MESSAGE_PACKAGE}')
    return path.read_text(encoding='utf-8')


@cache
def _encoder(type_name: str) -> Encoder:
    return Encoder(_collect(type_name))


def encode(payload: Payload) -> bytes:
    """Encode a payload as CDR; raise `RecordError` if a value does not fit its field."""
    try:
        return _encoder(payload.type_name()).encode(payload)
    except Exception as error:  # whatever the values are
        raise RecordError(f'{payload!r} cannot be encoded: {error}') from error


@cache
def _decoder(type_name: str) -> Decoder:
    return Decoder(_collect(type_name))


def decode_own(payload_type: type[_PayloadT], data: bytes) -> _PayloadT:
    """Decode what this process has encoded, without `rosbags`."""
    return _decoder(payload_type.type_name()).decode(payload_type, data)


def decode(kind: str, data: bytes | memoryview, schema: Schema | None = None) -> Payload:
    """
    Decode one of the recorder's own records.

    Args:
        kind: For example `flight_header`.
        data: CDR, as in the file.
        schema: The schema of its channel, of this, an older or a newer version; by default this
            version's.

    Raises:
        RecordError: The kind is unknown, the schema is unusable, or the bytes do not fit it.

    """
    payload_type = PAYLOADS.get(kind)
    if payload_type is None:
        raise RecordError(f'{kind!r} is not a kind of record; known are {", ".join(PAYLOADS)}')
    schema = schema or own_definition(payload_type).schema
    store = _store_or_reason(schema)
    if isinstance(store, str):
        raise RecordError(store)
    try:
        return _from_message(payload_type, store.deserialize_cdr(data, schema.name), store)
    except Exception as error:  # the generated decoder can raise anything
        msg = f'a {kind} record of {len(data)} bytes cannot be decoded: {error!r:.200}'
        raise RecordError(msg) from error


@lru_cache(maxsize=64)
def _store_or_reason(schema: Schema) -> Typestore | str:
    """Return the typestore of a schema in a file, or why there is none: so that it is cached."""
    from fdr_recorder.types.typestore import typestore_of  # noqa: PLC0415 - no recorder decodes

    if not _is_small(schema.definition):
        return f'the definition of {schema.name[:80]!r} is larger than that of any record'
    try:
        return typestore_of(Schema(schema.name, schema.definition))  # a .msg file, always
    except RecordError as error:
        return str(error)


def _is_small(definition: str) -> bool:
    sizes = (int(size.lstrip('0')[:9] or 1) for size in re.findall(_FIXED_ARRAY, definition))
    return (
        len(definition) <= _MAX_CHARACTERS
        and definition.count('\n') <= _MAX_LINES
        and definition.count('MSG:') <= _MAX_TYPES
        and math.prod(sizes) <= _MAX_UNROLLED
    )


def _from_message(
    payload_type: type[_PayloadT], message: Any, store: Typestore  # noqa: ANN401 - generated class
) -> _PayloadT:
    """Return a message as a payload; raise if a field has another type than in this version."""
    known_fields = _FIELD_TYPES[payload_type]
    values = dict(vars(message))
    values.pop('__msgtype__', None)
    if values.keys() == known_fields.keys():
        expected_types = map(known_fields.__getitem__, values)
        if all(map(is_, map(type, values.values()), expected_types)):  # as nearly always
            return _make(payload_type, values)
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, _ in store.fielddefs[message.__msgtype__][1]:
        value = getattr(message, name)
        if name not in known_fields:
            extra[name] = value
            continue
        expected = known_fields[name]
        if type(value) is expected:
            known[name] = value
        elif expected is dict:
            pairs = [(_expect(str, part.key), _expect(str, part.value)) for part in value]
            known[name] = dict(pairs)
        elif issubclass(expected, Payload):
            known[name] = tuple(_from_message(expected, part, store) for part in value)
        else:
            _expect(expected, value)
    return payload_type(**known, extra=extra)


def _make(payload_type: type[_PayloadT], values: Mapping[str, Any]) -> _PayloadT:
    """Return a payload of values for all its fields; `__init__` takes four times as long."""
    payload = object.__new__(payload_type)
    payload.__dict__.update(values, extra={})
    return payload


def _field_types(payload_type: type[Payload]) -> Mapping[str, type[Any]]:
    """Return the type of each field; of a sequence of payloads, that of its items."""
    return {
        item.name: payload_type.NESTED.get(item.name)
        or (dict if item.default_factory is not MISSING else type(item.default))
        for item in fields(payload_type)
        if item.name != 'extra'
    }


_FIELD_TYPES: Final = {cls: _field_types(cls) for cls in Payload.__subclasses__()}


def _expect(expected: type[Any], value: object) -> Any:  # noqa: ANN401 - of the expected type
    if type(value) is not expected:
        raise TypeError(f'{value!r:.100} is not of type {expected.__name__}')
    return value
