# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Convert messages from CDR to JSON by the definition of their type in the file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
import math
import struct
from typing import Any, cast, Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.typestore import typestore_of, WIDE_STRING
from rosbags.interfaces import Nodetype

if TYPE_CHECKING:
    from rosbags.interfaces.typing import FieldDesc

_Convert = Callable[[Any], Any]

_HEADER_BYTES: Final = 4
_BYTES: Final = frozenset(('byte', 'char', 'octet', 'uint8'))
_FLOAT32: Final = struct.Struct('<f')


class JsonDecoder:
    """
    Decodes the messages of one type.

    Numbers stay numbers; a float32 gets the fewest digits that identify it. JSON has neither NaN,
    which becomes null, nor infinity, which becomes `"Infinity"` or `"-Infinity"`. Lists of bytes
    become base64.
    """

    def __init__(self, schema: Schema, *, longest: int | None = None) -> None:
        """
        Prepare for a type; raise `RecordError` if its definition is missing or unusable.

        Lists with more than `longest` elements become a text with their length and type.
        """
        self._name = schema.name
        self._longest = longest
        self._converters: dict[str, _Convert] = {}
        self._store = typestore_of(schema)
        self._is_padded = 'wstring' in schema.definition
        """rmw_fastrtps reserves too much for a message with `wstring`, and sends all of it."""

    def decode(self, data: bytes) -> dict[str, Any]:
        """
        Return the fields of a message (CDR) as values that `json.dumps` accepts.

        Raise `RecordError` if the bytes do not fit the definition.
        """
        try:
            message = self._deserialize(data)
            return cast('dict[str, Any]', self._message(self._name)(message))
        except Exception as error:  # the generated decoder can raise anything
            msg = f'{len(data)} bytes cannot be decoded as {self._name}: {error!r:.200}'
            raise RecordError(msg) from error

    def _deserialize(self, data: bytes) -> object:
        if not self._is_padded:
            return self._store.deserialize_cdr(data, self._name)
        code = self._store.get_msgdef(self._name)
        read = code.deserialize_cdr_le if data[1] else code.deserialize_cdr_be
        return read(data[_HEADER_BYTES:], 0, code.cls, self._store)[0]

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

    def _field(self, node: FieldDesc) -> _Convert:
        if node[0] == Nodetype.NAME:
            return _wide_string if node[1] == WIDE_STRING else self._message(node[1])
        if node[0] == Nodetype.BASE:
            return _FLOATS.get(node[1][0], _unchanged)
        element, _ = node[1]
        name = element[1] if element[0] == Nodetype.NAME else element[1][0]
        convert = self._field(element)
        longest = self._longest

        def convert_list(values: Any) -> Any:  # noqa: ANN401 - a list or an array
            if longest is not None and len(values) > longest:
                return f'<{len(values)} x {name}>'
            if name in _BYTES:
                return base64.b64encode(bytes(values)).decode()
            values = values if isinstance(values, list) else values.tolist()
            return values if convert is _unchanged else list(map(convert, values))

        return convert_list


def _wide_string(value: Any) -> str:  # noqa: ANN401 - of a generated class
    return cast('bytes', value.units.astype('<u2').tobytes()).decode('utf-16-le', 'replace')


def _unchanged(value: object) -> object:
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


_FLOATS: Final[Mapping[str, _Convert]] = {'float32': _float32, 'float64': _float64}
