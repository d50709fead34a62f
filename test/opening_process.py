"""Opens a flight as a bag and reads all of it, again and again, as a program of its own.

    python opening_process.py FLIGHT

It says what came of it each time, a line of JSON each, until its standard input ends:
`{"messages": ...}` if there are as many as the bag says; `{"late": ...}` if a file was gone, and
there is a newer `metadata.yaml` by now, which does not name it; `{"failure": ...}` for anything
else.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path
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
