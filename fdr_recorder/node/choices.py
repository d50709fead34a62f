# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is to be recorded is changed while the recorder runs: from the parameters to the watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
import threading
from typing import Final

from fdr_recorder.clock import steady_now
from fdr_recorder.config import FdrConfig
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.node.wanted_topics import WantedTopics
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import ConfigChange
from fdr_recorder.record.record_parts import ChangedTopic
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.topics.names import TopicType

PATIENCE_S: Final = 2.0
"""So long a change of parameters waits until it takes effect."""
MOST_MADE: Final = 100
"""So many choices of a flight are remembered, the latest."""


@dataclass(frozen=True)
class Choice:
    """
    A configuration that is to take effect.

    Attributes:
        config: The whole of it.
        changes: What has changed.
        is_made: Set once it has taken effect.

    """

    config: FdrConfig
    changes: Sequence[ConfigChange]
    is_made: threading.Event = field(default_factory=threading.Event)

    def join(self, earlier: Choice | None) -> Choice:
        """Return this one with the changes of an earlier one that has not taken effect."""
        if earlier is None or earlier.is_made.is_set():
            return self
        return replace(self, changes=[*earlier.changes, *self.changes])

    def told(self, begun: Iterable[str], ended: Iterable[str]) -> list[ConfigChange]:
        """Return the records of the changes, given topics that begin and end with them."""
        changed = [ChangedTopic(topic=topic, is_recorded=True) for topic in sorted({*begun})]
        changed += [ChangedTopic(topic=topic) for topic in sorted({*ended})]
        last = replace(self.changes[-1], topics=tuple(changed), changed_ns=steady_now())
        return [*self.changes[:-1], last]


class Made:
    """
    The choices that were made in the open flight, for topics that appear only later.

    What was not asked for before a choice was not silent before it. One thread.
    """

    def __init__(self, writer: FileFdrWriter) -> None:
        """Begin without a choice."""
        self._writer = writer
        self._flight_id: str | None = None
        self._made: deque[tuple[WantedTopics, ConfigChange]] = deque(maxlen=MOST_MADE)

    def note(self, before: WantedTopics, changes: Sequence[ConfigChange]) -> None:
        """Tell the open flight of a choice, given what was wanted before."""
        if self._writer.open_flight_id != self._flight_id:
            self._flight_id = self._writer.open_flight_id
            self._made.clear()
        self._made.append((before, changes[-1]))
        for change in changes:
            self._writer.emit(change)

    def find(self, key: TopicType) -> None:
        """Tell the flight, if a topic that has appeared is wanted since one of the choices."""
        if not self._made or self._writer.open_flight_id != self._flight_id:
            return
        for before, change in reversed(self._made):
            if any(item.topic == key.topic for item in change.topics):
                return
            if not before.wants(*key):
                topics = (ChangedTopic(topic=key.topic, is_recorded=True),)
                self._writer.emit(replace(change, before=change.after, topics=topics))
                return


class Choices:
    """Hands configurations to the graph watch, and wakes it."""

    def __init__(self) -> None:
        """Begin without one."""
        self._next: Choice | None = None
        self._woken = threading.Event()

    def make(self, config: FdrConfig, changes: Sequence[ConfigChange]) -> None:
        """Have a configuration take effect; wait for that, though not for ever. One thread."""
        self._next = choice = Choice(config, changes).join(self._next)
        self._woken.set()
        choice.is_made.wait(PATIENCE_S)

    def take(self) -> Choice | None:
        """Return the configuration that is to take effect; None without a new one."""
        choice, self._next = self._next, None
        return choice

    def wake(self) -> None:
        """End `wait`."""
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Wait for a configuration, at most for so long."""
        if self._woken.wait(seconds):
            self._woken.clear()


def compare(
    plans: Mapping[str, Mapping[str, TopicPlan]], wanted: WantedTopics, own_topic: str
) -> tuple[list[TopicPlan], list[TopicPlan]]:
    """Return the plans of topics that are not wanted any more, and those with another rate."""
    gone, limited = [], []
    for plan in (plan for types in plans.values() for plan in types.values()):
        if plan.name == own_topic:
            continue
        if not wanted.wants(*plan.key):
            gone.append(plan)
        elif plan.max_rate_hz != wanted.max_rate(plan.name):
            limited.append(replace(plan, max_rate_hz=wanted.max_rate(plan.name)))
    return gone, limited
