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
QoS of single topics, in the form of `ros2 bag record --qos-profile-overrides-path`.

A YAML mapping of topic names to policies. Policies that are not named are adapted to the
publishers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fdr_recorder.topics.names import wrong_name
import yaml

QosOverrides = Mapping[str, Mapping[str, Any]]
"""Policies by topic: names, durations in nanoseconds (0 for unspecified), the depth."""

BEST_AVAILABLE: Final = 'best_available'
POLICIES: Final[Mapping[str, tuple[str, ...]]] = {
    'history': ('system_default', 'keep_last', 'keep_all'),
    'reliability': ('system_default', 'reliable', 'best_effort', BEST_AVAILABLE),
    'durability': ('system_default', 'transient_local', 'volatile', BEST_AVAILABLE),
    'liveliness': ('system_default', 'automatic', 'manual_by_topic', BEST_AVAILABLE),
}
DURATIONS: Final = ('deadline', 'lifespan', 'liveliness_lease_duration')
_NANOSECONDS: Final = {'sec': 1_000_000_000, 'nsec': 1}
_MAX_NS: Final = 2**63 - 1
_NO_CONVENTIONS: Final = 'avoid_ros_namespace_conventions'


def parse_qos_overrides(text: str) -> tuple[QosOverrides, list[str]]:
    """Return the overrides in a YAML text, and its mistakes."""
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return {}, [f'not YAML: {" ".join(str(error).split())}']
    if tree is None:
        return {}, []
    if not isinstance(tree, dict):
        return {}, ['must be a mapping of topics to QoS profiles']
    overrides: dict[str, dict[str, Any]] = {}
    mistakes: list[str] = []
    for topic, profile in tree.items():
        if not isinstance(topic, str) or wrong_name(topic):
            mistakes.append(f'{topic!r}: not a topic name')
        elif not isinstance(profile, dict):
            mistakes.append(f'{topic}: must be a mapping of QoS policies')
        else:
            overrides[topic] = {}
            for policy, value in profile.items():
                wrong = _wrong(policy, value)
                if wrong:
                    mistakes.append(f'{topic}: {policy}: {wrong}')
                elif policy in DURATIONS:
                    overrides[topic][policy] = _nanoseconds(value)
                elif policy != _NO_CONVENTIONS:
                    overrides[topic][policy] = value
    return overrides, mistakes


def merge_qos_overrides(text: str, over: str) -> tuple[str, list[str]]:
    """
    Merge two texts of overrides into one; also return the mistakes of the first.

    The second one is valid, and takes precedence topic by topic.
    """
    _, mistakes = parse_qos_overrides(text)
    if mistakes:
        return '', mistakes
    merged = {**(yaml.safe_load(text) or {}), **(yaml.safe_load(over) or {})}
    return yaml.safe_dump(merged, sort_keys=False), []


def wrong_qos_overrides(text: str) -> str:
    """Return what is wrong with overrides; empty if they are valid."""
    return '; '.join(parse_qos_overrides(text)[1])


def _wrong(policy: object, value: object) -> str:
    """Return what is wrong with one policy; empty if it is valid."""
    if policy in DURATIONS:
        return _wrong_duration(value)
    if policy == 'depth':
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return '' if is_count else f'must be a whole number, 0 or more, not {value!r}'
    if policy == _NO_CONVENTIONS:
        return '' if value is False else 'must be false: topics are found in the ROS graph'
    choices = POLICIES.get(policy) if isinstance(policy, str) else None
    if choices is None:
        known = (*POLICIES, 'depth', *DURATIONS, _NO_CONVENTIONS)
        return f'there is no such policy; there are {", ".join(known)}'
    return '' if value in choices else f'must be one of {", ".join(choices)}, not {value!r}'


def _wrong_duration(value: object) -> str:
    if value is None:
        return ''
    if not isinstance(value, dict) or set(value) != set(_NANOSECONDS):
        return f'must have sec and nsec, and nothing else, not {value!r}'
    parts = value.values()
    if not all(type(part) is int and part >= 0 for part in parts):
        return f'sec and nsec must be whole numbers, 0 or more, not {value!r}'
    return '' if _nanoseconds(value) <= _MAX_NS else f'{value!r} is longer than 292 years'


def _nanoseconds(value: Mapping[str, int] | None) -> int:
    return sum(part * _NANOSECONDS[unit] for unit, part in (value or {}).items())
