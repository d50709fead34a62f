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
Publishers come and go at random over DDS, are killed, respawn, are lost by discovery and found.

A recorder process records them. Latched ones are among them, and segments rotate all the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import os
from pathlib import Path
import random
import signal
import time
from unittest import mock

NAME = 'churn'
ABOUT = 'Publishers come, go, are killed and lost over DDS; accounts are exact, segments complete.'
DEFAULT_ROUNDS = 20
SHORT_ROUNDS = 1

TOPICS = ('/a', '/b')
STATIC = '/tf_static'
RELIABILITIES = ('reliable', 'best_effort')
PROFILE = 'short_lease.xml'
NO_SHARED_MEMORY = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
MOST_PUBLISHERS = 4
LEASE_S = 0.8
MOST_RECORDER_MIB = 250


class Crowd:
    """The publishers of a round, in processes of their own."""

    def __init__(self, ground, directory: Path, rng: random.Random) -> None:
        self._ground, self._directory, self._rng = ground, directory, rng
        self._present: list = []
        self._made = 0
        self.faults: Counter[str] = Counter()

    def come(self) -> None:
        """Let one come; some are latched."""
        from publisher_process import PublisherProcess

        is_latched = self._rng.random() < 0.4
        directory = self._directory / f'publisher_{self._made}'
        directory.mkdir()
        self._made += 1
        topic = '/latched' if is_latched else self._rng.choice(TOPICS)
        publisher = PublisherProcess(
            self._ground,
            directory,
            topic,
            profile=PROFILE,
            durability='transient_local' if is_latched else 'volatile',
            reliability='reliable' if is_latched else self._rng.choice(RELIABILITIES),
            depth=1 if is_latched else 1000,
            node=f'publisher_{self._made}',
        )
        try:
            publisher.hear()
        except BaseException:
            publisher.__exit__()
            raise
        self._present.append(publisher)
        self.publish()
        self.faults['came'] += 1

    def publish(self) -> None:
        """Let all that are there publish."""
        for publisher in self._present:
            publisher.ask('publish', 0, self._rng.randrange(1, 200))

    def go(self) -> None:
        """Let one leave in good order, or kill it; another may come in its place."""
        publisher = self._present.pop(self._rng.randrange(len(self._present)))
        try:
            if self._rng.random() < 0.5:
                self.faults['killed'] += 1
            else:
                publisher.leave()
                self.faults['left'] += 1
        finally:
            publisher.__exit__()
        if self._rng.random() < 0.5:
            self.come()
            self.faults['respawned'] += 1

    def be_lost(self) -> None:
        """Stop one until its lease is over, and let it go on."""
        publisher = self._rng.choice(self._present)
        publisher.send(signal.SIGSTOP)
        until = time.monotonic() + LEASE_S + self._rng.random()
        while time.monotonic() < until:
            self._ground.spin()
        publisher.say('publish', 0, 20)  # at once, before it is found
        publisher.send(signal.SIGCONT)
        publisher.hear()
        self.faults['lost by discovery'] += 1

    def act(self) -> None:
        """Do one of these."""
        if not self._present or (
            len(self._present) < MOST_PUBLISHERS and self._rng.random() < 0.4
        ):
            self.come()
            return
        self._rng.choice([self.go, self.be_lost, self.publish])()

    def end(self) -> None:
        """Kill all that are left."""
        while self._present:
            self._present.pop().__exit__()


def run_round(rng: random.Random, directory: Path, actions: int = 15) -> Mapping[str, int | float]:
    """Record a crowd over DDS; check the flight."""
    from ground import own_ground
    from publisher_process import PublisherProcess
    from recorder_process import RecorderProcess
    from std_srvs.srv import Trigger

    root = directory / 'flights'
    root.mkdir()
    options = {
        'topics': [*TOPICS, '/latched', STATIC],
        'writer__segment_size_bytes': 128 * 1024,
        'writer__chunk_size_bytes': 8192,
    }
    with (
        mock.patch.dict(os.environ, NO_SHARED_MEMORY),
        own_ground() as ground,
        RecorderProcess(ground, directory, root, **options) as recorder,
        PublisherProcess(
            ground, directory, STATIC, durability='transient_local', depth=1, node='static'
        ) as static,
    ):
        recorder.make('configure', 'activate')
        static.hear()
        static.ask('publish', 7, 1)
        ground.wait_until(lambda: recorder.stored(STATIC), f'{STATIC} on the disk')
        crowd = Crowd(ground, directory, rng)
        try:
            for _ in range(actions):
                crowd.act()
                if rng.random() < 0.3:
                    ground.call(Trigger, '/fdr_recorder/split', Trigger.Request())
        finally:
            crowd.end()
        memory_mib = _resident_mib(recorder.process.pid)
        recorder.make('deactivate')
        (path,) = recorder.flights()
    assert memory_mib < MOST_RECORDER_MIB
    return {**_check(path), **crowd.faults, 'recorder_mib': memory_mib}


def run_short_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Do the same with fewer publishers."""
    return run_round(rng, directory, actions=4)


def _resident_mib(pid: int) -> float:
    """Return the memory of a process (Linux: proc(5))."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGESIZE') / 2**20


def _check(path: Path) -> dict[str, int]:
    """Check that every account is exact, every segment whole and complete."""
    from fdr_recorder import verify
    from recorder_process import read_flight

    flight = read_flight(path)  # identities, sums, independent readers
    verification = verify(path)
    assert verification.damage == [], verification
    for segment in flight.segments:
        assert any(item.topic == STATIC for item in segment.messages), segment.path
    topics = {*TOPICS, '/latched', STATIC}
    accounts = [item for item in flight.footer.producers if item.topic in topics]
    assert len({(item.topic, item.publisher) for item in accounts}) == len(accounts)
    for account in accounts:
        _check_account(flight, account)
    return {
        'segments': len(flight.segments),
        'accounts': len(accounts),
        'records': len(flight.messages),
        'lost_in_transport': flight.footer.records_lost_transport,
    }


def _check_account(flight, account) -> None:
    """
    Check that all that a publisher sent up to its last message is accounted for.

    What it sent before it was heard is known where it came while the flight was open. Of a latched
    one, that may lie behind its first message: that was still there, and the next were not.
    """
    numbers = {
        message.sequence for message in flight.of_topic(account.topic, account.publisher)
    }
    lost = account.lost_transport + account.dropped_overrun + account.dropped_write_error
    before = account.before_match or min(numbers) - 1
    assert max(numbers) == len(numbers) + lost + before, account
