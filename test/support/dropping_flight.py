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
A flight whose cap drops most of its segments, with known losses and alerts in the first ones.

As a program it records one until it is killed: root, options of the writer as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import json
from pathlib import Path
import sys
import time

from fdr_recorder import FileFdrWriter, FlightHeader, RingConfig
import known_flight
from producers import make_client, numbered, send
from waiting import wait_until

FLIGHT_ID = 'dropping'
SEGMENT = 32 * 1024
CAP = 5 * SEGMENT
LOST, EARLIER, REFUSED, INVALID = 7, 4, 3, 2
"""In each round: lost in transport on /imu, refused by the ring of /scan, invalid of /bad. Sent
before it was heard by the publisher of /imu, once."""


@dataclass
class DroppingFlight:
    """The flight, which `begin` opens."""

    writer: FileFdrWriter
    rounds: list[tuple[int, int]] = field(default_factory=list)
    """Between which times (system clock) each round of losses and alerts was."""

    def __post_init__(self) -> None:
        """Make the producers."""
        few = RingConfig(max_records=50)  # so that the cap drops little at a time
        self.imu = make_client('/imu', '0a', ring=few, loss_detection='sequence')
        self.scan = make_client('/scan', '0b', ring=RingConfig(max_bytes=10_000))
        self.bad = make_client('/bad', '0c')
        self.map = make_client('/map', '0d', latched=True)
        self.sent = 0
        self._next = 1

    def begin(self) -> None:
        """Open the flight."""
        for client in (self.imu, self.scan, self.bad, self.map):
            self.writer.register(client)
        self.writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))
        self.map.enqueue(numbered(0))
        self.imu.count_before_match(1, EARLIER)

    def lose(self) -> None:
        """Have a round of losses, and an alert that is raised and cleared; it is then recorded."""
        began_ns = time.time_ns()
        self.imu.count_transport_loss(self._next, self._next + LOST - 1)
        for _ in range(REFUSED):
            self.scan.enqueue(numbered(0, 20_000))
        for _ in range(INVALID):
            self.bad.offer(time.time_ns(), 0, None, b'x')  # type: ignore[arg-type]
        alerts = self.writer.alerts
        alerts.raise_alert('topic_missing', 'nobody publishes /gps', subject='/gps')
        alerts.clear('topic_missing', 'somebody does', subject='/gps')
        before = self.writer.status.counters
        wait_until(
            lambda: (
                self.writer.status.counters.records_lost_transport == LOST * (len(self.rounds) + 1)
                and self.writer.status.counters.records_dropped_overrun
                == REFUSED * (len(self.rounds) + 1)
                and self.writer.status.counters.records_dropped_write_error
                == INVALID * (len(self.rounds) + 1)
                and self.writer.status.counters.records_written > before.records_written
            ),
            'the records of the losses',
        )
        self.rounds.append((began_ns, time.time_ns()))

    def fill(self, segments: int) -> None:
        """Send messages until the cap has dropped so many segments more."""
        until = self.writer.status.counters.segments_dropped + segments
        while self.writer.status.counters.segments_dropped < until:
            self.send(20)

    def send(self, messages: int) -> int:
        """Send so many messages."""
        self._next += messages
        sent = send(self.imu, range(self.sent, self.sent + messages), 500)
        self.sent += sent
        return sent


def make(root: Path, **options: object) -> DroppingFlight:
    """Start a writer with this cap."""
    return DroppingFlight(
        known_flight.make_writer(
            root, cap_bytes=CAP, **{'segment_size_bytes': SEGMENT, **options}
        )
    )


if __name__ == '__main__':
    flight = make(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    flight.begin()
    while True:
        flight.lose()
        print(json.dumps(flight.rounds[-1]), flush=True)
        flight.fill(3)
