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
Decode payloads that this process has encoded, by the definition of their type.

For the writer, which must not load `rosbags`; files are read with that, for their definitions may
be of any version.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from fdr_recorder.record.encoder import ENCAPSULATION, NUMBERS
from fdr_recorder.record.payload import Payload
from fdr_recorder.types.definition import Definition, Field, fields_of

_PayloadT = TypeVar('_PayloadT', bound=Payload)


class Decoder:
    """Decodes what `Encoder` has encoded with the same definition."""

    def __init__(self, definition: Definition) -> None:
        """Take the definition of the type."""
        self._fields = cache(lambda name: fields_of(name, definition.texts[name]))
        self._name = definition.name

    def decode(self, payload_type: type[_PayloadT], data: bytes) -> _PayloadT:
        """Return the payload."""
        cursor = _Cursor(data[len(ENCAPSULATION):])
        return payload_type(**self._values(cursor, self._name, payload_type))

    def _values(
        self, cursor: _Cursor, name: str, payload_type: type[Payload] | None
    ) -> dict[str, Any]:
        return {
            field.name: self._value(cursor, field, payload_type) for field in self._fields(name)
        }

    def _value(
        self, cursor: _Cursor, field: Field, payload_type: type[Payload] | None
    ) -> Any:  # noqa: ANN401 - of any field
        if not field.is_sequence:
            return cursor.text() if field.type == 'string' else cursor.number(field.type)
        nested = payload_type.NESTED.get(field.name) if payload_type is not None else None
        parts = [
            self._values(cursor, field.type, nested) for _ in range(cursor.number('uint32'))
        ]
        if nested is None:  # pairs of key and value
            return {part['key']: part['value'] for part in parts}
        return tuple(nested(**part) for part in parts)


class _Cursor:
    """A place in encoded data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def number(self, type_name: str) -> Any:  # noqa: ANN401 - of any type
        number = NUMBERS[type_name]
        self._offset += -self._offset % number.size
        (value,) = number.unpack_from(self._data, self._offset)
        self._offset += number.size
        return value

    def text(self) -> str:
        length = self.number('uint32')
        begin = self._offset
        self._offset += length
        return self._data[begin:begin + length - 1].decode()
