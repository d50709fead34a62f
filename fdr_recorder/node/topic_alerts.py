# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the ground is told of topics: which are not, or only partly, recorded, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
import logging
import os
import time
from typing import Final

from fdr_recorder.alerts import ALERT_GROUPS, AlertBoard
from fdr_recorder.node.other_users import unheard_users
from fdr_recorder.node.qos import refusals
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.node.topic_plan import TopicPlan
from fdr_recorder.record.requested import FAILED, QOS_INCOMPATIBLE, TYPE_UNKNOWN
from rclpy.topic_endpoint_info import TopicEndpointInfo

logger = logging.getLogger(__name__)

FIRST_LOOK_S: Final = 5.0
"""So long after configure, discovery is over: what is not found then may never come."""
_NAMED: Final = 10
"""How many topics a line in the log names."""

_SIMILAR: Final = 0.75

Plans = Mapping[str, TopicPlan]
"""How a topic is recorded, by type."""


class TopicAlerts:
    """
    Raises and clears the alerts about topics, for the graph watch.

    Those about work that fails come from `Quarantine`, and are left alone here.
    """

    def __init__(
        self, alerts: AlertBoard, quarantine: Quarantine, discovery_grace_s: float
    ) -> None:
        self._alerts = alerts
        self._quarantine = quarantine
        self._grace_s = discovery_grace_s
        self._began_at = time.monotonic()
        self._has_looked = False
        self._published_at: dict[str, float] = {}
        """When a required topic was last seen to have a publisher."""
        self.absent: set[str] = set()
        """Required topics that have no publisher now."""
        self._refused: set[str] = set()
        """Topics that are not recorded from all publishers, because of their QoS override."""

    def tell_refusals(
        self, topic: str, plans: Plans, endpoints: Mapping[str, Sequence[TopicEndpointInfo]]
    ) -> bool:
        """Return whether publishers do not offer what an override requests; tell which policy."""
        reasons = [
            reason
            for type_name, plan in plans.items()
            for reason in refusals(plan.qos, endpoints.get(type_name, []))
        ]
        message = f'{topic} is not recorded from all publishers, because of its QoS override: '
        (self._refused.add if reasons else self._refused.discard)(topic)
        self._tell(topic, 'qos_incompatible', message + '; '.join(reasons) if reasons else '')
        return bool(reasons)

    def tell_types(self, topic: str, plans: Plans, published: Collection[str]) -> bool:
        """Return whether a topic is published with several types; tell which."""
        others = sorted({*published} - plans.keys())
        end = f'not recorded: {", ".join(others)}' if others else 'each is recorded'
        message = (
            f'{topic} is published with {len(published)} types, {" and ".join(sorted(published))};'
            f' {end}. A subscriber hears only one of them: give each a topic of its own'
        )
        self._tell(topic, 'type_conflict', message if len(published) > 1 else '')
        return len(published) > 1

    def tell_undefined(self, topic: str, plans: Plans) -> None:
        """Tell which types of a topic are recorded without a definition."""
        unknown = '; '.join(
            _undefined(plan) for plan in plans.values() if not plan.schema.definition
        )
        self._tell(topic, 'type_unknown', unknown, over='installed')

    def tell_not_found(
        self,
        missing: Collection[str],
        found: Collection[str],
        recorded: int,
        count_publishers: Callable[[str], int],
    ) -> None:
        """
        Say once, when discovery is over, what is not recorded.

        That is topics without a publisher, all topics, or those of processes that are not heard.

        Of required topics, an alert says it.

        Args:
            missing: Topics that are wanted by name and not subscribed to.
            found: All topics of the graph: one may be meant.
            recorded: Number of topics that are subscribed to.
            count_publishers: Returns the number of publishers of a topic.

        """
        patience_s = max(FIRST_LOOK_S, self._grace_s)
        if self._has_looked or time.monotonic() - self._began_at < patience_s:
            return
        self._has_looked = True
        required = self.absent | self._published_at.keys()
        missing = [
            topic for topic in missing if topic not in required and not count_publishers(topic)
        ]
        if missing:
            names = [topic + _meant(topic, found) for topic in [*missing][:_NAMED]]
            if len(missing) > _NAMED:
                names.append(f'and {len(missing) - _NAMED} more')
            logger.warning(
                'not recorded so far, for want of a publisher: %s. Recording of each begins once '
                'it has one',
                ', '.join(names),
            )
        domain = os.environ.get('ROS_DOMAIN_ID') or '0'
        users = unheard_users(int(domain)) if domain.isdecimal() else []
        if users:
            logger.warning(
                'processes of %s run on this host: their topics are found, but Fast DDS shares '
                'memory among the processes of one user only, so that nothing of them arrives. '
                'Run the recorder as the same user as they',
                ' and '.join(users),
            )
        causes = {alert.code for alert in self._alerts.present()} & {*ALERT_GROUPS['topics']}
        if not recorded and causes <= {'topic_missing'}:  # else the cause is told
            logger.warning(
                'no topic is recorded so far. Are the names right (`ros2 topic list`), do the '
                'publishers run, and is ROS_DOMAIN_ID, here %s, theirs?',
                domain,
            )

    def tell_missing(
        self, topic: str, *, is_published: bool, found: Collection[str] = ()
    ) -> None:
        """Tell whether a required topic has had no publisher since `discovery_grace_s`."""
        now = time.monotonic()
        if is_published:
            self._published_at[topic] = now
            self.absent.discard(topic)
        else:
            self.absent.add(topic)
        absent_s = now - self._published_at.get(topic, self._began_at)
        is_missing = not is_published and absent_s >= self._grace_s
        missing = ''
        if is_missing:
            missing = f'{topic} is required and has no publisher{_meant(topic, found)}'
        self._tell(topic, 'topic_missing', missing, over='it has a publisher')

    def tell_stale(
        self, topic: str, silence_s: float, stale_after_s: float, *, is_published: bool
    ) -> None:
        """Tell whether a required topic that is published has been silent for too long."""
        stale = (
            f'{topic} is required and has been silent for {silence_s:.0f} s, longer than '
            f'{stale_after_s:g} s'
        )
        is_stale = is_published and 0 < stale_after_s < silence_s
        over = 'it has been heard' if is_published else 'it has no publisher'
        self._tell(topic, 'topic_stale', stale if is_stale else '', over)

    def unrecorded(self) -> dict[str, str]:
        """Return the outcomes of topics that are not recorded from all publishers; any thread."""
        found = {
            topic: TYPE_UNKNOWN if 'type_unknown' in codes else FAILED
            for topic, codes in self._quarantine.codes().items()
        }
        return {**found, **dict.fromkeys(self._refused.copy(), QOS_INCOMPATIBLE)}

    def drop(self, topic: str, why: str = 'it has no publisher') -> None:
        """Clear all alerts about a topic, and say why."""
        self._refused.discard(topic)
        for code in ALERT_GROUPS['topics']:
            self._alerts.clear(code, why, subject=topic)

    def close(self) -> None:
        """Clear all alerts about topics."""
        for code in ALERT_GROUPS['topics']:
            self._alerts.clear_all(code, 'not configured any more')

    def _tell(self, topic: str, code: str, message: str, over: str = 'over') -> None:
        """Raise an alert; without a message, clear it, unless something fails with this code."""
        if message:
            self._alerts.raise_alert(code, message, subject=topic)
        elif not self._quarantine.tells(topic, code):
            self._alerts.clear(code, over, subject=topic)


def _meant(topic: str, found: Collection[str]) -> str:
    """Return a hint at a topic of a similar name, for one that is misspelt."""
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only

    similar = get_close_matches(topic, [name for name in found if name != topic], 1, _SIMILAR)
    return f' (did you mean {similar[0]}?)' if similar else ''


def _undefined(plan: TopicPlan) -> str:
    package = plan.type_name.partition('/')[0]
    return (
        f'{plan.name} is recorded without the definition of {plan.type_name}: what is installed '
        'here is not the version that is published, and its publisher did not tell; install that '
        f'version of {package}'
    )
