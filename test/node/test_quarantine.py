# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Who is left alone for how long, and what is told of it."""

from __future__ import annotations

from fdr_recorder.alerts import Alert, AlertBoard
from fdr_recorder.node import quarantine
from fdr_recorder.node.quarantine import ALERT_HOLD_S, LONGEST_PAUSE_S, Quarantine
from fdr_recorder.topics.names import TopicType
import pytest

TAKE, LIST = 'cannot be taken', 'cannot be listed'


class Scene:
    """A quarantine whose time the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(quarantine.time, 'monotonic', lambda: self.now)
        self.board = AlertBoard()
        self.told: list[Alert] = []
        self.board.listen(self.told.append)
        self.cases = Quarantine(self.board)

    def fail(self, work: str = TAKE, topic: str = '/imu') -> float:
        """Fail once; return the pause."""
        return self.cases.blame(topic, work, RuntimeError('broken'))

    @property
    def states(self) -> list[bool]:
        """Whether the alerts were raised or cleared, in order."""
        return [alert.raised for alert in self.told]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_pauses_grow_up_to_a_limit(scene: Scene) -> None:
    pauses = []
    for _ in range(9):
        pauses.append(scene.fail())
        assert scene.cases.holds('/imu', TAKE)
        assert not scene.cases.holds('/imu', LIST)
        assert not scene.cases.holds('/scan', TAKE)
        assert scene.cases.held(TAKE) == {'/imu': scene.now + pauses[-1]}
        scene.now += pauses[-1]
        assert not scene.cases.holds('/imu', TAKE)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert scene.states == [True]
    (alert,) = scene.board.present()
    assert alert.message == '/imu cannot be taken: RuntimeError: broken'
    assert alert.values['faults'] == '9'


def test_success_shortens_the_pause_and_ends_the_alert_after_a_while(scene: Scene) -> None:
    scene.fail()
    scene.fail()
    scene.now += 2
    assert scene.cases.failing(TAKE) == {'/imu'}
    scene.cases.relent('/imu', TAKE)
    assert scene.cases.failing(TAKE) == set()
    scene.now += ALERT_HOLD_S - 0.1
    scene.cases.settle()
    assert scene.states == [True]
    assert scene.fail() == 1
    scene.now += 1
    scene.cases.relent('/imu', TAKE)
    scene.now += ALERT_HOLD_S
    scene.cases.settle()
    assert scene.states == [True, False]
    assert scene.fail() == 1


def test_a_silent_topic_is_told_over_when_its_trial_lasts(scene: Scene) -> None:
    for _ in range(4):
        pause = scene.fail()
    scene.now += 2 * pause + ALERT_HOLD_S - 0.1
    scene.cases.settle()
    assert scene.states == [True]
    scene.now += 0.1
    scene.cases.settle()
    assert scene.states == [True, False]


def test_two_faults_of_a_topic_are_one_alert(scene: Scene) -> None:
    scene.fail(TAKE)
    scene.fail(LIST)
    scene.cases.acquit('/imu', LIST)
    (alert,) = scene.board.present()
    assert TAKE in alert.message
    scene.cases.acquit('/imu', TAKE)
    assert scene.states == [True, False]


def test_guarded_work(scene: Scene) -> None:
    for error in (KeyError('x'), SystemExit(1)):
        with scene.cases.guard('/imu', TAKE):
            raise error
    assert scene.cases.faults('/imu', TAKE) == 2
    with scene.cases.guard('/imu', TAKE):
        pass
    assert scene.states == [True, False]
    with pytest.raises(KeyboardInterrupt), scene.cases.guard('/imu', TAKE):
        raise KeyboardInterrupt


def test_a_change_shortens_the_pause_and_the_end_of_a_topic_ends_its_alert(scene: Scene) -> None:
    scene.fail()
    scene.fail(topic='/scan')
    scene.cases.pardon('/imu')
    assert scene.cases.held(TAKE).keys() == {'/scan'}
    scene.cases.drop('/imu')
    assert [alert.subject for alert in scene.board.present()] == ['/scan']


def test_one_of_two_types_of_a_topic_fails(scene: Scene) -> None:
    """The other one goes on; the alert is the topic's, and says which type."""
    text, number = TopicType('/imu', 'a/msg/Text'), TopicType('/imu', 'a/msg/Number')
    scene.cases.blame(text, TAKE, RuntimeError('broken'))
    assert scene.cases.holds(text, TAKE)
    assert not scene.cases.holds(number, TAKE)
    assert scene.cases.held(TAKE).keys() == scene.cases.failing(TAKE) == {text}
    (alert,) = scene.board.present()
    assert (alert.subject, alert.values['type']) == ('/imu', 'a/msg/Text')
    assert scene.cases.tells('/imu', 'topic_failed')
    assert not scene.cases.tells('/scan', 'topic_failed')
    assert not scene.cases.tells('/imu', 'type_unknown')
    scene.cases.pardon('/imu')
    assert not scene.cases.holds(text, TAKE)


def test_the_alert_stays_until_all_types_of_a_topic_work(scene: Scene) -> None:
    text, number = TopicType('/imu', 'a/msg/Text'), TopicType('/imu', 'a/msg/Number')
    for key in (text, number):
        scene.cases.blame(key, TAKE, RuntimeError(key.type_name))
    scene.cases.drop(number)
    (alert,) = scene.board.present()
    assert 'a/msg/Text' in alert.message
    scene.fail(LIST)
    scene.cases.drop('/imu')
    assert scene.states == [True, False]
