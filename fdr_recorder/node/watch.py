"""Watches the graph: subscribes to wanted topics as they appear, notices publishers that leave."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from rclpy.node import Node

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.node.ingest import Ingest
from fdr_recorder.node.topics import (
    TopicPlan,
    TypeUnknownError,
    is_compatible,
    plan_topic,
    publisher_gid,
    qos_for,
)

CHECK_INTERVAL_S: Final = 0.1
"""How often the graph is asked for topics that are not subscribed to yet; as rosbag2 does."""
REVIEW_INTERVAL_S: Final = 1.0
"""How often it is asked for the publishers of the others."""


class TopicWatch:
    """Keeps the intake's subscriptions in step with the graph; in the executor's thread."""

    def __init__(self, node: Node, ingest: Ingest, config: FdrConfig, alerts: AlertBoard) -> None:
        """Look at the graph once, then ten times a second until `stop`."""
        self._node = node
        self._ingest = ingest
        self._alerts = alerts
        names = [node.resolve_topic_name(name) for name in config.topics]
        excluded = {node.resolve_topic_name(name) for name in config.exclude}
        self._depth = config.intake_depth
        self._wanted = [name for name in dict.fromkeys(names) if name not in excluded]
        self._required = [node.resolve_topic_name(name) for name in config.required]
        self._plans: dict[str, TopicPlan] = {}
        self._publishers: dict[str, set[bytes]] = {}
        self._reviewed_at = time.monotonic()
        self._subscribe()
        self._require()
        self._timer = node.create_timer(CHECK_INTERVAL_S, self._check)

    @property
    def subscribed(self) -> int:
        """How many topics are subscribed to."""
        return len(self._plans)

    @property
    def missing(self) -> tuple[str, ...]:
        """Wanted topics that nobody has published yet."""
        return tuple(topic for topic in self._wanted if topic not in self._plans)

    def stop(self) -> None:
        """Look no more; what was wrong with topics is over."""
        self._node.destroy_timer(self._timer)
        for code in ('topic_missing', 'topic_stale', 'type_unknown'):
            self._alerts.clear_all(code, 'not configured any more')

    def _check(self) -> None:
        if len(self._plans) < len(self._wanted):
            self._subscribe()
        now = time.monotonic()
        if now - self._reviewed_at >= REVIEW_INTERVAL_S:
            self._reviewed_at = now
            self._review()
            self._require()
        self._pace()

    def _pace(self) -> None:
        """Look more often while a topic is missing; each look wakes the executor, for 1 ms."""
        is_complete = len(self._plans) == len(self._wanted)
        interval_s = REVIEW_INTERVAL_S if is_complete else CHECK_INTERVAL_S
        self._timer.timer_period_ns = int(interval_s * 1e9)

    def _subscribe(self) -> None:
        """Subscribe to wanted topics that have a publisher now."""
        published = {name for name, _ in self._node.get_topic_names_and_types()}
        for topic in self._wanted:
            if topic in self._plans or topic not in published:
                continue
            try:
                plan = plan_topic(self._node, topic, self._depth)
            except TypeUnknownError as error:
                self._alerts.raise_alert('type_unknown', str(error), subject=topic)
                continue
            if plan is not None:
                self._plans[topic] = plan
                self._publishers[topic] = set(plan.publishers)
                self._ingest.add(plan)
                self._alerts.clear('type_unknown', 'installed', subject=topic)

    def _review(self) -> None:
        """Give back the rings of publishers that have left; adapt to those that have come."""
        self._ingest.tidy()
        for topic, plan in list(self._plans.items()):
            endpoints = self._node.get_publishers_info_by_topic(topic)
            present = {publisher_gid(endpoint) for endpoint in endpoints}
            known = self._publishers[topic] | self._ingest.publishers(topic)
            self._publishers[topic] = present
            if known - present:
                self._ingest.forget_publishers(topic, known - present)
            if present - known and not is_compatible(plan.qos, endpoints):
                self._plans[topic] = replace(plan, qos=qos_for(endpoints, self._depth))
                self._ingest.replace(self._plans[topic])

    def _require(self) -> None:
        """Warn of required topics without a publisher."""
        for topic in self._required:
            if self._node.count_publishers(topic):
                self._alerts.clear('topic_missing', 'it has a publisher', subject=topic)
            else:
                self._alerts.raise_alert(
                    'topic_missing', f'{topic} is required and has no publisher', subject=topic
                )
