# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr cat`: every message as one line of JSON, with nothing changed and nothing left out."""

from __future__ import annotations

import base64
from contextlib import suppress
import json
import math
from pathlib import Path
import struct
from typing import Any

from conftest import MakeWriter
from fdr_recorder import FdrClient, Schema
from fdr_recorder.cli.main import main
from fdr_recorder.errors import RecordError
from fdr_recorder.types.cdr_to_json import JsonDecoder
from hypothesis import given, settings
from hypothesis import strategies as st
from producers import make_client, numbered, open_flight, TEXT
import pytest
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

EVERYTHING = Schema(
    'test_msgs/msg/Everything',
    """\
bool yes
byte octet
char letter
int8 a
uint8 b
int64 large
uint64 larger
float32 single
float64 double
string text
uint8[] blob
uint8[4] four
bool[] flags
int32[] numbers
float32[3] singles
float64[] doubles
string[2] two
string[] texts
Inner inner
Inner[] inners
Inner[2] pair
int32 CONSTANT=3
================================================================================
MSG: test_msgs/Inner
float32 x
string name
""",
)
VALUES: dict[str, Any] = {
    'yes': True,
    'octet': 7,
    'letter': 65,
    'a': -5,
    'b': 250,
    'large': -(2**63),
    'larger': 2**64 - 1,
    'single': 0.1,
    'double': 0.1,
    'text': 'Grüße "an\n alle"',
    'blob': bytes(range(20)),
    'four': b'\x01\x02\x03\x04',
    'flags': [True, False],
    'numbers': list(range(20)),
    'singles': [0.1, -2.5, 3e38],
    'doubles': [1e300, -0.1],
    'two': ['a', 'b'],
    'texts': ['x'] * 20,
    'inner': {'x': 0.3, 'name': 'one'},
    'inners': [{'x': 1.5, 'name': 'two'}],
    'pair': [{'x': 0.0, 'name': ''}, {'x': -0.7, 'name': 'z'}],
}


def encode(schema: Schema, values: dict[str, Any]) -> bytes:
    """Encode a message with the independent library."""
    import numpy as np

    store = Typestore()
    store.register(get_types_from_msg(schema.definition, schema.name))
    inner = store.types.get('test_msgs/msg/Inner')

    def build(name: str, value: Any) -> Any:
        if name in ('inner', 'inners', 'pair') and inner is not None:
            return [inner(**item) for item in value] if isinstance(value, list) else inner(**value)
        kinds = {'flags': bool, 'numbers': np.int32, 'singles': np.float32, 'doubles': np.float64}
        if name in kinds:
            return np.array(value, kinds[name])
        return np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value

    message = store.types[schema.name](**{name: build(name, it) for name, it in values.items()})
    return bytes(store.serialize_cdr(message, schema.name))


def lines(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> list[Any]:
    assert main(['cat', *map(str, arguments)]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Path:
    """Record ten texts, then one message with everything, then one of an unknown type."""
    writer = make_writer()
    text, everything = make_client('/text', '0a', schema=TEXT), make_client(
        '/everything', '0b', schema=EVERYTHING
    )
    unknown = make_client('/unknown', '0c', schema=Schema('x_msgs/msg/X', ''))
    open_flight(writer, 'x', text, everything, unknown)
    for number in range(10):
        data = encode(TEXT, {'data': f'number {number}'})
        text.enqueue(data, 1_000_000_000 * (number + 1), 5, number)
    everything.enqueue(encode(EVERYTHING, VALUES), 11_000_000_000)
    unknown.enqueue(b'\x00\x01\x00\x00abcd', 12_000_000_000)
    writer.close_flight('x')
    return root / 'x'


def test_every_kind_of_field(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, flight, '-t', '/everything')
    blobs = {name: base64.b64encode(VALUES[name]).decode() for name in ('blob', 'four')}
    assert line['message'] == {**VALUES, **blobs}
    assert line['type'] == 'test_msgs/msg/Everything'


def test_what_stands_beside_the_message(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_ = lines(capsys, flight, '-t', '/text')
    assert first == {
        'topic': '/text',
        'type': 'std_msgs/msg/String',
        'log_time': '1970-01-01T00:00:01.000000Z',
        'log_time_ns': 1_000_000_000,
        'publish_time_ns': 5,
        'sequence': 0,
        'message': {'data': 'number 0'},
    }


def test_short_leaves_out_long_lists_and_says_so(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = lines(capsys, flight, '-t', '/everything', '--short')
    message = line['message']
    assert message['blob'] == '<20 x uint8>'
    assert message['numbers'] == '<20 x int32>'
    assert message['texts'] == '<20 x string>'
    assert message['flags'] == VALUES['flags']


def test_topics_times_and_limit(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def numbers(*options: object) -> list[int]:
        return [line['sequence'] for line in lines(capsys, flight, '-t', '/te*', *options)]

    assert numbers() == list(range(10))
    assert numbers('-n', 3) == [0, 1, 2]
    assert numbers('-n', 0) == []
    assert numbers('--start', '1970-01-01T00:00:03Z', '--end', '1970-01-01T00:00:05Z') == [2, 3]
    assert numbers('--start', '1970-01-01T00:00:03Z', '--duration', 2) == [2, 3]
    assert numbers('--end', '1970-01-01T00:00:03Z', '--duration', '1.5') == [1]
    everything = lines(capsys, flight, '-t', '/text', '-t', '/everything')
    assert len(everything) == 11
    assert [line['log_time_ns'] for line in everything] == sorted(
        line['log_time_ns'] for line in everything
    )


def test_a_type_that_nobody_knows_is_given_as_it_is(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['cat', str(flight), '-t', '/unknown']) == 1
    out, err = capsys.readouterr()
    assert base64.b64decode(json.loads(out)['data_base64']) == b'\x00\x01\x00\x00abcd'
    assert 'x_msgs/msg/X' in err


def test_as_one_document(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['cat', str(flight), '-t', '/text', '--json']) == 0
    assert len(json.loads(capsys.readouterr().out)) == 10
    assert main(['cat', str(flight), '-t', '/text', '--json', '--start', '2000-01-01']) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_the_recorders_own_records(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, footer = lines(capsys, flight, '-t', '/fdr/flight_*')
    assert header['message']['flight_id'] == footer['message']['flight_id'] == 'x'
    assert footer['message']['clean_shutdown'] is True


@pytest.mark.parametrize(
    'options',
    [('--start', '5', '--end', '5'), ('--start', '1', '--end', '2', '--duration', '1')],
)
def test_times_that_contradict_each_other_are_refused(
    flight: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert main(['cat', str(flight), *options]) == 3
    assert '--' in capsys.readouterr().err


# --- numbers -----------------------------------------------------------------------------------

FLOATS = Schema('test_msgs/msg/Floats', 'float32 single\nfloat64 double\n')


@settings(deadline=None)
@given(st.floats(width=32), st.floats())
def test_floats_come_back_as_they_were(single: float, double: float) -> None:
    data = struct.pack('<HHfxxxxd', 0x100, 0, single, double)
    text = json.dumps(JsonDecoder(FLOATS).decode(data), allow_nan=False)
    back = json.loads(text)
    for name, value, layout in (('single', single, '<f'), ('double', double, '<d')):
        if math.isnan(value):
            assert back[name] is None
        elif math.isinf(value):
            assert float(back[name]) == value
        else:
            assert struct.pack(layout, back[name]) == struct.pack(layout, value)
    assert len(text) < 80


# --- definitions that mean harm ----------------------------------------------------------------

BAR = '=' * 80


@pytest.mark.parametrize(
    'definition',
    [
        'string[1000000] x\n',
        f'Y[100000] x\n{BAR}\nMSG: x_msgs/Y\nfloat32 x\n',
        f'Y x\n{BAR}\nMSG: x_msgs/Y\nY x\n',
        'Nowhere x\n',
        'this is no definition\n',
        'uint8 x\n' * 200_000,
        '\x00',
    ],
)
def test_a_definition_that_means_harm_is_refused(definition: str) -> None:
    with pytest.raises(RecordError, match='x_msgs/msg/X'):
        JsonDecoder(Schema('x_msgs/msg/X', definition)).decode(b'\x00\x01\x00\x00' + bytes(64))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_are_no_message_do_no_harm(data: bytes) -> None:
    decoder = JsonDecoder(EVERYTHING)
    with suppress(RecordError):
        json.dumps(decoder.decode(b'\x00\x01\x00\x00' + data), allow_nan=False)


def test_a_standard_type_is_decoded_as_rosbags_does(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    name = 'sensor_msgs/msg/NavSatFix'
    schema = Schema(name, types.generate_msgdef(name, ros_version=2)[0])
    writer, client = make_writer(), make_client('/gps/fix', '0a', schema=schema)
    open_flight(writer, 'x', client)
    import numpy as np

    fix = types.types[name](
        header=types.types['std_msgs/msg/Header'](
            stamp=types.types['builtin_interfaces/msg/Time'](sec=1, nanosec=2), frame_id='gps'
        ),
        status=types.types['sensor_msgs/msg/NavSatStatus'](status=0, service=1),
        latitude=47.3769,
        longitude=8.5417,
        altitude=float('nan'),
        position_covariance=np.zeros(9),
        position_covariance_type=0,
    )
    client.enqueue(bytes(types.serialize_cdr(fix, name)))
    writer.close_flight('x')
    (line,) = lines(capsys, root / 'x', '-t', '/gps/fix')
    assert line['message']['latitude'] == 47.3769
    assert line['message']['altitude'] is None
    assert line['message']['header'] == {'stamp': {'sec': 1, 'nanosec': 2}, 'frame_id': 'gps'}


def test_the_messages_of_a_client_are_all_there(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = make_writer(segment_size_bytes=16 * 1024, chunk_size_bytes=2048)
    client: FdrClient = make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    sent = [numbered(number, 300) for number in range(200)]
    for data in sent:
        client.enqueue(data)
    writer.close_flight('x')
    got = lines(capsys, root / 'x', '-t', '/blob')
    assert [base64.b64decode(line['message']['data']) for line in got] == [it[8:] for it in sent]
