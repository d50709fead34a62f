# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""When a process that ought to end is ended by force; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from fdr_recorder.node import ros_process
ros_process.END_DEADLINE_S, ros_process.STUCK_S, ros_process.END_BOUND_S = 1.0, 0.5, {bound}
class Executor:
    def create_task(self, task): pass
signals = ros_process.EndSignals(sys.stderr.write)
signals.serve(Executor(), lambda: {progress}, lambda: '/flights/x')
signals.come()
time.sleep({busy})
print('in good order')
"""
MARGIN_S = 20.0


def run(
    *, progress: str, busy_s: float, bound_s: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a process that needs so long to end."""
    program = PROGRAM.format(progress=progress, busy=busy_s, bound=bound_s)
    command = [sys.executable, '-c', program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_gets_on_is_not_ended_by_force() -> None:
    done = run(progress='time.monotonic()', busy_s=3.0)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'in good order\n', '')


@pytest.mark.parametrize(
    ('progress', 'bound_s'), [('None', 50.0), ('time.monotonic()', 2.0)], ids=['stuck', 'slow']
)
def test_what_hangs_or_is_too_slow_is_ended_and_names_the_flight(
    progress: str, bound_s: float
) -> None:
    since = time.monotonic()
    done = run(progress=progress, busy_s=50.0, bound_s=bound_s)
    assert time.monotonic() - since < MARGIN_S
    assert done.returncode == 1
    assert done.stdout == ''
    assert '/flights/x is not closed' in done.stderr
