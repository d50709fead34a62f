# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A long mission: nothing grows with the publishers that come and go, nor a rotation's cost."""

from __future__ import annotations

from pathlib import Path

from bench.mission import Mission
from conftest import MakeWriter
from fdr_recorder import FlightReader, verify
from fdr_recorder.storage import segment_index, segment_list
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import KEPT_ACCOUNTS
from flight_check import check_flight
from producers import make_client, numbered, open_flight
import pytest
from waiting import wait_until


def test_nothing_grows_with_publishers_that_come_and_go(tmp_path: Path) -> None:
    mission = Mission(tmp_path)
    early_s = mission.go_on(110)
    late_s = mission.go_on(210)
    assert mission.publishers == 2100
    kept = mission.kept()
    assert max(kept['open accounts'], kept['retiring clients']) <= 20
    assert kept['accounts'] <= KEPT_ACCOUNTS + 20
    assert late_s < 5 * early_s
    mission.flight.close()
    verification = verify(tmp_path / 'bench')
    assert verification.damage == []
    with FlightReader(tmp_path / 'bench') as flight:
        for _ in flight.messages():
            pass
        footer = flight.footer
    assert footer is not None
    left = sum(item.folded or bool(item.publisher) for item in footer.producers)
    assert left == mission.publishers


def test_a_rotation_encodes_no_line_of_metadata_yaml_but_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mission = Mission(tmp_path)
    mission.go_on(60)
    encoded = []

    def file_line(closed: ClosedSegment) -> bytes:
        encoded.append(closed.index)
        return whole(closed)

    whole = segment_list.file_line
    monkeypatch.setattr(segment_list, 'file_line', file_line)
    mission.go_on(80)
    assert len(encoded) == len(set(encoded)) == 20
    mission.flight.close()


def test_a_segment_without_numbers_for_more_channels_is_followed_by_the_next(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_index, 'MOST_CHANNELS', 50)
    writer = make_writer()
    open_flight(writer, 'x')
    for number in range(120):
        client = make_client('/blob', f'{number:04x}')
        writer.register(client)
        client.enqueue(numbered(number), sequence=1)
        writer.retire(client)
    wait_until(lambda: not writer._clients.retiring, 'the rings')
    flight = check_flight(writer.close_flight('x'))
    channels = [len(item.statistics.channel_message_counts) for item in flight.segments]
    assert len(channels) == 3
    assert max(channels) <= 50
    assert verify(flight.path).damage == []
