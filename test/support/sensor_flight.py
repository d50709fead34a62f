# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight of standard types, whose every value is known."""

from __future__ import annotations

from functools import cache
import math
from pathlib import Path
from typing import Any

from conftest import MakeWriter
from fdr_recorder import Channel, FdrClient, FlightHeader, Schema
import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_typestore, Stores
from rosbags.typesys.store import Typestore

START_NS = 1_790_000_000_000_000_000
NS_PER_S = 1_000_000_000
SECONDS = 40
SPIKE_S = 12.34
"""When the battery's voltage is 99 V, for one message."""
SILENT_S = (20, 24)
"""From when to when nothing is published."""


@cache
def types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


@cache
def schema(type_name: str) -> Schema:
    return Schema(type_name, types().generate_msgdef(type_name, ros_version=2)[0])


def message(type_name: str, **fields: Any) -> Any:
    """Make a message; what is not given is zero, or empty."""
    values = {
        name: fields[name] if name in fields else _nothing(*node)
        for name, node in types().fielddefs[type_name][1]
    }
    return types().types[type_name](**values)


def _nothing(kind: Nodetype, detail: Any) -> Any:
    if kind is Nodetype.NAME:
        return message(detail)
    if kind is Nodetype.BASE:
        return {'string': '', 'bool': False, 'float32': 0.0, 'float64': 0.0}.get(detail[0], 0)
    (item_kind, item), size = detail
    if item_kind is Nodetype.BASE and item[0] != 'string':
        return np.zeros(size if kind is Nodetype.ARRAY else 0, item[0])
    return []


def cdr(type_name: str, **fields: Any) -> bytes:
    """Serialise a message."""
    return bytes(types().serialize_cdr(message(type_name, **fields), type_name))


def header(frame_id: str = 'base_link') -> Any:
    return message('std_msgs/msg/Header', frame_id=frame_id)


def quaternion(roll: float, pitch: float, yaw: float) -> Any:
    """Return the rotation by angles in degrees: about x, then y, then z (fixed axes)."""
    (cr, cp, cy), (sr, sp, sy) = (
        [function(math.radians(angle) / 2) for angle in (roll, pitch, yaw)]
        for function in (math.cos, math.sin)
    )
    return message(
        'geometry_msgs/msg/Quaternion',
        x=sr * cp * cy - cr * sp * sy,
        y=cr * sp * cy + sr * cp * sy,
        z=cr * cp * sy - sr * sp * cy,
        w=cr * cp * cy + sr * sp * sy,
    )


def sensors(seconds: float) -> dict[tuple[str, str], tuple[float, bytes]]:
    """Return for each topic and type its rate (Hz), and its message at a time of the flight."""
    attitude = quaternion(10 * math.sin(seconds), 5 * math.cos(seconds), 20 * seconds)
    battery = {
        'voltage': 99.0 if abs(seconds - SPIKE_S) < 0.005 else 16.0 - seconds / 100,
        'current': -12.5,
        'percentage': 1 - seconds / 100,
    }
    fix = {
        'latitude': 47.0 + seconds * 1e-5,
        'longitude': 8.0 + seconds * 2e-5,
        'altitude': 500 + seconds,
    }
    return {
        ('/attitude', name := 'geometry_msgs/msg/QuaternionStamped'): (
            50.0,
            cdr(name, header=header(), quaternion=attitude),
        ),
        ('/battery', name := 'sensor_msgs/msg/BatteryState'): (
            100.0,
            cdr(name, header=header('pack'), **battery),
        ),
        ('/gps/fix', name := 'sensor_msgs/msg/NavSatFix'): (
            5.0,
            cdr(name, header=header('gps'), **fix),
        ),
    }


def record_sensors(
    make_writer: MakeWriter,
    root: Path,
    flight_id: str = 'sensors',
    *,
    vehicle_id: str = 'drone-7',
    close: bool = True,
    seconds: float = SECONDS,
    **options: Any,
) -> Path:
    """Record all of it, at once: times are those of the flight, not of the clock."""
    options = {'segment_size_bytes': 256 * 1024, 'chunk_size_bytes': 16 * 1024, **options}
    writer = make_writer(**{'flush_interval_s': 60.0, **options})
    clients = {}
    for number, (topic, type_name) in enumerate(sensors(0)):
        metadata = {
            'offered_qos_profiles': '[{"reliability": "best_effort", "durability": "volatile"}]',
            'publisher_node': '/autopilot',
        }
        channel = Channel(topic, schema(type_name), publisher=f'{number:02x}', metadata=metadata)
        clients[topic] = FdrClient(channel)
        writer.register(clients[topic])
    started = FlightHeader(
        flight_id=flight_id, vehicle_id=vehicle_id, flight_started_at_ns=START_NS
    )
    writer.open_flight(started)
    for tick in range(round(seconds * 100)):
        at_s = tick / 100
        if SILENT_S[0] <= at_s < SILENT_S[1]:
            continue
        for (topic, _), (rate, data) in sensors(at_s).items():
            if tick % round(100 / rate) == 0:
                clients[topic].enqueue(data, START_NS + tick * NS_PER_S // 100)
    if close:
        writer.close_flight(flight_id)
    writer.stop()
    return root / flight_id
