# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Flights of topics on which losses in transport cannot be seen, and of a publisher heard late."""

from __future__ import annotations

from pathlib import Path

from conftest import MakeWriter, SMALL
from fdr_recorder.config import FdrConfig
from fdr_recorder.record.flight_header import new_flight_header
from producers import make_client, numbered
from waiting import wait_until

UNNUMBERED = {'/a': '', '/b': '0b'}
"""Topics that the middleware does not number, and their publishers' gids."""
LATE = '/late'
LOST, BEFORE_MATCH, SENT = 3, 41, 5
"""Of `LATE`: lost in transport, sent before it was heard, heard."""
SENTENCE = (
    'losses in transport cannot be seen on 2 topics (/a, /b): '
    'the middleware does not number messages'
)


def record_blind(
    make_writer: MakeWriter, root: Path, *, topics: tuple[str, ...] = (*UNNUMBERED, LATE),
    close: bool = True, tells_loss: bool = True, detection: str = 'none',
) -> Path:
    """Record messages of some of the topics above; return the flight, closed or abandoned."""
    writer = make_writer(**SMALL)
    clients = {
        topic: make_client(topic, gid, loss_detection=detection)
        for topic, gid in UNNUMBERED.items()
    } | {LATE: make_client(LATE, '0c', loss_detection='sequence')}
    for topic in topics:
        writer.register(clients[topic])
    config = FdrConfig(flight_root=str(root))
    writer.open_flight(new_flight_header('x', config, rmw_implementation='rmw_cyclonedds_cpp'))
    for topic in topics:
        for number in range(SENT):
            sequence = BEFORE_MATCH + 1 + number + (LOST if number > 2 else 0)
            clients[topic].enqueue(numbered(number), sequence=sequence if topic == LATE else 0)
    if LATE in topics:
        clients[LATE].count_before_match(1, BEFORE_MATCH)
    if LATE in topics and tells_loss:
        clients[LATE].count_transport_loss(BEFORE_MATCH + 4, BEFORE_MATCH + 3 + LOST)
    wait_until(lambda: not any(len(client.ring) for client in clients.values()))
    if close:
        writer.close_flight('x')
    writer.stop()
    return root / 'x'
