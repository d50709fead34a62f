# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr check` with ROS: the recorder is rehearsed, with real publishers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from ground import DEADLINE_S, Ground
from publisher_process import PublisherProcess
from ros_domain import ros_environment
from std_msgs.msg import String
import yaml


@contextmanager
def checking(
    ground: Ground, tmp_path: Path, *arguments: str, **options: object
) -> Iterator[subprocess.Popen[str]]:
    """Run `fdr check` in the domain of a ground station."""
    root = tmp_path / 'flights'
    root.mkdir()
    parameters = tmp_path / 'parameters.yaml'
    values = {'flight_root': str(root), 'writer': {'min_free_bytes': 0}, **options}
    parameters.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
    command = [sys.executable, '-m', 'fdr_recorder.cli', 'check', '--json']
    with subprocess.Popen(
        [*command, '--config', str(parameters), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ros_environment(ground.domain_id)},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
        assert list(root.iterdir()) == []


def result(process: subprocess.Popen[str], code: int) -> tuple[dict[str, list[str]], Any]:
    """Return the texts of all checks by verdict, and what was measured by topic."""
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, out
    said = json.loads(out)
    texts: dict[str, list[str]] = {}
    for item in said['checks']:
        texts.setdefault(item['verdict'], []).append(f'{item["name"]}: {item["text"]}')
    return texts, {topic['name']: topic for topic in said['topics']}


def publish_until_the_end(
    publisher: PublisherProcess, process: subprocess.Popen[str], ground: Ground
) -> int:
    """Publish for as long as the check takes; return how many messages."""
    publisher.hear()  # it is subscribed to
    sent = 0
    while process.poll() is None:
        sent += publisher.ask('publish', sent, 5)['published']
        ground.spin()
    return sent


def test_topics_are_heard_and_their_rate_is_measured(ground: Ground, tmp_path: Path) -> None:
    with (
        PublisherProcess(ground, tmp_path, '/chatter', size=100_000) as publisher,
        checking(
            ground, tmp_path, '--measure', '1', topics=['/chat*'], required=['/chatter'],
            max_rate=['/cam*=2', '/ch*=999999'],
        ) as process,
    ):
        sent = publish_until_the_end(publisher, process, ground)
        texts, topics = result(process, 0)
    assert set(texts) == {'ok'}
    rates = 'max_rate: /cam*=2 limits no topic that is known; /ch*=999999 limits /chatter'
    assert rates in texts['ok']
    chatter = topics['/chatter']
    assert chatter['type'] == 'std_msgs/msg/String'
    assert 0 < chatter['messages'] <= sent
    assert chatter['bytes'] > chatter['messages'] * 100_000
    (space,) = (text for text in texts['ok'] if text.startswith('space'))
    assert '/s, so it lasts' in space


def test_a_rate_that_the_disk_cannot_take_for_so_long(ground: Ground, tmp_path: Path) -> None:
    with (
        PublisherProcess(ground, tmp_path, '/chatter', size=100_000) as publisher,
        checking(
            ground, tmp_path, '--measure', '1', '--minutes', '900000000', topics=['/chatter'],
            writer={'min_free_bytes': 0, 'flight_cap_bytes': 2**62},
        ) as process,
    ):  # fmt: skip
        publish_until_the_end(publisher, process, ground)
        texts, _ = result(process, 1)
    assert len(texts['failed']) == 1
    assert 'not 9e+08 min' in texts['failed'][0]


def test_a_required_topic_that_nobody_publishes_and_a_condition_that_does_not_fit(
    ground: Ground, tmp_path: Path
) -> None:
    publisher = ground.node.create_publisher(String, '/there', 10)
    condition = '/there: voltage < 3'
    options = {
        'topics': ['/there', '/also'],
        'required': ['/absent'],
        'hold_while_armed': True,
        'armed': {'source': 'none', 'trigger_on': [condition]},
        'pin_on': ['/there: current > 9'],
    }
    with checking(ground, tmp_path, '--measure', '1', **options) as process:
        while process.poll() is None:
            publisher.publish(String(data='here'))
            ground.spin()
        texts, topics = result(process, 1)
    assert sorted(texts['failed']) == [
        "topics: '/there: current > 9': std_msgs/msg/String has no field current; it has data",
        f'topics: {condition!r}: std_msgs/msg/String has no field voltage; it has data',
        'topics: /absent is required and has no publisher',
    ]
    assert set(topics) == {'/there'}


def test_silence_is_a_failure(ground: Ground, tmp_path: Path) -> None:
    with checking(ground, tmp_path, '--measure', '1', topics=['/imu']) as process:
        texts, topics = result(process, 1)
    assert any('0 messages of 0 topics' in text for text in texts['failed'])
    assert any(text.startswith('space') for text in texts['skipped'])
    assert topics == {}


def test_a_running_recorder_is_not_disturbed(ground: Ground, tmp_path: Path) -> None:
    from recorder_process import RecorderProcess

    publisher = ground.node.create_publisher(String, '/there', 10)
    directory = tmp_path / 'recorder'
    (directory / 'flights').mkdir(parents=True)
    with RecorderProcess(ground, directory, topics=['/there']) as recorder:
        recorder.make('configure', 'activate')
        values = {'flight_root': str(recorder.root), 'topics': ['/there']}
        with checking(ground, tmp_path, '--measure', '1', **values) as process:
            while process.poll() is None:
                publisher.publish(String(data='here'))
                ground.spin()
            texts, _ = result(process, 0)
        assert any('a recorder owns it' in text for text in texts['ok'])
        assert recorder.state() == 'active'
        recorder.make('deactivate', 'cleanup')
        flight = recorder.read_flight()
    assert flight.footer.clean_shutdown
