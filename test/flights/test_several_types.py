# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What readers say of a flight in which a topic has several types."""

from __future__ import annotations

from collections import Counter
import json
from pathlib import Path
import struct

from conftest import MakeWriter
from fdr_recorder import FdrClient, Query, read_info, Schema, TopicInfo, Verdict, verify
from fdr_recorder.cli.main import main
from fdr_recorder.flights.export import export
from fdr_recorder.report.gather import gather
from fdr_recorder.report.json_document import to_dict
from flight_check import read_segment
from producers import make_client, open_flight, TEXT
import pytest
from rosbags.highlevel import AnyReader

STRING, FLOAT = 'std_msgs/msg/String', 'std_msgs/msg/Float64'
NUMBER = Schema(FLOAT, 'float64 data\n')
HEAD = b'\x00\x01\x00\x00'
COUNTS = {STRING: 30, FLOAT: 20}


def text(value: str) -> bytes:
    return HEAD + struct.pack('<I', len(value) + 1) + value.encode() + b'\0'


def record(make_writer: MakeWriter, root: Path, *, close: bool = True) -> Path:
    """Record `/state` in two types, and `/other` in one; messages of both types are lost."""
    writer = make_writer()
    strings = make_client('/state', '0a', schema=TEXT, loss_detection='sequence')
    numbers = make_client('/state', '0b', schema=NUMBER, loss_detection='sequence')
    other = make_client('/other', '0c', schema=TEXT, loss_detection='sequence')
    open_flight(writer, 'x', strings, numbers, other)
    for number in range(COUNTS[STRING]):
        strings.enqueue(text(str(number)), sequence=number + 1)
        other.enqueue(text('other'), sequence=number + 1)
    for number in range(COUNTS[FLOAT]):
        numbers.enqueue(HEAD + struct.pack('<d', number), sequence=number + 1 + 3 * (number > 9))
    lose(numbers, 11, 13)
    if close:
        writer.close_flight('x')
    writer.stop()
    return root / 'x'


def lose(client: FdrClient, first: int, last: int) -> None:
    client.count_transport_loss(first, last)


@pytest.mark.parametrize('close', [True, False], ids=['closed', 'unclean'])
def test_a_row_for_each_type(
    make_writer: MakeWriter, root: Path, capsys: pytest.CaptureFixture[str], close: bool
) -> None:
    flight = record(make_writer, root, close=close)
    info = read_info(flight)
    rows = {topic.key: topic for topic in info.topics.values() if not topic.is_own}
    assert {key: topic.messages for key, topic in rows.items()} == {
        ('/state', STRING): 30, ('/state', FLOAT): 20, ('/other', STRING): 30
    }  # fmt: skip
    assert {key: topic.lost_transport for key, topic in rows.items() if topic.lost_transport} == {
        ('/state', FLOAT): 3
    }
    assert rows['/state', STRING].publishers == {'0a'}
    assert isinstance(info.topics['/other'], TopicInfo)  # as before
    assert main(['info', str(flight)]) == 0
    lines = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line[:1] == ['/state']] == [
        ['/state', FLOAT, '1', '20'], ['/state', STRING, '1', '30']
    ]  # fmt: skip
    assert main(['info', str(flight), '--json']) == 0
    topics = json.loads(capsys.readouterr().out)['topics']
    found = [(topic['type'], topic['messages']) for topic in topics if topic['name'] == '/state']
    assert sorted(found) == [(FLOAT, 20), (STRING, 30)]


def test_the_report_and_verify(make_writer: MakeWriter, root: Path) -> None:
    flight = record(make_writer, root)
    report = gather(flight)
    found = {topic.key: sum(report.rates.counts(topic.key)) for topic in report.topics}
    assert found == {('/state', STRING): 30, ('/state', FLOAT): 20, ('/other', STRING): 30}
    rows = [row for row in to_dict(report)['topics'] if row['name'] == '/state']
    assert sorted((row['types'], row['messages'], sum(row['counts'])) for row in rows) == [
        ([FLOAT], 20, 20), ([STRING], 30, 30)
    ]  # fmt: skip
    verification = verify(flight)
    assert not verification.damage
    assert verification.verdict is Verdict.LOSSES


@pytest.mark.parametrize('form', ['bag', 'file'])
def test_a_copy_has_both(make_writer: MakeWriter, root: Path, tmp_path: Path, form: str) -> None:
    """The library `rosbags` decodes each message by its own type, in the flight and in a copy."""
    flight = record(make_writer, root)
    out = tmp_path / ('copy.mcap' if form == 'file' else 'copy')
    assert export(Query(flight, topics=('/state',)), out).messages == 50
    for path in (flight, out):
        with AnyReader([path]) as bag:
            of_topic = [item for item in bag.connections if item.topic == '/state']
            found = Counter(
                type(bag.deserialize(data, connection.msgtype)).__name__
                for connection, _, data in bag.messages(of_topic)
            )
        assert found == {'std_msgs__msg__String': 30, 'std_msgs__msg__Float64': 20}
    segment = read_segment(out if form == 'file' else out / 'copy_0.mcap')
    assert Counter(message.type for message in segment.messages) == COUNTS


def test_one_type_of_a_topic(
    make_writer: MakeWriter, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ros2 bag play` has one publisher for a topic: a copy with one type is played right."""
    flight = record(make_writer, root)
    assert main(['cat', str(flight), '-t', '/state', '--type', FLOAT]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line['message']['data'] for line in lines] == list(range(20))
    assert {line['type'] for line in lines} == {FLOAT}
    assert main(['export', str(flight), '-o', str(tmp_path / 'out'), '--type', STRING]) == 0
    with AnyReader([tmp_path / 'out']) as bag:
        assert {(item.topic, item.msgtype) for item in bag.connections} == {
            ('/state', STRING), ('/other', STRING)
        }  # fmt: skip
    assert main(['export', str(flight), '-o', str(tmp_path / 'no'), '--type', 'a/msg/B']) != 0
    assert 'no message of these topics and types' in capsys.readouterr().err
