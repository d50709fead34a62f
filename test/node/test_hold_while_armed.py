# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""While the vehicle is armed, nobody ends its recording by mistake; signals still do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import signal
from typing import Any

from fdr_recorder.record.kinds import AlertRecord
from ground import Ground, LATCHED, PointStamped, serialize_message
import pytest
from recorder_process import are_the_same, read_flight, RecorderProcess
from std_msgs.msg import Bool, Float32
from std_srvs.srv import Trigger
from trigger_process import TriggerProcess, until

SAYS = 'the vehicle is armed (/armed); disarm first, or set hold_while_armed to false'


def ask(recorder: RecorderProcess, service: str) -> Trigger.Response:
    name = f'/{recorder.name}/{service}'
    return recorder.ground.call(Trigger, name, Trigger.Request())


def armed_publisher(ground: Ground) -> Any:
    return ground.node.create_publisher(Bool, '/armed', LATCHED)


@contextmanager
def holding(
    ground: Ground, directory: Path, root: Path, **options: object
) -> Iterator[RecorderProcess]:
    """Lend a recorder that holds on while the vehicle is armed, in a flight."""
    chosen = {'hold_while_armed': True, 'topics': ['/imu', '/armed'], **options}
    with RecorderProcess(ground, directory, root, **chosen) as recorder:
        recorder.make('configure', 'activate')
        yield recorder


def wait_for_held(recorder: RecorderProcess) -> None:
    """Wait until the recorder has heard that the vehicle is armed: it refuses."""
    recorder.ground.wait_until(lambda: not recorder.change_state('cleanup'), 'the hold')


@pytest.mark.smoke
def test_a_flight_cannot_be_ended_while_armed(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    armed = armed_publisher(ground)
    armed.publish(Bool(data=True))
    with holding(ground, tmp_path, root) as recorder:
        imu = ground.publisher(PointStamped, '/imu')
        ground.wait_until(lambda: ground.node.count_subscribers('/armed') == 2, 'it listens')
        ground.wait_until(lambda: recorder.stored('/armed'), 'it is known that it is armed')
        sent: list[bytes] = []

        def publish() -> None:
            for _ in range(10):
                message = PointStamped()
                message.point.x = float(len(sent))
                sent.append(serialize_message(message))
                imu.publish(sent[-1])

        publish()
        for transition in ('deactivate', 'active shutdown'):
            assert not recorder.change_state(transition)
            publish()
        answer = ask(recorder, 'stop')
        assert (answer.success, answer.message) == (False, f'stop refused: {SAYS}')
        assert not ask(recorder, 'pause').success
        assert not recorder.change_state('deactivate')  # once more: one alert is enough
        assert recorder.state() == 'active'
        recorder.wait_for_alert('recorder', 'held_while_armed')
        publish()
        armed.publish(Bool(data=False))
        recorder.wait_for_ok('recorder')
        answer = ask(recorder, 'stop')
        assert answer.success, answer.message
        assert recorder.state() == 'inactive'

        flight = recorder.read_flight()
        assert are_the_same(flight.of_topic('/imu'), sent)
        told = [
            (item.subject, item.raised, item.message)
            for item in flight.payloads(AlertRecord)
            if item.code == 'held_while_armed'
        ]
        refused = ('deactivate', 'shutdown', 'stop', 'pause')
        assert told[:4] == [(name, True, f'{name} refused: {SAYS}') for name in refused]
        assert sorted(told[4:]) == [
            (name, False, 'the vehicle is not armed') for name in sorted(refused)
        ]
        assert recorder.log.count(f'deactivate refused: {SAYS}') == 2

        # The same holds for all that is ready to record, until somebody wants it otherwise.
        armed.publish(Bool(data=True))
        wait_for_held(recorder)
        assert recorder.state() == 'inactive'
        assert not recorder.set('hold_while_armed', False)
        recorder.make('cleanup')
        assert 'Traceback' not in recorder.log


def test_a_source_that_falls_silent_holds_on_and_signals_end_it(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    armed = armed_publisher(ground)
    options = {'armed.source_timeout_s': 0.5}
    with holding(ground, tmp_path, root, **options) as recorder:
        silent = recorder.wait_for_alert('recorder', 'source_silent')
        assert silent.message.startswith('nothing from /armed for 0.5 s; ')
        recorder.make('deactivate', 'activate')  # it has never spoken: that holds nothing
        armed.publish(Bool(data=True))
        ground.wait_until(lambda: recorder.stored('/armed'), 'it is armed')
        recorder.wait_for_ok('recorder')
        ground.node.destroy_publisher(armed)
        seen = len(recorder.statuses('recorder'))
        ground.wait_until(
            lambda: any(
                'source_silent' in item.key
                for status in recorder.statuses('recorder')[seen:]
                for item in status.values
            ),
            'silence',
        )
        assert not recorder.change_state('deactivate')
        assert recorder.stop(signal.SIGTERM) == 0
    for path in recorder.flights():
        read_flight(path)  # complete, with its footer


def test_the_flight_trigger_works_with_it(ground: Ground, tmp_path: Path, root: Path) -> None:
    """The same conditions hold the recorder and drive it; the trigger is never refused."""
    level = ground.node.create_publisher(Float32, '/level', 10)
    now = Float32(data=0.0)
    timer = ground.node.create_timer(0.02, lambda: level.publish(now))
    rules = {'source': 'none', 'trigger_on': ['/level: data > 3']}
    options = {f'armed.{name}': value for name, value in rules.items()}
    with (
        RecorderProcess(
            ground, tmp_path, root, hold_while_armed=True, topics=['/level'], **options
        ) as recorder,
        TriggerProcess(ground, tmp_path, debounce_s=0.0, **rules) as trigger,
    ):
        until(recorder, 'inactive')
        for number in (1, 2):
            now.data = 5.0
            until(recorder, 'active')
            ground.wait_until(lambda: recorder.stored('/level'), 'a message on disk')
            assert not recorder.change_state('deactivate')
            now.data = 1.0
            until(recorder, 'inactive')
            assert len(recorder.flights()) == number
        assert 'recorder_refused' not in trigger.log
        ground.node.destroy_timer(timer)


def test_a_source_that_cannot_be_used_holds_nothing_up(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with holding(
        ground, tmp_path, root, **{'armed.source': 'mavros', 'topics': ['/imu']}
    ) as recorder:
        try:
            import mavros_msgs  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            alert = recorder.wait_for_alert('recorder', 'condition_unusable')
            assert 'hold_while_armed holds nothing: source mavros needs' in alert.message
        recorder.make('deactivate')
