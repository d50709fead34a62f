# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Conditions on topics of a real graph: what messages say, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fdr_recorder.alerts import AlertBoard
from fdr_recorder.errors import ConditionError
from fdr_recorder.node.conditions import armed_watch
from fdr_recorder.node.conditions.armed_watch import ArmedWatch
from fdr_recorder.node.conditions.comparison import bind
from fdr_recorder.node.conditions.rising_edges import RisingEdges
from fdr_recorder.node.quarantine import Quarantine
from fdr_recorder.topics.armed import ArmedConfig
from fdr_recorder.topics.condition import Condition, parse_condition
from geometry_msgs.msg import PoseArray, PoseWithCovariance
from ground import Ground, LATCHED
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from recorder_process import RecorderProcess
from sensor_msgs.msg import BatteryState, CompressedImage, Joy
from std_msgs.msg import (
    Bool,
    ByteMultiArray,
    Float32,
    Int32,
    String,
    UInt16MultiArray,
)
from trigger_process import TriggerProcess, until

# --- one message -------------------------------------------------------------------------------

BAD = DiagnosticStatus(level=DiagnosticStatus.ERROR)


def says(text: str, message: Any) -> bool | None:
    """Return what a message says that has come over a wire."""
    received = deserialize_message(serialize_message(message), type(message))
    return bind(parse_condition(f'/x: {text}'), type(message))(received)


@pytest.mark.parametrize(
    ('text', 'message', 'expected'),
    [
        ('voltage < 14.2', BatteryState(voltage=14.1), True),
        ('voltage == 14.2', BatteryState(voltage=14.2), True),  # both are float32
        ('voltage >= 14.2', BatteryState(voltage=14.2), True),
        ('voltage < 1e300', BatteryState(voltage=14.2), True),
        ('voltage < 14.2', BatteryState(voltage=math.nan), None),
        ('voltage != 14.2', BatteryState(voltage=math.nan), None),
        ('cell_voltage[1] < 3.5', BatteryState(cell_voltage=[4.0, 3.4]), True),
        ('cell_voltage[1] < 3.5', BatteryState(cell_voltage=[3.0]), None),
        ('present == true', BatteryState(present=True), True),
        ('present != TRUE', BatteryState(present=True), False),
        ('location == "a b"', BatteryState(location='a b'), True),
        ('header.stamp.sec > -1', BatteryState(), True),
        ('power_supply_status == POWER_SUPPLY_STATUS_FULL', BatteryState(), False),
        ('power_supply_status == 0x0', BatteryState(), True),
        ('axes[4] > 1.5', Joy(axes=[0.0] * 4 + [2.0]), True),
        ('status[0].level >= ERROR', DiagnosticArray(status=[BAD]), True),
        ('status[0].level >= 1', DiagnosticArray(status=[]), None),
        ('data[1] == 7', CompressedImage(data=[1, 7]), True),
        ('data[1] == 7', ByteMultiArray(data=[b'\1', b'\7']), True),
        ('covariance[35] == 0', PoseWithCovariance(), True),
        ('pose.orientation.w > 0.5', PoseWithCovariance(), True),
    ],
)
def test_what_a_message_says(text: str, message: Any, expected: bool | None) -> None:
    assert says(text, message) is expected


@pytest.mark.parametrize(
    ('text', 'message', 'said'),
    [
        ('voltag < 3', BatteryState(), 'BatteryState has no field voltag; did you mean voltage?'),
        ('x < 3', Joy(), 'sensor_msgs/msg/Joy has no field x; it has header, axes, buttons'),
        ('header.x < 3', Joy(), 'std_msgs/msg/Header in header has no field x; it has stamp, fra'),
        ('header < 3', Joy(), 'header is a message; it has the fields stamp, frame_id'),
        ('axes > 3', Joy(), 'axes is an array: write axes[0]'),
        ('poses.position.x > 3', PoseArray(), 'poses is an array: write poses[0]'),
        ('axes[0].x > 3', Joy(), 'axes[0] has no fields'),
        ('header[0] > 3', Joy(), 'header is no array: leave out [0]'),
        ('covariance[36] > 3', PoseWithCovariance(), 'has 36 elements: [0] to [35]'),
        ('voltage < "3"', BatteryState(), 'voltage is a number'),
        ('voltage == true', BatteryState(), 'voltage is a number'),
        ('present == 1', BatteryState(), 'present is true or false'),
        ('present < true', BatteryState(), 'can only be compared with == and !='),
        ('location == 3', BatteryState(), 'location is a text: put the value in quotes'),
        ('location == FULL', BatteryState(), 'no constant FULL; put a text in quotes'),
        ('location == nan', BatteryState(), 'no constant nan'),
    ],
)
def test_a_condition_that_does_not_fit_the_type(text: str, message: Any, said: str) -> None:
    with pytest.raises(ConditionError) as told:
        says(text, message)
    assert said in str(told.value)


# --- who is called -----------------------------------------------------------------------------


class Scene:
    """Conditions that are watched by the ground's own node."""

    def __init__(self, ground: Ground, *conditions: str) -> None:
        self.ground = ground
        self.board = AlertBoard()
        self.begun: list[tuple[Condition, float]] = []
        self.edges = RisingEdges(
            ground.node,
            conditions,
            lambda condition, since: self.begun.append((condition, since)),
            Quarantine(self.board),
        )

    def wait_for(self, count: int) -> Condition:
        self.ground.wait_until(lambda: len(self.begun) >= count, f'{count} rising edges')
        assert len(self.begun) == count
        return self.begun[-1][0]

    def alerts(self) -> dict[str, str]:
        return {alert.subject: alert.message for alert in self.board.present()}


@pytest.fixture
def scenes(ground: Ground) -> Iterator[Any]:
    made: list[Scene] = []

    def make(*conditions: str) -> Scene:
        made.append(Scene(ground, *conditions))
        return made[-1]

    yield make
    for scene in made:
        scene.edges.stop()
        scene.edges.stop()
        assert not list(ground.node.timers)
        assert len(list(ground.node.subscriptions)) == 1  # the ground's own


def test_each_rising_edge_is_told_once(ground: Ground, scenes: Any) -> None:
    fast, slow = '/volts: data < 3.5 for 0.1 s', 'volts: data < 2.0 for 0.5 s'
    scene = scenes(fast, slow)
    volts = ground.publisher(Float32, '/volts', recorders=2)
    began = time.monotonic()
    for value in (4.0, 3.0, 3.0, 1.0):
        volts.publish(Float32(data=value))
    assert scene.wait_for(1).text == fast
    assert scene.wait_for(2).text == slow
    assert time.monotonic() - began >= 0.5
    assert all(began <= since <= began + 0.5 for _, since in scene.begun)
    volts.publish(Float32(data=math.nan))  # says nothing
    for value in (2.5, 1.0):  # it was over for less than its time
        volts.publish(Float32(data=value))
    volts.publish(Float32(data=4.0))
    deadline = time.monotonic() + 0.7  # by then, both are over
    ground.wait_until(lambda: time.monotonic() > deadline)
    assert len(scene.begun) == 2
    volts.publish(Float32(data=3.0))
    assert scene.wait_for(3).text == fast


def test_a_condition_without_a_debounce_is_told_at_once(ground: Ground, scenes: Any) -> None:
    scene = scenes('/kill: data == true for 0 s')
    switch = ground.publisher(Bool, '/kill')
    for value in (True, False, True):
        switch.publish(Bool(data=value))
    scene.wait_for(2)


def test_a_topic_of_another_type(ground: Ground, scenes: Any) -> None:
    """It is told what the type has, until a type that fits is published; that is taken."""
    text = '/level: data > 3 for 0 s'
    scene = scenes(text)
    wrong = ground.node.create_publisher(String, '/level', LATCHED)
    ground.wait_until(lambda: text in scene.alerts(), 'an alert')
    assert scene.alerts()[text] == f'{text!r}: data is a text: put the value in quotes'
    ground.node.destroy_publisher(wrong)
    ground.wait_until(lambda: not ground.node.count_publishers('/level'), 'it has gone')
    deadline = time.monotonic() + 2.5  # by then, the topic has been looked for
    ground.wait_until(lambda: time.monotonic() > deadline)
    assert text in scene.alerts()
    right = ground.node.create_publisher(Int32, '/level', LATCHED)
    right.publish(Int32(data=4))
    scene.wait_for(1)
    assert not scene.alerts()


# --- all sources together ----------------------------------------------------------------------


def test_a_condition_whose_topic_never_comes(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first word is waited for; then it counts as one that does not hold."""
    monkeypatch.setattr(armed_watch, 'GRACE_S', 0.5)
    low = ground.node.create_publisher(Float32, '/low', LATCHED)
    low.publish(Float32(data=5.0))
    config = ArmedConfig(source='none', trigger_on=('/low: data < 1', '/never: data < 1'))
    board = AlertBoard()
    watch = ArmedWatch(ground.node, config, board, Quarantine(board))
    began_at = time.monotonic()
    said = []

    def hear() -> bool:
        watch.find()
        said.append(watch.is_armed)
        return watch.is_armed is False

    ground.wait_until(hear, 'disarmed')
    assert time.monotonic() - began_at >= 0.5
    assert not any(said[:-1])
    low.publish(Float32(data=0.5))
    ground.wait_until(lambda: watch.is_armed, 'armed')
    assert watch.why_armed() == '/low: data < 1'
    watch.look(time.monotonic() + config.source_timeout_s + 1)
    assert {alert.subject for alert in board.present()} == {*config.trigger_on}
    watch.stop()
    assert not board.present()


# --- the flight trigger ------------------------------------------------------------------------


def test_conditions_open_and_close_flights(ground: Ground, tmp_path: Path, root: Path) -> None:
    """Of two conditions one is enough; the armed source does not take part."""
    conditions = ['/pulse: data[4] > 1500', '/tow: data == "pulled" for 0.05 s']
    pulse = ground.node.create_publisher(UInt16MultiArray, '/pulse', 10)
    tow = ground.node.create_publisher(String, '/tow', LATCHED)
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/pulse', '/tow']) as recorder,
        TriggerProcess(
            ground, tmp_path, source='none', trigger_on=conditions, source_timeout_s=1.0
        ) as trigger,
    ):
        silent = trigger.wait_for_alert('source', 'source_silent')
        assert '/pulse' in silent.message
        until(recorder, 'inactive')
        ground.wait_until(lambda: ground.node.count_subscribers('/pulse') == 2, 'both listen')
        ground.node.create_timer(0.1, lambda: pulse.publish(now))
        now = UInt16MultiArray(data=[1000, 1000, 1000, 1000, 2000])
        until(recorder, 'active')
        tow.publish(String(data='pulled'))
        trigger.wait_for_summary(lambda values: values['flight'] == 'yes', 'a flight')
        now.data[4] = 1000
        trigger.wait_for_summary(lambda values: values['flight'] == 'yes', 'it goes on')
        assert recorder.state() == 'active'
        tow.publish(String(data='let go'))
        until(recorder, 'inactive')
        flight = recorder.read_flight()
        assert len(flight.of_topic('/tow')) == 2


def test_a_condition_beside_the_armed_source(ground: Ground, tmp_path: Path, root: Path) -> None:
    """A condition that does not hold ends no flight of which the source has not spoken yet."""
    low = ground.node.create_publisher(Float32, '/low', LATCHED)
    low.publish(Float32(data=5.0))
    armed = ground.node.create_publisher(Bool, '/armed', LATCHED)
    options = {'trigger_on': ['/low: data < 1'], 'source_timeout_s': 0.0}
    with RecorderProcess(ground, tmp_path, root) as recorder:
        recorder.make('configure', 'activate')
        with TriggerProcess(ground, tmp_path, **options) as trigger:
            ground.wait_until(lambda: ground.node.count_subscribers('/low'), 'the trigger')
            trigger.wait_for_summary(lambda values: values['flight'] == 'unknown', 'unknown')
            assert recorder.state() == 'active'
            armed.publish(Bool(data=True))
            trigger.wait_for_summary(lambda values: values['flight'] == 'yes', 'a flight')
            armed.publish(Bool(data=False))
            until(recorder, 'inactive')
            low.publish(Float32(data=0.5))
            until(recorder, 'active')
            assert 'Traceback' not in trigger.log


def test_a_wrong_condition_ends_the_trigger_at_once(ground: Ground, tmp_path: Path) -> None:
    with TriggerProcess(ground, tmp_path, trigger_on=['/x voltage < 3']) as trigger:
        assert trigger.wait_for_end() == 1
        assert "trigger_on: '/x voltage < 3': it has no colon after the topic" in trigger.log
        assert 'Traceback' not in trigger.log
