# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which flight is older is told by its number, whatever the clock did."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
import shutil
import time
from typing import Any

from fdr_program import run_fdr
from fdr_recorder import (
    FdrConfig,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    FlightReader,
    read_info,
    record_flight,
)
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.storage.flight_numbers import COUNTER_NAME, MAX_COUNTER, MAX_FLIGHT_NUMBER
from fdr_recorder.storage.segment import Segment
import pytest
import stepped_flight_program

DAY_NS = 86_400 * 10**9
OLD_FLIGHTS = Path(__file__).parents[1] / 'compatibility' / 'flights_0_1_0'
WRITER = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0)


def fly(root: Path, flight_id: str, *, step_ns: int = 0, end: str = 'close') -> None:
    """Record a flight in a process whose system clock is set by so much."""
    done = run_fdr(root, flight_id, step_ns, end, program=stepped_flight_program.__name__)
    assert done.returncode == (0 if end == 'close' else -9)


def fdr(*arguments: object) -> str:
    return run_fdr(*arguments, check=True).stdout


def in_order(root: Path) -> list[str]:
    """Return the flights as `fdr ls` orders them."""
    return [item['flight_id'] for item in json.loads(fdr('ls', root, '--json'))['flights']]


def number_of_new(root: Path, flight_id: str) -> int:
    """Record a flight; return its number."""
    with record_flight(FdrConfig(flight_root=str(root), flight_id=flight_id, writer=WRITER)):
        pass
    return number_of(root / flight_id)


def number_of(flight: Path) -> int:
    with FlightReader(flight) as reader:
        for _ in reader.messages():
            break
        assert reader.header is not None
        return reader.header.flight_number


# --- the clock -------------------------------------------------------------------------------


def test_after_a_step_back_of_a_day_prune_keeps_the_newest(root: Path) -> None:
    for flight_id, step_ns in (('c', 0), ('b', -DAY_NS), ('a', -DAY_NS), ('killed', -2 * DAY_NS)):
        fly(root, flight_id, step_ns=step_ns, end='kill' if flight_id == 'killed' else 'close')
    assert in_order(root) == ['c', 'b', 'a', 'killed']
    fdr('recover', root)
    assert in_order(root) == ['c', 'b', 'a', 'killed']
    fdr('prune', root, '--keep', 2, '--unclean')
    assert in_order(root) == ['a', 'killed']


def test_flights_that_begin_in_1970_are_not_the_oldest(root: Path) -> None:
    to_1970 = -time.time_ns() // 10**9 * 10**9 + 30 * 10**9
    fly(root, 'gps')
    fly(root, 'rtc_lost_1', step_ns=to_1970)
    fly(root, 'rtc_lost_2', step_ns=to_1970)
    fdr('prune', root, '--keep', 2)
    assert in_order(root) == ['rtc_lost_1', 'rtc_lost_2']
    fly(root, 'future', step_ns=400 * DAY_NS)
    fly(root, 'now')
    one = sum(path.stat().st_size for path in (root / 'now').glob('*.mcap'))
    fdr('prune', root, '--max-bytes', one + 100)
    assert in_order(root) == ['now']


def test_flights_of_former_versions_are_the_oldest_in_the_order_of_their_start(root: Path) -> None:
    fly(root, 'a', step_ns=-30 * 365 * DAY_NS)
    for name in ('capped', 'closed'):
        shutil.copytree(OLD_FLIGHTS / name, root / name)
    fly(root, 'b')
    assert in_order(root) == ['closed', 'capped', 'a', 'b']


# --- the number ------------------------------------------------------------------------------


def test_it_stands_in_header_metadata_and_json(root: Path) -> None:
    assert [number_of_new(root, name) for name in 'abc'] == [1, 2, 3]
    assert '    flight_number: "3"\n' in (root / 'c' / 'metadata.yaml').read_text()
    assert json.loads(fdr('info', root / 'c', '--json'))['flight_number'] == 3
    assert read_info(root / 'b').listed.flight_number == 2


@pytest.mark.parametrize('content', [None, b'', b'\0' * 8, b'1', b'-7', b'9' * 5000])
def test_a_lost_or_damaged_counter_is_made_anew_from_the_flights(
    root: Path, content: bytes | None
) -> None:
    for flight_id in 'abc':
        fly(root, flight_id, end='kill')
    (root / COUNTER_NAME).unlink()
    if content is not None:
        (root / COUNTER_NAME).write_bytes(content)
    assert number_of_new(root, 'd') == 4


def test_removed_flights_do_not_give_their_numbers_away(root: Path) -> None:
    assert number_of_new(root, 'a') == 1
    shutil.rmtree(root / 'a')
    assert number_of_new(root, 'b') == 2


def test_a_new_flight_is_newer_than_one_copied_from_another_root(
    root: Path, tmp_path: Path
) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    (other / COUNTER_NAME).write_text('40\n')
    assert number_of_new(other, 'copied') == 41
    with FileFdrWriter(root, WRITER) as writer:  # also while the root is in use
        for flight_id, number in (('a', 1), ('b', 42)):
            writer.open_flight(FlightHeader(flight_id=flight_id))
            writer.close_flight(flight_id)
            assert number_of(root / flight_id) == number
            if flight_id == 'a':
                shutil.copytree(other / 'copied', root / 'copied')
    assert in_order(root) == ['a', 'copied', 'b']


def test_the_same_number_twice_is_ordered_by_start(root: Path, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    fly(other, 'a')
    fly(root, 'b', step_ns=-DAY_NS)
    shutil.copytree(other / 'a', root / 'a')
    assert in_order(root) == ['b', 'a']


def test_an_absurd_number_does_not_end_the_counting(root: Path) -> None:
    number_of_new(root, 'a')
    metadata = root / 'a' / 'metadata.yaml'
    absurd = f'flight_number: "{MAX_FLIGHT_NUMBER + 1}"'
    metadata.write_text(metadata.read_text().replace('flight_number: "1"', absurd))
    assert number_of_new(root, 'b') == 2


@pytest.mark.parametrize('damage', [MAX_FLIGHT_NUMBER - 1, MAX_FLIGHT_NUMBER, MAX_COUNTER - 1])
def test_numbers_never_run_out_and_begin_again_below_those_of_older_flights(
    root: Path, damage: int
) -> None:
    number_of_new(root, 'd')
    (root / COUNTER_NAME).write_text(f'{damage}\n')
    numbers = [number_of_new(root, flight_id) for flight_id in 'cba']
    assert numbers == sorted(set(numbers))
    assert in_order(root) == ['d', 'c', 'b', 'a']


def test_behind_a_flight_with_the_last_number_the_start_tells_the_order(root: Path) -> None:
    number_of_new(root, 'c')
    metadata = root / 'c' / 'metadata.yaml'
    last = f'flight_number: "{MAX_FLIGHT_NUMBER}"'
    metadata.write_text(metadata.read_text().replace('flight_number: "1"', last))
    assert [number_of_new(root, flight_id) for flight_id in 'ba'] == [MAX_FLIGHT_NUMBER] * 2
    assert in_order(root)[-2:] == ['b', 'a']


def test_a_counter_that_cannot_be_renewed_stops_no_flight(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('fdr_recorder.storage.flight_numbers.replace_file', refuse)
    assert [number_of_new(root, name) for name in 'ab'] == [1, 2]


def test_recovery_keeps_it(root: Path) -> None:
    number_of_new(root, 'a')
    fly(root, 'b', end='kill')
    (root / 'b' / 'metadata.yaml').unlink()
    recover(root)
    assert '    flight_number: "2"\n' in (root / 'b' / 'metadata.yaml').read_text()


def test_the_counter_is_on_the_disk_before_the_flight_has_a_header(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    create = Segment.create

    def note(path: Path, **options: Any) -> Segment:
        counted.append((root / COUNTER_NAME).read_text())
        return create(path, **options)

    monkeypatch.setattr(Segment, 'create', note)
    number_of_new(root, 'a')
    assert counted == ['1\n']
