# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr top` on a recorder that runs, rotates, drops, loses, hangs, is killed, and comes again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from conftest import Record
from fdr_program import run_fdr
from fdr_recorder.cli.main import main
from fdr_recorder.flights.live.root_watch import RootWatch
from json_documents import errors
import paced_flight
import pytest
from requirements import cannot_run
from screen import Screen
from waiting import wait_until

FDR = (sys.executable, '-m', 'fdr_recorder.cli')
SMALL = {'writer.segment_size_bytes': 65536, 'writer.chunk_size_bytes': 8192}


class Recording:
    """The paced flights, in a process of its own."""

    def __init__(self, root: Path, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, paced_flight.__file__, root, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def say(self, line: str, *, answered: bool = True) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f'{line}\n')
        self.process.stdin.flush()
        assert not answered or self.process.stdout.readline() == 'done\n'

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def recording(root: Path, flight: str = 'one', **options: object) -> Iterator[Recording]:
    recorder = Recording(root, **options)
    try:
        if flight:
            recorder.say(flight)
        yield recorder
    finally:
        recorder.send(signal.SIGCONT)
        recorder.process.kill()
        recorder.process.communicate()


def look(root: Path) -> dict[str, Any]:
    """Return the JSON document of one look."""
    done = run_fdr('top', root, '--json')
    document: dict[str, Any] = json.loads(done.stdout)
    assert not errors('top', document), document
    assert done.returncode == (document['state'] != 'recording')
    return document


def state_of(root: Path) -> str:
    return str(look(root)['state'])


def test_on_a_terminal(root: Path) -> None:
    """Every state after the other, in terminals of two sizes; they are as they were afterwards."""
    options = {**SMALL, 'writer.flight_cap_bytes': 400_000}
    command = [*FDR, 'top', str(root), '--interval', '0.3']
    with Screen(command, 80, 24) as wide, Screen(command, 60, 20) as narrow:
        screens = (wide, narrow)

        def wait_for(pattern: str) -> None:
            for screen in screens:
                screen.wait_for(pattern)

        wait_for('NOT RUNNING')
        with recording(root, '', **options) as recorder:
            wait_for('IDLE')
            recorder.say('one')
            wait_for('RECORDING')
            wait_for('flight +one, ')
            wait_for(r'/imu +(\d+ +)?(9\d|10\d)\.\d Hz')
            wait_for(r'missing +none')
            recorder.say('burst', answered=False)
            wait_for(r'missing +4\d\d refused by full rings')
            wait_for(r'alerts +WARN overrun: ')
            wait_for(r'\d+ segments,\s+\d+ dropped')
            recorder.send(signal.SIGSTOP)
            wait_for(r'HANGS: nothing was written for \d+\.\d s: its\s+process is')
            recorder.send(signal.SIGCONT)
            wait_for('RECORDING')
            recorder.say('two')
            wait_for('flight +two, ')
            recorder.say('')
            wait_for('IDLE')
            wait_for('flight +two, closed')
            recorder.say('three')
            wait_for('flight +three, ')
            recorder.send(signal.SIGKILL)
            wait_for('KILLED: the flight was not closed')
        for screen in screens:
            screen.resize(70, 18)
            screen.written = b''
            screen.wait_for('q: quit')
            assert screen.settings_now() != screen.settings
            screen.type(b'q')
            assert screen.end() == 0
            assert screen.settings_now() == screen.settings
            assert screen.written.endswith(b'\x1b[?25h\x1b[?1049l')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(
    root: Path, number: signal.Signals, hangup_ends: None
) -> None:
    with Screen([*FDR, 'top', str(root)], 80, 24) as screen:
        screen.wait_for('NOT RUNNING')
        if number == signal.SIGINT:
            screen.type(b'\x03')
        else:
            screen.interrupt(number)
        assert screen.end() == 128 + number
        assert screen.settings_now() == screen.settings
        assert screen.written.endswith(b'\x1b[?25h\x1b[?1049l')


def test_in_a_pipe_and_on_a_terminal_that_can_do_nothing(root: Path) -> None:
    with Screen([*FDR, 'top', str(root), '--interval', '0.2'], 80, 24, TERM='dumb') as screen:
        screen.wait_for('(?s)NOT RUNNING.*NOT RUNNING')
        assert b'\x1b' not in screen.written
    with subprocess.Popen(
        [*FDR, 'top', root, '--interval', '0.2'], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        text = ''
        while text.count('NOT RUNNING') < 2:
            text += process.stdout.readline()
        process.kill()
    assert '\x1b' not in text


def test_the_numbers(root: Path) -> None:
    """Rates, counts, losses and sizes are those of the recorder, from the first look on."""
    with recording(root, **SMALL) as recorder:
        wait_until((root / 'one' / 'segment_000003.mcap').exists, 'some segments')
        recorder.say('burst', answered=False)
        wait_until(lambda: look(root)['flight']['losses'].get('overrun'), 'losses')
        began = time.monotonic()
        status = look(root)
        took = time.monotonic() - began
        flight = status['flight']
        topics = {topic['name']: topic for topic in flight['topics']}
        assert status['state'] == 'recording'
        assert flight['ended'] == 'open'
        assert topics['/imu']['rate_hz'] == pytest.approx(100, rel=0.15)
        assert topics['/gps']['rate_hz'] == pytest.approx(10, rel=0.3)
        assert topics['/imu']['bytes_per_second'] == pytest.approx(
            400 * topics['/imu']['rate_hz'], rel=0.01
        )
        assert topics['/imu']['messages'] / flight['duration_s'] == pytest.approx(100, rel=0.1)
        assert topics['/imu']['age_s'] < 2 + took
        lost = flight['losses']['overrun']
        assert 300 < lost < 500
        assert topics['/camera']['lost'] == lost
        assert topics['/imu']['lost'] == 0
        assert flight['unread_segments'] == 0
        assert status['disk']['free_bytes'] > 0
        recorder.say('')
        status = look(root)
        assert (status['state'], status['flight']['ended']) == ('idle', 'closed')
        assert status['flight']['losses'] == {'overrun': lost}
        assert {topic['rate_hz'] for topic in status['flight']['topics']} == {0}


def test_a_full_disk(root: Path, tmp_path: Path) -> None:
    """The recorder writes nothing then, so its files cannot say why; the free space does."""
    status = os.statvfs(root)
    least = status.f_bavail * status.f_frsize - (1 << 30)
    with recording(root, **{'writer.min_free_bytes': least, 'writer.on_low_space': 'degrade'}):
        assert state_of(root) == 'recording'
        large = tmp_path / 'large'
        with large.open('wb') as file:
            try:
                os.posix_fallocate(file.fileno(), 0, 2 << 30)
            except OSError as error:
                cannot_run(f'no space can be taken away: {error}')
        try:
            wait_until(lambda: state_of(root) == 'degraded', 'the state')
            assert 'not to be used' in look(root)['reason']
        finally:
            large.unlink()
        wait_until(lambda: state_of(root) == 'recording', 'the state')


def test_a_flight_that_is_removed(record_flight: Record, root: Path) -> None:
    """As `fdr prune` does it, while somebody looks."""
    flight = record_flight(close=True)
    with closing(RootWatch(root)) as watch:
        found = watch.look().flight
        assert found is not None
        assert found.path == str(flight)
        shutil.rmtree(flight)
        assert watch.look().flight is None


def test_a_recording_that_is_no_flight(
    record_flight: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown once: nobody writes it."""
    flight, out = record_flight(close=True), tmp_path / 'out.mcap'
    assert main(['export', str(flight), '-o', str(out)]) == 0
    capsys.readouterr()
    assert main(['top', str(out), '--json']) == 1
    document = json.loads(capsys.readouterr().out)
    assert not errors('top', document)
    (topic,) = document['flight']['topics']
    assert (topic['name'], topic['messages']) == ('/blob', 60)
    assert main(['top', str(out)]) == 1
    assert 'NOT RUNNING' in capsys.readouterr().out


def test_one_flight(record_flight: Record, capsys: pytest.CaptureFixture[str]) -> None:
    flight = record_flight(close=True)
    assert main(['top', str(flight), '--once']) == 1
    text = capsys.readouterr().out
    assert 'NOT RUNNING' in text
    assert 'closed' in text
    assert main(['top', str(flight / 'none')]) == 3
