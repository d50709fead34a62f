# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`topics`, `exclude` and `max_rate` are changed in flight: topics that stay lose nothing."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import signal
import time

from fdr_recorder import recover, Verdict, verify
from fdr_recorder.cli.main import main
from fdr_recorder.flights.live.flight_watch import FlightWatch
from fdr_recorder.record.kinds import ConfigChange, Throttled
from flight_check import FlightFiles
from ground import Ground
from publisher_process import PublisherProcess
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import Bool

CHANGES = int(os.environ.get('FDR_TEST_CHANGES', '9'))
"""As many in flight; more by hand."""
HZ = 200
LONGEST_NS = 1_500_000_000
STATES: tuple[dict[str, list[str]], ...] = (
    {'topics': ['/stay', '/go'], 'exclude': [''], 'max_rate': ['/go=20.0']},
    {'topics': ['/stay', '/late'], 'exclude': [''], 'max_rate': ['']},
    {'topics': ['/*'], 'exclude': ['/late', '/rosout'], 'max_rate': ['/free=50']},
)


def check_account(flight: FlightFiles, topic: str) -> None:
    """Check that each message from the first that is recorded to the last is accounted for."""
    (account,) = [item for item in flight.footer.producers if item.topic == topic]
    numbers = [message.sequence for message in flight.of_topic(topic)]
    assert account.lost_transport == account.before_match == 0
    told = [record for record in flight.payloads(Throttled) if record.topic == topic]
    assert sum(record.records for record in told) == account.throttled
    assert len(set(numbers)) == len(numbers) == account.written
    between = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert between <= account.throttled  # of which some may be behind the last


def waiter(ground: Ground, watch: FlightWatch, topic: str) -> Callable[[], object]:
    """Return a function that waits for a message that is not on the disk yet."""

    def stored() -> int:
        watch.read(0.1)
        return sum(item.messages or 0 for item in watch.said('open').topics if item.name == topic)

    before = stored()
    return lambda: ground.wait_until(lambda: stored() > before, f'messages of {topic}')


@pytest.mark.smoke
def test_what_is_recorded_is_changed_under_load(
    ground: Ground, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        RecorderProcess(ground, tmp_path, root, topics=['/stay', '/typo']) as recorder,
        PublisherProcess(ground, tmp_path, '/stay') as stay,
        PublisherProcess(ground, tmp_path, '/go', subscribers=0) as go,
        PublisherProcess(ground, tmp_path, '/late', subscribers=0, node='late') as late,
    ):
        recorder.make('configure')
        for publisher in (stay, go, late):
            publisher.hear()
        recorder.make('activate')
        ground.wait_until(lambda: ground.gids('/go') and ground.gids('/late'), 'their topics')
        for publisher in (stay, go, late):
            publisher.say('run', 0, HZ)
        watch = FlightWatch(recorder.flights()[-1])
        for number in range(CHANGES):
            new = ('/go', '/late', '/go')[number % len(STATES)]
            wait_for_more = waiter(ground, watch, new)
            for option, value in STATES[number % len(STATES)].items():
                assert not recorder.set(option, value)
            wait_for_more()
        assert recorder.set('topics', ['not a topic']) == (
            "topics: 'not a topic': not a topic name, with or without the wildcards * and ?"
        )
        assert recorder.set('max_rate', ['/go=0']).startswith('max_rate: /go=0: ')
        last = STATES[(CHANGES - 1) % len(STATES)]['topics']
        assert recorder.get('topics') == last
        for value in ([*last, 'x' * 247], last):  # with the namespace, no topic can have it
            assert not recorder.set('topics', value)
        assert not recorder.set('writer.flight_cap_bytes', 1 << 40)
        watch.close()
        count = stay.ask('stop')['published']
        for publisher in (go, late):
            publisher.ask('stop')
        recorder.make('deactivate')
        flight = recorder.read_flight()
    (account,) = [item for item in flight.footer.producers if item.topic == '/stay']
    assert (account.written, account.lost_transport, account.throttled) == (count, 0, 0)
    for topic in ('/go', '/late'):
        check_account(flight, topic)
    changes = flight.payloads(ConfigChange)
    assert changes[0].option == 'topics'
    assert json.loads(changes[0].before) == ['/stay', '/typo']
    assert json.loads(changes[0].after) == STATES[0]['topics']
    assert [(item.topic, item.is_recorded) for item in changes[0].topics] == [('/go', True)]
    assert min(change.changed_ns for change in changes) > 0
    assert [json.loads(change.after)[-1] for change in changes[-3:-1]] == ['x' * 247, last[-1]]
    assert changes[-1].option == 'writer.flight_cap_bytes'
    assert changes[-1].after == str(1 << 40)
    by_name = {item.name: item.outcome for item in flight.footer.requested}
    assert '/typo' not in by_name  # it was withdrawn
    assert set(by_name.values()) == {'recorded'}
    silences = {item.topic: item.longest_silence_ns for item in flight.footer.topics}
    assert max(silences['/go'], silences['/late']) < LONGEST_NS
    result = verify(flight.path)
    assert not result.damage
    assert result.verdict is Verdict.COMPLETE
    assert main(['info', str(flight.path)]) == 0
    out = capsys.readouterr().out
    assert '["/stay", "/typo"] becomes ["/stay", "/go"]; begins: /go' in out
    assert 'max_rate  none; changed in flight, see below' in out


@pytest.mark.parametrize('ends', ['closed', 'killed'])
def test_a_topic_that_comes_later_was_not_silent_before_it_was_asked_for(
    ground: Ground, tmp_path: Path, root: Path, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        ground.wait_until(lambda: time.monotonic() > deadline)

    with RecorderProcess(ground, tmp_path, root, topics=['/old/*']) as recorder:
        recorder.make('configure', 'activate')
        wait(4.0)
        assert not recorder.set('topics', ['/old/*', '/new/*'])
        assert not recorder.set('max_rate', ['/new/a=100'])
        wait(1.5)
        publishers = {topic: ground.publisher(Bool, topic) for topic in ('/new/a', '/old/b')}
        for publisher in publishers.values():
            publisher.publish(Bool(data=True))
        for topic in publishers:
            ground.wait_until(lambda of=topic: recorder.stored(of), 'a message on disk')
        if ends == 'closed':
            recorder.make('deactivate')
        else:
            recorder.send(signal.SIGKILL)
    (path,) = recorder.flights()
    if ends == 'killed':
        recover(root)
    silences = {item.topic: item.longest_silence_ns / 1e9 for item in verify(path).footer.topics}
    assert 1.4 < silences['/new/a'] < 3.9
    assert silences['/old/b'] > 5.4
    assert main(['info', str(path)]) == 0
    assert 'by ["/old/*", "/new/*"]; begins: /new/a' in capsys.readouterr().out
