# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The topics of which messages are left out, so that they are recorded at a rate at most."""

from __future__ import annotations

from collections.abc import Iterable, Set

from fdr_recorder.capture.throttle import Pause, Throttle
from fdr_recorder.node.intake.topic_intake import TopicIntake
from fdr_recorder.node.topic_plan import TopicPlan


class Throttles:
    """
    Has a throttle for each topic with a rate, for all its publishers and types.

    Belongs to the intake thread.
    """

    def __init__(self) -> None:
        """Begin without a topic."""
        self._by_topic: dict[str, Throttle] = {}
        self._pause: Pause | None = None
        self._always: Set[str] = frozenset()

    def pause(self, always: Set[str] | None) -> None:
        """Leave out the messages of all topics but some; None ends that. `apply` must follow."""
        if always is None:
            self._pause = None
        else:
            self._pause, self._always = Pause(), always

    def apply(self, intakes: Iterable[TopicIntake]) -> None:
        """Leave out messages of topics as their plans and a pause ask from now on."""
        for intake in intakes:
            throttle = self.of(intake.plan)
            for producer in intake.producers.values():
                producer.client.limit(throttle)

    def __bool__(self) -> bool:
        """Tell whether there is such a topic."""
        return bool(self._by_topic)

    def of(self, plan: TopicPlan) -> Throttle | None:
        """Return the throttle of a topic, at the rate of the plan; None without one."""
        if self._pause is not None and plan.name not in self._always:
            return self._pause
        if not plan.max_rate_hz:
            self._by_topic.pop(plan.name, None)
            return None
        throttle = self._by_topic.get(plan.name)
        if throttle is None:
            throttle = self._by_topic[plan.name] = Throttle(plan.max_rate_hz)
        elif throttle.rate_hz != plan.max_rate_hz:
            throttle.set_rate(plan.max_rate_hz)
        return throttle

    def drop(self, topic: str) -> None:
        """Forget a topic that is not recorded any more in any type."""
        self._by_topic.pop(topic, None)

    def release(self, now_ns: int) -> None:
        """Have newest messages of latched topics recorded if it is time (CLOCK_MONOTONIC)."""
        for throttle in self._by_topic.values():
            if throttle.holders:
                throttle.release(now_ns)

    def release_all(self) -> None:
        """Have the newest messages of latched topics recorded: the flight ends."""
        for throttle in self._by_topic.values():
            throttle.release_all()
        if self._pause is not None:
            self._pause.release_all()
