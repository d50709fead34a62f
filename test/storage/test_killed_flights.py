# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A recorder that is killed, at whatever moment, leaves a `metadata.yaml` that says so."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.recovery.recover import recover_flight
from fdr_recorder.flights.status import Ended, Integrity
from fdr_recorder.flights.verify import Verdict, verify
from fork_server import CHECKOUT
from mcap.reader import NonSeekingReader
import pytest
from rosbags.rosbag2 import Reader
import yaml

SUPPORT = CHECKOUT / 'test' / 'support'


def custom_data(flight: Path) -> dict[str, str]:
    document = yaml.safe_load((flight / 'metadata.yaml').read_text())
    data: dict[str, str] = document['rosbag2_bagfile_information']['custom_data']
    return data


@pytest.fixture(scope='module')
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return roots with a flight each, killed one call later each; and at which calls."""
    root = tmp_path_factory.mktemp('killed')
    done = subprocess.run(
        [sys.executable, SUPPORT / 'killed_flights_program.py', root],
        env=os.environ | {'PYTHONPATH': os.pathsep.join(map(str, (CHECKOUT, SUPPORT)))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return root, done.stdout.split()


def test_each_says_that_it_was_not_closed_unless_it_was(killed: tuple[Path, list[str]]) -> None:
    root, calls = killed
    assert {'mkdir', 'open', 'writev', 'rename', 'fsync', 'fdatasync'} <= {*calls}
    silent, open_ones, closed = [], [], []
    for number, call in enumerate(calls):
        flight = root / str(number) / 'x'
        if not flight.exists():
            continue
        if not (flight / 'metadata.yaml').exists():
            silent.append((call, sorted(path.name for path in flight.iterdir())))
            continue
        said = custom_data(flight)
        if said['ended'] == 'closed':
            closed.append(flight)
            assert said['clean_shutdown'] == 'true'
            assert verify(flight).verdict is Verdict.COMPLETE
        else:
            open_ones.append(flight)
            assert said['clean_shutdown'] == 'false'
            assert said['ended'].startswith('not closed: ')
            assert 'fdr recover' in said['ended']
    assert all(not any(name.endswith('.mcap') for name in names) for _, names in silent), silent
    assert len(open_ones) > 20
    assert custom_data(root / str(len(calls)) / 'x')['ended'] == 'closed'


def test_no_crash_is_called_damage_and_all_say_the_same_of_it(
    killed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, calls = killed
    seen = set()
    for number in range(len(calls) + 1):
        flight = root / str(number) / 'x'
        if not any(flight.glob('*.mcap')):
            continue
        flight = shutil.copytree(flight, tmp_path / str(number) / 'x')
        for _ in range(2):
            found = verify(flight)
            assert not found.damage, number
            statuses = list_flight(flight).status, read_info(flight).listed.status
            for status in statuses:
                assert status.sentence == found.status.sentence, number
                assert status.verdict is found.verdict, number
            seen.add((found.status.ended, found.status.integrity, found.footer is not None))
            recover_flight(flight)
            if not any(flight.glob('*.mcap')):
                break  # nothing was in it
    assert (Ended.UNKNOWN, Integrity.TORN, True) in seen, 'killed between footer and end'
    assert (Ended.UNKNOWN, Integrity.INTACT, True) in seen, 'killed before metadata.yaml'


def test_other_readers_open_each_before_and_after_recovery(
    killed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, calls = killed
    for number in range(0, len(calls), 7):
        flight = root / str(number) / 'x'
        if not (flight / 'metadata.yaml').exists():
            continue
        with Reader(flight) as bag:
            assert sum(1 for _ in bag.messages()) == bag.message_count
        for segment in bag_segments(flight):
            with segment.open('rb') as file:
                assert list(NonSeekingReader(file).iter_messages())
        if custom_data(flight)['ended'] != 'closed' and any(flight.glob('*.mcap')):
            recover_flight(flight)
            assert custom_data(flight)['ended'] in ('recovered', 'closed')
            with Reader(flight) as bag:
                assert sum(1 for _ in bag.messages()) == bag.message_count


def bag_segments(flight: Path) -> list[Path]:
    """Return the segments that a flight's metadata name."""
    document = yaml.safe_load((flight / 'metadata.yaml').read_text())
    names = document['rosbag2_bagfile_information']['relative_file_paths']
    return [flight / name for name in names]
