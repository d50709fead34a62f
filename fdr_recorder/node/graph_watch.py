# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Watch the graph: subscribe to wanted topics as they appear, adapt to their publishers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
import logging
import math
import threading
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.node.choices import Choice, Choices, compare, Made
from fdr_recorder.node.definitions import Definitions
from fdr_recorder.node.graph_list import GraphList
from fdr_recorder.node.idle import idle_topics, idle_types
from fdr_recorder.node.intake.subscription_protocol import UNKNOWN_GID
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.qos import qos_for
from fdr_recorder.node.quarantine import FAULTS, Quarantine
from fdr_recorder.node.requested_topics import RequestedTopics
from fdr_recorder.node.topic_alerts import TopicAlerts
from fdr_recorder.node.topic_plan import (
    endpoints_by_type,
    node_names,
    plan_topic,
    plan_unlisted,
    TopicPlan,
)
from fdr_recorder.node.wanted_topics import WantedTopics
from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.storage.writer import FileFdrWriter
from fdr_recorder.topics.names import TopicType
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S: Final = 0.1
"""How often to look for topics that are not subscribed to yet; as rosbag2 does."""
REVIEW_INTERVAL_S: Final = 1.0
"""How often to review subscribed topics."""
SETTLING_S: Final = 5.0
"""How long to review a topic after its publishers have changed: the graph learns of an endpoint,
of its node and of its end one after the other."""
CALM_S: Final = 1.0
"""The same, once graph and subscription agree."""
PLAN: Final = 'cannot be recorded'
SUBSCRIBE: Final = 'cannot be subscribed to'
REVIEW: Final = 'is recorded as before, its publishers cannot be reviewed'
REQUIRE: Final = 'cannot be checked, though it is required'
REQUEST: Final = 'topics that were asked for cannot be looked for'
TIDY: Final = 'subscriptions cannot be tidied'
"""Work that can fail, in the words of `Quarantine`."""


class GraphWatch:
    """
    Keep the intake's subscriptions in step with the graph, in a thread of its own.

    A timer of the node would wake the executor, which costs ten times as much as asking the graph.

    Of a topic with several types, each is subscribed to and planned apart.

    Whatever fails for a topic is the concern of that topic alone, or of one type of it:
    `Quarantine` decides when it is tried again. (An import that never returns would hold up the
    watch, though not the intake.)
    """

    def __init__(
        self,
        node: Node,
        intake: IntakeThread,
        config: FdrConfig,
        alerts: AlertBoard,
        quarantine: Quarantine,
        own_topic: TopicPlan,
        writer: FileFdrWriter,
    ) -> None:
        """
        Look at the graph once; then up to ten times a second, from `start` to `stop`.

        The recorder's own topic is subscribed to in any case, published or not.
        """
        self._node = node
        self._intake = intake
        self._quarantine = quarantine
        self._tells = TopicAlerts(alerts, quarantine, config.discovery_grace_s)
        self._definitions = Definitions(node)
        self._depth = config.intake_depth
        self._wanted = WantedTopics(node, config)
        self._requests = RequestedTopics(self._wanted.requested, writer)
        self._list = GraphList(node, quarantine)
        self._graph: dict[str, list[str]] = {}
        self._waiting: set[str] = set()
        """Topics of which a wanted type is not subscribed to."""
        self._plans: dict[str, dict[str, TopicPlan]] = {}
        """By topic and type."""
        self._changed_at: dict[str, float] = {}
        self.choices = Choices()
        """Other configurations, made in other threads."""
        self._made = Made(writer)
        self._chosen: set[str] = set()
        """Topics that were published, and not to be recorded before the last choice."""
        self._own_topic = own_topic
        self._add_own()
        self._reviewed_at = time.monotonic()
        self._look()
        self._require()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def subscribed(self) -> int:
        """Count the wanted topics that are subscribed to."""
        return len(self._plans.keys() - {self._own_topic.name})

    @property
    def asked(self) -> int | None:
        """Count the topics that are wanted; None if others may be recorded as they appear."""
        return None if self._wanted.is_open else len(self._wanted.named)

    @property
    def requested(self) -> tuple[RequestedTopic, ...]:
        """Return what the options ask for by name, for the header of a flight."""
        return self._wanted.requested

    @property
    def missing(self) -> tuple[str, ...]:
        """Topics that are wanted by name and have had no publisher yet."""
        return tuple(topic for topic in self._wanted.named if topic not in self._plans)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name='fdr_watch', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; clear the alerts about topics."""
        self._stopped.set()
        self.choices.wake()
        if self._thread is not None:
            self._thread.join()
        self._definitions.close()
        self._tells.close()

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.choices.wait(self._interval_s())
            with self._quarantine.guard('', TIDY):
                self._check()

    def _check(self) -> None:
        now = time.monotonic()
        choice = self.choices.take()
        if choice is not None:
            self._follow(choice)
        is_review = now - self._reviewed_at > REVIEW_INTERVAL_S - CHECK_INTERVAL_S / 2
        if is_review:
            self._reviewed_at = now
            self._add_own()
        self._look()
        if is_review:
            self._review_changed(now)
            self._release_idle()
            self._quarantine.settle()
        self._require()
        with self._quarantine.guard('', REQUIRE):
            count = self._node.count_publishers
            self._tells.tell_not_found(self.missing, self._graph, self.subscribed, count)
        self.look_for_requested()
        self._intake.tidy()

    def _interval_s(self) -> float:
        """Return the pause until the next look: shorter while something may be missing."""
        is_calm = not (
            self._wanted.is_open
            or self.missing
            or self._tells.absent
            or self._intake.is_adapting
            or self._changed_at
        )
        return REVIEW_INTERVAL_S if is_calm else CHECK_INTERVAL_S

    def _follow(self, choice: Choice) -> None:
        """Record what another configuration asks for."""
        try:
            before, self._wanted = self._wanted, WantedTopics(self._node, choice.config)
            gone, limited = compare(self._plans, self._wanted, self._own_topic.name)
            for plan in gone:
                self._release(plan, is_unwanted=True)
            for plan in limited:
                self._plans[plan.name][plan.type_name] = plan
                self._intake.limit(plan)
            lacking = {*filter(self._is_lacking, self._graph)}
            for topic in self._waiting - lacking - self._plans.keys():
                self._waiting.discard(topic)
                self._quarantine.drop(topic)
                self._tells.drop(topic, 'it is not to be recorded any more')
            self._chosen = lacking - self._waiting
            self._waiting |= lacking
            self._made.note(before, choice.told(self._chosen, (plan.name for plan in gone)))
            self._requests.change(self._wanted.requested)
        finally:
            choice.is_made.set()

    # --- topics without a subscription ---------------------------------------------------

    def _look(self) -> None:
        """Subscribe to wanted topics that now have a publisher."""
        graph = self._list.look()
        if graph is not None:
            self._note(graph)
        if self._list.is_faulty:
            self._waiting.update(self.missing)  # these can be found by their names
        for topic in list(self._waiting):
            self._try(topic)

    def _note(self, graph: dict[str, list[str]]) -> None:
        """Note which topics of the graph are new, or have other types than before."""
        if graph == self._graph:
            return
        before, self._graph = self._graph, graph
        for topic, types in graph.items():
            if types == before.get(topic):
                continue
            if topic in self._plans:
                self._settle(topic)
            self._quarantine.pardon(topic)
            if self._is_lacking(topic):
                self._waiting.add(topic)
        for topic in before.keys() - graph.keys() - self._plans.keys():
            self._quarantine.drop(topic)
        self._waiting &= graph.keys()

    def _is_lacking(self, topic: str) -> bool:
        """Tell whether a topic lacks a subscription; if that cannot be said, it is asked again."""
        with self._quarantine.guard(topic, PLAN):
            return bool(self._lacking(topic))
        return True  # type: ignore[unreachable]

    def _lacking(self, topic: str) -> list[TopicType]:
        """Return the wanted types of a topic, as the graph lists it, that have no subscription."""
        plans = self._plans.get(topic, {})
        return [
            TopicType(topic, type_name)
            for type_name in self._graph.get(topic, ())
            if type_name not in plans and self._wanted.wants(topic, type_name)
        ]

    def _try(self, topic: str) -> None:
        """Subscribe to the wanted types that publishers of a topic have, if it has publishers."""
        if self._quarantine.holds(topic, PLAN):
            return
        with self._quarantine.guard(topic, PLAN):
            lacking = self._lacking(topic)
            if lacking and all(map(self._is_held, lacking)):
                return
            if self._node.count_publishers(topic):
                self._subscribe(topic, lacking)
            if topic in self._plans and not self._lacking(topic):
                self._waiting.discard(topic)

    def _is_held(self, key: TopicType) -> bool:
        return self._quarantine.holds(key, PLAN) or self._quarantine.holds(key, SUBSCRIBE)

    def _subscribe(self, topic: str, lacking: list[TopicType]) -> None:
        """Subscribe to a topic in each wanted type of its publishers, as far as it can be done."""
        override = self._wanted.qos_override(topic)
        try:
            endpoints = endpoints_by_type(self._node.get_publishers_info_by_topic(topic))
        except FAULTS as error:
            if not lacking:
                raise
            self._quarantine.blame(topic, REVIEW, error)
            for key in lacking:
                if not self._is_held(key):
                    with self._quarantine.guard(key, PLAN):
                        self._begin(plan_unlisted(*key, self._depth, override))
            return
        for type_name, of_type in endpoints.items():
            key = TopicType(topic, type_name)
            if type_name in self._plans.get(topic, ()) or self._is_held(key):
                continue
            with self._quarantine.guard(key, PLAN):
                if self._wanted.wants(*key):
                    plan = plan_topic(topic, of_type, self._definitions, self._depth, override)
                    if plan is not None:  # else its definition is awaited
                        self._begin(plan)
        self._tells.tell_refusals(topic, self._plans.get(topic, {}), endpoints)

    def _begin(self, plan: TopicPlan) -> None:
        """Subscribe as planned, and tell if the definition is unknown."""
        plan = replace(plan, max_rate_hz=self._wanted.max_rate(plan.name))
        with self._quarantine.guard(plan.key, SUBSCRIBE, 'type_conflict'):
            self._add(plan)
        if plan.type_name in self._plans.get(plan.name, ()):
            self._quarantine.acquit(plan.key, PLAN)  # before an alert of the same code
            self._tells.tell_undefined(plan.name, self._plans.get(plan.name, {}))

    def _add(self, plan: TopicPlan) -> None:
        """Subscribe as planned."""
        self._intake.add(plan, is_late=plan.name in self._chosen)
        self._made.find(plan.key)
        self._plans.setdefault(plan.name, {})[plan.type_name] = plan
        self._settle(plan.name)

    def _add_own(self) -> None:
        """Subscribe to the recorder's own topic, published or not."""
        topic = self._own_topic.name
        if topic not in self._plans and not self._quarantine.holds(topic, PLAN):
            with self._quarantine.guard(topic, PLAN):
                self._add(self._own_topic)

    # --- subscribed topics ---------------------------------------------------------------

    def _settle(self, topic: str) -> None:
        """Review a topic for a while from now on."""
        self._changed_at[topic] = time.monotonic()

    def _review_changed(self, now: float) -> None:
        """Review topics whose publishers have changed; the others cost almost nothing."""
        for topic in self._intake.changed_topics():
            self._settle(topic)
        for topic, changed_at in list(self._changed_at.items()):
            if topic not in self._plans:
                del self._changed_at[topic]
                continue
            if self._quarantine.holds(topic, REVIEW):
                continue
            patience_s = math.inf
            with self._quarantine.guard(topic, REVIEW):
                patience_s = CALM_S if self._review(topic) else SETTLING_S
            if now - changed_at > patience_s and self._changed_at[topic] == changed_at:
                del self._changed_at[topic]
                self._release_idle_types(topic)

    def _release_idle_types(self, topic: str) -> None:
        """Unsubscribe from types of a topic that no publisher has any more; one stays."""
        for plan in idle_types(self._plans[topic]):
            if plan.key != self._own_topic.key:
                self._release(plan)

    def _release_idle(self) -> None:
        """Unsubscribe from topics found by a pattern, once too many have lost their publishers."""
        kept = {self._own_topic.name, *self._wanted.named, *self._wanted.required}
        for topic in idle_topics(self._plans, kept):
            for plan in list(self._plans[topic].values()):
                self._release(plan)
            self._tells.drop(topic)

    def _release(self, plan: TopicPlan, *, is_unwanted: bool = False) -> None:
        """Unsubscribe from a topic in one type."""
        self._intake.remove(plan.key, is_unwanted=is_unwanted)
        del self._plans[plan.name][plan.type_name]
        self._waiting.add(plan.name)  # it may come back
        if not self._plans[plan.name]:
            del self._plans[plan.name]
            self._quarantine.drop(plan.name)
        self._tells.tell_undefined(plan.name, self._plans.get(plan.name, {}))

    def _review(self, topic: str) -> bool:
        """
        Retire the rings of publishers that have left; adapt to those that have come.

        Returns:
            Whether the graph has as many publishers as the subscriptions, and the node of each:
            then it most likely knows everything.

        """
        endpoints = endpoints_by_type(self._node.get_publishers_info_by_topic(topic))
        if endpoints and not endpoints.keys() & self._plans[topic].keys():
            self._replace_types(topic, endpoints)
        recorded = self._plans.get(topic, {})
        wanted = [name for name in endpoints if self._wanted.wants(topic, name)]
        is_known = not endpoints or recorded.keys() == endpoints.keys() & {*wanted}
        for plan in list(recorded.values()):
            is_known &= self._review_type(plan, endpoints.get(plan.type_name, []))
        is_wrong = self._tells.tell_refusals(topic, recorded, endpoints)
        if self._tells.tell_types(topic, recorded, wanted) or is_wrong:
            self._settle(topic)  # until that is over
        return is_known

    def _replace_types(self, topic: str, endpoints: Iterable[str]) -> None:
        """Unsubscribe from types that no publisher has any more, to subscribe to others."""
        if topic == self._own_topic.name or not any(
            self._wanted.wants(topic, type_name) for type_name in endpoints
        ):
            return
        for plan in list(self._plans[topic].values()):
            self._release(plan)
        self._try(topic)

    def _review_type(self, plan: TopicPlan, endpoints: Sequence[TopicEndpointInfo]) -> bool:
        """Review a topic in one type; return as `_review`."""
        key, nodes = plan.key, node_names(endpoints)
        gone = (plan.publishers.keys() | self._intake.publishers(key)) - nodes.keys()
        if nodes != plan.publishers:
            plan = self._plans[plan.name][plan.type_name] = replace(plan, publishers=nodes)
            self._intake.name_publishers(key, nodes)
        if not nodes:
            gone.add(UNKNOWN_GID)
        if gone:
            self._intake.forget_publishers(key, gone)
        override = self._wanted.qos_override(plan.name)
        if endpoints and (qos := qos_for(endpoints, self._depth, override)) != plan.qos:
            plan = replace(plan, qos=qos)  # adapt to what the publishers offer now
            self._intake.replace(plan)
            self._plans[plan.name][plan.type_name] = plan
        return all(nodes.values()) and len(endpoints) == self._intake.matched(key)

    def _require(self) -> None:
        """Raise alerts for required topics without a publisher, or without messages."""
        for topic, stale_after_s in self._wanted.required.items():
            with self._quarantine.guard(topic, REQUIRE):
                is_published = self._node.count_publishers(topic) > 0
                self._tells.tell_missing(topic, is_published=is_published, found=self._graph)
                plans = self._plans.get(topic, {}).values()
                silence_s = self._intake.silence_s(plan.key for plan in plans)
                self._tells.tell_stale(topic, silence_s, stale_after_s, is_published=is_published)

    # --- what was asked for ----------------------------------------------------------------

    def look_for_requested(self) -> None:
        """Tell the open flight what is seen now of what the options ask for; any thread."""
        with self._quarantine.guard('', REQUEST):
            faults = self._tells.unrecorded()
            published = {topic: faults[topic] for topic in faults if self._is_published(topic)}
            self._requests.look(self._graph, self._is_published, published)

    def _is_published(self, topic: str) -> bool:
        """Return whether a topic is to be recorded and has a publisher."""
        plans = self._plans.get(topic, {})
        is_listed = any(plan.publishers for plan in list(plans.values()))
        may_be = is_listed or topic in self._waiting or self._quarantine.faults(topic, REVIEW) > 0
        return may_be and self._node.count_publishers(topic) > 0
