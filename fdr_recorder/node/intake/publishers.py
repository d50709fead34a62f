# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The publishers of all topics: each has a ring; those that have left may be found again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.capture.ring import RingBudget
from fdr_recorder.config import RingConfig
from fdr_recorder.node.intake.newcomers import Newcomers
from fdr_recorder.node.intake.producer import Producer
from fdr_recorder.node.intake.subscription_protocol import UNKNOWN_GID
from fdr_recorder.node.intake.throttles import Throttles
from fdr_recorder.node.intake.topic_intake import TopicIntake
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import endpoints_by_type, node_names
from fdr_recorder.record.channel import (
    BY_SEQUENCE,
    Channel,
    LOSS_DETECTION_KEY,
    NO_DETECTION,
)
from fdr_recorder.storage.writer import FileFdrWriter
from rclpy.node import Node

MOST_ABSENT: Final = 1000
"""As many as have an account of their own in a flight."""
MOST_LATCHED_BYTES: Final = 16 * 1024 * 1024
"""Of their latched messages."""

MOST_UNIDENTIFIED: Final = 100
"""Publishers of one topic that have rings of their own though the graph does not know their gids;
further ones share a ring."""

NAME: Final = 'has publishers that cannot be listed'
"""Work that can fail, in the words of `Quarantine`."""

_Key = tuple[str, str, bytes]
"""Topic, type, gid."""


class Publishers:
    """
    Gives each publisher a ring, and takes it back. Belongs to the intake thread.

    A message's gid is the publisher's identity if the graph knows it. Some middlewares give
    another one, which means nothing outside of this process: it separates publishers, too, but no
    channel has it, and the graph cannot say which of them have left. So of their rings as many
    are kept as the graph has publishers; messages without a gid share one.
    """

    def __init__(
        self, node: Node, writer: FileFdrWriter, config: RingConfig, quarantine: Quarantine
    ) -> None:
        self._node = node
        self._writer = writer
        self._config = config
        self._quarantine = quarantine
        self._budget = RingBudget(config.total_bytes)
        self._counted_bytes = 0
        self._absent = AbsentPublishers()
        self._are_gids_known = False
        """Whether a gid of a message was one of the graph, which may learn of others later."""
        self.newcomers = Newcomers()
        """Knows which publishers have come while a flight is open."""
        self.throttles = Throttles()
        """Keep topics at a rate."""

    def count_bytes(self) -> int:
        """Return the memory of the messages that have come into the rings since the last call."""
        before, self._counted_bytes = self._counted_bytes, self._budget.granted
        return self._counted_bytes - before

    def meet(self, intake: TopicIntake, gid: bytes, is_numbered: bool) -> Producer:
        """
        Make the ring of a publisher, at its first message; one that was lost has its ring again.

        If its node is unknown, ask the graph. That costs 0.1 ms, or 4 ms for a topic with a
        hundred publishers; then all of them are known.
        """
        is_identified = self._identify(intake, gid)
        unidentified = [of for of, each in intake.producers.items() if not each.is_identified]
        if not is_identified and len(unidentified) >= MOST_UNIDENTIFIED:
            gid = UNKNOWN_GID  # it would be no help to tell these apart
            if gid in intake.producers:
                return intake.producers[gid]
        plan = intake.plan
        absent = self._absent.pop((plan.name, plan.type_name, gid))
        if absent is not None and self._writer.resume(absent.client):
            absent.client.limit(self.throttles.of(plan))
            intake.producers[gid] = absent
            return absent
        can_detect = is_numbered and is_identified
        detection = BY_SEQUENCE if can_detect else NO_DETECTION
        metadata = {**plan.metadata, LOSS_DETECTION_KEY: detection}
        channel = Channel(
            plan.name,
            plan.schema,
            publisher=gid.hex() if is_identified else '',
            metadata=metadata,
            latched=plan.is_latched,
        )
        client = FdrClient(channel, self._config, budget=self._budget)
        client.limit(self.throttles.of(plan))
        producer = intake.producers[gid] = Producer(client, metadata, is_identified)
        arrival = self.newcomers.arrival(gid)
        if can_detect and self._writer.open_flight_id and arrival is not None:
            producer.expect_all(arrival)
        producer.name(plan.publishers.get(gid, ''))
        self._writer.register(client)
        return producer

    def _identify(self, intake: TopicIntake, gid: bytes) -> bool:
        """Tell whether a gid is the one by which the graph knows a publisher."""
        if gid == UNKNOWN_GID:
            return False
        if not intake.plan.publishers.get(gid):
            with self._quarantine.guard(intake.plan.key, NAME):
                endpoints = self._node.get_publishers_info_by_topic(intake.plan.name)
                ours = endpoints_by_type(endpoints).get(intake.plan.type_name, [])
                intake.plan = replace(intake.plan, publishers=node_names(ours))
                self.newcomers.list(intake.plan.publishers)
        if gid in intake.plan.publishers:
            self._are_gids_known = True
        return self._are_gids_known

    def retire_surplus(self, intake: TopicIntake) -> None:
        """
        Retire rings of publishers of which the graph cannot say whether they have left.

        As many stay as there are publishers without a ring of their own, those heard last.
        """
        unidentified = sorted(
            (gid for gid, producer in intake.producers.items() if not producer.is_identified),
            key=lambda gid: intake.producers[gid].heard_ns,
        )
        others = len(intake.plan.publishers.keys() - intake.producers.keys())
        for gid in unidentified[: max(len(unidentified) - others, 0)]:
            self.part_with(intake, gid)

    def part_with(self, intake: TopicIntake, gid: bytes) -> None:
        """Retire the ring of a publisher, which may be found again."""
        producer = intake.producers.pop(gid)
        producer.give_up()
        producer.client.release()
        self._writer.retire(producer.client)
        self._absent.add((intake.plan.name, intake.plan.type_name, gid), producer)


class AbsentPublishers:
    """
    Remembers publishers that have left: their clients, and the numbers that are expected of them.

    So one that was only lost by discovery, or whose topic is chosen again, goes on where it was.
    The latest to leave are kept, within a bound; so are their latched messages. Belongs to the
    intake thread.
    """

    def __init__(self) -> None:
        self._producers: dict[_Key, Producer] = {}
        self._latched_bytes = 0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._producers)

    def add(self, key: _Key, producer: Producer) -> None:
        """Remember a publisher that has left."""
        self._producers[key] = producer
        self._latched_bytes += _latched_bytes(producer)
        while len(self._producers) > MOST_ABSENT:
            self.pop(next(iter(self._producers)))
        for oldest in self._producers.values():
            if self._latched_bytes <= MOST_LATCHED_BYTES:
                break
            self._latched_bytes -= _latched_bytes(oldest)
            oldest.client.latest = None

    def pop(self, key: _Key) -> Producer | None:
        """Return and forget a publisher that is found again; None for an unknown one."""
        producer = self._producers.pop(key, None)
        if producer is not None:
            self._latched_bytes -= _latched_bytes(producer)
        return producer


def _latched_bytes(producer: Producer) -> int:
    latest = producer.client.latest
    return len(latest[2]) if latest is not None else 0
