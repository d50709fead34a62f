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
Take serialised messages (CDR) of one type apart: all fields of many messages at once.

Each field is read from all messages by a few array operations, before the next field is. The
position in each message is known by then, whatever texts and lists came before. Only where the
elements of a list differ in size, a loop finds where each begins.

CDR (XCDR1): a primitive is aligned to its own size, counted from the end of the four-byte header;
a string is a 32-bit length and that many bytes, with a zero at the end. Source: OMG DDS-XTypes
1.3, section 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, NoReturn

from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.cdr_layout import Items, layout_of, Node, Number, Struct, Text
from fdr_recorder.types.cdr_skipping import Skipper
from fdr_recorder.types.columns import (
    Bytes,
    Column,
    flattened,
    Integers,
    Lists,
    Numbers,
    Structs,
    Texts,
)
import numpy as np

_ORDERS: Final = {1: '<', 0: '>'}
"""Of plain CDR, little and big endian."""
_HEADER_BYTES: Final = 4
_LONGEST_END: Final = 3
"""Bytes that may follow the last field: middlewares pad messages to four bytes."""
_SLICE_BYTES: Final = 64
"""Longer parts are copied one by one, shorter ones by an array operation."""
_ROW_BYTES: Final = 4096
"""So are longer ones up to this, if all have the same length."""


class Decoded(NamedTuple):
    """
    Messages as columns.

    Attributes:
        rows: Which of the messages they are.
        columns: Their fields, by dotted names.

    """

    rows: Integers
    columns: dict[str, Column]


class TableDecoder:
    """
    Takes the messages of one type apart.

    Attributes:
        layout: What a message consists of.
        refused: How many messages could not be decoded so far.
        why: What was wrong with the first of them.

    """

    note: Final = ''
    """What else is in no column: nothing."""

    def __init__(self, schema: Schema) -> None:
        """Prepare for a type; raise `RecordError` as `layout_of`."""
        self.layout = layout_of(schema)
        self.refused = 0
        self.why = ''
        self._type_name = schema.name
        self._skipper = Skipper()
        self._is_padded = 'wstring' in schema.definition
        """rmw_fastrtps reserves too much for a message with `wstring`, and sends all of it."""

    def decode(self, messages: Sequence[bytes]) -> Iterator[Decoded]:
        """
        Yield their fields as columns, in order, mostly all at once.

        A message that does not fit the definition is left out, and counted.
        """
        size = np.fromiter(map(len, messages), np.int64, len(messages))
        whole = np.frombuffer(b''.join(messages), np.uint8)
        start = np.cumsum(size) - size
        rows = np.flatnonzero(size >= _HEADER_BYTES)
        if len(rows) < len(messages):
            self._refuse(len(messages) - len(rows), int(size.min()), 'its header is missing')
        header = whole[start[rows]].astype(np.int64) * 256 + whole[start[rows] + 1]
        for run in np.split(rows, np.flatnonzero(np.diff(header)) + 1):
            if len(run):
                place = int(start[run[0]])
                order = _ORDERS.get(int.from_bytes(whole[place:place + 2].tobytes(), 'big'))
                if order is None:
                    why = 'its header is not that of plain CDR'
                    self._refuse(len(run), int(size[run[0]]), why)
                else:
                    yield from self._decode(whole, run, start[run], size[run], order)

    def _decode(
        self, whole: Bytes, rows: Integers, begin: Integers, size: Integers, order: str
    ) -> Iterator[Decoded]:
        """Yield messages of one byte order; leave out those that do not fit, until all do."""
        buffer, start = _aligned_bodies(whole, begin + _HEADER_BYTES, size - _HEADER_BYTES)
        size = size - _HEADER_BYTES
        while len(rows):
            places = _Places(start.copy(), start + size, np.arange(len(rows)))
            try:
                found = _Walk(buffer, order, self._skipper).read(self.layout, places, '')
                rest = places.end - places.at
                if not self._is_padded and (rest > _LONGEST_END).any():
                    raise _BadError(places.owner[rest > _LONGEST_END], 'it is too long')
            except _BadError as error:
                bad = np.unique(error.owners)
                self._refuse(len(bad), int(size[bad[0]]) + _HEADER_BYTES, error.what)
                keep = np.ones(len(rows), bool)
                keep[bad] = False
                rows, start, size = rows[keep], start[keep], size[keep]
                continue
            assert isinstance(found, Structs)
            yield Decoded(rows, dict(flattened(found.fields)))
            return

    def _refuse(self, count: int, size: int, why: str) -> None:
        self.refused += count
        self.why = self.why or f'{size} bytes cannot be decoded as {self._type_name:.100}: {why}'


def _aligned_bodies(whole: Bytes, begin: Integers, size: Integers) -> tuple[Bytes, Integers]:
    """Return parts in a new buffer, each at a multiple of eight, and where."""
    room = (size + 7) & -8
    start = np.cumsum(room) - room
    total, first = int(room.sum()), int(begin[0])
    buffer = np.zeros(total + 8, np.uint8)
    if (size == size[0]).all() and (np.diff(begin) == begin[1:2] - begin[0:1]).all():
        width = int(begin[1] - begin[0]) if len(begin) > 1 else int(size[0])
        last = first + width * (len(begin) - 1)
        rows = np.lib.stride_tricks.as_strided(
            whole[first:last + int(size[0])], (len(begin), int(size[0])), (width, 1)
        )
        buffer[:total].reshape(len(begin), int(room[0]))[:, :int(size[0])] = rows
    else:
        for place, source, length in zip(
            start.tolist(), begin.tolist(), size.tolist(), strict=True
        ):
            buffer[place:place + length] = whole[source:source + length]
    return buffer, start


class _BadError(Exception):
    """Some messages do not fit the definition: `owners` says which, maybe several times."""

    def __init__(self, owners: Integers, what: str) -> None:
        super().__init__(what)
        self.owners = owners
        self.what = what


class _Places:
    """
    Where to read on, in each message, or in each element of lists.

    Attributes:
        at: The position in the buffer.
        end: Where the message ends.
        owner: Which message it is.

    """

    def __init__(self, at: Integers, end: Integers, owner: Integers) -> None:
        self.at = at
        self.end = end
        self.owner = owner

    def align(self, width: int) -> None:
        if width > 1:
            self.at = (self.at + (width - 1)) & -width

    def need(self, size: Integers | int, path: str) -> None:
        """Raise `_BadError` for those messages that have not so many bytes left."""
        is_short = self.at + size > self.end
        if is_short.any():
            self.refuse(is_short, f'it ends within {path}')

    def refuse(self, which: Any, what: str) -> NoReturn:  # noqa: ANN401 - a mask
        raise _BadError(self.owner[which], what)


class _Walk:
    """
    Reads field after field.

    Every message begins at a multiple of eight in the buffer: so numbers are aligned in it.
    """

    def __init__(self, buffer: Bytes, order: str, skipper: Skipper) -> None:
        self._buffer = buffer
        self._order = order
        self._skipper = skipper
        self._bytes = memoryview(buffer)  # type: ignore[arg-type]

    def read(self, node: Node, places: _Places, path: str) -> Column:
        """Read a node at all places, and move them behind it."""
        if isinstance(node, Number):
            return Numbers(self._numbers(node, places, path))
        if isinstance(node, Struct):
            prefix = f'{path}.' if path else ''
            fields = {
                name: self.read(field, places, prefix + name) for name, field in node.fields
            }
            return Structs(fields)
        if isinstance(node, Text):
            return self._wide_texts(places, path) if node.wide else self._texts(places, path)
        if isinstance(node.element, Number):
            return self._number_lists(node, node.element, places, path)
        return self._lists(node, places, path)

    def _numbers(self, node: Number, places: _Places, path: str) -> Any:  # noqa: ANN401
        width = node.width
        places.align(width)
        places.need(width, path)
        values = self._buffer.view(f'u{width}')[places.at // width]
        places.at = places.at + width
        return self._as_numbers(values, node)

    def _as_numbers(self, words: Any, node: Number) -> Any:  # noqa: ANN401 - of any dtype
        """Return what unsigned words of the buffer mean, in the byte order of this machine."""
        if node.dtype == '?':
            return words != 0
        return words.view(self._order + node.dtype).astype(node.dtype, copy=False)

    def _counts(self, node: Items, places: _Places, path: str) -> Integers:
        if node.count is not None:
            return np.full(len(places.at), min(node.count, 1 << 40), np.int64)
        return np.asarray(self._numbers(Number('u4'), places, path), np.int64)

    def _gather(self, start: Integers, counts: Integers, width: int) -> tuple[Any, Integers]:
        """
        Return parts of the buffer as one array of numbers so wide, and the offsets in it.

        All parts are inside, and begin at a multiple of the width.
        """
        offsets = np.zeros(len(start) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        total = int(offsets[-1])
        words = self._buffer.view(f'u{width}')
        if total * width > _SLICE_BYTES * len(start):
            count = int(counts[0])
            if count * width <= _ROW_BYTES and (counts == count).all():
                return words[(start // width)[:, None] + np.arange(count)].ravel(), offsets
            parts = zip(start.tolist(), (start + width * counts).tolist(), strict=True)
            joined = b''.join([self._bytes[first:last] for first, last in parts])
            return np.frombuffer(joined, words.dtype), offsets
        index = np.repeat(start // width - offsets[:-1], counts) + np.arange(total)
        return words[index], offsets

    def _number_lists(self, node: Items, number: Number, places: _Places, path: str) -> Column:
        width = number.width
        counts = self._counts(node, places, path)
        aligned = (places.at + (width - 1)) & -width
        places.at = np.where(counts > 0, aligned, places.at)
        size = counts * width
        places.need(size, path)
        data, offsets = self._gather(places.at, counts, width)
        places.at = places.at + size
        if node.is_bytes:
            return Texts(data, offsets, is_binary=True)
        return Lists(Numbers(self._as_numbers(data, number)), offsets)

    def _texts(self, places: _Places, path: str) -> Texts:
        length = np.asarray(self._numbers(Number('u4'), places, path), np.int64)
        places.need(length, path)
        last = self._buffer[places.at + np.maximum(length - 1, 0)]
        is_open = (length > 0) & (last != 0)
        if is_open.any():
            places.refuse(is_open, f'the text in {path} has no zero at its end')
        data, offsets = self._gather(places.at, np.maximum(length - 1, 0), 1)
        places.at = places.at + length
        return _valid(data, offsets)

    def _wide_texts(self, places: _Places, path: str) -> Texts:
        units = Items(Number('u4'))
        found = self._number_lists(units, Number('u4'), places, path)
        assert isinstance(found, Lists)
        assert isinstance(found.items, Numbers)
        data = found.items.values.astype('<u2').tobytes()
        cuts = (2 * found.offsets).tolist()
        texts = [
            data[first:last].decode('utf-16-le', 'replace').encode()
            for first, last in pairwise(cuts)
        ]
        return _joined(texts)

    def _lists(self, node: Items, places: _Places, path: str) -> Lists:
        counts = self._counts(node, places, path)
        element = node.element
        is_more = counts > (places.end - places.at) // max(element.min_bytes, 1)
        if is_more.any():
            places.refuse(is_more, f'it ends within {path}')
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        if element.is_fixed:
            starts = self._equal_starts(element, places.at, counts, offsets)
        else:
            starts, is_bad = self._skipper.starts(
                element, self._bytes, self._order, places.at, places.end, counts
            )
            if is_bad.any():
                places.refuse(is_bad, f'it ends within {path}')
        inner = _Places(starts, np.repeat(places.end, counts), np.repeat(places.owner, counts))
        items = self.read(element, inner, f'{path}[]')
        has_some = counts > 0
        places.at = places.at.copy()
        places.at[has_some] = inner.at[offsets[1:][has_some] - 1]
        return Lists(items, offsets)

    def _equal_starts(
        self, element: Node, at: Integers, counts: Integers, offsets: Integers
    ) -> Integers:
        """Return where elements begin whose size depends on nothing but their alignment."""
        number = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], counts)
        starts = np.repeat(at, counts)
        residues = starts & 7
        for residue in np.unique(residues).tolist():
            which = residues == residue
            steps = self._skipper.steps(element, residue)
            starts[which] += steps.at(number[which]) - residue
        return starts


def _valid(data: Bytes, offsets: Integers) -> Texts:
    """Return texts whose bytes are UTF-8; what is not becomes U+FFFD."""
    if (data < 0x80).all():
        return Texts(data, offsets)
    whole, cuts = data.tobytes(), offsets.tolist()
    return _joined([whole[a:b].decode('utf-8', 'replace').encode() for a, b in pairwise(cuts)])


def _joined(texts: Sequence[bytes]) -> Texts:
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.array([len(text) for text in texts], np.int64), out=offsets[1:])
    return Texts(np.frombuffer(b''.join(texts), np.uint8), offsets)
