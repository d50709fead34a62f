# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The system clock is set in flight: one record, one alert, whatever the writer does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import tempfile
import threading
import time

from false_clock import FalseClock
from fdr_recorder import AlertBoard, FdrConfig, FdrWriterConfig, FileFdrWriter, FlightHeader
from fdr_recorder.alerts import Alert
from fdr_recorder.clock import Reading
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.record.kinds import AlertRecord, ClockStatus, ClockStep
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage import clock_discipline, clock_watch
from fdr_recorder.storage.clock_discipline import read_discipline, SYNCHRONISED, UNSYNCHRONISED
from fdr_recorder.storage.clock_watch import ClockWatch
from flight_check import check_flight
import pytest
from waiting import wait_until

S = 1_000_000_000
NOBODY = 65534
DAY = 86_400 * S
QUICK = FdrWriterConfig(min_free_bytes=0, reserve_bytes=0, flush_interval_s=0.05)


class Bed:
    """A watch that the test asks to look, with both clocks in its hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step_s: float = 0.1) -> None:
        self.now = Reading(1000 * S, 1_800_000_000 * S)
        self.records: list[Payload] = []
        self.alerts = AlertBoard()
        self.told: list[Alert] = []
        self.alerts.listen(self.told.append)
        monkeypatch.setattr(Reading, 'now', classmethod(lambda _: self.now))
        self.watch = ClockWatch(self.now, step_s, self.alerts, self.records.append)

    def look(self, seconds: float, moved_ns: int = 0, suspended_ns: int = 0) -> None:
        """Look again after so long; the system clock has moved meanwhile."""
        passed_ns = round(seconds * S)
        monotonic_ns, system_ns, suspended_before_ns = self.now
        self.now = Reading(
            monotonic_ns + passed_ns,
            system_ns + passed_ns + moved_ns,
            suspended_before_ns + suspended_ns,
        )
        self.watch.look()

    def of(self, kind: type[Payload]) -> list[Payload]:
        return [record for record in self.records if type(record) is kind]


MakeBed = Callable[..., Bed]


@pytest.fixture
def make_bed(monkeypatch: pytest.MonkeyPatch) -> MakeBed:
    """Return a function that makes a watch."""
    return lambda *args: Bed(monkeypatch, *args)


@pytest.mark.parametrize('moved_ns', [-DAY, DAY, 20_000 * DAY, S // 5, -S // 5], ids=str)
def test_each_step_is_one_record_and_one_alert(make_bed: MakeBed, moved_ns: int) -> None:
    bed = make_bed()
    for _ in range(3):
        bed.look(0.2)
        bed.look(0.2, moved_ns)
        bed.look(0.2)
        (*_, step) = bed.of(ClockStep)
        assert isinstance(step, ClockStep)
        assert step.after_ns - step.before_ns == moved_ns
        assert bed.now.monotonic_ns - step.monotonic_ns == S // 5
        assert step.after_ns == bed.now.system_ns - S // 5
    assert len(bed.of(ClockStep)) == 3
    assert [alert.raised for alert in bed.told] == [True, False, True, False, True]
    bed.look(6)
    assert [alert.raised for alert in bed.told][-1] is False
    assert not bed.alerts.present()
    assert {alert.code for alert in bed.told} == {'clock_step'}


def test_a_slewed_clock_is_no_step_and_its_drift_is_recorded(make_bed: MakeBed) -> None:
    bed = make_bed()
    for _ in range(150):
        bed.look(0.2, S // 500)  # 1 %
    assert not bed.of(ClockStep)
    offsets = [
        record.system_ns - record.monotonic_ns
        for record in bed.records
        if isinstance(record, ClockStatus)
    ]
    assert len(offsets) == 2  # each after more than 0.1 s
    assert abs(offsets[-1] - bed.now.offset_ns) <= S // 10
    assert not bed.told


def test_the_state_is_recorded_each_minute_and_after_a_step(make_bed: MakeBed) -> None:
    bed = make_bed()
    for _ in range(130):
        bed.look(1.0)
    assert len(bed.of(ClockStatus)) == 2
    bed.look(1.0, DAY)
    for _ in range(6):
        bed.look(1.0)
    assert len(bed.of(ClockStatus)) == 3


def test_below_the_threshold_nothing_is_said(make_bed: MakeBed) -> None:
    bed = make_bed(2.0)
    bed.look(0.2, S)
    bed.look(0.2, -S)
    assert not bed.records
    bed.look(0.2, 3 * S)
    assert len(bed.records) == 1


def test_a_suspended_machine_is_said_to_have_been(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.look(0.2, 600 * S, 600 * S)
    (step,) = bed.of(ClockStep)
    assert isinstance(step, ClockStep)
    assert step.suspended_ns == 600 * S
    assert 'the machine was suspended for 10 min 00 s' in bed.told[0].message


# --- in flights ----------------------------------------------------------------------------------


@pytest.fixture
def writer(root: Path) -> Iterator[FileFdrWriter]:
    """Return a started writer."""
    writer = FileFdrWriter(root, QUICK)
    writer.start()
    yield writer
    writer.stop()


def steps_of(writer: FileFdrWriter, flight_id: str) -> list[ClockStep]:
    flight = check_flight(writer.close_flight(flight_id))
    alerts = [item for item in flight.payloads(AlertRecord) if item.code == 'clock_step']
    steps = flight.payloads(ClockStep)
    assert [alert.raised for alert in alerts] == [True, False] * len(steps)
    return steps


def test_steps_of_a_flight_are_in_it(writer: FileFdrWriter, clock: FalseClock) -> None:
    """In its first moment, in the midst, and in its last."""
    header = new_flight_header('x', FdrConfig())
    clock.error_ns += DAY
    writer.open_flight(header)
    wait_until(writer.alerts.present, 'the first step')
    for number in range(2):
        clock.error_ns -= 2 * DAY
        (before,) = writer.alerts.present()
        wait_until(lambda before=before: (before,) != writer.alerts.present(), f'step {number}')
    clock.error_ns += S
    steps = steps_of(writer, 'x')
    assert [round((step.after_ns - step.before_ns) / S) for step in steps] == [
        86400, -172800, -172800, 1
    ]


def test_a_writer_that_hangs_loses_no_step(
    writer: FileFdrWriter, clock: FalseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.open_flight(FlightHeader(flight_id='x'))
    recording = writer._drain.recording
    assert recording is not None
    goes_on, hangs = threading.Event(), threading.Event()
    tick = recording.tick

    def hang(now: float, rest_s: float) -> None:
        hangs.set()
        goes_on.wait(30)
        tick(now, rest_s)

    monkeypatch.setattr(recording, 'tick', hang)
    assert hangs.wait(10)
    noticed = []
    for step_ns in (DAY, -DAY // 2):
        former = writer.alerts.present()
        clock.error_ns += step_ns
        wait_until(lambda former=former: writer.alerts.present() != former, 'the alert')
        noticed.append(time.monotonic_ns())
    goes_on.set()
    steps = steps_of(writer, 'x')
    assert [round((step.after_ns - step.before_ns) / DAY, 3) for step in steps] == [1, -0.5]
    for step, at_ns in zip(steps, noticed, strict=True):
        assert 0 <= at_ns - step.monotonic_ns < S // 2


def test_a_watch_that_fails_costs_no_record(
    writer: FileFdrWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError('no clock')

    monkeypatch.setattr(clock_watch.ClockWatch, 'look', fail)
    writer.open_flight(FlightHeader(flight_id='x'))
    wait_until(lambda: 'a look at the system clock has failed' in caplog.text, 'the log')
    check_flight(writer.close_flight('x'))


def test_a_watch_that_has_failed_watches_on(
    writer: FileFdrWriter,
    clock: FalseClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(clock_watch, 'FAILURE_PAUSE_S', 0.01)
    writer.open_flight(FlightHeader(flight_id='x'))
    with monkeypatch.context() as context:
        context.setattr(clock_watch.ClockWatch, 'look', lambda _: 1 // 0)
        wait_until(lambda: 'ZeroDivisionError' in caplog.text, 'the log')
    clock.error_ns += DAY
    wait_until(writer.alerts.present, 'the alert')
    (step,) = steps_of(writer, 'x')
    assert round((step.after_ns - step.before_ns) / S) == 86400


# --- who keeps the clock -------------------------------------------------------------------------


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Give a directory like /run, which others may read; this process has no privileges."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / 'chrony').mkdir()
        (Path(name) / 'chrony' / 'chronyd.pid').touch()
        (Path(name) / 'chrony').chmod(0o000)
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
            (Path(name) / 'chrony').chmod(0o755)


def test_a_directory_that_only_chrony_may_enter_does_not_keep_a_flight_from_beginning(
    runtime: Path,
) -> None:
    assert read_discipline(runtime).source == 'chrony'


@pytest.mark.parametrize('name', ['loop', 'x' * 300, 'file'])
def test_what_cannot_be_looked_into_is_no_sign(tmp_path: Path, name: str) -> None:
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'file').touch()
    assert read_discipline(tmp_path / name).source == 'unknown'


def test_what_may_set_the_clock_is_found_by_its_files(tmp_path: Path) -> None:
    assert read_discipline(tmp_path).source == 'unknown'
    (tmp_path / 'chrony').mkdir()
    (tmp_path / 'chrony' / 'chronyd.pid').touch()
    (tmp_path / 'ptp4l').touch()
    assert read_discipline(tmp_path).source == 'chrony+ptp4l'


@pytest.mark.parametrize(
    ('result', 'status', 'state'),
    [(0, 0, SYNCHRONISED), (0, 0x40, UNSYNCHRONISED), (5, 0x40, UNSYNCHRONISED), (-1, 0, 0)],
)
def test_the_kernel_tells_whether_the_clock_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: int, status: int, state: int
) -> None:
    said = clock_discipline._Timex(status=status, esterror=7)
    monkeypatch.setattr(clock_discipline, '_ask_kernel', lambda: (result, said))
    found = read_discipline(tmp_path)
    assert found.state == state
    assert found.values.get('estimated_error_us') == ('7' if state else None)


def test_a_kernel_that_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_discipline, '_adjtimex', lambda: None)
    assert clock_discipline.clock_state() == clock_discipline.UNKNOWN
