# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Rows about tables: a flight of IMU messages to Parquet, beside `rosbags` alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
import time
from typing import Any, Final

from bench.core import in_turn
from bench.figures import Row
from bench.trial import memory_directory
from fdr_recorder import Channel, export, FdrConfig, Query, record_flight, Schema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rosbags.highlevel import AnyReader
from rosbags.typesys import get_typestore, Stores

_TYPE: Final = 'sensor_msgs/msg/Imu'
_BATCH: Final = 50_000
_STEP_NS: Final = 5_000_000
_MILLION: Final = 1_000_000


def tables(rounds: int, *, quick: bool) -> list[Row]:
    """Time to turn 1,000,000 IMU messages into Parquet, and as a ratio to rosbags alone."""
    messages = _MILLION // 20 if quick else _MILLION
    few = messages // 10  # rosbags takes its time
    with _flight(messages) as flight:
        out = (flight.parent / f'out{number}' for number in count())
        ours, theirs = in_turn(
            rounds,
            lambda: _timed(partial(_export, flight, next(out))) / messages,
            lambda: _timed(partial(_by_rosbags, flight, next(out), few)) / few,
        )
    return [
        Row(
            'tables',
            '1,000,000 IMU messages to Parquet',
            values=[each * _MILLION for each in ours],
            at_most=10.0,
            unit='s',
            note=f'measured with {messages:,} messages',
        ),
        Row(
            'tables',
            'IMU messages to Parquet',
            'rosbags and pyarrow',
            [a / b for a, b in zip(ours, theirs, strict=True)],
            at_most=0.5,
            samples={'ours_us': [1e6 * t for t in ours], 'rosbags_us': [1e6 * t for t in theirs]},
        ),
    ]


def _timed(work: Any) -> float:  # noqa: ANN401 - anything that can be called
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def _flight(messages: int) -> Iterator[Path]:
    """Record a flight of IMU messages, each with values of its own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    schema = Schema(_TYPE, store.generate_msgdef(_TYPE, ros_version=2)[0])
    values = np.random.default_rng(1).normal(size=(1000, 3))
    vector, quaternion = (
        store.types[f'geometry_msgs/msg/{name}'] for name in ('Vector3', 'Quaternion')
    )
    header = store.types['std_msgs/msg/Header']
    stamp = store.types['builtin_interfaces/msg/Time']
    none = np.zeros(9)
    data = []
    for number, (x, y, z) in enumerate(values.tolist()):
        message = store.types[_TYPE](
            header=header(stamp=stamp(sec=number, nanosec=number), frame_id='imu_link'),
            orientation=quaternion(x=x, y=y, z=z, w=1.0),
            orientation_covariance=none,
            angular_velocity=vector(x=z, y=x, z=y),
            angular_velocity_covariance=none,
            linear_acceleration=vector(x=y, y=z, z=x),
            linear_acceleration_covariance=none,
        )
        data.append(bytes(store.serialize_cdr(message, _TYPE)))
    with memory_directory() as directory:
        config = FdrConfig.from_options(
            {'flight_root': str(directory), 'writer.min_free_bytes': 0, 'writer.reserve_bytes': 0}
        )
        with record_flight(config) as flight:
            client = flight.client(Channel('/imu/data', schema))
            for number in range(messages):
                while client.ring.fill > 0.5:
                    time.sleep(0.001)
                client.enqueue(data[number % len(data)], number * _STEP_NS)
        yield flight.path


def _export(flight: Path, out: Path) -> None:
    export(Query(flight, ('/imu/data',)), out, format='parquet')


def _by_rosbags(flight: Path, out: Path, messages: int) -> None:
    """Do the same by `rosbags`: deserialise each message, collect its fields, write them."""
    writer: Any = None
    with AnyReader([flight]) as reader:
        connections = [item for item in reader.connections if item.topic == '/imu/data']
        found = islice(reader.messages(connections), messages)
        while rows := [
            _fields(reader.deserialize(data, _TYPE), at) for _, at, data in islice(found, _BATCH)
        ]:
            table = pa.Table.from_pylist(rows)
            writer = writer or pq.ParquetWriter(out, table.schema, compression='zstd')
            writer.write_table(table)
    writer.close()


def _fields(message: Any, time_ns: int) -> dict[str, Any]:  # noqa: ANN401 - of rosbags
    row = {
        'log_time': time_ns,
        'header.stamp.sec': message.header.stamp.sec,
        'header.stamp.nanosec': message.header.stamp.nanosec,
        'header.frame_id': message.header.frame_id,
    }
    for name in ('orientation', 'angular_velocity', 'linear_acceleration'):
        value = getattr(message, name)
        row |= {f'{name}.{axis}': getattr(value, axis) for axis in 'xyz'}
        row[f'{name}_covariance'] = getattr(message, f'{name}_covariance')
    row['orientation.w'] = message.orientation.w
    return row
