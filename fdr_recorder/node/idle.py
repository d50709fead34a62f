# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which topics, and which types of them, need not be subscribed to: nobody publishes them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from fdr_recorder.node.topic_plan import TopicPlan

MOST_IDLE: Final = 100
"""Topics without publishers that stay subscribed to: they may come back. Names of topics that come
and go must not add up."""


def idle_topics(
    plans: Mapping[str, Mapping[str, TopicPlan]], kept: Container[str]
) -> list[str]:
    """Return topics without publishers, beyond `MOST_IDLE`; those that are kept do not count."""
    idle = [
        topic
        for topic, types in plans.items()
        if topic not in kept and not any(plan.publishers for plan in types.values())
    ]
    return idle[: max(len(idle) - MOST_IDLE, 0)]


def idle_types(types: Mapping[str, TopicPlan]) -> list[TopicPlan]:
    """Return the types of a topic that no publisher has any more; one stays."""
    plans = sorted(types.values(), key=lambda plan: not plan.publishers)
    return [plan for plan in plans[1:] if not plan.publishers]
