# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The numbers that a report plots are those that were recorded."""

from __future__ import annotations

from itertools import pairwise
import math
from pathlib import Path
import re
import tracemalloc
from typing import Any

from conftest import MakeWriter, Record
from fdr_recorder import Schema
from fdr_recorder.errors import RecordError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.summary import read_summary
from fdr_recorder.report.chunk_reading import Span
from fdr_recorder.report.flight_signals import choose_exact, SignalTable
from fdr_recorder.report.gather import gather, PASSES, Report
from fdr_recorder.report.known_types import ATTITUDE, RATES
from fdr_recorder.report.numbers import Column, Numbers
from fdr_recorder.report.rates import Rates
from fdr_recorder.report.sampling import (
    Axis,
    Extremes,
    flight_time,
    plot_axis,
    rate_axis,
    Samples,
)
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import ColumnExtractor, Messages, numeric_fields
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from producers import make_client, numbered, open_flight
import pytest
from report_pages import page_of
from sensor_flight import (
    cdr,
    header,
    message,
    NS_PER_S,
    quaternion,
    record_sensors,
    schema,
    SECONDS,
    SILENT_S,
    SPIKE_S,
    START_NS,
    types,
)

IMU = 'sensor_msgs/msg/Imu'


def columns_of(*data: bytes) -> Messages:
    """Put serialised messages into columns, with other bytes between them."""
    buffer, starts = bytearray(b'\xff'), []
    for item in data:
        starts.append(len(buffer))
        buffer += item + b'\xff' * 5
    lengths = np.array([len(item) for item in data], np.int64)
    times = np.arange(len(data), dtype=np.int64) * NS_PER_S
    starts_column = np.array(starts, np.int64)
    return Messages(np.frombuffer(bytes(buffer), np.uint8), starts_column, lengths, times)


# --- out of CDR --------------------------------------------------------------------------------

FINITE = st.floats(-1e6, 1e6, width=32)
NAMES = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=12)


@given(st.lists(st.tuples(NAMES, NAMES, FINITE, FINITE), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_fields_are_what_a_decoder_finds(rows: list[tuple[str, str, float, float]]) -> None:
    name = 'nav_msgs/msg/Odometry'
    paths = ('pose.pose.position.x', 'pose.pose.orientation.w', 'pose.covariance')
    data = []
    for frame, child, x, w in rows:
        pose = message(
            'geometry_msgs/msg/Pose',
            position=message('geometry_msgs/msg/Point', x=x),
            orientation=message('geometry_msgs/msg/Quaternion', w=w),
        )
        covariance = np.full(36, x + w)
        with_covariance = message(
            'geometry_msgs/msg/PoseWithCovariance', pose=pose, covariance=covariance
        )
        fields = {'header': header(frame), 'child_frame_id': child, 'pose': with_covariance}
        data.append(cdr(name, **fields))
    found = ColumnExtractor(schema(name), paths).extract(columns_of(*data))
    for row, item in enumerate(data):
        decoded: Any = types().deserialize_cdr(item, name)
        pose = decoded.pose.pose
        expected = (pose.position.x, pose.orientation.w, decoded.pose.covariance[0])
        assert tuple(found[:, row]) == expected


@given(st.lists(st.tuples(st.lists(NAMES, max_size=6), st.lists(FINITE, max_size=20), FINITE)))
@settings(deadline=None, max_examples=100)
def test_fields_behind_sequences_are_reached(
    rows: list[tuple[list[str], list[float], float]],
) -> None:
    joints, poses = 'sensor_msgs/msg/JointState', 'tf2_msgs/msg/TFMessage'
    arrays = 'std_msgs/msg/Float64MultiArray'
    data: dict[str, list[bytes]] = {joints: [], poses: [], arrays: []}
    for names, numbers, x in rows:
        values = np.array(numbers, np.float64)
        data[joints].append(
            cdr(joints, header=header(''.join(names)), name=names, position=values, effort=values)
        )
        moved = message(
            'geometry_msgs/msg/Transform', translation=message('geometry_msgs/msg/Vector3', x=x)
        )
        data[poses].append(
            cdr(
                poses,
                transforms=[
                    message(
                        'geometry_msgs/msg/TransformStamped',
                        header=header(name),
                        child_frame_id=name * 2,
                        transform=moved,
                    )
                    for name in names
                ],
            )
        )
        dims = [
            message('std_msgs/msg/MultiArrayDimension', label=name, size=len(name))
            for name in names
        ]
        layout = message('std_msgs/msg/MultiArrayLayout', dim=dims, data_offset=7)
        data[arrays].append(cdr(arrays, layout=layout, data=values))
    for name, items in data.items():
        paths = [item.path for item in numeric_fields(schema(name))]
        found = ColumnExtractor(schema(name), paths).extract(columns_of(*items))
        for row, item in enumerate(items):
            decoded = types().deserialize_cdr(item, name)
            expected = [_value(decoded, path) for path in paths]
            assert found[:, row].tolist() == pytest.approx(expected, nan_ok=True)
    assert 'effort[15]' in {item.path for item in numeric_fields(schema(joints))}
    assert 'data[0]' in {item.path for item in numeric_fields(schema(arrays))}


def _value(decoded: Any, path: str) -> float:
    """Return a number of a message by its path; NaN if a sequence is too short."""
    for name, place in re.findall(r'(\w+)(?:\[(\d+)\])?', path):
        decoded = getattr(decoded, name)
        if place:
            if int(place) >= len(decoded):
                return math.nan
            decoded = decoded[int(place)]
    return float(decoded)


@given(st.integers(0, 400), st.integers(0, 255))
@settings(deadline=None, max_examples=100)
def test_a_message_that_does_not_hold_them_gives_nothing(length: int, second_byte: int) -> None:
    whole = cdr(IMU, header=header(), orientation=quaternion(0, 0, 90))
    torn = whole[:length]
    other = bytes([0, second_byte]) + whole[2:]
    huge = whole[:12] + b'\xff\xff\xff\xff' + whole[16:]
    extractor = ColumnExtractor(schema(IMU), ('orientation.z', 'orientation.w'))
    found = extractor.extract(columns_of(torn, other, huge, b'', whole))
    assert np.isnan(found[:, 2:4]).all()
    assert np.isfinite(found[:, 4]).all()
    assert np.isfinite(found[:, 1]).all() == (second_byte == 1)
    end_of_orientation = 4 + 24 + 32
    assert np.isfinite(found[:, 0]).all() == (length >= end_of_orientation)


@pytest.mark.parametrize(
    'definition',
    [
        '',
        'float64[1025] other\nfloat64 wanted\n',
        'string[501] other\nfloat64 wanted\n',
        'a/B[] b\nfloat64 wanted\n' + '=' * 80 + '\nMSG: a/B\nstring[] names\na/C[] c\n'
        + '=' * 80 + '\nMSG: a/C\na/C[] c\nint8 x\n',
        'float64[99999999999999999999] wanted\n',
        'wstring other\nfloat64 wanted\n',
        'a/Unknown other\nfloat64 wanted\n',
        'a/T again\nfloat64 wanted\n',
        'a/Empty empty\nfloat64 wanted\n' + '=' * 80 + '\nMSG: a/Empty\nuint8 ONE=1\n',
        'uint8 a\n' * 1000 + 'float64 wanted\n',
        'a/B b\n' * 300 + 'float64 wanted\n' + f'{"=" * 80}\nMSG: a/B\n' + 'a/C c\n' * 300,
        'float64 wanted\n' * 10_000,
    ],
)
def test_a_definition_that_leads_nowhere_is_refused(definition: str) -> None:
    with pytest.raises(RecordError):
        ColumnExtractor(Schema('a/msg/T', definition), ('wanted',))


# --- many samples in few buckets ---------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.floats(-100, 100) | st.just(math.nan)),
        min_size=1,
        max_size=200,
        unique_by=lambda sample: sample[0],
    ),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=200)
def test_extremes_survive(samples: list[tuple[int, float]], parts: int) -> None:
    samples.sort()
    axis = Axis(0, 1000, 11)
    extremes = Extremes(axis, 1)
    for part in range(parts):
        some = samples[part::parts]
        times = np.array([time for time, _ in some], np.int64)
        extremes.add(times, np.array([[value for _, value in some]], float).reshape(1, -1))
    kept = [point for run in extremes.line(0, math.inf) for point in run]
    real = {(time / 1e9, value) for time, value in samples}
    assert set(kept) <= real, 'every point is a sample, exactly'
    assert kept == sorted(kept)
    assert len(kept) <= 2 * axis.buckets
    for bucket in range(axis.buckets):
        inside = [
            value
            for time, value in samples
            if time // 1000 == bucket and not math.isnan(value)
        ]
        shown = [value for time, value in kept if round(time * 1e9) // 1000 == bucket]
        assert (min(inside, default=None), max(inside, default=None)) == (
            min(shown, default=None),
            max(shown, default=None),
        )


def test_a_line_is_broken_where_there_was_nothing() -> None:
    extremes = Extremes(plot_axis(0, 100 * NS_PER_S), 1)
    times = np.array([*range(40), *range(45, 100)], np.int64) * NS_PER_S
    extremes.add(times, np.ones((1, len(times))))
    before, behind = extremes.line(0, 2.0)
    assert (before[-1][0], behind[0][0]) == (39.0, 45.0)
    assert len(extremes.line(0, 10.0)) == 1


def test_time_is_that_of_the_larger_part() -> None:
    def spans(start_ns: int, count: int, size: int) -> list[Span]:
        times = [start_ns + second * NS_PER_S for second in range(count + 1)]
        return [Span(start, end, size) for start, end in pairwise(times)]

    real, end_ns = spans(START_NS, 60, 1000), START_NS + 60 * NS_PER_S
    for before_the_clock_was_set in (spans(0, 5, 1000), spans(0, 100, 10)):
        assert flight_time(before_the_clock_was_set + real) == (START_NS, end_ns)
    assert flight_time(real) == (START_NS, end_ns)
    later_ns = START_NS + 3600 * NS_PER_S
    both = real + spans(later_ns, 60, 1000)
    assert flight_time(both) == (START_NS, later_ns + 60 * NS_PER_S), 'an hour of silence'
    assert flight_time([]) == (0, 0)


def test_time_is_not_that_of_a_damaged_summary(record_flight: Record) -> None:
    flight = record_flight(close=True)
    before = gather(flight)
    *_, segment = segment_files(flight)
    content = bytearray(segment.path.read_bytes())
    with SegmentReader(segment.path) as file:
        for chunk in read_summary(file).chunks:
            end = chunk.record.offset + layout.RECORD_PREFIX.size + layout.U64.size
            layout.U64.pack_into(content, end, chunk.end_ns + 60 * NS_PER_S)
    segment.path.write_bytes(content)
    after = gather(flight)
    assert (after.start_ns, after.end_ns) == (before.start_ns, before.end_ns)


def test_rates_count_every_message_once() -> None:
    rates = Rates(rate_axis(START_NS, START_NS + 60 * NS_PER_S))
    first, second = (TopicType(name, 'a/msg/Blob') for name in ('/one', '/two'))
    one, two = rates.number(first), rates.number(second)
    fast = START_NS + np.arange(6000) * NS_PER_S // 100
    slow = START_NS + np.arange(30) * 2 * NS_PER_S
    for place in range(0, 6000, 600):  # chunk by chunk, not in order of time
        rates.add(np.full(600, one), fast[place:place + 600])
        rates.add(np.full(3, two), slow[place // 200:place // 200 + 3])
    assert sum(rates.counts(first)) == 6000
    assert rates.counts(first)[:60] == [100] * 60
    assert sum(rates.counts(second)) == 30
    assert rates.period_s(first) == pytest.approx(0.01, rel=0.42)
    assert rates.period_s(second) == pytest.approx(2, rel=0.42)
    assert rates.counts(TopicType('/one', 'a/msg/Other')) == []
    assert rates.quiet_times() == []


# --- from a flight -----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def line() -> Any:
    """Return a function that gives the runs of one value of a report."""

    def runs(report: Report, kind: str, value: str) -> list[list[tuple[float, float]]]:
        (signal,) = [item for item in report.signals if item.kind.name == kind]
        return signal.extremes.line(signal.kind.columns.index(value), 1.0)

    return runs


@pytest.mark.parametrize('compression', ['none', 'zstd'])
@pytest.mark.parametrize('close', [True, False])
def test_a_flight(
    make_writer: MakeWriter, root: Path, line: Any, compression: str, close: bool
) -> None:
    flight = record_sensors(make_writer, root, close=close, compression=compression)
    done = []
    report = gather(flight, done.append)
    assert sum(done) == PASSES * report.verification.bytes
    assert [topic.name for topic in report.topics] == ['/attitude', '/battery', '/gps/fix']
    for topic in report.topics:
        assert sum(report.rates.counts(topic.key)) == topic.messages
    assert sum(report.bytes_by_time) == sum(path.stat().st_size for path in flight.glob('*.mcap'))
    ((start, end),) = report.rates.quiet_times()
    assert start == START_NS + SILENT_S[0] * NS_PER_S - NS_PER_S // 100
    assert end == START_NS + SILENT_S[1] * NS_PER_S

    voltage = line(report, 'battery', 'voltage')
    assert len(voltage) == 2, 'broken by the silence'
    points = [point for run in voltage for point in run]
    assert max(points, key=lambda point: point[1]) == (SPIKE_S, 99.0)
    for seconds, value in points:
        assert seconds == pytest.approx(SPIKE_S) or value == pytest.approx(16 - seconds / 100)
    for run in line(report, 'battery', 'percentage'):
        assert all(value == pytest.approx(100 - seconds, abs=1e-4) for seconds, value in run)
    for name, expected in (
        ('roll', lambda seconds: 10 * math.sin(seconds)),
        ('pitch', lambda seconds: 5 * math.cos(seconds)),
        ('yaw', lambda seconds: 20 * seconds),  # more than two turns, without a jump
    ):
        for run in line(report, 'attitude', name):
            assert all(value == pytest.approx(expected(at), abs=1e-6) for at, value in run)
    last = line(report, 'global_position', 'altitude')[-1][-1]
    assert last == (SECONDS - 0.2, pytest.approx(500 + SECONDS - 0.2))


def test_the_page_has_every_numeric_field(make_writer: MakeWriter, root: Path) -> None:
    page = page_of(record_sensors(make_writer, root))
    times, volts = page.samples('/battery', 'voltage')
    ticks = [tick for tick in range(SECONDS * 100) if not 2000 <= tick < 2400]
    assert times == pytest.approx([tick / 100 for tick in ticks], abs=1e-6)
    expected = [99.0 if abs(tick / 100 - SPIKE_S) < 0.005 else 16 - tick / 1e4 for tick in ticks]
    assert (volts == np.array(expected, np.float32)).all()
    fields = {
        item['field']: item for item in page.data['series'] if item['topic'] == '/gps/fix'
    }
    assert {'status.status', 'status.service', 'position_covariance[8]'} <= set(fields)
    assert not [name for name in fields if 'stamp' in name]
    latitude = fields['latitude']
    assert (latitude['n'], latitude['exact']) == (180, True)
    seconds = page.times(latitude['t'])
    assert page.array(latitude['v']) == pytest.approx(47 + seconds * 1e-5, abs=1e-12)
    assert page.data['bucketed'] == 0


def test_what_is_shown_from_the_start_is_exact_before_all_fields_are() -> None:
    imu, log = TopicType('/imu', IMU), TopicType('/log', 'std_msgs/msg/Float64')
    schemas = {key: schema(key.type_name) for key in (imu, log)}
    exact = choose_exact(schemas, {imu: 180_000, log: 180_000})
    assert exact.signals == {imu}, 'an hour of 50 Hz'
    assert exact.fields == {log}
    assert not choose_exact(schemas, {imu: 10**7, log: 10**7}).signals


def test_a_page_is_filled_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('fdr_recorder.report.numbers.MAX_EXACT_BYTES', 30_000)
    samples = Samples(Axis(0, NS_PER_S, 10), 2, is_exact=True, with_rows=False)
    times = np.arange(2000) * (10 * NS_PER_S // 2000)
    noise = np.random.default_rng(1).normal(size=(2, 2000))
    samples.add(times, np.vstack([noise[0].astype('f4'), noise[1]]))
    numbers = Numbers()
    columns = [Column('a'), Column('b')]
    ids = numbers.add(samples, columns, topic='/a', type_name='t', gap_s=1.0)
    assert ids == ['s0', 's1']
    assert [item['exact'] for item in numbers.series] == [True, False]
    assert numbers.series[1]['hi'] == noise[1].max()


def test_an_imu_without_orientation_has_no_attitude() -> None:
    table = SignalTable(plot_axis(0, 10 * NS_PER_S))
    topic = table.of('/imu', schema(IMU))
    assert topic is not None
    no_orientation = np.zeros(9)
    no_orientation[0] = -1  # sensor_msgs/Imu: this measurement does not exist
    data = (
        cdr(IMU, orientation=quaternion(0, 0, 90), orientation_covariance=no_orientation),
        cdr(IMU),  # all zero: no rotation either
    )
    topic.add(columns_of(*data))
    assert [signal.kind for signal in table.signals()] == [RATES]
    topic.add(columns_of(cdr(IMU, orientation=quaternion(1, 2, 90))))
    (found,) = [signal for signal in table.signals() if signal.kind is ATTITUDE]
    assert [found.extremes.line(place, 1.0)[0][0][1] for place in range(3)] == pytest.approx(
        [1, 2, 90]
    )


def test_what_cannot_be_is_not_plotted() -> None:
    fix = 'sensor_msgs/msg/NavSatFix'
    table = SignalTable(plot_axis(0, 10 * NS_PER_S))
    topic = table.of('/fix', schema(fix))
    assert topic is not None
    no_fix = message('sensor_msgs/msg/NavSatStatus', status=-1)
    messages = columns_of(
        cdr(fix, status=no_fix, latitude=1.0),
        cdr(fix, latitude=91.0),
        cdr(fix, longitude=math.inf),
        cdr(fix, latitude=math.nan, longitude=math.nan),
        cdr(fix, latitude=47.0, longitude=8.0, altitude=1e300),
    )
    topic.add(messages)
    (signal,) = topic.signals
    assert signal.extremes.line(0, 1.0) == [[(4.0, 47.0)]]
    assert signal.extremes.line(2, 1.0) == []


def test_memory_does_not_grow_with_the_flight(make_writer: MakeWriter, root: Path) -> None:
    def peak(flight: Path) -> int:
        tracemalloc.start()
        gather(flight)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    def record(flight_id: str, messages: int) -> Path:
        writer, client = make_writer(segment_size_bytes=1 << 20), make_client('/blob', '0a')
        open_flight(writer, flight_id, client)
        for number in range(messages):
            assert client.enqueue(numbered(number, 20_000), START_NS + number * NS_PER_S // 50)
            if number % 100 == 0:
                while client.ring.fill > 0.1:
                    pass
        writer.close_flight(flight_id)
        writer.stop()
        return root / flight_id

    gather(record('first', 10))  # what is imported and cached
    short, long = peak(record('short', 200)), peak(record('long', 2000))
    assert long < short + 3_000_000, 'a tenth of what was added to the flight'
