"""What the graph says of topics: their types, definitions and QoS."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import FdrError, RecordError
from fdr_recorder.record.schema import Schema, compose_definition

INTAKE_DEPTH: Final = FdrConfig.intake_depth
"""Depth of the intake's subscriptions, where the configuration does not say otherwise."""


class TypeUnknownError(FdrError):
    """A message type that is not installed on this machine."""

    alert_code = 'type_unknown'

    def __init__(self, topic: str, type_name: str) -> None:
        """Name the topic and its type."""
        super().__init__(
            f'{topic} cannot be recorded: its type {type_name} is not installed here; install '
            f'{type_name.partition("/")[0]} or source the workspace that has it'
        )


@dataclass(frozen=True)
class TopicPlan:
    """How one topic is recorded.

    Attributes:
        name: Fully qualified.
        message_type: The Python class of its messages.
        schema: Name and definition of the type.
        qos: What the subscription asks for: what all publishers offer.
        metadata: What the channels say beside the schema, as rosbag2 does.
        publishers: Node name of each publisher by gid, as far as they are known.

    """

    name: str
    message_type: type[Any]
    schema: Schema
    qos: QoSProfile
    metadata: Mapping[str, str]
    publishers: Mapping[bytes, str] = field(default_factory=dict)

    @property
    def is_latched(self) -> bool:
        """Whether its last message is kept for those who come late."""
        return bool(self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def plan_topic(node: Node, topic: str, depth: int = INTAKE_DEPTH) -> TopicPlan | None:
    """Find out how to record a topic; None while nobody publishes it.

    Args:
        node: Any node; it asks the graph.
        topic: Fully qualified name.
        depth: Messages that the middleware keeps while the intake is busy elsewhere.

    Raises:
        TypeUnknownError: Its type is not installed.

    """
    endpoints = node.get_publishers_info_by_topic(topic)
    if not endpoints:
        return None
    type_name = endpoints[0].topic_type
    message_type = _message_class(topic, type_name)
    return TopicPlan(
        name=topic,
        message_type=message_type,
        schema=message_schema(type_name),
        qos=qos_for(endpoints, depth),
        metadata={
            'offered_qos_profiles': _offered_qos_profiles(endpoints),
            'topic_type_hash': str(getattr(endpoints[0], 'topic_type_hash', '')),
        },
        publishers={publisher_gid(endpoint): _node_name(endpoint) for endpoint in endpoints},
    )


def publisher_gid(endpoint: TopicEndpointInfo) -> bytes:
    """Return an endpoint's gid as the message info spells it."""
    return bytes(endpoint.endpoint_gid)


def _node_name(endpoint: TopicEndpointInfo) -> str:
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'


def _message_class(topic: str, type_name: str) -> type[Any]:
    package, _, name = type_name.partition('/msg/')
    try:
        message_class: type[Any] = getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise TypeUnknownError(topic, type_name) from error
    return message_class


@cache
def message_schema(type_name: str) -> Schema:
    """Return a type's name and definition; an empty definition if no `.msg` file is installed."""
    try:
        return Schema(type_name, compose_definition(type_name, _read_installed_msg))
    except RecordError:
        return Schema(type_name, '')


def _read_installed_msg(name: str) -> str:
    """Read `package/Type` from the package's share directory."""
    package, _, message = name.partition('/')
    try:
        share = Path(get_package_share_directory(package))
    except (PackageNotFoundError, LookupError):
        share = Path(sys.prefix) / 'share' / package  # wheels, without AMENT_PREFIX_PATH
    try:
        return (share / 'msg' / f'{message}.msg').read_text(encoding='utf-8')
    except OSError as error:
        msg = f'there is no definition of {name} in {share}: {error.strerror}'
        raise RecordError(msg) from error


def qos_for(endpoints: Sequence[TopicEndpointInfo], depth: int) -> QoSProfile:
    """Return the strictest QoS that every publisher is compatible with, as rosbag2 does."""
    offered = [endpoint.qos_profile for endpoint in endpoints]
    is_reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    is_latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )


def is_compatible(requested: QoSProfile, endpoints: Sequence[TopicEndpointInfo]) -> bool:
    """Tell whether a subscription receives from every publisher (DDS: requested, offered)."""
    needed = qos_for(endpoints, requested.depth)
    return not (
        (
            requested.reliability == ReliabilityPolicy.RELIABLE
            and needed.reliability != ReliabilityPolicy.RELIABLE
        )
        or (
            requested.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and needed.durability != DurabilityPolicy.TRANSIENT_LOCAL
        )
    )


def _offered_qos_profiles(endpoints: Sequence[TopicEndpointInfo]) -> str:
    """Return the publishers' QoS as rosbag2 stores it (YAML, metadata version 9)."""
    return json.dumps([_qos_entry(endpoint.qos_profile) for endpoint in endpoints])


def _qos_entry(qos: QoSProfile) -> dict[str, Any]:
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
    seconds, nanoseconds = divmod(duration.nanoseconds, 1_000_000_000)
    return {'sec': seconds, 'nsec': nanoseconds}
