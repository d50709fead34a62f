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

from dataclasses import replace
from functools import partial
import logging
import math
import threading
import time
from typing import Final

from fdr_recorder.alerts import ALERT_GROUPS, AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import TypeUnknownError
from fdr_recorder.node.definitions import Definitions
from fdr_recorder.node.intake.subscription_protocol import UNKNOWN_GID
from fdr_recorder.node.intake.thread import IntakeThread
from fdr_recorder.node.qos import NO_OVERRIDE, qos_for, refusals
from fdr_recorder.node.quarantine import FAULTS, Quarantine
from fdr_recorder.node.topic_plan import node_names, plan_topic, plan_unlisted, TopicPlan
from fdr_recorder.topics.names import absolute
from fdr_recorder.topics.qos_overrides import parse_qos_overrides
from fdr_recorder.topics.selection import TopicSelection
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
MOST_IDLE: Final = 100
"""Topics without publishers that stay subscribed to: they may come back. Names of topics that come
and go must not add up."""
CALM_S: Final = 1.0
"""The same, once graph and subscription agree."""
PLAN: Final = 'cannot be recorded'
SUBSCRIBE: Final = 'cannot be subscribed to'
LIST: Final = 'topics cannot be listed'
LIST_NODES: Final = 'topics of a node cannot be listed'
REVIEW: Final = 'is recorded as before, its publishers cannot be reviewed'
REQUIRE: Final = 'cannot be checked, though it is required'
TIDY: Final = 'subscriptions cannot be tidied'
"""Work that can fail, in the words of `Quarantine`."""


class GraphWatch:
    """
    Keep the intake's subscriptions in step with the graph, in a thread of its own.

    A timer of the node would wake the executor, which costs ten times as much as asking the graph.

    Whatever fails for a topic is the concern of that topic alone: `Quarantine` decides when it is
    tried again. (An import that never returns would hold up the watch, though not the intake.)
    """

    def __init__(
        self,
        node: Node,
        intake: IntakeThread,
        config: FdrConfig,
        alerts: AlertBoard,
        quarantine: Quarantine,
        own_topic: TopicPlan,
    ) -> None:
        """
        Look at the graph once; then up to ten times a second, from `start` to `stop`.

        The recorder's own topic is subscribed to in any case, published or not.
        """
        self._node = node
        self._intake = intake
        self._alerts = alerts
        self._quarantine = quarantine
        self._definitions = Definitions(node)
        self._depth = config.intake_depth
        namespace, node_name = node.get_namespace(), node.get_fully_qualified_name()
        self._selection = TopicSelection(config, lambda name: absolute(name, namespace, node_name))
        if not self._selection.names and not self._selection.is_open:
            logger.warning('no topics are chosen: only the flight header is recorded')
        resolve = node.resolve_topic_name  # applies remappings
        overrides, _ = parse_qos_overrides(config.qos_profile_overrides)
        self._overrides = {resolve(name): policies for name, policies in overrides.items()}
        self._required = {
            resolve(name): stale_after_s
            for name, stale_after_s in self._selection.required.items()
        }
        self._named = {
            resolve(name): name
            for name in self._selection.names
            if resolve(name) in self._required or not self._selection.excludes(resolve(name))
        }
        self._graph: dict[str, list[str]] = {}
        self._waiting: set[str] = set()
        self._plans: dict[str, TopicPlan] = {}
        self._changed_at: dict[str, float] = {}
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
    def missing(self) -> tuple[str, ...]:
        """Topics that are wanted by name and have had no publisher yet."""
        return tuple(topic for topic in self._named if topic not in self._plans)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name='fdr_watch', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; clear the alerts about topics."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._definitions.close()
        for code in ALERT_GROUPS['topics']:
            self._alerts.clear_all(code, 'not configured any more')

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s()):
            with self._quarantine.guard('', TIDY):
                self._check()

    def _check(self) -> None:
        now = time.monotonic()
        is_review = now - self._reviewed_at > REVIEW_INTERVAL_S - CHECK_INTERVAL_S / 2
        if is_review:
            self._reviewed_at = now
            self._add_own()
        self._look()
        if is_review:
            self._review_changed(now)
            self._release_idle()
            self._require()
            self._quarantine.settle()
        self._intake.tidy()

    def _interval_s(self) -> float:
        """Return the pause until the next look: shorter while a topic may be missing."""
        is_calm = not (self._selection.is_open or self.missing or self._intake.is_adapting)
        return REVIEW_INTERVAL_S if is_calm else CHECK_INTERVAL_S

    # --- topics without a subscription ---------------------------------------------------

    def _look(self) -> None:
        """Subscribe to wanted topics that now have a publisher."""
        if not self._quarantine.holds('', LIST):
            with self._quarantine.guard('', LIST, longest_s=REVIEW_INTERVAL_S):
                self._note(dict(self._node.get_topic_names_and_types()))
            if self._quarantine.faults('', LIST):
                with self._quarantine.guard('', LIST_NODES):
                    self._note(self._topics_of_nodes())
        if self._quarantine.faults('', LIST):
            self._waiting.update(self.missing)  # these can be found by their names
        for topic in list(self._waiting):
            self._try(topic)

    def _topics_of_nodes(self) -> dict[str, list[str]]:
        """
        Return topics and types, asked for node by node.

        One name that is not UTF-8 makes the middleware's whole list unreadable. That of each other
        node is not.
        """
        graph: dict[str, set[str]] = {}
        for name, namespace in self._node.get_node_names_and_namespaces():
            with self._quarantine.guard('', LIST_NODES):
                topics = self._node.get_publisher_names_and_types_by_node(name, namespace)
                for topic, types in topics:
                    graph.setdefault(topic, set()).update(types)
        return {topic: sorted(types) for topic, types in graph.items()}

    def _try(self, topic: str) -> None:
        """Subscribe to a topic if it has a publisher, unless it is in quarantine."""
        if self._quarantine.holds(topic, PLAN) or self._quarantine.holds(topic, SUBSCRIBE):
            return
        with self._quarantine.guard(topic, PLAN):
            if self._node.count_publishers(topic):
                self._subscribe(topic)

    def _note(self, graph: dict[str, list[str]]) -> None:
        """Note which topics of the graph are new, or have other types than before."""
        if graph == self._graph:
            return
        for topic, types in graph.items():
            if types == self._graph.get(topic):
                continue
            if topic in self._plans:
                self._settle(topic)
                continue
            self._quarantine.pardon(topic)
            is_wanted = True  # if that cannot be said, it is asked again
            with self._quarantine.guard(topic, PLAN):
                is_wanted = any(self._wants(topic, type_name) for type_name in types)
            if is_wanted:
                self._waiting.add(topic)
        for topic in self._graph.keys() - graph.keys() - self._plans.keys():
            self._quarantine.drop(topic)
        self._waiting &= graph.keys()
        self._graph = graph

    def _wants(self, topic: str, type_name: str) -> bool:
        """Return whether to record a topic of the graph, if it has this type."""
        name = self._named.get(topic)
        if name is not None:
            return self._selection.wants(name, type_name)
        if not self._selection.wants(topic, type_name):
            return False
        return self._node.resolve_topic_name(topic) == topic  # else it means another one here

    def _subscribe(self, topic: str) -> None:
        """Subscribe to a topic, unless it has no publisher yet or its definition is awaited."""
        override = self._overrides.get(topic, NO_OVERRIDE)
        wants_type = partial(self._wants, topic)
        try:
            plan = plan_topic(
                self._node, topic, self._definitions, self._depth, override, wants_type
            )
        except TypeUnknownError:
            raise
        except FAULTS as error:
            types = [name for name in self._graph.get(topic, ()) if wants_type(name)]
            if not types:
                raise
            self._quarantine.blame(topic, REVIEW, error)
            plan = plan_unlisted(topic, types[0], self._depth, override)
        if plan is None:
            return
        with self._quarantine.guard(topic, SUBSCRIBE, 'type_conflict'):
            self._add(plan)
        if topic not in self._plans:
            return
        self._waiting.discard(topic)
        self._quarantine.acquit(topic, PLAN)  # before an alert of the same code
        unknown = '' if plan.schema.definition else _undefined(plan)
        self._tell(topic, 'type_unknown', unknown, over='installed')
        self._tell(topic, 'type_conflict', '', over=f'it is recorded as {plan.type_name}')

    def _add(self, plan: TopicPlan) -> None:
        """Subscribe as planned."""
        self._intake.add(plan)
        self._plans[plan.name] = plan
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

    def _release_idle(self) -> None:
        """Unsubscribe from topics found by a pattern, once too many have lost their publishers."""
        kept = {self._own_topic.name, *self._named, *self._required}
        idle = [
            topic
            for topic, plan in self._plans.items()
            if not plan.publishers and topic not in kept
        ]
        for topic in idle[: max(len(idle) - MOST_IDLE, 0)]:
            self._intake.remove(topic)
            del self._plans[topic]
            self._waiting.add(topic)  # it may come back
            for code in ALERT_GROUPS['topics']:
                self._alerts.clear(code, 'it has no publisher', subject=topic)

    def _review(self, topic: str) -> bool:
        """
        Retire the rings of publishers that have left; adapt to those that have come.

        Returns:
            Whether the graph has as many publishers as the subscription, and the node of each:
            then it most likely knows everything.

        """
        plan = self._plans[topic]
        endpoints = self._node.get_publishers_info_by_topic(topic)
        ours = [endpoint for endpoint in endpoints if endpoint.topic_type == plan.type_name]
        others = {endpoint.topic_type for endpoint in endpoints} - {plan.type_name}
        others = {type_name for type_name in others if self._wants(topic, type_name)}
        if others and not ours:
            self._intake.remove(topic)
            del self._plans[topic]
            self._waiting.add(topic)
            self._try(topic)
            return False
        nodes = node_names(endpoints)
        gone = (plan.publishers.keys() | self._intake.publishers(topic)) - nodes.keys()
        if nodes != plan.publishers:
            plan = self._plans[topic] = replace(plan, publishers=nodes)
            self._intake.name_publishers(topic, nodes)
        if not nodes:
            gone.add(UNKNOWN_GID)
        if gone:
            self._intake.forget_publishers(topic, gone)
        self._adapt(plan, ours)
        self._warn(
            topic,
            'type_conflict',
            f'{topic} is recorded as {plan.type_name}; it also has publishers of '
            f'{", ".join(sorted(others))}, which are not recorded: a topic has one type'
            if others
            else '',
        )
        is_known = not others and all(nodes.values())
        return is_known and len(ours) == self._intake.matched(topic)

    def _adapt(self, plan: TopicPlan, endpoints: list[TopicEndpointInfo]) -> None:
        """Adapt the subscription to the QoS that the publishers offer now."""
        if not endpoints:
            return
        qos = qos_for(endpoints, self._depth, self._overrides.get(plan.name, NO_OVERRIDE))
        if qos != plan.qos:
            plan = replace(plan, qos=qos)
            self._intake.replace(plan)
            self._plans[plan.name] = plan
        reasons = '; '.join(refusals(qos, endpoints))
        self._warn(
            plan.name,
            'qos_incompatible',
            f'{plan.name} is not recorded from all publishers, because of its QoS override: '
            f'{reasons}'
            if reasons
            else '',
        )

    def _warn(self, topic: str, code: str, message: str) -> None:
        """Raise or clear an alert; review the topic while it is present."""
        self._tell(topic, code, message)
        if message:
            self._settle(topic)

    def _require(self) -> None:
        """Raise alerts for required topics without a publisher, or without messages."""
        for topic, stale_after_s in self._required.items():
            with self._quarantine.guard(topic, REQUIRE):
                self._check_required(topic, stale_after_s)

    def _check_required(self, topic: str, stale_after_s: float) -> None:
        is_published = self._node.count_publishers(topic) > 0
        silence_s = self._intake.silence_s(topic)
        missing = '' if is_published else f'{topic} is required and has no publisher'
        self._tell(topic, 'topic_missing', missing, over='it has a publisher')
        stale = (
            f'{topic} is required and has been silent for {silence_s:.0f} s, longer than '
            f'{stale_after_s:g} s'
        )
        is_stale = is_published and 0 < stale_after_s < silence_s
        over = 'it has been heard' if is_published else 'it has no publisher'
        self._tell(topic, 'topic_stale', stale if is_stale else '', over)

    def _tell(self, topic: str, code: str, message: str, over: str = 'over') -> None:
        """Raise an alert; without a message, clear it."""
        if message:
            self._alerts.raise_alert(code, message, subject=topic)
        else:
            self._alerts.clear(code, over, subject=topic)


def _undefined(plan: TopicPlan) -> str:
    package = plan.type_name.partition('/')[0]
    return (
        f'{plan.name} is recorded without the definition of {plan.type_name}: what is installed '
        'here is not the version that is published, and its publisher did not tell; install that '
        f'version of {package}'
    )
