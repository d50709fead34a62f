# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The bridge to the ground: what real ground stations read, and what they may command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
import time

from fdr_recorder.record.kinds import Pin
from gcs_bridge import BridgeProcess, ToldRecorder, wait_for_text
from ground import Ground, LATCHED
from ground_stations import closing, free_port, MavProxy, MavsdkGround
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import Bool

SOON_S = 1.0
BACK_S = 5.0
PIN, START, STOP = 31010, 31011, 31012
ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED, FAILED = range(5)
STANDBY, ACTIVE, CRITICAL = 3, 4, 5
ERROR, WARNING, INFO = 3, 4, 6


@pytest.fixture
def recorder(ground: Ground) -> Iterator[ToldRecorder]:
    recorder = ToldRecorder(ground)
    yield recorder
    recorder.board.clear_all('disk_full')


def test_two_ground_stations_read_the_state_and_each_alert_in_time(
    ground: Ground, tmp_path: Path
) -> None:
    port = free_port()
    sdk, proxy = MavsdkGround(port, tmp_path, 'udpout'), MavProxy(port, tmp_path, 'udpout')
    options = {'recorders': ['/ground'], 'endpoint': f'udpin:127.0.0.1:{port}', 'silence_s': 2.5}
    with closing(sdk, proxy), BridgeProcess(ground, tmp_path, **options) as bridge:
        recorder = ToldRecorder(ground)
        assert wait_for_text(ground, sdk, 'FDR: RECORDING').severity == INFO
        ground.wait_until(lambda: 'FDR: RECORDING' in proxy.texts, 'MAVProxy')
        ground.wait_until(lambda: ACTIVE in sdk.states, 'a heartbeat')
        beat = sdk.of('HEARTBEAT')[-1]
        assert (beat['from'], beat['type'], beat['autopilot']) == ([1, 191], 18, 8)

        for code, subject, severity, begins, over in (
            ('disk_full', '', ERROR, 'FDR: DISK FULL', 'FDR: disk has space again'),
            ('topic_stale', '/odom', WARNING, 'FDR: /odom is silent', 'FDR: /odom speaks again'),
        ):
            at = time.monotonic()
            recorder.board.raise_alert(code, 'a sentence', subject=subject)
            text = wait_for_text(ground, sdk, begins, at)
            assert text.severity == severity
            assert text.at - at < SOON_S
            if severity == ERROR:
                ground.wait_until(lambda: sdk.states[-1:] == [CRITICAL], 'a critical heartbeat')
            at = time.monotonic()
            recorder.board.clear(code, subject=subject)
            text = wait_for_text(ground, sdk, over, at)
            assert (text.severity, text.at - at < SOON_S) == (INFO, True)
            ground.wait_until(lambda: over in proxy.texts, 'MAVProxy')  # noqa: B023
            assert begins in proxy.texts

        bridge.wait_for_summary(
            lambda values: values['ground_stations'] == '2' and values['way'] == 'mavlink',
            'both ground stations',
        )

        recorder.board.raise_alert('disk_full', 'a sentence')
        wait_for_text(ground, sdk, 'FDR: DISK FULL', time.monotonic() - 1)
        bridge.send(signal.SIGKILL)
        bridge.wait_for_end()
        proxy.lines.clear()
        bridge.start()  # as launch does
        at = time.monotonic()
        assert wait_for_text(ground, sdk, 'FDR: DISK FULL', at).at - at < BACK_S
        assert wait_for_text(ground, sdk, 'FDR: RECORDING', at).at - at < BACK_S
        ground.wait_until(lambda: {'FDR: DISK FULL', 'FDR: RECORDING'} <= {*proxy.texts}, 'both')
        ground.wait_until(lambda: sdk.states[-1:] == [CRITICAL], 'a critical heartbeat')

        (computer, *_) = ground.wait_until(lambda: sdk.of('ONBOARD_COMPUTER_STATUS'), 'computer')
        assert computer['storage_usage'][0] == 7 * 1024
        assert computer['storage_total'][0] == 10 * 1024
        assert 0 < computer['ram_usage'] < computer['ram_total']
        at = time.monotonic()
        recorder.fall_silent()
        text = wait_for_text(ground, sdk, 'FDR: NO ANSWER FROM RECORDER', at)
        assert (text.severity, text.at - at < BACK_S) == (ERROR, True)
        assert bridge.stop() == 0
        wait_for_text(ground, sdk, 'FDR: bridge ends, no more news', at)
        assert 'Traceback' not in bridge.log


def test_a_ground_station_that_returns_knows_the_state_in_time(
    ground: Ground, tmp_path: Path, recorder: ToldRecorder
) -> None:
    port = free_port()
    options = {'recorders': ['/ground'], 'endpoint': f'udpout:127.0.0.1:{port}'}
    with BridgeProcess(ground, tmp_path, **options):
        sdk = MavsdkGround(port, tmp_path)
        with closing(sdk):
            wait_for_text(ground, sdk, 'FDR: RECORDING')
            recorder.board.raise_alert('overrun', 'a sentence', subject='/a')
            wait_for_text(ground, sdk, 'FDR: /a loses records')
        recorder.board.raise_alert('disk_full', 'a sentence')  # while nobody hears
        recorder.board.clear('overrun', subject='/a')
        began_at = time.monotonic()
        ground.wait_until(lambda: time.monotonic() > began_at + 2.0, 'a while')
        at = time.monotonic()
        sdk = MavsdkGround(port, tmp_path)
        with closing(sdk):
            for text in ('FDR: DISK FULL', 'FDR: RECORDING', 'FDR: /a loses no more'):
                assert wait_for_text(ground, sdk, text).at - at < BACK_S
            assert 'FDR: /a loses records' not in [text.text for text in sdk.texts]


def test_the_ground_commands_a_recorder_once_that_is_allowed(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    port = free_port()
    endpoint = f'udpout:127.0.0.1:{port}'
    sdk = MavsdkGround(port, tmp_path)

    def command(number: int, kind: str = 'COMMAND_LONG') -> int:
        before = len(sdk.results(number))
        sdk.command(number, kind)
        ground.wait_until(lambda: len(sdk.results(number)) > before, 'the answer')
        return sdk.results(number)[-1]

    armed = ground.node.create_publisher(Bool, '/armed', LATCHED)
    options = {'topics': ['/armed'], 'hold_while_armed': True}
    with closing(sdk), RecorderProcess(ground, tmp_path, root, **options) as recorder:
        with BridgeProcess(ground, tmp_path, endpoint=endpoint) as bridge:
            wait_for_text(ground, sdk, 'FDR: not recording, not configured')
            assert [command(number) for number in (PIN, START, STOP)] == [DENIED] * 3
            wait_for_text(ground, sdk, 'FDR: start from the ground is off')
            assert recorder.state() == 'unconfigured'
            assert bridge.stop(signal.SIGTERM) == 0
        allowed = ['pin', 'start', 'stop']
        with BridgeProcess(ground, tmp_path, endpoint=endpoint, commands=allowed) as bridge:
            beats = len(sdk.states)
            ground.wait_until(lambda: STANDBY in sdk.states[beats:], 'the bridge')
            assert command(START) == ACCEPTED
            assert recorder.state() == 'active'
            wait_for_text(ground, sdk, 'FDR: RECORDING')
            assert command(START) == ACCEPTED  # so it is
            assert len(recorder.flights()) == 1
            assert command(PIN) == ACCEPTED
            wait_for_text(ground, sdk, 'FDR: pinned from the ground')
            armed.publish(Bool(data=True))
            ground.wait_until(lambda: recorder.stored('/armed'), 'the armed state')
            assert command(STOP) == TEMPORARILY_REJECTED
            wait_for_text(ground, sdk, 'FDR: stop refused: vehicle is armed')
            assert recorder.state() == 'active'
            armed.publish(Bool(data=False))
            ground.wait_until(lambda: recorder.stored('/armed') == 2, 'the armed state')
            ground.wait_until(lambda: command(STOP, 'COMMAND_INT') == ACCEPTED, 'the stop')
            assert recorder.state() == 'inactive'
            assert recorder.read_flight().payloads(Pin)
            assert command(PIN) == DENIED  # there is no flight
            assert command(400) == UNSUPPORTED  # to arm is no command for us
            recorder.send(signal.SIGKILL)
            recorder.wait_for_end()
            assert command(START) == FAILED
            assert 'Traceback' not in bridge.log


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'recorders': ['a b']}, 'recorders: '),
        ({'output': 'mavros'}, 'mavros_msgs is not installed here'),
    ],
    ids=['recorders', 'mavros'],
)
def test_a_mistake_ends_it_at_once(
    ground: Ground, tmp_path: Path, options: dict[str, object], said: str
) -> None:
    with BridgeProcess(ground, tmp_path, **options) as bridge:
        assert bridge.wait_for_end() == 1
        assert said in bridge.log
        assert 'Traceback' not in bridge.log
