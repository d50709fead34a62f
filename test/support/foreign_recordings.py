# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Recordings that other programs write: `mcap`, `rosbags`, `@mcap/core`, and rosbag2's SQLite of old.

`KINDS` has them by name: each writes one into a directory that is there, and returns its path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
import io
import json
from pathlib import Path
import sqlite3
import struct
import subprocess
from typing import Any, Literal, NamedTuple
import zlib

from mcap.exceptions import EndOfFile
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from npm_packages import node_modules
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    StoragePlugin,
)
from rosbags.rosbag2 import (
    Reader as BagReader,
)
from rosbags.rosbag2 import (
    Writer as BagWriter,
)
from sensor_flight import message, types
import yaml
import zstandard

START_NS = 1_790_000_000_000_000_000
STEP_NS = 10_000_000
COUNT = 400
LATCHED = '/tf_static'
WRITE_MCAP = Path(__file__).with_name('write_mcap.mjs')
DEFAULT = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    QosTime(0, 0),
    QosTime(0, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(0, 0),
    avoid_ros_namespace_conventions=False,
)
TOPICS = {
    '/imu/data': ('sensor_msgs/msg/Imu', 1),
    '/gps/fix': ('sensor_msgs/msg/NavSatFix', 20),
    '/chatter': ('std_msgs/msg/String', 7),
    '/camera/image_raw': ('sensor_msgs/msg/Image', 50),
}
"""Topics with their type and every how many steps they have a message."""


class Sent(NamedTuple):
    """A message that goes into a recording."""

    topic: str
    type: str
    time_ns: int
    data: bytes


@cache
def sent(count: int = COUNT) -> tuple[Sent, ...]:
    """Return the messages, in the order of their times."""
    return tuple(_sent(count))


def _sent(count: int) -> Iterator[Sent]:
    transforms = message('tf2_msgs/msg/TFMessage')
    yield Sent(LATCHED, 'tf2_msgs/msg/TFMessage', START_NS, encoded(transforms))
    for step in range(count):
        time_ns = START_NS + step * STEP_NS
        for topic, (type_name, every) in TOPICS.items():
            if step % every == 0:
                yield Sent(topic, type_name, time_ns, encoded(_made(type_name, step)))


def _made(type_name: str, step: int) -> Any:
    if type_name == 'std_msgs/msg/String':
        return message(type_name, data=f'hello {step}')
    if type_name == 'sensor_msgs/msg/NavSatFix':
        return message(type_name, latitude=47.0 + step / 1e6, longitude=8.5, altitude=float(step))
    if type_name == 'sensor_msgs/msg/Imu':
        acceleration = message('geometry_msgs/msg/Vector3', z=9.81 + step / 1000)
        return message(type_name, linear_acceleration=acceleration)
    import numpy as np

    return message(
        type_name, height=8, width=8, encoding='mono8', step=8, data=np.arange(64, dtype=np.uint8)
    )


def encoded(value: Any) -> bytes:
    return bytes(types().serialize_cdr(value, value.__msgtype__))


@cache
def definition(type_name: str) -> str:
    return types().generate_msgdef(type_name, ros_version=2)[0]


# --- by the library `mcap` ---------------------------------------------------------------------


def write_mcap(path: Path, *, attachments: int = 0, shuffle: bool = False, **options: Any) -> Path:
    """Write an MCAP file; `options` are those of the library's writer."""
    with path.open('wb') as file:
        writer = McapWriter(file, **{'chunk_size': 16384, **options})
        writer.start('ros2', 'another program')
        channels: dict[str, int] = {}
        messages = list(sent())
        if shuffle:  # as of several threads: each chunk is in order, and overlaps with the next
            half = len(messages) // 2
            pairs = zip(messages[:half], messages[half:], strict=False)
            messages = [one for pair in pairs for one in pair]
        for number in range(attachments):
            writer.add_attachment(
                START_NS, START_NS, f'photo{number}', 'image/png', bytes(5000)
            )
        for number, item in enumerate(messages):
            if item.topic not in channels:
                schema = writer.register_schema(
                    item.type, 'ros2msg', definition(item.type).encode()
                )
                channels[item.topic] = writer.register_channel(item.topic, 'cdr', schema)
            writer.add_message(
                channels[item.topic], item.time_ns, item.data, item.time_ns - 1000, number
            )
        writer.add_metadata('about', {'vehicle': 'other', 'empty': ''})
        writer.finish()
    return path


def mcap_zstd(directory: Path) -> Path:
    return write_mcap(directory / 'zstd.mcap')


def mcap_lz4(directory: Path) -> Path:
    return write_mcap(directory / 'lz4.mcap', compression=CompressionType.LZ4, attachments=2)


def mcap_plain(directory: Path) -> Path:
    return write_mcap(
        directory / 'plain.mcap', compression=CompressionType.NONE, enable_data_crcs=True
    )


def mcap_without_chunks(directory: Path) -> Path:
    return write_mcap(directory / 'no_chunks.mcap', use_chunking=False)


def mcap_without_indexes(directory: Path) -> Path:
    return write_mcap(
        directory / 'no_index.mcap',
        index_types=IndexType.NONE,
        repeat_channels=False,
        repeat_schemas=False,
        use_statistics=False,
        use_summary_offsets=False,
    )


def mcap_without_crcs(directory: Path) -> Path:
    return write_mcap(directory / 'no_crcs.mcap', enable_crcs=False)


def mcap_without_message_indexes(directory: Path) -> Path:
    return write_mcap(directory / 'chunk_index.mcap', index_types=IndexType.CHUNK)


def mcap_overlapping(directory: Path) -> Path:
    return write_mcap(directory / 'overlapping.mcap', shuffle=True, chunk_size=4096)


def mcap_in_one_chunk(directory: Path) -> Path:
    return write_mcap(directory / 'one_chunk.mcap', chunk_size=1 << 30)


def mcap_of_other_encodings(directory: Path) -> Path:
    """Write JSON, a binary definition, a channel without schema, and no profile."""
    path = directory / 'encodings.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=2048)
        writer.start('', 'another program')
        schema = writer.register_schema('Point', 'jsonschema', b'{"type": "object"}')
        proto = writer.register_schema('test.Point', 'protobuf', bytes(range(256)))
        channels = [
            writer.register_channel('json topic', 'json', schema, {'key': 'value'}),
            writer.register_channel('/proto', 'protobuf', proto),
            writer.register_channel('/plain', 'text', 0),
        ]
        for step in range(COUNT):
            data = json.dumps({'x': step}).encode()
            writer.add_message(channels[step % 3], START_NS + step * STEP_NS, data, START_NS)
        writer.finish()
    return path


def mcap_with_records_of_its_own(directory: Path) -> Path:
    """Put records of unknown kinds between those of a file without chunks, and a longer header."""
    path = mcap_without_chunks(directory)
    data = path.read_bytes()
    (length,) = struct.unpack_from('<Q', data, 9)
    first = 8 + 9 + length
    own = b''.join(
        struct.pack('<BQ', opcode, 100) + bytes(100) for opcode in (0x80, 0xFE, 0x10, 0x7F)
    )
    grown = struct.pack('<BQ', 1, length + 4) + data[17:first] + b'more'
    changed = data[:8] + grown + own + data[first:]
    shift = len(changed) - len(data)
    target = directory / 'own_records.mcap'
    target.write_bytes(_with_summary_at(changed, shift))
    return target


def _with_summary_at(data: bytes, shift: int) -> bytes:
    """Return a file whose footer points behind what was put in."""
    place = len(data) - 8 - 20
    start, offsets, _ = struct.unpack_from('<QQI', data, place)
    footer = struct.pack('<QQ', start + shift, offsets + shift if offsets else 0)
    crc = zlib.crc32(data[start + shift:place] + footer)
    return data[:place] + footer + struct.pack('<I', crc) + data[-8:]


def mcap_truncated(directory: Path) -> Path:
    path = write_mcap(directory / 'truncated.mcap', chunk_size=8192)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def mcap_without_chunks_truncated(directory: Path) -> Path:
    path = write_mcap(directory / 'no_chunks_truncated.mcap', use_chunking=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


# --- by `@mcap/core` ---------------------------------------------------------------------------


def mcap_by_javascript(directory: Path) -> Path:
    path = directory / 'javascript.mcap'
    command = ['node', str(WRITE_MCAP), str(node_modules()), str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


# --- by `rosbags` ------------------------------------------------------------------------------


def write_bag(
    bag: Path,
    storage: StoragePlugin,
    compression: CompressionMode = CompressionMode.NONE,
    version: Literal[8, 9] = 9,
) -> Path:
    writer = BagWriter(bag, version=version, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for item in sent():
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic, item.type, typestore=types(), offered_qos_profiles=[DEFAULT]
                )
            writer.write(connections[item.topic], item.time_ns, item.data)
    return bag


def bag_mcap(directory: Path) -> Path:
    return write_bag(directory / 'bag_mcap', StoragePlugin.MCAP)


def bag_mcap_with_zstd(directory: Path) -> Path:
    return write_bag(directory / 'bag_storage', StoragePlugin.MCAP, CompressionMode.STORAGE, 8)


def bag_mcap_packed(directory: Path) -> Path:
    return write_bag(directory / 'bag_packed', StoragePlugin.MCAP, CompressionMode.FILE)


def bag_mcap_of_packed_messages(directory: Path) -> Path:
    return write_bag(directory / 'bag_messages', StoragePlugin.MCAP, CompressionMode.MESSAGE)


def bag_sqlite(directory: Path) -> Path:
    return write_bag(directory / 'sqlite', StoragePlugin.SQLITE3)


def bag_sqlite_packed(directory: Path) -> Path:
    return write_bag(directory / 'sqlite_packed', StoragePlugin.SQLITE3, CompressionMode.FILE)


def bag_sqlite_of_packed_messages(directory: Path) -> Path:
    return write_bag(directory / 'sqlite_messages', StoragePlugin.SQLITE3, CompressionMode.MESSAGE)


def bag_without_metadata(directory: Path) -> Path:
    bag = bag_mcap(directory)
    (bag / 'metadata.yaml').unlink()
    return bag


def sqlite_alone(directory: Path) -> Path:
    bag = bag_sqlite(directory)
    return next(bag.glob('*.db3')).rename(directory / 'alone.db3')


def mcap_packed_alone(directory: Path) -> Path:
    bag = bag_mcap_packed(directory)
    return next(bag.glob('*.mcap.zstd')).rename(directory / 'alone.mcap.zstd')


# --- as rosbag2 was -----------------------------------------------------------------------------


_OLD_TABLES = """
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
  serialization_format TEXT NOT NULL{qos});
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
"""


def write_old_bag(bag: Path, version: int, files: int = 1) -> Path:
    """Write a bag as rosbag2 of Dashing (1) to Humble (5) did: SQLite without definitions."""
    bag.mkdir()
    messages = list(sent())
    names = [f'{bag.name}_{number}.db3' for number in range(files)]
    step = -(-len(messages) // files)
    counts: dict[str, int] = {}
    for number, name in enumerate(names):
        start = number * step
        part = messages[start:start + step]
        with sqlite3.connect(bag / name) as database:
            qos = ', offered_qos_profiles TEXT NOT NULL' if version >= 4 else ''
            database.executescript(_OLD_TABLES.format(qos=qos))
            topics = list(dict.fromkeys((item.topic, item.type) for item in messages))
            for place, (topic, type_name) in enumerate(topics, start=1):
                row = (place, topic, type_name, 'cdr', *([''] if version >= 4 else []))
                marks = ', '.join('?' * len(row))
                database.execute(f'INSERT INTO topics VALUES ({marks})', row)
            for item in part:
                place = topics.index((item.topic, item.type)) + 1
                row = (place, item.time_ns, item.data)
                database.execute(
                    'INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)', row
                )
        database.close()
        for item in part:
            counts[item.topic] = counts.get(item.topic, 0) + 1
    metadata = {
        'version': version,
        'storage_identifier': 'sqlite3',
        'relative_file_paths': [f'{bag.name}/{name}' if version < 4 else name for name in names],
        'duration': {'nanoseconds': messages[-1].time_ns - START_NS},
        'starting_time': {'nanoseconds_since_epoch': START_NS},
        'message_count': len(messages),
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': topic,
                    'type': type_name,
                    'serialization_format': 'cdr',
                    **({'offered_qos_profiles': ''} if version >= 4 else {}),
                },
                'message_count': counts[topic],
            }
            for topic, type_name in topics
        ],
        **({'compression_format': '', 'compression_mode': ''} if version >= 3 else {}),
    }
    text = yaml.safe_dump({'rosbag2_bagfile_information': metadata})
    (bag / 'metadata.yaml').write_text(text)
    return bag


def bag_of_dashing(directory: Path) -> Path:
    return write_old_bag(directory / 'dashing', 1)


def bag_of_foxy(directory: Path) -> Path:
    return write_old_bag(directory / 'foxy', 4)


def bag_of_humble_split(directory: Path) -> Path:
    return write_old_bag(directory / 'humble', 5, files=12)


KINDS: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        mcap_zstd,
        mcap_lz4,
        mcap_plain,
        mcap_without_chunks,
        mcap_without_indexes,
        mcap_without_crcs,
        mcap_without_message_indexes,
        mcap_overlapping,
        mcap_in_one_chunk,
        mcap_of_other_encodings,
        mcap_with_records_of_its_own,
        mcap_truncated,
        mcap_without_chunks_truncated,
        mcap_by_javascript,
        bag_mcap,
        bag_mcap_with_zstd,
        bag_mcap_packed,
        bag_mcap_of_packed_messages,
        bag_sqlite,
        bag_sqlite_packed,
        bag_sqlite_of_packed_messages,
        bag_without_metadata,
        sqlite_alone,
        mcap_packed_alone,
        bag_of_dashing,
        bag_of_foxy,
        bag_of_humble_split,
    )
}
TRUNCATED = ('mcap_truncated', 'mcap_without_chunks_truncated')


# --- what is in them, by other programs --------------------------------------------------------


Counts = dict[tuple[str, str], int]


def counts_by_others(path: Path) -> Counts:
    """Count the messages by topic and type, with `rosbags`, or `mcap` where that refuses."""
    if path.is_dir() and (path / 'metadata.yaml').exists():
        return _counts_by_rosbags(path)
    if path.suffix == '.db3':
        return _counts_by_rosbags(path)
    files = sorted(path.glob('*.mcap')) if path.is_dir() else [path]
    counts: Counter[tuple[str, str]] = Counter()
    for file in files:
        counts.update(_counts_by_mcap(file))
    return dict(counts)


def _counts_by_rosbags(path: Path) -> Counts:
    counts: Counter[tuple[str, str]] = Counter()
    with BagReader(path) as reader:
        for connection, _, _ in reader.messages():
            counts[connection.topic, connection.msgtype] += 1
    return dict(counts)


def _counts_by_mcap(path: Path) -> Counts:
    data = path.read_bytes()
    if path.suffix == '.zstd':
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    schemas: dict[int, str] = {0: ''}
    channels: dict[int, tuple[str, str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    with suppress(EndOfFile, struct.error):
        for record in StreamReader(io.BytesIO(data), skip_magic=False).records:
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                channels[record.id] = record.topic, schemas[record.schema_id]
            elif isinstance(record, Message):
                counts[channels[record.channel_id]] += 1
    return dict(counts)
