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
Record the same flight again and again; kill each recording at the next of its calls on the disk.

Prints the name of the call at which each flight was killed: that in the root `n` at call `n`. The
last is closed.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
import signal
import sys
from typing import Any

from fdr_recorder import FileFdrWriter, FlightHeader, FlightRoot
from fdr_recorder.config import FdrWriterConfig
from producers import make_client, send

WRITE = os.write
CALLS = 'mkdir open write writev pwritev rename unlink fsync fdatasync ftruncate'.split()
CONFIG = FdrWriterConfig(
    segment_size_bytes=16 << 10, chunk_size_bytes=1 << 10, min_free_bytes=0, reserve_bytes=0
)


def kill_at(number: int, said: int) -> None:
    """Kill this process at its call of this number from now on."""
    count = itertools.count()

    def make(name: str) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            if next(count) == number:
                WRITE(said, f'{name}\n'.encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in CALLS:
        setattr(os, name, make(name))


def record(root: Path) -> None:
    writer = FileFdrWriter(FlightRoot.acquire(root), CONFIG)
    writer.start()
    client = make_client()
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    send(client, range(160), size=100)
    writer.close_flight('x')
    writer.stop()


def main(root: Path) -> None:
    for number in itertools.count():
        own = root / str(number)
        own.mkdir()
        child = os.fork()
        if not child:
            kill_at(number, sys.stdout.fileno())
            record(own)
            return
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


main(Path(sys.argv[1]))
