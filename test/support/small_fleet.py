# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A fleet of many tiny flights in a store; what they hold is known."""

from __future__ import annotations

from pathlib import Path
import struct

from conftest import writers
from fdr_recorder import Channel, FdrClient, FlightHeader, Schema
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.store import Store
from stored_flights import store_flight

TOPIC = '/battery'
OLD = Schema('drone_msgs/msg/Battery', 'float32 voltage\n')
NEW = Schema('drone_msgs/msg/Battery', 'float32 voltage\nuint32 cycles\n')
OTHER = Schema('drone_msgs/msg/Battery', 'string voltage\n')
COUNT = 3
START_NS = 1_790_000_000_000_000_000


def _message(schema: Schema, number: int) -> bytes:
    data = b'\0\1\0\0'
    if schema is OTHER:
        return data + struct.pack('<I', 3) + b'12\0'
    data += struct.pack('<f', number)
    return data + struct.pack('<I', 100 + number) if schema is NEW else data


def record_tiny(root: Path, flight_id: str, schema: Schema = OLD, topic: str = TOPIC) -> Path:
    """Record a flight of a few messages."""
    with writers(root) as make_writer:
        writer = make_writer(chunk_size_bytes=1 << 20)
        client = FdrClient(Channel(topic, schema, publisher='0a'))
        writer.register(client)
        writer.open_flight(FlightHeader(flight_id=flight_id, flight_started_at_ns=START_NS))
        for number in range(COUNT):
            client.enqueue(_message(schema, number), START_NS + 1000 * number)
        writer.close_flight(flight_id)
    return root / flight_id


def store_fleet(root: Path, count: int, *stores: Store, vehicles: int = 4) -> list[FlightKey]:
    """Put so many flights into stores: those of the last vehicle have a newer message type."""
    kinds = {
        schema: record_tiny(root, name, schema) for schema, name in ((OLD, 'old'), (NEW, 'new'))
    }
    keys = []
    for number in range(count):
        vehicle = number % vehicles
        flight = kinds[NEW if vehicle == vehicles - 1 else OLD]
        named = flight.rename(root / f'flight_{number:04}')
        keys += [store_flight(store, named, f'drone-{vehicle}') for store in stores]
        named.rename(flight)
    return keys
