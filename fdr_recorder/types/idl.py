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
IDL as `rosidl` writes it, made plain: the structures alone.

Comments, annotations, includes and constants do not change what is on the wire, and `rosbags`
takes long for them, or does not know them.
"""

from __future__ import annotations

import re
from typing import Final

_NOISE: Final = re.compile(r'//|/\*|"|^[ \t]*#|@[A-Za-z_][\w:]*[ \t\r\n]*|\bconst\b', re.MULTILINE)
_PARENTHESIS: Final = re.compile(r'[()"]')
_SEMICOLON: Final = re.compile(r'[;"]')
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_EMPTY_MODULE: Final = re.compile(r'\bmodule\s+\w+\s*\{\s*\}\s*;')
_DEEPEST: Final = 8


def plain_idl(text: str) -> str:
    """Return IDL without what does not matter on the wire; takes time in proportion to it."""
    kept = []
    position = 0
    while match := _NOISE.search(text, position):
        kept.append(text[position:match.start()])
        position = _end_of_noise(text, match)
    plain = ''.join((*kept, text[position:]))
    for _ in range(_DEEPEST):  # of modules that had constants alone
        shorter = _EMPTY_MODULE.sub('', plain)
        if shorter == plain:
            break
        plain = shorter
    return plain


def _end_of_noise(text: str, match: re.Match[str]) -> int:
    """Return where what begins like that ends."""
    found = match[0]
    if found == '/*':
        return _behind(text, '*/', match.end())
    if found == 'const':
        return _end_of(text, _SEMICOLON, match.end(), depth=1)
    if found == '"':
        return _end_of_string(text, match.start())
    if found.startswith('@'):
        is_called = text.startswith('(', match.end())
        return _end_of(text, _PARENTHESIS, match.end(), depth=0) if is_called else match.end()
    return _behind(text, '\n', match.end())


def _behind(text: str, end: str, position: int) -> int:
    place = text.find(end, position)
    return len(text) if place < 0 else place + len(end)


def _end_of(text: str, signs: re.Pattern[str], position: int, *, depth: int) -> int:
    """Return where so many parentheses, or a statement, are closed; strings are passed over."""
    while match := signs.search(text, position):
        position = match.end()
        if match[0] == '"':
            position = _end_of_string(text, match.start())
            continue
        depth += 1 if match[0] == '(' else -1
        if not depth:
            return position
    return len(text)


def _end_of_string(text: str, position: int) -> int:
    string = _STRING.match(text, position)
    return string.end() if string else position + 1
