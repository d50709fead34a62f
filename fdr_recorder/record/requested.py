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
What the configuration asked for by name, and what became of it.

Asked for is what an option names: topics, services and actions, by name or pattern, required
topics, regular expressions and types. `all_topics` and the like name nothing.

The header has the names, as configured and as resolved, without an outcome. While the flight is
recorded the recorder tells what it sees of each: of the outcomes below, the last one counts. Which
topics have messages, only the messages tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
import re
from typing import Final

from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.record.record_parts import TopicActivity
from fdr_recorder.topics.names import (
    compile_pattern,
    has_wildcard,
    owner_of,
    wrong_patterns,
    wrong_regex,
)

NO_PUBLISHER: Final = 'no_publisher'
"""Nothing of that name was published."""
SILENT: Final = 'silent'
"""A publisher was there, never a message."""
FAILED: Final = 'failed'
"""It was published and could not be subscribed to; the alert `topic_failed` says why."""
TYPE_UNKNOWN: Final = 'type_unknown'
"""It was published with a type that is not installed where the recorder runs."""
QOS_INCOMPATIBLE: Final = 'qos_incompatible'
"""It was published with a QoS to which the configured one does not fit."""
RECORDED: Final = 'recorded'
"""At least one message is recorded; it may be in a segment that was dropped."""

WITHDRAWN: Final = 'withdrawn'
"""In a record only: the options do not ask for it any more, so nothing becomes of it."""

OUTCOMES: Final = (
    '', NO_PUBLISHER, SILENT, FAILED, TYPE_UNKNOWN, QOS_INCOMPATIBLE, RECORDED
)  # fmt: skip
"""All outcomes; where several were seen the later one of these counts. An empty one is not known
yet: nothing has been seen of it."""

TYPES: Final = 'topic_types'
REGEX: Final = 'regex'
_OWNERS: Final = {'services': 'service', 'actions': 'action'}


def rank(outcome: str) -> int:
    """Return the place of an outcome in `OUTCOMES`; one of a newer version counts as the least."""
    return OUTCOMES.index(outcome) if outcome in OUTCOMES else 0


def became(
    told: Iterable[RequestedTopic], topics: Iterable[TopicActivity], *, is_over: bool = True
) -> tuple[RequestedTopic, ...]:
    """
    Decide what became of what was asked for.

    This one function serves the recorder, recovery, and readers of flights that were not closed.

    Args:
        told: What headers and `requested_topic` records say, in their order.
        topics: The topics that have messages. Only topic, type and number of records matter.
        is_over: Whether the flight is: then what nothing was seen of had no publisher.

    """
    entries: dict[tuple[str, str], RequestedTopic] = {}
    for item in told:
        key = item.option, item.topic
        if item.outcome == WITHDRAWN:
            entries.pop(key, None)
            continue
        known = entries.get(key)
        if known is None or rank(item.outcome) > rank(known.outcome):
            entries[key] = item
    heard = _Heard(topics)
    return tuple(_decide(item, heard.count(item), is_over=is_over) for item in entries.values())


class Told:
    """What was told of what the header of a flight asks for, and options since; any thread."""

    def __init__(self, requested: Iterable[RequestedTopic]) -> None:
        """Begin with what the header says."""
        self._entries = {(item.option, item.topic): item for item in requested}
        self._is_over = False

    def note(self, item: RequestedTopic) -> None:
        """Take in what the recorder has seen, unless the flight is over."""
        if self._is_over:
            return
        entries, key = self._entries, (item.option, item.topic)
        known = entries.get(key)
        if item.outcome == WITHDRAWN:
            self._entries = {other: entry for other, entry in entries.items() if other != key}
        elif known is None or rank(item.outcome) > rank(known.outcome):
            self._entries = {**entries, key: item}

    def end(self) -> None:
        """Take in nothing any more: the footer has its size from now on."""
        self._is_over = True

    def became(
        self, topics: Iterable[TopicActivity], *, is_over: bool = True
    ) -> tuple[RequestedTopic, ...]:
        """Return what became of it, as `became` decides."""
        return became(tuple(self._entries.values()), topics, is_over=is_over)


def _decide(item: RequestedTopic, count: int, *, is_over: bool) -> RequestedTopic:
    outcome = RECORDED if count else item.outcome
    return replace(
        item,
        outcome=outcome or (NO_PUBLISHER if is_over else ''),
        topics=max(count, item.topics),
    )


def finder(item: RequestedTopic) -> Callable[[str], bool]:
    """Return what tells whether a name, see `name_of`, is what was asked for."""
    text = item.topic
    if item.option == REGEX:
        search = re.compile('(?!)' if wrong_regex(text) else text).search
        return lambda name: search(name) is not None
    if item.option != TYPES and has_wildcard(text) and not wrong_patterns([text]):
        match = compile_pattern(text).fullmatch
        return lambda name: match(name) is not None
    return text.__eq__


def name_of(option: str, topic: str, type_name: str) -> str:
    """Return what an option names of a topic of a type: topic, service, action or type."""
    if option == TYPES:
        return type_name
    kind, owner = owner_of(topic)
    if option in _OWNERS:
        return owner if _OWNERS[option] == kind else ''
    return owner if option == REGEX else topic


class _Heard:
    """The topics that have messages, by what each option names."""

    def __init__(self, topics: Iterable[TopicActivity]) -> None:
        self._topics = [(item.topic, item.type) for item in topics if item.records > 0]
        self._by_name: dict[str, dict[str, set[str]]] = {}
        """By option and name, the topics."""

    def count(self, item: RequestedTopic) -> int:
        """Count the topics that something stands for which was asked for."""
        named = self._by_name.get(item.option)
        if named is None:
            named = self._by_name[item.option] = {}
            for topic, type_name in self._topics:
                name = name_of(item.option, topic, type_name)
                named.setdefault(name, set()).add(topic)
        if is_plain(item):
            return len(named.get(item.topic, ()))
        finds = finder(item)
        return len(set().union(*(topics for name, topics in named.items() if finds(name))))


def is_topic(item: RequestedTopic) -> bool:
    """Tell whether it is topics that were asked for by name or pattern."""
    return item.option in ('topics', 'required')


def is_plain(item: RequestedTopic) -> bool:
    """Tell whether something that was asked for is one name, neither pattern nor expression."""
    return item.option != REGEX and not has_wildcard(item.topic)
