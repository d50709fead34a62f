# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A list reads little of a closed flight, and what it says is what reading all of it says."""

from __future__ import annotations

import os
from pathlib import Path
import struct
from typing import Any

from conftest import MakeWriter, Record, SMALL
from disk_faults import SystemCall
from fdr_recorder import FdrConfig, new_flight_header
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery import last_segment
from fdr_recorder.flights.recovery.last_segment import read_last_segment
from fdr_recorder.flights.recovery.recover import needs_recovery
from fdr_recorder.flights.status import Ended, Verdict
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.summary import read_summary
from fdr_recorder.record.kinds import AlertRecord, ClockStatus, ClockStep
from fdr_recorder.record.payload import Payload
from paths_of_kinds import FLIGHTS, Kinds
from producers import make_client, send
import pytest

LARGE = {'chunk_size_bytes': 1 << 20, 'segment_size_bytes': 16 << 20}


def thoroughly(flight: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what a list says of a flight when it reads all that recovery reads."""
    with monkeypatch.context() as patched:
        patched.setattr(last_segment, '_look', lambda _file: None)
        return list_flight(flight).to_dict()


def is_read_briefly(flight: Path) -> bool:
    last = read_last_segment(segment_files(flight)[-1])
    return last is not None and last.contents is None


@pytest.mark.parametrize('kind', FLIGHTS)
def test_little_says_the_same_as_all(
    kind: str,
    make_writer: MakeWriter,
    record_flight: Record,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flight = Kinds(root, tmp_path, make_writer, record_flight).make(kind)
    assert list_flight(flight).to_dict() == thoroughly(flight, monkeypatch)
    assert is_read_briefly(flight) == (kind not in ('unclean', 'recording'))


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
@pytest.mark.parametrize('size', [{}, LARGE], ids=['small chunks', 'large chunks'])
def test_clock_alerts_and_many_topics(
    compression: str,
    size: dict[str, int],
    make_writer: MakeWriter,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = make_writer(**{**SMALL, **size, 'compression': compression})
    clients = [make_client(f'/topic_{number}', f'{number:02x}') for number in range(40)]
    for client in clients:
        writer.register(client)
    header = new_flight_header('x', FdrConfig(flight_root=str(root), vehicle_id='drone-7'))
    writer.open_flight(header)
    began = header.flight_started_at_monotonic_ns
    records: list[Payload] = [
        AlertRecord(code='topic_missing', subject='/gps'),
        ClockStatus(monotonic_ns=began + 10, system_ns=10**18, clock_state=1),
        ClockStep(monotonic_ns=began + 20, before_ns=10**18, after_ns=2 * 10**18),
        ClockStatus(monotonic_ns=began + 30, system_ns=2 * 10**18 + 10, clock_state=2),
    ]
    for record in records:
        for client in clients:
            send(client, range(3), 2000)
        writer.emit(record)
    writer.close_flight('x')
    flight = root / 'x'
    said = list_flight(flight).to_dict()
    assert is_read_briefly(flight)
    assert said == thoroughly(flight, monkeypatch)
    if size:  # otherwise the records of the clock are not in the last segment
        assert said['utc_started_ns'] > 10**18


def test_the_end_is_read_once(
    record_flight: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = record_flight(close=True, count=400, **LARGE)
    last = segment_files(flight)[-1].path
    assert last.stat().st_size > 200_000
    opened = SystemCall(monkeypatch, 'open', only=lambda path, *_args: Path(path) == last)
    read = SystemCall(monkeypatch, 'pread')
    assert list_flight(flight).status.ended is Ended.CLOSED
    assert opened.calls <= 2
    assert read.calls <= 5
    assert not needs_recovery(flight)
    assert opened.calls <= 4
    assert read.calls <= 10


# --- what is not as it should be is read as recovery reads it ------------------------------------


def message_index(segment: Path, topic: str) -> int:
    """Return where the last message index of a topic begins."""
    with SegmentReader(segment) as reader:
        summary = read_summary(reader)
    (number,) = (key for key, channel in summary.channels.items() if channel.topic == topic)
    return next(
        chunk.indexes[number] for chunk in reversed(summary.chunks) if number in chunk.indexes
    )


@pytest.mark.parametrize(
    ('behind', 'data'),
    [
        pytest.param(0, b'\x0c', id='opcode'),
        pytest.param(layout.RECORD_PREFIX.size, struct.pack('<H', 999), id='channel'),
        pytest.param(layout.MESSAGE_INDEX_PREFIX.size - 4, b'\x0f', id='length of entries'),
        pytest.param(layout.MESSAGE_INDEX_PREFIX.size + 8, b'\x01', id='offset of the message'),
        pytest.param(layout.MESSAGE_INDEX_PREFIX.size + 12, b'\xff\xff', id='far offset'),
    ],
)
@pytest.mark.parametrize('topic', ['/fdr/flight_footer', '/fdr/flight_header'])
def test_a_message_index_that_is_wrong_does_not_mislead(
    topic: str,
    behind: int,
    data: bytes,
    record_flight: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flight = record_flight(close=True)
    whole = list_flight(flight).to_dict()
    last = segment_files(flight)[-1].path
    offset = message_index(last, topic) + behind
    content = bytearray(last.read_bytes())
    content[offset:offset + len(data)] = data
    last.write_bytes(content)
    assert not is_read_briefly(flight)
    assert list_flight(flight).to_dict() == thoroughly(flight, monkeypatch) == whole


def test_a_footer_that_something_follows_ends_no_flight(
    record_flight: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = record_flight(close=True)
    for cut in range(1, 400, 7):
        last = segment_files(flight)[-1].path
        content = last.read_bytes()
        damaged = bytearray(content)
        damaged[-cut] ^= 0x55
        last.write_bytes(damaged)
        assert list_flight(flight).to_dict() == thoroughly(flight, monkeypatch), cut
        last.write_bytes(content)
    os.truncate(last, len(content) - 1)
    assert list_flight(flight).status.verdict is Verdict.DAMAGED
    assert needs_recovery(flight)
