# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A topic in Python is a table of Arrow, for pandas and polars."""

from __future__ import annotations

from pathlib import Path
import re

from conftest import MakeWriter
from fdr_recorder import Channel, ExportError, FdrClient, FlightHeader, FlightReader, Schema
from fdr_recorder.errors import RecordError
import pyarrow as pa
import pytest
from sensor_flight import cdr, header, message, schema

START_NS = 1_790_000_000_000_000_000
IMU = 'sensor_msgs/msg/Imu'
OLD, NEW = Schema('x_msgs/msg/V', 'uint8 a\n'), Schema('x_msgs/msg/V', 'uint8 a\nuint8 b\n')
PAGE = Path(__file__).parents[2] / 'docs' / 'python.md'


def imu(number: int) -> bytes:
    z = message('geometry_msgs/msg/Vector3', z=float(number))
    return cdr(IMU, header=header('imu'), linear_acceleration=z)


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Path:
    writer = make_writer(flush_interval_s=60.0)
    clients = [
        FdrClient(Channel('/imu/data', schema(IMU), publisher=gid)) for gid in ('0a', '0b')
    ]
    old, new, other, none = (
        FdrClient(Channel(topic, of))
        for topic, of in (
            ('/v', OLD),
            ('/v', NEW),
            ('/two', OLD),
            ('/none', Schema('x_msgs/msg/None', '')),
        )
    )
    second = FdrClient(Channel('/two', Schema('x_msgs/msg/W', 'uint8 a\n')))
    for client in (*clients, old, new, other, none, second):
        writer.register(client)
    writer.open_flight(FlightHeader(flight_id='x'))
    for number in range(20):  # of two publishers, and not in the order of their times
        at = START_NS + (number if number % 2 else 100 - number)
        clients[number % 2].enqueue(imu(number), at, at - 1, number + 1)
    for client, size in ((old, 1), (new, 2), (other, 1), (none, 1), (second, 1)):
        client.enqueue(b'\0\1\0\0' + bytes([7, 8][:size]), START_NS + size)
    old.enqueue(b'\0\1\0\0' + bytes(9), START_NS)
    writer.close_flight('x')
    writer.stop()
    return root / 'x'


def test_a_topic_is_a_table_in_the_order_of_log_times(flight: Path) -> None:
    with FlightReader(flight) as reader:
        table = reader.frames('/imu/data')
        assert reader.damage == []
    assert isinstance(table, pa.Table)
    times = table['log_time'].cast('int64').to_pylist()
    assert times == sorted(times)
    assert len(times) == 20
    numbers = table['linear_acceleration.z'].to_pylist()
    assert numbers == [*range(1, 20, 2), *range(18, -1, -2)]
    assert set(table['publisher'].to_pylist()) == {'0a', '0b'}
    assert table.schema.metadata[b'type'] == IMU.encode()


def test_a_part_of_a_topic(flight: Path) -> None:
    table = FlightReader(flight).frames('/imu/data', start_ns=START_NS + 5, end_ns=START_NS + 90)
    numbers = table['linear_acceleration.z'].to_pylist()
    assert numbers == [5, 7, 9, 11, 13, 15, 17, 19, 18, 16, 14, 12]


def test_versions_of_a_definition_are_one_table(flight: Path) -> None:
    reader = FlightReader(flight)
    table = reader.frames('/v')
    assert [(row['a'], row['b']) for row in table.select(['a', 'b']).to_pylist()] == [
        (7, None),
        (7, 8),
    ]
    assert 'x_msgs/msg/V left out: 13 bytes cannot be decoded' in str(reader.damage[0])


def test_what_there_is_no_table_of(flight: Path) -> None:
    reader = FlightReader(flight)
    with pytest.raises(ExportError, match=r'several types .* x_msgs/msg/V, x_msgs/msg/W'):
        reader.frames('/two')
    assert reader.frames('/two', type_name='x_msgs/msg/W')['a'].to_pylist() == [7]
    with pytest.raises(ExportError, match='has none of the topics'):
        reader.frames('/nothing')
    with pytest.raises(RecordError, match='there is no definition of x_msgs/msg/None'):
        reader.frames('/none')


def test_the_example_of_the_documentation(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r'^```python\n(.*?)^```', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if '.frames(' in block]
    exec(example, {'flight': flight})
    said = capsys.readouterr().out
    assert said.startswith(f'20 messages, the first at {START_NS + 1} ns')
    assert said.endswith('0.0 19.0\n')
