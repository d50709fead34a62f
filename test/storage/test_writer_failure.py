# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The writer's own thread fails: callers hear of it, nobody waits for ever, files stay."""

from __future__ import annotations

from pathlib import Path
import threading

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import (
    AlertBoard,
    FdrClient,
    FdrError,
    FileFdrWriter,
    FlightHeader,
    WriterFailedError,
)
from flight_check import check_flight, open_flight_files, read_whole_chunks
from producers import make_client, numbered, open_flight, send
import pytest
from waiting import wait_until


def fail_the_writer(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, alerts: AlertBoard
) -> tuple[FileFdrWriter, FdrClient]:
    """Let the writer's thread end by a MemoryError in a system call, with a flight open."""
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(alerts=alerts), make_client()
    open_flight(writer, 'x', client)
    client.enqueue(numbered(0))
    wait_until(lambda: writev.calls > 1, 'the first record in the file')
    writev.fail(MemoryError('no memory'))
    client.enqueue(numbered(1))
    wait_until(alerts.present, 'the alert')
    wait_until(lambda: not writer.is_started, 'the end of the thread')
    writev.work()
    return writer, client


def test_an_unexpected_error_is_an_alert_and_an_error_for_callers(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = AlertBoard()
    writer, client = fail_the_writer(make_writer, monkeypatch, alerts)
    (alert,) = alerts.present()
    assert alert.code == 'writer_failed'
    assert 'no memory' in alert.message
    assert 'the writer thread has failed' in caplog.text
    for call in (
        lambda: writer.close_flight('x'),
        lambda: writer.open_flight(FlightHeader(flight_id='y')),
    ):
        with pytest.raises(WriterFailedError) as caught:
            call()
        assert isinstance(caught.value.__cause__, MemoryError)
    assert writer.open_flight_id is None
    assert writer.status.flight_id == ''
    assert client.enqueue(b'') is False


def test_what_was_written_before_stays_readable(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    fail_the_writer(make_writer, monkeypatch, AlertBoard())
    messages = read_whole_chunks(root / 'x' / 'segment_000000.mcap')
    assert [message.topic for message in messages] == ['/fdr/flight_header', '/blob']
    assert open_flight_files(root / 'x').custom_data['clean_shutdown'] == 'false'


def test_a_failed_writer_can_be_stopped_and_started_again(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = AlertBoard()
    writer, client = fail_the_writer(make_writer, monkeypatch, alerts)
    writer.stop()
    writer.start()
    assert alerts.present() == ()
    writer.open_flight(FlightHeader(flight_id='y'))
    send(client, range(3))
    flight = check_flight(writer.close_flight('y'))
    assert len(flight.of_topic('/blob')) == 3


def test_a_failed_flight_records_no_more_alerts(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead flight neither gathers them for ever nor keeps its file open."""
    alerts = AlertBoard()
    before = open_files()
    writer, _ = fail_the_writer(make_writer, monkeypatch, alerts)
    assert alerts._listeners == []
    writer.stop()
    assert open_files() <= before


def open_files() -> set[str]:
    found = set()
    for link in Path('/proc/self/fd').iterdir():
        try:
            name = str(link.readlink())
        except OSError:
            continue
        if name.endswith('.mcap'):
            found.add(name)
    return found


@pytest.mark.parametrize('call', ['open_flight', 'close_flight'])
def test_callers_that_wait_while_the_thread_fails_are_answered(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer, client = make_writer(), make_client()
    open_flight(writer, 'x', client)
    answers: list[object] = []

    def ask() -> None:
        try:
            if call == 'open_flight':
                writer.open_flight(FlightHeader(flight_id='y'))
            else:
                answers.append(writer.close_flight('x'))
        except FdrError as error:
            answers.append(error)

    waiting = threading.Thread(target=ask)
    with writev.stalled(then=MemoryError('no memory')) as is_stalled:
        client.enqueue(numbered(0))
        assert is_stalled.wait(10)
        waiting.start()
        wait_until(writer._calls._waiting.qsize, 'the question')
    waiting.join(20)
    assert not waiting.is_alive()
    assert [type(answer) for answer in answers] == [WriterFailedError]
    writer.stop()


@pytest.mark.parametrize('failure', [SystemExit('exit'), KeyboardInterrupt()], ids=repr)
def test_a_caller_whose_own_call_ends_the_thread_is_answered(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    alerts = AlertBoard()
    writer = make_writer(alerts=alerts)
    open_flight(writer, 'x', make_client())
    answers: list[BaseException] = []

    def close(_flight_id: str) -> None:
        raise failure

    def ask() -> None:
        try:
            writer.close_flight('x')
        except FdrError as error:
            answers.append(error)

    monkeypatch.setattr(writer._drain, 'close', close)
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(10)
    assert not asking.is_alive(), 'the caller waits for ever'
    assert [type(answer) for answer in answers] == [WriterFailedError]
    assert answers[0].__cause__ is failure
    wait_until(lambda: not writer.is_started, 'the end of the thread')
    assert [alert.code for alert in alerts.present()] == ['writer_failed']
    writer.stop()


def test_the_failure_is_told_although_the_files_cannot_be_closed(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = AlertBoard()
    writer, client = make_writer(alerts=alerts), make_client()
    open_flight(writer, 'x', client)
    hangs, answers = threading.Event(), threading.Event()
    really_abort = writer._drain.abort

    def abort() -> None:
        hangs.set()
        assert answers.wait(60)
        really_abort()

    monkeypatch.setattr(writer._drain, 'abort', abort)
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writev.fail(MemoryError('no memory'))
    client.enqueue(numbered(0))
    assert hangs.wait(10)
    try:
        assert [alert.code for alert in alerts.present()] == ['writer_failed']
    finally:
        answers.set()
    writer.stop()


def test_a_producer_that_cannot_be_listed_leaves_nothing_of_a_flight_behind(
    make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, client = make_writer(), make_client()
    writer.register(client)
    before = {thread.name for thread in threading.enumerate()}
    with monkeypatch.context() as patched:
        patched.setattr(
            'fdr_recorder.storage.recording.FlightRecording.account_of', lambda *_: 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            writer.open_flight(FlightHeader(flight_id='x'))
    assert not (root / 'x').exists()
    assert {thread.name for thread in threading.enumerate()} == before
    open_flight(writer, 'x')
    check_flight(writer.close_flight('x'))
