# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the options ask for by name, and what the graph shows of it while a flight is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
import threading

from fdr_recorder.config import FdrConfig
from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.record.requested import (
    finder,
    is_plain,
    is_topic,
    name_of,
    rank,
    REGEX,
    SILENT,
    TYPES,
    WITHDRAWN,
)
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.topics.names import has_wildcard

Graph = Mapping[str, Sequence[str]]
"""Types by topic."""


def requested_topics(
    config: FdrConfig, absolute: Callable[[str], str], resolve: Callable[[str], str]
) -> tuple[RequestedTopic, ...]:
    """
    Return what the options name: topics, services and actions, patterns, an expression, types.

    Args:
        config: The options.
        absolute: Resolves a name or pattern to one with a leading `/`.
        resolve: Remaps the name of a topic.

    """
    found: dict[tuple[str, str], RequestedTopic] = {}
    names: dict[str, Sequence[str]] = {
        'required': tuple(config.stale_times()),
        'topics': config.topics,
        'services': config.services,
        'actions': config.actions,
    }
    for option, entries in names.items():
        for name in entries:
            topic, kind = absolute(name), option
            if option in ('required', 'topics'):  # one entry for a topic that both name
                topic, kind = topic if has_wildcard(topic) else resolve(topic), 'topics'
            item = RequestedTopic(name=name, option=option, topic=topic)
            found.setdefault((kind, topic), item)
    if config.regex:
        item = RequestedTopic(name=config.regex, option=REGEX, topic=config.regex)
        found[REGEX, config.regex] = item
    for name in config.topic_types:
        found[TYPES, name] = RequestedTopic(name=name, option=TYPES, topic=name)
    return tuple(found.values())


class RequestedTopics:
    """
    Tells the writer what is seen of what was asked for; whether it has messages, it knows itself.

    `look` is called by the graph watch's thread, and by the node's executor when a flight begins
    and ends.
    """

    def __init__(self, requested: Sequence[RequestedTopic], writer: FileFdrWriter) -> None:
        """Begin without a flight."""
        self._requested = requested
        self._writer = writer
        self._finders = {id(item): finder(item) for item in requested}
        self._lock = threading.Lock()
        self._flight_id: str | None = None
        self._told: dict[int, str] = {}
        """By entry, the outcome that the open flight was told of."""
        self._faults: Mapping[str, str] = {}
        self._graph: Graph = {}
        self._found: dict[int, list[str]] = {}
        """By entry, its topics in the graph that was looked at last."""

    def look(
        self, graph: Graph, is_published: Callable[[str], bool], faults: Mapping[str, str]
    ) -> None:
        """
        Tell the open flight, if there is one, what has changed.

        Args:
            graph: The topics of the graph.
            is_published: Tells whether a topic is to be recorded and has a publisher.
            faults: Outcomes of published topics that cannot be recorded.

        """
        flight_id = self._writer.open_flight_id
        if flight_id is None:
            return
        with self._lock:
            if flight_id != self._flight_id:
                self._flight_id, self._told, self._faults = flight_id, {}, {}
            if graph is not self._graph:
                self._graph, self._found = graph, {}
            for item in self._requested:
                if id(item) not in self._told and any(map(is_published, self._topics(item))):
                    self._tell(item, SILENT)
            if faults != self._faults:
                self._faults = faults
                for topic, outcome in faults.items():
                    for item in self._naming(topic):
                        self._tell(item, outcome)

    def change(self, requested: Sequence[RequestedTopic]) -> None:
        """Take what other options ask for; tell the open flight, if there is one."""
        with self._lock:
            before = {(item.option, item.topic): item for item in self._requested}
            after = {(item.option, item.topic): item for item in requested}
            for key in before.keys() - after.keys():
                self._told.pop(id(before[key]), None)
                self._writer.emit(replace(before[key], outcome=WITHDRAWN))
            for key in after.keys() - before.keys():
                self._writer.emit(after[key])
            self._requested = [before.get(key, item) for key, item in after.items()]
            self._finders = {id(item): finder(item) for item in self._requested}
            self._found, self._faults = {}, {}

    def _tell(self, item: RequestedTopic, outcome: str) -> None:
        if rank(outcome) > rank(self._told.get(id(item), '')):
            self._told[id(item)] = outcome
            self._writer.emit(replace(item, outcome=outcome))

    def _topics(self, item: RequestedTopic) -> list[str]:
        """Return the topics that an entry stands for, as far as the graph has them."""
        if is_plain(item) and is_topic(item):
            return [item.topic]
        found = self._found.get(id(item))
        if found is None:
            found = [topic for topic in self._graph if self._names(item, topic)]
            self._found[id(item)] = found
        return found

    def _naming(self, topic: str) -> Iterator[RequestedTopic]:
        return (item for item in self._requested if self._names(item, topic))

    def _names(self, item: RequestedTopic, topic: str) -> bool:
        finds = self._finders[id(item)]
        types = self._graph.get(topic) or ('',)
        return any(finds(name_of(item.option, topic, type_name)) for type_name in types)
