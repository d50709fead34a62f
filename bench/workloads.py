# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The loads: topics with a rate and a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import random
import struct
from typing import Final

TYPE: Final = 'std_msgs/msg/UInt8MultiArray'
"""Of every topic; the programs that are compared look at no message's inside."""
_VARIANTS: Final = 8
"""Different messages that a topic repeats in turn, so that no cache holds the only one."""
_NOISE_SPARSENESS: Final = 4
"""Of an image's bytes, one in two to this power is brighter by one."""


@dataclass(frozen=True)
class Stream:
    """
    One topic's share of a workload.

    Attributes:
        topic: Fully qualified name.
        rate: Messages per second.
        size: Bytes of a serialised message.

    """

    topic: str
    rate: float
    size: int


@dataclass(frozen=True)
class Workload:
    """
    Topics that are published at the same time.

    Attributes:
        name: Of the workload.
        streams: The topics.
        publishers: Processes that share the topics. One `rclpy` publisher needs some 40
            microseconds for a small message.

    """

    name: str
    streams: tuple[Stream, ...]
    publishers: int = 1

    @property
    def rate(self) -> float:
        """Messages per second of all topics."""
        return sum(stream.rate for stream in self.streams)

    @property
    def bytes_rate(self) -> float:
        """Bytes per second of all topics."""
        return sum(stream.rate * stream.size for stream in self.streams)


def small(rate: float, *, topics: int = 10, size: int = 256) -> Workload:
    """Many small messages: `rate` in total, over equal topics."""
    streams = tuple(
        Stream(f'/bench/small_{number:03}', rate / topics, size) for number in range(topics)
    )
    return Workload(f'small {rate:.0f}/s', streams, publishers=2 if rate > 15_000 else 1)


def large(rate: float, size: int) -> Workload:
    """Large messages of one topic."""
    return Workload(f'{size:,} B', (Stream('/bench/large', rate, size),))


def many(rate: float) -> Workload:
    """Messages of 500 topics."""
    return Workload('many', small(rate, topics=500).streams)


def drone() -> Workload:
    """Thirty topics of a drone, from its IMU to its camera: 1,000 messages/s, 15 MB/s."""
    streams = [
        Stream('/bench/imu', 250, 324),
        Stream('/bench/imu_raw', 200, 324),
        Stream('/bench/camera/image', 15, 921_660),
        Stream('/bench/camera/camera_info', 15, 380),
        Stream('/bench/lidar/points', 10, 120_000),
        Stream('/bench/odometry', 50, 720),
        *(Stream(f'/bench/estimator_{number}', 50, 160) for number in range(6)),
        *(Stream(f'/bench/controller_{number}', 20, 96) for number in range(6)),
        *(Stream(f'/bench/sensor_{number}', 5, 120) for number in range(6)),
        *(Stream(f'/bench/status_{number}', 1, 400) for number in range(6)),
    ]
    return Workload('drone', tuple(streams))


def mixed() -> Workload:
    """Many small messages and two topics of 5 MB blobs at 10 Hz together."""
    blobs = (Stream('/bench/blob_0', 5, 5_000_000), Stream('/bench/blob_1', 5, 5_000_000))
    return Workload('mixed', (*small(4000).streams, *blobs))


def parse(options: Mapping[str, object]) -> Workload:
    """Rebuild a workload that was sent as JSON."""
    streams = options['streams']
    assert isinstance(streams, list)
    return Workload(str(options['name']), tuple(Stream(**stream) for stream in streams))


def messages(stream: Stream) -> list[bytes]:
    """
    Return the serialised messages that a topic repeats in turn.

    They compress about as well as sensor data: slow drifts with noise in the low bit. A topic
    always has the same messages.
    """
    source = random.Random(stream.topic)
    length = stream.size - 16
    head = struct.pack('<4sIII', b'\0\1\0\0', 0, 0, length)
    if length < 4096:
        return [head + _doubles(source, length) for _ in range(_VARIANTS)]
    ramp = bytes(column * 200 // 1920 for column in range(1920))
    slopes = int.from_bytes((ramp * (length // len(ramp) + 1))[:length], 'little')
    low_bit = int.from_bytes(b'\1' * length, 'little')
    result = []
    for _ in range(_VARIANTS):
        noise = low_bit
        for _ in range(_NOISE_SPARSENESS):
            noise &= int.from_bytes(source.randbytes(length), 'little')
        result.append(head + (slopes + noise).to_bytes(length, 'little'))
    return result


def _doubles(source: random.Random, length: int) -> bytes:
    count = length // 8
    values = [round(source.gauss(0.0, 1.0), 4) for _ in range(count)]
    return struct.pack(f'<{count}d', *values) + bytes(length - 8 * count)
