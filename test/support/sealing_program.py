# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A process that records a sealed flight of some segments, and stays in the last one."""

from __future__ import annotations

from pathlib import Path
import sys

from fdr_recorder import FdrWriterConfig, FileFdrWriter, FlightHeader
from fdr_recorder.config import SealConfig
from producers import make_client, send
from waiting import wait_until


def main(root: Path, key_file: str, segments: int) -> None:
    """Record so many segments, say `sealed`, and stay until a line comes in."""
    config = FdrWriterConfig(
        sync_interval_s=0.1, min_free_bytes=0, reserve_bytes=0, seal=SealConfig(key_file=key_file)
    )
    with FileFdrWriter(root, config) as writer:
        client = make_client()
        writer.register(client)
        writer.open_flight(FlightHeader(flight_id='x', vehicle_id='drone-7'))
        for index in range(segments):
            if index:
                writer.split()
                wait_until(lambda index=index: writer.status.segments >= index, 'a rotation')
            before = writer.status.newest_seal
            send(client, range(20))
            wait_until(lambda before=before: writer.status.newest_seal != before, 'a seal')
        print('sealed', flush=True)
        sys.stdin.readline()
        writer.close_flight('x')


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
