# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Names of topics, wildcards in them, and the hidden topics of services and actions."""

from __future__ import annotations

from collections.abc import Iterable
import re
from typing import Final, NamedTuple

OWN_NAMESPACE: Final = '/fdr/'
"""Reserved for the recorder's own records."""

PARAMETER_EVENTS: Final = '/parameter_events'
"""All nodes tell changes of their parameters here."""

SERVICE_EVENTS: Final = '/_service_event'
ACTION_TOPICS: Final = (
    '/_action/send_goal/_service_event',
    '/_action/get_result/_service_event',
    '/_action/cancel_goal/_service_event',
    '/_action/feedback',
    '/_action/status',
)
"""Follow an action's name in its topics; `_service_event` needs introspection to be on."""

MAX_NAME: Final = 247
"""Characters of a name; the client library refuses longer ones."""

_NAME: Final = r'(?:~?/)?[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*'
_PATTERN: Final = r'(?:~?/)?[A-Za-z_*?][A-Za-z0-9_*?]*(?:/[A-Za-z_*?][A-Za-z0-9_*?]*)*'
_TYPE: Final = r'(?a)[A-Za-z]\w*/(?:msg|srv|action)/[A-Za-z]\w*'
_WILDCARD: Final = r'((?<=/)\*\*/|\*\*|\*|\?)'
_MEANING: Final = {'**/': '(?:.+/)?', '**': '.*', '*': '[^/]*', '?': '[^/]'}


class TopicType(NamedTuple):
    """
    A topic in one type: publishers of a topic may have different ones.

    Attributes:
        topic: Fully qualified name.
        type_name: Full name of the type of its messages.

    """

    topic: str
    type_name: str


def has_wildcard(pattern: str) -> bool:
    """Tell whether a pattern may match more than one name."""
    return '*' in pattern or '?' in pattern


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """
    Compile a pattern of topic names; use `fullmatch`.

    `?` is one character, `*` any number of them, both within a part of the name: never `/`. `**`
    is any number of characters, `/` among them; `/**/` is also one `/`. All others are themselves.
    """
    parts = re.split(_WILDCARD, pattern)
    return re.compile(''.join(_MEANING.get(part) or re.escape(part) for part in parts))


def absolute(name: str, namespace: str, node_name: str) -> str:
    """Resolve a name or pattern as ROS does, without remapping; `node_name` is the full name."""
    if name.startswith('/'):
        return name
    if name.startswith('~/'):
        return node_name + name[1:]
    return f'{namespace.rstrip("/")}/{name}'


def is_hidden(name: str) -> bool:
    """Tell whether a part of the name begins with `_`, which hides a topic."""
    return '/_' in name or name.startswith('_')


def owner_of(topic: str) -> tuple[str, str]:
    """Return `topic`, `service` or `action`, and the name of the one that a topic belongs to."""
    for suffix in ACTION_TOPICS:
        if topic.endswith(suffix):
            return 'action', topic[: -len(suffix)]
    if topic.endswith(SERVICE_EVENTS):
        return 'service', topic[: -len(SERVICE_EVENTS)]
    return 'topic', topic


# --- checks of options: what is wrong with the text; empty if it is valid ----------------------


def wrong_names(names: Iterable[str]) -> str:
    """Check names of topics without wildcards."""
    return _wrong(names, _NAME, 'not a topic name')


def wrong_name(name: str) -> str:
    """Check one name of a topic without wildcards."""
    return wrong_names([name])


def wrong_patterns(patterns: Iterable[str]) -> str:
    """Check names of topics, services or actions that may have wildcards."""
    return _wrong(patterns, _PATTERN, 'not a topic name, with or without the wildcards * and ?')


def wrong_types(names: Iterable[str]) -> str:
    """Check names of types."""
    return _wrong(names, _TYPE, 'not a type name like sensor_msgs/msg/Imu')


def wrong_regex(text: str) -> str:
    """Check a regular expression."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f'{text[:80]!r} is not a regular expression: {error}'
    return ''


def _wrong(names: Iterable[str], syntax: str, what: str) -> str:
    names = [*names]
    wrong = [name for name in names if not re.fullmatch(syntax, name)]
    if wrong:
        return f'{", ".join(map(repr, wrong))}: {what}'
    long = [f'{name[:40]}...' for name in names if len(name) > MAX_NAME]
    return f'{", ".join(long)}: a name has at most {MAX_NAME} characters' if long else ''
