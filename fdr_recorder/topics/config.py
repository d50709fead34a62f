# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The options that say which topics are recorded, and how they are subscribed to."""

from __future__ import annotations

import math
from typing import Final

from fdr_recorder.config_base import Configuration, option
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.names import (
    OWN_NAMESPACE,
    wrong_names,
    wrong_patterns,
    wrong_regex,
    wrong_types,
)
from fdr_recorder.topics.qos_overrides import wrong_qos_overrides

MAX_STALE_AFTER_S: Final = 86_400.0
LEAST_RATE_HZ: Final = 0.0001
MOST_RATE_HZ: Final = 1_000_000.0


def _wrong_topics(names: tuple[str, ...]) -> str:
    own = [name for name in names if f'{name}/'.startswith(OWN_NAMESPACE)]
    if own:
        return f'{", ".join(own)}: {OWN_NAMESPACE}... is kept for the recorder itself'
    return wrong_patterns(names)


def _wrong_required(entries: tuple[str, ...]) -> str:
    parts = [entry.partition('=') for entry in entries]
    names = tuple(name for name, _, _ in parts)
    if wrong := wrong_names(names) or _wrong_topics(names):
        return wrong
    for name, equals, seconds in parts:
        if equals and not _is_stale_time(seconds):
            return f'{name}={seconds}: after = must stand seconds, 0 to {MAX_STALE_AFTER_S:.0f}'
    return ''


def _is_stale_time(text: str) -> bool:
    try:
        return 0 <= float(text) <= MAX_STALE_AFTER_S
    except ValueError:
        return False


def _wrong_rates(entries: tuple[str, ...]) -> str:
    seen = set()
    for entry in entries:
        name, equals, rate = entry.partition('=')
        if wrong := wrong_patterns([name]):
            return wrong
        if not equals:
            return f'{name}: a rate is missing; write {name}=10 for 10 messages a second'
        try:
            rate_hz = float(rate)
        except ValueError:
            rate_hz = math.nan
        if rate_hz == 0:
            return f'{entry}: a topic of which nothing is to be recorded belongs in `exclude`'
        if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
            return (
                f'{entry}: after = must stand messages a second, {LEAST_RATE_HZ:g} to '
                f'{MOST_RATE_HZ:.0f}'
            )
        if name in seen:
            return f'{name}: has two rates; which one is meant?'
        seen.add(name)
    return ''


@dataclass(frozen=True)
class TopicConfig(Configuration):
    """Options that choose topics, named as in rosbag2 where it has the same option."""

    topics: tuple[str, ...] = option(
        (),
        'Topics to record: names, or patterns in which ? stands for one character and * for any '
        'number of them, both without /, and ** for any number with /. Names without a leading / '
        'or ~/ are relative to the namespace of the node. `/fdr/...` is reserved.',
        check=_wrong_topics,
        changeable='always',
    )
    regex: str = option(
        '',
        'Also record topics, services and actions whose name contains a match of this regular '
        "expression (Python's syntax).",
        check=wrong_regex,
    )
    topic_types: tuple[str, ...] = option(
        (), 'Also record topics of these types, for example sensor_msgs/msg/Imu.',
        check=wrong_types,
    )
    all_topics: bool = option(False, 'Record all topics that are not hidden.')
    include_hidden_topics: bool = option(
        False,
        'Patterns, regex, topic_types and all_topics also find hidden topics, those with a part '
        'that begins with _. Otherwise only names and patterns that spell such a part find them.',
    )
    services: tuple[str, ...] = option(
        (),
        'Services to record, like topics: requests and responses, if introspection is on in the '
        'server or the client.',
        check=wrong_patterns,
    )
    all_services: bool = option(False, 'Record all services whose introspection is on.')
    actions: tuple[str, ...] = option(
        (),
        'Actions to record, like topics: feedback and status, and, if introspection is on, '
        'goals, results and cancellations.',
        check=wrong_patterns,
    )
    all_actions: bool = option(False, 'Record all actions.')
    exclude: tuple[str, ...] = option(
        (),
        'Topics, services and actions not to record, whatever else names them: names or patterns '
        'like those of `topics`. Here a pattern also finds hidden ones.',
        check=wrong_patterns,
        changeable='always',
    )
    exclude_regex: str = option(
        '',
        'Do not record topics, services and actions whose name contains a match of this regular '
        'expression.',
        check=wrong_regex,
    )
    exclude_topic_types: tuple[str, ...] = option(
        (), 'Do not record topics of these types.', check=wrong_types
    )
    max_rate: tuple[str, ...] = option(
        (),
        'Record topics at a rate at most: /camera/**=2.0 leaves out messages beyond 2 a second of '
        'each topic that matches, all publishers of a topic together. Names or patterns like '
        'those of `topics`. Of several for one topic its name counts, else the first pattern in '
        'the list. Of a latched topic the newest message is always recorded. What is left out is '
        'counted (records_throttled) and is no loss. Messages per second.',
        check=_wrong_rates,
        changeable='always',
    )
    required: tuple[str, ...] = option(
        (),
        'Topics, by name, that are recorded whatever the others say, and must be there: '
        'diagnostics show a warning while one has no publisher (see `discovery_grace_s`), or has '
        'been silent for longer than `stale_after_s`. /imu/data=0.5 sets another time for one '
        'topic; /map=0 turns the check off.',
        check=_wrong_required,
    )
    record_parameters: bool = option(
        False,
        'Record the parameters of all nodes: their values when a flight begins, or when a node '
        'comes later, and their changes, which are on /parameter_events.',
    )
    discovery_grace_s: float = option(
        5.0,
        'A required topic is missing once it has had no publisher for so long: discovery takes a '
        'second or two, and a node that is started again a little longer. Seconds.',
        0.0,
        3600.0,
    )
    stale_after_s: float = option(
        0.0,
        'A required topic is stale when its last message is older than this; 0 for never. '
        'Checked once a second. Seconds.',
        0.0,
        MAX_STALE_AFTER_S,
    )
    qos_profile_overrides: str = option(
        '',
        'QoS of single topics: YAML text in the form of rosbag2, {/imu/data: {reliability: '
        'best_effort, depth: 10}}. Policies that are not named are adapted to the publishers.',
        check=wrong_qos_overrides,
    )
    qos_profile_overrides_path: str = option(
        '',
        'A YAML file of such overrides, as for `ros2 bag record --qos-profile-overrides-path`; '
        '`qos_profile_overrides` takes precedence.',
    )
    intake_depth: int = option(
        4000,
        'Messages of each topic that the middleware keeps while the intake is busy with others '
        '(the depth of its subscriptions). A greater depth bridges longer bursts; large messages '
        'then take memory beyond ring.total_bytes.',
        1,
        100_000,
    )
    intake_via_executor: bool = option(
        False,
        'Take messages through an executor of rclpy, which keeps up with some 8,000 a second '
        'instead of 30,000 and more. Always on with a version of rclpy whose internals the '
        'recorder does not know.',
    )

    def stale_times(self) -> dict[str, float]:
        """Return the seconds after which each required topic is stale; 0 for never."""
        return {
            name: float(seconds) if seconds else self.stale_after_s
            for name, _, seconds in (entry.partition('=') for entry in self.required)
        }
