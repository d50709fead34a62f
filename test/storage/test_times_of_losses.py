# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Records of losses say from when to when: of what was lost, not of what the disk answered."""

from __future__ import annotations

from collections.abc import Callable
import errno
from pathlib import Path
import time

from conftest import MakeWriter
from disk_faults import fill_disk, forgetful_sync, is_segment_fd, mounted_tmpfs, SystemCall
from fdr_recorder import Alert, AlertBoard, FdrClient, recover, RingConfig, verify
from fdr_recorder.record.kinds import RecordInvalid, WriteError
from fdr_recorder.storage import outbox
from flight_check import check_flight, FlightFiles, open_flight_files
from producers import make_client, number_of, numbered, open_flight, send
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 64 * 1024, 'chunk_size_bytes': 4096}
BEGIN_NS = 1_800_000_000_000_000_000
STEP_NS = 1_000_000


def enqueue(client: FdrClient, numbers: range, size: int = 1000) -> int:
    """Enqueue messages that are dated by their numbers; return the next number."""
    for number in numbers:
        wait_until(lambda: client.ring.fill < 0.9, 'room in the ring')
        client.enqueue(numbered(number, size), BEGIN_NS + number * STEP_NS)
    return numbers.stop


def lost_span(flight: FlightFiles, sent: int) -> tuple[int, int]:
    """Return the log times of the first and the last message that is not there."""
    lost = sorted({*range(sent)} - {number_of(item.data) for item in flight.of_topic('/blob')})
    assert lost
    return BEGIN_NS + lost[0] * STEP_NS, BEGIN_NS + lost[-1] * STEP_NS


def test_a_spell_of_a_second_on_a_full_disk_is_told_with_the_times_of_what_it_cost(
    make_writer: MakeWriter, tmp_path: Path, alerts: AlertBoard
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk:
        writer = make_writer(disk, alerts=alerts, **SMALL, reserve_bytes=64 * 1024)
        client = make_client(ring=RingConfig(max_records=200))
        open_flight(writer, 'x', client)
        sent = enqueue(client, range(20))
        wait_until(lambda: writer.status.counters.records_written > 20, 'the first records')
        ballast = fill_disk(disk)
        while not writer.status.is_degraded:
            sent = enqueue(client, range(sent, sent + 10))
        began = time.monotonic()
        sent = enqueue(client, range(sent, sent + 1000))
        ballast.unlink()
        wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
        seconds = time.monotonic() - began
        sent = enqueue(client, range(sent, sent + 50))
        flight = check_flight(writer.close_flight('x'))
        writer.stop()
        (record,) = flight.payloads(WriteError)
        assert (record.first_record_ns, record.last_record_ns) == lost_span(flight, sent)
        assert 0.5 < seconds < (record.ended_ns - record.first_error_ns) / 1e9 + 0.2
        (loss,) = verify(flight.path).losses
        assert loss.cause == 'write_error'
        assert (loss.first_ns, loss.last_ns) == lost_span(flight, sent)


def test_a_spell_that_costs_nothing_has_no_times_of_records(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    fault = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    fault.fail(errno.EIO, on_call=fault.calls + 1)
    send(client, range(100))
    wait_until(lambda: fault.calls > 3, 'the writes')
    flight = check_flight(writer.close_flight('x'))
    (record,) = flight.payloads(WriteError)
    assert (record.records, record.first_record_ns, record.last_record_ns) == (0, 0, 0)
    assert record.first_error_ns <= record.last_error_ns <= record.ended_ns
    assert verify(flight.path).losses == []


def test_what_a_failed_sync_has_lost_is_told_with_its_times(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard, told: list[Alert]
) -> None:
    writer = make_writer(alerts=alerts, **SMALL, compression='zstd')
    client = make_client()
    fault = forgetful_sync(monkeypatch, 'fdatasync')
    open_flight(writer, 'x', client)
    sent = 0

    def send_until(is_over: Callable[[], bool]) -> int:
        last = sent
        while not is_over():
            last = enqueue(client, range(last, last + 5))
            wait_until(lambda: not len(client.ring), 'the writer')
        return last

    sent = send_until(lambda: fault.calls >= 2)
    fault.lose_next()
    sent = send_until(lambda: len(told) >= 2)
    flight = check_flight(writer.close_flight('x'))
    (record,) = flight.payloads(WriteError)
    assert record.records
    assert (record.first_record_ns, record.last_record_ns) == lost_span(flight, sent)


def test_records_that_cannot_be_encoded_are_told_by_topic_with_their_times(
    make_writer: MakeWriter,
) -> None:
    writer, good = make_writer(**SMALL), make_client('/good')
    bad, odd = make_client('/bad', publisher='0a'), make_client('/odd')
    open_flight(writer, 'x', good, bad, odd)
    for number in range(3):
        bad.offer(BEGIN_NS + number, BEGIN_NS, 1.5, b'x')  # type: ignore[arg-type]
    before_ns = time.time_ns()
    odd.offer(BEGIN_NS, BEGIN_NS, 1, 'text')  # type: ignore[arg-type]
    odd.offer('now', BEGIN_NS, 1, b'x')  # type: ignore[arg-type]
    send(good, range(10))
    wait_until(lambda: not len(bad.ring) and not len(odd.ring), 'the rings')
    flight = check_flight(writer.close_flight('x'))
    first, *_ = told = flight.payloads(RecordInvalid)
    assert sum(item.records for item in told if item.topic == '/bad') == 3
    assert sum(item.records for item in told if item.topic == '/odd') == 2
    assert (first.topic, first.publisher) == ('/bad', '0a')
    assert (first.first_record_ns, first.last_record_ns) == (BEGIN_NS, BEGIN_NS + 2)
    assert first.reason
    assert before_ns - 10**9 < min(item.first_record_ns for item in told if item.topic == '/odd')
    result = verify(flight.path)
    assert {(loss.cause, loss.topic) for loss in result.losses} == {
        ('invalid', '/bad'), ('invalid', '/odd')
    }
    assert not result.damage


def test_a_recovered_flight_counts_what_could_not_be_encoded(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, good, bad = make_writer(**SMALL), make_client('/good'), make_client('/bad')
    open_flight(writer, 'x', good, bad)
    for number in range(3):
        bad.offer(BEGIN_NS + number, BEGIN_NS, None, b'x')  # type: ignore[arg-type]
    send(good, range(10))
    wait_until(lambda: writer.status.counters.records_dropped_write_error == 3, 'the refusals')
    writer.stop()
    (recovered,) = recover(root)
    assert recovered.footer.records_dropped_write_error == 3
    (account,) = [item for item in recovered.footer.producers if item.topic == '/bad']
    assert (account.offered, account.dropped_write_error) == (3, 3)
    result = verify(recovered.path)
    assert not result.damage
    assert [(loss.cause, loss.records) for loss in result.losses if loss.records] == [
        ('invalid', 3)
    ]


def test_own_records_that_are_left_out_are_part_of_what_the_spell_has_cost(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> None:
    monkeypatch.setattr(outbox, 'MAX_WAITING', 5)
    monkeypatch.setattr('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.1)
    writer, client = make_writer(alerts=alerts, **SMALL), make_client()
    fault = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    open_flight(writer, 'x', client)
    wait_until(lambda: fault.calls, 'the header')
    fault.fail(errno.EIO)
    send(client, range(20))
    wait_until(lambda: writer.status.is_degraded, 'the spell')
    for number in range(20):
        alerts.raise_alert('topic_missing', 'none', subject=f'/{number}')
    fault.work()
    wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
    summary = writer.close_flight('x')
    flight = open_flight_files(summary.path)
    (record,) = flight.payloads(WriteError)
    assert record.records == summary.footer.records_dropped_write_error >= 10
    assert record.first_error_ns <= record.first_record_ns <= record.last_record_ns
    assert record.last_record_ns <= record.ended_ns
    assert [loss.records for loss in verify(summary.path).losses] == [record.records]


def test_what_is_missing_without_a_word_in_a_flight_that_was_not_closed_has_times(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer(**SMALL)
    client = make_client(publisher='0a', loss_detection='sequence')
    open_flight(writer, 'x', client)
    for number in (1, 2, 3, 7, 8, 10, 11):
        client.enqueue(numbered(number), BEGIN_NS + number * STEP_NS, sequence=number)
    writer.stop()  # without a footer, and nobody has counted what was lost
    (recovered,) = recover(root)
    (loss,) = [item for item in verify(recovered.path).losses if item.records]
    assert (loss.cause, loss.records) == ('unclean', 4)
    assert (loss.first_ns, loss.last_ns) == (BEGIN_NS + 3 * STEP_NS, BEGIN_NS + 10 * STEP_NS)
