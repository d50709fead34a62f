# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Pins: what no cap drops, said in the flight, and known after its end however that came."""

from __future__ import annotations

from operator import sub
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from conftest import MakeWriter, QUICK
from fdr_recorder import (
    Alert,
    AlertBoard,
    CapacityCapPolicy,
    FdrConfig,
    FdrWriterConfig,
    FileFdrWriter,
    FlightNotOpenError,
    recover,
    verify,
)
from fdr_recorder.config import SealConfig
from fdr_recorder.errors import ConfigInvalidError, NothingToDropError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.verify import Verdict
from fdr_recorder.record.kinds import Pin, SegmentRollover
from fdr_recorder.storage.pinning import PinRules
from fdr_recorder.storage.pins import Pins, PINS_NAME, read_pins, Window
from flight_check import open_flight_files
from hypothesis import given
from hypothesis import strategies as st
from producers import make_client, number_of, open_flight, send
import pytest
from sealed_flight import vehicle_key
from waiting import wait_until

SEGMENT = 24 * 1024
OPTIONS = {'segment_size_bytes': SEGMENT, 'chunk_size_bytes': 2048}


def capped(make_writer: MakeWriter, cap: int, **options: object) -> tuple[FileFdrWriter, Path]:
    writer = make_writer(**{**OPTIONS, **options})
    writer.on_rotation = CapacityCapPolicy(cap, writer, writer.alerts).on_rotation
    client = make_client(publisher='0' * 32)
    open_flight(writer, 'x', client)
    path = writer.status.path
    assert path is not None
    return writer, path


def fly(writer: FileFdrWriter, numbers: range) -> None:
    """Send records; return when they are in segments."""
    (client,) = writer._clients.all()
    send(client, numbers, 300)
    wait_until(lambda: not len(client.ring), 'the writer')


def pin(writer: FileFdrWriter, why: str = 'asked', **times: float) -> None:
    """Pin, and wait until that is on the disk."""
    path = writer.status.path
    assert path is not None
    before = sum(window.times for window in read_pins(path).windows)
    writer.pin(why, **times)
    wait_until(
        lambda: sum(window.times for window in read_pins(path).windows) > before, 'PINS'
    )


def pin_flown(writer: FileFdrWriter, numbers: range, why: str = 'asked') -> None:
    """Fly, and pin the time of that; in the moment after it, there may be no segment."""
    began_s = time.monotonic()
    fly(writer, numbers)
    pin(writer, why, before_s=time.monotonic() - began_s, after_s=0.0)


def indexes(path: Path) -> list[int]:
    return [file.index for file in segment_files(path)]


def hole_before(path: Path) -> bool:
    there = indexes(path)
    return there[-1] + 1 > len(there) and there[0] == 0


def test_the_cap_leaves_what_is_pinned(make_writer: MakeWriter) -> None:
    """The windows are kept, all else goes, each with its record; and the flight says so."""
    writer, path = capped(make_writer, 5 * SEGMENT)
    fly(writer, range(10))
    pin(writer, 'the first ten', before_s=60.0, after_s=0.0)
    fly(writer, range(10, 590))
    pin_flown(writer, range(590, 600), 'in the middle')
    fly(writer, range(600, 1200))
    summary = writer.close_flight('x')
    there = indexes(path)
    assert there[0] == 0
    assert len(there) <= 8
    flight = open_flight_files(path)
    numbers = [number_of(message.data) for message in flight.of_topic('/blob')]
    assert {*range(10), 1199} <= {*numbers}
    pins = read_pins(path)
    assert [window.why for window in pins.windows] == [('the first ten',), ('in the middle',)]
    first, middle = pins.windows
    assert middle.from_ns > first.to_ns
    # The records of pins tell the same; one may lie in a later segment, which was dropped.
    told = {pin.why: (pin.from_ns, pin.to_ns) for pin in flight.payloads(Pin)}
    known = {why: (item.from_ns, item.to_ns) for item in pins.windows for why in item.why}
    assert told.items() <= known.items()
    dropped = flight.payloads(SegmentRollover)
    assert dropped
    times = [(item.first_log_time_ns, item.last_log_time_ns) for item in dropped]
    assert not any(pins.why(0, *item) for item in times)
    assert sum(hole > 1 for hole in map(sub, there[1:], there)) == 2
    result = verify(path)
    assert result.damage == []
    assert result.verdict is Verdict.LOSSES
    assert summary.footer.segments_dropped == there[-1] + 1 - len(there) > 5
    lost = sum(loss.records for loss in result.losses if loss.cause == 'capacity')
    assert lost + len(flight.messages) == summary.footer.records_written


def test_a_segment_that_is_missing_beside_dropped_ones_is_told(make_writer: MakeWriter) -> None:
    writer, path = capped(make_writer, 3 * SEGMENT)
    for start in range(0, 900, 300):
        pin_flown(writer, range(start, start + 10))
        fly(writer, range(start + 10, start + 300))
    writer.close_flight('x')
    assert verify(path).damage == []
    there = indexes(path)
    gone = next(index for index in there[1:-1] if index - 1 not in there)
    (path / f'segment_{gone:06d}.mcap').unlink()
    (said,) = [text for text in verify(path).damage if text.startswith('segments ')]
    start, end = map(int, re.findall(r'\d+', said))
    assert start < gone <= end


def test_a_pin_that_comes_too_late_says_so(make_writer: MakeWriter) -> None:
    writer, path = capped(make_writer, 2 * SEGMENT)
    fly(writer, range(400))
    wait_until(lambda: indexes(path)[0] > 0, 'a drop')
    pin(writer, before_s=60.0)
    writer.close_flight('x')
    (record,) = open_flight_files(path).payloads(Pin)
    assert record.from_ns <= record.dropped_until_ns < record.to_ns


def test_pins_alone_above_the_cap_are_one_alert(make_writer: MakeWriter) -> None:
    writer, path = capped(make_writer, 3 * SEGMENT)
    told: list[Alert] = []
    writer.alerts.listen(told.append)
    fly(writer, range(10))
    pin(writer, before_s=60.0, after_s=600.0)
    fly(writer, range(10, 600))
    with pytest.raises(NothingToDropError):
        writer.drop_oldest_segment(1)
    summary = writer.close_flight('x')
    assert summary.footer.segments_dropped == 0
    (raised,) = [item for item in told if item.raised]
    assert raised.code == 'cap_misconfigured'
    assert 'pinned' in raised.message
    assert len(open_flight_files(path).of_topic('/blob')) == 600


def test_an_alert_pins(root: Path) -> None:
    rules = PinRules(frozenset({'disk_low'}), 0.0, 5.0)
    alerts = AlertBoard()
    alerts.raise_alert('disk_low', 'before the flight')
    config = FdrWriterConfig(**{**QUICK, **OPTIONS})  # type: ignore[arg-type]
    writer = FileFdrWriter(root, config, alerts=alerts, pin_rules=rules)
    writer.start()
    open_flight(writer, 'x', make_client())
    alerts.raise_alert('disk_low', 'present already')
    alerts.raise_alert('topic_stale', 'another')
    alerts.clear('disk_low')
    path = writer.status.path
    assert path is not None
    assert not read_pins(path)
    alerts.raise_alert('disk_low', 'again')
    writer.close_flight('x')
    writer.stop()
    (record,) = open_flight_files(path).payloads(Pin)
    assert record.why == 'alert disk_low'
    assert record.to_ns - record.from_ns == 5 * 10**9
    assert [window.why for window in read_pins(path).windows] == [('alert disk_low',)]


def test_only_known_alerts_and_conditions_can_pin() -> None:
    with pytest.raises(ConfigInvalidError, match=r"pin_on: must be codes of .*, not 'disk'"):
        FdrConfig.from_options({'pin_on': ['disk', '/x: a < 3']})
    with pytest.raises(ConfigInvalidError, match="pin_on: '/y a < 3': it has no colon"):
        FdrConfig.from_options({'pin_on': ['disk_low', '/y a < 3']})


def test_without_a_flight_there_is_nothing_to_pin(make_writer: MakeWriter) -> None:
    with pytest.raises(FlightNotOpenError):
        make_writer().pin('never')


def test_pins_are_no_forgery_of_a_sealed_flight(
    make_writer: MakeWriter, tmp_path: Path
) -> None:
    key, allowed = vehicle_key(tmp_path)
    seal = SealConfig(key_file=str(key))
    writer, path = capped(make_writer, 4 * SEGMENT, seal=seal)
    fly(writer, range(10))
    pin(writer, before_s=60.0, after_s=0.0)
    fly(writer, range(10, 900))
    writer.close_flight('x')
    assert hole_before(path)
    result = verify(path, keys=allowed)
    assert result.verdict is Verdict.LOSSES, str(result)
    pins = read_pins(path)
    pins.segments[3] = 'after landing'
    (path / PINS_NAME).write_bytes(pins.encode())
    assert verify(path, keys=allowed).verdict is Verdict.LOSSES


PROGRAM = """
import sys, time
sys.path[:0] = {path!r}
from fdr_recorder import FileFdrWriter, FdrWriterConfig
from producers import make_client, open_flight, send
config = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0, flush_interval_s=0.02)
writer = FileFdrWriter({root!r}, config)
writer.start()
client = make_client()
open_flight(writer, 'x', client)
send(client, range(100), 300)
writer.pin('before the kill', before_s=1.0, after_s=1.0)
print(flush=True)
time.sleep(60)
"""


def test_a_killed_flight_has_its_pins(root: Path) -> None:
    """By the records, if PINS was not written yet, or is lost."""
    text = PROGRAM.format(root=str(root), path=sys.path)
    process = subprocess.Popen([sys.executable, '-c', text], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: read_pins(root / 'x'), 'PINS')
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    pins = read_pins(root / 'x')
    (root / 'x' / PINS_NAME).unlink()
    recover(root / 'x')
    assert read_pins(root / 'x') == pins
    assert open_flight_files(root / 'x').payloads(Pin)[0].from_ns == pins.windows[0].from_ns


def test_a_file_that_says_nothing_of_pins_pins_all(tmp_path: Path) -> None:
    assert not read_pins(tmp_path)
    for content in (b'', b'{', b'[]', b'{"windows": 3}', b'{"windows": [{"from_ns": "a"}]}'):
        (tmp_path / PINS_NAME).write_bytes(content)
        assert read_pins(tmp_path).why(3, 10, 20) == 'PINS cannot be read', content
    (tmp_path / PINS_NAME).unlink()
    (tmp_path / PINS_NAME).mkdir()
    assert read_pins(tmp_path).windows[0].is_whole_flight


TIMES = st.tuples(st.integers(0, 50), st.integers(0, 10))


@given(st.lists(TIMES, max_size=12), st.lists(TIMES, max_size=12))
def test_windows_are_joined_and_forget_nothing(
    windows: list[tuple[int, int]], segments: list[tuple[int, int]]
) -> None:
    pins = Pins()
    for start, long in windows:
        pins.add(Window(start, start + long, (str(start),)))
    pairs = list(zip(pins.windows, pins.windows[1:], strict=False))
    assert all(one.to_ns < other.from_ns for one, other in pairs)
    assert sum(window.times for window in pins.windows) == len(windows)
    for first, long in segments:
        last = first + long
        is_pinned = any(start <= last and first <= start + more for start, more in windows)
        assert bool(pins.why(0, first, last)) == is_pinned


def test_very_many_windows_are_joined() -> None:
    pins = Pins()
    began = time.monotonic()
    for number in range(3000):
        pins.add(Window(number * 100, number * 100 + 10, (f'reason {number}',)))
    assert time.monotonic() - began < 20
    assert len(pins.windows) == 1000
    assert all(pins.why(0, number * 100 + 5, number * 100 + 5) for number in range(3000))
    assert len(pins.encode()) < 1 << 20
