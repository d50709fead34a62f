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
Encode payloads as CDR, by the definition of their type.

`rosbags` could do it, too. To load it and to let it generate an encoder takes a tenth of a second
before the first record of a flight, on a companion computer half a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Any, Final

from fdr_recorder.record.payload import Payload
from fdr_recorder.types.definition import Definition, Field, fields_of

ENCAPSULATION: Final = b'\0\1\0\0'
"""The encapsulation header of CDR; alignment counts from its end."""
NUMBERS: Final = {
    name: Struct(f'<{code}')
    for name, code in {
        'bool': '?', 'byte': 'B', 'char': 'B', 'int8': 'b', 'uint8': 'B', 'int16': 'h',
        'uint16': 'H', 'int32': 'i', 'uint32': 'I', 'int64': 'q', 'uint64': 'Q', 'float32': 'f',
        'float64': 'd',
    }.items()
}  # fmt: skip
_COUNT: Final = NUMBERS['uint32']


class Encoder:
    """
    Encodes the payloads of one type.

    Fields are numbers, strings, and sequences of messages without a bound: all that the recorder's
    own records have.
    """

    def __init__(self, definition: Definition) -> None:
        """Take the definition of the type."""
        self._fields = cache(lambda name: fields_of(name, definition.texts[name]))
        self._name = definition.name

    def encode(self, payload: Payload) -> bytes:
        """Return a payload as CDR; raise anything if a value does not fit its field."""
        out = bytearray()
        self._put_message(out, self._name, payload)
        return ENCAPSULATION + out

    def _put_message(self, out: bytearray, name: str, part: Payload | tuple[str, str]) -> None:
        """Append a payload, or a pair of key and value."""
        for number, field in enumerate(self._fields(name)):
            value: Any = part[number] if isinstance(part, tuple) else getattr(part, field.name)
            if field.is_sequence:
                self._put_sequence(out, field, value)
            elif field.type == 'string':
                _put_text(out, value)
            else:
                _put_number(out, NUMBERS[field.type], value)

    def _put_sequence(
        self, out: bytearray, field: Field, value: Mapping[str, str] | Sequence[Payload]
    ) -> None:
        _put_number(out, _COUNT, len(value))
        for part in value.items() if isinstance(value, Mapping) else value:
            self._put_message(out, field.type, part)


def _put_number(out: bytearray, number: Struct, value: Any) -> None:  # noqa: ANN401 - it checks
    out += bytes(-len(out) % number.size)
    out += number.pack(value)


def _put_text(out: bytearray, value: str) -> None:
    text = value.encode()
    _put_number(out, _COUNT, len(text) + 1)
    out += text
    out += b'\0'
