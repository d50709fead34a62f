# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Decides which topics of the ROS graph are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import re

from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.topics.config import TopicConfig
from fdr_recorder.topics.names import (
    compile_pattern,
    has_wildcard,
    is_hidden,
    OWN_NAMESPACE,
    owner_of,
    PARAMETER_EVENTS,
)


class TopicSelection:
    """
    Decides, by name and type, which topics are wanted.

    Attributes:
        required: Seconds after which each required topic is stale, by name.
        names: The topics that the options name without wildcards, required ones first.
        is_open: Whether other topics may be recorded when they appear.

    """

    def __init__(self, config: TopicConfig, absolute: Callable[[str], str] = str) -> None:
        """
        Compile the options; `absolute` resolves a name or pattern to one with a leading `/`.

        Raises:
            ConfigInvalidError: An option has two values for one topic, by two names for it.

        """
        _refuse_contradictions(config, absolute)
        self._config = config
        self.required = {absolute(name): after for name, after in config.stale_times().items()}
        self._exclude = _Patterns(map(absolute, config.exclude), finds_hidden=True)
        finds_hidden = config.include_hidden_topics
        self._topics = _Patterns(map(absolute, config.topics), finds_hidden=finds_hidden)
        self._owners = {  # the part that hides their topics is not in their name
            'service': _Patterns(map(absolute, config.services), finds_hidden=True),
            'action': _Patterns(map(absolute, config.actions), finds_hidden=True),
        }
        self._all_owners = {'service': config.all_services, 'action': config.all_actions}
        self._regex = _searcher(config.regex)
        self._exclude_regex = _searcher(config.exclude_regex)
        rates = [
            (_Patterns([absolute(entry.partition('=')[0])], finds_hidden=finds_hidden), entry)
            for entry in config.max_rate
        ]
        rates.sort(key=_has_pattern)  # names first, else in the order of the option
        self._rates = [(patterns.find, rule) for patterns, rule in rates]
        own = (PARAMETER_EVENTS,) if config.record_parameters else ()
        self.names = tuple(
            name
            for name in dict.fromkeys((*self.required, *self._topics.names, *own))
            if not name.startswith(OWN_NAMESPACE)
            and (name in self.required or not self.excludes(name))
        )
        self.is_open = bool(
            self._topics.patterns
            or config.regex
            or config.topic_types
            or config.all_topics
            or config.services
            or config.all_services
            or config.actions
            or config.all_actions
        )

    def wants(self, topic: str, type_name: str) -> bool:
        """Tell whether a topic (its absolute name) of a type (its full name) is recorded."""
        if topic.startswith(OWN_NAMESPACE):
            return False
        if topic in self.required:
            return True
        if self.excludes(topic) or type_name in self._config.exclude_topic_types:
            return False
        if self._topics.find(topic) or topic in self.names:
            return True
        kind, owner = owner_of(topic)
        if kind == 'topic':
            return (self._config.include_hidden_topics or not is_hidden(topic)) and (
                self._config.all_topics
                or type_name in self._config.topic_types
                or self._regex(topic)
            )
        return self._all_owners[kind] or self._owners[kind].find(owner) or self._regex(owner)

    def max_rate(self, topic: str) -> float:
        """Return at how many messages a second to record a topic at most; 0 for all."""
        _, _, rate_hz = self.rate_rule(topic).partition('=')
        return float(rate_hz or 0)

    def rate_rule(self, topic: str) -> str:
        """Return the entry of `max_rate` that counts for a topic; empty if there is none."""
        if topic.startswith(OWN_NAMESPACE):
            return ''
        return next((rule for finds, rule in self._rates if finds(topic)), '')

    def excludes(self, topic: str) -> bool:
        """Tell whether a topic is excluded; a required topic is recorded all the same."""
        _, owner = owner_of(topic)
        return any(map(self._exclude.find, (topic, owner))) or self._exclude_regex(owner)


class _Patterns:
    """Names and patterns of one option."""

    def __init__(self, entries: Iterable[str], *, finds_hidden: bool) -> None:
        entries = tuple(entries)
        self.names = tuple(entry for entry in entries if not has_wildcard(entry))
        self.patterns = tuple(entry for entry in entries if has_wildcard(entry))
        self._names = frozenset(self.names)
        self._matches = [
            (finds_hidden or is_hidden(pattern), compile_pattern(pattern).fullmatch)
            for pattern in self.patterns
        ]

    def find(self, name: str) -> bool:
        """Tell whether one of them equals or matches the name."""
        return name in self._names or any(
            match(name) is not None
            for may_be_hidden, match in self._matches
            if may_be_hidden or not is_hidden(name)
        )


def _refuse_contradictions(config: TopicConfig, absolute: Callable[[str], str]) -> None:
    mistakes = []
    for option, noun in (('max_rate', 'rates'), ('required', 'times')):
        seen: dict[str, str] = {}
        for entry in getattr(config, option):
            name, _, value = entry.partition('=')
            other = seen.setdefault(absolute(name), entry)
            if other.partition('=')[2] != value:
                mistakes.append(
                    f'{option}: {other} and {entry}: {absolute(name)} has two {noun}; which one '
                    'is meant?'
                )
    if mistakes:
        raise ConfigInvalidError(mistakes)


def _has_pattern(entry: tuple[_Patterns, str]) -> bool:
    return bool(entry[0].patterns)


def _searcher(regex: str) -> Callable[[str], bool]:
    """Return a search for an expression in a name; an empty expression finds nothing."""
    if not regex:
        return lambda _: False
    search = re.compile(regex).search
    return lambda name: search(name) is not None
