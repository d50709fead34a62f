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
Conditions on topics: `/battery_state: voltage < 14.2`.

A condition is a topic, a field of its messages, an operator and a value. It is only read here, and
nothing of it is ever run; `fdr_recorder.node.condition` watches the topic.
"""

from __future__ import annotations

from collections.abc import Iterable
import re
from typing import Final

from fdr_recorder.errors import ConditionError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.names import wrong_name

EXAMPLE: Final = "'/battery_state: voltage < 14.2'"
MAX_HELD_S: Final = 3600.0
MAX_LENGTH: Final = 500

_SPACE: Final = r'\s*'
_STEP: Final = r'(?a)\.?([A-Za-z]\w*)|\[(\d{1,9})\]'
_OPERATOR: Final = '<=|>=|==|!=|<|>'
_NUMBER: Final = (
    r'(?a)[+-]?(?:0[xX][0-9A-Fa-f]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])'
)
_WORD: Final = r'(?a)[A-Za-z]\w*'
_TEXT: Final = r"'([^']*)'|\"([^\"]*)\""
_HELD: Final = r'(?a)for\s+(\d+\.?\d*|\.\d+)\s*s(?!\w)'


@dataclass(frozen=True)
class Constant:
    """The name of a constant of the message type, such as `ARMING_STATE_ARMED`."""

    name: str


Value = bool | int | float | str | Constant


@dataclass(frozen=True)
class Condition:
    """
    A condition on the messages of one topic.

    Attributes:
        text: The condition as it was written.
        topic: Name of the topic, perhaps relative.
        path: The way to the field: names of fields, and indices into arrays.
        operator: One of `<`, `<=`, `>`, `>=`, `==`, `!=`.
        value: What the field is compared with.
        held_s: How long the condition must hold (or not hold) before that is believed; None if
            the text does not say. Seconds.

    """

    text: str
    topic: str
    path: tuple[str | int, ...]
    operator: str
    value: Value
    held_s: float | None = None

    @property
    def field(self) -> str:
        """Return the path as text: `status[0].level`."""
        return path_text(self.path)


def path_text(path: Iterable[str | int]) -> str:
    """Return the way to a field as text: `status[0].level`."""
    parts = (f'[{part}]' if isinstance(part, int) else f'.{part}' for part in path)
    return ''.join(parts).lstrip('.')


def parse_condition(text: str) -> Condition:
    """
    Read a condition: `TOPIC: FIELD OPERATOR VALUE`, perhaps with `for N s` at its end.

    Raises:
        ConditionError: It is not one; the message says what is wrong, and how to write it.

    Example:
        >>> parse_condition('/rc/channels: data[4] > 1500 for 0.5 s').path
        ('data', 4)

    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f'{text[:40]}...', f'it has more than {MAX_LENGTH} characters')
    topic, colon, rest = text.partition(':')
    topic = topic.strip()
    if not colon:
        raise ConditionError(text, f'it has no colon after the topic; write it like {EXAMPLE}')
    if wrong := wrong_name(topic):
        raise ConditionError(text, f'{wrong}; write it like {EXAMPLE}')
    return _Parser(text, rest).condition(topic)


def wrong_conditions(texts: Iterable[str]) -> str:
    """Check conditions; return what is wrong, empty if they are valid."""
    wrong = []
    for text in texts:
        try:
            parse_condition(text)
        except ConditionError as error:
            wrong.append(str(error))
    return '; '.join(wrong)


class _Parser:
    """Reads what comes after the topic, from left to right."""

    def __init__(self, text: str, rest: str) -> None:
        self._text = text
        self._rest = rest

    def condition(self, topic: str) -> Condition:
        path = self._path()
        found = self._take(_OPERATOR)
        if found is None:
            raise self._error(
                f'after {path_text(path)} must come <, <=, >, >=, == or !=', self._next()
            )
        operator, value = found.group(), self._value()
        held = self._take(_HELD)
        held_s = None if held is None else float(held.group(1))
        if held_s is not None and held_s > MAX_HELD_S:
            raise self._error(f'for {held_s:g} s: at most {MAX_HELD_S:g} s', '')
        self._skip()
        if self._rest:
            raise self._error(
                'one comparison is all; after the value may only come `for N s`', self._next()
            )
        return Condition(self._text, topic, path, operator, value, held_s)

    def _path(self) -> tuple[str | int, ...]:
        self._skip()
        path: list[str | int] = []
        while (found := re.match(_STEP, self._rest)) is not None:
            name, index = found.groups()
            is_dotted = self._rest.startswith('.')
            if (name is None and not path) or (name is not None and is_dotted != bool(path)):
                break
            path.append(int(index) if name is None else name)
            self._rest = self._rest[found.end():]
        if not path:
            raise self._error('after the topic must come a field, such as voltage', self._next())
        if self._rest[:1] in {'.', '['}:
            raise self._error(
                f'after {path_text(path)} must come .name or [index]', self._next()
            )
        return tuple(path)

    def _value(self) -> Value:
        if (found := self._take(_TEXT)) is not None:
            return str(found.group(1) if found.group(1) is not None else found.group(2))
        if (found := self._take(_NUMBER)) is not None:
            return _number(found.group())
        if (found := self._take(_WORD)) is not None:
            word = found.group()
            return {'true': True, 'false': False}.get(word.lower(), Constant(word))
        raise self._error(
            'after the operator must come a number, true, false, a text in quotes or a constant '
            'of the message type',
            self._next(),
        )

    def _take(self, pattern: str) -> re.Match[str] | None:
        """Take what matches at the beginning of the rest, spaces left aside."""
        self._skip()
        found = re.match(pattern, self._rest)
        if found is not None:
            self._rest = self._rest[found.end():]
        return found

    def _skip(self) -> None:
        found = re.match(_SPACE, self._rest)
        assert found is not None
        self._rest = self._rest[found.end():]

    def _next(self) -> str:
        return self._rest[:20] or 'the end'

    def _error(self, what: str, found: str) -> ConditionError:
        return ConditionError(self._text, f'{what}, not {found!r}' if found else what)


def _number(text: str) -> int | float:
    if 'x' in text.lower():
        return int(text, 16)
    return int(text) if text.lstrip('+-').isdigit() else float(text)
