# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Calls that the executor does not wait for without end: the alert ends with the call."""

from __future__ import annotations

import threading

from fdr_recorder import AlertBoard
from fdr_recorder.errors import DiskStalledError
from fdr_recorder.node.errands import Errands
import pytest
from waiting import wait_until


@pytest.mark.parametrize('undo_fails', [True, False])
def test_the_alert_is_over_when_the_call_has_ended_whatever_undoing_it_does(
    alerts: AlertBoard, undo_fails: bool
) -> None:
    errands, answers = Errands(alerts), threading.Event()

    def undo(_result: object) -> None:
        if undo_fails:
            raise OSError('the disk')

    with pytest.raises(DiskStalledError):
        errands.run('/disk', lambda: answers.wait(60), 'it is done', undo=undo, patience_s=1.0)
    assert [alert.code for alert in alerts.present()] == ['disk_stalled']
    answers.set()
    wait_until(lambda: not alerts.present(), 'the end of the alert')
    wait_until(lambda: not errands._thread.is_alive(), 'the end of the thread')
    assert errands.run('/disk', lambda: 7, 'it is done') == 7
