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
Publishes a recording again: each message at its time, as it was serialised.

Times are absolute: a message that is late makes none behind it late. One thread publishes and does
nothing else; another reads ahead (`ReadAhead`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import sys
import threading
import time
from typing import Any, Final

from fdr_recorder.errors import RecordError
from fdr_recorder.flights.playback import is_latched, ReadAhead, Timed
from fdr_recorder.mcap.decode import FileChannel
from fdr_recorder.node.definitions import installed_definitions
from fdr_recorder.node.message_class import import_message_class
from fdr_recorder.node.qos import recorded_qos
from fdr_recorder.node.ros_process import ros
from fdr_recorder.record.channel import QOS_KEY, TYPE_HASH_KEY
from fdr_recorder.topics.names import TopicType
from fdr_recorder.units import NS_PER_S
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

NODE_NAME: Final = 'fdr_play'
_SWITCH_S: Final = 0.0005
"""Threads of Python take turns at the latest after so long; 5 ms, its default, would be jitter."""
_LONGEST_SEARCH_S: Final = 5.0
"""For so much longer the first message waits while subscribers are still being found."""
_LOOK_NS: Final = 50_000_000
_FILL_S: Final = 0.5
_MOST_LATENESSES: Final = 1_000_000


@contextmanager
def play_node() -> Iterator[Node]:
    """Lend a node that publishes and is not asked anything."""
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        with ros(['--ros-args', '--log-level', 'error']):
            node = rclpy.create_node(
                NODE_NAME, start_parameter_services=False, enable_rosout=False
            )
            try:
                yield node
            finally:
                node.destroy_node()
    finally:
        sys.setswitchinterval(switch_s)


@dataclass
class Outlets:
    """
    The publishers of a recording.

    Attributes:
        by_topic: By topic and type, as they were recorded.
        left_out: Why there is none.
        node: Whose they are; None if there are none.

    """

    node: Node | None = None
    by_topic: dict[TopicType, Publisher[Any]] = field(default_factory=dict)
    left_out: dict[TopicType, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        node: Node,
        topics: Mapping[TopicType, Sequence[FileChannel]],
        remaps: Mapping[str, str],
    ) -> Outlets:
        """Make a publisher for each topic and type, with the QoS that was recorded."""
        outlets = cls(node)
        for key, channels in sorted(topics.items()):
            try:
                message_class = import_message_class(key.type_name)
                _check_hash(key.type_name, channels)
                texts = [channel.metadata.get(QOS_KEY, '') for channel in channels]
                latched = sum(map(is_latched, channels)) == len(channels)
                qos = recorded_qos(texts, least_depth=len(channels) if latched else 1)
                name = remaps.get(key.topic, key.topic)
                outlets.by_topic[key] = node.create_publisher(message_class, name, qos)
            except RecordError as error:
                outlets.left_out[key] = str(error)
            except Exception as error:  # of rclpy: the name, the type support, the middleware
                outlets.left_out[key] = f'it cannot be published: {error}'
        return outlets

    def found(self) -> object:
        """Return what of the graph is known so far: it differs once a subscriber is found."""
        if self.node is None:
            return None
        publishers = self.by_topic.values()
        matched = [publisher.get_subscription_count() for publisher in publishers]
        listed = [self.node.count_subscribers(publisher.topic_name) for publisher in publishers]
        return matched, listed, len(self.node.get_node_names())


def _check_hash(type_name: str, channels: Sequence[FileChannel]) -> None:
    """Raise `RecordError` if the type that is installed is not the one that was recorded."""
    recorded = {channel.metadata.get(TYPE_HASH_KEY, '') for channel in channels} - {''}
    here = {definition.type_hash for definition in installed_definitions(type_name)}
    if recorded and here and recorded.isdisjoint(here):
        raise RecordError(
            f'the {type_name} that is installed here is of another version than the recorded one'
        )


@dataclass(frozen=True)
class Schedule:
    """
    When and how fast.

    Attributes:
        rate: How much faster than it was recorded.
        start_ns: The time to begin at; None for that of the first message.
        loop: Whether to begin again at the end.
        clock_hz: How often to publish `/clock`; 0 for never.
        delay_s: Begin once no other subscriber was found for so long, or a few seconds later.

    """

    rate: float = 1.0
    start_ns: int | None = None
    loop: bool = False
    clock_hz: float = 0.0
    delay_s: float = 1.0


class Player(threading.Thread):
    """
    Plays, in a thread of its own.

    Attributes:
        published: How many messages have been published.
        position_ns: The time of the recording that is being played; 0 before the first message.
        first_ns: That of the first message; 0 before it is known.
        is_paused: Whether it stands still.
        error: Why it has ended; None if nothing went wrong.
        lateness_ns: How much later than due each message was published.

    """

    def __init__(
        self,
        node: Node,
        outlets: Outlets,
        messages: Callable[[], Iterator[Timed]],
        schedule: Schedule,
    ) -> None:
        """Prepare; `start` begins."""
        super().__init__(name='fdr_player', daemon=True)
        self.published = 0
        self.position_ns = self.first_ns = 0
        self.is_paused = False
        self.error: Exception | None = None
        self.lateness_ns: array[int] = array('q')
        self._outlets = outlets
        self._messages = messages
        self._schedule = schedule
        self._wake = threading.Event()
        self._is_ended = False
        self._clock = node.create_publisher(Clock, '/clock', 10) if schedule.clock_hz else None
        self._began_ns = self._next_clock_ns = 0

    # --- for other threads ---------------------------------------------------------------

    def pause(self, *, is_paused: bool) -> None:
        """Stand still, or go on."""
        self.is_paused = is_paused
        self._wake.set()

    def end(self) -> None:
        """End, and wait for that."""
        self._is_ended = True
        self._wake.set()
        self.join()

    # --- the thread ----------------------------------------------------------------------

    def run(self) -> None:
        """Play until the end, or until `end`."""
        try:
            delay_s = self._schedule.delay_s
            while not self._is_ended:
                before = self.published
                self._play_once(delay_s)
                delay_s = 0.0
                if not self._schedule.loop or self.published == before:
                    break
        except Exception as error:  # who has started it decides
            self.error = error

    def _play_once(self, delay_s: float) -> None:
        ahead = ReadAhead(self._messages)
        try:
            ahead.fill(_FILL_S)  # reading takes turns with publishing
            self._await_subscribers(delay_s)
            timed = ahead.next()
            if timed is None:
                return
            first_ns = self._schedule.start_ns
            self.first_ns = timed.time_ns if first_ns is None else min(first_ns, timed.time_ns)
            self._began_ns = self._next_clock_ns = time.monotonic_ns()
            while timed is not None and self._keep_time(timed.time_ns):
                self._publish(timed)
                timed = ahead.next()
        finally:
            ahead.close()

    def _await_subscribers(self, quiet_s: float) -> None:
        """Wait until nobody else has been found for a while: on a busy machine it takes longer."""
        since_ns = time.monotonic_ns()
        last_ns = since_ns + round((quiet_s + _LONGEST_SEARCH_S) * NS_PER_S)
        found: object = None
        while quiet_s and not self._is_ended:
            now_ns = time.monotonic_ns()
            if (seen := self._outlets.found()) != found:
                found, since_ns = seen, now_ns
            due_ns = min(since_ns + round(quiet_s * NS_PER_S), last_ns)
            if now_ns >= due_ns:
                return
            self._wait_until(min(due_ns, now_ns + _LOOK_NS))

    def _publish(self, timed: Timed) -> None:
        channel = timed.message.channel
        publisher = self._outlets.by_topic.get(TopicType(channel.topic, channel.schema.name))
        if publisher is None:
            return
        now_ns = time.monotonic_ns()
        publisher.publish(timed.message.data)
        self.published += 1
        self.position_ns = timed.time_ns
        if len(self.lateness_ns) < _MOST_LATENESSES:
            self.lateness_ns.append(now_ns - self._due_ns(timed.time_ns))

    def _due_ns(self, time_ns: int) -> int:
        return self._began_ns + round((time_ns - self.first_ns) / self._schedule.rate)

    def _keep_time(self, time_ns: int) -> bool:
        """Wait until a time of the recording; return False if it is to end."""
        while not self._is_ended:
            if self.is_paused:
                self._stand_still()
                continue
            due_ns = self._due_ns(time_ns)
            if self._clock is not None and self._next_clock_ns < due_ns:
                if self._wait_until(self._next_clock_ns):
                    self._publish_clock()
                continue
            if self._wait_until(due_ns):
                return True
        return False

    def _wait_until(self, due_ns: int) -> bool:
        """Wait; return whether it is due, and nothing else has happened before."""
        left_ns = due_ns - time.monotonic_ns()
        if left_ns > 0 and self._wake.wait(left_ns / NS_PER_S):
            self._wake.clear()
            return False
        return not self._is_ended

    def _stand_still(self) -> None:
        began_ns = time.monotonic_ns()
        while self.is_paused and not self._is_ended:
            self._wake.wait()
            self._wake.clear()
        paused_ns = time.monotonic_ns() - began_ns
        self._began_ns += paused_ns
        self._next_clock_ns += paused_ns

    def _publish_clock(self) -> None:
        assert self._clock is not None
        passed_ns = (self._next_clock_ns - self._began_ns) * self._schedule.rate
        now_ns = max(self.first_ns + round(passed_ns), 0)
        message: Any = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns, NS_PER_S)
        self._clock.publish(message)
        self._next_clock_ns += round(NS_PER_S / self._schedule.clock_hz)
