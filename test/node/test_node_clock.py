# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The system clock of the recorder's process is set in flight; everything in it sees that."""

from __future__ import annotations

from pathlib import Path
import time

from clock_flight import clock_recorder, ClockFlight
from false_clock import ProcessClock
from ground import Ground
import pytest

S = 1_000_000_000
DAY = 86_400 * S


@pytest.mark.parametrize(
    'error_ns', [-time.time_ns() + 30 * S, DAY], ids=['1970', 'a day ahead']
)
def test_a_flight_whose_clock_is_set_right(
    ground: Ground, tmp_path: Path, root: Path, error_ns: int
) -> None:
    clock = ProcessClock(tmp_path)
    clock.error_ns = error_ns
    with clock_recorder(ground, tmp_path, root, clock) as recorder:
        recorder.make('configure')
        flight = ClockFlight(ground, recorder, clock)
        flight.open()
        flight.publish()
        flight.split()
        flight.publish(5)
        flight.set_clock(-clock.error_ns)
        flight.publish()
        flight.split()
        flight.publish(5)
        flight.close()
        flight.check()
