# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Options that are changed in flight: recorded, in later headers, and known to recovery."""

from __future__ import annotations

from pathlib import Path
import time

from fdr_recorder import FdrConfig, FileFdrWriter, recover, verify
from fdr_recorder.flights.info import read_info
from fdr_recorder.record.config_change import changes_of
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.record.kinds import ConfigChange, FlightHeader, RequestedTopic
from fdr_recorder.record.record_parts import ChangedTopic
from fdr_recorder.record.requested import WITHDRAWN
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from flight_check import check_flight, FlightFiles, open_flight_files
import known_flight
from producers import make_client, numbered
import pytest
from waiting import wait_until
import yaml

BEFORE = FdrConfig(topics=('/imu', '/typo'), flight_id='changed')
AFTER = FdrConfig(topics=('/map',), exclude=('/tmp/**',), flight_id='changed')
CHANGED = (ChangedTopic(topic='/map', is_recorded=True), ChangedTopic(topic='/imu'))
AWAY_S = 1.2


@pytest.fixture
def writer(tmp_path: Path) -> FileFdrWriter:
    return known_flight.make_writer(tmp_path)


def record(writer: FileFdrWriter) -> None:
    """Change two options in flight; the old topic is silent from then on, the new one before."""
    imu, maps = make_client('/imu', '0a'), make_client('/map', '0b')
    writer.register(imu)
    requested = tuple(
        RequestedTopic(name=name, option='topics', topic=name) for name in BEFORE.topics
    )
    writer.open_flight(new_flight_header('changed', BEFORE, requested=requested))
    imu.enqueue(numbered(1))
    time.sleep(AWAY_S)  # long enough for a silence
    topics, exclude = changes_of(BEFORE, AFTER)
    writer.emit(topics)
    writer.emit(ConfigChange(**{**vars(exclude), 'topics': CHANGED}))
    for item in requested:
        writer.emit(RequestedTopic(**{**vars(item), 'outcome': WITHDRAWN}))
    writer.register(maps)
    maps.enqueue(numbered(2))
    writer.retire(imu)
    written = writer.status.counters.records_written
    wait_until(lambda: writer.status.counters.records_written > written, 'the records')
    writer.split()
    wait_until(lambda: writer.status.segment_index == 1, 'the next segment')
    time.sleep(AWAY_S)
    maps.enqueue(numbered(3))


def check(flight: FlightFiles) -> None:
    """Check what a flight tells of the changes."""
    changes = flight.payloads(ConfigChange)
    assert [(item.option, item.before, item.after) for item in changes] == [
        ('topics', '["/imu", "/typo"]', '["/map"]'), ('exclude', '[]', '["/tmp/**"]')
    ]
    assert [item.topics for item in changes] == [(), CHANGED]
    headers = flight.payloads(FlightHeader)
    first, second = (yaml.safe_load(item.config_snapshot) for item in headers)
    assert first == BEFORE.to_options()
    assert second == AFTER.to_options()
    assert not flight.footer.requested
    for item in flight.footer.topics:
        assert AWAY_S * 1e9 <= item.longest_silence_ns < 1.9 * AWAY_S * 1e9, item.topic


def test_changes_are_recorded_and_shown(writer: FileFdrWriter) -> None:
    record(writer)
    flight = check_flight(writer.close_flight('changed'))
    writer.stop()
    check(flight)
    result = verify(flight.path)
    assert [result.damage, result.losses, result.not_recorded] == [[], [], {}]
    told = [item.payload for item in read_info(flight.path).events]
    assert [item for item in told if isinstance(item, ConfigChange)]
    page = render(gather(flight.path))
    assert 'Changed in flight' in page
    assert '/tmp/**' in page


def test_recovery_knows_the_changes(writer: FileFdrWriter, tmp_path: Path) -> None:
    record(writer)
    path = writer.status.path
    assert path is not None
    writer.stop()
    recover(tmp_path)
    check(open_flight_files(path))
