# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is wrong with a flight is called damage; what it says it lacks is called a loss."""

from __future__ import annotations

from dataclasses import replace
import fcntl
from functools import partial
from itertools import count
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import threading
import time

from campaigns._recovered import snapshot
from conftest import MakeWriter, Record, SMALL
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import CapacityCapPolicy, FlightRoot, RingConfig
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Ended, Integrity
from fdr_recorder.flights.verify import Verdict, Verification, verify
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import ProducerAccount
from fdr_recorder.storage.flight_root import LOCK_NAME
from flight_check import read_segment
from producers import make_client, numbered, open_flight, send
import pytest
from waiting import wait_until


@pytest.fixture
def record(record_flight: Record) -> Record:
    """Return a function that records a flight of some segments."""
    return partial(record_flight, close=True)


def causes(verification: Verification) -> set[str]:
    """Return the causes of all losses, the same in words and in JSON."""
    as_json = json.loads(json.dumps(verification.to_dict()))
    assert as_json['status']['verdict'] == verification.verdict.name.lower()
    assert as_json['damage'] == verification.damage
    assert len(as_json['losses']) == len(verification.losses)
    for loss, item in zip(verification.losses, as_json['losses'], strict=True):
        assert str(loss) in str(verification)
        assert item['cause'] == loss.cause
        assert item['records'] == loss.records
    for text in verification.damage:
        assert f'damaged: {text}' in str(verification)
    return {loss.cause for loss in verification.losses}


def assert_damaged(flight: Path, words: str) -> None:
    verification = verify(flight)
    assert verification.verdict is Verdict.DAMAGED
    assert any(words in text for text in verification.damage), verification.damage
    causes(verification)


# --- a flight that is as it should be ----------------------------------------------------------


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
def test_a_closed_flight_is_clean(record: Record, compression: str) -> None:
    verification = verify(record(compression=compression))
    assert verification.verdict is Verdict.COMPLETE
    assert causes(verification) == set()
    assert 'clean' in str(verification)
    assert verification.footer is not None
    assert verification.records == verification.footer.records_written
    assert verification.bytes == verification.footer.bytes_written


def test_nothing_is_changed(record: Record, root: Path) -> None:
    flight = record()
    before = snapshot(root)
    verify(flight)
    assert snapshot(root) == before


def test_progress_is_told_in_bytes(record: Record) -> None:
    told: list[int] = []
    verification = verify(record(), told.append)
    assert len(told) == verification.segments
    assert sum(told) == verification.bytes
    assert min(told) > 0


def test_the_verdict_is_an_exit_code() -> None:
    assert {verdict.name.lower(): verdict.value for verdict in Verdict} == {
        'complete': 0,
        'losses': 1,
        'damaged': 2,
        'unknown': 4,
        'not_as_asked': 5,
        'unclosed': 6,
        'not_authentic': 7,
        'partly_authentic': 8,
        'unproved': 9,
    }


# --- losses ------------------------------------------------------------------------------------


def test_an_overrun_is_a_loss(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer(**SMALL)
    client = make_client('/blob', '0a', ring=RingConfig(max_records=5))
    open_flight(writer, 'x', client)
    send(client, range(2000), patient=False)
    writer.close_flight('x')
    verification = verify(root / 'x')
    assert verification.verdict is Verdict.LOSSES
    assert causes(verification) == {'overrun'}
    losses = verification.losses
    assert sum(loss.records for loss in losses) == client.ring.refusals.records
    assert all(loss.topic == '/blob' and loss.publisher == '0a' for loss in losses)
    assert all(0 < loss.first_ns <= loss.last_ns for loss in losses)
    assert 'full ring' in str(losses[0])


def test_a_transport_loss_is_a_loss(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    client.enqueue(numbered(0), sequence=0)
    client.count_transport_loss(1, 4)
    client.enqueue(numbered(5), sequence=5)
    writer.close_flight('x')
    verification = verify(root / 'x')
    assert causes(verification) == {'transport'}
    [loss] = verification.losses
    assert loss.records == 4
    assert '4 messages of /blob never reached the recorder, between 20' in str(loss)


def test_what_the_disk_refused_is_a_loss(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.1)
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(), make_client('/blob', '0a', ring=RingConfig(max_records=20))
    open_flight(writer, 'x', client)
    writev.fail(28)
    send(client, range(100))
    wait_until(lambda: client.ring.fill <= 0.5, 'room in the ring')
    writev.work()
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    send(client, range(100, 120))
    writer.close_flight('x')
    verification = verify(root / 'x')
    assert verification.damage == []
    assert causes(verification) == {'write_error'}
    (account,) = [item for item in verification.footer.producers if item.topic == '/blob']
    assert verification.losses[0].records == account.dropped_write_error > 0
    assert 'the disk refused them' in str(verification)


def test_refusals_told_in_a_dropped_segment_are_no_damage(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('fdr_recorder.storage.losses.REPORT_INTERVAL_S', 0.0)
    writer = make_writer(**SMALL, batch_size=8)
    client = make_client('/blob', '0a', ring=RingConfig(max_records=300))
    policy = CapacityCapPolicy(60_000, writer, writer.alerts)
    may_go_on, is_held = threading.Event(), threading.Event()

    def rotated(closed: ClosedSegment) -> None:
        policy.on_rotation(closed)
        is_held.set()
        may_go_on.wait(10)

    writer.on_rotation = rotated
    open_flight(writer, 'x', client)
    numbers = count(1)

    def offer() -> bool:
        number = next(numbers)
        return client.enqueue(numbered(number, 500), sequence=number)

    wait_until(lambda: offer() and is_held.is_set(), 'the writer is held up')
    while offer():
        pass
    may_go_on.set()  # first it tells of the refusal, then it writes what the ring holds
    wait_until(lambda: len(client.ring) == 0, 'an empty ring')
    assert offer()
    footer = writer.close_flight('x').footer
    assert footer.records_dropped_overrun == 1
    verification = verify(root / 'x')
    assert verification.damage == []
    assert sum(loss.records for loss in verification.losses if loss.cause == 'overrun') == 1


def test_dropped_segments_are_a_loss(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(**SMALL), make_client('/blob', '0a')
    writer.on_rotation = CapacityCapPolicy(60_000, writer, writer.alerts).on_rotation
    open_flight(writer, 'x', client)
    send(client, range(300), 500)
    footer = writer.close_flight('x').footer
    verification = verify(root / 'x')
    assert verification.damage == []
    assert causes(verification) == {'capacity'}
    [loss] = verification.losses
    assert loss.records in (0, footer.records_written - verification.records)
    assert 'oldest segments' in str(loss)


def test_a_flight_that_was_not_closed_is_told_apart_from_damage(record: Record) -> None:
    verification = verify(record(close=False))
    assert verification.verdict is Verdict.UNCLOSED
    assert causes(verification) == {'unclean'}
    assert 'was not closed' in str(verification)
    assert verification.to_dict()['status']['ended'] == 'unknown'


def test_a_recovered_flight_is_not_damaged_and_says_it_was_unclean(
    record: Record, root: Path
) -> None:
    flight = record(close=False)
    os.truncate(segment_files(flight)[-1].path, 4000)
    recover(root)
    verification = verify(flight)
    assert verification.damage == []
    assert causes(verification) == {'unclean'}
    (loss,) = verification.losses
    assert loss.first_ns == read_segment(segment_files(flight)[-1].path).messages[-1].log_time
    assert 'what came last may be missing, after 20' in str(loss)
    assert verification.verdict is Verdict.LOSSES
    assert verification.to_dict()['status']['ended'] == 'recovered'


# --- damage to files ---------------------------------------------------------------------------


def test_every_flipped_byte_of_a_chunk_or_summary_is_found(record: Record) -> None:
    path = segment_files(record(count=20))[0].path
    data = path.read_bytes()
    metadata_end = data.index(b'record_schema_version')
    missed = []
    for place in range(len(data) - 1, metadata_end, -101):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1:])
        if verify(path.parent).verdict is not Verdict.DAMAGED:
            missed.append(place)
    path.write_bytes(data)
    assert verify(path.parent).verdict is Verdict.COMPLETE
    # Schemas, channels and message indexes of the data section have no CRC in MCAP.
    assert len(missed) < 0.4 * len(data) / 101


def test_a_torn_segment_is_damage(record: Record) -> None:
    flight = record()
    path = segment_files(flight)[0].path
    os.truncate(path, path.stat().st_size - 1)
    assert_damaged(flight, path.name)


def test_a_missing_segment_is_damage(record: Record) -> None:
    for flight_id, index in (('middle', 1), ('first', 0)):
        flight = record(flight_id)
        segment_files(flight)[index].path.unlink()
        assert_damaged(flight, 'missing')


def test_missing_segments_are_not_counted_one_by_one(record: Record) -> None:
    flight = record()
    shutil.copy(segment_files(flight)[0].path, flight / 'segment_999999999.mcap')
    assert_damaged(flight, 'to 999999998 are missing')


def test_a_last_segment_that_is_gone_is_damage(record: Record) -> None:
    flight = record()
    segment_files(flight)[-1].path.unlink()
    assert_damaged(flight, 'metadata.yaml')


def test_a_segment_of_another_flight_is_damage(record: Record) -> None:
    ours, other = record('ours'), record('other')
    shutil.copy(segment_files(other)[1].path, segment_files(ours)[1].path)
    assert_damaged(ours, "belongs to flight 'other'")


def test_a_first_segment_of_another_flight_is_damage(record: Record) -> None:
    ours, other = record('ours'), record('other')
    shutil.copy(segment_files(other)[0].path, segment_files(ours)[0].path)
    assert_damaged(ours, 'belongs to flight')


def test_a_flight_whose_directory_has_another_name_is_whole(record: Record) -> None:
    flight = record('ours')
    assert verify(flight.rename(flight.with_name('to be kept'))).verdict is Verdict.COMPLETE


def test_a_segment_in_the_place_of_another_is_damage(record: Record) -> None:
    flight = record()
    first, second = segment_files(flight)[1:3]
    content = first.path.read_bytes()
    first.path.write_bytes(second.path.read_bytes())
    second.path.write_bytes(content)
    assert_damaged(flight, 'begun before')


def test_metadata_that_names_other_segments_is_damage(record: Record) -> None:
    flight = record()
    metadata = flight / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('segment_000001', 'segment_000007'))
    assert_damaged(flight, 'metadata.yaml')
    metadata.unlink()  # as if the recorder had been killed before it wrote that
    assert verify(flight).verdict is Verdict.UNCLOSED


def test_a_directory_without_segments_is_no_flight(root: Path) -> None:
    assert_damaged(root, 'this is no flight')


def test_a_directory_that_is_not_there_is_an_error_of_the_system(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify(root / 'nowhere')


def test_a_list_of_damage_has_an_end(record: Record) -> None:
    flight = record(count=2000, segment_size_bytes=1 << 20)
    for segment in segment_files(flight):
        data = segment.path.read_bytes()
        segment.path.write_bytes(data.replace(b'flight_id', b'flight_ie'))
    assert len(verify(flight).damage) <= 100


# --- broken accounts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('bytes_written', 'bytes'),
        ('records_written', 'records'),
        ('records_dropped_overrun', 'records_dropped_overrun'),
        ('records_lost_transport', 'records_lost_transport'),
        ('records_repeated', 'records_repeated'),
        ('segments_dropped', 'dropped'),
        ('bytes_dropped', 'bytes'),
    ],
)
def test_a_counter_that_is_not_true_is_damage(
    record: Record, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    def lying(payload: object) -> bytes:
        if isinstance(payload, FlightFooter):
            payload = replace(payload, **{name: getattr(payload, name) + 1})
        return encode(payload)  # type: ignore[arg-type]

    monkeypatch.setattr('fdr_recorder.storage.footer.encode', lying)
    assert_damaged(record(), words)


@pytest.mark.parametrize('name', ['written', 'repeated', 'dropped_overrun', 'dropped_write_error'])
def test_a_producer_that_does_not_add_up_is_damage(
    record: Record, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = ProducerAccount.snapshot

    def lying(account: ProducerAccount) -> object:
        counters = real(account)
        return replace(counters, **{name: getattr(counters, name) + 1})

    monkeypatch.setattr(ProducerAccount, 'snapshot', lying)
    assert_damaged(record(), 'accounted for')


def test_messages_that_are_missing_without_a_trace_are_damage(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    client.enqueue(numbered(0), sequence=0)
    client.enqueue(numbered(5), sequence=5)
    writer.close_flight('x')
    assert_damaged(root / 'x', '/blob: 4 messages are missing without a trace')


def test_the_same_of_a_killed_recorder_is_a_loss(
    make_writer: MakeWriter, root: Path
) -> None:
    """It had no time to say why."""
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    client.enqueue(numbered(0), sequence=0)
    client.enqueue(numbered(5), sequence=5)
    writer.stop()
    for _ in range(2):
        verification = verify(root / 'x')
        assert verification.damage == []
        assert 'before it could say why' in str(verification)
        assert 4 in {loss.records for loss in verification.losses}
        recover(root)


def test_sequence_numbers_may_begin_anew_after_the_last_one(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    for sequence in range((1 << 32) - 3, (1 << 32) + 3):
        client.enqueue(numbered(0), sequence=sequence)
    writer.close_flight('x')
    assert verify(root / 'x').verdict is Verdict.COMPLETE


def test_without_a_gid_sequence_numbers_mean_nothing(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(), make_client('/blob')
    open_flight(writer, 'x', client)
    for sequence in (7, 3, 100):
        client.enqueue(numbered(0), sequence=sequence)
    writer.close_flight('x')
    assert verify(root / 'x').verdict is Verdict.COMPLETE


# --- a flight that is being written ------------------------------------------------------------


def test_a_flight_that_is_being_written_is_not_called_damaged(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(**{**SMALL, 'flush_interval_s': 0.02}), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    for start in range(0, 100, 10):
        send(client, range(start, start + 10), 500)
        verification = verify(root / 'x')
        assert verification.damage == []
        assert verification.ended is Ended.OPEN
        assert verification.verdict is Verdict.COMPLETE
        assert 'is being recorded right now' in str(verification)
    writer.close_flight('x')
    assert verify(root / 'x').ended is not Ended.OPEN
    assert verify(root / 'x').verdict is Verdict.COMPLETE


HOLD_THE_LOCK = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_the_lock_of_another_process_is_seen(record: Record, root: Path) -> None:
    flight = record(close=False)
    os.truncate(segment_files(flight)[-1].path, 4000)
    child = subprocess.Popen(
        [
            sys.executable,
            '-c',
            HOLD_THE_LOCK,
            str(root / '.fdr.lock'),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        verification = verify(flight)
        child.stdin.close()
    assert verification.ended is Ended.OPEN
    assert verification.damage == []


def test_an_older_flight_is_not_taken_for_the_one_that_is_being_written(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = time.time_ns
    with monkeypatch.context() as patched:
        patched.setattr(time, 'time_ns', lambda: now_ns() - 3_600_000_000_000)
        writer, client = make_writer(**SMALL), make_client('/blob', '0a')
        open_flight(writer, 'old', client)
        send(client, range(60), 500)
        writer.stop()
    os.truncate(segment_files(root / 'old')[-1].path, 4000)
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'new', client)
    assert verify(root / 'new').ended is Ended.OPEN
    old = verify(root / 'old')
    assert old.ended is not Ended.OPEN
    assert old.verdict is Verdict.UNCLOSED
    assert 'unclean' in causes(old)


def test_a_torn_flight_that_nobody_writes_is_torn(record: Record) -> None:
    flight = record(close=False)
    os.truncate(segment_files(flight)[-1].path, 4000)
    verification = verify(flight)
    assert verification.damage == []
    assert verification.status.integrity is Integrity.TORN
    assert 'the file ends within a record' in verification.tear


def test_a_closed_flight_without_its_end_is_damaged(record: Record) -> None:
    flight = record()
    os.truncate(segment_files(flight)[-1].path, 4000)
    assert_damaged(flight, 'its footer is gone')


def test_verifying_does_not_take_the_lock_from_a_recorder(record: Record, root: Path) -> None:
    flight = record()
    verify(flight)
    FlightRoot.acquire(root).release()


def test_a_recorder_that_starts_meanwhile_is_not_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks from within a container for a holder outside has the lock for a moment."""
    FlightRoot.acquire(root).release()
    flock = fcntl.flock
    with (root / LOCK_NAME).open() as looking:
        flock(looking, fcntl.LOCK_SH)

        def refused_once(fd: int, operation: int) -> None:
            try:
                flock(fd, operation)
            finally:
                flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(fcntl, 'flock', refused_once)
        FlightRoot.acquire(root).release()


def test_a_fifo_in_place_of_the_lock_does_not_stop_it(record: Record, root: Path) -> None:
    flight = record(close=False)
    (root / '.fdr.lock').unlink()
    os.mkfifo(root / '.fdr.lock')
    assert causes(verify(flight)) == {'unclean'}
