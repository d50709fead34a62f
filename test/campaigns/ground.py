# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
The pilot's ground station, MAVSDK's, while links, bridge and ground station come and go.

Each alert is raised and cleared; a fault flaps; the ground station, the network or the bridge dies
and returns; the network loses three datagrams of ten. It needs ROS 2 and `mavsdk`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import logging
from pathlib import Path
import random
import signal
import time
from typing import Final, TYPE_CHECKING

from fdr_recorder.alerts import ALERT_LEVELS, AlertLevel
from fdr_recorder.ground.pacing import BURST, RATE_HZ, REPEAT_S
from fdr_recorder.ground.texts import ALERT_TEXTS, said, SEVERITIES, TOPIC

if TYPE_CHECKING:
    from gcs_bridge import BridgeProcess, ToldRecorder
    from ground import Ground
    from ground_stations import LossyNetwork, MavsdkGround, Text

NAME = 'ground'
ABOUT = 'A link to the ground that dies, loses and flaps: what the pilot reads is true, in time.'
DEFAULT_ROUNDS = 3
SHORT_ROUNDS = 1

SOON_S: Final = 1.0
BACK_S: Final = 5.0
LOSS: Final = 0.3
ATTEMPTS: Final = 4
"""An error arrives with one of so many texts; all are lost in fewer than 1 of 100 rounds."""
GROUND_CODES: Final = ('recorder_down', 'recorder_refused')
"""Alerts of the flight trigger."""


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Ten minutes of flapping, each alert, each way of dying, and a bad network."""
    with _flight(directory, rng) as flight:
        slowest_s = flight.tell_each_alert()
        texts = flight.flap(600.0)
        flight.rest()
        back_s = [flight.break_and_mend(way) for way in rng.sample(WAYS, len(WAYS))]
        arrived_s = flight.tell_through_losses()
    return {
        'slowest_s': slowest_s,
        'flapping_texts': texts,
        'back_s': max(back_s),
        'arrived_s': arrived_s,
    }


def run_short_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Let the network break for some seconds."""
    with _flight(directory, rng) as flight:
        return {'back_s': flight.break_and_mend(_break_network, longest_s=3.0)}


class _Flight:
    """A recorder whose faults come and go, its bridge, a network, and a ground station."""

    def __init__(
        self,
        ground: Ground,
        recorder: ToldRecorder,
        bridge: BridgeProcess,
        network: LossyNetwork,
        station: Callable[[], MavsdkGround],
        rng: random.Random,
    ) -> None:
        self.ground = ground
        self.recorder = recorder
        self.bridge = bridge
        self.network = network
        self.station = station
        self.sdk = station()
        self.rng = rng

    def spin(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.ground.wait_until(lambda: time.monotonic() > until, 'a while', seconds + 5)

    def await_text(self, text: str, since: float, deadline_s: float) -> Text:
        from gcs_bridge import wait_for_text

        return wait_for_text(self.ground, self.sdk, text, since, deadline_s)

    def rest(self) -> None:
        """Wait until a burst may be sent again."""
        self.spin(BURST / RATE_HZ + 1)

    # --- what must hold ------------------------------------------------------------------

    def tell_each_alert(self) -> float:
        """Raise and clear each alert; return how long the slowest text took."""
        self.rest()
        slowest_s = 0.0
        for code, level in ALERT_LEVELS.items():
            if code in GROUND_CODES:
                continue
            subject = '/odom' if TOPIC in ALERT_TEXTS[code].begins else ''
            at = time.monotonic()
            self.recorder.board.raise_alert(code, 'a sentence', subject=subject)
            text = self.await_text(said(ALERT_TEXTS[code].begins, subject), at, 10.0)
            assert text.severity == SEVERITIES[level], code
            slowest_s = max(slowest_s, text.at - at)
            self.spin(max(1.05 / RATE_HZ - (time.monotonic() - at), 0.0))
            at = time.monotonic()
            self.recorder.board.clear(code, subject=subject)
            text = self.await_text(said(ALERT_TEXTS[code].over, subject), at, 10.0)
            assert text.severity > SEVERITIES[AlertLevel.WARN], code
            slowest_s = max(slowest_s, text.at - at)
            self.spin(max(1.05 / RATE_HZ - (time.monotonic() - at), 0.0))
        assert slowest_s < SOON_S
        return slowest_s

    def flap(self, seconds: float) -> int:
        """Raise and clear a fault again and again; return how many texts that were."""
        self.rest()
        began_at = time.monotonic()
        while time.monotonic() < began_at + seconds:
            self.recorder.board.raise_alert('overrun', 'a sentence', subject='/camera')
            self.spin(self.rng.uniform(0.0, 0.5))
            self.recorder.board.clear('overrun', subject='/camera')
            self.spin(self.rng.uniform(0.0, 0.5))
        texts = [text for text in self.sdk.texts if text.at >= began_at]
        assert 1 < len(texts) <= BURST + RATE_HZ * (time.monotonic() - began_at) + 1
        self.spin(2 / RATE_HZ)
        assert self.sdk.texts[-1].text == said(ALERT_TEXTS['overrun'].over, '/camera')
        return len(texts)

    def break_and_mend(
        self, way: Callable[[_Flight], Callable[[], None]], longest_s: float = 8.0
    ) -> float:
        """Let something die, change what is so, let it return; return until what is read is so."""
        board = self.recorder.board
        board.raise_alert('disk_low', 'a sentence')
        self.await_text(said(ALERT_TEXTS['disk_low'].begins), 0.0, 5.0)
        mend = way(self)
        board.clear('disk_low')
        board.raise_alert('write_error', 'a sentence')
        self.spin(self.rng.uniform(0.5, longest_s))
        mend()
        at = time.monotonic()
        wanted = [said(ALERT_TEXTS['write_error'].begins), said('RECORDING')]
        if way is not _kill_bridge:  # a new one does not know what the last one has told
            wanted.append(said(ALERT_TEXTS['disk_low'].over))
        back_s = max(self.await_text(text, at, BACK_S + 5).at - at for text in wanted)
        assert back_s < BACK_S, way.__name__
        begins = said(ALERT_TEXTS['disk_low'].begins)
        assert not [text for text in self.sdk.texts if text.at > at and text.text == begins]
        board.clear('write_error')
        self.await_text(said(ALERT_TEXTS['write_error'].over), at, 10.0)
        return back_s

    def tell_through_losses(self) -> float:
        """Raise errors while the network loses datagrams; return how long the slowest took."""
        self.rest()
        self.network.loss = LOSS
        slowest_s = 0.0
        for code, level in ALERT_LEVELS.items():
            if level is not AlertLevel.ERROR or code in GROUND_CODES:
                continue
            at = time.monotonic()
            self.recorder.board.raise_alert(code, 'a sentence')
            begins = said(ALERT_TEXTS[code].begins)
            text = self.await_text(begins, at, ATTEMPTS * REPEAT_S)
            slowest_s = max(slowest_s, text.at - at)
        assert self.network.lost
        return slowest_s


def _kill_station(flight: _Flight) -> Callable[[], None]:
    flight.sdk.close()

    def mend() -> None:
        flight.sdk = flight.station()

    return mend


def _kill_bridge(flight: _Flight) -> Callable[[], None]:
    flight.bridge.send(signal.SIGKILL)
    flight.bridge.wait_for_end()
    return lambda: flight.bridge.start() and None


def _break_network(flight: _Flight) -> Callable[[], None]:
    flight.network.loss = 1.0

    def mend() -> None:
        flight.network.loss = 0.0

    return mend


WAYS: Final = [_kill_station, _kill_bridge, _break_network]


@contextmanager
def _flight(directory: Path, rng: random.Random) -> Iterator[_Flight]:
    # importing them skips where there is no ROS 2, and says so
    from gcs_bridge import BridgeProcess, RECORDER, ToldRecorder
    from ground import own_ground
    from ground_stations import free_port, LossyNetwork, MavsdkGround

    logging.getLogger('fdr_recorder.alerts').setLevel(logging.CRITICAL)  # its progress alone
    port = free_port()
    network = LossyNetwork(port, loss=0.0, seed=rng.randrange(2**31))
    options = {'recorders': [RECORDER], 'endpoint': f'udpout:127.0.0.1:{network.port}'}
    with own_ground() as ground, BridgeProcess(ground, directory, **options) as bridge:
        recorder = ToldRecorder(ground)
        flight = _Flight(
            ground, recorder, bridge, network, lambda: MavsdkGround(port, directory), rng
        )
        try:
            flight.await_text(said('RECORDING'), 0.0, 15.0)
            yield flight
            assert 'Traceback' not in bridge.log
        finally:
            flight.sdk.close()
            network.close()
