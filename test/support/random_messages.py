# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages of any type with random values, and what `rosbags` says of them as plain values."""

from __future__ import annotations

import math
from random import Random
import struct
from typing import Any

from fdr_recorder import Schema
from fdr_recorder.types.typestore import typestore_of, WIDE_STRING
import numpy as np
from rosbags.interfaces import Nodetype

TEXTS = ('', 'x', 'base_link', 'Höhe', '航空', '🚁 "a,b"\n', '=1+1', ' padded ', 'a\r\nb', '%s\\')
FLOATS = (0.0, -0.0, 1.5, 0.1, -1e300, 5e-324, math.nan, math.inf, -math.inf, 1e16)
BYTES = ('byte', 'char', 'octet', 'uint8')
FILLER = 'structure_needs_at_least_one_member'


def random_message(schema: Schema, random: Random, *, big_endian: bool = False) -> bytes:
    """Return a serialised message of a type."""
    store = typestore_of(schema)
    message = _message(store, schema.name, random)
    data = store.serialize_cdr(message, schema.name, little_endian=not big_endian)
    return bytes(data)


def _message(store: Any, name: str, random: Random) -> Any:
    definition = store.get_msgdef(name)
    if name == WIDE_STRING:
        units = np.frombuffer(random.choice(TEXTS).encode('utf-16-le'), '<u2')
        return definition.cls(units=units.astype(np.uint32))
    fields = dict(definition.fields)
    return definition.cls(**{key: _value(store, node, random) for key, node in fields.items()})


def _value(store: Any, node: Any, random: Random) -> Any:
    kind, detail = node
    if kind == Nodetype.NAME:
        return _message(store, detail, random)
    if kind == Nodetype.BASE:
        return _number(detail[0], random)
    element, size = detail
    count = size
    if kind == Nodetype.SEQUENCE:
        count = random.choice((0, 0, 1, 2, 5))
        count = min(count, size) if size else count
    values = [_value(store, element, random) for _ in range(count)]
    is_number = element[0] == Nodetype.BASE and element[1][0] != 'string'
    return np.array(values, _dtype(element[1][0])) if is_number else values


def _dtype(name: str) -> Any:
    return {'bool': np.bool_, 'char': np.uint8, 'byte': np.int8}.get(name) or np.dtype(name)


def _number(name: str, random: Random) -> Any:
    if name == 'string':
        return random.choice(TEXTS)
    if name == 'bool':
        return random.random() < 0.5
    if name.startswith('float'):
        value = random.choice((*FLOATS, random.gauss(0, 1e3)))
        return _narrow(value) if name == 'float32' else value
    info = np.iinfo(_dtype(name))
    low, high = int(info.min), int(info.max)
    return random.choice((low, high, high - 1, 0, 1, random.randint(low, high)))


def _narrow(value: float) -> float:
    try:
        return float(struct.unpack('<f', struct.pack('<f', value))[0])
    except OverflowError:
        return math.inf


def values_by_rosbags(schema: Schema, data: bytes) -> dict[str, Any]:
    """Return what `rosbags` reads, nested fields by dotted names; it raises what it raises."""
    store = typestore_of(schema)
    is_padded = 'wstring' in schema.definition
    if not is_padded:
        message = store.deserialize_cdr(data, schema.name)
    else:  # as the recorder's own JSON decoder does: what follows the fields is no fault
        code = store.get_msgdef(schema.name)
        read = code.deserialize_cdr_le if data[1] else code.deserialize_cdr_be
        message = read(data[4:], 0, code.cls, store)[0]
    found: dict[str, Any] = {}
    _flatten(store, schema.name, message, '', found)
    return found


def _flatten(store: Any, name: str, message: Any, prefix: str, found: dict[str, Any]) -> None:
    for field, node in store.get_msgdef(name).fields:
        value = getattr(message, field)
        if node[0] == Nodetype.NAME and node[1] != WIDE_STRING:
            _flatten(store, node[1], value, f'{prefix}{field}.', found)
        elif field != FILLER:
            found[prefix + field] = _plain(store, node, value)


def _plain(store: Any, node: Any, value: Any) -> Any:
    kind, detail = node
    if kind == Nodetype.NAME:
        if detail == WIDE_STRING:
            return value.units.astype('<u2').tobytes().decode('utf-16-le')
        return {
            name: _plain(store, field, getattr(value, name))
            for name, field in store.get_msgdef(detail).fields
        }
    if kind == Nodetype.BASE:  # a byte of ROS 2 is an octet; `rosbags` has a sign for it
        return value % 256 if detail[0] == 'byte' else value
    element = detail[0]
    if element[0] == Nodetype.BASE and element[1][0] in BYTES:
        return np.asarray(value).tobytes()
    values = value if isinstance(value, list) else value.tolist()
    return [_plain(store, element, item) for item in values]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same, NaN and the sign of zero included."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        if not isinstance(other, float):
            return False
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and bool(one == other)
