# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How to record one topic: its type, definition, QoS and publishers, from the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from fdr_recorder.errors import RecordError, TypeUnknownError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.node.definitions import Definitions, installed_definitions
from fdr_recorder.node.message_class import import_message_class
from fdr_recorder.node.qos import NO_OVERRIDE, offered_qos_profiles, qos_for
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import QOS_KEY, TYPE_HASH_KEY
from fdr_recorder.topics.names import TopicType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

_NAMELESS: Final = ('_NODE_NAME_UNKNOWN_', '_CREATED_BY_BARE_DDS_APP_')
"""What the middleware calls a node without a known name."""


@dataclass(frozen=True)
class TopicPlan:
    """
    How to record a topic of one type.

    Attributes:
        name: Fully qualified name.
        message_type: The Python class of its messages.
        schema: Name and definition of the type.
        qos: The QoS of the subscription.
        metadata: Metadata of the channels, as rosbag2 has them.
        publishers: Node name of each publisher by gid; empty if unknown.
        max_rate_hz: Messages a second to record, at most; 0 for all.

    """

    name: str
    message_type: type[Any]
    schema: Schema
    qos: QoSProfile
    metadata: Mapping[str, str]
    publishers: Mapping[bytes, str] = field(default_factory=dict)
    max_rate_hz: float = 0.0

    @property
    def key(self) -> TopicType:
        """Return the topic and its type."""
        return TopicType(self.name, self.schema.name)

    @property
    def type_name(self) -> str:
        """Full name of the type of its messages."""
        return self.schema.name

    @property
    def is_latched(self) -> bool:
        """Whether publishers send a new subscription what they hold; not with best effort."""
        return bool(
            self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and self.qos.reliability == ReliabilityPolicy.RELIABLE
        )


def plan_topic(
    topic: str,
    endpoints: Sequence[TopicEndpointInfo],
    definitions: Definitions,
    depth: int,
    override: Mapping[str, Any] = NO_OVERRIDE,
) -> TopicPlan | None:
    """
    Plan how to record a topic from its publishers of one type, as the graph knows them.

    For `depth` and `override` see `qos_for`.

    Returns:
        None without a publisher, or while one is asked for its definition.

    Raises:
        TypeUnknownError: The type is not installed.

    """
    if not endpoints:
        return None
    type_name = endpoints[0].topic_type
    type_hash = _type_hash(endpoints[0])
    message_type = _message_class(topic, type_name)
    schema = definitions.find(type_name, type_hash, _node_name(endpoints[0]))
    if schema is None:
        return None
    return TopicPlan(
        name=topic,
        message_type=message_type,
        schema=schema,
        qos=qos_for(endpoints, depth, override),
        metadata={QOS_KEY: offered_qos_profiles(endpoints), TYPE_HASH_KEY: type_hash},
        publishers=node_names(endpoints),
    )


def plan_unlisted(
    topic: str, type_name: str, depth: int, override: Mapping[str, Any] = NO_OVERRIDE
) -> TopicPlan:
    """
    Plan how to record a topic whose publishers the middleware cannot list.

    One of them may have a name that is not UTF-8, for example. The plan has a QoS that every
    publisher is compatible with.

    Raises:
        TypeUnknownError: Its type is not installed.

    """
    installed = installed_definitions(type_name)
    return TopicPlan(
        name=topic,
        message_type=_message_class(topic, type_name),
        schema=installed[0].schema if installed else Schema(type_name, ''),
        qos=qos_for([], depth, override),
        metadata={QOS_KEY: offered_qos_profiles([]), TYPE_HASH_KEY: ''},
    )


def plan_own_topic(topic: str, message_type: type[Any], depth: int) -> TopicPlan:
    """Plan how to record a topic of the recorder's own, which may have no publisher yet."""
    package = message_type.__module__.partition('.')[0]
    type_name = f'{package}/msg/{message_type.__name__}'
    installed = installed_definitions(type_name)
    return TopicPlan(
        name=topic,
        message_type=message_type,
        schema=installed[0].schema if installed else Schema(type_name, ''),
        qos=QoSProfile(depth=depth),
        metadata={
            QOS_KEY: offered_qos_profiles([]),
            TYPE_HASH_KEY: installed[0].type_hash if installed else '',
        },
    )


def _message_class(topic: str, type_name: str) -> type[Any]:
    try:
        return import_message_class(type_name)
    except RecordError as error:
        raise TypeUnknownError(topic, type_name, error) from error


def _type_hash(endpoint: TopicEndpointInfo) -> str:
    """Return the hash of an endpoint's type, `RIHS01_...`; empty if unknown."""
    text = str(getattr(endpoint, 'topic_type_hash', ''))
    return text if text.startswith('RIHS') else ''


def publisher_gid(endpoint: TopicEndpointInfo) -> bytes:
    """Return an endpoint's gid, in the form that message infos have."""
    return bytes(endpoint.endpoint_gid)


def endpoints_by_type(
    endpoints: Iterable[TopicEndpointInfo],
) -> dict[str, list[TopicEndpointInfo]]:
    """Return a topic's publishers by the full names of their types."""
    found: dict[str, list[TopicEndpointInfo]] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.topic_type, []).append(endpoint)
    return found


def node_names(endpoints: Sequence[TopicEndpointInfo]) -> dict[bytes, str]:
    """Return the full name of each publisher's node by gid; empty if unknown."""
    return {publisher_gid(endpoint): _node_name(endpoint) for endpoint in endpoints}


def _node_name(endpoint: TopicEndpointInfo) -> str:
    if endpoint.node_name in _NAMELESS:
        return ''
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'
