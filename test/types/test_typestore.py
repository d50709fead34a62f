# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A schema becomes a typestore within limits, or a RecordError."""

from __future__ import annotations

import time

from fdr_recorder import Schema
from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.layout import ROS2IDL
from fdr_recorder.types.definition import Definition, MAX_CHARACTERS, SEPARATOR
from fdr_recorder.types.typestore import (
    MAX_LINES,
    MAX_PARSED_CHARACTERS,
    MAX_TYPES,
    MAX_UNROLLED,
    parse_types,
    typestore_of,
)
import pytest
from rosbags.typesys import get_types_from_msg

NAME = 'x_msgs/msg/X'


def of_types(*texts: str) -> str:
    """Return a definition of `X` and of the types `T0`, `T1`, ..."""
    others = (f'{SEPARATOR}\nMSG: x_msgs/T{n}\n{text}' for n, text in enumerate(texts[1:]))
    return texts[0] + ''.join(others)


def lines(count: int) -> str:
    return ''.join(f'uint8 a{number}\n' for number in range(count))


def idl(count: int) -> str:
    """Return a definition of this many lines."""
    members = ''.join(f'uint8 a{number};\n' for number in range(count - 2))
    return f'module x_msgs {{ module msg {{ struct X {{\n{members}}}; }}; }};\n'


@pytest.mark.parametrize(
    'definition',
    [
        lines(MAX_LINES),
        '# comment\n \n\t# comment\n' * MAX_LINES + 'uint8 a\n',
        f'string a "{"x" * (MAX_PARSED_CHARACTERS - 12)}"\n',
        of_types(*['uint8 a\n'] * MAX_TYPES),
        f'string[{MAX_UNROLLED - 1}] a\nT0[1] b\nuint8[4000000000] c\n{of_types("", "int8 a")}',
    ],
    ids=['lines', 'comments', 'characters', 'types', 'arrays'],
)
def test_a_definition_within_the_limits(definition: str) -> None:
    parse_types.cache_clear()
    assert parse_types(Schema(NAME, definition)) == get_types_from_msg(definition, NAME)


@pytest.mark.parametrize(
    ('definition', 'reason'),
    [
        (lines(MAX_LINES + 1), f'{MAX_LINES + 1} lines'),
        (f'string a "{"x" * MAX_PARSED_CHARACTERS}"\n', 'characters to parse'),
        ('\n' * MAX_CHARACTERS + 'uint8 a\n', f'{MAX_CHARACTERS + 8} characters'),
        (of_types(*['uint8 a\n'] * (MAX_TYPES + 1)), f'{MAX_TYPES + 1} types'),
        (f'string[{MAX_UNROLLED}] a\nstring[1] b\n', f'{MAX_UNROLLED + 1} array elements'),
        (of_types(f'T0[{MAX_UNROLLED + 1}] a\n', 'int8 a\n'), 'array elements'),
        (f'string[{10 * MAX_UNROLLED}] a\nstring[-{10 * MAX_UNROLLED}] b\n', 'array elements'),
        (f'string[{"9" * 5000}] a\n', 'ValueError'),
        ('}{\n', 'TypesysError'),
        ('', 'there is no definition of x_msgs/msg/X'),
    ],
)
def test_a_definition_beyond_the_limits(definition: str, reason: str) -> None:
    for load in (parse_types, typestore_of):
        with pytest.raises(RecordError, match=reason) as caught:
            load(Schema(NAME, definition))  # type: ignore[operator]
        assert len(str(caught.value)) < 400


def test_the_limits_hold_for_idl() -> None:
    assert len(parse_types(Schema(NAME, idl(MAX_LINES), ROS2IDL))[NAME][1]) == MAX_LINES - 2
    with pytest.raises(RecordError, match=f'{MAX_LINES + 1} lines'):
        parse_types(Schema(NAME, idl(MAX_LINES + 1), ROS2IDL))


@pytest.mark.parametrize(
    'member',
    [
        f'{"sequence<" * 100}uint8{">" * 100} a;',
        f'{"sequence < " * 100}uint8{">" * 100} a;',
        'sequence<//\nsequence<uint8>> a;',
        'uint8 a[1 << 99999999999];',
        'uint8 a[9999*9999];',
        'uint8 a = 1;',
    ],
)
def test_idl_that_could_keep_the_parser_busy_is_refused(member: str) -> None:
    definition = f'module x_msgs {{ module msg {{ struct X {{ {member} }}; }}; }};'
    with pytest.raises(RecordError, match='more of IDL than structures'):
        parse_types(Schema(NAME, definition, ROS2IDL))


ROSIDL = """\
================================================================================
IDL: x_msgs/msg/X
// generated from rosidl_adapter/resource/msg.idl.em

#include "x_msgs/msg/Inner.idl"

module x_msgs {
  module msg {
    module X_Constants {
      const uint8 KIND = 1;
      @verbatim (language="comment", text="a (text) with \\"quotes\\" ;")
      const string NAME = "x;y // z";
    };
    typedef double double__9[9];
    @verbatim (language="comment", text=
      "It is (nearly) IMU data; see // below" "\\n"
      "and beyond")
    struct X {
      /* in front of
         it */
      x_msgs::msg::Inner inner;
      @verbatim (language="comment", text="Row major")
      double__9 covariance;
      @default (value=3)
      int32 count;
      @key @unit(value="m")
      sequence<float, 4> few;
      string<10> name;
    };
  };
};

================================================================================
IDL: x_msgs/msg/Inner
module x_msgs { module msg { struct Inner { unsigned long long time; boolean ok; }; }; };
"""


def test_idl_of_rosidl_says_the_same_as_a_msg_file() -> None:
    """Bags of Iron and later have it for interfaces that were written in IDL."""
    same = of_types(
        'x_msgs/Inner inner\nfloat64[9] covariance\nint32 count\nfloat32[<=4] few\n'
        'string<=10 name\n'
    )
    same += f'{"=" * 80}\nMSG: x_msgs/Inner\nuint64 time\nbool ok\n'
    assert parse_types(Schema(NAME, ROSIDL, ROS2IDL)) == parse_types(Schema(NAME, same))
    assert typestore_of(Schema(NAME, ROSIDL, ROS2IDL)).get_msgdef(NAME)


@pytest.mark.parametrize(
    'text', ['/*', '@a(', '"', 'const ', 'module a { };', '#\n', 'module a {', '// /*\n@b ("'],
)
def test_idl_of_any_kind_is_made_plain_in_no_time(text: str) -> None:
    started = time.process_time()
    with pytest.raises(RecordError):
        typestore_of(Schema(NAME, text * (100_000 // len(text)), ROS2IDL))
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    'definition',
    [
        'Nowhere a\n',
        of_types('T0 a\n', 'T1 a\n', 'T0[] a\n'),
        of_types('T0 a\n', *[f'T{number + 1} a\n' for number in range(MAX_TYPES - 2)], 'X a\n'),
    ],
    ids=['missing', 'recursive', 'deep'],
)
def test_a_type_that_parses_but_cannot_be_decoded(definition: str) -> None:
    assert NAME in parse_types(Schema(NAME, definition))
    with pytest.raises(RecordError, match='the definition of x_msgs/msg/X cannot be used'):
        typestore_of(Schema(NAME, definition))


def test_each_schema_has_its_own_types() -> None:
    """Files of different versions define the same name differently."""
    for definition, data, values in (
        ('uint8 a\n', b'\x07', {'a': 7}),
        ('uint16 b\n', b'\x07\x01', {'b': 263}),
    ):
        store = typestore_of(Schema(NAME, definition))
        message = store.deserialize_cdr(b'\x00\x01\x00\x00' + data, NAME)
        assert {name: getattr(message, name) for name in values} == values


def test_a_service_event_in_idl() -> None:
    texts = {
        'a/srv/Do_Event': 'a/srv/Do_Request[<=1] request\n',
        'a/srv/Do_Request': 'string<=5 text\n',
    }
    schema = Definition.collect('a/srv/Do_Event', texts.__getitem__).schema
    data = b'\x00\x01\x00\x00' + b'\x01\x00\x00\x00' + b'\x03\x00\x00\x00hi\x00'
    event = typestore_of(schema).deserialize_cdr(data, schema.name)
    assert event.request[0].text == 'hi'  # type: ignore[attr-defined]
