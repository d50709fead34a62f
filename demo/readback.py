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
Reads a flight back with libraries that are independent of the recorder.

``mcap`` reads each segment from front to back with all checksums on, and counts; ``rosbags``
opens the directory as a rosbag2 bag. The two must agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING
import zlib

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

_OWN = '/fdr/'


class ReadbackError(Exception):
    """A recording cannot be read."""


@dataclass
class TopicRecording:
    """One topic in the recording."""

    name: str
    type: str
    messages: int = 0
    size: int = 0
    crc32: int = 0
    """Of all its messages' bytes in the order of the file, computed as the publisher does."""
    first_ns: int = 0
    last_ns: int = 0

    def add(self, data: bytes, log_time: int) -> None:
        """Count one message."""
        if not self.messages:
            self.first_ns = log_time
        self.messages += 1
        self.size += len(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        self.last_ns = log_time

    @property
    def hertz(self) -> float:
        """Return the mean rate."""
        span_ns = self.last_ns - self.first_ns
        return (self.messages - 1) * 1e9 / span_ns if span_ns > 0 else 0.0


@dataclass(frozen=True)
class Flight:
    """One flight directory, as an outsider sees it."""

    directory: Path
    segments: Mapping[str, int]
    """File name and size in bytes."""
    topics: Mapping[str, TopicRecording]
    """What was recorded, without the recorder's own records."""
    own_records: int
    seconds: float
    """From the first to the last message, the recorder's own included."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """The plain values of /fdr/flight_header; empty if there is none."""
    footer: Mapping[str, Any] = field(default_factory=dict)
    """The plain values of /fdr/flight_footer; empty if there is none."""

    @property
    def size(self) -> int:
        """Return the bytes of all segments."""
        return sum(self.segments.values())


def flight_directories(root: Path) -> set[Path]:
    """Return the flights below a flight root; names with a leading dot are not flights."""
    if not root.is_dir():
        return set()
    return {
        Path(entry.path)
        for entry in os.scandir(root)
        if entry.is_dir() and not entry.name.startswith('.')
    }


def read_flight(directory: Path) -> Flight:
    """
    Read a flight from its first to its last byte.

    Raises:
        ReadbackError: it is not a bag, a segment is damaged, or the two libraries find different
            messages.

    """
    segments = sorted(directory.glob('*.mcap'))
    counted = _count(segments)
    bag, header, footer = _open_as_bag(directory)
    if bag != {name: topic.messages for name, topic in counted.items()}:
        differing = ', '.join(
            f'{name} ({counted[name].messages if name in counted else 0} and {bag.get(name, 0)})'
            for name in sorted(counted.keys() | bag.keys())
            if name not in counted or counted[name].messages != bag.get(name)
        )
        raise ReadbackError(f'{directory}: mcap and rosbags count differently: {differing}')
    times = [(topic.first_ns, topic.last_ns) for topic in counted.values()]
    return Flight(
        directory=directory,
        segments={path.name: path.stat().st_size for path in segments},
        topics={name: topic for name, topic in counted.items() if not name.startswith(_OWN)},
        own_records=sum(t.messages for name, t in counted.items() if name.startswith(_OWN)),
        seconds=(max(t[1] for t in times) - min(t[0] for t in times)) / 1e9 if times else 0.0,
        header=header,
        footer=footer,
    )


def _count(segments: Iterable[Path]) -> dict[str, TopicRecording]:
    """Read all messages of all segments with ``mcap``."""
    # Here and below, not at the top: `./dev demo --help` must work before anything is installed.
    from mcap.exceptions import McapError  # noqa: PLC0415
    from mcap.reader import make_reader  # noqa: PLC0415

    topics: dict[str, TopicRecording] = {}
    for segment in segments:
        try:
            with segment.open('rb') as file:
                reader = make_reader(file, validate_crcs=True)
                for schema, channel, message in reader.iter_messages(log_time_order=False):
                    name = channel.topic
                    if name not in topics:
                        topics[name] = TopicRecording(name, schema.name if schema else '')
                    topics[name].add(message.data, message.log_time)
        except (McapError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ReadbackError(f'{segment} cannot be read as MCAP: {reason}') from error
    return topics


def _open_as_bag(directory: Path) -> tuple[dict[str, int], dict[str, Any], dict[str, Any]]:
    """Return messages by topic, and the first header's and last footer's plain values."""
    from rosbags.highlevel import AnyReader  # noqa: PLC0415

    try:
        with AnyReader([directory]) as bag:
            counts = {name: info.msgcount for name, info in bag.topics.items() if info.msgcount}
            for connection in bag.connections:
                _decode_first(bag, connection)
            return (
                counts,
                _plain_values(bag, f'{_OWN}flight_header', last=False),
                _plain_values(bag, f'{_OWN}flight_footer', last=True),
            )
    except Exception as error:  # rosbags has an error type for each of its layers
        raise ReadbackError(f'{directory} does not read as a bag: {error}') from error


def _decode_first(bag: AnyReader, connection: Connection) -> None:
    """Decode a topic's first message, which proves that the bag has the right schema."""
    for _, _, data in bag.messages(connections=[connection]):
        bag.deserialize(data, connection.msgtype)
        return


def _plain_values(bag: AnyReader, topic: str, *, last: bool) -> dict[str, Any]:
    """Return the numbers, strings and booleans of a topic's first or last message."""
    connections = [connection for connection in bag.connections if connection.topic == topic]
    if not connections:
        return {}
    messages = list(bag.messages(connections=connections))
    if not messages:
        return {}
    connection, _, data = messages[-1 if last else 0]
    message = bag.deserialize(data, connection.msgtype)
    return {
        name: value
        for name, value in vars(message).items()
        if isinstance(value, bool | int | float | str) and not name.startswith('_')
    }
