# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Tables of a recording: every value as `rosbags` reads it, in every format."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
import csv
from functools import cache
import json
import math
from pathlib import Path
from random import Random
import subprocess
import sys
from typing import Any

from conftest import MakeWriter
from fdr_recorder import Channel, export, FdrClient, FlightHeader, Query, Schema
from fdr_recorder.cli.main import main
from fdr_recorder.errors import ExportError, RecordError
from fdr_recorder.flights.export_tables import file_stem
from fdr_recorder.types import cdr_layout, typestore
from fdr_recorder.types.definition import Definition
from fdr_recorder.types.services_and_actions import read_interface
from fdr_recorder.types.typestore import typestore_of
from installed_types import read_file, type_hashes
from mcap.writer import Writer as McapWriter
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from random_messages import random_message, same, values_by_rosbags

COUNT = 4
START_NS = 1_790_000_000_123_456_789
TYPES = {
    'int64': Schema('x_msgs/msg/Big', 'uint64 big\nint64 small\nuint64[] list\n'),
    'float': Schema('x_msgs/msg/Float', 'float32 a\nfloat64 b\nfloat32[] c\nfloat64[2] d\n'),
    'text': Schema('x_msgs/msg/Text', 'string a\nwstring b\nstring[] c\nbool d\nbool[] e\n'),
    'bytes': Schema('x_msgs/msg/Bytes', 'uint8[] a\nbyte[3] b\nint8[] c\n'),
}
Sent = dict[str, list[tuple[Schema, int, bytes]]]


def record(make_writer: MakeWriter, root: Path, sent: Sent, flight_id: str = 'x') -> Path:
    """Record messages of topics, each with its type and log time."""
    writer = make_writer(flush_interval_s=60.0)
    clients: dict[tuple[str, Schema], FdrClient] = {}
    for topic, messages in sent.items():
        for schema, _, _ in messages:
            if (topic, schema) not in clients:
                channel = Channel(topic, schema, '0a', {'topic_type_hash': f'RIHS01_{topic}'})
                clients[topic, schema] = FdrClient(channel)
                writer.register(clients[topic, schema])
    writer.open_flight(FlightHeader(flight_id=flight_id, software_version='9.9'))
    for topic, messages in sent.items():
        for number, (schema, log_time_ns, data) in enumerate(messages):
            assert clients[topic, schema].enqueue(data, log_time_ns, log_time_ns - 7, number + 1)
    writer.close_flight(flight_id)
    writer.stop()
    return root / flight_id


def random_topic(schema: Schema, count: int, seed: int = 0) -> list[tuple[Schema, int, bytes]]:
    random = Random(seed)
    return [
        (schema, START_NS + number, random_message(schema, random, big_endian=number % 5 == 3))
        for number in range(count)
    ]


def files_of(directory: Path) -> dict[str, Path]:
    """Return the file of each topic; each has one."""
    tables = json.loads((directory / 'tables.json').read_text())['tables']
    found = {table['topic']: directory / table['file'] for table in tables}
    assert len(found) == len(tables)
    return found


# --- what the tables say ---------------------------------------------------------------------


def installed_schemas() -> Iterator[Schema]:
    """Yield the types of all message packages that are installed here, and some of our own."""
    yield from TYPES.values()
    for name in type_hashes():
        with suppress(RecordError):
            schema = Definition.collect(name, lambda part: read_interface(part, read_file)).schema
            typestore_of(schema)
            yield schema


def from_json(value: Any, kind: pa.DataType) -> Any:
    """Return a value of JSON lines as what it stands for."""
    if pa.types.is_floating(kind):
        return math.nan if value is None else read_float(str(value), kind)
    if pa.types.is_binary(kind):
        return base64.b64decode(value, validate=True)
    if pa.types.is_list(kind):
        return [from_json(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: from_json(value[field.name], field.type) for field in kind}
    return value


def read_float(text: str, kind: pa.DataType) -> float:
    return float(np.float32(text)) if pa.types.is_float32(kind) else float(text)


def from_csv(cell: str, kind: pa.DataType) -> Any:
    """Return a cell of CSV as what it stands for."""
    if pa.types.is_floating(kind):
        return read_float(cell, kind)
    if pa.types.is_binary(kind):
        return base64.b64decode(cell, validate=True)
    if pa.types.is_boolean(kind):
        return {'true': True, 'false': False}[cell]
    if pa.types.is_integer(kind):
        return int(cell)
    return from_json(json.loads(cell), kind) if pa.types.is_list(kind) else cell


@pytest.fixture
def parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each definition once: there are more of them here than are kept otherwise."""
    kept = cache(typestore.parse_types)
    for module in (typestore, cdr_layout):
        monkeypatch.setattr(module, 'parse_types', kept)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_value_of_every_installed_type_in_every_format(
    make_writer: MakeWriter, root: Path, tmp_path: Path, parsed_once: None
) -> None:
    """There are more topics than files that are open at a time, where packages are installed."""
    sent: Sent = {}
    by_rosbags: dict[str, list[dict[str, Any]]] = {}
    for number, schema in enumerate(installed_schemas()):
        topic = f'/t{number}'
        sent[topic] = random_topic(schema, COUNT)
        by_rosbags[topic] = [values_by_rosbags(schema, data) for _, _, data in sent[topic]]
    flight = record(make_writer, root, sent)
    files = {}
    for form in ('parquet', 'csv', 'jsonl'):
        exported = export(flight, tmp_path / form, format=form)
        assert exported.damage == ()
        assert exported.messages == COUNT * len(sent) + 2
        files[form] = files_of(tmp_path / form)
    for topic, expected in by_rosbags.items():
        table = pq.read_table(files['parquet'][topic])
        kinds = {name: table.schema.field(name).type for name in expected[0]}
        rows = table.select(list(kinds)).to_pylist()
        assert len(table.schema.names) == len(kinds) + 4
        lines = files['jsonl'][topic].read_text(encoding='utf-8').split('\n')
        by_json = list(map(json.loads, lines[:-1]))
        with files['csv'][topic].open(encoding='utf-8', newline='') as file:
            by_csv = list(csv.DictReader(file))
        assert len(rows) == len(by_json) == len(by_csv) == COUNT
        for number, values in enumerate(expected):
            for name, value in values.items():
                where = sent[topic][0][0].name, name, number
                kind = kinds[name]
                assert same(rows[number][name], value), where
                assert same(from_json(by_json[number][name], kind), value), where
                assert same(from_csv(by_csv[number][name], kind), value), where


def test_times_numbers_and_publishers(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    flight = record(make_writer, root, {'/big': random_topic(TYPES['int64'], 3)})
    for form in ('parquet', 'csv', 'jsonl'):
        export(Query(flight, ('/big',)), tmp_path / form, format=form)
    table = pq.read_table(tmp_path / 'parquet/big.parquet')
    assert table.schema.field('log_time').type == pa.timestamp('ns', tz='UTC')
    times = [START_NS + number for number in range(3)]
    assert table.column('log_time').cast('int64').to_pylist() == times
    assert table.column('publish_time').cast('int64').to_pylist() == [at - 7 for at in times]
    assert table.column('sequence').to_pylist() == [1, 2, 3]
    assert table.column('publisher').to_pylist() == ['0a'] * 3
    line = json.loads((tmp_path / 'jsonl/big.jsonl').read_text().split('\n')[1])
    assert line['log_time'] == '2026-09-21T14:13:20.123456790Z'
    assert line['publish_time'] == '2026-09-21T14:13:20.123456783Z'
    assert (line['sequence'], line['publisher']) == (2, '0a')
    head, first = (tmp_path / 'csv/big.csv').read_text().split('\n')[:2]
    assert head == 'log_time,publish_time,sequence,publisher,big,small,list'
    assert first.startswith('2026-09-21T14:13:20.123456789Z,2026-09-21T14:13:20.123456782Z,1,0a,')
    about = table.schema.metadata
    assert about[b'topic'] == b'/big'
    assert about[b'type'] == b'x_msgs/msg/Big'
    assert about[b'type_hash'] == b'RIHS01_/big'
    assert about[b'definition'] == TYPES['int64'].definition.encode()
    assert about[b'flight_id'] == b'x'
    assert about[b'recorder_version'] == b'9.9'


def test_a_field_that_has_the_name_of_a_column(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    schema = Schema('x_msgs/msg/Own', 'uint8 sequence\nstring log_time\n')
    flight = record(make_writer, root, {'/own': random_topic(schema, 2)})
    export(Query(flight, ('/own',)), tmp_path / 'out', format='parquet')
    names = pq.read_table(tmp_path / 'out/own.parquet').schema.names
    assert names == ['_log_time', 'publish_time', '_sequence', 'publisher', 'sequence', 'log_time']


def test_a_topic_whose_definition_changes_has_two_files(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    old, new = Schema('x_msgs/msg/V', 'uint8 a\n'), Schema('x_msgs/msg/V', 'uint8 a\nuint8 b\n')
    sent = {'/v': [*random_topic(old, 3), *random_topic(new, 4)], '/V': random_topic(old, 1)}
    flight = record(make_writer, root, sent)
    exported = export(Query(flight, ('/v', '/V')), tmp_path / 'out', format='parquet')
    assert sorted((table.topic, table.rows) for table in exported.tables) == [
        ('/V', 1), ('/v', 3), ('/v', 4)
    ]  # fmt: skip
    assert len({table.file.lower() for table in exported.tables}) == 3
    for table in exported.tables:
        columns = pq.read_table(tmp_path / 'out' / table.file).schema.names[4:]
        assert columns == (['a', 'b'] if table.rows == 4 else ['a'])


@pytest.mark.parametrize(
    ('topic', 'stem'),
    [
        ('/imu/data', 'imu.data'),
        ('imu/data', '+imu.data'),
        ('/imu.data', 'imu%2Edata'),
        ('/../../etc/passwd', '%2E%2E.%2E%2E.etc.passwd'),
        ('/', '%2F'),
        ('', '+'),
        ('//a', '%2F.a'),
        ('/-rf', '%2F-rf'),
        ('/ä b\0', '%C3%A4%20b%00'),
    ],
)
def test_names_of_files(topic: str, stem: str) -> None:
    assert file_stem(topic) == stem


def test_long_names_of_files_differ() -> None:
    stems = {file_stem(f'/{"ä" * 300}{number}') for number in range(3)}
    assert len(stems) == 3
    assert max(map(len, stems)) <= 200


# --- what cannot be decoded ------------------------------------------------------------------


def test_what_cannot_be_decoded_is_told_and_the_rest_is_there(
    make_writer: MakeWriter, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Schema('x_msgs/msg/Nobody', '')
    sent = {
        '/good': random_topic(TYPES['int64'], 5),
        '/none': [(broken, START_NS, b'\0\1\0\0abcd')] * 2,
    }
    sent['/good'].insert(2, (TYPES['int64'], START_NS + 1, b'\0\1\0\0short'))
    flight = record(make_writer, root, sent)
    out = tmp_path / 'out'
    code = main(['export', str(flight), '-o', str(out), '--format', 'jsonl', '--json'])
    said = json.loads(capsys.readouterr().out)
    assert code == 1
    assert {(table['file'], table['rows'], table['left_out']) for table in said['tables']} > {
        ('good.jsonl', 5, 1)
    }
    assert not (out / 'none.jsonl').exists()
    first, second = sorted(said['damage'])
    assert first.startswith('/good: 1 message of x_msgs/msg/Big left out: 9 bytes cannot be')
    assert second.startswith('/none: 2 messages of x_msgs/msg/Nobody left out: there is no def')
    code = main(['export', str(flight), '-t', '/none', '-o', f'{out}2', '--format', 'csv'])
    assert code == 3
    assert 'no message that can be exported: /none: 2 messages' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['flights', 'out'] or not (
        (tmp_path / 'out2').exists()
    )


_TIMES = ['log_time', 'publish_time']
JSON_POINT = {
    'title': 'Point',
    'type': 'object',
    'properties': {
        'at': {'type': 'object', 'properties': {'sec': {'type': 'integer'}}},
        'x': {'type': 'number'},
        'is_on': {'type': 'boolean'},
        'name': {'type': 'string'},
        'list': {'type': 'array', 'items': {'type': 'object', 'properties': {
            'a': {'type': 'integer'}}}},
        'any': {'oneOf': [{'type': 'string'}, {'type': 'null'}]},
    },
}  # fmt: skip
POINTS: list[object] = [
    {'at': {'sec': 2**62}, 'x': 1.5, 'is_on': True, 'name': 'ä"', 'list': [{'a': 1}, {'a': 2}],
     'any': {'b': [1]}},
    {'at': {'sec': -1}, 'x': None, 'is_on': False, 'name': '', 'list': [], 'any': None},
]  # fmt: skip


@pytest.mark.parametrize('form', ['jsonl', 'csv', 'parquet'])
def test_messages_in_json_are_tables_where_their_schema_allows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path, out = tmp_path / 'json.mcap', tmp_path / 'out'
    bad = [{**POINTS[0], 'x': 'far'}, {'x': 1}, 7]  # type: ignore[dict-item]
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start('', 'another program')
        schema = writer.register_schema('Point', 'jsonschema', json.dumps(JSON_POINT).encode())
        proto = writer.register_schema('test.Point', 'protobuf', b'\0\1')
        for topic, encoding, number, messages in (
            ('/good', 'json', schema, [*POINTS, *bad]),
            ('/more', 'json', schema, [{**POINTS[1], 'new': 1}]),  # type: ignore[dict-item]
            ('/open', 'json', 0, POINTS),
            ('/proto', 'protobuf', proto, POINTS),
        ):
            channel = writer.register_channel(topic, encoding, number)
            for message in messages:
                writer.add_message(channel, START_NS, json.dumps(message).encode(), START_NS)
        writer.finish()
    assert main(['export', str(path), '-o', str(out), '--format', form]) == 1
    said = [line.removeprefix('fdr: ') for line in capsys.readouterr().err.splitlines()]
    left_out = ' left out: messages are in'
    assert said == [
        'not exported: /good: 3 messages of Point left out: one does not fit Point: x is "far"',
        'not exported: /more: its JSON Schema does not name new: left out',
        f'not exported: /open: 2 messages{left_out} JSON, and no JSON Schema says their fields',
        f'not exported: /proto: 2 messages of test.Point{left_out} protobuf, not CDR or JSON',
    ]
    assert (out / f'more.{form}').exists()
    if form == 'parquet':
        rows = pq.read_table(out / 'good.parquet').drop_columns(_TIMES).to_pylist()
        assert math.isnan(rows[1].pop('x'))
        rows[1]['x'] = None
        names = {'is_on', 'name', 'list', 'x'}
        assert [row['at.sec'] for row in rows] == [2**62, -1]
    elif form == 'jsonl':
        rows = [json.loads(line) for line in (out / 'good.jsonl').read_text().splitlines()]
        names = {'is_on', 'name', 'list', 'x'}
        assert json.loads(rows[0]['any']) == {'b': [1]}
    else:
        with (out / 'good.csv').open(encoding='utf-8', newline='') as file:
            assert [row['at.sec'] for row in csv.DictReader(file)] == [str(2**62), '-1']
        return
    points: list[Any] = POINTS
    for row, point in zip(rows, points, strict=True):
        assert {name: row[name] for name in names} == {name: point[name] for name in names}


def test_refusals(
    make_writer: MakeWriter, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = str(record(make_writer, root, {'/big': random_topic(TYPES['int64'], 1)}))
    out = str(tmp_path / 'out')
    for words, why in (
        (('-o', out, '--format', 'csv', '--compression', 'zstd'), '--compression does not go'),
        (('-o', out, '--format', 'parquet', '--bag-version', '5'), '--bag-version goes with'),
        (('-o', f'{out}.csv', '--format', 'csv'), f'with a file for each topic: -o {out}'),
        (('-o', out, '--format', 'csv', '-t', '/nothing'), 'none of the topics'),
    ):
        assert main(['export', flight, *words]) == 3
        assert why in capsys.readouterr().err
    (tmp_path / 'out').mkdir()
    with pytest.raises(ExportError, match='is there already'):
        export(flight, out, format='csv')


def test_without_pyarrow_text_works_and_parquet_says_what_to_install(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    flight = record(make_writer, root, {'/big': random_topic(TYPES['int64'], 1)})
    program = (
        'import sys; sys.modules["pyarrow"] = None\n'
        'from fdr_recorder.cli.main import main\n'
        f'for form in ("csv", "jsonl", "parquet"):\n'
        f'    print(main(["export", {str(flight)!r}, "-o", {str(tmp_path)!r} + "/" + form,'
        ' "--format", form]))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split('\n')[-2] == '3'
    assert "pip install 'fdr_recorder[data]'" in done.stderr
    assert (tmp_path / 'csv/big.csv').is_file()
    assert (tmp_path / 'jsonl/big.jsonl').is_file()
    assert not (tmp_path / 'parquet').exists()


def test_an_interrupted_export_leaves_nothing(
    make_writer: MakeWriter, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = record(make_writer, root, {'/big': random_topic(TYPES['int64'], 5)})
    target = tmp_path / 'below'
    target.mkdir()

    def interrupt(_bytes: int) -> None:
        raise KeyboardInterrupt

    for form in ('parquet', 'csv'):
        with pytest.raises(KeyboardInterrupt):
            export(flight, target / 'out', format=form, advance=interrupt)
        assert list(target.iterdir()) == []


def test_large_messages_are_exported_in_constant_memory(
    make_writer: MakeWriter, root: Path, tmp_path: Path
) -> None:
    """200 images of 1 MiB: 200 MiB of data."""
    schema = Schema('x_msgs/msg/Image', 'string encoding\nuint8[] data\n')
    body = b'\0\1\0\0' + b'\5\0\0\0rgb8\0\0\0\0\0\0\x10\0' + bytes(1 << 20)
    writer = make_writer(flush_interval_s=0.05, segment_size_bytes=32 << 20)
    client = FdrClient(Channel('/image', schema))
    writer.register(client)
    writer.open_flight(FlightHeader(flight_id='images'))
    for number in range(200):
        while not client.ring.fill < 0.5:
            pass
        assert client.enqueue(body, START_NS + number)
    writer.close_flight('images')
    program = (
        'from fdr_recorder import export\n'
        f'done = export({str(root / "images")!r}, {str(tmp_path / "out")!r}, format="parquet")\n'
        'peak = next(line for line in open("/proc/self/status") if "VmHWM" in line)\n'
        'print(done.messages, peak.split()[1])\n'
    )
    text = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    ).stdout
    messages, peak_kib = map(int, text.split())
    assert messages > 200  # with those of the recorder itself
    assert peak_kib < 420_000  # of which pyarrow takes 120,000
    file = pq.ParquetFile(tmp_path / 'out/image.parquet')
    assert file.metadata.num_rows == 200
    assert file.metadata.num_row_groups >= 10
