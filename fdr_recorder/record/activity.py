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
How long topics were silent: the longest time without a message, and when it began.

It is measured in log times, from the flight's start to its end: before the first message and after
the last, too. What is shorter than `SHORTEST_SILENCE_NS` is no silence. Of latched topics none is
measured: their last message stands until the next.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from fdr_recorder.record.kinds import ConfigChange
from fdr_recorder.record.record_parts import TopicActivity

SHORTEST_SILENCE_NS: Final = 1_000_000_000
"""Shorter than that is no silence: so a batch of messages, which the writer takes from a ring some
times a second, is looked into only if it is this long itself."""

_KEPT: Final = 8
"""So many silences are kept of a topic, the longest: one may end up shorter, see `Activity`."""
_MOST_AWAY: Final = 100
"""So many times in which a topic was not to be recorded are kept, the latest."""
_MAX_NS: Final = (1 << 63) - 1

_Span = tuple[int, int]


class Activity:
    """
    When one topic, in one type, was silent.

    A topic may have several publishers, whose messages come batch by batch from one ring after
    the other: a batch may be older than one before it, and divide what had seemed a silence.

    Attributes:
        latest_ns: Log time of the newest message; the flight's start before there is one.
        is_latched: Whether no silence is measured.
        records: Messages of the topic that are counted elsewhere already.

    """

    __slots__ = ('_away', '_silences', '_silent_until_ns', 'is_latched', 'latest_ns', 'records')

    def __init__(self, began_ns: int, *, is_latched: bool = False) -> None:
        """Begin without a message at the log time at which the flight began."""
        self.latest_ns = began_ns
        self.is_latched = is_latched
        self.records = 0
        self._silences: list[_Span] = []
        self._silent_until_ns = 0
        """End of the newest of these."""
        self._away: list[_Span] = []
        """When the topic was not to be recorded: that is no silence."""

    @classmethod
    def go_on(cls, so_far: TopicActivity, began_ns: int) -> Activity:
        """Go on from what is known of the topic up to some moment, in a flight that began then."""
        activity = cls(so_far.last_message_ns or began_ns, is_latched=so_far.latched)
        activity.records = so_far.records
        silent_ns = so_far.silence_began_ns
        activity._add([(silent_ns, silent_ns + so_far.longest_silence_ns)])
        return activity

    def hear(self, first_ns: int, last_ns: int) -> bool:
        """
        Take in a batch of messages by the log times of its first and its last; any order.

        Returns:
            False if that does not do: then `look` must take in all of them, and nothing is done.

        """
        if first_ns > last_ns:
            first_ns, last_ns = last_ns, first_ns
        if last_ns - first_ns >= SHORTEST_SILENCE_NS or first_ns < self._silent_until_ns:
            return False
        latest_ns = self.latest_ns
        if last_ns > latest_ns:
            self.latest_ns = last_ns
            if first_ns - latest_ns >= SHORTEST_SILENCE_NS:
                self._add([(latest_ns, first_ns)])
        return True

    def look(self, times: list[int]) -> None:
        """Take in messages by the log times of all."""
        times.sort()
        latest_ns = self.latest_ns
        self.latest_ns = max(latest_ns, times[-1])
        silences, self._silences = self._silences, []
        for span in silences:
            between = times[bisect_right(times, span[0]):bisect_left(times, span[1])]
            self._add(pairwise((span[0], *between, span[1])))
        self._add(pairwise((latest_ns, *times[bisect_right(times, latest_ns):])))

    def leave(self, at_ns: int) -> None:
        """Note the log time from which on the topic is not to be recorded."""
        self._away = [*self._away[1 - _MOST_AWAY:], (at_ns, _MAX_NS)]

    def come_back(self, at_ns: int) -> None:
        """Note the log time from which on it is to be recorded: again, or for the first time."""
        left_ns = 0
        if self._away and self._away[-1][1] == _MAX_NS:
            left_ns, _ = self._away.pop()
        self._away.append((left_ns, at_ns))

    def follow(self, topic: str, changes: Iterable[ConfigChange]) -> None:
        """Take in when the options that were changed began and ended a topic."""
        for change in changes:
            for item in change.topics:
                if item.topic == topic:
                    note = self.come_back if item.is_recorded else self.leave
                    note(change.changed_ns)

    def _wanted(self, spans: Iterable[_Span]) -> Iterable[_Span]:
        """Return what is left of spans without the times in which it was not to be recorded."""
        for left_ns, back_ns in self._away:
            spans = [
                piece
                for start_ns, end_ns in spans
                for piece in (
                    (start_ns, min(end_ns, max(left_ns, start_ns))),
                    (max(start_ns, min(back_ns, end_ns)), end_ns),
                )
                if piece[0] < piece[1]
            ]
        return spans

    def _add(self, spans: Iterable[_Span]) -> None:
        self._silences += [
            (start_ns, end_ns)
            for start_ns, end_ns in (self._wanted(spans) if self._away else spans)
            if end_ns - start_ns >= SHORTEST_SILENCE_NS
        ]
        if len(self._silences) > _KEPT:
            self._silences.sort(key=_length, reverse=True)
            del self._silences[_KEPT:]
        self._silent_until_ns = max((end_ns for _, end_ns in self._silences), default=0)

    def silence(self, ended_ns: int) -> _Span:
        """Return when the longest silence began and how long it was; zeros if there is none."""
        spans = [*self._silences, (self.latest_ns, ended_ns)]
        cut = self._wanted([(start, min(end, ended_ns)) for start, end in spans])
        longest = max(cut, key=_length, default=(0, 0))
        if self.is_latched or _length(longest) < SHORTEST_SILENCE_NS:
            return 0, 0
        return longest[0], _length(longest)

    def told(self, topic: str, type_name: str, records: int, ended_ns: int) -> TopicActivity:
        """Return what is known of the topic, with so many messages, up to a log time."""
        began_ns, silent_ns = self.silence(ended_ns)
        return TopicActivity(
            topic=topic,
            type=type_name,
            records=max(records, 0),
            longest_silence_ns=min(silent_ns, _MAX_NS),
            silence_began_ns=min(began_ns, _MAX_NS),
            last_message_ns=min(self.latest_ns, _MAX_NS) if records > 0 else 0,
            latched=self.is_latched,
        )


def _length(span: _Span) -> int:
    return span[1] - span[0]
