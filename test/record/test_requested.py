# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What became of what the configuration asked for."""

from __future__ import annotations

import time

from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.record.record_parts import TopicActivity
from fdr_recorder.record.requested import became, OUTCOMES, Told, WITHDRAWN
import pytest

IMU = 'sensor_msgs/msg/Imu'


def asked(option: str, topic: str, outcome: str = '') -> RequestedTopic:
    return RequestedTopic(name=topic, option=option, topic=topic, outcome=outcome)


def heard(topic: str, type_name: str = 'std_msgs/msg/String', records: int = 1) -> TopicActivity:
    return TopicActivity(topic=topic, type=type_name, records=records)


@pytest.mark.parametrize(
    ('option', 'text', 'topic', 'is_found'),
    [
        ('topics', '/imu', '/imu', True),
        ('topics', '/imu', '/imu/data', False),
        ('required', '/imu', '/imu', True),
        ('topics', '/camera/*', '/camera/left', True),
        ('topics', '/camera/*', '/camera/left/image', False),
        ('topics', '/camera/**', '/camera/left/image', True),
        ('topics', '/cam?', '/cam1', True),
        ('regex', 'mera', '/camera/left', True),
        ('regex', '^mera', '/camera/left', False),
        ('topic_types', IMU, '/anything', True),
        ('topic_types', 'sensor_msgs/msg/Im', '/anything', False),
        ('services', '/reset', '/reset/_service_event', True),
        ('services', '/reset', '/reset', False),
        ('services', '/re*', '/reset/_service_event', True),
        ('actions', '/dock', '/dock/_action/feedback', True),
        ('actions', '/dock', '/dock/_action/send_goal/_service_event', True),
        ('actions', '/dock', '/dock/_service_event', False),
    ],
)
def test_a_name_stands_for_the_topics_that_have_messages(
    option: str, text: str, topic: str, is_found: bool
) -> None:
    [found] = became([asked(option, text)], [heard(topic, IMU), heard('/other')])
    assert (found.outcome, found.topics) == (('recorded', 1) if is_found else ('no_publisher', 0))


def test_a_topic_without_a_message_is_not_recorded() -> None:
    [found] = became([asked('topics', '/imu', 'silent')], [heard('/imu', records=0)])
    assert found.outcome == 'silent'


def test_the_most_telling_of_what_was_told_counts_whatever_the_order() -> None:
    told = [asked('topics', '/imu', outcome) for outcome in OUTCOMES[:-1]]
    for items in (told, told[::-1]):
        assert [item.outcome for item in became(items, [])] == ['qos_incompatible']
    assert [item.outcome for item in became(told, [heard('/imu')])] == ['recorded']


def test_what_a_dropped_segment_had_stays_recorded() -> None:
    """A later header says so."""
    [found] = became([asked('topics', '/imu'), asked('topics', '/imu', 'recorded')], [])
    assert found.outcome == 'recorded'


def test_before_the_end_nothing_is_said_of_what_was_not_seen() -> None:
    [found] = became([asked('topics', '/imu')], [], is_over=False)
    assert found.outcome == ''


def test_topics_of_a_pattern_are_counted_once_each() -> None:
    topics = [heard('/a/x'), heard('/a/x', IMU), heard('/a/y'), heard('/a/z', records=0)]
    [found] = became([asked('topics', '/a/*')], topics)
    assert found.topics == 2


def test_what_a_foreign_file_asks_for_raises_nothing() -> None:
    texts = ('(', '(?P<', '*' * 1000, '[', 'a b', '')
    items = [asked(option, text) for option in ('regex', 'topics', 'new') for text in texts]
    outcomes = {item.outcome for item in became([*items, asked('topics', '/x', 'odd')], [])}
    assert outcomes <= {'no_publisher', 'odd'}


def test_an_outcome_of_a_newer_recorder_gives_way_to_those_that_are_known() -> None:
    told = [asked('topics', '/x', 'odd'), asked('topics', '/x', 'silent')]
    assert [item.outcome for item in became(told, [])] == ['silent']


def test_ten_thousand_names_and_topics_take_no_time() -> None:
    items = [asked('topics', f'/name_{number}') for number in range(10_000)]
    topics = [heard(f'/name_{number}') for number in range(5_000, 15_000)]
    began = time.monotonic()
    outcomes = [item.outcome for item in became(items, topics)]
    assert outcomes.count('recorded') == 5_000
    assert time.monotonic() - began < 2.0


def test_what_header_and_options_since_ask_for_is_kept_and_nothing_after_the_end() -> None:
    told = Told([asked('topics', '/imu')])
    told.note(asked('topics', '/asked_since'))
    told.note(asked('topics', '/imu', 'silent'))
    told.end()
    told.note(asked('topics', '/imu', 'type_unknown'))
    told.note(asked('topics', '/asked_late'))
    assert [(item.topic, item.outcome) for item in told.became([])] == [
        ('/imu', 'silent'), ('/asked_since', 'no_publisher')
    ]


def test_what_is_withdrawn_is_not_missing_unless_it_is_asked_for_again() -> None:
    header = asked('topics', '/a'), asked('topics', '/b', 'silent')
    gone = asked('topics', '/b', WITHDRAWN)
    assert [item.topic for item in became([*header, gone], [])] == ['/a']
    again = asked('topics', '/b')
    for item in became([*header, gone, again], []):
        assert item.outcome == 'no_publisher'
    told = Told(header)
    for item in (gone, asked('topics', '/c'), asked('topics', '/c', 'silent')):
        told.note(item)
    assert {item.topic: item.outcome for item in told.became([heard('/a')])} == {
        '/a': 'recorded', '/c': 'silent'
    }
