# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Producers for tests: clients whose records say which they are."""

from __future__ import annotations

import os
import struct
import time

from fdr_recorder import Channel, FdrClient, FileFdrWriter, FlightHeader, RingConfig, Schema
from flight_check import FlightFiles

BLOB = Schema('test_msgs/msg/Blob', 'uint8[] data\n')
TEXT = Schema('std_msgs/msg/String', 'string data\n')


def blob(content: bytes) -> bytes:
    """Encode a `test_msgs/msg/Blob` as CDR (little-endian)."""
    return b'\x00\x01\x00\x00' + struct.pack('<I', len(content)) + content


def numbered(number: int, size: int = 100) -> bytes:
    """Encode a message of exactly `size` bytes (at least 16) that carries a number."""
    return blob(struct.pack('<Q', number) + os.urandom(size - 16))


def number_of(data: bytes) -> int:
    """Return the number in a message of `numbered`."""
    return int(struct.unpack_from('<Q', data, 8)[0])


def make_client(
    topic: str = '/blob',
    publisher: str = '',
    *,
    schema: Schema = BLOB,
    latched: bool = False,
    ring: RingConfig | None = None,
    loss_detection: str = '',
) -> FdrClient:
    """Make a client with a channel of its own; `loss_detection` as the node sets it."""
    metadata = {'offered_qos_profiles': ''}
    if loss_detection:
        metadata['loss_detection'] = loss_detection
    return FdrClient(
        Channel(topic, schema, publisher=publisher, metadata=metadata, latched=latched), ring
    )


def send(client: FdrClient, numbers: range, size: int = 100, *, patient: bool = True) -> int:
    """
    Enqueue numbered messages; return how many were taken.

    Args:
        client: Where to.
        numbers: What they carry.
        size: Bytes of each.
        patient: Offer each message only when the ring has room for it, so that none is refused.

    """
    taken = 0
    for number in numbers:
        while patient and client.ring.fill > 0.9:
            time.sleep(0.0005)
        taken += client.enqueue(numbered(number, size))
    return taken


def open_flight(writer: FileFdrWriter, flight_id: str, *clients: FdrClient) -> None:
    """Register clients and open a flight."""
    for client in clients:
        writer.register(client)
    writer.open_flight(FlightHeader(flight_id=flight_id))


def sent_numbers(flight: FlightFiles, topic: str = '/blob', publisher: str = '') -> list[int]:
    """Return the numbers in the messages of one producer, in the order of the files."""
    return [number_of(message.data) for message in flight.of_topic(topic, publisher)]
