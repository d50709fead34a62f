# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which participant subscribes, with middlewares that accept one type of a topic, or all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fdr_recorder.node.intake import participants
from fdr_recorder.node.intake.participants import Participants
from fdr_recorder.topics.names import TopicType
from ground import Ground
import pytest
import rclpy
from rclpy.context import Context

TEXT, NUMBER, THIRD = (TopicType('/x', name) for name in ('text', 'number', 'third'))
Make = Callable[[Any], str]


class Scene:
    """Participants around the ground's node, and what their middleware accepts."""

    def __init__(self, ground: Ground) -> None:
        self.first = ground.node
        self.made: list[Any] = []
        self.gone: list[Any] = []
        self.participants = Participants(ground.node, self.made.append, self.gone.append)
        self.has: dict[tuple[Any, str], TopicType] = {}
        self.asked: list[Any] = []

    def make(self, key: TopicType) -> Callable[[Any], Any]:
        """Return what subscribes, as Fast DDS does: one type of a topic per participant."""

        def make(node: Any) -> Any:
            self.asked.append(node)
            if self.has.setdefault((node, key.topic), key) != key:
                raise RuntimeError('incompatible type')
            return node

        return make

    def subscribe(self, key: TopicType) -> Any:
        """Subscribe; return the node."""
        return self.participants.subscribe(key, self.make(key))


@pytest.fixture
def scene(ground: Ground) -> Iterator[Scene]:
    scene = Scene(ground)
    yield scene
    scene.participants.close()


def refuse(_node: Any) -> Any:
    raise RuntimeError('for another reason')


def test_a_middleware_that_accepts_one_type(scene: Scene) -> None:
    """Further participants are made as they are needed, and are gone when they are not."""
    assert scene.subscribe(TEXT) is scene.first
    second = scene.subscribe(NUMBER)
    third = scene.subscribe(THIRD)
    assert scene.made == [second, third]
    assert [node.get_name() for node in scene.made] == ['ground_type2', 'ground_type3']
    assert {node.context.get_domain_id() for node in scene.made} == {
        scene.first.context.get_domain_id()
    }
    assert scene.subscribe(NUMBER) is second
    scene.participants.leave(second, NUMBER)
    assert not scene.gone
    scene.participants.leave(second, NUMBER)
    assert scene.gone == [second]
    assert third.context.ok()
    assert scene.subscribe(NUMBER).get_name() == 'ground_type2'
    scene.participants.leave(scene.first, TEXT)
    assert scene.first.context.ok()


def test_a_middleware_that_accepts_all_types(scene: Scene) -> None:
    for key in (TEXT, NUMBER, THIRD):
        assert scene.participants.subscribe(key, lambda node: node) is scene.first
    assert not scene.made


def test_who_has_a_type_is_asked_first(scene: Scene) -> None:
    """A refusal is written to standard error on Jazzy, and costs time."""
    scene.subscribe(TEXT)
    second = scene.subscribe(NUMBER)
    scene.asked.clear()
    assert scene.subscribe(NUMBER) is second
    assert scene.asked == [second]


def test_a_refusal_for_another_reason(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new participant refuses, too: no other is made for a while, which grows."""
    now = 100.0
    monkeypatch.setattr(participants.time, 'monotonic', lambda: now)
    made = []
    for pause_s in (0.0, 1.0, 2.0, 4.0):
        now += pause_s
        for _ in range(3):
            with pytest.raises(RuntimeError, match='for another reason'):
                scene.participants.subscribe(TEXT, refuse)
        made.append(len(scene.made))
    assert made == [1, 2, 3, 4]
    assert scene.gone == scene.made
    now += 8.0
    scene.subscribe(TEXT)
    assert scene.subscribe(NUMBER) is not scene.first


def test_a_further_participant_has_the_enclave_of_the_first(ground: Ground) -> None:
    context = Context()
    enclave = ['--ros-args', '--enclave', '/fdr_recorder']
    context.init(enclave, domain_id=ground.node.context.get_domain_id())
    node = rclpy.create_node('recorder', context=context)
    try:
        scene = Scene(ground)
        scene.participants = Participants(node, scene.made.append)
        assert scene.subscribe(TEXT) is node
        second = scene.subscribe(NUMBER)
        found = second.get_node_names_and_namespaces_with_enclaves()
        assert ('recorder_type2', '/', '/fdr_recorder') in found
        scene.participants.close()
    finally:
        node.destroy_node()
        context.try_shutdown()
