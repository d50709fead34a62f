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
The programs that the recorder is compared with over DDS, each a process of its own.

`counting` is the recorder's own intake loop with nothing behind it: it takes and counts messages.
`simple` counts too, in the loop that a programmer writes first. `plain` records, in the way that
takes an hour to write: rclpy's executor, raw callbacks, the `mcap` library's writer.

Usage: `python -m bench.rivals counting|simple|plain DIRECTORY TOPIC...`. Each subscribes to all
topics as soon as they are published, works until standard input ends, and prints
`{"received": {topic: ..}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
import json
from pathlib import Path
import sys
import threading
import time
from typing import Any

from bench.workloads import TYPE
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig, RingConfig
from fdr_recorder.node.definitions import Definitions, installed_definitions
from fdr_recorder.node.intake.subscription_protocol import RawMessage
from fdr_recorder.node.intake.take_by_wait_set import WaitSetSubscriber
from fdr_recorder.node.intake.take_trial import rcl_take
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.intake.topic_intake import TAKE_LIMIT, TopicIntake
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import plan_topic
from fdr_recorder.storage.writer import FileFdrWriter
from mcap.writer import CompressionType, Writer
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import UInt8MultiArray

_PATIENCE_S = 30.0
_DEPTH = FdrConfig().intake_depth


class _CountingIntake(TopicIntake):
    """A topic of the recorder's intake loop whose messages are only counted."""

    count = 0

    def drain(self, _message: RawMessage) -> int:
        """Take and count the messages that are there."""
        take = self.subscription.take
        taken = 1
        while taken < TAKE_LIMIT and take() is not None:
            taken += 1
        self.count += taken
        return taken


def count(node: Node, _directory: Path, topics: Sequence[str]) -> dict[str, int]:
    """Take and count until standard input ends."""
    subscriber = WaitSetSubscriber(node, rcl_take(node))
    quarantine = Quarantine(AlertBoard())
    thread = IntakeThread(node, subscriber, FileFdrWriter('.'), RingConfig(), quarantine)
    intakes = {}
    for topic in topics:
        plan = plan_topic(
            topic, node.get_publishers_info_by_topic(topic), Definitions(node), _DEPTH
        )
        assert plan is not None
        thread.add(plan)
        intake = thread.intakes[plan.key]
        intakes[plan.key] = _CountingIntake(intake.plan, intake.subscription, intake.meet)
    thread.intakes.update(intakes)
    thread.start()
    sys.stdin.read()
    thread.catch_up()
    thread.stop()
    return {key.topic: intake.count for key, intake in intakes.items()}


def count_simply(node: Node, _directory: Path, topics: Sequence[str]) -> dict[str, int]:
    """Take and count: wait, take from what is ready, rest for two milliseconds."""
    counts = dict.fromkeys(topics, 0)
    subscriptions = {
        topic: node.create_subscription(
            UInt8MultiArray, topic, _ignore, QoSProfile(depth=_DEPTH), raw=True
        ).handle
        for topic in topics
    }
    ended = _await_end()
    with ExitStack() as handles:
        context: Any = node.context.handle
        for handle in (*subscriptions.values(), context):
            handles.enter_context(handle)
        wait_set: Any = _rclpy.WaitSet(len(topics), 0, 0, 0, 0, 0, context)
        handles.enter_context(wait_set)
        while not ended.is_set():
            wait_set.clear_entities()
            for handle in subscriptions.values():
                wait_set.add_subscription(handle)
            wait_set.wait(100_000_000)
            ready = set(wait_set.get_ready_entities('subscription'))
            for topic, handle in subscriptions.items():
                if handle.pointer in ready:
                    while handle.take_message(UInt8MultiArray, True) is not None:
                        counts[topic] += 1
            time.sleep(0.002)
    return counts


def record_plainly(node: Node, directory: Path, topics: Sequence[str]) -> dict[str, int]:
    """Record with rclpy's executor and the `mcap` library until standard input ends."""
    counts = dict.fromkeys(topics, 0)
    schema = installed_definitions(TYPE)[0].schema
    with (directory / 'plain.mcap').open('wb') as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start('ros2', 'bench')
        schema_id = writer.register_schema(schema.name, 'ros2msg', schema.definition.encode())

        def callback(topic: str) -> Callable[[bytes], None]:
            channel_id = writer.register_channel(topic, 'cdr', schema_id)

            def write(data: bytes) -> None:
                now = time.time_ns()
                writer.add_message(channel_id, now, data, now, counts[topic])
                counts[topic] += 1

            return write

        for topic in topics:
            node.create_subscription(
                UInt8MultiArray, topic, callback(topic), QoSProfile(depth=_DEPTH), raw=True
            )
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ended = _await_end()
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)
        writer.finish()  # type: ignore[no-untyped-call]
    return counts


def _await_end() -> threading.Event:
    """Return an event that is set when standard input ends."""
    ended = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    return ended


def _ignore(_data: bytes) -> None:
    pass


def main() -> None:
    """Run one of the programs."""
    program, directory, *topics = sys.argv[1:]
    rclpy.init()
    node = rclpy.create_node(
        f'bench_{program}', start_parameter_services=False, enable_rosout=False
    )
    deadline = time.monotonic() + _PATIENCE_S
    while not all(node.count_publishers(topic) for topic in topics):
        if time.monotonic() > deadline:
            raise SystemExit('nobody publishes')
        time.sleep(0.02)
    run = {'counting': count, 'simple': count_simply, 'plain': record_plainly}[program]
    print(json.dumps({'received': run(node, Path(directory), topics)}), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
