# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""HTML elements. All text is escaped, so that nothing in a recording can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_CONTROLS: Final = dict.fromkeys(set(range(32)) - set(b'\t\n'), '\N{REPLACEMENT CHARACTER}')
_VOID: Final = frozenset(('br', 'meta', 'input', 'link', 'hr', 'img'))


class Html(str):
    """Markup, which is not escaped again. Made by `h`."""

    __slots__ = ()


Child = str | int | None | Iterable['Child']
Attribute = str | int | float | bool | None


def text(value: object) -> Html:
    """Escape a value."""
    return Html(escape(str(value).translate(_CONTROLS)))


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if isinstance(child, Html):
            yield child
        elif isinstance(child, (str, int)):
            yield text(child)
        elif child is not None:
            yield from _flat(child)


def path(name: str) -> Html:
    """Escape a name with slashes; a line may break after each."""
    return Html(text(name).replace('/', '/<wbr>'))


def h(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """
    Return an element.

    Args:
        name: The tag.
        children: Elements, text (which is escaped), or lists of these; None is left out.
        attributes: `class_` is class, `data_x` is data-x. True gives an attribute without a
            value; None and False leave it out.

    """
    parts = [f'<{name}']
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.removesuffix('_').replace('_', '-')
        parts.append(f' {key}' if value is True else f' {key}="{text(value)}"')
    parts.append('>')
    if name not in _VOID:
        parts += (*_flat(children), f'</{name}>')
    return Html(''.join(parts))


def table(titles: Sequence[str], rows: Iterable[Child], **attributes: Attribute) -> Html:
    """Return a table; its rows are elements."""
    head = h('tr', [h('th', title) for title in titles])
    return h('table', h('thead', head), h('tbody', rows), **attributes)


def fact_list(facts: Iterable[tuple[str, Child]], **attributes: Attribute) -> Html:
    """Return facts and their names."""
    rows = [h('div', h('dt', name), h('dd', value)) for name, value in facts]
    return h('dl', rows, **attributes)
