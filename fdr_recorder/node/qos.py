# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""QoS of subscriptions: adapted to the publishers, overridden by topic, stored in bags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
import json
from pathlib import Path
from typing import Any, Final

from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.record.offered_qos import qos_list, with_names
from fdr_recorder.topics.qos_overrides import BEST_AVAILABLE, DURATIONS, merge_qos_overrides
from fdr_recorder.units import NS_PER_S
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    qos_check_compatible,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

_POLICIES: Final[Mapping[str, Any]] = {
    'history': HistoryPolicy,
    'reliability': ReliabilityPolicy,
    'durability': DurabilityPolicy,
    'liveliness': LivelinessPolicy,
}
NO_OVERRIDE: Final[Mapping[str, Any]] = {}


def with_qos_file(config: FdrConfig) -> FdrConfig:
    """
    Return the configuration with the overrides of `qos_profile_overrides_path` merged in.

    Raises:
        ConfigInvalidError: The file cannot be read, or names every mistake in it.

    """
    if not config.qos_profile_overrides_path:
        return config
    path = Path(config.qos_profile_overrides_path).expanduser()
    option = f'qos_profile_overrides_path: {path}'
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise ConfigInvalidError([f'{option}: {reason}']) from error
    merged, mistakes = merge_qos_overrides(text, config.qos_profile_overrides)
    if mistakes:
        raise ConfigInvalidError([f'{option}: {mistake}' for mistake in mistakes])
    return replace(config, qos_profile_overrides=merged)


def qos_for(
    endpoints: Sequence[TopicEndpointInfo],
    depth: int,
    override: Mapping[str, Any] = NO_OVERRIDE,
) -> QoSProfile:
    """
    Return the strictest QoS that every publisher is compatible with, as rosbag2 does.

    Without endpoints, any publisher is compatible with it. The middleware keeps `depth` messages
    while the intake is busy. The policies of `override` (see `parse_qos_overrides`) take
    precedence.
    """
    offered = [endpoint.qos_profile for endpoint in endpoints]
    is_reliable = bool(offered) and all(
        qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered
    )
    is_latched = bool(offered) and all(
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered
    )
    profile: dict[str, Any] = {
        'history': HistoryPolicy.KEEP_LAST,
        'depth': depth,
        'reliability': ReliabilityPolicy['RELIABLE' if is_reliable else 'BEST_EFFORT'],
        'durability': DurabilityPolicy['TRANSIENT_LOCAL' if is_latched else 'VOLATILE'],
    }
    for policy, value in override.items():
        if policy in DURATIONS:
            profile[policy] = Duration(nanoseconds=value)
        elif policy == 'depth':
            profile[policy] = value
        elif value != BEST_AVAILABLE:  # adapting does that
            profile[policy] = _POLICIES[policy][value.upper()]
    return QoSProfile(**profile)


def refusals(requested: QoSProfile, endpoints: Sequence[TopicEndpointInfo]) -> list[str]:
    """Return each reason why a subscription does not receive from some of the publishers."""
    checks = (qos_check_compatible(endpoint.qos_profile, requested) for endpoint in endpoints)
    reasons = (text for result, text in checks if result == QoSCompatibility.ERROR)
    return list(dict.fromkeys(text.removeprefix('ERROR: ').rstrip('; ') for text in reasons))


def offered_qos_profiles(endpoints: Sequence[TopicEndpointInfo]) -> str:
    """Return the QoS that publishers offer, as rosbag2 stores it (YAML, metadata version 9)."""
    return json.dumps([_entry(endpoint.qos_profile) for endpoint in endpoints])


def _entry(qos: QoSProfile) -> dict[str, Any]:
    return {
        'history': qos.history.name.lower(),
        'depth': qos.depth,
        'reliability': qos.reliability.name.lower(),
        'durability': qos.durability.name.lower(),
        'deadline': _duration(qos.deadline),
        'lifespan': _duration(qos.lifespan),
        'liveliness': qos.liveliness.name.lower(),
        'liveliness_lease_duration': _duration(qos.liveliness_lease_duration),
        'avoid_ros_namespace_conventions': qos.avoid_ros_namespace_conventions,
    }


def _duration(duration: Duration) -> dict[str, int]:
    seconds, nanoseconds = divmod(duration.nanoseconds, NS_PER_S)
    return {'sec': seconds, 'nsec': nanoseconds}


def recorded_qos(texts: Sequence[str], least_depth: int) -> QoSProfile:
    """
    Return the QoS to publish with what was recorded from publishers with these profiles.

    Args:
        texts: The profiles, as bags store them: of each publisher the QoS of all of the topic.
        least_depth: So many messages are kept at least.

    Where the publishers differed, it is one that every subscriber of one of them can hear:
    reliable if one was. It is transient-local only if all were. What is unknown is rclpy's.

    """
    profiles = [with_names(item) for text in texts for item in json.loads(qos_list(text) or '[]')]
    if not profiles:
        return QoSProfile(depth=max(least_depth, _LEAST_DEPTH))
    depths = [item['depth'] for item in profiles if isinstance(item.get('depth'), int)]
    is_latched = all(item.get('durability') == 'transient_local' for item in profiles)
    is_reliable = any(item.get('reliability') != 'best_effort' for item in profiles)
    chosen: dict[str, Any] = {
        'history': HistoryPolicy.KEEP_LAST,
        'depth': max(least_depth, min(max(depths, default=0), _MOST_DEPTH)),
        'reliability': ReliabilityPolicy['RELIABLE' if is_reliable else 'BEST_EFFORT'],
        'durability': DurabilityPolicy['TRANSIENT_LOCAL' if is_latched else 'VOLATILE'],
    }
    if not is_latched:  # a player that was held up for a moment publishes several at once
        chosen['depth'] = max(chosen['depth'], _LEAST_DEPTH)
    if any(item.get('history') == 'keep_all' for item in profiles):
        chosen['history'] = HistoryPolicy.KEEP_ALL
    if all(item == profiles[0] for item in profiles):
        for policy in DURATIONS:
            duration = _nanoseconds(profiles[0].get(policy))
            if duration:
                chosen[policy] = Duration(nanoseconds=duration)
    return QoSProfile(**chosen)


_LEAST_DEPTH: Final = 100
_MOST_DEPTH: Final = 10_000
"""A recording may claim anything; so many messages of the largest kind may be kept."""
_INFINITE_S: Final = 2**31 - 1


def _nanoseconds(duration: object) -> int:
    """Return a duration in a profile; 0 for none, and for one without end."""
    if not isinstance(duration, dict):
        return 0
    seconds, nanoseconds = duration.get('sec'), duration.get('nsec')
    if not (isinstance(seconds, int) and isinstance(nanoseconds, int)):
        return 0
    is_known = 0 <= seconds < _INFINITE_S and 0 <= nanoseconds < NS_PER_S
    return seconds * NS_PER_S + nanoseconds if is_known else 0
