# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which topics of a real graph are recorded: patterns, types, hidden topics, services, actions."""

from __future__ import annotations

from pathlib import Path

from ground import Ground, RELIABLE, serialize_message
import pytest
from rclpy.service_introspection import ServiceIntrospectionState
from recorder_process import are_the_same, RecorderProcess
from sensor_msgs.msg import Imu
from std_msgs.msg import String
from std_srvs.srv import Trigger

OWN = '/fdr/'


def publish_each(ground: Ground, *topics: str) -> None:
    """Publish a message on each topic, as soon as the recorder listens."""
    for topic in topics:
        ground.publisher(String, topic).publish(String(data=topic))


def wait_until_stored(recorder: RecorderProcess, *topics: str) -> None:
    for topic in topics:
        recorder.ground.wait_until(lambda topic=topic: recorder.stored(topic), f'{topic} on disk')


def recorded_topics(recorder: RecorderProcess) -> set[str]:
    """Return the topics of the only flight, the recorder's own left out."""
    messages = recorder.read_flight().messages
    return {item.topic for item in messages if not item.topic.startswith(OWN)}


def test_patterns_regex_types_and_exclusions(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {
        'topics': ['/camera/*', '/plain'],
        'regex': 'gp[st]',
        'topic_types': ['sensor_msgs/msg/Imu'],
        'exclude': ['/camera/raw'],
        'exclude_regex': 'secret$',
    }
    not_wanted = ['/camera/raw', '/camera/left/info', '/gps/secret', '/other', '/camera/_hidden']
    for topic in not_wanted:
        ground.publisher(String, topic, recorders=0)
    imu = ground.publisher(Imu, '/any/name', recorders=0)
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(imu.get_subscription_count, 'the recorder')
        imu.publish(Imu())
        wanted = ('/plain', '/camera/info', '/gps/fix')
        publish_each(ground, *wanted)  # all of them come later than the recorder
        wait_until_stored(recorder, '/any/name', *wanted)
        summary = recorder.wait_for_summary(
            lambda values: values['topics_subscribed'] == '4', 'four topics'
        )
        assert {item.key: item.value for item in summary.values}['topics_not_published'] == ''
        assert [topic for topic in not_wanted if ground.node.count_subscribers(topic)] == []
        recorder.make('deactivate')
    assert recorded_topics(recorder) == {'/any/name', *wanted}


def test_names_are_resolved_and_remapped(ground: Ground, tmp_path: Path, root: Path) -> None:
    rules = ['-r', '/imu:=/sensors/imu', '-r', '~/state:=/vehicle/state', '-r', '/gps:=/nowhere']
    options = {
        'topics': ['relative', '~/private', '/imu', '~/state', '/gp*'],
        'exclude': ['/gps_raw'],
        'required': ['/imu'],
    }
    gps = ground.publisher(String, '/gps', recorders=0)
    raw = ground.publisher(String, '/gps_raw', recorders=0)
    with RecorderProcess(ground, tmp_path, root, arguments=rules, **options) as recorder:
        recorder.make('configure', 'activate')
        topics = ['/relative', '/fdr_recorder/private', '/sensors/imu', '/vehicle/state', '/gpx']
        publish_each(ground, *topics)
        wait_until_stored(recorder, *topics)
        recorder.wait_for_ok('topics')
        assert gps.get_subscription_count() == raw.get_subscription_count() == 0
        recorder.make('deactivate')
    assert recorded_topics(recorder) == set(topics)


def test_all_topics_are_those_that_rosbag2_would_record(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    hidden = ground.publisher(String, '/_hidden', recorders=0)
    foreign = ground.publisher(String, '/fdr/foreign', recorders=0)
    with RecorderProcess(ground, tmp_path, root, all_topics=True) as recorder:
        recorder.make('configure', 'activate')
        publish_each(ground, '/chatter')
        wait_until_stored(recorder, '/chatter', '/diagnostics', '/rosout')
        recorder.make('deactivate')
        assert hidden.get_subscription_count() == foreign.get_subscription_count() == 0
    names = recorded_topics(recorder)
    assert {'/chatter', '/diagnostics', '/rosout'} <= names
    assert names <= {
        '/chatter',
        '/diagnostics',
        '/rosout',
        '/parameter_events',
        '/fdr_recorder/transition_event',
    }


def test_hidden_topics_when_asked_for(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/a/*', '/b/_spelled'], 'include_hidden_topics': True}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        publish_each(ground, '/a/_hidden', '/a/plain', '/b/_spelled')
        wait_until_stored(recorder, '/a/_hidden', '/a/plain', '/b/_spelled')
        recorder.make('deactivate')


def test_services_whose_introspection_is_on(ground: Ground, tmp_path: Path, root: Path) -> None:
    def answer(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, 'yes'
        return response

    for name in ('/reset', '/silent'):
        service = ground.node.create_service(Trigger, name, answer)
        if name == '/reset':
            service.configure_introspection(
                ground.node.get_clock(), RELIABLE, ServiceIntrospectionState.CONTENTS
            )
    events = '/reset/_service_event'
    with RecorderProcess(ground, tmp_path, root, all_services=True) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(lambda: ground.node.count_subscribers(events), 'the recorder')
        assert ground.call(Trigger, '/reset', Trigger.Request()).message == 'yes'
        assert ground.call(Trigger, '/silent', Trigger.Request()).message == 'yes'
        ground.wait_until(lambda: recorder.stored(events) >= 2, 'both events on disk')
        recorder.make('deactivate')
    assert recorded_topics(recorder) == {events}
    request, response = recorder.read_flight().of_topic(events)[:2]
    assert request.type == 'std_srvs/srv/Trigger_Event'
    assert b'yes' in response.data
    assert b'yes' not in request.data


def test_actions(ground: Ground, tmp_path: Path, root: Path) -> None:
    pytest.importorskip('test_msgs', reason='test_msgs has the action that is recorded')
    from rclpy.action import ActionServer
    from test_msgs.action import Fibonacci

    server = ActionServer(ground.node, Fibonacci, '/fly', lambda goal: Fibonacci.Result())
    topics = ['/fly/_action/feedback', '/fly/_action/status']
    feedback = Fibonacci.Impl.FeedbackMessage()
    feedback.feedback.sequence = [0, 1, 1]
    with RecorderProcess(ground, tmp_path, root, actions=['/f*']) as recorder:
        recorder.make('configure', 'activate')
        for topic in topics:
            ground.wait_until(
                lambda topic=topic: ground.node.count_subscribers(topic), f'{topic} is heard'
            )
        server._handle.publish_feedback(feedback)
        server._handle.publish_status()
        wait_until_stored(recorder, *topics)
        recorder.make('deactivate')
    server.destroy()
    flight = recorder.read_flight()
    assert recorded_topics(recorder) == set(topics)
    (message,) = flight.of_topic(topics[0])
    assert message.type == 'test_msgs/action/Fibonacci_FeedbackMessage'
    assert are_the_same([message], [serialize_message(feedback)])


def test_a_recorder_that_records_its_own_log(ground: Ground, tmp_path: Path, root: Path) -> None:
    """Every record is logged, and the log is recorded: that must not go on for ever."""
    options = {
        'topics': ['/rosout', '/diagnostics', '/chatter'],
        'writer.debug_log_per_record': True,
    }
    arguments = ['--log-level', 'fdr_recorder:=debug']
    with RecorderProcess(ground, tmp_path, root, arguments=arguments, **options) as recorder:
        recorder.make('configure', 'activate')
        publish_each(ground, '/chatter')
        wait_until_stored(recorder, '/chatter', '/rosout')
        for count in range(1, 4):  # three seconds: one round of such a loop takes 0.1 s
            ground.wait_until(
                lambda count=count: recorder.stored('/diagnostics') >= count, 'diagnostics'
            )
        recorder.make('deactivate')
    assert 'record /chatter sequence=' in recorder.log
    assert 'record /rosout sequence=' in recorder.log
    about_records = [
        message
        for message in recorder.read_flight().of_topic('/rosout')
        if b'record /' in message.data
    ]
    assert about_records == []


def test_patterns_that_are_wrong_refuse_to_configure(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'topics': ['/a b*'], 'regex': '(', 'required': ['/x=y'], 'exclude': ['a//b']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        assert not recorder.change_state('configure')
        status = recorder.wait_for_alert('recorder', 'config_invalid')
        for name in options:
            assert f'{name}: ' in status.message
        assert recorder.state() == 'unconfigured'
