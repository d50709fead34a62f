# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tables as text: CSV, or JSON with a row in each line."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from json.encoder import encode_basestring
from pathlib import Path
import re
from typing import Any, Final

from fdr_recorder.flights.tables import Rows, Times
from fdr_recorder.types.columns import Column, Lists, Numbers, Structs, Texts
import numpy as np

MAX_TIME_NS: Final = 2**63 - 1
"""The last time of 64 bits with a sign; later ones of a foreign recording are no times."""
OWN_COLUMNS: Final = ('log_time', 'publish_time', 'sequence', 'publisher')
"""What a recording says of each message, besides its fields."""
_TO_QUOTE: Final = re.compile(r'[",\r\n]|^\s|\s$')


def own_names(fields: Sequence[str]) -> list[str]:
    """Return the names of `OWN_COLUMNS`; one that is also a field's gets a `_` in front."""
    return [f'_{name}' if name in fields else name for name in OWN_COLUMNS]


class TextTable:
    """
    A file with a table as text. It is opened for each part of it: there may be many tables.

    Attributes:
        path: Where it is.

    """

    def __init__(self, path: Path) -> None:
        """Create the file, empty."""
        self.path = path
        path.touch(exist_ok=False)

    def _append(self, lines: Iterator[str]) -> None:
        with self.path.open('a', encoding='utf-8', newline='') as file:
            file.writelines(lines)


class JsonTable(TextTable):
    """A JSON object in each line."""

    def write(self, rows: Rows) -> None:
        """Append rows."""
        names = [*own_names(list(rows.columns)), *rows.columns]
        tokens = [
            _times(rows.log_time_ns, '"', 'null'),
            _times(rows.publish_time_ns, '"', 'null'),
            list(map(str, rows.sequence.tolist())),
            ['null' if text is None else encode_basestring(text) for text in rows.publisher],
            *map(json_tokens, rows.columns.values()),
        ]
        template = _object_template(names) + '\n'
        self._append(template % row for row in zip(*tokens, strict=True))


class CsvTable(TextTable):
    """
    A line with the names, then a line for each row.

    Lists are in JSON; what is unknown is empty.
    """

    def write(self, rows: Rows) -> None:
        """Append rows, behind the names if they are the first."""
        if not self.path.stat().st_size:
            names = [*own_names(list(rows.columns)), *rows.columns]
            self._append(iter([','.join(map(_quoted, names)) + '\n']))
        tokens = [
            _times(rows.log_time_ns, '', ''),
            _times(rows.publish_time_ns, '', ''),
            list(map(str, rows.sequence.tolist())),
            [_quoted(text or '') for text in rows.publisher],
            *map(_csv_tokens, rows.columns.values()),
        ]
        self._append(','.join(row) + '\n' for row in zip(*tokens, strict=True))


def _times(times: Times, quote: str, unknown: str) -> list[str]:
    """Return times as ISO 8601 with nanoseconds, in UTC."""
    known = np.minimum(times, np.uint64(MAX_TIME_NS)).astype('datetime64[ns]')
    texts = np.datetime_as_string(known, unit='ns').tolist()
    if (times <= MAX_TIME_NS).all():
        return [f'{quote}{text}Z{quote}' for text in texts]
    return [
        f'{quote}{text}Z{quote}' if time_ns <= MAX_TIME_NS else unknown
        for text, time_ns in zip(texts, times.tolist(), strict=True)
    ]


def _object_template(names: Sequence[str]) -> str:
    """Return a `%` template of a JSON object with these keys."""
    keys = (encode_basestring(name).replace('%', '%%') for name in names)
    return '{' + ', '.join(f'{key}: %s' for key in keys) + '}'


def json_tokens(column: Column) -> list[str]:
    """Return each row of a column in JSON."""
    if isinstance(column, Numbers):
        return _numbers(column.values, {'nan': 'null', 'inf': '"Infinity"', '-inf': '"-Infinity"'})
    if isinstance(column, Texts):
        if column.is_binary:
            return [f'"{text}"' for text in _base64(column)]
        return list(map(encode_basestring, _texts(column)))
    if isinstance(column, Structs):
        template = _object_template(list(column.fields))
        fields = map(json_tokens, column.fields.values())
        return [template % row for row in zip(*fields, strict=True)]
    items = json_tokens(column.items)
    return [f'[{", ".join(items[a:b])}]' for a, b in pairwise(column.offsets.tolist())]


def _csv_tokens(column: Column) -> list[str]:
    if isinstance(column, Numbers):
        return _numbers(column.values, {'nan': 'NaN', 'inf': 'Infinity', '-inf': '-Infinity'})
    if isinstance(column, Texts):
        return _base64(column) if column.is_binary else list(map(_quoted, _texts(column)))
    assert isinstance(column, Lists)
    return list(map(_quoted, json_tokens(column)))


def _numbers(values: Any, odd: dict[str, str]) -> list[str]:  # noqa: ANN401 - an array
    """Return numbers with the fewest digits that identify them."""
    kind = values.dtype.kind
    if kind == 'b':
        return ['true' if value else 'false' for value in values.tolist()]
    if kind != 'f':
        return list(map(str, values.tolist()))
    is_narrow = values.dtype.itemsize < np.dtype(np.float64).itemsize
    # astype(str) takes the digits that identify a float32; those of its float64 are more
    to_text: Callable[[Any], str] = str if is_narrow else repr
    texts = list(map(to_text, values.astype(str) if is_narrow else values.tolist()))
    if np.isfinite(values).all():
        return texts
    return [odd.get(text, text) for text in texts]


def _texts(column: Texts) -> list[str]:
    whole = column.data.tobytes()
    pairs = pairwise(column.offsets.tolist())
    if whole.isascii():
        text = whole.decode('ascii')
        return [text[a:b] for a, b in pairs]
    return [whole[a:b].decode() for a, b in pairs]


def _base64(column: Texts) -> list[str]:
    whole = memoryview(column.data.tobytes())
    return [
        base64.b64encode(whole[a:b]).decode('ascii')
        for a, b in pairwise(column.offsets.tolist())
    ]


def _quoted(text: str) -> str:
    """Return a cell of CSV (RFC 4180)."""
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text
