# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The disk fails under a recorder that flies. The campaign `disk_full` does more of it."""

from __future__ import annotations

import errno
from pathlib import Path
import signal

from disk_faults import fill_disk
from failing_disk_flight import failing_disk_flight, FullDisk, Refusal
from fdr_recorder.flights.recovery.recover import needs_recovery, recover
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import WriteError
from flight_check import open_flight_files
from ground import DiagnosticStatus
import pytest


def test_one_alert_for_each_spell_whatever_the_disk_says(tmp_path: Path) -> None:
    faults = [
        Refusal(errno.EIO, 'writev'),
        Refusal(errno.EROFS, 'writev', 'fdatasync', 'fsync'),
        Refusal(errno.EDQUOT, 'writev'),
        Refusal(errno.EIO, 'fdatasync'),
        FullDisk(),
    ]
    with failing_disk_flight(tmp_path) as flight:
        for fault in faults:
            with flight.spell(fault):
                flight.load(2)
        flight.close()
        assert flight.recorder.stop() == 0
        flight.check()
        assert flight.codes == [
            'write_error', 'write_error', 'disk_full', 'write_error', 'disk_full',
        ]  # fmt: skip
        files = open_flight_files(flight.recorder.flights()[-1])
        assert [error.error_name for error in files.payloads(WriteError)] == [
            errno.errorcode[fault.error_number] for fault in faults
        ]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda item: item.name)
def test_a_signal_on_a_full_disk_ends_it_and_nothing_that_was_stored_is_lost(
    tmp_path: Path, number: signal.Signals
) -> None:
    with failing_disk_flight(tmp_path) as flight:
        root = flight.recorder.root
        with flight.spell(FullDisk()):
            assert flight.recorder.stop(number) == 0
        (path,) = flight.recorder.flights()
        assert needs_recovery(path)
        recover(root)
        flight.check_stored()
        assert verify(path).verdict is Verdict.LOSSES


def test_a_flight_does_not_begin_on_a_full_disk(tmp_path: Path) -> None:
    with failing_disk_flight(tmp_path, writer__min_free_bytes=1 << 20) as flight:
        recorder = flight.recorder
        recorder.make('deactivate')
        ballast = fill_disk(recorder.root)
        assert not recorder.change_state('activate')
        assert recorder.state() == 'inactive'
        status = recorder.wait_for_alert('disk', 'disk_full')
        assert status.level == DiagnosticStatus.ERROR
        assert len(recorder.flights()) == 1, 'something is left of a flight that did not begin'
        ballast.unlink()
        recorder.make('activate')
        recorder.wait_for_ok('disk')
