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
Extract numeric fields from serialised messages (CDR), from all messages of a chunk at once.

The position of a field follows from the definition of its type, which the file contains. Up to
the first sequence, and past any strings, a few array operations compute it for many messages. The
fields of standard types that are plotted all precede the first sequence.

CDR (XCDR1): a primitive is aligned to its own size, counted from the end of the four-byte header;
a string is a 32-bit length and that many bytes. Source: OMG DDS-XTypes 1.3, section 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.typestore import parse_types
import numpy as np
import numpy.typing as npt
from rosbags.interfaces import Nodetype

if TYPE_CHECKING:
    from rosbags.interfaces.typing import Typesdict

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DTYPES: Final = {
    'bool': 'u1', 'byte': 'u1', 'char': 'u1', 'int8': 'i1', 'uint8': 'u1',
    'int16': '<i2', 'uint16': '<u2', 'int32': '<i4', 'uint32': '<u4',
    'int64': '<i8', 'uint64': '<u8', 'float32': '<f4', 'float64': '<f8',
}  # fmt: skip
_HEADER_BYTES: Final = 4
_LITTLE_ENDIAN: Final = 1
_MAX_DEPTH: Final = 8
_MAX_STEPS: Final = 256
_MAX_ARRAY: Final = 1024
_MAX_FIELDS: Final = 200
_MAX_ELEMENTS: Final = 16


@dataclass(frozen=True)
class Messages:
    """
    Serialised messages of one channel. All columns have the same length.

    Attributes:
        buffer: Holds their data.
        start: Offset of each message in it.
        length: Bytes of each message.
        log_time_ns: When each message was received.

    """

    buffer: Bytes
    start: Integers
    length: Integers
    log_time_ns: Integers

    def data(self) -> Iterator[tuple[int, bytes]]:
        """Yield the log time and the data of each message."""
        for time_ns, start, length in zip(
            self.log_time_ns.tolist(), self.start.tolist(), self.length.tolist(), strict=True
        ):
            yield time_ns, self.buffer[start:start + length].tobytes()


def numbers_at(buffer: Bytes, places: Integers, dtype: str) -> Any:  # noqa: ANN401 - of that dtype
    """Return the number at each place; all places must be inside the buffer."""
    width = np.dtype(dtype).itemsize
    return buffer[places[:, None] + np.arange(width)].view(dtype)[:, 0]


@dataclass(frozen=True)
class _Step:
    """A primitive, a fixed array of them, or a string (without `dtype`)."""

    path: str
    dtype: str
    count: int = 1
    is_array: bool = False

    def elements(self) -> Iterator[tuple[int, str]]:
        """Yield place and path of each number; an array goes by its own name, too."""
        if self.dtype:
            yield 0, self.path
            if self.is_array:
                yield from ((place, f'{self.path}[{place}]') for place in range(self.count))


@dataclass(frozen=True)
class NumericField:
    """
    A field that is a number, or an element of an array of numbers.

    Attributes:
        path: Its dotted name; an element is `q[2]`.
        dtype: Its type, as numpy names it.

    """

    path: str
    dtype: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return by what it goes: the first element of an array also by the array's name."""
        is_first = self.path.endswith('[0]')
        return (self.path, self.path.removesuffix('[0]')) if is_first else (self.path,)


def numeric_fields(schema: Schema, most: int = _MAX_FIELDS) -> list[NumericField]:
    """
    Return the numeric fields of a type that `ColumnExtractor` can reach, in order.

    Of an array the first elements are among them. A definition that cannot be used has none.
    """
    found: list[NumericField] = []
    with suppress(RecordError):
        for step in islice(_steps(parse_types(schema), schema.name), _MAX_STEPS):
            if step.dtype:
                paths = [path for _, path in islice(step.elements(), 1 + _MAX_ELEMENTS)]
                found += [NumericField(path, step.dtype) for path in paths[step.is_array:]]
    return found[:most]


class ColumnExtractor:
    """Extracts some numeric fields from messages of one type."""

    def __init__(self, schema: Schema, paths: Sequence[str]) -> None:
        """
        Find fields in the definition, by dotted names.

        `q[2]` is an element of an array; the name of an array stands for its first element.

        Raises:
            RecordError: The definition is unusable, or a field is not before its first sequence.

        """
        self.paths = tuple(paths)
        self._steps: list[_Step] = []
        self._wanted: list[list[tuple[int, int]]] = []
        missing = set(paths)
        for step in islice(_steps(parse_types(schema), schema.name), _MAX_STEPS):
            self._steps.append(step)
            found = [(path, place) for place, path in step.elements() if path in missing]
            self._wanted.append([(self.paths.index(path), place) for path, place in found])
            missing.difference_update(path for path, _ in found)
            if not missing:
                return
        msg = f'{schema.name} has no field {", ".join(sorted(missing))} that can be reached'
        raise RecordError(msg)

    def extract(self, messages: Messages) -> Floats:
        """Return a row for each path and a column for each message; NaN if it lacks the field."""
        found = np.full((len(self.paths), len(messages.start)), np.nan)
        rows = np.flatnonzero(messages.length > _HEADER_BYTES)
        rows = rows[messages.buffer[messages.start[rows] + 1] == _LITTLE_ENDIAN]
        body = messages.start[rows] + _HEADER_BYTES
        size = messages.length[rows] - _HEADER_BYTES
        place = np.zeros(len(rows), np.int64)
        for step, wanted in zip(self._steps, self._wanted, strict=True):
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
            for row, element in wanted:
                at = body + place + element * dtype.itemsize
                found[row, rows] = numbers_at(messages.buffer, at, step.dtype)
            place = place + dtype.itemsize * step.count
        return found


def _steps(types: Typesdict, name: str, prefix: str = '', depth: int = 0) -> Iterator[_Step]:
    """
    Yield what a message consists of.

    Each type yields a step or raises `RecordError`, where the next positions differ between
    messages or a type is not defined: no definition keeps the caller busy for long.
    """
    _, fields = types.get(name, ((), ()))
    if not fields or depth > _MAX_DEPTH:
        raise RecordError(f'{name} is empty, not defined or nested too deeply')
    for field, node in fields:
        path, count, is_array = prefix + field, 1, False
        if node[0] == Nodetype.ARRAY:
            (node, count), is_array = node[1], True
        if node[0] == Nodetype.NAME and count == 1:
            yield from _steps(types, node[1], f'{path}.', depth + 1)
        elif node[0] == Nodetype.BASE and node[1][0] in _DTYPES and 0 < count <= _MAX_ARRAY:
            yield _Step(path, _DTYPES[node[1][0]], count, is_array)
        elif node[0] == Nodetype.BASE and node[1][0] == 'string' and count == 1:
            yield _Step(path, '')
        else:
            raise RecordError(f'fields from {path} on have no fixed position')
