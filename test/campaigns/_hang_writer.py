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
The program of the campaign `hang`: a writer, and producers that never wait for it.

It is told `open` and `close` by lines on standard input, and writes what happens to a file, one
JSON object a line. A disk that does not answer ends neither: it asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
import json
import os
from pathlib import Path
import sys
import threading
import time
from typing import Any

from fdr_recorder import (
    Alert,
    CapacityCapPolicy,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    RingConfig,
)
from fdr_recorder.errors import DiskStalledError
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.footer import FlightSummary
from producers import make_client, numbered


def main() -> None:
    """Record one flight; the arguments are the root, the file of events, and options as JSON."""
    root, events, options = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    events_fd = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(what: str, **values: Any) -> None:
        event = {'what': what, 'at': time.time(), **values}
        os.write(events_fd, json.dumps(event).encode() + b'\n')

    def told(alert: Alert) -> None:
        tell('alert', code=alert.code, raised=alert.raised, message=alert.message)

    def rotated(closed: ClosedSegment) -> None:
        tell('closed', index=closed.index, bytes=closed.bytes, records=closed.records)
        policy.on_rotation(closed)

    ring = RingConfig(max_records=options['ring_records'])
    clients = [
        make_client(f'/topic_{number}', f'{number:032x}', latched=number == 0, ring=ring)
        for number in range(options['clients'])
    ]
    with FileFdrWriter(root, FdrWriterConfig(**options['writer'])) as writer:
        writer.alerts.listen(told)
        policy = CapacityCapPolicy(options['cap_bytes'], writer, writer.alerts)
        writer.on_rotation = rotated
        for client in clients:
            writer.register(client)
        tell('started')
        sys.stdin.readline()
        flight_id = _open(writer)
        tell('opened', flight_id=flight_id)
        must_end = threading.Event()
        threading.Thread(
            target=lambda: (sys.stdin.readline(), must_end.set()), daemon=True
        ).start()
        sent = 0
        while not must_end.wait(options['pause_s']):
            for client in clients:
                client.enqueue(numbered(sent, options['record_bytes']))
            sent += 1
        summary = _patient(lambda: writer.close_flight(flight_id))
        tell(
            'summary', sent=sent, is_complete=summary.is_complete, path=str(summary.path),
            producers=[asdict(producer) for producer in summary.footer.producers],
            present=[alert.code for alert in writer.alerts.present()],
        )  # fmt: skip
        sys.stdin.readline()


def _open(writer: FileFdrWriter) -> str:
    for number in range(1000):
        try:
            writer.open_flight(FlightHeader(flight_id=f'flight_{number}'))
        except DiskStalledError:
            time.sleep(0.1)
        else:
            return f'flight_{number}'
    raise AssertionError('no flight can be opened')


def _patient(close: Callable[[], FlightSummary]) -> FlightSummary:
    while True:
        try:
            return close()
        except DiskStalledError:
            time.sleep(0.1)


if __name__ == '__main__':
    main()
