# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The thread that talks with the ground: by MAVLink or MAVROS, whatever comes from there."""

from __future__ import annotations

from collections.abc import Iterator
import random
import socket
import threading
import time

from fdr_recorder.ground.endpoint import Endpoint
from fdr_recorder.ground.line import Line
from fdr_recorder.ground.mavlink import Mavlink
from fdr_recorder.ground.recorders import Recorders, Status
from fdr_recorder.ground.station import Outside, Station
from fdr_recorder.ground.texts import Severity
import pytest
from waiting import wait_until

common = pytest.importorskip('pymavlink.dialects.v20.common')

SEAL = 'a' * 64
RECORDING = Status(
    'r: summary', 0, 'recording x', {'state': 'active', 'newest_seal': f'3 {SEAL}'}
)
FULL = Status('r: disk', 2, '', {'disk_full': 'a sentence'})
FINE = Status('r: disk', 0, '', {})


class Ground:
    """Hears MAVLink on a UDP port."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.settimeout(0.05)
        self.endpoint = Endpoint('udpout', *self.socket.getsockname())
        self.vehicle: object = None
        self._mav = common.MAVLink(None, srcSystem=255, srcComponent=190)
        self.kinds: list[str] = []
        self.texts: list[str] = []

    def hear(self) -> None:
        try:
            data, self.vehicle = self.socket.recvfrom(4096)
        except TimeoutError:
            return
        for message in self._mav.parse_buffer(data) or ():
            self.kinds.append(message.get_type())
            if message.get_type() == 'STATUSTEXT':
                self.texts.append(message.text)

    def wait_for(self, *texts: str) -> None:
        def heard() -> bool:
            self.hear()
            return {*texts} <= {*self.texts}

        wait_until(heard, f'{texts} of {self.texts}', 10.0)


class Mavros:
    """Notes what it is told to send."""

    def __init__(self) -> None:
        self.is_there = False
        self.texts: list[str] = []
        self.outside = Outside(lambda: self.is_there, self._send)

    def _send(self, severity: Severity, text: str) -> None:
        assert threading.current_thread().name == 'fdr_ground'
        self.texts.append(text)


@pytest.fixture
def ground() -> Iterator[Ground]:
    ground = Ground()
    yield ground
    ground.socket.close()


@pytest.fixture
def mavros() -> Mavros:
    return Mavros()


@pytest.fixture
def station(ground: Ground, mavros: Mavros) -> Iterator[Station]:
    station = Station(
        Recorders(['/r'], 4.0, time.monotonic()),
        line=Line(ground.endpoint),
        mavlink=Mavlink(1, 191),
        mavros=mavros.outside,
        commands=(),
        execute=lambda _: None,
        seal_interval_s=1.0,
    )
    station.start()
    yield station
    station.stop()


def test_mavros_is_used_while_it_is_there(
    station: Station, ground: Ground, mavros: Mavros
) -> None:
    station.hear([RECORDING, FULL])
    ground.wait_for('FDR: RECORDING', 'FDR: DISK FULL', f'FDR: seal 3 {SEAL[:24]}')
    assert 'HEARTBEAT' in ground.kinds
    mavros.is_there = True
    wait_until(lambda: {'FDR: RECORDING', 'FDR: DISK FULL'} <= {*mavros.texts}, 'MAVROS')
    assert station.status.way == 'mavros'
    assert not station.status.trouble
    while ground.kinds:
        ground.kinds.clear()
        ground.hear()
    station.hear([FINE])
    wait_until(lambda: 'FDR: disk has space again' in mavros.texts, 'MAVROS')
    ground.texts.clear()
    mavros.is_there = False
    ground.wait_for('FDR: RECORDING', 'FDR: disk has space again')  # it may be new
    assert station.status.way == 'mavlink'


def test_nothing_that_comes_from_the_ground_ends_it(station: Station, ground: Ground) -> None:
    station.hear([RECORDING])
    ground.wait_for('FDR: RECORDING')
    dice = random.Random(1)
    mav = common.MAVLink(None, srcSystem=255, srcComponent=190)
    beat = bytes(common.MAVLink_heartbeat_message(6, 8, 0, 0, 0, 3).pack(mav))
    for number in range(2000):
        junk = dice.randbytes(dice.randrange(300))
        broken = bytearray(beat)
        broken[dice.randrange(len(beat))] ^= 1 << dice.randrange(8)
        ground.socket.sendto((junk, bytes(broken), b'\xfd' * 9, b'')[number % 4], ground.vehicle)
    station.hear([RECORDING, FULL])
    ground.wait_for('FDR: DISK FULL')

    def is_met() -> bool:  # the end of the junk may look like the beginning of a frame
        ground.socket.sendto(beat, ground.vehicle)
        return station.status.grounds == 1

    wait_until(is_met, 'the heartbeat')


def test_an_error_of_its_own_does_not_end_it(
    station: Station, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.hear([RECORDING])
    ground.wait_for('FDR: RECORDING')
    with monkeypatch.context() as patch:
        patch.setattr(Mavlink, 'heartbeat', lambda *_: 1 // 0)
        wait_until(lambda: 'division' in station.status.trouble, 'the error')
    station.hear([FULL])
    ground.wait_for('FDR: DISK FULL')
