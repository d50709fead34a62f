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
The load: a process that publishes a workload on an absolute schedule.

It takes and gives JSON lines::

    in   {"workload": {"name": .., "streams": [..]}}
    out  {"created": true}
    out  {"ready": true}                       every topic has a subscription
    in   {"send": {"seconds": ..}}             or {"stop": {}}
    out  {"sent": {topic: ..}, "seconds": .., "cpu_s": .., "late_ms": ..}
    out  {"acknowledged": true}                that took up to three seconds, DDS's heartbeat

Message n is due n / rate after the start, however late the one before it was. A message that is
still due when the time is over is not sent; `sent` counts those that were.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from itertools import cycle
import json
import sys
import time
from typing import Any

from bench.workloads import messages, parse, Stream
import rclpy
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import UInt8MultiArray

_DEPTH_BYTES = 64 * 1024 * 1024
_NAP_S = 0.0005
_ACKNOWLEDGE_S = 10.0


def _depth(stream: Stream) -> int:
    """Return the publisher's queue depth: enough that the publisher loses nothing itself."""
    return max(20, min(10_000, _DEPTH_BYTES // stream.size))


def send(
    streams: list[tuple[Stream, Publisher[Any], list[bytes]]], seconds: float
) -> dict[str, Any]:
    """Publish for `seconds`; return what was sent."""
    publishers = [publisher.publish for _, publisher, _ in streams]
    contents = [cycle(variants) for _, _, variants in streams]
    periods = [1 / stream.rate for stream, _, _ in streams]
    counts = [0] * len(streams)
    # Topics of the same rate take turns.
    schedule = [(period * n / len(streams), n) for n, period in enumerate(periods)]
    heapify(schedule)
    late = 0.0
    cpu = time.process_time()
    start = now = time.monotonic()
    while now - start < seconds:
        due, number = schedule[0]
        if due > now - start:
            time.sleep(max(_NAP_S, min(due - (now - start), seconds)))
            now = time.monotonic()
            continue
        late = max(late, now - start - due)
        publishers[number](next(contents[number]))
        counts[number] += 1
        heapreplace(schedule, (due + periods[number], number))
        now = time.monotonic()
    sent = {stream.topic: count for (stream, _, _), count in zip(streams, counts, strict=True)}
    return {
        'sent': sent,
        'seconds': now - start,
        'cpu_s': time.process_time() - cpu,
        'late_ms': late * 1e3,
    }


def _await_acknowledgement(publishers: list[Publisher[Any]]) -> bool:
    deadline = time.monotonic() + _ACKNOWLEDGE_S
    return all(
        publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline - time.monotonic())))
        for publisher in publishers
    )


def main() -> None:
    """Follow the conversation that this module's docstring describes."""
    workload = parse(json.loads(sys.stdin.readline())['workload'])
    rclpy.init()
    node = rclpy.create_node(
        f'bench_load_{workload.name.split()[0]}',
        start_parameter_services=False,
        enable_rosout=False,
    )
    streams = [
        (
            stream,
            node.create_publisher(UInt8MultiArray, stream.topic, QoSProfile(depth=_depth(stream))),
            messages(stream),
        )
        for stream in workload.streams
    ]
    _say({'created': True})
    while not all(publisher.get_subscription_count() for _, publisher, _ in streams):
        time.sleep(0.01)
    _say({'ready': True})
    for line in sys.stdin:
        command = json.loads(line)
        if 'stop' in command:
            break
        _say(send(streams, command['send']['seconds']))
        _say({'acknowledged': _await_acknowledgement([p for _, p, _ in streams])})
    node.destroy_node()
    rclpy.try_shutdown()


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == '__main__':
    main()
