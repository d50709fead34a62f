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
A publisher of `std_msgs/String` in a process of its own, for tests.

It waits until somebody subscribes and says `{"gid": ...}`; then obeys lines on standard input:
`publish FIRST COUNT` publishes so many numbered messages as fast as it can and answers
`{"published": ...}`; `stream FIRST COUNT RATE JITTER` does so at a rate (Hz), each off by a share
of the period at most; `run FIRST RATE` publishes at a rate until the next line; `acknowledged`
waits until all are, which takes up to three seconds, the middleware's heartbeat, and answers
`{"acknowledged": ...}`; `subscribers COUNT SECONDS` waits until so many subscribe, that long at
most, and answers `{"subscribers": ...}`. It leaves at the end of its standard input.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import sys
import time

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import String


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('topic')
    parser.add_argument('--depth', type=int, default=1000)
    parser.add_argument('--reliability', default='reliable')
    parser.add_argument('--durability', default='volatile')
    parser.add_argument('--node', default='publisher')
    parser.add_argument('--size', type=int, default=0, help='characters after the number')
    parser.add_argument('--subscribers', type=int, default=1, help='how many to wait for')
    return parser.parse_args()


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def publish(publisher, first: int, count: int, size: int) -> None:
    filler = 'x' * size
    for number in range(first, first + count):
        publisher.publish(bytes(serialize_message(String(data=f'{number} {filler}'))))


def stream(publisher, first: int, count: int, rate: float, jitter: float, size: int) -> None:
    began, chance = time.monotonic(), random.Random(first)
    for place in range(count):
        due = began + (place + chance.uniform(-jitter, jitter)) / rate
        time.sleep(max(due - time.monotonic(), 0))
        publish(publisher, first + place, 1, size)


def _has_line(until: float) -> bool:
    return bool(select.select([sys.stdin], [], [], max(until - time.monotonic(), 0))[0])


def run(publisher, first: int, rate: float, size: int) -> int:
    began, count = time.monotonic(), 0
    while not _has_line(began + count / rate):
        publish(publisher, first + count, 1, size)
        count += 1
    sys.stdin.readline()
    return count


def main() -> None:
    options = parse_options()
    rclpy.init()
    node = Node(options.node, start_parameter_services=False)
    qos = QoSProfile(
        depth=options.depth,
        reliability=ReliabilityPolicy[options.reliability.upper()],
        durability=DurabilityPolicy[options.durability.upper()],
    )
    publisher = node.create_publisher(String, options.topic, qos)
    while publisher.get_subscription_count() < options.subscribers:
        rclpy.spin_once(node, timeout_sec=0.02)
    (gid,) = [
        bytes(endpoint.endpoint_gid).hex()
        for endpoint in node.get_publishers_info_by_topic(options.topic)
        if endpoint.node_name == options.node
    ]
    say(gid=gid)
    while line := sys.stdin.readline():
        match line.split():
            case ['publish', first, count]:
                publish(publisher, int(first), int(count), options.size)
                say(published=int(count))
            case ['stream', first, count, rate, jitter]:
                stream(
                    publisher, int(first), int(count), float(rate), float(jitter), options.size
                )
                say(published=int(count))
            case ['run', first, rate]:
                say(published=run(publisher, int(first), float(rate), options.size))
            case ['acknowledged']:
                say(acknowledged=publisher.wait_for_all_acked(Duration(seconds=30)))
            case ['subscribers', count, seconds]:
                deadline = time.monotonic() + float(seconds)
                while (
                    publisher.get_subscription_count() != int(count)
                    and time.monotonic() < deadline
                ):
                    rclpy.spin_once(node, timeout_sec=0.02)
                say(subscribers=publisher.get_subscription_count())
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
