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
Numbers out of serialised messages, for a whole chunk of them at once.

The place of a field follows from the definition of its type, which lies in the file. Up to the
first list without a fixed length it can be worked out for many messages in a few array operations;
the fields of the standard types that are plotted all lie before one.

CDR (XCDR1): a primitive is aligned to its own size, counted from behind the header of four bytes;
a string is a 32-bit length and so many bytes. Source: OMG DDS-XTypes 1.3, section 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
import re
from typing import Final

from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.arrays import Floats, Messages, numbers_at
import numpy as np

_SEPARATOR: Final = re.compile(r'^=+\s*\nMSG: *(\S+)\s*\n', re.MULTILINE)
_FIELD: Final = re.compile(
    r'(?P<type>[A-Za-z][\w/]*)(?P<bound><=\d+)?(?P<array>\[[^\]]*\])?\s+(?P<name>[A-Za-z]\w*)\s*'
    r'(?P<constant>=)?'
)
_PRIMITIVES: Final = {
    'bool': 'u1', 'byte': 'u1', 'char': 'u1', 'int8': 'i1', 'uint8': 'u1',
    'int16': '<i2', 'uint16': '<u2', 'int32': '<i4', 'uint32': '<u4',
    'int64': '<i8', 'uint64': '<u8', 'float32': '<f4', 'float64': '<f8',
}  # fmt: skip
_HEADER_BYTES: Final = 4
_LITTLE_ENDIAN: Final = 1
_MAX_DEFINITION: Final = 64 * 1024
_MAX_DEPTH: Final = 8
_MAX_STEPS: Final = 256
_MAX_ARRAY: Final = 1024


@dataclass(frozen=True)
class _Step:
    """One primitive (or an array of them), or a string (no `dtype`)."""

    path: str
    dtype: str
    count: int = 1


class ColumnExtractor:
    """Gets some numeric fields out of messages of one type."""

    def __init__(self, schema: Schema, paths: Sequence[str]) -> None:
        """
        Find the fields.

        Args:
            schema: The type, as the file defines it.
            paths: The fields by dotted name; of an array of fixed length, its first element.

        Raises:
            LookupError: The definition has no such field before its first list, or makes no sense.

        """
        self.paths = tuple(paths)
        self._steps: list[_Step] = []
        missing = set(paths)
        for step in _steps(schema):
            self._steps.append(step)
            missing.discard(step.path)
            if not missing:
                return
            if len(self._steps) > _MAX_STEPS:
                break
        msg = f'{schema.name} has no field {", ".join(sorted(missing))} that can be reached'
        raise LookupError(msg)

    def extract(self, messages: Messages) -> Floats:
        """Return a column for each path; NaN for a message that does not hold it."""
        found = np.full((len(self.paths), len(messages.start)), np.nan)
        rows = np.flatnonzero(messages.length > _HEADER_BYTES)
        rows = rows[messages.buffer[messages.start[rows] + 1] == _LITTLE_ENDIAN]
        body = messages.start[rows] + _HEADER_BYTES
        size = messages.length[rows] - _HEADER_BYTES
        place = np.zeros(len(rows), np.int64)
        for step in self._steps:
            dtype = np.dtype(step.dtype or '<u4')
            place = (place + dtype.itemsize - 1) & -dtype.itemsize
            is_inside = place + dtype.itemsize * step.count <= size
            if not is_inside.all():
                rows, body, size, place = (
                    column[is_inside] for column in (rows, body, size, place)
                )
            if not step.dtype:
                place = place + dtype.itemsize + numbers_at(messages.buffer, body + place, '<u4')
                continue
            if step.path in self.paths:
                values = numbers_at(messages.buffer, body + place, step.dtype)
                found[self.paths.index(step.path), rows] = values
            place = place + dtype.itemsize * step.count
        return found


def _steps(schema: Schema) -> Iterator[_Step]:
    """Yield what a message consists of, up to the first list."""
    if len(schema.definition) > _MAX_DEFINITION:
        return
    parts = _SEPARATOR.split(schema.definition)
    root = schema.name.replace('/msg/', '/')
    texts = {root: parts[0]}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        texts[name.replace('/msg/', '/')] = text
    try:
        yield from _flatten(texts, root, '', 0)
    except _EndOfPlacesError:
        return


class _EndOfPlacesError(Exception):
    """From here on the place of a field differs from message to message, or is not known."""


def _flatten(texts: dict[str, str], name: str, prefix: str, depth: int) -> Iterator[_Step]:
    """Yield the steps of one type. It yields or raises: no definition keeps it busy for long."""
    fields = _fields(texts.get(name, ''))
    if not fields or depth > _MAX_DEPTH:
        raise _EndOfPlacesError
    for field in fields:
        path, kind, count = prefix + field['name'], field['type'], 1
        if field['array'] is not None:
            size = field['array'][1:-1].strip()
            if not size.isdecimal() or not 0 < int(size[:9]) <= _MAX_ARRAY:
                raise _EndOfPlacesError
            count = int(size)
        if kind in _PRIMITIVES:
            yield _Step(path, _PRIMITIVES[kind], count)
        elif count > 1 or kind == 'wstring':
            raise _EndOfPlacesError
        elif kind == 'string':
            yield _Step(path, '')
        else:
            nested = kind if '/' in kind else f'{name.partition("/")[0]}/{kind}'
            yield from _flatten(texts, nested.replace('/msg/', '/'), f'{path}.', depth + 1)


@lru_cache(maxsize=64)
def _fields(text: str) -> list[re.Match[str]]:
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    matches = (_FIELD.match(line) for line in lines)
    return [match for match in matches if match is not None and not match['constant']]
