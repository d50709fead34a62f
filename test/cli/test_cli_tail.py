# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr tail`: messages are printed as they are recorded, until the flight ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import sys
import time
from typing import Any

from conftest import MakeWriter, Record
from fdr_recorder import FdrClient, FileFdrWriter, FlightHeader
from fdr_recorder.cli.main import main
from fdr_recorder.flights.follow import recorded_flight
import known_flight
from producers import make_client, open_flight, TEXT
import pytest
from waiting import wait_until

FDR = (sys.executable, '-m', 'fdr_recorder.cli')
FLUSH_S = 0.05
LATE_S = 1.5
"""More than `flush_interval_s` and the pause of the program; these machines are slow at times."""


class Tail:
    """`fdr tail` in a process of its own."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [*FDR, 'tail', *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._read = b''

    def has_line(self, timeout_s: float) -> bool:
        assert self.process.stdout is not None
        end = time.monotonic() + timeout_s
        while b'\n' not in self._read:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return False
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return False
            self._read += more
        return True

    def line(self) -> dict[str, Any]:
        assert self.has_line(20.0), 'it prints nothing'
        line, _, self._read = self._read.partition(b'\n')
        return dict(json.loads(line))

    def end(self) -> tuple[int, list[Any], str]:
        """Wait for its end; return exit code, the lines that are left, and stderr."""
        out, err = self.process.communicate(timeout=30)
        lines = (self._read + out).splitlines()
        return self.process.returncode, [json.loads(line) for line in lines], err.decode()


@contextmanager
def tail(*words: object) -> Iterator[Tail]:
    it = Tail(*words)
    try:
        yield it
    finally:
        it.process.kill()
        it.process.communicate()


def text(content: str) -> bytes:
    data = content.encode() + b'\0'
    return b'\0\1\0\0' + len(data).to_bytes(4, 'little') + data


@pytest.fixture
def recorder(make_writer: MakeWriter) -> tuple[FileFdrWriter, FdrClient, FdrClient]:
    writer = make_writer(flush_interval_s=FLUSH_S)
    clients = [make_client(topic, gid, schema=TEXT) for topic, gid in (('/a', '0a'), ('/b', '0b'))]
    open_flight(writer, 'x', *clients)
    for client in clients:
        client.enqueue(text('before'))
    return writer, clients[0], clients[1]


Recorder = tuple[FileFdrWriter, FdrClient, FdrClient]


def wait_for_it(it: Tail, client: FdrClient) -> None:
    """Send messages until the first is printed: then it is at the end of what is there."""
    number = 0
    while not it.has_line(0.2):
        client.enqueue(text('ready?'), sequence=number)
        number += 1
        assert number < 150
    while it.has_line(0.5):
        assert it.line()['message'] == {'data': 'ready?'}


def test_within_the_flush_interval_and_until_the_flight_is_closed(
    recorder: Recorder, root: Path
) -> None:
    writer, a, b = recorder
    with tail('/a', '--flight', root) as it:
        wait_for_it(it, a)
        delays = []
        for number in range(5):
            sent = time.monotonic()
            b.enqueue(text('not wanted'))
            a.enqueue(text(str(number)), sequence=1000 + number)
            line = it.line()
            delays.append(time.monotonic() - sent)
            assert line['message'] == {'data': str(number)}
            assert (line['topic'], line['sequence']) == ('/a', 1000 + number)
        assert min(delays) < FLUSH_S + 0.25
        assert max(delays) < LATE_S
        writer.close_flight('x')
        assert it.end() == (0, [], '')


def test_the_lines_are_those_of_cat(
    recorder: Recorder, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, a, _ = recorder
    for number in range(20):
        a.enqueue(text(str(number)), sequence=number)
    writer.close_flight('x')
    assert main(['cat', str(root / 'x'), '-t', '/a']) == 0
    lines = capsys.readouterr().out.splitlines()
    words = ['tail', '/a', '--flight', str(root / 'x')]
    assert main([*words, '--last', '5']) == 0
    assert capsys.readouterr().out.splitlines() == lines[-5:]
    assert main([*words, '--last', '5', '-n', '2']) == 0
    assert capsys.readouterr().out.splitlines() == lines[-5:-3]
    assert main([*words, '--last', '1', '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop('schema')['name'] == 'fdr_recorder/tail'
    assert document == json.loads(lines[-1])


def test_so_many_messages_of_several_topics(recorder: Recorder, root: Path) -> None:
    _, a, b = recorder
    with tail('/*', '/b', '--last', '1', '-n', '7', '--flight', root / 'x') as it:
        it.line()
        for number in range(10):
            (a, b)[number % 2].enqueue(text(str(number)))
        code, lines, err = it.end()
    assert (code, err, len(lines)) == (0, '', 6)


def test_a_flight_that_is_killed_ends_it_with_a_word(root: Path) -> None:
    process = subprocess.Popen([sys.executable, known_flight.__file__, root, '{}'])
    try:
        wait_until(lambda: recorded_flight(root), 'a flight')
        with tail('/imu', '--short', '--flight', root) as it:
            first = it.line()
            process.send_signal(signal.SIGKILL)
            code, lines, err = it.end()
    finally:
        process.kill()
        process.wait()
    assert code == 1
    assert 'was not closed' in err
    of_first = [
        line['sequence'] for line in (first, *lines) if line['sequence'] % 2
    ]  # 0a alone has odd numbers
    assert of_first == list(range(of_first[0], of_first[-1] + 1, 2))


def test_it_goes_on_with_the_next_flight(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(), make_client('/a', '0a', schema=TEXT)
    writer.register(client)
    with tail('/a', '--follow-next', '--flight', root) as it:
        writer.open_flight(FlightHeader(flight_id='before'))
        wait_for_it(it, client)
        writer.close_flight('before')
        for flight in ('x', 'y', 'z'):
            writer.open_flight(FlightHeader(flight_id=flight))
            for number in range(3):
                client.enqueue(text(f'{flight}{number}'))
            heard = [it.line()['message']['data'] for _ in range(3)]
            assert heard == [f'{flight}{number}' for number in range(3)]
            writer.close_flight(flight)
        it.process.send_signal(signal.SIGINT)
        code, lines, err = it.end()
    assert (code, lines, err) == (130, [], '')


def test_repeats_are_not_printed_again(make_writer: MakeWriter, root: Path) -> None:
    writer = make_writer(segment_size_bytes=16 * 1024, chunk_size_bytes=2048)
    latched = make_client('/latched', '0a', schema=TEXT, latched=True)
    other = make_client('/blob', '0b')
    open_flight(writer, 'x', latched, other)
    latched.enqueue(text('once'))
    with tail('/latched', '--last', '1', '--flight', root) as it:
        assert it.line()['message'] == {'data': 'once'}
        for _ in range(100):
            while other.ring.fill > 0.5:
                time.sleep(0.001)
            other.enqueue(bytes(1000))
        latched.enqueue(text('twice'))
        assert it.line()['message'] == {'data': 'twice'}
        footer = writer.close_flight('x').footer
        assert footer.records_repeated >= 3
        assert it.end() == (0, [], '')


def test_what_is_not_recorded(
    record_flight: Record, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['tail', '--flight', str(root)]) == 3
    assert 'no flight is being recorded there' in capsys.readouterr().err
    flight = record_flight(close=False)
    assert main(['tail', '--flight', str(flight)]) == 3
    assert 'is not being recorded' in capsys.readouterr().err
    assert main(['tail', '--flight', str(flight), '--last', '2', '/blob']) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert 'was not closed' in err
    assert main(['tail', '--flight', str(root / 'none')]) == 3
