# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Records that the node cannot keep: all are counted, and the ground is told once."""

from __future__ import annotations

from pathlib import Path

from disk_faults import fill_disk, mounted_tmpfs
from fdr_recorder.record.kinds import AlertRecord, Overrun, SegmentRollover, WriteError
from flight_check import open_flight_files
from ground import DiagnosticStatus, Ground
from publisher_process import PublisherProcess
from recorder_process import read_flight, RecorderProcess
from std_msgs.msg import String

BURST = 5000


def test_overrun(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/burst'], 'ring__max_records': 4}
    with (
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
        PublisherProcess(ground, tmp_path, '/burst', depth=BURST) as publisher,
    ):
        recorder.make('configure', 'activate')
        publisher.hear()
        publisher.ask('publish', 0, BURST)
        status = recorder.wait_for_alert('rings', 'overrun')
        assert status.level == DiagnosticStatus.WARN
        recorder.wait_for_ok('rings')
        raised, cleared = recorder.at_once('rings', count=2)
        assert '/burst' in raised.message
        assert cleared.message.startswith('overrun over: ')
        assert 5 <= seconds_between(recorder, 'rings') < 10
        recorder.make('deactivate')
    flight = recorder.read_flight()
    (producer,) = [item for item in flight.footer.producers if item.topic == '/burst']
    assert producer.dropped_overrun > 0
    assert producer.offered == producer.written + producer.dropped_overrun
    assert producer.offered + producer.lost_transport == BURST
    overruns = flight.payloads(Overrun)
    assert sum(overrun.records for overrun in overruns) == producer.dropped_overrun
    for overrun in overruns:
        assert (overrun.topic, overrun.publisher) == ('/burst', producer.publisher)
        assert 0 < overrun.first_drop_ns <= overrun.last_drop_ns
    told = [alert.raised for alert in flight.payloads(AlertRecord) if alert.code == 'overrun']
    assert told == [True, False]


def test_a_message_that_can_never_fit(ground: Ground, tmp_path: Path, root: Path) -> None:
    """Its publisher comes while the flight is open, and its ring refuses all."""
    options = {'topics': ['/cloud', '/chatter'], 'ring__max_bytes': 4096}
    with (
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
        PublisherProcess(ground, tmp_path, '/chatter') as chatter,
    ):
        recorder.make('configure', 'activate')
        chatter.hear()
        with PublisherProcess(ground, tmp_path, '/cloud', size=8000) as cloud:
            cloud.hear()
            cloud.ask('publish', 0, 3)
            status = recorder.wait_for_alert('rings', 'overrun')
            assert '/cloud' in status.message
            assert 'ring.max_bytes (4.0 KiB)' in status.message
            chatter.ask('publish', 0, 3)
        recorder.make('deactivate')
    flight = recorder.read_flight()
    counters = {item.topic: item for item in flight.footer.producers}
    assert (counters['/cloud'].offered, counters['/cloud'].dropped_overrun) == (3, 3)
    assert (counters['/chatter'].offered, counters['/chatter'].written) == (3, 3)


def seconds_between(recorder: RecorderProcess, part: str) -> float:
    """Return the time between the first and the last alert of a group."""
    stamps = [
        array.header.stamp
        for array in recorder.ground.arrays
        if len(array.status) == 1 and array.status[0].name == f'{recorder.name}: {part}'
    ]
    first, last = (stamp.sec + stamp.nanosec / 1e9 for stamp in (stamps[0], stamps[-1]))
    return last - first


def test_the_capacity_cap(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {
        'topics': ['/chatter'],
        'writer__segment_size_bytes': 65_536,
        'writer__chunk_size_bytes': 8_192,
        'writer__flight_cap_bytes': 200_000,
    }
    with (
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
        PublisherProcess(ground, tmp_path, '/chatter', depth=1000, size=5000) as publisher,
    ):
        recorder.make('configure', 'activate')
        publisher.hear()
        publisher.ask('publish', 0, 200)
        status = recorder.wait_for_alert('capacity', 'segments_dropped')
        assert status.level == DiagnosticStatus.WARN
        summary = recorder.wait_for_summary(
            lambda values: int(values['segments_dropped']) > 5, 'dropped segments'
        )
        assert summary.message.startswith('recording ')
        recorder.make('deactivate')
        recorder.wait_for_ok('capacity')
        assert len(recorder.at_once('capacity', count=2)) == 2
    (path,) = recorder.flights()
    rollovers = open_flight_files(path).payloads(SegmentRollover)
    footer = open_flight_files(path).footer
    # the records of the oldest drops went with later ones
    indexes = [rollover.segment_index for rollover in rollovers]
    assert indexes == list(range(indexes[0], footer.segments_dropped))
    for rollover in rollovers:
        assert rollover.cap_bytes == 200_000
        assert rollover.total_bytes_after == rollover.total_bytes_before - rollover.bytes
    on_disk = sum(file.stat().st_size for file in path.glob('*.mcap'))
    assert on_disk <= 200_000 + 65_536
    assert footer.bytes_written == on_disk + footer.bytes_dropped
    (producer,) = [item for item in footer.producers if item.topic == '/chatter']
    assert producer.offered == producer.written == 200 - producer.lost_transport
    present = open_flight_files(path).of_topic('/chatter')
    assert [message.sequence for message in present] == list(
        range(present[0].sequence, present[0].sequence + len(present))
    )


def test_a_full_disk(ground: Ground, tmp_path: Path) -> None:
    options = {
        'topics': ['/chatter'], 'writer__chunk_size_bytes': 16_384, 'ring__max_records': 20
    }  # fmt: skip
    with (
        mounted_tmpfs(tmp_path / 'small', 4 << 20) as root,
        RecorderProcess(ground, tmp_path, root, **options) as recorder,
    ):
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')

        def publish() -> None:
            publisher.publish(String(data='x' * 5000))

        publish()
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'the first message on disk')
        ballast = fill_disk(root)

        def is_told() -> bool:
            publish()
            return bool(recorder.at_once('disk'))

        ground.wait_until(is_told, 'alert disk_full')
        (raised,) = recorder.at_once('disk')
        assert raised.level == DiagnosticStatus.ERROR
        assert 'disk_full' in raised.values[0].key
        for _ in range(40):
            publish()
        summary = recorder.wait_for_summary(
            lambda values: int(values['records_dropped_write_error']) > 0, 'discarded records'
        )
        assert summary.level == DiagnosticStatus.ERROR
        assert summary.message.startswith('not recording (active)')
        assert recorder.state() == 'active'
        assert len(recorder.wait_for_log('recording is suspended')) == 1

        ballast.unlink()
        recorder.wait_for_ok('disk')
        assert len(recorder.at_once('disk', count=2)) == 2
        publish()
        ground.wait_until(
            lambda: not publish() and len(list(recorder.flights()[0].glob('*.mcap'))) == 2,
            'a second segment',
        )
        recorder.make('deactivate')
        flight = recorder.read_flight()
        footer = flight.footer
        assert footer.records_dropped_write_error > 0
        (error,) = flight.payloads(WriteError)
        assert error.error_name == 'ENOSPC'
        assert error.records == footer.records_dropped_write_error

        recorder.make('activate')
        fill_disk(root)

        def is_told_again() -> bool:
            publish()
            return len(recorder.at_once('disk')) == 3

        ground.wait_until(is_told_again, 'the second alert disk_full')
        recorder.make('deactivate')
        assert recorder.state() == 'inactive'
        recorder.wait_for_ok('disk')
        recorder.wait_for_log('closed without a footer')
        assert recorder.stop() == 0
        assert read_flight(flight.path) == flight
        (unclean,) = set(recorder.flights()) - {flight.path}
        assert open_flight_files(unclean).custom_data['clean_shutdown'] == 'false'
