# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Definitions of message types: what they say, their hashes, and how other parsers read them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
import struct
from typing import Any

from conftest import MakeWriter
from fdr_recorder import Channel, FdrClient, Schema
from fdr_recorder.errors import RecordError
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.mcap.layout import ROS2IDL, ROS2MSG
from fdr_recorder.types.definition import Definition, Field, fields_of, SEPARATOR
from fdr_recorder.types.services_and_actions import read_interface
from flight_check import open_flight_files
from hypothesis import given
from hypothesis import strategies as st
from installed_types import parse, read_file, type_hashes
from producers import open_flight
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import get_types_from_msg

TEXTS = {
    'a/msg/Top': (
        '# The top. Middle not_a_field\n'
        'Middle one          # Missing\n'
        'Middle[] many\n'
        'b/Leaf[3] fixed\n'
        'b/msg/Leaf[<=5] bounded\n'
        'string<=10 short\n'
        'string<=10[<=3] shorts\n'
        'uint8 LIMIT=7\n'
        "string NAME='Middle x'\n"
        'int32 with_default 5\n'
        'string text "Leaf leaf"\n'
        '  float64[9] indented\n'
        '\n'
    ),
    'a/msg/Middle': 'b/Leaf leaf\nTwin twin\n',
    'a/msg/Twin': 'bool is_left',
    'b/msg/Leaf': 'uint8 A=1\nuint8 value\n\n\n',
}


def of_texts(texts: dict[str, str], name: str = '') -> Definition:
    return Definition.collect(name or next(iter(texts)), texts.__getitem__)


# --- putting definitions together --------------------------------------------------------------


def test_a_definition_holds_each_used_type_once() -> None:
    top, *others = of_texts(TEXTS).text.split(f'\n{SEPARATOR}\nMSG: ')
    assert top == TEXTS['a/msg/Top'].rstrip('\n')
    assert [other.partition('\n')[0] for other in others] == ['a/Middle', 'b/Leaf', 'a/Twin']
    assert [other.partition('\n')[2].rstrip('\n') for other in others] == [
        TEXTS[name].rstrip('\n') for name in ('a/msg/Middle', 'b/msg/Leaf', 'a/msg/Twin')
    ]
    assert of_texts(TEXTS).text.endswith('bool is_left\n')


def test_a_definition_is_what_another_parser_makes_of_its_parts() -> None:
    apart: dict[str, Any] = {}
    for name, text in TEXTS.items():
        apart |= get_types_from_msg(text, name)
    assert get_types_from_msg(of_texts(TEXTS).text, 'a/msg/Top') == apart
    assert parse(of_texts(TEXTS)).hash_rihs01('a/msg/Top') == of_texts(TEXTS).type_hash


def test_a_type_without_fields_of_others_stands_alone() -> None:
    assert Definition.collect('x/Plain', lambda _name: 'int8 a\n\n').text == 'int8 a\n'


def test_a_type_that_uses_itself_comes_to_an_end() -> None:
    assert Definition.collect('x/Loop', lambda _name: 'Loop[] next\n').text == 'Loop[] next\n'


def test_a_type_that_nobody_knows_is_the_readers_error() -> None:
    def read(name: str) -> str:
        raise RecordError(name)

    with pytest.raises(RecordError, match='a/msg/Top'):
        Definition.collect('a/msg/Top', read)


def test_a_char_is_written_as_what_it_is() -> None:
    """Others take it for a character, and then the whole bag for a forgery."""
    text = '# char a\nchar A=1\n  char[3] b # char\nchar c 1\nY d\n'
    definition = of_texts({'a/msg/X': text, 'a/msg/Y': 'char e\n'})
    assert 'uint8 A=1\nuint8[3] b # char\nuint8 c 1\n' in definition.text
    assert definition.text.startswith('# char a\n')
    assert definition.text.endswith('uint8 e\n')
    assert parse(definition).hash_rihs01('a/msg/X') == definition.type_hash


# --- fields ------------------------------------------------------------------------------------

NAMES = st.from_regex(r'[a-z][a-z0-9_]{0,8}', fullmatch=True)
SIZES = st.integers(1, 2**31)


@st.composite
def any_field(draw: st.DrawFn) -> Field:
    names = ['bool', 'byte', 'uint64', 'float32', 'string', 'wstring', 'b/msg/X']
    name = draw(st.sampled_from(names))
    field = Field(draw(NAMES), name)
    if name.endswith('string') and draw(st.booleans()):
        field = field._replace(string_bound=draw(SIZES))
    shape = draw(st.sampled_from(['one', 'array', 'bounded', 'unbounded']))
    if shape == 'array':
        return field._replace(is_array=True, size=draw(SIZES))
    if shape == 'one':
        return field
    return field._replace(is_sequence=True, size=draw(SIZES) if shape == 'bounded' else 0)


@given(any_field())
def test_a_field_is_the_same_as_a_line_and_as_a_description(field: Field) -> None:
    assert fields_of('a/msg/Owner', f'{field.msg()}  # a comment\n') == [field]
    described = field.description()
    about = described['type']
    assert field == Field.described(
        described['name'],
        about['type_id'],
        about['capacity'],
        about['string_capacity'],
        about['nested_type_name'],
    )


@pytest.mark.parametrize('type_id', [12, 13, 14, 19, 60, 163])
def test_a_field_that_a_msg_file_has_no_words_for(type_id: int) -> None:
    with pytest.raises(RecordError, match=f'wide: a .msg file cannot .* {type_id}'):
        Field.described('wide', type_id, 0, 0, '')


def test_constants_are_no_fields() -> None:
    text = 'uint8 A=1\nuint8 B = 2\nstring C="x"\nuint8 a 1\n'
    assert fields_of('a/msg/X', text) == [Field('a', 'uint8')]


# --- services and actions ----------------------------------------------------------------------

SERVICE = '# Ask\nThing[<=2] things\nb/Other other\nuint8 LIMIT=3\n---\nbool success\n'
ACTION = 'Thing goal\n---\n---\nfloat64 done 0.5\n'


def read_of(text: str, name: str) -> str:
    def read(package: str, path: str) -> str:
        assert package == 'a'
        assert path in ('srv/Do.srv', 'action/Go.action')
        return text

    return read_interface(name, read)


def test_the_parts_of_a_service() -> None:
    """Another package's parser would look for `Thing` beside the service, not among messages."""
    assert read_of(SERVICE, 'a/srv/Do_Request') == SERVICE.split('---\n', maxsplit=1)[0].replace(
        'Thing[', 'a/Thing['
    )
    assert read_of(SERVICE, 'a/srv/Do_Response') == 'bool success\n'
    assert 'a/srv/Do_Request[<=1] request' in read_of(SERVICE, 'a/srv/Do_Event')


def test_the_parts_of_an_action() -> None:
    assert read_of(ACTION, 'a/action/Go_Goal') == 'a/Thing goal\n'
    assert read_of(ACTION, 'a/action/Go_Result') == ''
    assert read_of(ACTION, 'a/action/Go_Feedback') == 'float64 done 0.5\n'
    assert 'a/action/Go_Feedback feedback' in read_of(ACTION, 'a/action/Go_FeedbackMessage')
    assert 'a/action/Go_SendGoal_Request[<=1] r' in read_of(ACTION, 'a/action/Go_SendGoal_Event')


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        (SERVICE, 'a/srv/Do_Goal'),
        (SERVICE, 'a/srv/Do'),
        ('int8 a\n', 'a/srv/Do_Request'),
        (SERVICE, 'a/action/Go_Feedback'),
        (ACTION, 'a/action/Go_Request'),
    ],
)
def test_a_part_that_is_not_there(text: str, name: str) -> None:
    with pytest.raises(RecordError, match=f'there is no {name} in '):
        read_of(text, name)


# --- what rosidl says of installed types -------------------------------------------------------

HASHES = type_hashes()
needs_types = pytest.mark.skipif(not HASHES, reason='no ROS message packages with hashes here')


def installed_definitions() -> dict[str, Definition]:
    """Return the definition of every type that has one; some have an `.idl` file alone."""
    found = {}
    for name in HASHES:
        with suppress(RecordError):
            found[name] = Definition.collect(name, lambda part: read_interface(part, read_file))
    return found


@needs_types
def test_the_hash_of_every_installed_type_is_that_of_rosidl() -> None:
    definitions = installed_definitions()
    assert {name: found.type_hash for name, found in definitions.items()} == {
        name: type_hash for name, type_hash in HASHES.items() if name in definitions
    }
    assert len(definitions) > len(HASHES) / 2
    assert {name.split('/')[1] for name in definitions} >= {'msg', 'srv'}


@needs_types
def test_another_parser_reads_the_definition_of_every_installed_type() -> None:
    encodings = set()
    for name, definition in installed_definitions().items():
        if 'wstring' in ''.join(definition.texts.values()):  # which rosbags does not know
            continue
        store = parse(definition)
        store.get_msgdef(name)
        assert store.hash_rihs01(name) == definition.type_hash
        encodings.add(definition.encoding)
    assert encodings == {ROS2MSG, ROS2IDL}


# --- in a bag ----------------------------------------------------------------------------------

HEADER = b'\x00\x01\x00\x00'


@pytest.mark.parametrize('is_closed', [True, False])
def test_a_bag_opens_whatever_is_known_of_its_types(
    make_writer: MakeWriter, root: Path, is_closed: bool
) -> None:
    """A type that nobody knows does not keep another library from decoding the others."""
    known = of_texts({'a/msg/Top': 'uint8 value\n'})
    event = of_texts(
        {
            'a/srv/Do_Event': 'a/srv/Do_Request[<=1] request\n',
            'a/srv/Do_Request': 'uint16 value\n',
        }
    )
    sent = {
        '/known': (known.schema, known.type_hash, b'\x07'),
        '/event': (event.schema, event.type_hash, struct.pack('<IH', 1, 1000)),
        '/unknown': (Schema('a/msg/Unknown', ''), known.type_hash, b'whatever'),
    }
    writer = make_writer()
    open_flight(writer, 'x')
    for topic, (schema, type_hash, data) in sent.items():
        client = FdrClient(Channel(topic, schema, metadata={'topic_type_hash': type_hash}))
        writer.register(client)
        client.enqueue(HEADER + data)
    if is_closed:
        writer.close_flight('x')
    writer.stop()
    if not is_closed:
        recover(root / 'x')
    flight = open_flight_files(root / 'x')
    assert [item.data for item in flight.of_topic('/unknown')] == [HEADER + b'whatever']
    with AnyReader([root / 'x']) as reader:
        connections = [item for item in reader.connections if item.topic in ('/known', '/event')]
        found: dict[str, Any] = {
            connection.topic: reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages(connections)
        }
    assert found['/known'].value == 7
    assert found['/event'].request[0].value == 1000
