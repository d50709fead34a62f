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
The QoS that publishers offer, as bags store it: a YAML list of profiles.

Policies are names since version 9 of the bag metadata (Jazzy); before, they were numbers, those of
rmw's enumerations, and readers of that time refuse a bag with names.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
import json
import logging
import re
from types import MappingProxyType
from typing import Any, Final

from fdr_recorder.version import BAG_VERSION
import yaml

logger = logging.getLogger(__name__)

FIRST_WITH_NAMES: Final = 9
"""The first version of the bag metadata whose policies are names."""

_OF_DISTRIBUTION: Final = MappingProxyType({'humble': 5, 'iron': 7})
"""What the rosbag2 of an older distribution writes; that of Jazzy, Kilted and later writes 9."""

_NUMBERS: Final = MappingProxyType({
    'history': ('system_default', 'keep_last', 'keep_all', 'unknown'),
    'reliability': ('system_default', 'reliable', 'best_effort', 'unknown', 'best_available'),
    'durability': ('system_default', 'transient_local', 'volatile', 'unknown', 'best_available'),
    'liveliness': (
        'system_default', 'automatic', 'manual_by_node', 'manual_by_topic', 'unknown',
        'best_available',
    ),
})  # fmt: skip
"""The names of a policy's values; the number of a value is its place."""
_UNSPECIFIED: Final = MappingProxyType({
    'history': 'unknown',
    'depth': 0,
    'reliability': 'unknown',
    'durability': 'unknown',
    'deadline': {'sec': 0, 'nsec': 0},
    'lifespan': {'sec': 0, 'nsec': 0},
    'liveliness': 'unknown',
    'liveliness_lease_duration': {'sec': 0, 'nsec': 0},
    'avoid_ros_namespace_conventions': False,
})  # fmt: skip


def bag_version_for(ros_distro: str) -> int:
    """Return the version of the bag metadata that a distribution's own rosbag2 writes."""
    return _OF_DISTRIBUTION.get(ros_distro, BAG_VERSION)


def in_bag_version(text: str, version: int) -> str:
    """
    Return QoS profiles as bags of a version have them.

    For readers before version 9, which refuse a profile that lacks a policy, none is left out.
    """
    if version >= FIRST_WITH_NAMES or not qos_list(text):
        return text
    profiles = [{**_UNSPECIFIED, **profile} for profile in json.loads(qos_list(text))]
    return json.dumps([_map(profile, _number) for profile in profiles]) if profiles else ''


_LATCHED: Final = re.compile(r'transient_local|"?durability"?: *1\b')
_VOLATILE: Final = re.compile(r'volatile|"?durability"?: *2\b')


def offers_latched(text: str) -> bool:
    """Return whether all of these profiles are transient-local; they may come from any bag."""
    return bool(_LATCHED.search(text)) and not _VOLATILE.search(text)


def with_names(profile: dict[str, Any]) -> dict[str, Any]:
    """Return a profile in which policies are names, whatever the version of its bag."""
    return _map(profile, _name)


def _map(
    profile: dict[str, Any], of: Callable[[tuple[str, ...], object], object]
) -> dict[str, Any]:
    return {
        key: of(_NUMBERS[key], value) if key in _NUMBERS else value
        for key, value in profile.items()
    }


def _number(names: tuple[str, ...], value: object) -> object:
    if isinstance(value, int):
        return value
    return names.index(value if isinstance(value, str) and value in names else 'unknown')


def _name(names: tuple[str, ...], value: object) -> object:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


_MOST_DEPTH: Final = 20
"""Of brackets in QoS profiles. Parsing takes seconds where there are thousands, and the writer's
thread does it."""


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in text:
        depth += (sign in '[{') - (sign in ']}')
        deepest = max(deepest, depth)
    return deepest


@lru_cache(maxsize=256)
def qos_list(text: str) -> str:
    """Return QoS profiles that are a YAML list as JSON, in one line; else an empty text."""
    try:
        is_hostile = '&' in text or '*' in text or _depth(text) > _MOST_DEPTH
        profiles = None if is_hostile else yaml.safe_load(text)
        if isinstance(profiles, list) and all(isinstance(item, dict) for item in profiles):
            return json.dumps(profiles)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        pass
    if text:
        logger.warning('QoS profiles are left out, they are not a YAML list: %.80r', text)
    return ''
