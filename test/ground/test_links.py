# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Links to the ground: none blocks, each is opened again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import itertools
import os
from pathlib import Path
import pty
import socket
import time

from fdr_recorder.ground.endpoint import Endpoint, mistake_in, parse_endpoint
from fdr_recorder.ground.line import Line, LONGEST_PAUSE_S
from fdr_recorder.ground.links import Link, open_link, STUCK_S, WAITING_SIZE
import pytest
from waiting import wait_until

HOST = '127.0.0.1'


@contextmanager
def line_to(kind: str, place: str, number: int) -> Iterator[Line]:
    line = Line(Endpoint(kind, place, number))
    try:
        yield line
    finally:
        line.close()


def wait_until_ready(line: Line) -> None:
    def is_ready() -> bool:
        line.send(b'beat', time.monotonic())
        line.receive(time.monotonic())
        return line.is_ready(time.monotonic())

    wait_until(is_ready, 'the line', 5.0)


@pytest.mark.parametrize(
    ('text', 'endpoint'),
    [
        ('udpout:192.168.1.10:14550', ('udpout', '192.168.1.10', 14550)),
        ('udpin:0.0.0.0:14551', ('udpin', '0.0.0.0', 14551)),
        ('tcp:ground.local:5760', ('tcp', 'ground.local', 5760)),
        ('tcp:[::1]:5760', ('tcp', '::1', 5760)),
        ('serial:/dev/ttyAMA0:921600', ('serial', '/dev/ttyAMA0', 921600)),
        ('/dev/ttyUSB0,115200', ('serial', '/dev/ttyUSB0', 115200)),
        ('serial:/dev/ttyS1', ('serial', '/dev/ttyS1', 57600)),
    ],
)
def test_an_endpoint_is_read(text: str, endpoint: tuple[str, str, int]) -> None:
    parsed = parse_endpoint(text)
    assert parsed == endpoint
    assert parse_endpoint(str(parsed)) == parsed


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('udp:127.0.0.1:14550', 'udpout:HOST:PORT'),
        ('127.0.0.1:14550', 'udpout:HOST:PORT'),
        ('tcp:host', 'udpout:HOST:PORT'),
        ('tcp:host:70000', '70000 is no port'),
        ('serial:/dev/ttyS1:12345', '12345 is no baud rate'),
    ],
)
def test_what_is_no_endpoint_is_refused_with_examples(text: str, said: str) -> None:
    assert said in mistake_in(text)
    assert mistake_in('') == ''


def test_udp_is_ready_once_somebody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
        ground.bind((HOST, 0))
        port = ground.getsockname()[1]
    with line_to('udpout', HOST, port) as line:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            now = time.monotonic()
            assert not line.is_ready(now)
            line.send(b'beat', now)
            time.sleep(0.02)
            line.receive(time.monotonic())
        assert line.arrivals == 0
        for arrivals in (1, 2):  # it ends, and another one starts
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
                ground.bind((HOST, port))
                wait_until_ready(line)
                assert line.arrivals == arrivals
                line.send(b'text', time.monotonic())
                ground.settimeout(5)
                assert ground.recv(100) == b'beat'
            line.send(b'text', time.monotonic())
            wait_until(lambda: not line.is_ready(time.monotonic()) or line.receive(0.0), 'nobody')


def test_udp_in_answers_whoever_has_sent_something() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with line_to('udpin', HOST, port) as line, socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as ground:
        assert not line.is_ready(100.0)
        assert not line.send(b'beat', 100.0)
        ground.sendto(b'hello', (HOST, port))
        wait_until(lambda: line.receive(100.0) == b'hello', 'the ground')
        assert line.is_ready(101.0)
        assert line.arrivals == 1
        assert line.send(b'beat', 101.0)
        ground.settimeout(5)
        assert ground.recv(100) == b'beat'
        assert not line.is_ready(200.0)  # it is gone


def test_tcp_is_connected_again_whenever_it_dies() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with line_to('tcp', HOST, port) as line:
            for arrivals in (1, 2):
                wait_until(lambda: line.is_ready(time.monotonic()), 'the line', 5.0)
                peer, _ = server.accept()
                with peer:
                    assert line.arrivals == arrivals
                    assert line.send(b'beat', time.monotonic())
                    assert peer.recv(100) == b'beat'
                    peer.sendall(b'back')
                    wait_until(lambda: line.receive(time.monotonic()) == b'back', 'the answer')
                wait_until(
                    lambda: line.receive(time.monotonic()) or line.trouble, 'the end of the line'
                )


def test_a_server_that_is_not_there_is_tried_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    with line_to('tcp', HOST, port) as line:
        tries: list[float] = []

        def open_and_note(endpoint: Endpoint, now: float) -> Link:
            tries.append(now)
            return open_link(endpoint, now)

        monkeypatch.setattr('fdr_recorder.ground.line.open_link', open_and_note)
        for step in range(300):
            assert not line.is_ready(100.0 + step / 10)
        pauses = [end - begin for begin, end in itertools.pairwise(tries)]
        assert 8 < len(tries) < 15
        assert max(pauses) < LONGEST_PAUSE_S + 0.3
        assert line.trouble == 'Connection refused'


def test_a_stream_that_takes_nothing_does_not_block_and_is_dead_in_time() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with line_to('tcp', HOST, port) as line:
            wait_until(lambda: line.is_ready(100.0), 'the line')
            peer, _ = server.accept()
            with peer:
                data, now = bytes(WAITING_SIZE), 100.0
                for _ in range(10_000):
                    if not line.send(data, now):
                        break
                assert not line.is_ready(now)
                assert not line.is_ready(now + STUCK_S - 1)
                assert not line.trouble
                assert not line.is_ready(now + STUCK_S + 1)
                assert line.trouble == 'it takes no data'


def test_a_serial_line_carries_bytes_as_they_are_and_is_opened_again(tmp_path: Path) -> None:
    device = tmp_path / 'ttyGround'
    with line_to('serial', str(device), 57600) as line:
        assert not line.is_ready(100.0)
        assert line.trouble == 'No such file or directory'
        for start in (110.0, 120.0):
            master, slave = pty.openpty()
            device.symlink_to(os.ttyname(slave))
            assert line.is_ready(start)
            os.close(slave)
            assert line.send(b'\r\n\x00\xfd\x03', start)
            assert os.read(master, 100) == b'\r\n\x00\xfd\x03'
            os.write(master, b'\x11\x13\r\x04')
            wait_until(lambda: line.receive(110.0) == b'\x11\x13\r\x04', 'the ground')
            os.close(master)  # it is unplugged
            wait_until(lambda: not line.receive(110.0) and line.trouble, 'the end')
            device.unlink()
