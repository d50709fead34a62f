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
A process of the simulated vehicle: it publishes a source, each sample at its time.

It takes commands as JSON lines on its standard input and answers with JSON lines on its standard
output. When its input ends, the process that started it is gone, and it exits::

    out  {"created": true}                             its publishers exist
    out  {"ready": true}                               each has a subscription that matched it
    in   {"fly": {"monotonic_ns": .., "unix_ns": ..}}  take-off is at this moment
    out  {"flying": {"seconds": .., "sent": ..}}       how far it is, twice a second
    out  {"sent": {"/imu/data": {"messages": .., "size": .., "crc32": ..}, ..},
          "acknowledged": true, "late_ms": ..}         all is published
    in   {"stop": {}}                                  exit

It stays alive between the last two: when a publisher leaves, messages that a subscription has not
taken yet may be lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
import importlib
import json
import math
import os
from pathlib import Path
import queue
import sys
import threading
import time
from typing import Any, TextIO
import zlib

from demo import ulog
from demo.camera import Camera
from demo.multirotor import Autopilot
from demo.source import Fields, Source, Topic
import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions

Message = Any  # ROS message classes carry no types

_MATCH_POLL_S = 0.02
_PROGRESS_S = 0.5
_ACKNOWLEDGE_S = 30.0


class CommandError(Exception):
    """The other side is gone, or sent a command out of turn."""


class Conversation:
    """The JSON lines; a thread reads standard input, so that no other wait blocks on it."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self.gone = threading.Event()
        """Standard input has ended: nobody waits for this process any more."""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self.gone.set()
        self._lines.put('')

    def expect(self, command: str) -> dict[str, int]:
        """Wait for a command and return its values."""
        line = self._lines.get()
        if not line:
            raise CommandError(f'standard input ended where "{command}" was expected')
        message: dict[str, dict[str, int]] = json.loads(line)
        if command not in message:
            raise CommandError(f'{line.strip()} came where "{command}" was expected')
        return message[command]

    def answer(self, message: Mapping[str, Any]) -> None:
        """Write one line."""
        print(json.dumps(message), file=self._answers, flush=True)


def _reserve_output() -> TextIO:
    """Keep standard output for answers; other output goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), 'w')
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


@dataclass
class Outlet:
    """One publisher, and the count of what it sent."""

    publisher: Publisher[Any]
    message_type: type[Any]
    frame_id: str
    messages: int = 0
    size: int = 0
    crc32: int = 0

    def send(self, fields: Fields, stamp_ns: int) -> None:
        """Publish one message; the bytes that are counted are those that are published."""
        message = self.message_type()
        fill(message, fields)
        message.header.frame_id = self.frame_id
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        data = serialize_message(message)
        # On the wire a payload is a multiple of four bytes long (DDSI-RTPS 2.5, 9.4.2.12) and
        # arrives with that padding: padded here, what is sent and what arrives are the same.
        data += bytes(-len(data) % 4)
        self.publisher.publish(data)
        self.messages += 1
        self.size += len(data)
        self.crc32 = zlib.crc32(data, self.crc32)


def fill(message: Message, fields: Fields) -> None:
    """Set a message's fields by name; a mapping sets those of the nested message."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


def _outlet(node: Node, topic: Topic, speed: float) -> Outlet:
    """Create a topic's publisher; a faster flight fills its history sooner."""
    package, _, name = topic.type.split('/')
    message_type = getattr(importlib.import_module(f'{package}.msg'), name)
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=math.ceil(topic.depth * max(1.0, speed)),
        reliability=ReliabilityPolicy.RELIABLE,
    )
    publisher = node.create_publisher(message_type, topic.name, qos)
    return Outlet(publisher, message_type, topic.frame_id)


def publish(
    source: Source,
    outlets: dict[str, Outlet],
    *,
    take_off_ns: tuple[int, int],
    speed: float,
    gone: threading.Event,
    progress: Callable[[float], None],
) -> float:
    """
    Publish all samples of a source, each at its own time after take-off.

    A sample is due at take-off plus its time, however long the ones before it took: a delay is
    made up for and never added to the rest of the flight.

    Args:
        source: what to publish.
        outlets: a publisher for each of its topics.
        take_off_ns: the moment of take-off, on the monotonic clock and since 1970.
        speed: how many times faster than the source says.
        gone: leave early when this is set.
        progress: called about twice a second with the seconds since take-off.

    Returns:
        The seconds by which the latest message was late.

    """
    start_ns, start_unix_ns = take_off_ns
    tell_ns, late_ns = start_ns, 0
    for sample in source.samples():
        due_ns = round(sample.due_ns / speed)
        now_ns = time.monotonic_ns()
        wait_ns = start_ns + due_ns - now_ns
        if wait_ns > 0 and gone.wait(wait_ns / 1e9):
            raise CommandError('standard input ended during the flight')
        late_ns = max(late_ns, -wait_ns)
        outlets[sample.topic].send(sample.fields, start_unix_ns + due_ns)
        if now_ns >= tell_ns:
            progress(max(0, now_ns - start_ns) / 1e9)
            tell_ns = now_ns + int(_PROGRESS_S * 1e9)
    return late_ns / 1e9


def _serve(
    source: Source, speed: float, talk: Conversation, context: Context, name: str
) -> None:
    """Hold the conversation that the module's docstring describes."""
    node = rclpy.create_node(name, context=context, start_parameter_services=False)
    outlets = {topic.name: _outlet(node, topic, speed) for topic in source.topics}
    talk.answer({'created': True})
    while not all(outlet.publisher.get_subscription_count() for outlet in outlets.values()):
        if talk.gone.wait(_MATCH_POLL_S):
            return
    talk.answer({'ready': True})
    take_off = talk.expect('fly')

    def progress(seconds: float) -> None:
        sent = sum(outlet.messages for outlet in outlets.values())
        talk.answer({'flying': {'seconds': seconds, 'sent': sent}})

    late_s = publish(
        source,
        outlets,
        take_off_ns=(take_off['monotonic_ns'], take_off['unix_ns']),
        speed=speed,
        gone=talk.gone,
        progress=progress,
    )
    deadline = time.monotonic() + _ACKNOWLEDGE_S
    acknowledged = all(
        outlet.publisher.wait_for_all_acked(
            Duration(seconds=max(0.0, deadline - time.monotonic()))
        )
        for outlet in outlets.values()
    )
    sent = {
        topic: {'messages': outlet.messages, 'size': outlet.size, 'crc32': outlet.crc32}
        for topic, outlet in outlets.items()
    }
    talk.answer({'sent': sent, 'acknowledged': acknowledged, 'late_ms': round(late_s * 1e3, 1)})
    talk.expect('stop')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one publisher process."""
    parser = argparse.ArgumentParser(prog='python -m demo.publisher', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('source', choices=('autopilot', 'camera', 'px4'))
    parser.add_argument('--seconds', type=float, default=10.0, help='length of a simulated flight')
    parser.add_argument('--file', type=Path, help='the PX4 log to fly')
    parser.add_argument('--speed', type=float, default=1.0, help='how many times faster')
    options = parser.parse_args(arguments)
    talk = Conversation(_reserve_output())
    source: Source
    if options.source == 'autopilot':
        source = Autopilot(options.seconds)
    elif options.source == 'camera':
        source = Camera(options.seconds)
    elif options.file is None:
        parser.error('px4 needs --file')
    else:
        source = ulog.read(options.file)
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with suppress(KeyboardInterrupt):
            _serve(source, options.speed, talk, context, f'demo_{options.source}')
    except (CommandError, BrokenPipeError) as error:
        print(f'{options.source}: {error}', file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown(context=context)
    return 0


if __name__ == '__main__':
    sys.exit(main())
