# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
A disk that does not answer: the recorder tells, goes on when it does, and can always be ended.

The calls hang in C, without the interpreter's lock, as in the kernel: see `slow_disk.c`.
"""

from __future__ import annotations

from pathlib import Path
import signal
import time

from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from flight_check import open_flight_files
from ground import DiagnosticStatus, own_ground, values_of
import pytest
from recorder_process import is_locked, RecorderProcess
from slow_disk import ANSWERED_WITHIN_S, ENDED_WITHIN_S, SLACK_S, SlowDisk, TOLD_WITHIN_S
from stalled_flight import check, stalled_flight, StalledFlight


@pytest.mark.parametrize('calls', [['fsync'], ['write'], ['all']], ids=' '.join)
def test_a_disk_that_does_not_answer_is_told_and_recording_goes_on(
    tmp_path: Path, calls: list[str]
) -> None:
    with stalled_flight(tmp_path, 'configure', 'activate') as flight:
        assert flight.stall(*calls) < TOLD_WITHIN_S + SLACK_S

        def is_refusing() -> bool:
            status = flight.recorder.statuses('summary')[-1]
            values = values_of(status)
            is_stalled = float(values['disk_stalled_seconds']) > 0
            assert not is_stalled or status.level == DiagnosticStatus.ERROR
            return is_stalled and int(values['records_dropped_overrun']) > 0

        def is_recording() -> bool:
            status = flight.recorder.statuses('summary')[-1]
            values = values_of(status)
            if float(values['disk_stalled_seconds']) < 1.5:
                return False
            assert status.level == DiagnosticStatus.ERROR
            assert status.message.startswith('recording ')
            assert 'would not survive a power cut' in status.message
            return float(values['records_per_second']) > 0

        if calls == ['fsync']:
            flight.load_until(is_recording, 'a summary of the stalled sync')
        else:
            flight.load_until(is_refusing, 'refused records in the summary')
            flight.recorder.wait_for_alert('rings', 'overrun')
        flight.go_on()
        flight.recorder.make('deactivate')
        check(flight)
        assert flight.recorder.stop() == 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=lambda item: item.name)
@pytest.mark.parametrize('calls', [['fsync'], ['all']], ids=' '.join)
def test_a_signal_ends_it_while_the_disk_hangs(
    tmp_path: Path, calls: list[str], number: signal.Signals
) -> None:
    with stalled_flight(tmp_path, 'configure', 'activate') as flight:
        flight.stall(*calls)
        stored = {path: path.read_bytes() for path in flight.recorder.flights()[0].iterdir()}
        since = time.monotonic()
        assert flight.recorder.stop(number) == 1
        assert time.monotonic() - since < ENDED_WITHIN_S + SLACK_S
        assert 'fdr recover' in flight.recorder.log
        for path, content in stored.items():
            if path.suffix == '.mcap':
                assert path.read_bytes().startswith(content)
        (path,) = flight.recorder.flights()
        recover(path)
        assert verify(path).verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)


@pytest.mark.parametrize('later_s', [0.3, 1.0])
def test_a_signal_while_messages_still_come_in_does_not_abort_the_process(
    tmp_path: Path, later_s: float
) -> None:
    options = {'ring__max_records': 20_000}  # they are still taken in
    with stalled_flight(tmp_path, 'configure', 'activate', **options) as flight:
        flight.stall('all')
        later = time.monotonic() + later_s
        flight.load_until(lambda: time.monotonic() > later, 'the end of the time')
        assert flight.recorder.stop(signal.SIGTERM) == 1
        assert 'terminate called' not in flight.recorder.log


def test_deactivate_says_what_it_could_not_do_and_does_it_once_the_disk_answers(
    tmp_path: Path,
) -> None:
    with stalled_flight(tmp_path, 'configure', 'activate') as flight:
        flight.stall('all')
        assert not flight.recorder.change_state('deactivate')
        flight.recorder.wait_for_log('is closed once it does')
        assert flight.recorder.state() == 'active'
        flight.go_on()
        flight.ground.wait_until(
            lambda: flight.recorder.state() == 'inactive', 'the node finishes what was asked of it'
        )
        (path,) = flight.recorder.flights()
        assert open_flight_files(path).footer.clean_shutdown
        flight.recorder.wait_for_ok('recorder')
        flight.recorder.make('activate', 'deactivate', 'cleanup')
        assert flight.recorder.stop() == 0


def test_activate_on_a_disk_that_hangs_is_refused_and_succeeds_later(tmp_path: Path) -> None:
    with stalled_flight(tmp_path, 'configure') as flight:
        with flight.disk.hanging('all'):
            assert not flight.recorder.change_state('activate')
            assert not flight.recorder.change_state('activate')
            assert flight.recorder.state() == 'inactive'
        flight.ground.wait_until(
            lambda: flight.recorder.change_state('activate'), 'the flight begins'
        )
        flight.load_until(flight.is_stored, 'messages on the disk')
        flight.recorder.make('deactivate')
        for path in flight.recorder.flights():
            assert verify(path).verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)
        assert flight.recorder.stop() == 0


def test_a_signal_ends_it_in_a_configure_that_hangs(tmp_path: Path) -> None:
    root = tmp_path / 'flights'
    root.mkdir()
    disk = SlowDisk(tmp_path, root)
    with own_ground() as ground:
        recorder = RecorderProcess(
            ground, tmp_path, root, autostart=True, environment=disk.environment
        )
        disk.hang('all')
        recorder.start()
        try:
            ground.wait_until(disk.is_reached, 'configure hangs')
            since = time.monotonic()
            assert recorder.stop(signal.SIGTERM) == 0  # no flight is left unclosed
            assert time.monotonic() - since < ENDED_WITHIN_S + SLACK_S
        finally:
            disk.answer()
            recorder.__exit__()


def change_soon(flight: StalledFlight, transition: str) -> bool:
    """Ask for a transition; it must be answered soon, whatever the disk does."""
    since = time.monotonic()
    has_succeeded = flight.recorder.change_state(transition)
    assert time.monotonic() - since < ANSWERED_WITHIN_S + SLACK_S
    return has_succeeded


@pytest.mark.parametrize('calls', [['fsync'], ['write'], ['all']], ids=' '.join)
def test_a_shutdown_transition_ends_it_while_the_disk_hangs(
    tmp_path: Path, calls: list[str]
) -> None:
    with stalled_flight(tmp_path, 'configure', 'activate') as flight:
        flight.stall(*calls)
        since = time.monotonic()
        flight.recorder.change_state('active shutdown')
        assert flight.recorder.wait_for_end() == 1
        assert time.monotonic() - since < ENDED_WITHIN_S + SLACK_S
        (path,) = flight.recorder.flights()
        assert f'{path} is not closed' in flight.recorder.log
        assert not is_locked(flight.recorder.root)


@pytest.mark.parametrize('calls', [['write', 'fsync', 'open', 'mkdir'], ['all']], ids=' '.join)
def test_cleanup_is_refused_while_the_writer_hangs_in_the_root(
    tmp_path: Path, calls: list[str]
) -> None:
    with stalled_flight(tmp_path, 'configure') as flight:
        with flight.disk.hanging(*calls):
            for transition in ('activate', 'cleanup', 'activate', 'cleanup'):
                assert not change_soon(flight, transition)
                assert is_locked(flight.recorder.root)
            flight.recorder.wait_for_log('cleanup refused: the disk of', times=2)
        flight.ground.wait_until(lambda: flight.recorder.change_state('cleanup'), 'cleanup')
        assert not is_locked(flight.recorder.root)
        flight.recorder.make('configure', 'activate', 'deactivate')
        assert 'Traceback' not in flight.recorder.log
        assert flight.recorder.stop() == 0


def test_cleanup_on_a_disk_that_hangs_releases_the_root_once_it_answers(tmp_path: Path) -> None:
    with stalled_flight(tmp_path, 'configure') as flight:
        with flight.disk.hanging('all'):
            assert change_soon(flight, 'cleanup')
            assert not change_soon(flight, 'configure')
            assert flight.told()[-1]
            assert is_locked(flight.recorder.root)
        flight.ground.wait_until(lambda: not flight.told()[-1], 'the end of the alert')
        assert not is_locked(flight.recorder.root)
        flight.recorder.make('configure', 'activate', 'deactivate')
        assert flight.recorder.stop() == 0


def test_configure_on_a_disk_that_hangs_is_refused_and_releases_what_it_gets_later(
    tmp_path: Path,
) -> None:
    with stalled_flight(tmp_path) as flight:
        with flight.disk.hanging('all'):
            assert not change_soon(flight, 'configure')
            assert not change_soon(flight, 'configure')
            assert flight.told() == [True]
            before = len(flight.recorder.statuses('summary'))
            flight.ground.wait_until(
                lambda: len(flight.recorder.statuses('summary')) > before, 'diagnostics'
            )
        flight.ground.wait_until(lambda: not flight.told()[-1], 'the end of the alert')
        assert not is_locked(flight.recorder.root)
        flight.recorder.make('configure', 'activate', 'deactivate')
        assert flight.recorder.stop() == 0


def test_configure_with_files_that_hang_is_refused(tmp_path: Path) -> None:
    with stalled_flight(tmp_path) as flight:
        manifest = flight.recorder.root / 'manifest'
        manifest.write_text('firmware 7')
        flight.recorder.set('manifest_files', [str(manifest)])
        with flight.disk.hanging('open'):
            assert not flight.recorder.change_state('configure')
        flight.recorder.wait_for_log('the files that the parameters name')
        flight.ground.wait_until(lambda: flight.recorder.change_state('configure'), 'configure')
        assert flight.recorder.stop() == 0
