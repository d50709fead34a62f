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
Records a flight while the system clock is set by so much, and closes it or is killed.

Usage: `stepped_flight_program.py ROOT FLIGHT_ID STEP_NS close|kill`.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from fdr_recorder import FdrConfig, FdrWriterConfig, record_flight


def main(root: str, flight_id: str, step_ns: int, end: str) -> None:
    """Record the flight."""
    real = time.time_ns
    time.time_ns = lambda: real() + step_ns
    writer = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0)
    with record_flight(FdrConfig(flight_root=root, flight_id=flight_id, writer=writer)):
        if end == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
