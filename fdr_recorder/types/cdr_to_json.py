# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages as JSON, by the definition of their type in the file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
import math
import struct
from typing import Any, cast, Final

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.layout import ROS2IDL
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.definition import SEPARATOR
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_idl, get_types_from_msg, TypesysError
from rosbags.typesys.store import Typestore

_Convert = Callable[[Any], Any]
_Types = Mapping[str, tuple[Any, Any]]

_BYTES: Final = frozenset(('byte', 'char', 'octet', 'uint8'))
_MAX_DEFINITION_CHARACTERS: Final = 1 << 20
_MAX_UNROLLED: Final = 1000
"""The decoder that `rosbags` generates has a line for each element of a fixed array of strings or
messages; a definition could have millions of them."""
_FLOAT32: Final = struct.Struct('<f')


class JsonDecoder:
    """
    Decodes the messages of one type.

    Numbers stay numbers; a float32 has the fewest digits that tell it from others. NaN is null,
    infinity is `"Infinity"` or `"-Infinity"`: JSON has neither. Lists of bytes are base64.
    """

    def __init__(self, schema: Schema, *, longest: int | None = None) -> None:
        """
        Take a type.

        Args:
            schema: Its name and definition.
            longest: Of lists that are longer, only length and type are said; None for none.

        Raises:
            RecordError: The definition is missing, or cannot be used.

        """
        self._name = schema.name
        self._longest = longest
        self._converters: dict[str, _Convert] = {}
        self._store = _typestore(schema)

    def decode(self, data: bytes) -> dict[str, Any]:
        """
        Return the fields of a message (CDR), as `json.dumps` takes them.

        Raises:
            RecordError: The bytes do not fit the definition.

        """
        try:
            message = self._store.deserialize_cdr(data, self._name)
            return cast('dict[str, Any]', self._message(self._name)(message))
        except Exception as error:  # the generated decoder raises whatever the file leads it to
            msg = f'{len(data)} bytes cannot be decoded as {self._name}: {error!r:.200}'
            raise RecordError(msg) from error

    def _message(self, type_name: str) -> _Convert:
        convert = self._converters.get(type_name)
        if convert is None:
            fields = [
                (name, self._field(node)) for name, node in self._store.fielddefs[type_name][1]
            ]

            def convert(message: object) -> dict[str, Any]:
                return {name: of(getattr(message, name)) for name, of in fields}

            self._converters[type_name] = convert
        return convert

    def _field(self, node: Any) -> _Convert:  # noqa: ANN401 - as rosbags describes a field
        kind, about = node
        if kind == Nodetype.NAME:
            return self._message(about)
        if kind == Nodetype.BASE:
            return _PRIMITIVES.get(about[0], _as_it_is)
        (element_kind, element), _ = about
        name = element if element_kind == Nodetype.NAME else element[0]
        convert = self._field((element_kind, element))
        longest = self._longest

        def convert_list(values: Any) -> Any:  # noqa: ANN401
            if longest is not None and len(values) > longest:
                return f'<{len(values)} x {name}>'
            if name in _BYTES:
                return base64.b64encode(bytes(values)).decode()
            values = values if isinstance(values, list) else values.tolist()
            return values if convert is _as_it_is else list(map(convert, values))

        return convert_list


def _typestore(schema: Schema) -> Typestore:
    if not schema.definition:
        msg = f'there is no definition of {schema.name} in the file'
        raise RecordError(msg)
    store = Typestore()
    try:
        if len(schema.definition) > _MAX_DEFINITION_CHARACTERS:
            raise TypesysError('it is too long')
        types = cast('_Types', _parse(schema))
        if sum(_unrolled(node) for _, fields in types.values() for _, node in fields) > (
            _MAX_UNROLLED
        ):
            raise TypesysError('it has too large arrays of messages')
        store.register(cast('Any', types))
        store.get_msgdef(schema.name)
    except Exception as error:  # whatever the file leads parser and generator to
        msg = f'the definition of {schema.name} cannot be used: {error!r:.200}'
        raise RecordError(msg) from error
    return store


def _parse(schema: Schema) -> dict[str, Any]:
    if schema.encoding != ROS2IDL:
        return cast('dict[str, Any]', get_types_from_msg(schema.definition, schema.name))
    types: dict[str, Any] = {}
    for part in schema.definition.split(f'{SEPARATOR}\n'):
        text = part.partition('\n')[2] if part.startswith('IDL: ') else part
        if text.strip():
            types.update(get_types_from_idl(text))
    return types


def _unrolled(node: Any) -> int:  # noqa: ANN401 - as rosbags describes a field
    kind, about = node
    if kind != Nodetype.ARRAY:
        return 0
    (element_kind, element), length = about
    is_number = element_kind == Nodetype.BASE and element[0] != 'string'
    return 0 if is_number else int(length)


def _as_it_is(value: object) -> object:
    return value


def _float64(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return 'Infinity' if value > 0 else '-Infinity'


def _float32(value: float) -> float | str | None:
    if not math.isfinite(value):
        return _float64(value)
    for digits in (6, 7, 8):
        short = float(f'{value:.{digits}g}')
        if _FLOAT32.unpack(_FLOAT32.pack(short))[0] == value:
            return short
    return float(f'{value:.9g}')


_PRIMITIVES: Final[Mapping[str, _Convert]] = {'float32': _float32, 'float64': _float64}
