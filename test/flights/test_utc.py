# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""True UTC of flights whose clock was wrong: in every verb that shows a time."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import time
from typing import Any

from false_clock import FalseClock
from fdr_recorder import FdrConfig, FdrWriterConfig, FileFdrWriter
from fdr_recorder.cli.main import main
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.utc import read_utc, utc_times
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.record.kinds import ClockStatus, ClockStep, FlightFooter, FlightHeader
from fdr_recorder.record.payload import Payload
from fdr_recorder.report import gather
from fdr_recorder.report.page import render
from fdr_recorder.units import format_time
from producers import make_client, numbered
import pytest
from waiting import wait_until

S = 1_000_000_000
DAY = 86_400 * S
BASE = 1_000_000 * S
QUICK = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0, flush_interval_s=0.05)

# --- the rule ------------------------------------------------------------------------------------


def header(system_s: float, state: int = 0) -> FlightHeader:
    """Return the header of a flight that began at 100 s, with log times from `system_s` on."""
    return FlightHeader(
        flight_started_at_monotonic_ns=100 * S,
        flight_started_at_ns=round(system_s * S),
        log_time_offset_ns=round((system_s - 100) * S),
        clock_state=state,
    )


def status(at_s: float, system_s: float, state: int = 0, suspended_s: int = 0) -> ClockStatus:
    times = {'monotonic_ns': round(at_s * S), 'system_ns': round(system_s * S)}
    return ClockStatus(**times, clock_state=state, suspended_ns=suspended_s * S)


def step(at_s: float, before_s: float, after_s: float, suspended_s: int = 0) -> ClockStep:
    return ClockStep(
        monotonic_ns=round(at_s * S),
        before_ns=round(before_s * S),
        after_ns=round(after_s * S),
        suspended_ns=suspended_s * S,
    )


def footer(at_s: float, system_s: float, state: int = 0) -> FlightFooter:
    times = {'flight_ended_at_monotonic_ns': round(at_s * S)}
    return FlightFooter(**times, flight_ended_at_ns=round(system_s * S), clock_state=state)


def utc_s(begin: FlightHeader, end: FlightFooter | None, *records: Payload) -> list[float]:
    """Return the UTC of the flight's times after 0, 50 and 90 s."""
    utc = utc_times(begin, end, records)
    first_ns = begin.log_time_offset_ns + begin.flight_started_at_monotonic_ns
    return [utc.at(first_ns + after * S) / S for after in (0, 50, 90)]


def test_a_clock_that_was_right_stays() -> None:
    assert not utc_times(header(1e9), footer(200, 1e9 + 100.0001), []).is_shifted
    assert utc_s(header(1e9), None) == [1e9, 1e9 + 50, 1e9 + 90]


@pytest.mark.parametrize('true_s', [1e9, 5e8], ids=['ahead', 'back'])
def test_the_clock_as_it_was_set_last_is_true(true_s: float) -> None:
    begin, end = header(6e8), footer(200, true_s + 100)
    expected = [true_s, true_s + 50, true_s + 90]
    assert utc_s(begin, end) == expected
    assert utc_s(begin, end, step(130, 6e8 + 30, true_s + 30)) == expected
    assert utc_s(begin, None, step(130, 6e8 + 30, true_s + 30)) == expected  # never closed
    assert utc_s(begin, None, status(130, true_s + 30)) == expected
    twice = (step(120, 6e8 + 20, 7e8), step(130, 7e8 + 10, true_s + 30))
    assert utc_s(begin, end, *twice) == expected


def test_a_synchronised_clock_is_believed_before_one_that_is_not() -> None:
    wrong_at_last = (
        step(120, 20, 1e9 + 20), status(125, 1e9 + 25, state=2), step(150, 1e9 + 50, 77)
    )
    found = utc_s(header(0.5, state=1), footer(200, 127, state=1), *wrong_at_last)
    assert found == pytest.approx([1e9, 1e9 + 50, 1e9 + 90])


def test_drift_is_followed() -> None:
    drifting = [status(100 + n, 1e9 + n * 1.001) for n in range(10, 100, 10)]
    found = utc_s(header(1e9), footer(200, 1e9 + 100.1), *drifting)
    assert found == pytest.approx([1e9, 1e9 + 50.05, 1e9 + 90.09], abs=1e-6)


def test_a_suspended_machine_was_asleep_and_its_clock_right() -> None:
    slept = step(170, 1e9 + 70, 1e9 + 670, suspended_s=600)
    end = FlightFooter(
        flight_ended_at_monotonic_ns=200 * S,
        flight_ended_at_ns=int(1e9 + 700) * S,
        host_suspended_ns=600 * S,
    )
    assert utc_s(header(1e9), end, slept) == [1e9, 1e9 + 50, 1e9 + 690]


def test_utc_and_log_time_are_each_others_inverse() -> None:
    utc = utc_times(header(6e8), footer(200, 1e9 + 100), [status(150, 1e9 + 50.01)])
    for log_time_ns in (int(6e8) * S, int(6e8 + 44) * S, int(6e8 + 99) * S):
        assert abs(utc.log_time(utc.at(log_time_ns)) - log_time_ns) < 10


def test_an_older_flight_has_the_system_clock_in_its_log_times() -> None:
    old = FlightHeader(flight_started_at_monotonic_ns=100 * S, flight_started_at_ns=6 * S)
    assert not utc_times(old, footer(200, 1e9), []).is_shifted
    assert not utc_times(None, None, []).is_shifted


# --- every verb ----------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FalseClock]:
    """Return the system clock of the recorder; it may be set. It is right again afterwards."""
    clock = FalseClock()
    monkeypatch.setattr('time.time_ns', clock)
    yield clock
    clock.error_ns = 0


def fly(root: Path, clock: FalseClock, errors_ns: list[int], *, closed: bool = True) -> int:
    """Record a flight whose clock has one error after the other; return its true start."""
    with FileFdrWriter(root, QUICK) as writer:
        client, number = make_client(), 0
        writer.register(client)
        clock.error_ns = errors_ns[0]
        started_ns = clock() - clock.error_ns
        writer.open_flight(new_flight_header('x', FdrConfig()))
        for error_ns in errors_ns:
            if error_ns != clock.error_ns:
                former, clock.error_ns = writer.alerts.present(), error_ns
                wait_until(
                    lambda former=former: writer.alerts.present() not in (former, ()), 'the alert'
                )
            for _ in range(10):
                number += 1
                client.enqueue(numbered(number), sequence=number)
                time.sleep(0.01)
        if closed:
            writer.close_flight('x')
    clock.error_ns = 0
    return started_ns


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), '--json']) == 0
    return json.loads(capsys.readouterr().out)


CLOCKS = {
    'from 1970': [-time.time_ns() + 3600 * S, 0],
    'set back by a day': [DAY, 0],
    'twice wrong': [-400 * DAY, 30 * DAY, 0],
}


@pytest.mark.parametrize('errors_ns', CLOCKS.values(), ids=CLOCKS)
def test_every_verb_knows_true_utc(
    root: Path,
    tmp_path: Path,
    clock: FalseClock,
    capsys: pytest.CaptureFixture[str],
    errors_ns: list[int],
) -> None:
    began_at = time.monotonic()
    started_ns = fly(root, clock, errors_ns)
    flight, lasted_s = root / 'x', time.monotonic() - began_at

    assert verify(flight).verdict is Verdict.COMPLETE
    (listed,) = said(capsys, 'ls', root)['flights']
    info = said(capsys, 'info', flight)
    for found in (listed, info):
        assert 0 <= found['utc_started_ns'] - started_ns < S // 10
        assert 0 < found['utc_ended_ns'] - found['utc_started_ns'] < lasted_s * S
        assert 0.1 < found['duration_s'] < lasted_s
        assert found['started_ns'] == pytest.approx(started_ns + errors_ns[0], abs=S)
    (topic,) = (item for item in info['topics'] if item['name'] == '/blob')
    assert 5 < topic['rate_hz'] < 100
    kinds = [event['kind'] for event in info['events'] if event['kind'] != 'alert']
    assert kinds.count('clock_step') == len(errors_ns) - 1

    assert main(['info', str(flight)]) == 0
    assert f'start     {format_time(info["utc_started_ns"])}' in capsys.readouterr().out
    assert main(['ls', str(root)]) == 0
    assert format_time(info['utc_started_ns']).removesuffix('Z') in capsys.readouterr().out

    log_times = [item['log_time_ns'] for item in said(capsys, 'cat', flight, '-t', '/blob')]
    utc = [item['log_time_ns'] for item in said(capsys, 'cat', flight, '-t', '/blob', '--utc')]
    assert log_times == sorted(log_times)
    shift_ns = utc[0] - log_times[0]
    assert all(abs(b - a - shift_ns) < S // 100 for a, b in zip(log_times, utc, strict=True))
    assert 0 <= utc[0] - started_ns < S

    out = tmp_path / 'utc.mcap'
    said(capsys, 'export', flight, '-o', out, '--utc')
    plain = said(capsys, 'export', flight, '-o', tmp_path / 'plain.mcap')
    exported = said(capsys, 'export', flight, '-o', tmp_path / 'again.mcap', '--utc')
    assert 0 <= exported['first_ns'] - started_ns < S // 10
    assert plain['last_ns'] - plain['first_ns'] == pytest.approx(
        exported['last_ns'] - exported['first_ns'], abs=S // 100
    )
    day = format_time(utc[0] + 10**9)[:10]
    late = format_time(utc[0] + 3600 * S).replace(' ', 'T')
    assert said(capsys, 'cat', flight, '-t', '/blob', '--end', late) != []
    assert said(capsys, 'cat', flight, '--start', late) == []

    report = gather(flight)
    page = render(report)
    assert f'{day}, UTC' in page
    assert f'"t0":{(report.info.listed.utc.at(report.start_ns)) // 1_000_000},' in page
    assert 'Times on this page are true UTC' in page


def test_a_flight_that_was_never_closed_knows_it_too(
    root: Path, clock: FalseClock, capsys: pytest.CaptureFixture[str]
) -> None:
    started_ns = fly(root, clock, [-DAY, 0], closed=False)
    (listed,) = said(capsys, 'ls', root)['flights']
    assert listed['status']['ended'] == 'unknown'
    assert 0 <= listed['utc_started_ns'] - started_ns < S // 10
    assert recover(root)
    assert verify(root / 'x').footer is not None
    for words in (('ls', root), ('info', root / 'x')):
        found = said(capsys, *words)
        found = found['flights'][0] if 'flights' in found else found
        assert 0 <= found['utc_started_ns'] - started_ns < S // 10
        assert 0 < found['duration_s'] < 20


def test_a_flight_with_a_right_clock_says_nothing_of_it(
    root: Path, clock: FalseClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fly(root, clock, [0])
    found = said(capsys, 'info', root / 'x')
    assert found['utc_started_ns'] == found['started_ns']
    assert main(['info', str(root / 'x')]) == 0
    assert '\nclock ' not in capsys.readouterr().out
    with FlightReader(root / 'x') as reader:
        assert read_utc(root / 'x').at(7) == 7
        assert all(message.log_time_ns for message in reader.messages())
    assert not read_info(root / 'x').listed.utc.is_shifted
