# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight is a bag at every moment: another process opens it while it is being written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
import json
from pathlib import Path
import subprocess
import sys
import threading
from typing import Any

import known_flight
from known_flight import FLIGHT_ID
import pytest

SUPPORT = Path(known_flight.__file__).parent
SHORTEST, LONGEST = 2000, 100_000


@pytest.mark.parametrize(
    ('cap_bytes', 'enough'), [(1 << 40, 12), (80 * 1024, 40)], ids=['rotating', 'dropping']
)
def test_another_process_can_open_the_flight_at_any_moment(
    root: Path, cap_bytes: int, enough: int
) -> None:
    """It may come too late for a segment that is dropped; then there is a newer metadata.yaml."""
    answers: list[dict[str, Any]] = []
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / 'bag_opening_program.py'), root / FLIGHT_ID],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    assert process.stdin is not None
    assert process.stdout is not None

    def listen() -> None:
        answers.extend(map(json.loads, process.stdout))

    def numbers() -> Iterator[int]:
        for number in count():
            found = [next(iter(answer)) for answer in answers]
            is_enough = number > SHORTEST and found.count('messages') >= enough
            if is_enough or 'failure' in found or number > LONGEST:
                return
            yield number

    listener = threading.Thread(target=listen)
    listener.start()
    writer = known_flight.make_writer(root, cap_bytes=cap_bytes, segment_size_bytes=16 * 1024)
    try:
        known_flight.record(writer, numbers())
        footer = writer.close_flight(FLIGHT_ID).footer
    finally:
        process.stdin.close()
        listener.join()
        process.wait()
        process.stdout.close()
        writer.stop()
    assert [answer for answer in answers if 'failure' in answer] == []
    counts = [answer['messages'] for answer in answers if 'messages' in answer]
    assert len(counts) >= enough
    assert len(set(counts)) > 3
    assert footer.rollover_count > 20
    if footer.segments_dropped == 0:
        assert cap_bytes > footer.bytes_written
        assert counts == sorted(counts)
