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
Take messages in JSON of one type apart, as `cdr_to_tables` does with those in CDR.

The schema, a JSON Schema, says which fields there are. It comes from a file and may say anything:
a field whose type it leaves open is the text of its value in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import json
from typing import Any, Final

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.cdr_layout import Items, MAX_DEPTH, MAX_FIELDS, Node, Number, Struct, Text
from fdr_recorder.types.cdr_to_tables import Decoded
from fdr_recorder.types.columns import Column, flattened, Lists, Numbers, Structs, Texts
import numpy as np

JSON_SCHEMA: Final = 'jsonschema'
"""A schema encoding (MCAP registry)."""
_INTEGERS: Final = range(-(1 << 63), 1 << 63)
_BASIC: Final = {'boolean': Number('?'), 'integer': Number('i8'), 'number': Number('f8')}
_MOST_NAMED: Final = 5


class _Open(Text):
    """A value of any type, as text in JSON."""


class _MisfitError(Exception):
    """A message is not as its schema says."""


class JsonTableDecoder:
    """
    Takes the messages of one type apart.

    Attributes:
        layout: What a message consists of.
        refused: How many messages could not be decoded so far.
        why: What was wrong with the first of them.

    """

    def __init__(self, schema: Schema) -> None:
        """
        Prepare for a type.

        Raises:
            RecordError: The schema is missing or unusable, or does not say which fields there are.

        """
        self.refused = 0
        self.why = ''
        self._type_name = schema.name
        self._more: set[str] = set()
        if not schema.definition or schema.encoding != JSON_SCHEMA:
            raise RecordError('messages are in JSON, and no JSON Schema says their fields')
        try:
            said = json.loads(schema.definition)
        except (ValueError, RecursionError):
            raise RecordError('its JSON Schema is no JSON') from None
        self._left = MAX_FIELDS
        layout = self._node(said, 0)
        if not isinstance(layout, Struct):
            raise RecordError('its JSON Schema does not say which fields there are')
        self.layout = layout

    @property
    def note(self) -> str:
        """Say which fields of messages are in no column; empty if none."""
        if not self._more:
            return ''
        names = ', '.join(sorted(self._more)[:_MOST_NAMED])
        return f'its JSON Schema does not name {names:.200}: left out'

    def decode(self, messages: Sequence[bytes]) -> Iterator[Decoded]:
        """Yield their fields as columns; a message that does not fit is left out, and counted."""
        rows, values = [], []
        for row, data in enumerate(messages):
            try:
                values.append(self._taken(self.layout, json.loads(data), ''))
            except (ValueError, RecursionError):
                self._refuse(f'{len(data)} bytes are no JSON')
            except _MisfitError as error:
                self._refuse(f'one does not fit {self._type_name:.100}: {error}')
            else:
                rows.append(row)
        if rows:
            column = _column(self.layout, values)
            assert isinstance(column, Structs)
            yield Decoded(np.array(rows, np.int64), dict(flattened(column.fields)))

    def _refuse(self, why: str) -> None:
        self.refused += 1
        self.why = self.why or why

    def _node(self, said: object, depth: int) -> Node:
        """Return what values consist of that a schema describes."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise RecordError('its JSON Schema has too many fields')
        kind = said.get('type') if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(kind, str):
            return _Open()
        properties = said.get('properties')
        if kind == 'object' and isinstance(properties, dict) and properties:
            nodes = {name: self._node(inner, depth + 1) for name, inner in properties.items()}
            return Struct(tuple(nodes.items()))
        if kind == 'array':
            return Items(self._node(said.get('items'), depth + 1))
        return Text() if kind == 'string' else _BASIC.get(kind, _Open())

    def _taken(self, node: Node, value: Any, path: str) -> Any:  # noqa: ANN401 - of JSON
        """Return a value as its column takes it; raise `_MisfitError` if it is another."""
        if isinstance(node, _Open):
            return json.dumps(value)
        if isinstance(node, Struct) and isinstance(value, dict):
            fields = dict(node.fields)
            if len(self._more) < MAX_FIELDS:
                self._more.update(f'{path}{name}' for name in value.keys() - fields.keys())
            return {
                name: self._taken(inner, value.get(name), f'{path}{name}.')
                for name, inner in fields.items()
            }
        if isinstance(node, Items) and isinstance(value, list):
            return [self._taken(node.element, item, f'{path[:-1]}[].') for item in value]
        if isinstance(node, Text) and isinstance(value, str):
            return value
        if isinstance(node, Number):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if node.dtype == '?' and isinstance(value, bool):
                return value
            if node.dtype == 'i8' and is_number and value in _INTEGERS:
                return int(value)
            if node.dtype == 'f8' and (is_number or value is None):
                return np.nan if value is None else _as_float(value)
        what = 'is missing' if value is None else f'is {json.dumps(value):.40}'
        raise _MisfitError(f'{path[:-1] or "it"} {what}')


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _MisfitError('a number is too large') from None


def _column(node: Node, values: list[Any]) -> Column:
    if isinstance(node, Number):
        return Numbers(np.array(values, node.dtype))
    if isinstance(node, Struct):
        return Structs(
            {name: _column(inner, [item[name] for item in values]) for name, inner in node.fields}
        )
    if isinstance(node, Items):
        items = [item for value in values for item in value]
        return Lists(_column(node.element, items), _offsets(values))
    texts = [text.encode('utf-8', 'replace') for text in values]
    return Texts(np.frombuffer(b''.join(texts), np.uint8), _offsets(texts))


def _offsets(parts: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401 - an array
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)
