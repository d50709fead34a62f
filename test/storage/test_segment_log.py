# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The segments of a flight one after the other: opening, rotating, dropping, giving up."""

from __future__ import annotations

from collections.abc import Iterator
import errno
from pathlib import Path

from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import AlertBoard, FlightHeader, FlightRoot
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.invalid_records import InvalidRecords
from fdr_recorder.storage.segment_log import SegmentLog
from flight_check import Message, read_segment, read_whole_chunks
from producers import make_client
import pytest

MAX_BYTES = 16 * 1024


class Flight:
    """The segments of a flight, and one producer."""

    def __init__(self, root: FlightRoot, **options: object) -> None:
        config = FdrWriterConfig(
            segment_size_bytes=MAX_BYTES,
            chunk_size_bytes=2048,
            min_free_bytes=0,
            reserve_bytes=0,
            sync_interval_s=3600.0,
            **options,  # type: ignore[arg-type]
        )
        self.log = SegmentLog(
            root, FlightHeader(flight_id='x'), config, InvalidRecords(AlertBoard())
        )
        self.ledger = self.log.ledger
        self.account = self.producer('/blob')

    def producer(self, topic: str, *, latched: bool = False) -> ProducerAccount:
        return self.ledger.open_account(make_client(topic, latched=latched))

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.log.directory.path.glob('*.mcap'))

    def append(self, *numbers: int) -> None:
        assert self.log.segment is not None
        batch = [(number, number, number, bytes(100), 0) for number in numbers]
        assert self.log.segment.append(self.account.channel, batch) == len(batch)

    def close(self) -> None:
        self.log.durability.settle(self.log.segment, may_unlink=True)
        self.log.close()

    def messages(self, index: int) -> tuple[Message, ...]:
        return read_segment(self.log.directory.path / f'segment_{index:06d}.mcap').messages

    def topics(self, index: int) -> list[str]:
        return [message.topic for message in self.messages(index)]


@pytest.fixture
def flight(root: Path) -> Iterator[Flight]:
    with FlightRoot.acquire(root) as owned:
        flight = Flight(owned)
        yield flight
        flight.log.close()


HEADER = FlightHeader.channel_topic()


# --- opening -----------------------------------------------------------------------------------


def test_a_log_begins_without_a_segment(flight: Flight) -> None:
    assert (flight.log.segment, flight.log.newest_index, flight.names) == (None, -1, [])
    assert not flight.log.has_data


def test_a_new_segment_has_the_header_in_the_file(flight: Flight) -> None:
    flight.log.open_next()
    assert flight.names == ['segment_000000.mcap']
    written = read_whole_chunks(flight.log.directory.path / 'segment_000000.mcap')
    assert [message.topic for message in written] == [HEADER]
    assert not flight.log.has_data, 'nothing but what every segment begins with'
    flight.append(1)
    assert flight.log.has_data


def test_a_number_whose_file_exists_is_skipped_and_the_file_left_alone(flight: Flight) -> None:
    foreign = [flight.log.directory.path / f'segment_00000{index}.mcap' for index in range(3)]
    for path in foreign:
        path.write_bytes(b'precious')
    flight.log.open_next()
    assert flight.names == [*(path.name for path in foreign), 'segment_000003.mcap']
    assert flight.log.newest_index == 3
    assert {path.read_bytes() for path in foreign} == {b'precious'}


def test_a_segment_that_cannot_begin_leaves_no_file_and_no_count(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    latched = flight.producer('/map', latched=True)
    flight.log.latched.keep(latched, (1, 1, 1, b'map', 0))
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_segment_fd).fail(errno.ENOSPC)
        with pytest.raises(OSError, match='No space left'):
            flight.log.open_next()
    assert (flight.log.segment, flight.names) == (None, [])
    assert latched.repeated == 0
    flight.log.open_next()
    assert flight.names == ['segment_000000.mcap'], 'its number is used again'
    assert latched.repeated == 1
    assert flight.ledger.own_account(FlightHeader).offered == 1


def test_a_segment_that_cannot_begin_nor_be_removed_is_removed_later(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_segment_fd).fail(errno.ENOSPC)
        SystemCall(patched, 'unlink').fail(errno.EIO)
        for _ in range(2):
            with pytest.raises(OSError, match='No space left'):
                flight.log.open_next()
        assert flight.names == ['segment_000000.mcap', 'segment_000001.mcap']
    flight.log.open_next()
    assert flight.names == ['segment_000000.mcap']


def test_a_flight_that_cannot_begin_is_undone(flight: Flight) -> None:
    flight.log.open_next()
    flight.log.undo()
    assert not flight.log.directory.path.exists()


# --- latched messages --------------------------------------------------------------------------


def test_every_segment_begins_with_the_last_message_of_each_latched_topic(flight: Flight) -> None:
    first, second = (flight.producer(topic, latched=True) for topic in ('/map', '/tf_static'))
    flight.log.latched.keep(first, (1, 11, 1, b'old', 0))
    flight.log.latched.keep(first, (2, 12, 2, b'new', 0))
    flight.log.latched.keep(second, (3, 13, 3, b'tf', 0))
    for _ in range(2):
        flight.log.open_next()
        flight.log.end_segment()
    flight.close()
    for index in range(2):
        header, *repeated = flight.messages(index)
        assert header.topic == HEADER
        assert [
            (message.topic, message.publish_time, message.sequence, message.data)
            for message in repeated
        ] == [('/map', 12, 2, b'new'), ('/tf_static', 13, 3, b'tf')]
        assert {message.log_time for message in repeated} == {header.log_time}
    assert (first.repeated, second.repeated) == (2, 2)


def test_what_is_too_large_for_half_a_segment_is_not_repeated(flight: Flight) -> None:
    large, small = (flight.producer(topic, latched=True) for topic in ('/large', '/small'))
    flight.log.latched.keep(large, (1, 1, 1, bytes(MAX_BYTES // 2), 0))
    flight.log.latched.keep(small, (1, 1, 1, bytes(MAX_BYTES // 16), 0))
    flight.log.open_next()
    flight.log.end_segment()
    flight.close()
    assert flight.topics(0) == [HEADER, '/small']
    assert (large.repeated, small.repeated) == (0, 1)


# --- rotating and dropping ---------------------------------------------------------------------


def test_a_rotation_ends_the_segment_and_opens_the_next(flight: Flight) -> None:
    flight.log.open_next()
    flight.append(1, 2)
    flight.log.rotate()
    assert flight.log.newest_index == 1
    assert flight.log.directory.closed_segments == 1
    assert flight.ledger.rollover_count == 1
    flight.close()
    assert flight.topics(0) == [HEADER, '/blob', '/blob']
    (closed,) = flight.log.durability.rotated
    assert (closed.index, closed.records, closed.counts[flight.account.channel]) == (0, 3, 2)


def test_a_segment_that_ends_without_being_full_is_no_rotation(flight: Flight) -> None:
    flight.log.open_next()
    flight.log.end_segment()
    flight.log.durability.settle(None)
    assert flight.log.directory.closed_segments == 1
    assert not flight.log.durability.rotated
    assert flight.ledger.rollover_count == 0


def test_the_size_of_a_flight_is_that_of_its_files(flight: Flight) -> None:
    for _ in range(3):
        flight.log.open_next()
        flight.append(*range(10))
        flight.log.end_segment()
    flight.log.open_next()
    files = flight.log.directory.path.glob('*.mcap')
    assert flight.log.total_bytes == sum(path.stat().st_size for path in files)


def test_a_drop_is_described_counted_and_only_then_unlinked(flight: Flight) -> None:
    for _ in range(2):
        flight.log.open_next()
        flight.append(1)
        flight.log.rotate()
        flight.log.end_segment()
    before = flight.log.total_bytes
    first = flight.log.directory.path / 'segment_000000.mcap'
    size = first.stat().st_size
    rollover = flight.log.drop_oldest(cap_bytes=1234)
    assert (rollover.segment_index, rollover.file_name) == (0, first.name)
    assert (rollover.bytes, rollover.records, rollover.cap_bytes) == (size, 2, 1234)
    assert (rollover.total_bytes_before, rollover.total_bytes_after) == (before, before - size)
    assert flight.log.total_bytes == before - size
    ledger = flight.ledger
    assert (ledger.segments_dropped, ledger.bytes_dropped) == (1, size)
    assert ledger.records_in_dropped == 2
    flight.log.durability.settle(None, may_unlink=False)
    assert first.exists(), 'the drop is not recorded yet'
    flight.log.durability.settle(None, may_unlink=True)
    assert not first.exists()
    metadata = (flight.log.directory.path / 'metadata.yaml').read_text()
    assert first.name not in metadata
    assert 'segment_000001.mcap' in metadata


def test_a_shut_down_flight_says_so_in_its_metadata(flight: Flight) -> None:
    path = flight.log.directory.path / 'metadata.yaml'
    flight.log.open_next()
    flight.log.durability.settle(flight.log.segment)
    assert 'clean_shutdown: "false"' in path.read_text()
    flight.log.shut_down()
    flight.log.durability.settle(flight.log.segment)
    assert 'clean_shutdown: "true"' in path.read_text()


# --- syncing -----------------------------------------------------------------------------------


def test_open_data_are_synced_only_if_there_are_new_ones(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    fdatasync = SystemCall(monkeypatch, 'fdatasync')
    flight.log.open_next()
    for expected in (1, 1):
        flight.log.durability.settle(flight.log.segment)
        assert fdatasync.calls == expected
    flight.append(1)
    flight.log.durability.settle(flight.log.segment)
    assert fdatasync.calls == 2


def test_data_of_a_sync_that_failed_are_synced_again(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight.log.open_next()
    with monkeypatch.context() as patched:
        SystemCall(patched, 'fdatasync').fail(errno.EIO)
        with pytest.raises(OSError, match='Input/output'):
            flight.log.durability.settle(flight.log.segment)
    fdatasync = SystemCall(monkeypatch, 'fdatasync')
    flight.log.durability.settle(flight.log.segment)
    assert fdatasync.calls == 1


def test_a_slow_disk_is_waited_for_when_it_is_segments_behind(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    durability = flight.log.durability
    with SystemCall(monkeypatch, 'fsync').stalled() as is_stalled:
        flight.log.open_next()
        while not durability.is_behind:
            flight.log.rotate()
        assert is_stalled.wait(10)
        assert durability.is_busy
    durability.catch_up(flight.log.segment)
    assert not durability.is_behind


# --- when the disk refuses ---------------------------------------------------------------------


def test_giving_up_returns_what_is_not_written_and_ends_the_segment(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight.log.open_next()
    flight.append(1)
    flight.log.flush()
    flight.append(2, 3)
    with SystemCall(monkeypatch, 'writev', only=is_segment_fd).failing(errno.EIO):
        ((account, batch),) = flight.log.give_up()
    assert account is flight.account
    assert [record[2] for record in batch] == [2, 3]
    assert flight.log.segment is None
    assert flight.account.written == 1
    assert flight.log.give_up() == [], 'there is nothing left'
    flight.log.end_previous()
    flight.close()
    assert flight.topics(0) == [HEADER, '/blob']


def test_a_segment_that_cannot_be_ended_is_ended_later(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight.log.open_next()
    with monkeypatch.context() as patched:
        SystemCall(patched, 'writev', only=is_segment_fd).fail(errno.ENOSPC)
        flight.log.give_up()
        assert flight.log.directory.closed_segments == 0
        with pytest.raises(OSError, match='No space left'):
            flight.log.end_previous()
    size = (flight.log.directory.path / 'segment_000000.mcap').stat().st_size
    assert flight.log.total_bytes == size, 'it counts although it is not listed'
    flight.log.end_previous()
    assert flight.log.directory.closed_segments == 1
    flight.log.open_next()
    assert flight.log.newest_index == 1
    flight.log.end_segment()
    flight.close()
    assert flight.topics(0) == flight.topics(1) == [HEADER]


def test_giving_up_frees_the_reserve(root: Path) -> None:
    with FlightRoot.acquire(root) as owned:
        owned.allocate_reserve(4096)
        flight = Flight(owned)
        flight.log.open_next()
        flight.log.give_up()
        assert not owned.has_reserve
        flight.close()


def test_what_is_not_written_is_returned_for_its_own_producer(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = flight.producer('/other')
    flight.log.open_next()
    flight.append(1)
    assert flight.log.segment is not None
    flight.log.segment.append(other.channel, [(1, 1, 1, b'', 0)] * 3)
    with SystemCall(monkeypatch, 'writev', only=is_segment_fd).failing(errno.EIO):
        waiting = flight.log.give_up()
    assert [(account, len(batch)) for account, batch in waiting] == [
        (flight.account, 1), (other, 3)
    ]  # fmt: skip
