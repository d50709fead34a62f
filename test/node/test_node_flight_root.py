# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight root, as configure and activate find it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
import signal

from fdr_recorder import FlightRoot
from ground import DiagnosticStatus, Ground
import pytest
from recorder_process import is_locked, read_flight, RecorderProcess


def test_it_must_be_a_directory(ground: Ground, tmp_path: Path) -> None:
    root = tmp_path / 'flights'
    with RecorderProcess(ground, tmp_path, root) as recorder:
        assert not recorder.change_state('configure')
        assert recorder.state() == 'unconfigured'
        status = recorder.wait_for_alert('disk', 'flight_root_unusable')
        assert status.level == DiagnosticStatus.ERROR
        assert f'{root} does not exist' in status.message

        root.write_text('a file')
        assert not recorder.change_state('configure')
        assert recorder.state() == 'unconfigured'
        ground.wait_until(
            lambda: 'is not a directory' in recorder.statuses('disk')[-1].message,
            'the newer reason on the diagnostics topic',
        )
        assert len(recorder.wait_for_log('configure refused', times=2)) == 2

        root.unlink()
        root.mkdir()
        recorder.make('configure')
        recorder.wait_for_ok('disk')
        raised, cleared = recorder.at_once('disk', count=2)
        assert raised.level == DiagnosticStatus.ERROR
        assert cleared.level == DiagnosticStatus.OK


def test_a_second_recorder_is_told_who_holds_it(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with (
        RecorderProcess(ground, tmp_path, root, name='holder').start() as holder,
        RecorderProcess(ground, tmp_path, root, name='second').start() as second,
    ):
        holder.make('configure', 'activate')
        assert not second.change_state('configure')
        assert second.state() == 'unconfigured'
        status = second.wait_for_alert('disk', 'flight_root_locked')
        assert status.level == DiagnosticStatus.ERROR
        second.wait_for_log('flight_root_locked: ')
        for text in (status.message, second.log):
            assert f'{root} is in use by pid {holder.process.pid} (/holder on ' in text
        assert holder.state() == 'active'

        holder.send(signal.SIGKILL)
        assert holder.wait_for_end() == -signal.SIGKILL
        second.make('configure', 'activate')
        second.wait_for_ok('disk')
        second.make('deactivate')
        read_flight(second.flights()[-1])
        assert second.stop() == 0


def test_it_is_free_after_cleanup_and_after_a_refused_configure(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        recorder.make('configure')
        assert is_locked(root)
        recorder.make('cleanup')
        with FlightRoot.acquire(root, owner='the test'):
            assert not recorder.change_state('configure')
            assert '(the test on ' in recorder.wait_for_alert('disk', 'flight_root_locked').message
        recorder.make('configure')


def test_an_existing_flight_is_never_written_into(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root, flight_id='first') as recorder:
        recorder.make('configure', 'activate', 'deactivate')
        before = {path: path.read_bytes() for path in (root / 'first').iterdir()}
        assert not recorder.change_state('activate')
        assert recorder.state() == 'inactive'
        status = recorder.wait_for_alert('recorder', 'config_invalid')
        assert status.level == DiagnosticStatus.ERROR
        assert f'{root / "first"} already exists' in status.message
        assert {path: path.read_bytes() for path in (root / 'first').iterdir()} == before
        assert is_locked(root)

        (root / 'first').rename(tmp_path / 'elsewhere')
        recorder.make('activate', 'deactivate')
        recorder.wait_for_ok('recorder')
        read_flight(root / 'first')


@pytest.mark.parametrize('recovers', [False, True])
def test_flights_that_were_never_closed_are_recovered_if_that_is_wanted(
    ground: Ground, tmp_path: Path, root: Path, recovers: bool
) -> None:
    with RecorderProcess(ground, tmp_path, root, flight_id='killed') as recorder:
        recorder.make('configure', 'activate')
        recorder.send(signal.SIGKILL)
        recorder.wait_for_end()
    before = {path: path.read_bytes() for path in (root / 'killed').iterdir()}
    with RecorderProcess(ground, tmp_path, root, recover_on_configure=recovers) as recorder:
        recorder.make('configure')
        code = 'unclean_flight_recovered' if recovers else 'unclean_flight_left'
        message = recorder.wait_for_alert('recorder', code).message
        assert 'killed' in message
        assert (f'see `fdr recover {root}`' in message) != recovers
        recorder.make('activate', 'deactivate', 'cleanup')
        recorder.wait_for_ok('recorder')
    after = {path: path.read_bytes() for path in (root / 'killed').iterdir()}
    assert (after == before) != recovers


def test_a_flight_that_another_program_holds_is_left_and_named(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """It was moved here from another root while it is written, for example."""
    with RecorderProcess(ground, tmp_path, root, flight_id='killed') as recorder:
        recorder.make('configure', 'activate')
        recorder.send(signal.SIGKILL)
        recorder.wait_for_end()
    fd = os.open(root / 'killed', os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        with RecorderProcess(ground, tmp_path, root) as recorder:
            recorder.make('configure')
            message = recorder.wait_for_alert('recorder', 'unclean_flight_left').message
            assert f'is being written or changed by pid {os.getpid()}' in message
            recorder.make('activate', 'deactivate')
    finally:
        os.close(fd)
