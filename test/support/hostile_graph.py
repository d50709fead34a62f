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
A participant of the graph whose names are nonsense, by DDS alone.

rclpy checks the names that it publishes; the middleware below it does not, and neither do others.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from ground import Ground
from rclpy.utilities import get_rmw_implementation_identifier
from rmw_dds_common.msg import ParticipantEntitiesInfo

_DISCOVERY_TOPIC = b'ros_discovery_info'
_PARTICIPANT = bytes((0, 0, 1, 0xC1))
"""Entity id of a participant (DDSI-RTPS, 9.3.1.3)."""


class _Time(ctypes.Structure):
    _fields_ = (('sec', ctypes.c_uint64), ('nsec', ctypes.c_uint64))


class _Qos(ctypes.Structure):
    """`rmw_qos_profile_t`."""

    _fields_ = (
        ('history', ctypes.c_int),
        ('depth', ctypes.c_size_t),
        ('reliability', ctypes.c_int),
        ('durability', ctypes.c_int),
        ('deadline', _Time),
        ('lifespan', _Time),
        ('liveliness', ctypes.c_int),
        ('lease', _Time),
        ('avoid_ros_namespace_conventions', ctypes.c_bool),
    )


class _Options(ctypes.Structure):
    """`rmw_publisher_options_t`, and room for what later versions add."""

    _fields_ = (
        ('payload', ctypes.c_void_p), ('unique', ctypes.c_int), ('more', ctypes.c_byte * 48)
    )


class _Bytes(ctypes.Structure):
    """`rcutils_uint8_array_t`."""

    _fields_ = (
        ('buffer', ctypes.c_char_p),
        ('length', ctypes.c_size_t),
        ('capacity', ctypes.c_size_t),
        ('allocator', ctypes.c_void_p * 5),
    )


class HostilePublisher:
    """A publisher below rclpy: its topic may have any name, as `rt/` and bytes."""

    def __init__(self, other: Ground, topic: bytes, message_type: Any) -> None:
        rcl = ctypes.PyDLL('librcl.so')
        self._rmw = ctypes.PyDLL(f'lib{get_rmw_implementation_identifier()}.so')
        handle = rcl.rcl_node_get_rmw_handle
        handle.restype, handle.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        message_type.__class__.__import_type_support__()
        capsule = message_type.__class__._TYPE_SUPPORT
        name = ctypes.pythonapi.PyCapsule_GetName
        name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
        support = pointer(capsule, name(capsule))
        self._node = handle(other.node.handle.pointer)
        qos = _Qos(history=1, depth=10, reliability=1, durability=1)
        qos.liveliness, qos.avoid_ros_namespace_conventions = 1, True
        create = self._rmw.rmw_create_publisher
        create.restype = ctypes.c_void_p
        create.argtypes = (ctypes.c_void_p,) * 2 + (ctypes.c_char_p,) + (ctypes.c_void_p,) * 2
        self._publisher = create(
            self._node, support, topic, ctypes.byref(qos), ctypes.byref(_Options())
        )
        assert self._publisher

    def publish(self, data: bytes) -> None:
        """Publish a serialised message."""
        self._last = data
        send = self._rmw.rmw_publish_serialized_message
        send.argtypes = (ctypes.c_void_p,) * 3
        assert send(self._publisher, ctypes.byref(_Bytes(data, len(data), len(data))), None) == 0

    def repeat(self) -> None:
        """Publish the last message again."""
        self.publish(self._last)

    def destroy(self) -> None:
        """Leave the graph."""
        end = self._rmw.rmw_destroy_publisher
        end.argtypes = (ctypes.c_void_p,) * 2
        end(self._node, self._publisher)


def rename_node(
    other: Ground, gid: bytes, name: bytes, namespace: bytes = b'/'
) -> HostilePublisher:
    """
    Have a participant say that its publisher of this gid belongs to a node of this name.

    Nodes tell their names in messages that nobody checks. The returned publisher must live on.
    """
    publisher = HostilePublisher(other, _DISCOVERY_TOPIC, ParticipantEntitiesInfo)
    data = gid[:12] + _PARTICIPANT + struct.pack('<I', 1)
    for text in (namespace, name):
        data += struct.pack('<I', len(text) + 1) + text + b'\0'
        data += bytes(-len(data) % 4)
    data += struct.pack('<II', 0, 1) + gid
    publisher.publish(bytes((0, 1, 0, 0)) + data)
    return publisher
