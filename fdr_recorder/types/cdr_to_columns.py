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

The position of a field follows from the definition of its type, which the file contains, and
from the lengths of strings and sequences before it. A few array operations compute it for many
messages; they cost next to nothing while it is the same in all of them.

CDR (XCDR1): a primitive is aligned to its own size, counted from the end of the four-byte header;
a string is a 32-bit length and that many bytes; a sequence is a 32-bit length and its elements.
Source: OMG DDS-XTypes 1.3, section 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.cdr_layout import NUMBERS
from fdr_recorder.types.columns import Bytes, Integers
from fdr_recorder.types.typestore import parse_types, WIDE_STRING
import numpy as np
import numpy.typing as npt
from rosbags.interfaces import Nodetype

if TYPE_CHECKING:
    from rosbags.interfaces.typing import FieldDesc

Floats = npt.NDArray[np.float64]

_HEADER_BYTES: Final = 4
_LITTLE_ENDIAN: Final = 1
_MAX_DEPTH: Final = 8
_MAX_NODES: Final = 500
_MAX_ARRAY: Final = 1024
_MAX_FIELDS: Final = 200
_MAX_ELEMENTS: Final = 16
"""Of an array or a sequence of numbers: so many are fields."""
_MAX_MEMBERS: Final = 4
"""Of an array or a sequence of messages, likewise."""
_MAX_REPEATS: Final = 32
"""Longer sequences of strings or messages hide what follows them."""
_MAX_NESTED: Final = 2
_WIDEST: Final = 1024
"""So many bytes of each message are copied at once, where their fields are at the same places."""


@dataclass(frozen=True)
class Messages:
    """
    Serialised messages of one channel. All columns have the same length.

    Attributes:
        buffer: Holds their data.
        start: Offset of each message in it.
        length: Bytes of each message.
        log_time_ns: When each message was received.
        published_ns: When each message was sent, by its source's clock; None if unknown.

    """

    buffer: Bytes
    start: Integers
    length: Integers
    log_time_ns: Integers
    published_ns: Integers | None = None

    def data(self) -> Iterator[tuple[int, bytes]]:
        """Yield the log time and the data of each message."""
        for time_ns, start, length in zip(
            self.log_time_ns.tolist(), self.start.tolist(), self.length.tolist(), strict=True
        ):
            yield time_ns, self.buffer[start:start + length].tobytes()


def numbers_at(buffer: Bytes, places: Integers, dtype: str) -> Any:  # noqa: ANN401 - of that dtype
    """Return the number at each place; all places must be inside the buffer."""
    room = len(buffer) - np.dtype(dtype).itemsize + 1
    return np.ndarray((max(room, 0),), dtype, buffer, strides=(1,))[places]


# --- the definition ----------------------------------------------------------------------------


@dataclass
class _Numbers:
    """A number, a fixed array (`count`) or a sequence of them; `rows` says which are wanted."""

    path: str
    dtype: str
    count: int = 1
    is_array: bool = False
    is_sequence: bool = False
    rows: list[tuple[int, int]] = field(default_factory=list)

    def fields(self) -> Iterator[tuple[int, str]]:
        """Yield place and path of each field."""
        if not self.is_array and not self.is_sequence:
            yield 0, self.path
            return
        if self.is_sequence and self.dtype in ('u1', 'i1'):
            return  # bytes, not numbers
        for place in range(_MAX_ELEMENTS if self.is_sequence else min(self.count, _MAX_ELEMENTS)):
            yield place, f'{self.path}[{place}]'


@dataclass
class _Text:
    """A string."""


@dataclass
class _Repeated:
    """
    A sequence of strings or messages: the parts of its first elements, and of each other.

    If it `is_last`, nothing behind its first elements is wanted.
    """

    first: list[list[_Part]]
    other: list[_Part]
    is_last: bool = False


_Part = _Numbers | _Text | _Repeated


@dataclass(frozen=True)
class NumericField:
    """
    A field that is a number, or an element of an array or a sequence of numbers.

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


class _Layout:
    """The parts of a type, up to one whose length cannot be told; `is_whole` if there is none."""

    def __init__(self, schema: Schema) -> None:
        self.parts: list[_Part] = []
        self._types = parse_types(schema)
        self._left = _MAX_NODES
        try:
            self._add(self.parts, schema.name, '', 0, 0)
            self.why_not_whole = ''
        except RecordError as error:
            self.why_not_whole = str(error)

    def numbers(self, parts: Sequence[_Part] | None = None) -> Iterator[_Numbers]:
        """Yield all numbers, in order; each element of a sequence has its own."""
        for part in self.parts if parts is None else parts:
            if isinstance(part, _Numbers):
                yield part
            elif isinstance(part, _Repeated):
                for element in part.first:
                    yield from self.numbers(element)

    def _add(self, parts: list[_Part], name: str, prefix: str, depth: int, nested: int) -> None:
        """Add the parts of a message; raise `RecordError` at one that cannot be stepped over."""
        _, fields = self._types.get(name, ((), ()))
        if not fields or depth > _MAX_DEPTH or name == WIDE_STRING:
            raise RecordError(f'{name} is empty, not defined or nested too deeply')
        for field_name, node in fields:
            self._add_field(parts, prefix + field_name, node, depth, nested)

    def _add_field(
        self, parts: list[_Part], path: str, node: FieldDesc, depth: int, nested: int
    ) -> None:
        count, is_array, is_sequence = 1, False, False
        if node[0] == Nodetype.ARRAY:
            (node, count), is_array = node[1], True
        elif node[0] == Nodetype.SEQUENCE:
            (node, _), is_sequence = node[1], True
        self._left -= 1
        if self._left < 0 or not 0 < count <= _MAX_ARRAY:
            raise RecordError(f'fields from {path} on are too many')
        if node[0] == Nodetype.BASE and node[1][0] in NUMBERS:
            dtype = NUMBERS[node[1][0]].replace('?', 'u1')
            dtype = dtype if dtype[1:] == '1' else f'<{dtype}'
            parts.append(_Numbers(path, dtype, count, is_array, is_sequence))
        elif is_sequence:
            if nested == _MAX_NESTED:
                raise RecordError(f'fields from {path} on have no fixed position')
            elements: list[list[_Part]] = [[] for _ in range(_MAX_MEMBERS + 1)]
            for place, element in enumerate(elements):
                self._add_one(element, f'{path}[{place}]', node, depth, nested + 1)
            parts.append(_Repeated(elements[:-1], elements[-1]))
        else:
            for place in range(count):
                name = f'{path}[{place}]' if is_array else path
                self._add_one(parts, name, node, depth, nested)

    def _add_one(
        self, parts: list[_Part], path: str, node: FieldDesc, depth: int, nested: int
    ) -> None:
        self._left -= 1
        if node[0] == Nodetype.NAME and self._left > 0:
            self._add(parts, node[1], f'{path}.', depth + 1, nested)
        elif node[0] == Nodetype.BASE and node[1][0] == 'string' and self._left > 0:
            parts.append(_Text())
        else:
            raise RecordError(f'fields from {path} on have no fixed position')


def numeric_fields(schema: Schema, most: int = _MAX_FIELDS) -> list[NumericField]:
    """
    Return the numeric fields of a type that `ColumnExtractor` can reach, in order.

    Of arrays and sequences, the first elements are among them. A definition that cannot be used
    has none.
    """
    found: list[NumericField] = []
    with suppress(RecordError):
        for part in _Layout(schema).numbers():
            found += [NumericField(path, part.dtype) for _, path in part.fields()]
    return found[:most]


# --- the messages ------------------------------------------------------------------------------


class _Cursor:
    """
    A place in each of many messages; those that end too early leave.

    `place` is a number as long as it is the same in all messages.
    """

    def __init__(self, buffer: Bytes, rows: Integers, body: Integers, size: Integers) -> None:
        self.buffer = buffer
        self.rows = rows
        self.body = body
        self.size = size
        self.place: Integers | int = 0
        self._columns: Bytes | None = None

    def some(self, wanted: npt.NDArray[np.bool_]) -> _Cursor:
        """Return a cursor at the same place in some of the messages."""
        other = _Cursor(
            self.buffer, self.rows[wanted], self.body[wanted], self.size[wanted]
        )
        other.place = self.place if isinstance(self.place, int) else self.place[wanted]
        return other

    def keep(self, wanted: npt.NDArray[np.bool_]) -> None:
        """Go on with some of the messages."""
        if not wanted.all():
            self.rows, self.body, self.size = (
                column[wanted] for column in (self.rows, self.body, self.size)
            )
            if not isinstance(self.place, int):
                self.place = self.place[wanted]
            self._columns = None

    def require(self, count: int) -> None:
        """Keep the messages that have so many bytes more."""
        self.keep(self.place + count <= self.size)

    def align(self, width: int) -> None:
        """Step over padding."""
        self.place = (self.place + width - 1) & -width

    def step(self, count: Integers) -> None:
        """Step over a count of bytes, one for each message."""
        same = len(count) and isinstance(self.place, int) and (count == count[0]).all()
        self.place = self.place + (int(count[0]) if same else count)

    def read(self, dtype: str, offset: int = 0) -> Any:  # noqa: ANN401 - of that dtype
        """Return the number that begins so many bytes behind the place, in each message."""
        width = np.dtype(dtype).itemsize
        if not isinstance(self.place, int):
            return numbers_at(self.buffer, self.body + self.place + offset, dtype)
        start = self.place + offset
        if self._columns is None and len(self.size):
            wide = min(int(self.size.min()), _WIDEST)
            room = len(self.buffer) - wide + 1
            if start + width <= wide:
                windows: Any = np.ndarray((room,), f'V{wide}', self.buffer, strides=(1,))
                self._columns = windows[self.body].view(np.uint8).reshape(-1, wide)
        if self._columns is None or start + width > self._columns.shape[1]:
            return numbers_at(self.buffer, self.body + start, dtype)
        return self._columns[:, start:start + width].view(dtype)[:, 0]

    def length(self) -> Integers:
        """Read the length of a string or a sequence, and step over it."""
        self.align(4)
        self.require(4)
        length = self.read('<u4').astype(np.int64)
        self.place = self.place + 4
        return np.asarray(length)


class ColumnExtractor:
    """Extracts some numeric fields from messages of one type."""

    def __init__(self, schema: Schema, paths: Sequence[str]) -> None:
        """
        Find fields in the definition, by dotted names.

        `q[2]` is an element of an array; the name of an array stands for its first element.

        Raises:
            RecordError: The definition is unusable, or a field cannot be reached.

        """
        self.paths = tuple(paths)
        layout = _Layout(schema)
        rows: dict[str, int] = {path: row for row, path in enumerate(self.paths)}
        missing = set(paths)
        for part in layout.numbers():
            for place, path in part.fields():
                for name in NumericField(path, part.dtype).names:
                    if name in missing:
                        part.rows.append((rows[name], place))
                        missing.discard(name)
        if missing:
            what = f'has no field {", ".join(sorted(missing))} that can be reached'
            raise RecordError(f'{schema.name} {what}. {layout.why_not_whole}'.rstrip(' .'))
        self._parts = _pruned(layout.parts)

    def extract(self, messages: Messages) -> Floats:
        """Return a row for each path and a column for each message; NaN if it lacks the field."""
        found = np.full((len(self.paths), len(messages.start)), np.nan)
        rows = np.flatnonzero(messages.length > _HEADER_BYTES)
        rows = rows[messages.buffer[messages.start[rows] + 1] == _LITTLE_ENDIAN]
        body = messages.start[rows] + _HEADER_BYTES
        size = messages.length[rows] - _HEADER_BYTES
        with np.errstate(invalid='ignore'):  # a signalling NaN
            _read(self._parts, _Cursor(messages.buffer, rows, body, size), found)
        return found


def _is_wanted(part: _Part) -> bool:
    """Tell whether a part holds a wanted number."""
    if isinstance(part, _Repeated):
        return any(_is_wanted(inner) for element in part.first for inner in element)
    return isinstance(part, _Numbers) and bool(part.rows)


def _pruned(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts without those behind the last wanted number."""
    last = max((place for place, part in enumerate(parts) if _is_wanted(part)), default=-1)
    kept = list(parts[: last + 1])
    if kept and isinstance(kept[-1], _Repeated):
        kept[-1] = _Repeated(kept[-1].first, [], is_last=True)
    return kept


def _read(parts: Sequence[_Part], cursor: _Cursor, found: Floats) -> None:
    """Read the wanted numbers of each message, part by part."""
    for part in parts:
        if not len(cursor.rows):
            return
        if isinstance(part, _Text):
            cursor.step(cursor.length())
        elif isinstance(part, _Repeated):
            _read_repeated(part, cursor, found)
        elif part.is_sequence:
            _read_sequence(part, cursor, found)
        else:
            width = np.dtype(part.dtype).itemsize
            cursor.align(width)
            cursor.require(width * part.count)
            for row, place in part.rows:
                found[row, cursor.rows] = cursor.read(part.dtype, place * width)
            cursor.place = cursor.place + width * part.count


def _read_sequence(part: _Numbers, cursor: _Cursor, found: Floats) -> None:
    """Read the wanted numbers of a sequence of numbers."""
    count = cursor.length()
    width = np.dtype(part.dtype).itemsize
    padding = (-cursor.place) % width * (count > 0)  # nothing is aligned if nothing follows
    is_whole = cursor.place + padding + count * width <= cursor.size
    cursor.keep(is_whole)
    count = count[is_whole]
    cursor.step(padding[is_whole])
    for row, place in part.rows:
        has = count > place
        if has.all():
            found[row, cursor.rows] = cursor.read(part.dtype, place * width)
        elif has.any():
            some = cursor.some(has)
            found[row, some.rows] = some.read(part.dtype, place * width)
    cursor.step(count * width)


def _read_repeated(part: _Repeated, cursor: _Cursor, found: Floats) -> None:
    """Read the wanted numbers of the elements of a sequence."""
    count = cursor.length()
    if part.is_last:
        count = np.minimum(count, len(part.first))
    is_short = count <= _MAX_REPEATS
    cursor.keep(is_short)
    count = count[is_short]
    cursor.place = cursor.place + np.zeros(len(count), np.int64)
    for number in range(int(count.max(initial=0))):
        inner = cursor.some(count > number)
        _read(part.first[number] if number < len(part.first) else part.other, inner, found)
        at = np.searchsorted(cursor.rows, inner.rows)
        is_whole = count <= number
        is_whole[at] = True
        cursor.place[at] = inner.place
        cursor.keep(is_whole)
        count = count[is_whole]
    if len(cursor.place) and (cursor.place == cursor.place[0]).all():
        cursor.place = int(cursor.place[0])
