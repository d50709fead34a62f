# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The middleware fails for one topic, or for all: that topic is told, the others go on."""

from __future__ import annotations

from pathlib import Path
import threading

from faulty_recorder import Faults, FaultyRecorder
from fdr_recorder.capture.client import MAX_LOSS
from ground import Ground, LATCHED, RELIABLE
import pytest
from std_msgs.msg import String


class UnspeakableError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError('not even this')

    __repr__ = __str__


ERRORS = {
    'of the middleware': RuntimeError('failed to take raw message from subscription'),
    'of memory': MemoryError(),
    'of text': UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'invalid start byte'),
    'with surrogates': ValueError('\udcff' * 5000),
    'that cannot be shown': UnspeakableError(),
    'that ends a thread': SystemExit(3),
}


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def publish(publisher: object, count: int) -> None:
    for number in range(count):
        publisher.publish(String(data=f'{number}'))  # type: ignore[attr-defined]


@pytest.mark.parametrize('error', ERRORS.values(), ids=ERRORS.keys())
def test_the_take_of_one_topic_fails(ground: Ground, root: Path, error: BaseException) -> None:
    faults = Faults()
    with FaultyRecorder(ground, root, faults, topics=('/good', '/bad')) as recorder:
        good = ground.publisher(String, '/good')
        bad = ground.publisher(String, '/bad')
        publish(bad, 1)
        ground.wait_until(lambda: len(recorder.stored('/bad')) == 1, 'the first')
        faults.errors['take', '/bad'] = error
        publish(bad, 5)
        alert = recorder.alert('topic_failed', '/bad')
        assert '/bad cannot be taken from the middleware' in alert.message
        assert type(error).__name__ in alert.message
        assert alert.message.isprintable()
        publish(good, 100)
        ground.wait_until(lambda: len(recorder.stored('/good')) == 100, 'the other topic')
        ground.wait_until(lambda: len(faults.raised) >= 4, 'several tries')
        assert threads() >= {'fdr_intake', 'fdr_watch', 'fdr_writer'}
        faults.errors.clear()
        ground.wait_until(bad.get_subscription_count, 'its subscription')
        publish(bad, 5)
        recorder.wait_until_over()
        flight = recorder.close()
    told = {(alert.code, alert.raised) for alert in recorder.told if alert.subject == '/bad'}
    assert told >= {('topic_failed', True), ('topic_failed', False)}
    assert {alert.subject for alert in recorder.told} == {'/bad'}
    recorded = [message.sequence for message in flight.of_topic('/bad')]
    assert recorded == sorted(set(recorded))
    assert recorded[-1] == 11
    assert len(recorded) + flight.footer.records_lost_transport == 11


@pytest.mark.parametrize(
    'call', ['subscribe', 'count_publishers', 'resolve_topic_name', 'has_changed']
)
def test_the_watch_fails_at_one_topic(ground: Ground, root: Path, call: str) -> None:
    faults = Faults()
    faults.errors[call, '/bad'] = RuntimeError('no such thing')
    bad = ground.publisher(String, '/bad', recorders=0)
    good = ground.publisher(String, '/good', recorders=0)
    ground.wait_until(lambda: ground.node.count_publishers('/bad'), 'the graph')
    with FaultyRecorder(ground, root, faults, all_topics=True) as recorder:
        ground.wait_until(good.get_subscription_count, 'the recorder')
        publish(good, 10)
        code = 'type_conflict' if call == 'subscribe' else 'topic_failed'
        alert = recorder.alert(code, '/bad')
        assert alert.message.startswith('/bad ')
        assert 'no such thing' in alert.message
        ground.wait_until(lambda: faults.raised.count((call, '/bad')) >= 3, 'more tries')
        later = ground.publisher(String, '/later')
        publish(later, 3)
        ground.wait_until(lambda: len(recorder.stored('/later')) == 3, 'a later topic')
        faults.errors.clear()
        ground.wait_until(bad.get_subscription_count, 'its subscription')
        publish(bad, 3)
        ground.wait_until(lambda: len(recorder.stored('/bad')) == 3, 'the topic after all')
        recorder.wait_until_over()
        flight = recorder.close()
    assert len(flight.of_topic('/good')) == 10


def test_publishers_that_cannot_be_listed(ground: Ground, root: Path) -> None:
    """The topic is recorded all the same, with a QoS that every publisher is compatible with."""
    faults = Faults()
    faults.errors['get_publishers_info_by_topic', '/bad'] = ERRORS['of text']
    bad = ground.publisher(String, '/bad', recorders=0)
    ground.wait_until(lambda: ground.node.count_publishers('/bad'), 'the graph')
    with FaultyRecorder(ground, root, faults, topics=('/good', '/bad')) as recorder:
        good = ground.publisher(String, '/good')
        ground.wait_until(bad.get_subscription_count, 'the recorder')
        publish(good, 10)
        publish(bad, 10)
        for topic in ('/good', '/bad'):
            ground.wait_until(lambda: len(recorder.stored(topic)) == 10, topic)  # noqa: B023
        assert 'UnicodeDecodeError' in recorder.alert('topic_failed', '/bad').message
        faults.errors.clear()
        recorder.wait_until_over()
        recorder.close()


def test_topics_that_cannot_be_listed(ground: Ground, root: Path) -> None:
    """Those that are wanted by name are found by their names."""
    faults = Faults()
    faults.errors['get_topic_names_and_types', ''] = ERRORS['of text']
    with FaultyRecorder(ground, root, faults, topics=('/good',)) as recorder:
        assert 'topics cannot be listed' in recorder.alert('topic_failed').message
        good = ground.publisher(String, '/good')
        publish(good, 10)
        ground.wait_until(lambda: len(recorder.stored('/good')) == 10, 'the topic')
        faults.errors.clear()
        recorder.wait_until_over()
        recorder.close()


@pytest.mark.parametrize('call', ['wait', 'serving', 'gather', 'wake'])
def test_the_middleware_fails_for_all_topics(ground: Ground, root: Path, call: str) -> None:
    faults = Faults()
    with FaultyRecorder(ground, root, faults, topics=('/one', '/other')) as recorder:
        one, other = (ground.publisher(String, topic) for topic in ('/one', '/other'))
        faults.errors[call, ''] = RuntimeError('wait set is invalid')
        if call == 'wake':
            recorder.intake.name_publishers('/one', {})
        alert = recorder.alert('intake_failed')
        assert 'wait set is invalid' in alert.message
        publish(one, 20)
        publish(other, 20)
        if call != 'gather':  # messages are recorded while it lasts
            for topic in ('/one', '/other'):
                ground.wait_until(lambda: len(recorder.stored(topic)) == 20, topic)  # noqa: B023
        else:
            ground.wait_until(lambda: len(faults.raised) >= 3, 'more tries')
        faults.errors.clear()
        recorder.wait_until_over()
        flight = recorder.close()
    states = [(alert.code, alert.raised) for alert in recorder.told]
    assert states[0] == ('intake_failed', True)
    assert states[-1] == ('intake_failed', False)
    for topic in ('/one', '/other'):
        assert len(flight.of_topic(topic)) == 20
    assert flight.footer.records_lost_transport == 0


@pytest.mark.parametrize('call', ['take', 'subscribe'])
def test_the_replay_of_a_latched_topic_fails(ground: Ground, root: Path, call: str) -> None:
    faults = Faults()
    with FaultyRecorder(ground, root, faults, topics=('/static', '/bad')) as recorder:
        latched = {
            topic: ground.publisher(String, topic, LATCHED) for topic in ('/static', '/bad')
        }
        for topic, publisher in latched.items():
            publish(publisher, 1)
            ground.wait_until(lambda: recorder.stored(topic), topic)  # noqa: B023
        recorder.close()
        faults.errors[call, '/bad'] = RuntimeError('not now')
        recorder.open('y')
        assert 'not now' in recorder.alert('topic_failed', '/bad').message
        faults.errors.clear()
        publish(latched['/bad'], 1)
        for topic, count in (('/static', 1), ('/bad', 2)):
            ground.wait_until(
                lambda: len(recorder.stored(topic, 'y')) >= count, topic  # noqa: B023
            )
        recorder.wait_until_over()
        recorder.close('y')


def test_a_request_that_fails_does_not_stop_the_others(ground: Ground, root: Path) -> None:
    with FaultyRecorder(ground, root, Faults(), topics=('/good',)) as recorder:
        good = ground.publisher(String, '/good', RELIABLE)
        recorder.intake.name_publishers('/no_such_topic', {})
        publish(good, 5)
        ground.wait_until(lambda: len(recorder.stored('/good')) == 5, 'the topic')
        ground.wait_until(lambda: recorder.told, 'the alert')
        recorder.wait_until_over()
        recorder.close()
    assert {alert.code for alert in recorder.told} == {'intake_failed'}


@pytest.mark.parametrize(
    ('numbers', 'recorded', 'lost'),
    [
        ((1, 2, 2**63, 3, 4), 5, MAX_LOSS),
        ((1, 2**64 - 2, 1, 2), 4, MAX_LOSS),
        ((1, 2**64 - 1, 3, 9), 4, 0),
        ((1, -5, 2, 9), 4, 0),
        ((0, 1, 5), 3, 3),
        ((1, 2, 1, 2, 3), 5, 0),
        ((3, 3, 3, 3, 4), 5, 0),
        ((1, 2, 3, 1, 2, 4), 6, 1),
    ],
)
def test_absurd_sequence_numbers(
    ground: Ground, root: Path, numbers: tuple[int, ...], recorded: int, lost: int
) -> None:
    """All are kept; losses are counted as long as all have numbers."""
    faults = Faults()
    with FaultyRecorder(ground, root, faults, topics=('/odd',)) as recorder:
        publisher = ground.publisher(String, '/odd')
        left = iter(numbers)
        faults.change['/odd'] = lambda message: (*message[:3], next(left), message[4])
        publish(publisher, len(numbers))
        ground.wait_until(lambda: len(recorder.stored('/odd')) >= recorded, 'all that is new')
        flight = recorder.close()
    assert len(flight.of_topic('/odd')) == recorded
    assert flight.footer.records_lost_transport == lost
    assert {alert.code for alert in recorder.told} <= {'transport_loss'}
