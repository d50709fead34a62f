# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr play`: what was recorded is published again, and what is recorded of that is the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

from fdr_recorder import Channel, FdrConfig, FlightReader, record_flight, Schema
from fdr_recorder.flights.directory import flights_in
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.playback import Timed
from fdr_recorder.mcap.decode import FileChannel
from fdr_recorder.mcap.decode import Message as McapMessage
from fdr_recorder.node.definitions import installed_definitions
from fdr_recorder.node.play import Player, Schedule
from fdr_recorder.topics.names import TopicType
from flight_check import Message
from ground import Ground, RELIABLE, serialize_message
from json_documents import errors
import pytest
from recorder_process import RecorderProcess
from ros_domain import ros_environment
from rosgraph_msgs.msg import Clock
from screen import Screen
from std_msgs.msg import String

FDR = (sys.executable, '-m', 'fdr_recorder.cli')
COUNT = 200
STEP_NS = 10_000_000


def qos(durability: str, reliability: str = 'reliable', depth: int = 10) -> str:
    return json.dumps(
        [{
            'history': 'keep_last', 'depth': depth, 'reliability': reliability,
            'durability': durability, 'deadline': {'sec': 9223372036, 'nsec': 854775807},
            'liveliness': 'automatic',
        }]
    )


def text(content: str) -> bytes:
    return bytes(serialize_message(String(data=content)))


def started_ns(flight: Path) -> int:
    return list_flight(flight).started_ns


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """Record two seconds of a reliable, a best-effort and a latched topic, and an unknown type."""
    root = tmp_path / 'source'
    root.mkdir()
    (definition, *_) = installed_definitions('std_msgs/msg/String')
    config = {'flight_root': str(root), 'writer.min_free_bytes': 0, 'flight_id': 'source'}
    with record_flight(FdrConfig.from_options(config)) as recorded:

        def client(topic: str, profiles: str, schema: Schema = definition.schema) -> Any:
            metadata = {'offered_qos_profiles': profiles}
            return recorded.client(
                Channel(
                    topic,
                    schema,
                    publisher=topic.encode().hex(),
                    latched='transient_local' in profiles,
                    metadata=metadata,
                )
            )

        start_ns = started_ns(recorded.path) + STEP_NS // 2
        latched = client('/latched', qos('transient_local', depth=1))
        ticks = client('/ticks', qos('volatile'))
        tocks = client('/tocks', qos('volatile', 'best_effort'))
        unknown = client('/unknown', '', Schema('x_msgs/msg/X', 'int32 a\n'))
        latched.enqueue(text('first'), start_ns, start_ns, 1)
        for number in range(COUNT):
            at_ns = start_ns + number * STEP_NS
            while ticks.ring.fill > 0.5:
                time.sleep(0.001)
            ticks.enqueue(text(f'tick {number}'), at_ns, at_ns, number)
            if not number % 10:
                tocks.enqueue(text(f'tock {number}'), at_ns + 1, at_ns, number)
        latched.enqueue(text('second'), start_ns + COUNT * STEP_NS // 2 + 2, start_ns, 2)
        unknown.enqueue(b'\0\1\0\0\1\0\0\0', start_ns + 3)
    return recorded.path


def play(ground: Ground, flight: Path, *words: object) -> tuple[int, dict[str, Any], str]:
    """Play; return exit code, document, and stderr."""
    done = subprocess.run(
        [*FDR, 'play', flight, '--json', *map(str, words)],
        env={**os.environ, **ros_environment(ground.domain_id)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_it_is_recorded_again_as_it_was(
    ground: Ground, flight: Path, tmp_path: Path, root: Path
) -> None:
    topics = ['/latched', '/again/ticks', '/tocks']
    with RecorderProcess(ground, tmp_path, root, topics=topics) as recorder:
        recorder.make('configure', 'activate')
        code, said, err = play(
            ground, flight, '--remap', '/ticks:=/again/ticks', '--delay', 5
        )
        recorder.make('deactivate')
    assert code == 1
    assert not errors('play', said)
    assert '/unknown is left out: x_msgs is not installed here' in err
    assert (said['messages'], said['topics']) == (COUNT + COUNT // 10 + 2, 3)
    assert [(item['name'], item['type']) for item in said['left_out']] == [
        ('/unknown', 'x_msgs/msg/X')
    ]
    again = recorder.read_flight()
    ticks = again.of_topic('/again/ticks')
    assert_same(ticks, [f'tick {number}' for number in range(COUNT)])
    assert_same(again.of_topic('/tocks'), [f'tock {number}' for number in range(0, COUNT, 10)])
    assert_same(again.of_topic('/latched'), ['first', 'second'])
    spread = (ticks[-1].publish_time - ticks[0].publish_time) / 1e9
    assert spread == pytest.approx((COUNT - 1) * STEP_NS / 1e9, abs=0.3)
    (path,) = flights_in(root)
    profiles = {
        message.channel.topic: message.channel.metadata.get('offered_qos_profiles', '')
        for message in FlightReader(path).messages()
    }
    assert 'transient_local' in profiles['/latched']
    assert 'best_effort' in profiles['/tocks']
    assert 'best_effort' not in profiles['/again/ticks']


def assert_same(messages: list[Message], texts: list[str]) -> None:
    """Check that every byte is there, in order; the middleware pads to four bytes."""
    assert len(messages) == len(texts)
    for message, content in zip(messages, texts, strict=True):
        expected = text(content)
        assert message.data == expected + bytes(-len(expected) % 4)


def test_a_part_twice_as_fast_with_its_latched_message_and_the_clock(
    ground: Ground, flight: Path
) -> None:
    heard: list[str] = []
    clock: list[float] = []
    clock_at: list[float] = []
    for topic in ('/ticks', '/latched'):
        ground.node.create_subscription(String, topic, lambda m: heard.append(m.data), RELIABLE)

    def note_clock(message: Clock) -> None:
        clock.append(message.clock.sec + message.clock.nanosec / 1e9)
        clock_at.append(time.monotonic())

    ground.node.create_subscription(Clock, '/clock', note_clock, RELIABLE)
    process = subprocess.Popen(
        [*FDR, 'play', flight, '--json', '-t', '/ticks', '-t', '/latched', '--rate', '2',
         '--start', '1.2', '--duration', '0.5', '--clock', '100', '--delay', '2'],
        env={**os.environ, **ros_environment(ground.domain_id)},
        stdout=subprocess.PIPE,
        text=True,
    )
    ground.wait_until(lambda: process.poll() is not None and heard, 'its end')
    out, _ = process.communicate()
    ground.wait_until(lambda: 'tick 169' in heard, 'the last one')
    assert heard == ['second', *(f'tick {number}' for number in range(120, 170))]
    said = json.loads(out)
    assert 2 + 0.2 < said['seconds'] < 2 + 0.25 + 5.5  # it begins 2 s after the last is found
    assert clock_at[-1] - clock_at[0] == pytest.approx(0.25, abs=0.2)
    assert clock == sorted(clock)
    began_s = started_ns(flight) / 1e9
    assert clock[0] == pytest.approx(began_s + 1.2, abs=0.1)
    assert clock[-1] == pytest.approx(began_s + 1.7, abs=0.1)
    assert len(clock) == pytest.approx(25, abs=4)


def test_again_and_again_with_pauses_on_a_terminal(ground: Ground, flight: Path) -> None:
    heard: list[str] = []
    ground.node.create_subscription(String, '/ticks', lambda m: heard.append(m.data), RELIABLE)
    command = [*FDR, 'play', str(flight), '-t', '/ticks', '--loop', '--rate', '4', '--delay', '1']
    with Screen(command, 80, 24, **ros_environment(ground.domain_id)) as screen:
        ground.wait_until(lambda: heard.count('tick 199') > 1, 'it begins again')
        screen.type(b' ')
        ground.wait_until(lambda: screen.shows('paused'), 'a pause')
        ground.spin()
        before = len(heard)
        screen.read()
        end = time.monotonic() + 0.5
        ground.wait_until(lambda: time.monotonic() > end, 'half a second')
        assert len(heard) <= before + 1
        screen.type(b' ')
        ground.wait_until(lambda: len(heard) > before + 20, 'it goes on')
        screen.type(b'\x03')
        assert screen.end() == 130
        assert screen.settings_now() == screen.settings


@pytest.mark.parametrize(
    ('delay_s', 'changes', 'least_s'), [(0.2, 4, 0.6), (0.2, 1_000_000, 0.7), (0.0, 9, 0.0)]
)
def test_the_first_message_waits_while_subscribers_are_found(
    monkeypatch: pytest.MonkeyPatch, delay_s: float, changes: int, least_s: float
) -> None:
    monkeypatch.setattr('fdr_recorder.node.play._LONGEST_SEARCH_S', 0.5)
    began = time.monotonic()
    published = []

    def found() -> int:
        """Tell of another subscriber every tenth of a second, up to some number of them."""
        return min(int((time.monotonic() - began) / 0.1), changes)

    key = TopicType('/x', 'a/msg/X')
    channel = FileChannel(1, '/x', 1, Schema('a/msg/X', ''), 'cdr', {})
    message = McapMessage(channel, 0, 0, 0, b'')
    publisher = SimpleNamespace(publish=lambda _data: published.append(time.monotonic() - began))
    outlets = SimpleNamespace(by_topic={key: publisher}, found=found)
    player = Player(
        SimpleNamespace(),  # type: ignore[arg-type]
        outlets,  # type: ignore[arg-type]
        lambda: iter([Timed(0, message)]),
        Schedule(delay_s=delay_s),
    )
    player.start()
    player.join(10)
    assert player.error is None
    (at_s,) = published
    assert at_s >= least_s


def test_nothing_to_play(ground: Ground, flight: Path) -> None:
    code, _, err = play(ground, flight, '-t', '/none')
    assert code == 3
    assert 'has none of the topics' in err
    code, _, err = play(ground, flight, '-t', '/unknown')
    assert code == 3
    assert '/unknown is left out: ' in err
    assert 'has no topic that can be published here' in err
