# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The flight trigger: a recorder is driven by what says that the vehicle is armed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
import signal
from types import SimpleNamespace
from typing import Any

from fdr_recorder.node.conditions.source import SOURCES
from fdr_recorder.node.conditions.switch import Switch
from fdr_recorder.node.recorder import NODE_NAME
from fdr_recorder.node.trigger.config import TriggerConfig
from flight_check import open_flight_files
from ground import DiagnosticStatus, Ground, LATCHED
from hypothesis import given
from hypothesis import strategies as st
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from recorder_process import read_flight, RecorderProcess
from std_msgs.msg import Bool, String
from trigger_process import TriggerProcess, until

PERIOD_S = 0.1
"""How often the autopilot says whether it is armed."""


class Autopilot:
    """Says on a topic whether it is armed, again and again while the test waits."""

    def __init__(
        self,
        ground: Ground,
        topic: str = '/armed',
        qos: QoSProfile | int = 10,
        *,
        again: bool = True,
    ) -> None:
        self.is_armed = False
        self._publisher = ground.node.create_publisher(Bool, topic, qos)
        if again:
            ground.node.create_timer(PERIOD_S, self.say)

    def say(self) -> None:
        self._publisher.publish(Bool(data=self.is_armed))

    def arm(self) -> None:
        self.is_armed = True

    def disarm(self) -> None:
        self.is_armed = False


def count_flights(recorder: RecorderProcess) -> int:
    return len(recorder.flights())


# --- in flight ---------------------------------------------------------------------------------


@pytest.mark.smoke
def test_a_flight_from_arming_to_disarming(ground: Ground, tmp_path: Path, root: Path) -> None:
    autopilot = Autopilot(ground)
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/chatter', '/armed']) as recorder,
        TriggerProcess(ground, tmp_path) as trigger,
    ):
        until(recorder, 'inactive')
        summary = trigger.wait_for_summary(
            lambda values: values['recorder_state'] == 'inactive' and values['flight'] == 'no',
            'disarmed',
        )
        assert summary.level == DiagnosticStatus.OK
        assert summary.message == 'disarmed; /fdr_recorder is inactive'
        assert not recorder.flights()

        autopilot.arm()
        until(recorder, 'active')
        publisher = ground.publisher(String, '/chatter')
        for number in range(3):
            publisher.publish(String(data=str(number)))
        ground.wait_until(lambda: recorder.stored('/chatter') == 3, 'three messages on disk')
        trigger.wait_for_summary(lambda values: values['flight'] == 'yes', 'armed')

        autopilot.disarm()
        until(recorder, 'inactive')
        flight = recorder.read_flight()
        assert len(flight.of_topic('/chatter')) == 3
        assert flight.of_topic('/armed')

        autopilot.arm()
        until(recorder, 'active')
        assert count_flights(recorder) == 2
        for part in ('recorder', 'source'):
            assert all(status.level == DiagnosticStatus.OK for status in trigger.at_once(part))
        assert 'Traceback' not in trigger.log


def test_arming_again_within_the_post_roll_continues_the_flight(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    autopilot = Autopilot(ground)
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/armed']) as recorder,
        TriggerProcess(ground, tmp_path, post_roll_s=2.0) as trigger,
    ):
        autopilot.arm()
        until(recorder, 'active')
        autopilot.disarm()
        trigger.wait_for_summary(
            lambda values: values['armed'] == 'disarmed' and values['flight'] == 'yes',
            'the post-roll',
        )
        autopilot.arm()
        # More than the post-roll: nothing was closed when it would have been over.
        for _ in range(3):
            trigger.wait_for_summary(lambda values: values['armed'] == 'armed', 'armed again')
        assert recorder.state() == 'active'
        autopilot.disarm()
        until(recorder, 'inactive')
        flight = recorder.read_flight()
        said = [message.data[4] for message in flight.of_topic('/armed')]
        turns = [now for before, now in zip([None, *said], said, strict=False) if now != before]
        assert turns[-3:] == [0, 1, 0]
        disarmed = len(said) - said[::-1].index(1)
        assert len(said) - disarmed >= 2.0 / PERIOD_S / 2  # and the post-roll was recorded


def test_it_only_listens_to_what_is_said_long_enough(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    autopilot = Autopilot(ground, again=False)
    with (
        RecorderProcess(ground, tmp_path, root) as recorder,
        TriggerProcess(ground, tmp_path, debounce_s=1.0, source_timeout_s=0.0) as trigger,
    ):
        until(recorder, 'inactive')
        ground.wait_until(lambda: ground.node.count_subscribers('/armed'), 'the trigger')
        autopilot.say()
        trigger.wait_for_summary(lambda values: values['flight'] == 'no', 'disarmed')
        autopilot.arm()
        autopilot.say()
        autopilot.disarm()
        autopilot.say()
        for _ in range(3):
            trigger.wait_for_summary(lambda values: values['flight'] == 'no', 'no flight')
        assert not recorder.flights()
        autopilot.arm()
        autopilot.say()  # once is enough, if nothing else is said
        until(recorder, 'active')


# --- who dies, who comes late ------------------------------------------------------------------


def test_a_recorder_that_is_killed_in_flight_records_on(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    autopilot = Autopilot(ground)
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/armed']) as recorder,
        TriggerProcess(ground, tmp_path) as trigger,
    ):
        autopilot.arm()
        until(recorder, 'active')
        ground.wait_until(lambda: recorder.stored('/armed'), 'a message on disk')
        recorder.stop(signal.SIGKILL)
        trigger.wait_for_alert('recorder', 'recorder_down')
        recorder.start()
        trigger.wait_for_ok('recorder')
        ground.wait_until(lambda: count_flights(recorder) == 2, 'the second flight')
        until(recorder, 'active')
        autopilot.disarm()
        until(recorder, 'inactive')
        first, second = recorder.flights()
        assert read_flight(second).of_topic('/armed')
        assert open_flight_files(first).footer.clean_shutdown is False  # it was recovered
        trigger.check_one_spell('recorder', 'recorder_down')


def test_a_recorder_that_starts_again_on_the_ground_is_made_ready(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    Autopilot(ground)
    with (
        RecorderProcess(ground, tmp_path, root) as recorder,
        TriggerProcess(ground, tmp_path),
    ):
        until(recorder, 'inactive')
        recorder.make('cleanup')  # somebody wants to change a parameter: that is respected
        for _ in range(3):
            recorder.wait_for_summary(
                lambda values: values['state'] == 'unconfigured', 'left alone'
            )
        assert recorder.stop() == 0
        recorder.start()
        until(recorder, 'inactive')


def test_a_trigger_that_dies_in_flight_leaves_the_flight_to_the_next(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    autopilot = Autopilot(ground)
    with RecorderProcess(ground, tmp_path, root, topics=['/armed']) as recorder:
        with TriggerProcess(ground, tmp_path) as trigger:
            autopilot.arm()
            until(recorder, 'active')
            assert trigger.stop(signal.SIGKILL) == -signal.SIGKILL
            trigger.start()
            trigger.wait_for_summary(
                lambda values: values['flight'] == 'yes' and values['recorder_state'] == 'active',
                'the flight goes on',
            )
            assert trigger.stop(signal.SIGINT) == 0
        assert recorder.state() == 'active'
        with TriggerProcess(ground, tmp_path):
            autopilot.disarm()  # nobody has told this one that there was a flight
            until(recorder, 'inactive')
        recorder.read_flight()


def test_whoever_comes_first(ground: Ground, tmp_path: Path, root: Path) -> None:
    """The trigger waits for its source and for its recorder, and says so."""
    with TriggerProcess(ground, tmp_path, source_timeout_s=2.0) as trigger:
        trigger.wait_for_alert('source', 'source_silent')
        status = trigger.wait_for_alert('recorder', 'recorder_down')
        assert status.level == DiagnosticStatus.ERROR
        autopilot = Autopilot(ground)
        autopilot.arm()
        trigger.wait_for_ok('source')
        with RecorderProcess(ground, tmp_path, root).start() as recorder:
            until(recorder, 'active')
            trigger.wait_for_ok('recorder')
            trigger.check_one_spell('recorder', 'recorder_down')
            trigger.check_one_spell('source', 'source_silent')


def test_a_recorder_that_refuses_is_one_alert(ground: Ground, tmp_path: Path) -> None:
    root = tmp_path / 'not there yet'
    autopilot = Autopilot(ground)
    autopilot.arm()
    with (
        RecorderProcess(ground, tmp_path, root) as recorder,
        TriggerProcess(ground, tmp_path) as trigger,
    ):
        status = trigger.wait_for_alert('recorder', 'recorder_refused')
        assert status.message.startswith('/fdr_recorder refused to configure')
        ground.wait_until(
            lambda: recorder.log.count('configure refused') > 2, 'it was told again and again'
        )
        root.mkdir()
        until(recorder, 'active')
        trigger.wait_for_ok('recorder')
        trigger.check_one_spell('recorder', 'recorder_refused')
        (began,) = trigger.wait_for_log('recorder_refused: /fdr_recorder refused to configure')
        assert '[WARN]' in began or '[ERROR]' in began
        assert '[flight_trigger]' in began
        (over,) = trigger.wait_for_log('recorder_refused over: ')
        assert '[INFO]' in over


# --- the source --------------------------------------------------------------------------------


def test_a_source_that_falls_silent_ends_nothing(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    autopilot = Autopilot(ground, again=False)
    with (
        RecorderProcess(ground, tmp_path, root) as recorder,
        TriggerProcess(ground, tmp_path, source_timeout_s=1.0) as trigger,
    ):
        ground.wait_until(lambda: ground.node.count_subscribers('/armed'), 'the trigger')
        autopilot.arm()
        autopilot.say()
        until(recorder, 'active')
        status = trigger.wait_for_alert('source', 'source_silent')
        assert status.level == DiagnosticStatus.WARN
        assert '/armed' in status.message
        trigger.wait_for_summary(lambda values: True, 'one more second')
        assert recorder.state() == 'active'
        autopilot.disarm()
        autopilot.say()
        trigger.wait_for_ok('source')
        until(recorder, 'inactive')


@pytest.mark.parametrize('kind', ['latched', 'best effort'])
def test_it_takes_what_the_source_offers(
    ground: Ground, tmp_path: Path, root: Path, kind: str
) -> None:
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    is_latched = kind == 'latched'
    qos = LATCHED if is_latched else best_effort
    autopilot = Autopilot(ground, '/drone/arm', qos, again=not is_latched)
    autopilot.arm()
    autopilot.say()  # long before anybody listens
    with (
        RecorderProcess(ground, tmp_path, root) as recorder,
        TriggerProcess(ground, tmp_path, topic='/drone/arm', source_timeout_s=0.0),
    ):
        until(recorder, 'active')


@pytest.mark.parametrize(('source', 'package'), [('mavros', 'mavros_msgs'), ('px4', 'px4_msgs')])
def test_a_source_whose_package_is_missing(
    ground: Ground, tmp_path: Path, source: str, package: str
) -> None:
    if find_spec(package) is not None:
        pytest.skip(f'{package} is installed here')
    with TriggerProcess(ground, tmp_path, source=source) as trigger:
        assert trigger.wait_for_end() == 1
        assert f'install {package}' in trigger.log
        assert 'Traceback' not in trigger.log


def test_wrong_parameters_end_it_at_once(ground: Ground, tmp_path: Path) -> None:
    with TriggerProcess(ground, tmp_path, source='luck', debounce_s=-1.0) as trigger:
        assert trigger.wait_for_end() == 1
        assert '2 mistakes in the configuration: source: ' in trigger.log
        assert 'debounce_s: ' in trigger.log


def test_a_misspelt_parameter_ends_it_at_once(ground: Ground, tmp_path: Path) -> None:
    with TriggerProcess(ground, tmp_path, debounce=0.5, sorce='px4') as trigger:
        assert trigger.wait_for_end() == 1
        assert "unknown parameter 'debounce'; did you mean 'debounce_s'?" in trigger.log
        assert "unknown parameter 'sorce'; did you mean 'source'?" in trigger.log


@pytest.mark.usefixtures('hangup_ends')
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it(ground: Ground, tmp_path: Path, number: signal.Signals) -> None:
    with TriggerProcess(ground, tmp_path, forked=False) as trigger:
        assert trigger.get('source') == 'bool'
        assert trigger.stop(number) == 0


def test_its_parameters_are_fixed_once_it_runs(ground: Ground, tmp_path: Path) -> None:
    with TriggerProcess(ground, tmp_path) as trigger:
        assert trigger.get('post_roll_s') == 0.0
        assert 'restart it' in trigger.set('post_roll_s', 1.0)
        (described,) = trigger.describe(['source'])
        assert 'bool, mavros, px4, none' in described.additional_constraints


# --- without processes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('source', 'fields', 'is_armed'),
    [
        ('mavros', {'connected': True, 'armed': True}, True),
        ('mavros', {'connected': True, 'armed': False}, False),
        ('mavros', {'connected': False, 'armed': False}, None),
        ('px4', {'arming_state': 2, 'ARMING_STATE_ARMED': 2}, True),
        ('px4', {'arming_state': 1, 'ARMING_STATE_ARMED': 2}, False),
    ],
)
def test_what_a_message_of_an_autopilot_says(
    source: str, fields: dict[str, Any], is_armed: bool | None
) -> None:
    assert SOURCES[source].is_armed(SimpleNamespace(**fields)) is is_armed


def truth(said: list[tuple[int, bool]], now: int, debounce: int, post_roll: int) -> bool | None:
    """Say whether there is a flight, from all that was said until now."""
    is_flying = None
    ends = [*(when for when, _ in said[1:]), now]
    for (begin, is_armed), end in zip(said, ends, strict=False):
        if end - begin >= (debounce if is_armed else max(debounce, post_roll)):
            is_flying = is_armed
    return is_flying


@given(st.lists(st.integers(1, 40), max_size=12), st.booleans(), st.integers(0, 20), st.data())
def test_the_switch_at_every_moment(
    pauses: list[int], is_armed: bool, debounce: int, data: st.DataObject
) -> None:
    post_roll = data.draw(st.integers(0, 60))
    switch = Switch(debounce, post_roll)
    said: list[tuple[int, bool]] = []
    now = 0
    for pause in pauses:
        switch.hear(is_armed, now)
        said.append((now, is_armed))
        for _ in range(pause):
            assert switch.is_on(now) is truth(said, now, debounce, post_roll)
            switch.hear(is_armed, now)  # again: nothing new
            now += 1
        assert switch.is_on(now) is truth(said, now, debounce, post_roll)
        is_armed = not is_armed


def test_its_recorder_is_the_recorder() -> None:
    assert TriggerConfig().recorder == NODE_NAME
