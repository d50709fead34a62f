# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which topics are recorded: names, patterns, options; QoS overrides as rosbag2 spells them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
import re
from typing import Any

from fdr_recorder import ConfigInvalidError, FdrConfig
from fdr_recorder.topics.names import absolute, compile_pattern, has_wildcard, is_hidden, owner_of
from fdr_recorder.topics.qos_overrides import merge_qos_overrides, parse_qos_overrides
from fdr_recorder.topics.selection import TopicSelection
from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

STRING = 'std_msgs/msg/String'
IMU = 'sensor_msgs/msg/Imu'

GRAPH = {
    '/imu/data': IMU,
    '/imu/raw': IMU,
    '/camera/left/image': 'sensor_msgs/msg/Image',
    '/camera/info': STRING,
    '/camera': STRING,
    '/rosout': 'rcl_interfaces/msg/Log',
    '/imu/_internal': STRING,
    '/_hidden/state': STRING,
    '/fdr/flight_header': STRING,
    '/add/_service_event': 'example_interfaces/srv/AddTwoInts_Event',
    '/camera/reset/_service_event': 'std_srvs/srv/Trigger_Event',
    '/fly/_action/feedback': 'vehicle/action/Fly_FeedbackMessage',
    '/fly/_action/status': 'action_msgs/msg/GoalStatusArray',
    '/fly/_action/send_goal/_service_event': 'vehicle/action/Fly_SendGoal_Event',
    '/fly/_action/get_result/_service_event': 'vehicle/action/Fly_GetResult_Event',
    '/fly/_action/cancel_goal/_service_event': 'action_msgs/srv/CancelGoal_Event',
}
PLAIN = {
    '/imu/data',
    '/imu/raw',
    '/camera/left/image',
    '/camera/info',
    '/camera',
    '/rosout',
}
HIDDEN = {'/imu/_internal', '/_hidden/state'}
SERVICES = {'/add/_service_event', '/camera/reset/_service_event'}
ACTION = {topic for topic in GRAPH if topic.startswith('/fly/')}


def chosen(**options: Any) -> set[str]:
    """Return what is recorded of `GRAPH`."""
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    selection = TopicSelection(FdrConfig(**values))
    return {topic for topic, type_name in GRAPH.items() if selection.wants(topic, type_name)}


def mistakes_of(**options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigInvalidError) as caught:
        FdrConfig.from_options(options)
    return caught.value.mistakes


# --- wildcards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('pattern', 'matched', 'not_matched'),
    [
        ('/a/*', ['/a/b', '/a/bc'], ['/a', '/a/b/c', '/b/a/b']),
        ('/a*', ['/a', '/abc'], ['/a/b', '/ba']),
        ('/*/c', ['/a/c', '/bb/c'], ['/c', '/a/b/c']),
        ('/a?', ['/ab'], ['/a', '/abc', '/a/']),
        ('/a/?/c', ['/a/b/c'], ['/a/c', '/a/bb/c', '/a///c']),
        ('/a/**', ['/a/b', '/a/b/c'], ['/a', '/ab/c']),
        ('/**', ['/a', '/a/b/c'], []),
        ('/**/c', ['/c', '/a/c', '/a/b/c'], ['/ac', '/c/a', '/a/bc']),
        ('/a/**/c', ['/a/c', '/a/b/c', '/a/b/b/c'], ['/ac', '/a/bc', '/c']),
        ('/a**c', ['/ac', '/a/b/c', '/abc'], ['/a', '/bc']),
        ('/a/b', ['/a/b'], ['/a/bb', '/a', '/a/b/c']),
    ],
)
def test_what_a_pattern_matches(
    pattern: str, matched: list[str], not_matched: list[str]
) -> None:
    match = compile_pattern(pattern).fullmatch
    assert [name for name in matched if not match(name)] == []
    assert [name for name in not_matched if match(name)] == []


part = st.text('ab*?', min_size=1, max_size=4).filter(lambda text: '**' not in text)
name_part = st.text('ab', min_size=1, max_size=4)


@given(st.lists(part, min_size=1, max_size=3), st.lists(name_part, min_size=1, max_size=3))
def test_a_pattern_without_double_star_matches_part_by_part(
    pattern: list[str], name: list[str]
) -> None:
    expected = len(pattern) == len(name) and all(map(fnmatchcase, name, pattern))
    found = compile_pattern('/' + '/'.join(pattern)).fullmatch('/' + '/'.join(name))
    assert (found is not None) == expected


@given(st.lists(name_part, min_size=1, max_size=4))
def test_a_name_is_a_pattern_that_matches_itself(parts: list[str]) -> None:
    name = '/' + '/'.join(parts)
    assert not has_wildcard(name)
    assert compile_pattern(name).fullmatch(name)
    assert compile_pattern('/**').fullmatch(name)


@pytest.mark.parametrize(
    ('name', 'resolved'),
    [
        ('/imu', '/imu'),
        ('imu', '/drone/imu'),
        ('imu/*', '/drone/imu/*'),
        ('~/state', '/drone/fdr_recorder/state'),
        ('~/**', '/drone/fdr_recorder/**'),
    ],
)
def test_relative_and_private_names(name: str, resolved: str) -> None:
    assert absolute(name, '/drone', '/drone/fdr_recorder') == resolved
    assert absolute('imu', '/', '/fdr_recorder') == '/imu'


# --- choosing ----------------------------------------------------------------------------------


def test_nothing_is_chosen_by_default() -> None:
    assert chosen() == set()
    selection = TopicSelection(FdrConfig())
    assert not selection.is_open
    assert selection.names == ()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'topics': ['/imu/data', '/not/there']}, {'/imu/data'}),
        ({'topics': ['/imu/*']}, {'/imu/data', '/imu/raw'}),
        ({'topics': ['/**']}, PLAIN),
        ({'all_topics': True}, PLAIN),
        ({'all_topics': True, 'include_hidden_topics': True}, PLAIN | HIDDEN),
        ({'include_hidden_topics': True}, set()),
        ({'topics': ['/imu/_internal']}, {'/imu/_internal'}),
        ({'topics': ['/imu/_*']}, {'/imu/_internal'}),
        ({'topics': ['/imu/*'], 'include_hidden_topics': True}, {
            '/imu/data', '/imu/raw', '/imu/_internal'
        }),
        ({'topic_types': [IMU]}, {'/imu/data', '/imu/raw'}),
        ({'topic_types': [IMU], 'topics': ['/camera']}, {'/imu/data', '/imu/raw', '/camera'}),
        ({'topic_types': [STRING]}, {'/camera/info', '/camera'}),
        ({'regex': 'camera'}, {
            '/camera', '/camera/info', '/camera/left/image', '/camera/reset/_service_event'
        }),
        ({'regex': '^/(imu|fly)'}, {'/imu/data', '/imu/raw'} | ACTION),
        ({'regex': 'data$', 'include_hidden_topics': True}, {'/imu/data'}),
        ({'regex': '.*', 'include_hidden_topics': True}, PLAIN | HIDDEN | SERVICES | ACTION),
        ({'all_services': True}, SERVICES),
        ({'services': ['/add']}, {'/add/_service_event'}),
        ({'services': ['/*/reset']}, {'/camera/reset/_service_event'}),
        ({'all_actions': True}, ACTION),
        ({'actions': ['/fl?']}, ACTION),
        ({'actions': ['/land']}, set()),
        ({'topics': ['/add/_service_event']}, {'/add/_service_event'}),
        ({'topics': ['/fly/_action/*']}, {'/fly/_action/feedback', '/fly/_action/status'}),
    ],
)  # fmt: skip
def test_what_is_chosen(options: dict[str, Any], expected: set[str]) -> None:
    assert chosen(**options) == expected


@pytest.mark.parametrize(
    ('exclude', 'gone'),
    [
        ({'exclude': ['/imu/data']}, {'/imu/data'}),
        ({'exclude': ['/imu/*']}, {'/imu/data', '/imu/raw', '/imu/_internal'}),
        ({'exclude': ['/_hidden/**']}, {'/_hidden/state'}),
        ({'exclude': ['/camera/**']}, {
            '/camera/info', '/camera/left/image', '/camera/reset/_service_event'
        }),
        ({'exclude': ['/add']}, {'/add/_service_event'}),
        ({'exclude': ['/fly']}, ACTION),
        ({'exclude': ['/fly/_action/feedback']}, {'/fly/_action/feedback'}),
        ({'exclude_regex': 'imu|add'}, {'/imu/data', '/imu/raw', '/imu/_internal',
                                        '/add/_service_event'}),
        ({'exclude_topic_types': [IMU]}, {'/imu/data', '/imu/raw'}),
        ({'exclude_topic_types': ['action_msgs/msg/GoalStatusArray']}, {'/fly/_action/status'}),
    ],
)  # fmt: skip
def test_what_is_excluded(exclude: dict[str, Any], gone: set[str]) -> None:
    everything = {
        'all_topics': True,
        'include_hidden_topics': True,
        'all_services': True,
        'all_actions': True,
    }
    whole = chosen(**everything)
    assert whole == set(GRAPH) - {'/fdr/flight_header'}
    assert whole - chosen(**everything, **exclude) == gone
    assert chosen(topics=list(gone), **exclude) == set()


def test_the_recorders_own_topics_are_never_recorded() -> None:
    assert '/fdr/flight_header' not in chosen(topics=['/**', '/f*/*'], regex='fdr')
    in_namespace = partial(absolute, namespace='/', node_name='/fdr_recorder')
    selection = TopicSelection(FdrConfig(topics=('fdr/x',), required=('fdr/y',)), in_namespace)
    assert not selection.wants('/fdr/x', STRING)
    assert not selection.wants('/fdr/y', STRING)


def test_two_names_of_a_topic_have_no_two_values() -> None:
    """Which names are those of one topic, the namespace tells."""
    config = FdrConfig(
        max_rate=('a=3', '/a=4', 'b/*=2', '/b/*=1'), required=('/imu=1', 'imu', '/gps', 'gps')
    )
    with pytest.raises(ConfigInvalidError) as told:
        TopicSelection(config, partial(absolute, namespace='/', node_name='/fdr_recorder'))
    assert list(told.value.mistakes) == [
        'max_rate: a=3 and /a=4: /a has two rates; which one is meant?',
        'max_rate: b/*=2 and /b/*=1: /b/* has two rates; which one is meant?',
        'required: /imu=1 and imu: /imu has two times; which one is meant?',
    ]
    TopicSelection(config, partial(absolute, namespace='/drone', node_name='/drone/fdr_recorder'))


def test_names_are_known_before_they_appear() -> None:
    selection = TopicSelection(
        FdrConfig(
            topics=('/b', '/a', '/c*', '/b', '/not'), required=('/r', '/a'), exclude=('/not',)
        )
    )
    assert selection.names == ('/r', '/a', '/b')
    assert selection.is_open
    assert not TopicSelection(FdrConfig(topics=('/a',), required=('/r',))).is_open


@pytest.mark.parametrize(
    'option',
    [
        {'topics': ('/a*',)},
        {'regex': 'a'},
        {'topic_types': (IMU,)},
        {'all_topics': True},
        {'services': ('/a',)},
        {'all_services': True},
        {'actions': ('/a',)},
        {'all_actions': True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_leaves_the_selection_open(option: dict[str, Any]) -> None:
    assert TopicSelection(FdrConfig(**option)).is_open


def test_a_required_topic_is_recorded_whatever_excludes_it() -> None:
    options = {'required': ['/imu/data'], 'exclude': ['/imu/**'], 'all_topics': True}
    assert '/imu/data' in chosen(**options)
    assert '/imu/raw' not in chosen(**options)
    assert '/imu/data' in chosen(required=['/imu/data=2'], exclude_topic_types=[IMU])


@pytest.mark.parametrize(
    ('topic', 'rate_hz'),
    [
        ('/camera/front', 10.0),
        ('/camera/front/info', 2.0),
        ('/camera/back', 3.0),
        ('/camera', 0.0),
        ('/ns/x', 0.5),
        ('/imu', 0.0),
        ('/fdr/alert', 0.0),
        ('/camera/_service_event', 0.0),
        ('/move/_action/feedback', 4.0),
    ],
)
def test_the_rate_of_a_topic(topic: str, rate_hz: float) -> None:
    """Its name counts, else the first pattern; hidden topics are found if that spells them."""
    rates = ('/camera/b*=3', '/camera/**=2', '/camera/front=10', 'x=5e-1', '/fdr/*=1')
    config = FdrConfig(max_rate=(*rates, '/*/_action/feedback=4'))
    assert TopicSelection(config, lambda name: absolute(name, '/ns', '/n')).max_rate(topic) == (
        rate_hz
    )


@pytest.mark.parametrize(
    ('entry', 'wrong'),
    [
        ('/imu', '/imu: a rate is missing'),
        ('/imu=', '/imu=: after = must stand messages a second'),
        ('/imu=ten', '/imu=ten: after = must stand messages a second'),
        ('/imu=-1', 'must stand messages a second, 0.0001 to 1000000'),
        ('/imu=inf', 'must stand messages a second'),
        ('/imu=nan', 'must stand messages a second'),
        ('/imu=0', 'belongs in `exclude`'),
        ('not a topic=1', 'not a topic name'),
        ('=1', 'not a topic name'),
        (f'{"/x" * 124}=1', '/x...: a name has at most 247 characters'),
    ],
)
def test_a_wrong_rate_is_refused_in_a_sentence(entry: str, wrong: str) -> None:
    with pytest.raises(ConfigInvalidError, match=re.escape(wrong)):
        FdrConfig(max_rate=(entry,))


def test_two_rates_for_one_name_are_refused() -> None:
    with pytest.raises(ConfigInvalidError, match='/imu: has two rates'):
        FdrConfig(max_rate=('/imu=1', '/a*=1', '/imu=2'))


def test_times_after_which_required_topics_are_stale() -> None:
    config = FdrConfig(required=('/imu=0.5', '/gps', '/map=0', 'tf=1e1'), stale_after_s=3.0)
    assert config.stale_times() == {'/imu': 0.5, '/gps': 3.0, '/map': 0.0, 'tf': 10.0}
    assert FdrConfig(required=('/gps',)).stale_times() == {'/gps': 0.0}


@pytest.mark.parametrize(
    ('topic', 'kind', 'owner'),
    [
        ('/add/_service_event', 'service', '/add'),
        ('/a/b/_service_event', 'service', '/a/b'),
        ('/fly/_action/status', 'action', '/fly'),
        ('/fly/_action/get_result/_service_event', 'action', '/fly'),
        ('/fly/_action/other', 'topic', '/fly/_action/other'),
        ('/status', 'topic', '/status'),
    ],
)
def test_what_a_topic_belongs_to(topic: str, kind: str, owner: str) -> None:
    assert owner_of(topic) == (kind, owner)


@pytest.mark.parametrize('name', ['/_a', '/a/_b', '/a/_b/c', '_a'])
def test_hidden_names(name: str) -> None:
    assert is_hidden(name)
    assert not is_hidden(name.replace('_', 'x_'))


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('topics', ['/a b']),
        ('topics', ['/a/']),
        ('topics', ['/1*']),
        ('topics', ['/[ab]']),
        ('topics', ['/**//a']),
        ('topics', ['~a']),
        ('topics', ['/fdr/*']),
        ('exclude', ['/a-b']),
        ('services', ['a b']),
        ('actions', ['/']),
        ('required', ['/a*']),
        ('required', ['/fdr/x']),
        ('required', ['/a=']),
        ('required', ['/a=soon']),
        ('required', ['/a=-1']),
        ('required', ['/a=nan']),
        ('required', ['/a=1=2']),
        ('required', ['=1']),
        ('topic_types', ['Imu']),
        ('exclude_topic_types', ['sensor_msgs/Imu']),
        ('regex', '('),
        ('exclude_regex', 'a**'),
        ('exclude_regex', '[z-a]'),
        ('stale_after_s', -1.0),
        ('qos_profile_overrides', '/imu: reliable'),
    ],
)
def test_a_mistake_is_named(option: str, value: Any) -> None:
    (mistake,) = mistakes_of(**{option: value})
    assert mistake.startswith(f'{option}:')


def test_all_mistakes_are_named_at_once() -> None:
    mistakes = mistakes_of(
        topics=['/a b', '/ok*', '/c d'],
        regex='(',
        exclude=['?/'],
        required=['/x=y'],
        qos_profile_overrides='[',
        flight_id='a/b',
    )
    assert {mistake.partition(':')[0] for mistake in mistakes} == {
        'topics', 'regex', 'exclude', 'required', 'qos_profile_overrides', 'flight_id'
    }  # fmt: skip
    (topics,) = (mistake for mistake in mistakes if mistake.startswith('topics:'))
    assert "'/a b', '/c d'" in topics


@given(st.text(max_size=20))
def test_any_regex_is_taken_or_refused(text: str) -> None:
    try:
        re.compile(text)
    except re.error:
        assert mistakes_of(regex=text)[0].startswith('regex:')
    else:
        TopicSelection(FdrConfig(regex=text)).wants('/imu/data', IMU)


# --- QoS overrides -----------------------------------------------------------------------------

EVERYTHING = """
/imu/data:
  history: keep_last
  depth: 10
  reliability: best_effort
  durability: transient_local
  deadline: {sec: 1, nsec: 500000000}
  lifespan: {sec: 0, nsec: 0}
  liveliness: manual_by_topic
  liveliness_lease_duration: {sec: 2, nsec: 1}
  avoid_ros_namespace_conventions: false
camera:
  history: keep_all
  deadline:
"""


def test_every_policy_is_taken() -> None:
    overrides, mistakes = parse_qos_overrides(EVERYTHING)
    assert mistakes == []
    assert overrides == {
        '/imu/data': {
            'history': 'keep_last',
            'depth': 10,
            'reliability': 'best_effort',
            'durability': 'transient_local',
            'deadline': 1_500_000_000,
            'lifespan': 0,
            'liveliness': 'manual_by_topic',
            'liveliness_lease_duration': 2_000_000_001,
        },
        'camera': {'history': 'keep_all', 'deadline': 0},
    }


@pytest.mark.parametrize('text', ['', '\n', '# nothing', '{}'])
def test_no_override(text: str) -> None:
    assert parse_qos_overrides(text) == ({}, [])


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('[', 'not YAML'),
        ('- /imu', 'must be a mapping of topics'),
        ('just text', 'must be a mapping of topics'),
        ('1: {depth: 1}', '1: not a topic name'),
        ('/a b: {depth: 1}', "'/a b': not a topic name"),
        ('/imu/*: {depth: 1}', "'/imu/*': not a topic name"),
        ('/imu: 7', '/imu: must be a mapping of QoS policies'),
        ('/imu: {depth: -1}', '/imu: depth: must be a whole number'),
        ('/imu: {depth: true}', '/imu: depth: must be a whole number'),
        ('/imu: {depth: 1.5}', '/imu: depth: must be a whole number'),
        ('/imu: {relaibility: reliable}', '/imu: relaibility: there is no such policy'),
        ('/imu: {7: 2}', 'there is no such policy'),
        ('/imu: {reliability: Reliable}', 'must be one of system_default, reliable'),
        ('/imu: {durability: reliable}', 'must be one of system_default, transient_local'),
        ('/imu: {history: [keep_all]}', 'must be one of system_default, keep_last'),
        ('/imu: {deadline: 1}', '/imu: deadline: must have sec and nsec'),
        ('/imu: {deadline: {sec: 1}}', '/imu: deadline: must have sec and nsec'),
        ('/imu: {lifespan: {sec: -1, nsec: 0}}', 'sec and nsec must be whole numbers'),
        ('/imu: {lifespan: {sec: a, nsec: 0}}', 'sec and nsec must be whole numbers'),
        ('/imu: {lifespan: {sec: 9999999999, nsec: 0}}', 'longer than'),
        ('/imu: {avoid_ros_namespace_conventions: true}', 'must be false'),
    ],
)
def test_a_mistake_in_an_override_is_named(text: str, said: str) -> None:
    _, mistakes = parse_qos_overrides(text)
    assert len(mistakes) == 1
    assert said in mistakes[0]
    (mistake,) = mistakes_of(qos_profile_overrides=text)
    assert mistake == f'qos_profile_overrides: {mistakes[0]}'


def test_every_mistake_in_overrides_is_named() -> None:
    _, mistakes = parse_qos_overrides('{/a: {depth: x, history: y}, /b: {z: 1}, /c: {depth: 2}}')
    assert len(mistakes) == 3


def test_one_text_goes_before_another() -> None:
    merged, mistakes = merge_qos_overrides(EVERYTHING, '/imu/data: {depth: 3}')
    assert mistakes == []
    assert parse_qos_overrides(merged) == (
        {'/imu/data': {'depth': 3}, 'camera': {'history': 'keep_all', 'deadline': 0}},
        [],
    )
    assert merge_qos_overrides('/a: 1', '')[1] == ['/a: must be a mapping of QoS policies']


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=5), inner, max_size=3)))
def test_any_tree_is_taken_or_refused(tree: Any) -> None:  # fmt: skip
    overrides, mistakes = parse_qos_overrides(yaml.safe_dump({'/a': tree}))
    assert set(overrides) <= {'/a'}
    assert bool(mistakes) or isinstance(tree, dict)
