# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Every recorded type has a definition, wherever it comes from, and it decodes what was sent."""

from __future__ import annotations

from array import array
from dataclasses import fields
from functools import partial
import importlib.util
import json
import os
from pathlib import Path
import random
import string
from typing import Any

from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.main import main
from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.layout import ROS2IDL, ROS2MSG
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.node.message_class import import_message_class, text_of_class
from fdr_recorder.types.cdr_to_json import JsonDecoder
from fdr_recorder.types.definition import Definition
from ground import Ground, PointStamped, RELIABLE, serialize_message
from installed_types import parse, type_hashes
import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.service_introspection import ServiceIntrospectionState
from recorder_process import read_flight, RecorderProcess
from ros_domain import ros_environment
from rosbags.highlevel import AnyReader
from rosidl_parser import definition as idl
from std_msgs.msg import String
from std_srvs.srv import SetBool

HASHES = type_hashes()
PLACEHOLDER = 'structure_needs_at_least_one_member'
REAL_GEOMETRY_MSGS = Path(
    importlib.util.find_spec('geometry_msgs').origin  # type: ignore[union-attr, arg-type]
).parent


def from_class(name: str) -> Definition:
    """Return a definition that is made from Python classes alone."""
    return Definition.collect(name, lambda part: text_of_class(import_message_class(part)))


# --- from the class ----------------------------------------------------------------------------


def test_the_class_of_every_installed_type_gives_its_definition() -> None:
    wrong = {}
    for name, type_hash in HASHES.items():
        try:
            found = from_class(name).type_hash
        except RecordError as error:
            found = str(error)
        if found != type_hash:
            wrong[name] = found
    assert wrong == {}
    assert len(HASHES) > 50


def test_constants_and_defaults_of_a_class() -> None:
    messages = pytest.importorskip('test_msgs.msg')
    text = text_of_class(messages.Constants)
    assert 'bool BOOL_CONST=true\nbyte BYTE_CONST=50\n' in text
    assert 'float64 FLOAT64_CONST=1.125\nint64 INT8_CONST=-50\n' in text
    text = text_of_class(messages.BoundedSequences)
    assert 'bool[<=3] bool_values_default [false, true, false]\n' in text
    assert 'string[<=3] string_values_default ["", "max value", "min value"]\n' in text
    text = text_of_class(messages.Strings)
    assert 'string STRING_CONST="Hello world!"\n' in text
    assert 'string<=22 bounded_string_value_default3 \'Hello"world!\'\n' in text
    own = parse(from_class('test_msgs/msg/Defaults')).fielddefs['test_msgs/msg/Defaults']
    assert len(own[1]) == len(messages.Defaults.get_fields_and_field_types())


@pytest.mark.parametrize(
    ('name', 'what_to_do'),
    [
        ('no_such_msgs/msg/X', r'no_such_msgs is not installed here; .* \(ros-.*-no-such-'),
        ('std_msgs/msg/NoSuch', 'the std_msgs that is installed here has no NoSuch; install'),
        ('std_srvs/action/X_Feedback', 'std_srvs is installed here, but cannot be used: '),
        ('std_srvs/srv/NoSuch_Event', 'has no NoSuch_Event'),
        ('nonsense', "'nonsense' is no name of a type"),
        ('', "'' is no name of a type"),
        ('this/msg/X', 'this is not installed here'),
        ('../../etc/passwd', 'is no name of a type'),
        ('std_msgs/msg/../x', 'is no name of a type'),
    ],
)
def test_a_class_that_is_not_there(name: str, what_to_do: str) -> None:
    with pytest.raises(RecordError, match=what_to_do):
        import_message_class(name)


def value_of(slot_type: Any, chance: random.Random) -> Any:
    """Return a value that a field of this type may have."""
    if isinstance(slot_type, (idl.Array, idl.AbstractSequence)):
        return values_of_many(slot_type, chance)
    if isinstance(slot_type, idl.AbstractGenericString):
        bound = slot_type.maximum_size if slot_type.has_maximum_size() else 9
        letters = string.printable if isinstance(slot_type, idl.AbstractString) else 'aö世'
        return ''.join(chance.choices(letters, k=chance.randint(0, bound)))
    if isinstance(slot_type, idl.NamespacedType):
        return filled(import_message_class('/'.join(slot_type.namespaced_name())), chance)
    match slot_type.typename:
        case 'boolean':
            return chance.random() < 0.5
        case 'octet':
            return bytes([chance.randrange(128)])  # rosbags takes it for signed
        case 'float' | 'double':
            return chance.randint(-1000, 1000) / 8
        case name:
            bits, sign = int(name.strip('uint')), name.startswith('int')
            return chance.randint(-(2 ** (bits - 1)) if sign else 0, 2 ** (bits - sign) - 1)


def values_of_many(slot_type: Any, chance: random.Random) -> list[Any]:
    if isinstance(slot_type, idl.Array):
        count = slot_type.size
    else:
        most = slot_type.maximum_size if slot_type.has_maximum_size() else 5
        count = chance.randint(1, most)  # serialize_message puts rubbish behind some empty ones
    return [value_of(slot_type.value_type, chance) for _ in range(count)]


def filled(message_class: Any, chance: random.Random) -> Any:
    message = message_class()
    names = message_class.get_fields_and_field_types()
    for name, slot_type in zip(names, message_class.SLOT_TYPES, strict=True):
        value, empty = value_of(slot_type, chance), getattr(message, name)
        if isinstance(empty, array):
            value = array(empty.typecode, value)
        elif isinstance(empty, np.ndarray):
            value = np.array(value, empty.dtype)
        setattr(message, name, value)
    return message


def plain(value: Any) -> Any:
    """Return a message of either library as numbers, texts, lists and dicts."""
    if hasattr(value, 'get_fields_and_field_types'):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if hasattr(value, '__msgtype__'):
        names = [item.name for item in fields(value) if not item.name.startswith('__')]
        return {
            name: plain(getattr(value, name))
            for name in names
            if name.islower() and name != PLACEHOLDER  # a constant is not
        }
    if isinstance(value, bytes):
        return value[0]
    if isinstance(value, (list, array, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def test_it_decodes_what_the_middleware_serialises() -> None:
    chance = random.Random(4)
    compared = 0
    for name in HASHES:
        definition = from_class(name)
        if 'wstring' in ''.join(definition.texts.values()):  # which rosbags does not know
            continue
        sent = filled(import_message_class(name), chance)
        decoded = parse(definition).deserialize_cdr(bytes(serialize_message(sent)), name)
        assert plain(decoded) == plain(sent), name
        compared += 1
    assert compared > 50


@pytest.mark.parametrize('encoding', [ROS2IDL, ROS2MSG])
def test_wide_strings(encoding: str) -> None:
    """The recorder writes them with IDL; others have files with `.msg` text."""
    sent = pytest.importorskip('test_msgs.msg').WStrings(
        wstring_value='aä€😀z',
        array_of_wstrings=['x', '', '€'],
        bounded_sequence_of_wstrings=['ß'],
        unbounded_sequence_of_wstrings=[],
    )
    definition = from_class('test_msgs/msg/WStrings')
    assert definition.encoding == ROS2IDL
    schema = definition.schema
    if encoding == ROS2MSG:
        schema = Schema(schema.name, '\n'.join(definition.texts.values()))
    decoded = JsonDecoder(schema).decode(bytes(serialize_message(sent)))
    assert decoded == {name: getattr(sent, name) for name in sent.get_fields_and_field_types()}


# --- in a recording ----------------------------------------------------------------------------


def decoded(flight: Path, topic: str) -> list[Any]:
    """Return what another library makes of a topic's messages, with the flight's own schemas."""
    with AnyReader([flight]) as reader:
        connections = [item for item in reader.connections if item.topic == topic]
        return [
            plain(reader.deserialize(data, connection.msgtype))
            for connection, _, data in reader.messages(connections)
        ]


def test_the_events_of_a_service_and_of_an_action(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    fibonacci = pytest.importorskip('test_msgs.action').Fibonacci.Impl.FeedbackMessage
    topics = ['/arm/_service_event', '/count/_action/feedback']
    service = ground.node.create_service(SetBool, '/arm', lambda _, response: response)
    service.configure_introspection(
        ground.node.get_clock(), RELIABLE, ServiceIntrospectionState.CONTENTS
    )
    feedback = ground.publisher(fibonacci, topics[1], recorders=0)
    with RecorderProcess(ground, tmp_path, root, topics=topics) as recorder:
        recorder.make('configure', 'activate')
        ground.wait_until(feedback.get_subscription_count, 'the recorder')
        message = fibonacci()
        message.feedback.sequence = [1, 1, 2]
        feedback.publish(message)
        ground.call(SetBool, '/arm', SetBool.Request(data=True))
        ground.wait_until(lambda: recorder.stored(topics[0]) >= 2, 'request and answer on disk')
        ground.wait_until(lambda: recorder.stored(topics[1]) == 1, 'the feedback on disk')
        recorder.make('deactivate')
        (flight,) = recorder.flights()
    events = decoded(flight, topics[0])
    assert [event['request'] for event in events[:2]] == [[{'data': True}], []]
    assert [event['response'] for event in events[:2]] == [[], [{'success': False, 'message': ''}]]
    assert decoded(flight, topics[1]) == [plain(message)]


def test_wide_strings_and_their_neighbours(
    ground: Ground, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`rosbags` has no decoder for the former; it opens the bag, and decodes the others."""
    wide = pytest.importorskip('test_msgs.msg').WStrings
    text, point = wide(wstring_value='aä€😀z'), filled(PointStamped, random.Random(1))
    with RecorderProcess(ground, tmp_path, root, topics=['/wide', '/point']) as recorder:
        recorder.make('configure', 'activate')
        ground.publisher(wide, '/wide').publish(text)
        ground.publisher(PointStamped, '/point').publish(point)
        for topic in ('/wide', '/point'):
            ground.wait_until(partial(recorder.stored, topic), f'the message of {topic}')
        recorder.make('deactivate')
        (flight,) = recorder.flights()
    assert decoded(flight, '/point') == [plain(point)]
    assert main(['cat', str(flight), '-t', '/wide']) == EXIT_OK
    assert json.loads(capsys.readouterr().out)['message']['wstring_value'] == 'aä€😀z'


OTHER_VERSION = """
__path__ = [{path!r}]
from geometry_msgs.msg import PointStamped
PointStamped._fields_and_field_types.pop('header')
PointStamped.SLOT_TYPES = PointStamped.SLOT_TYPES[1:]
"""


@pytest.fixture
def other_version(tmp_path: Path) -> dict[str, str]:
    """
    Return the environment of a process that has another version of `PointStamped`.

    Its class and its file lack the header; the type support cannot be had in two versions here.
    """
    prefix, shim = tmp_path / 'prefix', tmp_path / 'shim' / 'geometry_msgs'
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    messages = prefix / 'share' / 'geometry_msgs' / 'msg'
    for directory in (index, messages, shim):
        directory.mkdir(parents=True)
    (index / 'geometry_msgs').touch()
    (messages / 'PointStamped.msg').write_text('Point point\n')
    (messages / 'Point.msg').write_text('float64 x\nfloat64 y\nfloat64 z\n')
    (shim / '__init__.py').write_text(OTHER_VERSION.format(path=str(REAL_GEOMETRY_MSGS)))
    prefixes = [str(prefix), ros_environment(0)['AMENT_PREFIX_PATH']]
    return {'AMENT_PREFIX_PATH': os.pathsep.join(prefixes), 'PYTHONPATH': str(shim.parent)}


def test_a_publisher_of_another_version_is_asked_for_its_definition(
    ground: Ground, tmp_path: Path, root: Path, other_version: dict[str, str]
) -> None:
    point = ground.publisher(PointStamped, '/point', recorders=0)
    message = filled(PointStamped, random.Random(1))
    with RecorderProcess(
        ground, tmp_path, root, topics=['/point'], environment=other_version
    ) as recorder:
        for _ in range(3):  # on a busy machine the answer may come too late, which is an alert
            recorder.make('configure', 'activate')
            ground.wait_until(point.get_subscription_count, 'the recorder')
            point.publish(message)
            ground.wait_until(lambda: recorder.stored('/point') == 1, 'the message on disk')
            recorder.make('deactivate', 'cleanup')
            flight = read_flight(recorder.flights()[-1])
            if not flight.of_topic('/fdr/alert'):
                break
            ground.wait_until(lambda: not point.get_subscription_count(), 'its end')
    assert not flight.of_topic('/fdr/alert')
    (recorded,) = flight.of_topic('/point')
    assert '# This represents a Point' in recorded.definition  # as its author wrote it
    assert decoded(flight.path, '/point') == [plain(message)]


def test_a_publisher_of_another_version_that_does_not_answer(
    ground: Ground, tmp_path: Path, root: Path, other_version: dict[str, str]
) -> None:
    mute = rclpy.create_node(
        'mute',
        context=ground.node.context,
        parameter_overrides=[Parameter('start_type_description_service', value=False)],
    )
    point = mute.create_publisher(PointStamped, '/point', 10)
    with RecorderProcess(
        ground, tmp_path, root, topics=['/point', '/chatter'], environment=other_version
    ) as recorder:
        recorder.make('configure', 'activate')
        chatter = ground.publisher(String, '/chatter')
        chatter.publish(String(data='all the same'))
        status = recorder.wait_for_alert('topics', 'type_unknown')
        assert '/point is recorded without the definition of geometry_msgs/msg/P' in status.message
        ground.wait_until(point.get_subscription_count, 'the recorder')
        point.publish(PointStamped())
        ground.wait_until(lambda: recorder.stored('/point') == 1, 'the message on disk')
        recorder.make('deactivate')
        flight = recorder.read_flight()
    mute.destroy_node()
    (recorded,) = flight.of_topic('/point')
    assert recorded.definition == ''
    assert decoded(flight.path, '/chatter') == [{'data': 'all the same'}]
