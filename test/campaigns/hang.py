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
The disk stops answering at any call, for any time, at any moment of a recorder's life.

The recorder is a process of its own in which `slow_disk.c` is preloaded: a writer with producers,
or, where there is ROS 2, the node with a publisher. It is closed afterwards, or ended while the
disk hangs: the writer by SIGKILL, the node by SIGTERM. It needs a C compiler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
import importlib.util
import json
import os
from pathlib import Path
import random
import subprocess
import sys
import time
from typing import Any, Final

from campaigns._recovered import check_recovered
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.mcap.layout import MAGIC
from fdr_recorder.record.kinds import SegmentRollover
from flight_check import check_identities, open_flight_files
from slow_disk import SLACK_S, SlowDisk, TOLD_WITHIN_S
from waiting import wait_until

NAME = 'hang'
ABOUT = 'The disk hangs at random calls: told in time, counted exactly, nothing closed is lost.'
DEFAULT_ROUNDS = 50
SHORT_ROUNDS = 1

POINTS: Final = ('write', 'fsync', 'open', 'rename', 'unlink', 'mkdir', 'statvfs', 'all')
SHORT_S: Final = 0.5
"""A hang of at most so long costs nothing, and is not worth an alert."""
REACH_S: Final = 1.5
"""Calls that are not made for so long are not waited for."""
KIB = 1024
HERE: Final = Path(__file__).resolve().parent


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Let the disk of a writer, or of a node, hang a few times."""
    if rng.random() < 0.3 and importlib.util.find_spec('rclpy') is not None:
        from campaigns._hang_node import run_node

        return run_node(rng, directory)
    root = directory / 'flights'
    root.mkdir()
    return run_writer(rng, directory, root, hangs=rng.randint(1, 3))


def run_short_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Let the disk of a writer hang once."""
    root = directory / 'flights'
    root.mkdir()
    return run_writer(rng, directory, root, hangs=1)


def closed_segments(flight: Path) -> dict[Path, bytes]:
    """Return the closed segments of a flight that is recorded; a hang leaves some that are not."""
    contents = {path: path.read_bytes() for path in sorted(flight.glob('*.mcap'))[:-1]}
    return {path: content for path, content in contents.items() if content.endswith(MAGIC)}


def check_closed(closed: Mapping[Path, bytes]) -> None:
    """Check that segments that were closed are what they were, those apart that were dropped."""
    for path, content in closed.items():
        assert path.read_bytes() == content, f'{path.name} has changed'


def draw_points(rng: random.Random) -> list[str]:
    """Draw the calls that hang."""
    return [rng.choice([*POINTS, 'all', 'write', 'fsync'])]


# --- a writer ------------------------------------------------------------------------------------


class HungWriter:
    """A writer in a process of its own, whose disk can be made to hang."""

    def __init__(self, directory: Path, root: Path, options: Mapping[str, object]) -> None:
        self._events = directory / 'events'
        self._log = directory / 'writer.log'
        self.root, self.disk = root, SlowDisk(directory, root)
        self.figures: Counter[str] = Counter()
        self.has_long_hangs = False
        self.reached: list[float] = []
        rooms = (HERE.parent.parent, HERE.parent, HERE.parent / 'support')
        with self._log.open('wb') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'campaigns._hang_writer', str(root), str(self._events),
                 json.dumps(options)],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={**os.environ, **self.disk.environment,
                     'PYTHONPATH': os.pathsep.join(map(str, rooms))},
            )  # fmt: skip

    def __enter__(self) -> HungWriter:
        self.wait_for('started')
        return self

    def __exit__(self, *_: object) -> None:
        self.disk.answer()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def events(self, what: str) -> list[dict[str, Any]]:
        """Return what it has told of one kind."""
        if not self._events.exists():
            return []
        lines = self._events.read_bytes().split(b'\n')[:-1]
        return [event for event in map(json.loads, lines) if event['what'] == what]

    def wait_for(self, what: str) -> dict[str, Any]:
        """Return the first event of a kind."""

        def found() -> list[dict[str, Any]]:
            assert self.process.poll() is None, f'it has ended:\n{self._log.read_text()}'
            return self.events(what)

        return wait_until(found, f'the event {what}', 60)[0]

    def say(self, line: str) -> None:
        """Tell it to go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f'{line}\n'.encode())
        self.process.stdin.flush()

    def stalls(self, since: float, *, raised: bool = True) -> list[dict[str, Any]]:
        """Return the alerts of a stall that began, or ended, since then."""
        return [
            event
            for event in self.events('alert')
            if event['code'] == 'disk_stalled'
            and event['raised'] == raised
            and event['at'] > since
        ]

    def hang(self, rng: random.Random, act: Callable[[], None], *, is_long: bool) -> None:
        """Let calls hang, do something meanwhile, and wait until the alert must be there."""
        points = draw_points(rng)
        self.disk.hang(*points)
        act()
        deadline = time.monotonic() + REACH_S
        while not self.disk.is_reached() and time.monotonic() < deadline:
            time.sleep(0.005)
        reached_at = self.disk.reached_at
        if reached_at is None:
            self.figures['not_reached'] += 1
            return
        self.reached.append(reached_at)
        self.figures['hangs'] += 1
        self.figures[f'hangs of {points[0]}'] += 1
        if not is_long:
            time.sleep(rng.uniform(0.02, SHORT_S))
            return
        self.has_long_hangs = True
        within_s = TOLD_WITHIN_S + SLACK_S
        what = f'disk_stalled in a hang of {points[0]}'
        told = wait_until(lambda: self.stalls(reached_at - 0.1), what, within_s)
        self.figures['told'] += 1
        assert told[0]['at'] - reached_at < within_s
        time.sleep(rng.uniform(0, 2.5))

    def go_on(self) -> None:
        """Let the disk answer; a stall that was told must be told to be over."""
        self.disk.answer()
        begun, ended = self.stalls(0), self.stalls(0, raised=False)
        if begun and (not ended or ended[-1]['at'] < begun[-1]['at']):
            wait_until(lambda: self.stalls(begun[-1]['at'], raised=False), 'the end of the stall')


def run_writer(
    rng: random.Random, directory: Path, root: Path, *, hangs: int
) -> Mapping[str, int | float]:
    """Record one flight of a writer."""
    segment_bytes = rng.choice([16, 48, 256]) * KIB
    options = {
        'writer': {
            'segment_size_bytes': segment_bytes, 'chunk_size_bytes': 4 * KIB,
            'flush_interval_s': 0.05, 'sync_interval_s': rng.choice([0.05, 0.3]),
            'min_free_bytes': 1, 'reserve_bytes': rng.choice([0, 4 * KIB]),
        },
        'cap_bytes': rng.choice([1 << 40, 4 * segment_bytes]),
        'ring_records': rng.choice([300, 65_536]),
        'clients': rng.randint(1, 4), 'record_bytes': rng.choice([60, 700]), 'pause_s': 0.006,
    }  # fmt: skip
    is_killed = rng.random() < 0.3
    with HungWriter(directory, root, options) as writer:
        is_hung_at_opening = rng.random() < 0.2
        if is_hung_at_opening:
            writer.hang(rng, lambda: writer.say('open'), is_long=rng.random() < 0.5)
            writer.go_on()
        else:
            writer.say('open')
        flight_id = writer.wait_for('opened')['flight_id']
        for number in range(hangs):
            time.sleep(rng.uniform(0.1, 0.8))
            is_last = number == hangs - 1
            is_closing = is_last and not is_killed and rng.random() < 0.4
            act = (lambda: writer.say('close')) if is_closing else (lambda: None)
            writer.hang(rng, act, is_long=rng.random() < 0.6)
            if not (is_last and is_killed):
                writer.go_on()
        flight = root / flight_id
        if is_killed:
            closed = closed_segments(flight)
            writer.process.kill()
            writer.process.wait()
            writer.disk.answer()
            _check_killed(writer, flight, closed)
        else:
            if not is_closing:
                writer.say('close')
            summary = writer.wait_for('summary')
            writer.say('end')
            assert writer.process.wait(20) == 0
            _check_closed_flight(writer, summary)
    _check_beside(root)
    return {
        'writers': 1, 'killed': is_killed, 'short hangs only': not writer.has_long_hangs,
        **writer.figures,
    }  # fmt: skip


def _check_killed(writer: HungWriter, flight: Path, closed: Mapping[Path, bytes]) -> None:
    recover(writer.root)
    records = {event['index']: event['records'] for event in writer.events('closed')}
    first = int(min(flight.glob('segment_*.mcap')).stem.rpartition('_')[2])
    check_recovered(flight, dropped_records=[records[index] for index in range(first)])
    check_closed({path: content for path, content in closed.items() if path.exists()})
    assert not [path for path in closed if not path.exists() and _index(path) >= first]


def _index(path: Path) -> int:
    return int(path.stem.rpartition('_')[2])


def _check_closed_flight(writer: HungWriter, summary: Mapping[str, Any]) -> None:
    assert summary['is_complete'], 'the flight has no footer'
    assert not {'disk_full', 'write_error'} & {*summary['present']}
    stalls = [event for event in writer.events('alert') if event['code'] == 'disk_stalled']
    assert not any(event['raised'] for event in stalls[-1:]), 'it is still said to hang'
    codes = Counter(event['code'] for event in writer.events('alert') if event['raised'])
    assert not codes['writer_failed']
    assert not codes['write_error'], 'a hang is no error'
    lost = 0
    for producer in summary['producers']:
        if not producer['topic'].startswith('/topic_'):
            continue
        assert producer['offered'] == summary['sent'], producer
        assert producer['dropped_write_error'] == 0, producer
        written = producer['written'] - producer['repeated']
        assert written + producer['dropped_overrun'] == summary['sent'], producer
        lost += producer['dropped_overrun']
    for event in stalls:
        since = max((at for at in writer.reached if at < event['at']), default=0)
        assert not event['raised'] or event['at'] - since > SHORT_S, 'a short hang was told'
    if not (writer.has_long_hangs or codes['disk_stalled']):  # a busy machine makes some longer
        assert not lost, f'{lost} records lost in hangs of less than {SHORT_S} s'
    flight = Path(summary['path'])
    result = verify(flight)
    assert result.verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED), str(result)
    files = open_flight_files(flight)
    assert files.footer.clean_shutdown
    dropped = {item.segment_index: item.records for item in files.payloads(SegmentRollover)}
    known = {event['index']: event['records'] for event in writer.events('closed')}
    check_identities(
        files, files.footer, dropped=[known[index] for index in range(_first(files.path))]
    )
    writer.figures['segments_dropped'] += len(dropped)
    writer.figures['records_checked'] += len(files.messages)
    writer.figures['records_refused'] += lost


def _first(flight: Path) -> int:
    return _index(min(flight.glob('segment_*.mcap')))


def _check_beside(root: Path) -> None:
    """Check flights that began late, when nobody waited for them any more."""
    recover(root)
    for flight in root.iterdir():
        if flight.is_dir() and list(flight.glob('*.mcap')):
            assert verify(flight).verdict is not Verdict.DAMAGED, flight
