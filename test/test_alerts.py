# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Alerts: one when a fault begins and one when it ends."""

from __future__ import annotations

import logging
from pathlib import Path
import threading

from conftest import MakeWriter
from fdr_recorder import Alert, AlertBoard, AlertLevel, FlightHeader
from fdr_recorder.alerts import ALERT_LEVELS
from fdr_recorder.record.kinds import AlertRecord
from flight_check import check_flight
import pytest


@pytest.fixture
def board() -> AlertBoard:
    return AlertBoard()


@pytest.fixture
def told(board: AlertBoard) -> list[Alert]:
    alerts: list[Alert] = []
    board.listen(alerts.append)
    return alerts


def test_one_raise_and_one_clear_for_one_fault(board: AlertBoard, told: list[Alert]) -> None:
    assert [board.raise_alert('overrun', 'full') for _ in range(3)] == [True, False, False]
    assert [board.clear('overrun') for _ in range(3)] == [True, False, False]
    states = [(alert.code, alert.raised) for alert in told]
    assert states == [('overrun', True), ('overrun', False)]


def test_a_fault_that_comes_back_is_a_new_one(board: AlertBoard, told: list[Alert]) -> None:
    for _ in range(2):
        board.raise_alert('overrun', 'full')
        board.clear('overrun')
    assert [alert.raised for alert in told] == [True, False, True, False]


def test_clearing_what_is_not_there_tells_nobody(board: AlertBoard, told: list[Alert]) -> None:
    assert not board.clear('overrun')
    assert told == []


def test_subjects_are_faults_of_their_own(board: AlertBoard, told: list[Alert]) -> None:
    assert board.raise_alert('topic_stale', 'silent', subject='/imu')
    assert board.raise_alert('topic_stale', 'silent', subject='/gps')
    board.clear('topic_stale', subject='/imu')
    assert [alert.subject for alert in board.present()] == ['/gps']
    assert [(alert.subject, alert.raised) for alert in told] == [
        ('/imu', True),
        ('/gps', True),
        ('/imu', False),
    ]


def test_clear_all_ends_a_fault_for_every_subject_and_no_other(board: AlertBoard) -> None:
    board.raise_alert('topic_stale', 'silent', subject='/imu')
    board.raise_alert('topic_stale', 'silent', subject='/gps')
    board.raise_alert('overrun', 'full')
    board.clear_all('topic_stale')
    assert [alert.code for alert in board.present()] == ['overrun']


def test_present_is_oldest_first_and_shows_the_newest_message(
    board: AlertBoard, told: list[Alert]
) -> None:
    board.raise_alert('disk_low', '900 MiB left')
    board.raise_alert('overrun', 'full')
    board.raise_alert('disk_low', '800 MiB left', values={'free': 800})
    first, second = board.present()
    assert (first.code, first.message, first.values) == (
        'disk_low',
        '800 MiB left',
        {'free': '800'},
    )
    assert second.code == 'overrun'
    assert [alert.message for alert in told] == ['900 MiB left', 'full']


def test_the_end_of_a_fault_carries_its_values(board: AlertBoard, told: list[Alert]) -> None:
    board.raise_alert('overrun', 'full', values={'topic': '/imu', 'records': 3})
    board.clear('overrun', 'over at last')
    assert told[1].message == 'over at last'
    assert told[1].values == {'topic': '/imu', 'records': '3'}


def test_listeners_are_called_in_the_order_in_which_they_came(board: AlertBoard) -> None:
    calls: list[str] = []
    for name in 'abc':
        board.listen(lambda _alert, name=name: calls.append(name))  # type: ignore[misc]
    board.raise_alert('overrun', 'full')
    assert calls == ['a', 'b', 'c']


def test_who_stops_listening_is_not_called(board: AlertBoard) -> None:
    alerts: list[Alert] = []
    listener = alerts.append
    board.listen(listener)
    board.unlisten(listener)
    board.unlisten(listener)
    board.raise_alert('overrun', 'full')
    assert alerts == []


def test_a_listener_that_fails_harms_nobody(
    board: AlertBoard, caplog: pytest.LogCaptureFixture
) -> None:
    """The writer's thread raises alerts: a broken display must not end the recording."""

    def fail(_alert: Alert) -> None:
        message = 'the display is broken'
        raise RuntimeError(message)

    after: list[Alert] = []
    board.listen(fail)
    board.listen(after.append)
    assert board.raise_alert('overrun', 'full')
    assert [alert.code for alert in after] == ['overrun']
    assert 'the display is broken' in caplog.text


def test_every_code_has_a_level() -> None:
    assert Alert('disk_full', '').level is AlertLevel.ERROR
    assert Alert('disk_low', '').level is AlertLevel.WARN
    assert set(ALERT_LEVELS.values()) == {AlertLevel.WARN, AlertLevel.ERROR}


def test_many_threads_give_one_raise_and_one_clear_in_turn(
    board: AlertBoard, told: list[Alert]
) -> None:
    """Listeners are called one at a time, so that what they see alternates for each fault."""
    rounds, start = 300, threading.Barrier(4)
    raised = [0] * 4
    cleared = [0] * 4

    def work(which: int) -> None:
        subject = f'/{which % 2}'
        start.wait()
        for _ in range(rounds):
            raised[which] += board.raise_alert('topic_stale', 'silent', subject=subject)
            cleared[which] += board.clear('topic_stale', subject=subject)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert board.present() == ()
    for subject in ('/0', '/1'):
        states = [alert.raised for alert in told if alert.subject == subject]
        assert states == [True, False] * (len(states) // 2)
    assert len(told) == sum(raised) + sum(cleared)


class Nameless:

    def __str__(self) -> str:
        raise RuntimeError('no text')


def test_an_alert_can_be_encoded_whatever_its_texts_are(
    board: AlertBoard, told: list[Alert]
) -> None:
    values = {'topic\udc80': '/b\udc80', 'path': Path('/f\udcff'), 'what': Nameless()}
    board.raise_alert('overrun', 'of /b\udc80', subject='/b\udc80', values=values)
    board.clear('overrun', 'of /b\udc80: over', subject='/b\udc80')
    assert [alert.raised for alert in told] == [True, False]
    assert dict(told[0].values) == {
        'topic\\udc80': '/b\\udc80', 'path': '/f\\udcff', 'what': '<Nameless>'
    }
    for alert in told:
        texts = (alert.message, alert.subject, *alert.values, *alert.values.values())
        assert all(text.encode() for text in texts)


@pytest.mark.parametrize('topic', ['/b\udc80', Nameless()])
def test_an_alert_about_a_topic_without_a_proper_name_reaches_the_flight(
    make_writer: MakeWriter, topic: str
) -> None:
    writer = make_writer()
    writer.open_flight(FlightHeader(flight_id='x'))
    writer.alerts.raise_alert('transport_loss', f'of {topic!r}', subject=topic)
    records = check_flight(writer.close_flight('x')).payloads(AlertRecord)
    (begin, end) = (record for record in records if record.code == 'transport_loss')
    assert begin.subject in ('/b\\udc80', '<Nameless>')
    assert (begin.raised, end.raised) == (True, False)


def test_each_alert_is_one_line_when_it_begins_and_one_when_it_ends(
    board: AlertBoard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, 'fdr_recorder')
    for _ in range(3):
        board.raise_alert('disk_full', 'no space')
        board.raise_alert('topic_missing', '/imu has no publisher', subject='/imu')
    board.clear_all('topic_missing', 'it has a publisher')
    board.clear('disk_full', 'recording goes on')
    board.clear('disk_full')
    assert [(item.levelno, item.getMessage()) for item in caplog.records] == [
        (logging.ERROR, 'disk_full: no space'),
        (logging.WARNING, 'topic_missing: /imu has no publisher'),
        (logging.INFO, 'topic_missing of /imu over: it has a publisher'),
        (logging.INFO, 'disk_full over: recording goes on'),
    ]
