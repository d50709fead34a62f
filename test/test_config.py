# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The configuration: every option, its type and range, and every mistake named at once."""

from __future__ import annotations

import json
import re
from typing import Any

from fdr_recorder import ConfigInvalidError, FdrConfig, FdrWriterConfig, RingConfig
from fdr_recorder.alerts import ALERT_LEVELS
from fdr_recorder.config import FLIGHT_ID_PATTERN, OPTIONS
from fdr_recorder.errors import FlightIdInvalidError
from fdr_recorder.storage.flight_directory import check_flight_id, new_flight_id
from hypothesis import given
from hypothesis import strategies as st
import pytest

DEFAULTS = {name: default for name, (default, _) in OPTIONS.items()}
RANGES = [
    (name, option)
    for name, (_, option) in OPTIONS.items()
    if option.minimum is not None or option.maximum is not None
]

TRICKY_FLIGHT_IDS = (
    '..',
    '.',
    '.hidden',
    '-rf',
    '_x',
    'a/b',
    '/a',
    'a\\b',
    'a\n',
    '\na',
    'a\0b',
    'a b',
    'flüge',
    '飛行',
    'a\u0661',
    'x' * 65,
    'a' * 10_000,
)


def mistakes_of(options: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(ConfigInvalidError) as caught:
        FdrConfig.from_options(options)
    return caught.value.mistakes


# --- mistakes ----------------------------------------------------------------------------------


def test_the_defaults_are_valid() -> None:
    assert FdrConfig.from_options({}) == FdrConfig()


def test_every_mistake_is_named_at_once() -> None:
    mistakes = mistakes_of(
        {
            'flight_id': 'a/b',
            'writer.batch_size': 0,
            'writer.compression': 'zip',
            'writer.no_such_thing': 1,
            'ring.max_records': 'many',
            'topics': ['/fdr/overrun'],
        }
    )
    assert {mistake.partition(':')[0] for mistake in mistakes} == {
        'flight_id',
        'writer.batch_size',
        'writer.compression',
        "unknown parameter 'writer.no_such_thing'",
        'ring.max_records',
        'topics',
    }
    assert len(mistakes) == 6


def test_the_message_holds_every_mistake() -> None:
    error = ConfigInvalidError(['a: is wrong', 'b: is wrong'])
    assert str(error) == '2 mistakes in the configuration: a: is wrong; b: is wrong'
    assert str(ConfigInvalidError(['a: x'])) == '1 mistake in the configuration: a: x'


def test_a_part_names_its_mistakes_by_the_dotted_name() -> None:
    with pytest.raises(ConfigInvalidError, match=r'writer\.batch_size: must be at least 1') as one:
        FdrWriterConfig(batch_size=0, chunk_size_bytes=1)
    assert len(one.value.mistakes) == 2
    with pytest.raises(ConfigInvalidError, match=r'ring\.max_bytes'):
        RingConfig(max_bytes=0)


@pytest.mark.parametrize('name', ['nonsense', 'writer', 'writer.', 'ring', '', 'robot_name'])
def test_an_unknown_parameter_is_a_mistake(name: str) -> None:
    assert mistakes_of({name: 1}) == (f"unknown parameter '{name}'",)


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('topcis', 'topics'),
        ('topic', 'topics'),
        ('TOPICS', 'topics'),
        ('fligth_root', 'flight_root'),
        ('writer.segment_size_byte', 'writer.segment_size_bytes'),
        ('WRITER.batch_size', 'writer.batch_size'),
        ('segment_size_bytes', 'writer.segment_size_bytes'),
        ('ring.max_record', 'ring.max_records'),
        ('ring.batch_size', 'writer.batch_size'),
        ('flight_root.', 'flight_root'),
    ],
)
def test_an_unknown_parameter_that_is_near_another(name: str, meant: str) -> None:
    said = f"unknown parameter '{name}'; did you mean '{meant}'?"
    assert mistakes_of({name: 1, 'writer.batch_size': 0})[0] == said


@pytest.mark.parametrize('name', OPTIONS)
def test_every_option_refuses_every_other_type(name: str) -> None:
    wrong: list[object] = [None, {}, object(), b'bytes', float('nan'), float('inf')]
    default = DEFAULTS[name]
    if not isinstance(default, bool):
        wrong.append(True)
    if isinstance(default, (bool, str, tuple)):
        wrong += [1, 1.5]
    if isinstance(default, int):
        wrong += [1.5, '1']
    if not isinstance(default, str):
        wrong.append('text')
    if not isinstance(default, tuple):
        wrong.append(['a'])
    else:
        wrong.append([1])
    for value in wrong:
        (mistake,) = mistakes_of({name: value})
        assert mistake.startswith(f'{name}: must be'), (value, mistake)


@pytest.mark.parametrize(('name', 'option'), RANGES, ids=[name for name, _ in RANGES])
def test_every_range_holds_at_its_ends(name: str, option: Any) -> None:
    kind = type(DEFAULTS[name])
    step = 1 if kind is int else 0.001
    for end, outside in ((option.minimum, -step), (option.maximum, step)):
        inside = kind(end)
        assert FdrConfig.from_options({name: inside}).to_options()[name] == inside
        (mistake,) = mistakes_of({name: kind(inside + outside)})
        assert mistake.startswith(f'{name}: must be at')


def test_a_whole_number_may_stand_for_a_decimal_one() -> None:
    assert FdrWriterConfig(flush_interval_s=1).flush_interval_s == 1


def test_a_number_beyond_all_floats_is_out_of_range() -> None:
    (mistake,) = mistakes_of({'writer.flush_interval_s': 10**400})
    assert mistake.startswith('writer.flush_interval_s: must be')


@pytest.mark.parametrize('name', ['compression', 'on_low_space'])
def test_choices_are_named(name: str) -> None:
    _, option = OPTIONS[f'writer.{name}']
    for choice in option.choices:
        assert getattr(FdrWriterConfig(**{name: choice}), name) == choice  # type: ignore[arg-type]
    (mistake,) = mistakes_of({f'writer.{name}': ''})
    assert all(choice in mistake for choice in option.choices)


@pytest.mark.parametrize('name', ['/fdr', '/fdr/', '/fdr/overrun'])
def test_the_recorders_own_topics_cannot_be_recorded(name: str) -> None:
    (mistake,) = mistakes_of({'topics': ['/imu', name]})
    assert mistake.startswith('topics:')


@pytest.mark.parametrize('option', ['topics', 'exclude', 'required', 'diagnostics_topic'])
@pytest.mark.parametrize('name', ['/1st', '//a', '/a/', 'a b', '/a\n', '/ä', '/', '/a/2b'])
def test_what_is_no_topic_name_is_a_mistake(option: str, name: str) -> None:
    value = name if option == 'diagnostics_topic' else [name]
    (mistake,) = mistakes_of({option: value})
    assert mistake.startswith(f'{option}:')


def test_a_topic_may_begin_like_the_recorders_own() -> None:
    assert FdrConfig(topics=('/fdr_state', '/x/fdr')).topics == ('/fdr_state', '/x/fdr')


def test_empty_strings_in_lists_are_left_out() -> None:
    assert FdrConfig.from_options({'topics': ['', '/imu', ''], 'exclude': ['']}).to_options()[
        'topics'
    ] == ['/imu']


@pytest.mark.parametrize('path', ['', 'a\0b'])
def test_a_flight_root_must_name_a_directory(path: str) -> None:
    assert mistakes_of({'flight_root': path}) == ('flight_root: must name a directory',)


# --- flight ids --------------------------------------------------------------------------------


@pytest.mark.parametrize('flight_id', TRICKY_FLIGHT_IDS)
def test_a_tricky_flight_id_is_refused_everywhere(flight_id: str) -> None:
    (mistake,) = mistakes_of({'flight_id': flight_id})
    assert mistake.startswith('flight_id:')
    assert len(mistake) < 500
    with pytest.raises(FlightIdInvalidError) as caught:
        check_flight_id(flight_id)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize('flight_id', ['', None, 7, b'a'])
def test_a_header_needs_a_flight_id(flight_id: Any) -> None:
    with pytest.raises(FlightIdInvalidError):
        check_flight_id(flight_id)


def test_an_empty_flight_id_in_the_configuration_asks_for_a_new_one() -> None:
    assert FdrConfig(flight_id='').flight_id == ''


@pytest.mark.parametrize('flight_id', ['a', '7', 'x' * 64, 'A..b', 'flight-1_2.3', 'a.mcap'])
def test_a_plain_flight_id_is_taken(flight_id: str) -> None:
    check_flight_id(flight_id)
    assert FdrConfig(flight_id=flight_id).flight_id == flight_id


@given(st.text(max_size=80))
def test_a_flight_id_is_one_path_component_of_safe_characters(text: str) -> None:
    safe = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
    is_plain = 1 <= len(text) <= 64 and text[0] in safe and set(text) <= set(safe + '._-')
    try:
        check_flight_id(text)
    except FlightIdInvalidError:
        assert not is_plain
    else:
        assert is_plain


def test_a_new_flight_id_is_valid_and_new() -> None:
    ids = {new_flight_id() for _ in range(20)}
    assert len(ids) > 1
    assert all(FLIGHT_ID_PATTERN.fullmatch(flight_id) for flight_id in ids)
    assert all(len(flight_id) == len('flight_20260504T091402Z_0a1b') for flight_id in ids)


# --- round trip --------------------------------------------------------------------------------


def values_of(name: str) -> st.SearchStrategy[Any]:
    default, option = OPTIONS[name]
    topic = st.from_regex(r'/[a-z]{1,5}(/[a-z]{1,5})?', fullmatch=True).filter(
        lambda text: not (text + '/').startswith('/fdr/')
    )
    if name in ('topics', 'exclude', 'required', 'services', 'actions'):
        return st.lists(topic, max_size=4)
    if name == 'pin_on':
        return st.lists(st.sampled_from([*ALERT_LEVELS, '/x: a < 3']), max_size=4)
    if name == 'max_rate':
        rates = st.floats(0.001, 1e5).map(str)
        rules = st.dictionaries(topic, rates, max_size=4).map(dict.items)
        return rules.map(lambda found: ['='.join(rule) for rule in found])
    if name in ('topic_types', 'exclude_topic_types'):
        return st.lists(st.from_regex(r'[a-z]{1,5}/msg/[A-Z]{1,5}', fullmatch=True), max_size=4)
    if name in ('regex', 'exclude_regex'):
        return st.text().map(re.escape)
    if name == 'qos_profile_overrides':
        return st.dictionaries(
            topic, st.fixed_dictionaries({'depth': st.integers(min_value=0)}), max_size=4
        ).map(json.dumps)
    if name == 'diagnostics_topic':
        return topic
    if name == 'writer.bag_version':
        return st.sampled_from([0, 5, 7, 9])
    if name == 'writer.file_mode':
        return st.sampled_from(['', '0640', '644', '0600'])
    if name == 'writer.file_group':
        return st.from_regex(r'[a-z_]{0,8}', fullmatch=True)
    if name == 'armed.source':
        return st.sampled_from(['bool', 'mavros', 'px4'])
    if name == 'armed.trigger_on':
        return st.lists(st.sampled_from(['/x: a < 3', '/y: b[0].c == "d"']), max_size=2)
    if name == 'metadata':
        return st.lists(st.sampled_from(['pilot=Ann', 'site=', 'a.b=c=d']), unique=True)
    if name == 'armed.topic':
        return st.sampled_from(['', '/armed', 'drone/armed'])
    if name == 'flight_id':
        return st.just('') | st.from_regex(FLIGHT_ID_PATTERN, fullmatch=True)
    if name == 'flight_root':
        return st.text(st.characters(exclude_characters='\0', codec='utf-8'), min_size=1)
    if option.choices:
        return st.sampled_from(option.choices)
    if isinstance(default, tuple):
        return st.lists(st.text(min_size=1), max_size=4)
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, int):
        return st.integers(int(option.minimum or 0), int(option.maximum or 0))
    if isinstance(default, float):
        return st.floats(option.minimum, option.maximum)
    return st.text()


@given(st.fixed_dictionaries({}, optional={name: values_of(name) for name in OPTIONS}))
def test_options_survive_the_round_trip(options: dict[str, Any]) -> None:
    config = FdrConfig.from_options(options)
    shown = config.to_options()
    assert set(shown) == set(OPTIONS)
    for name, value in options.items():
        assert shown[name] == value
    assert FdrConfig.from_options(shown) == config


@given(
    st.dictionaries(
        st.sampled_from(list(OPTIONS)) | st.text(max_size=10),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_whatever_comes_is_taken_or_refused_by_name(options: dict[str, object]) -> None:
    try:
        FdrConfig.from_options(options)
    except ConfigInvalidError as error:
        starts = tuple(
            start for name in options for start in (f'{name}: ', f"unknown parameter '{name}'")
        )
        unnamed = [mistake for mistake in error.mistakes if not mistake.startswith(starts)]
        assert not unnamed


def test_every_option_is_described() -> None:
    for name, (_, option) in OPTIONS.items():
        assert option.description.endswith('.'), name


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FdrConfig().writer.batch_size = 1  # type: ignore[misc]
