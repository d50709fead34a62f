# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The writer: its life, its thread, what it tells."""

from __future__ import annotations

import logging
import os
from pathlib import Path
import threading
from typing import Any

from conftest import MakeWriter
from fdr_recorder import (
    AlertBoard,
    FileFdrWriter,
    FlightAlreadyOpenError,
    FlightExistsError,
    FlightHeader,
    FlightIdInvalidError,
    FlightIdMismatchError,
    FlightNotOpenError,
    FlightRoot,
    FlightRootLockedError,
    WriterAlreadyStartedError,
    WriterNotStartedError,
)
from fdr_recorder.record.kinds import AlertRecord, FlightFooter, Overrun
from flight_check import check_flight, open_flight_files
from producers import make_client, numbered, open_flight, send, sent_numbers
import pytest
from waiting import wait_until

SMALL = {'segment_size_bytes': 32 * 1024, 'chunk_size_bytes': 4096}
"""Options for flights of many small segments."""


# --- life --------------------------------------------------------------------------------------


def test_starting_twice_is_refused(make_writer: MakeWriter) -> None:
    writer = make_writer()
    with pytest.raises(WriterAlreadyStartedError):
        writer.start()
    assert writer.is_started


def test_opening_before_the_start_is_refused(root: Path) -> None:
    with pytest.raises(WriterNotStartedError):
        FileFdrWriter(root).open_flight(FlightHeader(flight_id='x'))


def test_opening_while_a_flight_is_open_is_refused(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    open_flight(writer, 'first')
    for flight_id in ('first', 'second'):
        with pytest.raises(FlightAlreadyOpenError, match='first is still open'):
            writer.open_flight(FlightHeader(flight_id=flight_id))
    assert writer.open_flight_id == 'first'
    assert not (root / 'second').exists()
    check_flight(writer.close_flight('first'))


def test_closing_without_an_open_flight_is_refused(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer()
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('x')
    with pytest.raises(FlightNotOpenError):
        FileFdrWriter(root).close_flight('x')


def test_closing_another_flight_is_refused_and_the_open_one_goes_on(
    make_writer: MakeWriter,
) -> None:
    writer, client = make_writer(), make_client()
    open_flight(writer, 'first', client)
    with pytest.raises(FlightIdMismatchError, match='the open flight is first'):
        writer.close_flight('second')
    send(client, range(3))
    assert sent_numbers(check_flight(writer.close_flight('first'))) == [0, 1, 2]


@pytest.mark.parametrize('flight_id', ['', '..', 'a/b', '/tmp/x', 'a\n', 'x' * 65, '.a'])
def test_an_invalid_flight_id_is_refused_and_makes_nothing(
    make_writer: MakeWriter, root: Path, flight_id: str
) -> None:
    writer = make_writer()
    before = sorted(root.parent.rglob('*'))
    with pytest.raises(FlightIdInvalidError):
        writer.open_flight(FlightHeader(flight_id=flight_id))
    assert sorted(root.parent.rglob('*')) == before
    assert writer.open_flight_id is None


@pytest.mark.parametrize('kind', ['directory', 'file', 'dangling link'])
def test_an_existing_flight_is_never_written_into(
    make_writer: MakeWriter, root: Path, kind: str
) -> None:
    path = root / 'taken'
    if kind == 'directory':
        path.mkdir()
    elif kind == 'file':
        path.write_text('precious')
    else:
        path.symlink_to(root / 'nowhere')
    writer = make_writer()
    with pytest.raises(FlightExistsError, match='taken already exists'):
        writer.open_flight(FlightHeader(flight_id='taken'))
    assert kind != 'directory' or list(path.iterdir()) == []
    open_flight(writer, 'free')
    check_flight(writer.close_flight('free'))


def test_closing_twice_gives_the_same_summary(make_writer: MakeWriter) -> None:
    writer = make_writer()
    open_flight(writer, 'x')
    summary = writer.close_flight('x')
    assert writer.close_flight('x') is summary
    writer.stop()
    assert writer.close_flight('x') is summary
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('y')


def test_stopping_twice_and_before_the_start_is_harmless(
    make_writer: MakeWriter, root: Path
) -> None:
    FileFdrWriter(root).stop()
    writer = make_writer()
    writer.stop()
    writer.stop()
    assert not writer.is_started


def test_a_stopped_writer_can_start_again(make_writer: MakeWriter) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    for flight_id in ('first', 'second'):
        writer.open_flight(FlightHeader(flight_id=flight_id))
        send(client, range(5))
        assert sent_numbers(check_flight(writer.close_flight(flight_id))) == list(range(5))
        writer.stop()
        writer.start()


def test_a_with_block_starts_the_writer_and_stops_it_whatever_ends_the_block(root: Path) -> None:
    writer, client = FileFdrWriter(root), make_client()
    with writer as entered:
        assert entered is writer
        assert writer.is_started
        open_flight(writer, 'x', client)
        send(client, range(3))
        summary = writer.close_flight('x')
    assert not writer.is_started
    assert sent_numbers(check_flight(summary)) == [0, 1, 2]

    def fail() -> None:
        with writer:
            open_flight(writer, 'y')
            send(client, range(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not writer.is_started
    FlightRoot.acquire(root).release()
    flight = open_flight_files(root / 'y')
    assert sent_numbers(flight) == [0, 1]
    assert not flight.payloads(FlightFooter), 'an open flight is not closed by that'


def test_a_with_block_of_a_started_writer_is_refused_and_leaves_it_running(
    make_writer: MakeWriter,
) -> None:
    writer = make_writer()
    with pytest.raises(WriterAlreadyStartedError), writer:
        pass
    assert writer.is_started


def test_a_started_writer_owns_its_root_until_it_stops(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, second = make_writer(), FileFdrWriter(root)
    with pytest.raises(FlightRootLockedError):
        second.start()
    writer.stop()
    second.start()
    second.stop()


def test_all_files_are_written_by_one_thread(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    real = os.writev

    def writev(fd: int, buffers: Any) -> int:
        threads.add(threading.current_thread().name)
        return real(fd, buffers)

    monkeypatch.setattr(os, 'writev', writev)
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    check_flight(writer.close_flight('x'))
    assert threads == {'fdr_writer'}


# --- the end -----------------------------------------------------------------------------------


def test_stopping_with_an_open_flight_leaves_no_footer_but_whole_segments(
    make_writer: MakeWriter, root: Path
) -> None:
    writer, client = make_writer(**SMALL), make_client()
    open_flight(writer, 'x', client)
    send(client, range(1000))
    writer.stop()
    flight = open_flight_files(root / 'x')
    assert sent_numbers(flight) == list(range(1000))
    assert flight.of_topic(FlightFooter.channel_topic()) == []
    assert flight.custom_data['clean_shutdown'] == 'false'
    assert int(flight.custom_data['bytes_written']) == flight.size
    assert int(flight.custom_data['records_written']) == len(flight.messages)
    assert writer.open_flight_id is None
    assert client.enqueue(b'') is False
    with pytest.raises(FlightNotOpenError):
        writer.close_flight('x')


# --- display -----------------------------------------------------------------------------------


def test_the_status_follows_the_flight(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(**SMALL), make_client()
    assert writer.status.flight_id == ''
    open_flight(writer, 'x', client)
    assert (writer.status.flight_id, writer.status.path) == ('x', root / 'x')
    send(client, range(1000))
    wait_until(lambda: writer.status.counters.records_written > 1000, 'the counters')
    status = writer.status
    assert status.segments == status.segment_index > 1
    assert status.producers == 1
    assert not status.is_degraded
    assert status.total_bytes == sum(
        path.stat().st_size for path in (root / 'x').glob('*.mcap')
    )
    footer = check_flight(writer.close_flight('x')).footer
    assert writer.status.flight_id == ''
    assert writer.status.counters.records_written == footer.records_written
    assert writer.status.counters.bytes_written == footer.bytes_written


def test_debug_log_per_record_logs_each_record(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, 'fdr_recorder')
    writer, client = make_writer(debug_log_per_record=True), make_client('/imu')
    open_flight(writer, 'x', client)
    for number in range(5):
        client.enqueue(numbered(number), 1000 + number, sequence=40 + number)
    writer.close_flight('x')
    lines = [item for item in caplog.records if '/imu' in item.getMessage()]
    assert [item.levelno for item in lines] == [logging.DEBUG] * 5
    for number, item in enumerate(lines):
        text = item.getMessage()
        assert f'sequence={40 + number}' in text
        assert f'log_time_ns={1000 + number}' in text
        assert 'bytes=100' in text


def test_without_debug_log_per_record_nothing_is_logged_per_record(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, 'fdr_recorder')
    writer, client = make_writer(), make_client('/imu')
    open_flight(writer, 'x', client)
    send(client, range(50))
    writer.close_flight('x')
    assert [item for item in caplog.records if '/imu' in item.getMessage()] == []


def test_emitting_without_a_flight_is_ignored(make_writer: MakeWriter) -> None:
    writer = make_writer()
    writer.emit(Overrun(topic='/before'))
    open_flight(writer, 'x')
    writer.emit(Overrun(topic='/during'))
    flight = check_flight(writer.close_flight('x'))
    writer.emit(Overrun(topic='/after'))
    assert flight.payloads(Overrun) == [Overrun(topic='/during')]


def test_faults_that_are_present_before_the_flight_are_in_it(make_writer: MakeWriter) -> None:
    alerts = AlertBoard()
    writer = make_writer(alerts=alerts)
    alerts.raise_alert('topic_missing', 'nobody publishes /gps', subject='/gps')
    open_flight(writer, 'x')
    alerts.clear('topic_missing', 'there it is', subject='/gps')
    flight = check_flight(writer.close_flight('x'))
    alerts.raise_alert('topic_missing', 'gone again', subject='/gps')
    assert [
        (item.code, item.subject, item.raised, item.level)
        for item in flight.payloads(AlertRecord)
    ] == [('topic_missing', '/gps', True, 1), ('topic_missing', '/gps', False, 1)]
