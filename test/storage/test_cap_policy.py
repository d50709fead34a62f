# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The capacity cap: the oldest closed segments go, and each leaves a record of what it was."""

from __future__ import annotations

from collections.abc import Callable
import inspect
import logging
import os
from pathlib import Path
from typing import Any

from conftest import MakeWriter, QUICK
from fdr_recorder import (
    Alert,
    AlertBoard,
    CapacityCapPolicy,
    FdrClient,
    FdrConfig,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    FlightNotOpenError,
    FlightRoot,
)
from fdr_recorder.config import OPTIONS
from fdr_recorder.record.kinds import AlertRecord, SegmentRollover
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.footer import FlightSummary
from fdr_recorder.storage.recording import FlightRecording
from flight_check import check_flight, FlightFiles, open_flight_files, read_segment
from producers import make_client, number_of, numbered, open_flight, send
import pytest
from waiting import wait_until

SEGMENT = 24 * 1024
OPTIONS_SMALL = {'segment_size_bytes': SEGMENT, 'chunk_size_bytes': 2048}


def capped(
    make_writer: MakeWriter, cap_bytes: int, **options: object
) -> tuple[FileFdrWriter, AlertBoard, list[Alert]]:
    alerts = AlertBoard()
    told: list[Alert] = []
    alerts.listen(told.append)
    writer = make_writer(alerts=alerts, **{**OPTIONS_SMALL, **options})
    writer.on_rotation = CapacityCapPolicy(cap_bytes, writer, alerts).on_rotation
    return writer, alerts, told


def fly(
    writer: FileFdrWriter, client: FdrClient, records: int, flight_id: str = 'x'
) -> tuple[FlightSummary, FlightFiles, list[SegmentRollover]]:
    """
    Record a flight, check it, and give the rollover records of all dropped segments.

    A rollover record may itself lie in a segment that was dropped later, so they are gathered
    from what the writer returned to the policy.
    """
    rollovers: list[SegmentRollover] = []
    drop = writer.drop_oldest_segment

    def noting(cap_bytes: int) -> SegmentRollover:
        rollovers.append(drop(cap_bytes))
        return rollovers[-1]

    writer.drop_oldest_segment = noting  # type: ignore[method-assign]
    open_flight(writer, flight_id)
    send(client, range(records), 300)
    summary = writer.close_flight(flight_id)
    writer.drop_oldest_segment = drop  # type: ignore[method-assign]
    flight = check_flight(summary, dropped=[item.records for item in rollovers])
    return summary, flight, rollovers


def test_the_oldest_closed_segments_are_dropped(make_writer: MakeWriter) -> None:
    writer, _, _ = capped(make_writer, 5 * SEGMENT)
    client = make_client()
    writer.register(client)
    _, flight, rollovers = fly(writer, client, 1000)
    assert len(rollovers) > 5
    first = len(rollovers)
    assert [item.segment_index for item in rollovers] == list(range(first))
    kept = [segment.path.name for segment in flight.segments]
    assert kept == [f'segment_{index:06d}.mcap' for index in range(first, first + len(kept))]
    assert sorted(path.name for path in flight.path.glob('*.mcap')) == kept
    numbers = [number_of(message.data) for message in flight.of_topic('/blob')]
    assert numbers == list(range(1000 - len(numbers), 1000))
    assert flight.size <= 6 * SEGMENT


def test_counters_of_what_was_dropped_are_exact(make_writer: MakeWriter) -> None:
    writer, _, _ = capped(make_writer, 5 * SEGMENT)
    client = make_client()
    writer.register(client)
    _, flight, rollovers = fly(writer, client, 1000)
    footer = flight.footer
    assert footer.segments_dropped == len(rollovers)
    assert footer.bytes_dropped == sum(item.bytes for item in rollovers)
    (counters,) = [item for item in footer.producers if item.topic == '/blob']
    assert (counters.offered, counters.written) == (1000, 1000)
    assert footer.rollover_count == len(rollovers) + len(flight.segments) - 1


def test_each_dropped_segment_has_one_record_that_says_what_it_was(
    make_writer: MakeWriter, root: Path
) -> None:
    """Every segment is copied aside by the hook before the policy sees it."""
    writer, _, _ = capped(make_writer, 4 * SEGMENT)
    policy, client = writer.on_rotation, make_client()
    assert policy is not None
    copies: dict[str, Any] = {}

    def hook(closed: ClosedSegment) -> None:
        copies[closed.file_name] = read_segment(root / 'x' / closed.file_name)
        copies[closed.file_name, 'size'] = (root / 'x' / closed.file_name).stat().st_size
        policy(closed)

    writer.on_rotation = hook
    writer.register(client)
    _, flight, _ = fly(writer, client, 600)
    recorded = [
        message.payload()
        for file in [
            *(item for item in copies.values() if not isinstance(item, int)),
            flight.segments[-1],
        ]
        for message in file.messages
        if message.topic == SegmentRollover.channel_topic()
    ]
    assert len(recorded) == flight.footer.segments_dropped > 5
    for index, rollover in enumerate(recorded):
        assert isinstance(rollover, SegmentRollover)
        assert (rollover.flight_id, rollover.segment_index) == ('x', index)
        assert rollover.file_name == f'segment_{index:06d}.mcap'
        copy = copies[rollover.file_name]
        assert rollover.bytes == copies[rollover.file_name, 'size']
        assert rollover.records == len(copy.messages)
        times = [message.log_time for message in copy.messages]
        assert (rollover.first_log_time_ns, rollover.last_log_time_ns) == (min(times), max(times))
        assert rollover.total_bytes_before - rollover.total_bytes_after == rollover.bytes
        assert rollover.total_bytes_before > rollover.cap_bytes == 4 * SEGMENT


def test_below_the_cap_nothing_is_dropped(make_writer: MakeWriter) -> None:
    writer, _, told = capped(make_writer, 100 * SEGMENT)
    client = make_client()
    writer.register(client)
    _, flight, rollovers = fly(writer, client, 1000)
    assert rollovers == []
    assert len(flight.segments) > 10
    assert told == []


def test_dropping_is_one_alert_in_the_flight_too(make_writer: MakeWriter) -> None:
    writer, alerts, told = capped(make_writer, 5 * SEGMENT)
    client = make_client()
    writer.register(client)
    fly(writer, client, 1000)
    assert [(item.code, item.raised) for item in told] == [
        ('segments_dropped', True),
        ('segments_dropped', False),
    ]
    assert alerts.present() == ()


def test_a_second_flight_has_the_whole_cap_again(make_writer: MakeWriter) -> None:
    writer, _, _ = capped(make_writer, 5 * SEGMENT)
    client = make_client()
    writer.register(client)
    first, _, _ = fly(writer, client, 600, 'first')
    before = sorted(path.name for path in first.path.iterdir())
    _, _, rollovers = fly(writer, client, 100, 'second')
    assert rollovers == []
    assert sorted(path.name for path in first.path.iterdir()) == before


@pytest.mark.parametrize('cap_bytes', [1, SEGMENT // 2])
def test_a_cap_below_one_segment_is_one_error_and_recording_goes_on(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture, cap_bytes: int
) -> None:
    """The only closed segment is never dropped, nor the open one."""
    caplog.set_level(logging.ERROR)
    writer, alerts, told = capped(make_writer, cap_bytes)
    client = make_client()
    writer.register(client)
    _, flight, rollovers = fly(writer, client, 970)
    errors = [item for item in caplog.records if item.levelno == logging.ERROR]
    assert len(errors) == 1
    assert 'writer.flight_cap_bytes' in errors[0].getMessage()
    states = [(item.code, item.raised) for item in told if item.code == 'cap_misconfigured']
    assert states == [('cap_misconfigured', True), ('cap_misconfigured', False)]
    assert alerts.present() == ()
    assert len(flight.segments) == 2
    assert len(rollovers) > 5
    numbers = [number_of(message.data) for message in flight.of_topic('/blob')]
    assert numbers[-1] == 969


def test_the_open_segment_alone_is_never_dropped(make_writer: MakeWriter, root: Path) -> None:
    writer, _, _ = capped(make_writer, 1, segment_size_bytes=1 << 20)
    client = make_client()
    writer.register(client)
    _, flight, rollovers = fly(writer, client, 500)
    assert rollovers == []
    assert len(flight.of_topic('/blob')) == 500


def test_rotation_at_the_very_end_leaves_no_alert(make_writer: MakeWriter) -> None:
    """The footer may need a segment of its own, and that may be what exceeds the cap."""
    writer, alerts, _ = capped(make_writer, 1)
    client = make_client()
    writer.register(client)
    segments = set()
    for count in range(24, 80, 2):
        _, flight, _ = fly(writer, client, count, f'x{count}')
        segments.add(len(flight.segments))
        assert alerts.present() == (), count
    assert segments == {1, 2}


def test_the_footer_counts_the_drop_that_made_room_for_it(root: Path) -> None:
    """The rotation for the footer drops the first segment: the footer lists one producer more."""
    config = FdrWriterConfig(
        segment_size_bytes=SEGMENT, chunk_size_bytes=2048, min_free_bytes=0, reserve_bytes=0
    )

    def begin(flight_id: str) -> tuple[FlightRecording, Callable[[int], None]]:
        alerts, client = AlertBoard(), make_client()
        header = FlightHeader(flight_id=flight_id)

        def on_rotation(closed: ClosedSegment) -> None:
            CapacityCapPolicy(2 * SEGMENT - 2048, recording, alerts).on_rotation(closed)

        def write(number: int) -> None:
            client.enqueue(numbered(number, 300), number)
            recording.write(recording.account_of(client), client.ring.take(1))

        recording = FlightRecording(owned, header, config, alerts, [client], on_rotation)
        client.ring.is_open = True
        return recording, write

    with FlightRoot.acquire(root) as owned:
        recording, write = begin('a')
        records = 0
        while recording.log.newest_index < 2:
            write(records)
            records += 1
        recording.abandon()
        recording, write = begin('b')
        for number in range(records - 1):  # the next would need a third segment
            write(number)
        assert (recording.log.newest_index, recording.log.counters().segments_dropped) == (1, 0)
        summary = recording.close()
    rollovers = open_flight_files(summary.path).payloads(SegmentRollover)
    assert [rollover.segment_index for rollover in rollovers] == [0]
    check_flight(summary, dropped=[rollover.records for rollover in rollovers])


def test_dropping_without_a_flight_is_refused(make_writer: MakeWriter) -> None:
    with pytest.raises(FlightNotOpenError):
        make_writer().drop_oldest_segment(1)


# --- no way around the record ------------------------------------------------------------------


def values_of(name: str) -> list[object]:
    """Values of an option that make a difference and let a small flight finish."""
    default, option = OPTIONS[name]
    if isinstance(default, bool):
        return [True, False]
    if option.choices:
        return list(option.choices)
    return {
        'writer.segment_size_bytes': [SEGMENT, 2 * SEGMENT],
        'writer.segment_duration_s': [0.0, 0.05],
        'writer.flight_cap_bytes': [3 * SEGMENT],
        'writer.root_cap_bytes': [0, 6 * SEGMENT],
        'writer.batch_size': [1, 10_000],
        'writer.chunk_size_bytes': [1024, 1 << 20],
        'writer.flush_interval_s': [0.01, 60.0],
        'writer.sync_interval_s': [0.01, 3600.0],
        'writer.min_free_bytes': [0, 4096],
        'writer.reserve_bytes': [0, 4096],
        'writer.bag_version': [5, 9],
        'writer.file_mode': ['', '0644'],
        'writer.file_group': ['', str(os.getgid())],
    }[name]


WRITER_OPTIONS = [name for name in OPTIONS if name.startswith('writer.')]


@pytest.mark.parametrize('name', WRITER_OPTIONS)
def test_no_option_turns_the_record_of_a_dropped_segment_off(
    make_writer: MakeWriter, tmp_path: Path, name: str
) -> None:
    for index, value in enumerate(values_of(name)):
        path = tmp_path / str(index)
        path.mkdir()
        option = name.removeprefix('writer.')
        config = FdrConfig.from_options({name: value})
        assert getattr(config.writer, option) == value
        alerts = AlertBoard()
        writer = make_writer(path, alerts=alerts, **{**OPTIONS_SMALL, **QUICK, option: value})
        writer.on_rotation = CapacityCapPolicy(3 * SEGMENT, writer, alerts).on_rotation
        seen: list[SegmentRollover] = []
        emitted_by_writer(writer, seen)
        client = make_client()
        open_flight(writer, 'x', client)
        send(client, range(400), 300)
        summary = writer.close_flight('x')
        check_flight(summary, dropped=[item.records for item in seen])
        (counters,) = [
            item
            for item in summary.footer.producers
            if item.topic == SegmentRollover.channel_topic()
        ]
        assert counters.written == summary.footer.segments_dropped == len(seen) > 0
        writer.stop()


def emitted_by_writer(writer: FileFdrWriter, seen: list[SegmentRollover]) -> None:
    """Note what `drop_oldest_segment` returns."""
    drop = writer.drop_oldest_segment

    def noting(cap_bytes: int) -> SegmentRollover:
        seen.append(drop(cap_bytes))
        return seen[-1]

    writer.drop_oldest_segment = noting  # type: ignore[method-assign]


def test_no_argument_turns_the_record_of_a_dropped_segment_off() -> None:
    assert list(inspect.signature(CapacityCapPolicy).parameters) == [
        'cap_bytes',
        'store',
        'alerts',
        'option',
    ]
    assert list(inspect.signature(FileFdrWriter.drop_oldest_segment).parameters) == [
        'self',
        'cap_bytes',
    ]


def test_a_policy_that_drops_by_itself_leaves_the_record_too(make_writer: MakeWriter) -> None:
    """The record comes with the dropping, not with the policy."""
    writer, client = make_writer(**OPTIONS_SMALL), make_client()
    dropped: list[SegmentRollover] = []

    def hook(_closed: ClosedSegment) -> None:
        if writer.closed_segments > 1:
            dropped.append(writer.drop_oldest_segment(0))

    writer.on_rotation = hook
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    send(client, range(300), 300)
    wait_until(lambda: len(client.ring) == 0, 'the writer')
    flight = check_flight(
        writer.close_flight('x'), dropped=[item.records for item in dropped]
    )
    assert flight.payloads(SegmentRollover)[-1] == dropped[-1]
    assert flight.payloads(AlertRecord) == []
