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
Records messages at known rates, one flight for each line on stdin; closes it at the next line.

    python paced_flight.py FLIGHT_ROOT OPTIONS_AS_JSON
"""

from __future__ import annotations

import json
from pathlib import Path
import select
import sys
import time

from fdr_recorder import (
    CapacityCapPolicy,
    FdrConfig,
    FileFdrWriter,
    new_flight_header,
    RingConfig,
)
from producers import make_client, numbered

RATES = {'/imu': 100, '/gps': 10, '/battery': 1}
BURST = '/camera'
"""Its ring is small: of 500 messages at once most are refused."""


def main() -> None:
    root = Path(sys.argv[1])
    given = json.loads(sys.argv[2])
    options = {'writer.min_free_bytes': 0, 'writer.reserve_bytes': 0, **given}
    config = FdrConfig.from_options({'flight_root': str(root), 'vehicle_id': 'v7', **options})
    writer = FileFdrWriter(root, config.writer)
    cap = config.writer.flight_cap_bytes
    writer.on_rotation = CapacityCapPolicy(cap, writer, writer.alerts).on_rotation
    writer.start()
    clients = {topic: make_client(topic, topic.encode().hex()) for topic in RATES}
    burst = make_client(BURST, '0c', ring=RingConfig(max_records=16))
    for client in (*clients.values(), burst):
        writer.register(client)
    flight = ''
    began, sent = 0.0, dict.fromkeys(RATES, 0)
    while True:
        if select.select([sys.stdin], [], [], 0.005)[0]:
            line = sys.stdin.readline()
            if line == 'burst\n':
                for number in range(500):
                    burst.enqueue(numbered(number, 100))
                continue
            if flight:
                writer.close_flight(flight)
            flight = line.strip()
            if not line:
                break
            if flight:
                writer.open_flight(new_flight_header(flight, config))
            began, sent = time.monotonic(), dict.fromkeys(RATES, 0)
            print('done', flush=True)
        for topic, rate in RATES.items():
            while flight and sent[topic] < (time.monotonic() - began) * rate:
                clients[topic].enqueue(numbered(sent[topic], 400), sequence=sent[topic])
                sent[topic] += 1
    writer.stop()


if __name__ == '__main__':
    main()
