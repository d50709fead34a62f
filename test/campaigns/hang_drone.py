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
A drone's load over DDS, and a disk that hangs for a minute in flight, and again until the end.

The load is that of `./dev bench`: thirty topics, 1,000 messages and 15 MB a second, among them an
IMU and a camera. The first flight outlives the hang and is ended; the node is ended by SIGTERM
while the disk hangs in the second. It needs ROS 2 and a C compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
import random
import sys
import time
from typing import Any, Final

from slow_disk import SLACK_S, TOLD_WITHIN_S

NAME = 'hang_drone'
ABOUT = "A drone's load while the disk hangs for 60 s, and until SIGTERM: exact sums, in time."
DEFAULT_ROUNDS = 1
SHORT_ROUNDS = 1

FLY_S: Final = 5.0
"""Before the disk hangs, and after it."""
MANY_S: Final = 600.0


def run_round(
    rng: random.Random, directory: Path, hang_s: float = 60.0, fly_s: float = FLY_S
) -> Mapping[str, int | float]:
    """Fly twice; the first hang lasts `hang_s`."""
    # importing them skips where there is no ROS 2, and says so
    from campaigns._hang_node import end_in_a_hang
    from stalled_flight import stalled_flight

    options = {
        'topics': [stream.topic for stream in _workload().streams],
        'ring__max_records': 65_536,
        'writer__segment_size_bytes': 32 << 20,
        'writer__chunk_size_bytes': 1 << 20,
        'writer__sync_interval_s': 1.0,
    }
    with stalled_flight(directory, 'configure', **options) as flight:
        flight.recorder.make('activate')
        with _load(flight, directory, 2 * fly_s + hang_s) as await_sent:
            _spin(flight, fly_s)
            told_s = _hang(flight)
            _spin(flight, hang_s - told_s)
            since = time.monotonic()
            flight.disk.answer()
            flight.ground.wait_until(lambda: not flight.told()[-1], 'the end of the alert')
            cleared_s = time.monotonic() - since
            sent = await_sent()
        flight.recorder.make('deactivate')
        figures = _check(flight, sent)
        flight.recorder.make('activate')
        with _load(flight, directory, MANY_S):
            _spin(flight, fly_s)
            told_again_s = _hang(flight)
            _spin(flight, 1.0)
            ended_s = end_in_a_hang(flight)
    return {
        **figures,
        'told_s': told_s,
        'cleared_s': cleared_s,
        'told_again_s': told_again_s,
        'ended_s': ended_s,
    }


def run_short_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Do the same with a hang of a few seconds."""
    return run_round(rng, directory, hang_s=2.5, fly_s=1.0)


def _workload() -> Any:
    from bench.workloads import drone

    return drone()


@contextmanager
def _load(
    flight: Any, directory: Path, seconds: float
) -> Iterator[Callable[[], Mapping[str, int]]]:
    """Publish in a process of its own; give what waits for its end and returns what was sent."""
    from bench.programs import start_process
    from bench.trial import LOAD_PROFILE
    from demo.processes import hear
    from ros_domain import ros_environment

    environment = {
        **ros_environment(flight.ground.domain_id),
        'FASTDDS_DEFAULT_PROFILES_FILE': str(LOAD_PROFILE),
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(LOAD_PROFILE),
    }
    command = [sys.executable, '-m', 'bench.load']
    load = start_process('load', command, directory, speaks=True, **environment)
    try:
        load.say({'workload': asdict(_workload())})
        hear([load], 'ready', timeout_s=60, check=flight.ground.spin)
        load.say({'send': {'seconds': seconds}})

        def await_sent() -> Mapping[str, int]:
            answer = hear([load], 'sent', timeout_s=60, check=flight.ground.spin)[load]
            hear([load], 'acknowledged', timeout_s=60, check=flight.ground.spin)
            sent: Mapping[str, int] = answer['sent']
            return sent

        yield await_sent
    finally:
        load.stop(3.0)


def _spin(flight: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        flight.ground.spin()


def _hang(flight: Any) -> float:
    """Let all calls hang; return after how long (seconds) the ground was told."""
    before = len(flight.told())
    flight.disk.hang('all')
    flight.ground.wait_until(lambda: len(flight.told()) > before, 'the alert disk_stalled')
    assert flight.told()[-1]
    told_s = time.time() - flight.disk.reached_at
    assert told_s < TOLD_WITHIN_S + SLACK_S
    return float(told_s)


def _check(flight: Any, sent: Mapping[str, int]) -> dict[str, int]:
    """Check that each message is in the flight or counted by its cause, topic by topic."""
    from fdr_recorder.flights.verify import Verdict, verify
    from flight_check import check_identities, open_flight_files

    (path,) = flight.recorder.flights()
    assert verify(path).verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)
    files = open_flight_files(path)
    footer = files.footer
    assert footer.clean_shutdown
    check_identities(files, footer)
    accounts = {item.topic: item for item in footer.producers if item.topic in sent}
    for topic, published in sent.items():
        account = accounts[topic]
        assert account.written + account.dropped_overrun == account.offered, account
        assert published == account.offered + account.lost_transport, (published, account)
    return {
        'published': sum(sent.values()),
        'written': sum(item.written for item in accounts.values()),
        'refused_by_full_rings': sum(item.dropped_overrun for item in accounts.values()),
        'lost_in_transport': sum(item.lost_transport for item in accounts.values()),
    }
