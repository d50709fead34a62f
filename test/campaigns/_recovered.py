# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What must hold for every flight that was recovered, and for everything beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import json
from pathlib import Path

from fdr_recorder.flights.directory import DAMAGED_SUFFIX
from fdr_recorder.flights.recovery.recover import needs_recovery, recover
from fdr_recorder.flights.verify import Verdict, Verification, verify
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from flight_check import check_identities, FlightFiles, open_flight_files

Snapshot = Mapping[str, tuple[bytes, int]]


def snapshot(directory: Path) -> Snapshot:
    """Return content and modification time of every file below a directory, locks apart."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(directory.rglob('*'))
        if path.is_file() and not path.name.startswith('.fdr.')
    }


def check_recovered(
    path: Path, *, dropped_records: list[int] | None = None
) -> tuple[FlightFiles, Verification]:
    """
    Check a flight that `recover` has gone over: whole, and not touched a second time.

    Args:
        path: The flight.
        dropped_records: Records in each segment that was dropped.

    Returns:
        The flight as independent readers see it, and what `verify` says.

    """
    assert not needs_recovery(path)
    flight = open_flight_files(path)
    in_directory = {file.name for file in path.iterdir() if file.name.endswith('.mcap')}
    assert {segment.path.name for segment in flight.segments} == in_directory
    verification = verify(path)
    holed = {loss.file_name for loss in verification.losses if loss.cause == 'unreadable'}
    for segment in flight.segments:
        assert segment.messages, f'{segment.path.name} is empty'
        is_headed = segment.messages[0].topic == FlightHeader.channel_topic()
        assert is_headed or segment.path.name in holed, segment.path.name
    assert flight.messages[-1].topic == FlightFooter.channel_topic()
    _check_counters(flight, dropped_records or [])
    assert verification.verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED), str(verification)
    assert not any(loss.segments for loss in verification.losses), str(verification)
    set_aside = {file.name for file in path.iterdir() if file.name.endswith(DAMAGED_SUFFIX)}
    assert {name for name in holed if name.endswith(DAMAGED_SUFFIX)} == set_aside
    assert verification.records == len(flight.messages)
    json.dumps(verification.to_dict())
    before = snapshot(path)
    assert recover(path) == []
    assert snapshot(path) == before, 'recovered twice is not recovered once'
    return flight, verification


def last_footer(flight: FlightFiles) -> FlightFooter:
    """Return the footer that counts; one that is not true any more may stand before it."""
    return flight.payloads(FlightFooter)[-1]


def _check_counters(flight: FlightFiles, dropped_records: list[int]) -> None:
    footer = last_footer(flight)
    if footer.clean_shutdown or not dropped_records:
        check_identities(flight, footer, dropped=dropped_records)
        return
    # Nobody knows any more which producers' records went with the dropped segments.
    assert footer.bytes_written == flight.size + footer.bytes_dropped
    assert footer.segments_dropped == len(dropped_records)
    assert footer.records_written == len(flight.messages) + sum(dropped_records)
    written = Counter(
        {(item.topic, item.publisher): item.written for item in footer.producers if item.written}
    )
    assert written == Counter((item.topic, item.publisher) for item in flight.messages)
    for item in footer.producers:
        assert item.offered == item.written - item.repeated + item.dropped_overrun, item
