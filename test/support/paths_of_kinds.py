# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""One path of each kind that a user may name: flights in every state, and what is no flight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import os
from pathlib import Path

from conftest import MakeWriter, Record, SMALL
from fdr_recorder import CapacityCapPolicy
from fdr_recorder.flights.recovery.recover import recover
from mcap.writer import Writer as McapWriter
from producers import BLOB, make_client, numbered, open_flight, send
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from rosbags.typesys import get_typestore, Stores
from waiting import wait_until

FLIGHTS = ('clean', 'unclean', 'recovered', 'capped', 'recording', 'damaged')
OTHERS = ('empty_directory', 'other_directory', 'missing', 'file', 'mcap_file', 'bag')
MESSAGES = 60
"""How many each flight was given on `/blob`; `capped` has lost some of its own."""


@dataclass(frozen=True)
class Kinds:
    """Makes them: a method for each kind."""

    root: Path
    elsewhere: Path
    make_writer: MakeWriter
    record_flight: Record

    def make(self, kind: str) -> Path:
        """Make a path of a kind."""
        path: Path = getattr(self, kind)()
        return path

    def make_all(self, kinds: Iterable[str]) -> dict[str, Path]:
        """Make paths of several kinds."""
        return {kind: self.make(kind) for kind in kinds}

    # --- flights -------------------------------------------------------------------------

    def clean(self) -> Path:
        return self.record_flight('clean', close=True)

    def unclean(self, flight_id: str = 'unclean') -> Path:
        flight = self.record_flight(flight_id, close=False)
        last = max(flight.glob('*.mcap'))
        os.truncate(last, last.stat().st_size - 7)
        return flight

    def recovered(self) -> Path:
        flight = self.unclean('recovered')
        recover(flight)
        return flight

    def capped(self) -> Path:
        writer, client = self.make_writer(**SMALL), make_client('/blob', '0a')
        policy = CapacityCapPolicy(3 * 16 * 1024, writer, writer.alerts)
        writer.on_rotation = policy.on_rotation
        open_flight(writer, 'capped', client)
        send(client, range(200), 500)
        writer.close_flight('capped')
        writer.stop()
        return self.root / 'capped'

    def recording(self) -> Path:
        """Make one that goes on being recorded, with all messages on the disk."""
        options = {**SMALL, 'flush_interval_s': 0.05}
        writer, client = self.make_writer(**options), make_client('/blob', '0a')
        open_flight(writer, 'recording', client)
        send(client, range(MESSAGES), 500)
        wait_until(
            lambda: writer.status.counters.records_written >= MESSAGES, 'all is on the disk'
        )
        return self.root / 'recording'

    def damaged(self) -> Path:
        flight = self.record_flight('damaged', close=True)
        second = sorted(flight.glob('*.mcap'))[1]
        data = bytearray(second.read_bytes())
        data[len(data) // 2] ^= 0xFF
        second.write_bytes(data)
        return flight

    # --- and what is none ----------------------------------------------------------------

    def empty_directory(self) -> Path:
        path = self.elsewhere / 'empty'
        path.mkdir()
        return path

    def other_directory(self) -> Path:
        path = self.elsewhere / 'other'
        path.mkdir()
        (path / 'notes.txt').write_text('nothing to see here')
        return path

    def missing(self) -> Path:
        return self.elsewhere / 'missing'

    def file(self) -> Path:
        path = self.elsewhere / 'file'
        path.write_text('nothing to see here')
        return path

    def mcap_file(self) -> Path:
        path = self.elsewhere / 'other.mcap'
        with path.open('wb') as file:
            writer = McapWriter(file)
            writer.start()
            schema = writer.register_schema(BLOB.name, 'ros2msg', BLOB.definition.encode())
            channel = writer.register_channel('/blob', 'cdr', schema)
            writer.add_message(channel, 1, numbered(1), 1)
            writer.finish()
        return path

    def bag(self) -> Path:
        path = self.elsewhere / 'bag'
        types = get_typestore(Stores.ROS2_JAZZY)
        name = 'std_msgs/msg/String'
        with BagWriter(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection('/chat', name, typestore=types)
            message = types.types[name](data='hello')
            writer.write(connection, 1, types.serialize_cdr(message, name))
        return path
