# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A disk that does not answer: what callers of the writer see, and that it is all done later."""

from __future__ import annotations

from collections.abc import Callable
import time

from conftest import MakeWriter
from disk_faults import is_segment_fd, is_segment_path, SystemCall
from fdr_recorder import AlertBoard, DiskStalledError, RingConfig
from fdr_recorder.storage.disk_pulse import DiskPulse, WRITING
from flight_check import open_flight_files
from producers import make_client, numbered, open_flight, send, sent_numbers
import pytest
from waiting import wait_until

SOON_S = 1.0
"""What does not wait for the disk is over long before."""
GIVEN_UP_WITHIN_S = 6.0


def codes(alerts: AlertBoard) -> list[str]:
    return [alert.code for alert in alerts.present()]


def check_given_up(call: Callable[[], object], said: str) -> None:
    """Check that a call raises DiskStalledError soon."""
    since = time.monotonic()
    with pytest.raises(DiskStalledError, match=said):
        call()
    assert time.monotonic() - since < GIVEN_UP_WITHIN_S


def test_a_write_that_hangs_is_told_and_what_was_asked_is_done_later(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    alerts = AlertBoard()
    writer = make_writer(alerts=alerts)
    client = make_client(ring=RingConfig(max_records=8))
    open_flight(writer, 'x', client)
    with writev.stalled() as reached:
        client.enqueue(numbered(0))
        assert reached.wait(20)
        sent = 1 + send(client, range(1, 30), patient=False)
        refused = 30 - sent
        assert refused > 0
        since = time.monotonic()
        status = writer.status
        assert time.monotonic() - since < SOON_S
        assert status.counters.records_dropped_overrun == refused
        alert = wait_until(
            lambda: next((item for item in alerts.present() if item.code == 'disk_stalled'), None),
            'the alert',
        )
        assert 'records wait in the rings' in alert.message
        assert alert.values['records_refused'] == str(refused)
        assert writer.status.stalled_step == WRITING
        check_given_up(lambda: writer.close_flight('x'), 'flight x is closed once it does')
        check_given_up(writer.stop, 'the writer ends once it does')
        assert writer.is_started
    wait_until(lambda: not writer.is_started, 'the end of the writer')
    wait_until(lambda: 'disk_stalled' not in codes(alerts), 'the end of the alert')
    writer.stop()
    summary = writer.close_flight('x')
    assert summary.footer.clean_shutdown
    assert summary.footer.records_dropped_overrun == refused
    assert len(sent_numbers(open_flight_files(summary.path))) == sent


def test_a_flight_that_could_not_begin_is_closed_later_and_the_next_one_begins(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = SystemCall(monkeypatch, 'open', only=is_segment_path)
    writer, client = make_writer(), make_client()
    with opened.stalled() as reached:
        check_given_up(lambda: open_flight(writer, 'late', client), 'flight late is begun')
        assert reached.is_set()
        check_given_up(lambda: open_flight(writer, 'never'), 'a flight can begin')
    late = wait_until(lambda: writer.status.stalled_s == 0 and not writer.open_flight_id, 'late')
    assert late
    open_flight(writer, 'next')
    send(client, range(3))
    summary = writer.close_flight('next')
    assert sent_numbers(open_flight_files(summary.path)) == [0, 1, 2]
    assert open_flight_files(summary.path.parent / 'late').footer.clean_shutdown
    assert not (summary.path.parent / 'never').exists()


@pytest.mark.parametrize('has_answered_before', [False, True])
def test_a_writer_that_hung_when_it_was_to_stop_is_replaced_by_another(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch, has_answered_before: bool
) -> None:
    opened = SystemCall(monkeypatch, 'open', only=is_segment_path)
    writer, client = make_writer(), make_client()
    with opened.stalled():
        check_given_up(lambda: open_flight(writer, 'late', client), 'flight late is begun')
        check_given_up(writer.stop, 'the writer ends')
        assert writer.is_stopping
        if not has_answered_before:
            check_given_up(writer.start, 'the writer ends')
    if has_answered_before:
        wait_until(lambda: not writer.is_started, 'the end of the first one')
    writer.start()
    open_flight(writer, 'next')
    send(client, range(3))
    assert sent_numbers(open_flight_files(writer.close_flight('next').path)) == [0, 1, 2]


def test_a_sync_that_hangs_does_not_say_that_records_wait(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fdatasync = SystemCall(monkeypatch, 'fdatasync', only=is_segment_fd)
    alerts = AlertBoard()
    writer, client = make_writer(alerts=alerts), make_client()
    open_flight(writer, 'x', client)
    with fdatasync.stalled() as reached:
        client.enqueue(numbered(0))
        assert reached.wait(20)
        wait_until(lambda: 'disk_stalled' in codes(alerts), 'the alert')
        (alert,) = alerts.present()
        assert 'recording goes on' in alert.message
        assert writer.status.stalled_step != WRITING
        send(client, range(1, 100))
        wait_until(lambda: writer.status.counters.records_written >= 100, 'all records')
    wait_until(lambda: not alerts.present(), 'the end of the alert')
    summary = writer.close_flight('x')
    assert sent_numbers(open_flight_files(summary.path)) == [*range(100)]


def test_the_step_that_holds_up_the_writer_is_the_one_that_is_told() -> None:
    pulse = DiskPulse()
    now = time.monotonic()
    pulse._steps = {1: (now - 9, 'sync of a segment'), 2: (now - 2, WRITING)}
    seconds, step = pulse.stall
    assert step == WRITING
    assert 2 <= seconds < 9
    pulse._steps[2] = time.monotonic(), WRITING
    assert pulse.stall[1] == 'sync of a segment'
    pulse._steps = {}
    assert pulse.stall == (0.0, '')


def test_a_topic_that_has_no_name_does_not_hide_the_stall(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nameless:

        def __str__(self) -> str:
            raise RuntimeError('no text')

    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    alerts = AlertBoard()
    writer = make_writer(alerts=alerts)
    client = make_client(ring=RingConfig(max_records=8))
    nameless = make_client(Nameless(), ring=RingConfig(max_records=1))  # type: ignore[arg-type]
    open_flight(writer, 'x', client, nameless)
    with writev.stalled() as reached:
        client.enqueue(numbered(0))
        assert reached.wait(20)
        send(nameless, range(5), patient=False)
        wait_until(lambda: {'disk_stalled', 'overrun'} <= set(codes(alerts)), 'both alerts')
    wait_until(lambda: 'disk_stalled' not in codes(alerts), 'the end of the alert')
    assert writer.close_flight('x').is_complete
