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
Opens a flight as a bag and reads all of it, again and again, as a program of its own.

    python bag_opening_program.py FLIGHT

It says what came of it each time, a line of JSON each, until its standard input ends:
`{"messages": ...}` if there are as many as the bag says; `{"late": ...}` if a file was gone, and
there is a newer `metadata.yaml` by now, which does not name it; `{"failure": ...}` for anything
else.
"""

from __future__ import annotations

import json
from pathlib import Path
import select
import sys
from typing import Any

from rosbags.rosbag2 import Reader
from waiting import wait_until


def open_once(flight: Path) -> dict[str, Any]:
    before = (flight / 'metadata.yaml').read_bytes()
    try:
        with Reader(flight) as bag:
            read = sum(1 for _ in bag.messages(()))
            if read == bag.message_count:
                return {'messages': read}
            return {'failure': f'{read} messages of {bag.message_count}'}
    except Exception as error:
        if (flight / 'metadata.yaml').read_bytes() != before:
            return {'late': repr(error)}
        return {'failure': repr(error), 'metadata': before.decode()}


def main() -> None:
    flight = Path(sys.argv[1])
    wait_until((flight / 'metadata.yaml').exists, 'the flight')
    while not select.select([sys.stdin], [], [], 0)[0]:
        print(json.dumps(open_once(flight)), flush=True)


if __name__ == '__main__':
    main()
