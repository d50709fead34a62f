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
A flight of which every byte is known. As a program: records it until it is killed.

    python known_flight.py FLIGHT_ROOT OPTIONS_AS_JSON
"""

from __future__ import annotations

from collections.abc import Iterable
import hashlib
import itertools
import json
from pathlib import Path
import sys
import time
from typing import Any

from fdr_recorder import (
    CapacityCapPolicy,
    Channel,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
)
from fdr_recorder.config import SealConfig
from producers import BLOB, blob

FLIGHT_ID = 'known'
PRODUCERS = {('/imu', '0a'): 1, ('/imu', '0b'): 2, ('/map', '0c'): 50, ('/silent', '0d'): 0}
"""Topics and publishers, and which numbers each of them sends: the multiples of this one."""
LATCHED = '/map'
QUICK = {
    'segment_size_bytes': 32 * 1024,
    'chunk_size_bytes': 4096,
    'flush_interval_s': 0.05,
    'sync_interval_s': 0.1,
    'min_free_bytes': 0,
    'reserve_bytes': 0,
}


def content_of(topic: str, publisher: str, number: int) -> bytes:
    """Return the message of this number: one that can be compressed a little."""
    digest = hashlib.sha256(f'{topic} {publisher} {number}'.encode()).digest()
    return blob((digest * 20)[: number * 37 % 600])


def make_writer(
    root: Path, *, cap_bytes: int = 1 << 40, key_file: str = '', **options: Any
) -> FileFdrWriter:
    """Return a started writer of small segments, which are sealed with a key if there is one."""
    seal = SealConfig(key_file=key_file)
    writer = FileFdrWriter(root, FdrWriterConfig(**{**QUICK, 'seal': seal, **options}))
    writer.on_rotation = CapacityCapPolicy(cap_bytes, writer, writer.alerts).on_rotation
    writer.start()
    return writer


def record(writer: FileFdrWriter, numbers: Iterable[int]) -> None:
    """Open the flight and record these numbers; every one of them is taken."""
    clients = {
        key: FdrClient(Channel(key[0], BLOB, publisher=key[1], latched=key[0] == LATCHED))
        for key in PRODUCERS
    }
    for client in clients.values():
        writer.register(client)
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))
    for number in numbers:
        for key, step in PRODUCERS.items():
            if step and number % step == 0:
                clients[key].enqueue(content_of(*key, number), sequence=number)
        while number % 20 == 0 and any(len(client.ring) for client in clients.values()):
            time.sleep(0.001)


if __name__ == '__main__':
    record(make_writer(Path(sys.argv[1]), **json.loads(sys.argv[2])), itertools.count())
