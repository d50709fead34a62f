# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Real ground stations, in processes of their own: MAVProxy, and one by MAVSDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import importlib.util
import json
from pathlib import Path
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple

from requirements import cannot_run
from waiting import wait_until

Message = dict[str, Any]


def free_port() -> int:
    """Return a UDP port of this host that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(('127.0.0.1', 0))
        return int(udp.getsockname()[1])


class Text(NamedTuple):
    """A STATUSTEXT, and when it came."""

    at: float
    severity: int
    text: str


class Program:
    """A program whose output is collected, line by line."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip('\n'))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class MavProxy(Program):
    """MAVProxy without a screen: what it writes to its console."""

    def __init__(self, port: int, directory: Path, scheme: str = 'udpin') -> None:
        if importlib.util.find_spec('MAVProxy') is None:
            cannot_run('MAVProxy is not installed')
        script = shutil.which('mavproxy.py', path=str(Path(sys.executable).parent))
        assert script is not None
        super().__init__(
            [
                sys.executable, '-u', script, f'--master={scheme}:127.0.0.1:{port}',
                '--non-interactive', f'--state-basedir={directory}', '--default-modules=',
            ],
            directory,
        )  # fmt: skip

    @property
    def texts(self) -> list[str]:
        """Return the texts of the vehicle, in order."""
        return [line.partition('AP: ')[2] for line in self.lines if line.startswith('AP: ')]


class MavsdkGround(Program):
    """A ground station by MAVSDK: every message that it hears."""

    def __init__(self, port: int, directory: Path, scheme: str = 'udpin') -> None:
        if importlib.util.find_spec('mavsdk') is None:
            cannot_run('MAVSDK is not installed')
        program = str(Path(__file__).with_name('mavsdk_program.py'))
        super().__init__([sys.executable, program, f'{scheme}://127.0.0.1:{port}'], directory)
        wait_until(lambda: self.lines, 'MAVSDK')

    @property
    def messages(self) -> list[Message]:
        return [json.loads(line) for line in self.lines]

    def of(self, name: str) -> list[Message]:
        """Return the messages of a kind that came from the bridge."""
        return [item for item in self.messages if item['name'] == name]

    @property
    def texts(self) -> list[Text]:
        return [Text(item['at'], item['severity'], item['text']) for item in self.of('STATUSTEXT')]

    @property
    def states(self) -> list[int]:
        """Return the system status of each heartbeat of the bridge."""
        heartbeats = self.of('HEARTBEAT')
        return [item['system_status'] for item in heartbeats if item['from'][1] == 191]

    def command(self, number: int, kind: str = 'COMMAND_LONG', component: int = 191) -> None:
        """Send a command; its result comes as a message `ANSWER`."""
        wait_until(lambda: self.of('SUBSCRIBED'), 'the vehicle')
        names = [f'param{index}' for index in range(1, 8 if kind == 'COMMAND_LONG' else 5)]
        fields = {
            'name': kind,
            'target_system': 1,
            'target_component': component,
            'command': number,
            **dict.fromkeys(names, 0.0),
        }
        if kind == 'COMMAND_INT':
            fields |= {'frame': 0, 'current': 0, 'autocontinue': 0, 'x': 0, 'y': 0, 'z': 0.0}
        else:
            fields['confirmation'] = 0
        assert self.process.stdin is not None
        self.process.stdin.write(f'{json.dumps(fields)}\n')
        self.process.stdin.flush()

    def results(self, number: int) -> list[int]:
        """Return the results of a command so far."""
        return [item['result'] for item in self.of('ANSWER') if item['command'] == number]


class LossyNetwork:
    """Passes datagrams between the bridge and a ground station, and loses some of them."""

    def __init__(self, port: int, *, loss: float, seed: int = 1) -> None:
        """Listen on a port of its own; `loss` is the share of datagrams that are lost."""
        self._random = random.Random(seed)
        self.loss = loss
        self.lost = 0
        self._to = ('127.0.0.1', port)
        self._vehicle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._vehicle.bind(('127.0.0.1', 0))
        self._ground = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = int(self._vehicle.getsockname()[1])
        self._from: Any = None
        self._is_closing = False
        self._threads = [
            threading.Thread(target=self._pass, args=[source], daemon=True)
            for source in (self._vehicle, self._ground)
        ]
        for thread in self._threads:
            thread.start()

    def _pass(self, source: socket.socket) -> None:
        source.settimeout(0.1)
        while not self._is_closing:
            try:
                data, sender = source.recvfrom(4096)
            except OSError:  # nothing came, or nobody is there
                continue
            if source is self._vehicle:
                self._from = sender
            if self._random.random() < self.loss:
                self.lost += 1
            elif source is self._vehicle:
                self._ground.sendto(data, self._to)
            else:
                self._vehicle.sendto(data, self._from)

    def close(self) -> None:
        self._is_closing = True
        for thread in self._threads:
            thread.join()
        self._vehicle.close()
        self._ground.close()


@contextmanager
def closing(*things: Any) -> Iterator[None]:
    """Close things at the end, whatever happens."""
    try:
        yield
    finally:
        for thing in reversed(things):
            thing.close()


def seconds_until(condition: Callable[[], object], what: str, deadline_s: float = 30.0) -> float:
    """Return how long it took until a condition came true."""
    began_at = time.monotonic()
    wait_until(condition, what, deadline_s)
    return time.monotonic() - began_at
