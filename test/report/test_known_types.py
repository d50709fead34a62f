# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the report knows of PX4's, MAVROS's and diagnostic messages: modes, warnings, setpoints."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
import re
import struct
from typing import Any
import zlib

from conftest import MakeWriter
from fdr_recorder import AlertBoard, Channel, FdrClient, FlightHeader, Schema
from fdr_recorder.report.field_units import unit_of
from fdr_recorder.report.flight_signals import ExactTopics, SignalTable
from fdr_recorder.report.numbers import Column, Numbers
from fdr_recorder.report.sampling import plot_axis
from fdr_recorder.report.thumbnails import Thumbnail, Thumbnails
from fdr_recorder.topics.names import TopicType
from fdr_recorder.types.cdr_to_columns import Messages
import numpy as np
from producers import make_client, open_flight, TEXT
import pytest
from report_pages import Page, page_of
from rosbags.typesys import get_types_from_msg
from sensor_flight import cdr, header, message, NS_PER_S, quaternion, schema, START_NS, types

PX4 = {
    'VehicleStatus': """
uint64 timestamp
uint8 ARMING_STATE_DISARMED = 1
uint8 ARMING_STATE_ARMED = 2
uint8 arming_state
uint8 NAVIGATION_STATE_MANUAL = 0
uint8 NAVIGATION_STATE_AUTO_MISSION = 3
uint8 NAVIGATION_STATE_AUTO_RTL = 5
uint8 nav_state
bool failsafe
""",
    'FailsafeFlags': """
uint64 timestamp
uint32 mode_req_local_position
bool local_position_invalid
bool manual_control_signal_lost
uint8 battery_warning
bool geofence_breached
""",
    'BatteryStatus': """
uint64 timestamp
bool connected
float32 voltage_v
float32 current_a
float32 remaining
uint8 BATTERY_WARNING_NONE = 0
uint8 BATTERY_WARNING_LOW = 1
uint8 BATTERY_WARNING_CRITICAL = 2
uint8 warning
""",
    'VehicleAttitude': """
uint64 timestamp
uint64 timestamp_sample
float32[4] q
float32[4] delta_q_reset
uint8 quat_reset_counter
""",
    'VehicleAttitudeSetpoint': """
uint64 timestamp
float32 yaw_sp_move_rate
float32[4] q_d
float32[3] thrust_body
""",
    'VehicleLocalPosition': """
uint64 timestamp
uint64 timestamp_sample
bool xy_valid
bool z_valid
float32 x
float32 y
float32 z
float32 vx
float32 vy
float32 vz
""",
    'TrajectorySetpoint': """
uint64 timestamp
float32[3] position
float32[3] velocity
float32[3] acceleration
float32 yaw
float32 yawspeed
""",
    'VehicleGlobalPosition': """
uint64 timestamp
float64 lat
float64 lon
float32 alt
""",
}
MAVROS = {
    'State': """
std_msgs/Header header
bool connected
bool armed
bool guided
bool manual_input
string mode
uint8 system_status
""",
    'StatusText': """
std_msgs/Header header
uint8 severity
string text
""",
    'AttitudeTarget': """
std_msgs/Header header
uint8 type_mask
geometry_msgs/Quaternion orientation
geometry_msgs/Vector3 body_rate
float32 thrust
""",
    'PositionTarget': """
std_msgs/Header header
uint8 coordinate_frame
uint16 type_mask
geometry_msgs/Point position
geometry_msgs/Vector3 velocity
geometry_msgs/Vector3 acceleration_or_force
float32 yaw
float32 yaw_rate
""",
}
SECONDS = 20

Sent = list[tuple[float, bytes]]


@pytest.fixture(scope='module', autouse=True)
def definitions() -> None:
    """Make the types known to the tests' serialiser."""
    for package, texts in (('px4_msgs', PX4), ('mavros_msgs', MAVROS)):
        for name, text in texts.items():
            types().register(get_types_from_msg(text, f'{package}/msg/{name}'))


def record(make_writer: MakeWriter, root: Path, sent: dict[tuple[str, str], Sent]) -> Page:
    """Record messages, by topic and type; return the page."""
    writer = make_writer()
    clients = []
    for number, (topic, name) in enumerate(sent):
        package, _, short = name.split('/')
        text = PX4.get(short, '') if package.startswith('px4_msgs') else ''
        known = Schema(name, text) if text else schema(name)
        clients.append(FdrClient(Channel(topic, known, publisher=f'{number:02x}', metadata={})))
        writer.register(clients[-1])
    writer.open_flight(
        FlightHeader(flight_id='x', vehicle_id='x', flight_started_at_ns=START_NS)
    )
    everything = [
        (seconds, client, data)
        for client, messages in zip(clients, sent.values(), strict=True)
        for seconds, data in messages
    ]
    for seconds, client, data in sorted(everything, key=lambda item: item[0]):
        assert client.enqueue(data, START_NS + round(seconds * NS_PER_S))
    writer.close_flight('x')
    writer.stop()
    return page_of(root / 'x')


def px4(name: str, **fields: Any) -> bytes:
    arrays = {key: np.array(value, np.float32) if isinstance(value, (list, tuple)) else value
              for key, value in fields.items()}  # fmt: skip
    return cdr(f'px4_msgs/msg/{name}', **arrays)


def wxyz(roll: float, pitch: float, yaw: float) -> list[float]:
    found = quaternion(roll, pitch, yaw)
    return [found.w, found.x, found.y, found.z]


def lane(page: Page, name: str) -> list[tuple[float, float, str, str]]:
    """Return what a lane shows: from, to, label, style."""
    (found,) = [item for item in page.data['lanes'] if item['name'] == name]
    return [(round(a, 3), round(b, 3), label, style) for a, b, _, style, label in found['events']]


def chart(page: Page, title: str) -> list[dict[str, Any]]:
    """Return the series of a chart."""
    (found,) = [item for item in page.data['charts'] if item['title'] == title]
    known = {item['id']: item for item in page.data['series']}
    return [known[name] for name in found['series']]


def ticks(rate: float) -> list[float]:
    return [number / rate for number in range(round(SECONDS * rate))]


def test_px4(make_writer: MakeWriter, root: Path) -> None:
    def status(at: float) -> bytes:
        mode = 0 if at < 4 else 3 if at < 15 else 5
        arming, failsafe = 2 if 2 <= at < 18 else 1, 15 <= at < 18
        return px4('VehicleStatus', arming_state=arming, nav_state=mode, failsafe=failsafe)

    page = record(make_writer, root, {
        ('/fmu/out/vehicle_status_v1', 'px4_msgs/msg/VehicleStatus'): [
            (at, status(at)) for at in ticks(2)],
        ('/fmu/out/failsafe_flags', 'px4_msgs/msg/FailsafeFlags'): [
            (at, px4('FailsafeFlags', mode_req_local_position=7,
                     manual_control_signal_lost=10 <= at < 12, geofence_breached=at >= 11))
            for at in ticks(2)],
        ('/fmu/out/battery_status', 'px4_msgs/msg/BatteryStatus'): [
            (at, px4('BatteryStatus', voltage_v=16 - at / 10, current_a=12.5 if at > 5 else -1.0,
                     remaining=1 - at / 40, warning=0 if at < 10 else 1 if at < 15 else 2))
            for at in ticks(1)],
        ('/fmu/out/vehicle_attitude', 'px4_msgs/msg/VehicleAttitude'): [
            (at, px4('VehicleAttitude', q=wxyz(10 * math.sin(at), 5.0, 40 * at + 0.3)))
            for at in ticks(50)],
        ('/fmu/out/vehicle_attitude_setpoint', 'px4_msgs/msg/VehicleAttitudeSetpoint'): [
            (at, px4('VehicleAttitudeSetpoint', q_d=wxyz(12 * math.sin(at), 5.0, 40 * at)))
            for at in ticks(10)],
        ('/fmu/out/vehicle_local_position', 'px4_msgs/msg/VehicleLocalPosition'): [
            (at, px4('VehicleLocalPosition', x=at, y=2 * at, z=-at, vx=1.0, vy=2.0, vz=-1.0))
            for at in ticks(10)],
        ('/fmu/in/trajectory_setpoint', 'px4_msgs/msg/TrajectorySetpoint'): [
            (at, px4('TrajectorySetpoint', position=[at + 1, 2 * at, -at],
                     velocity=[math.nan] * 3)) for at in ticks(10)],
        ('/fmu/out/vehicle_global_position', 'px4_msgs/msg/VehicleGlobalPosition'): [
            (at, px4('VehicleGlobalPosition', lat=0.0 if at < 1 else 47.123456789,
                     lon=0.0 if at < 1 else 8.5 + at * 1e-6, alt=500.0)) for at in ticks(5)],
    })  # fmt: skip
    assert lane(page, 'Mode') == [
        (0, 4, 'manual', 'mode-0'),
        (4, 15, 'auto mission', 'mode-1'),
        (15, pytest.approx(SECONDS, abs=0.1), 'auto rtl', 'mode-2'),
    ]
    assert lane(page, 'Armed') == [(2, 18, 'armed', 'note')]
    assert lane(page, 'Failsafe') == [(15, 18, 'failsafe', 'bad')]
    assert [item[:3] for item in lane(page, 'Failsafe flags')] == [
        (10, 12, 'manual control signal lost'),
        (11, pytest.approx(SECONDS, abs=0.1), 'geofence breached'),
    ]
    assert [item[2:] for item in lane(page, 'Battery warning')] == [
        ('low', 'warn'), ('critical', 'bad')]  # fmt: skip

    roll, wanted = chart(page, 'Roll')
    assert wanted['setpoint_of'] == roll['id']
    assert (roll['topic'], wanted['topic']) == (
        '/fmu/out/vehicle_attitude', '/fmu/out/vehicle_attitude_setpoint')  # fmt: skip
    for item, degrees in ((roll, 10), (wanted, 12)):
        times, values = page.times(item['t']), page.array(item['v'])
        assert values == pytest.approx(degrees * np.sin(times), abs=1e-4)
    (yaw, _) = chart(page, 'Yaw')
    assert page.array(yaw['v']) == pytest.approx(
        (40 * page.times(yaw['t']) + 180.3) % 360 - 180, abs=1e-3
    )
    north, wanted = chart(page, 'x, north')
    assert (north['field'], wanted['field']) == ('x', 'position[0]')
    (speed,) = chart(page, 'vx, north')
    assert speed['unit'] == 'm/s', 'a setpoint of NaN is none'
    track = next(item for item in page.data['tracks'] if item['frame'] == 'NED')
    east, up = page.array(track['x']), page.array(track['y'])
    assert east == pytest.approx(2 * up, nan_ok=True), 'east is right, north is up'
    (latitude,) = [item for item in page.data['series'] if item['field'] == 'latitude']
    assert set(page.array(latitude['v'])) == {47.123456789}
    (current,) = chart(page, 'Current')
    assert current['n'] == 14
    assert 'north, east, down (NED)' in page.text
    assert '<span class="key s0 set">/fmu/in/trajectory_setpoint</span>' in page.html


def test_mavros(make_writer: MakeWriter, root: Path) -> None:
    pose, twist = 'geometry_msgs/msg/PoseStamped', 'geometry_msgs/msg/TwistStamped'
    state, target = 'mavros_msgs/msg/State', 'mavros_msgs/msg/AttitudeTarget'
    position = 'mavros_msgs/msg/PositionTarget'

    def at_height(z: float) -> Any:
        point = message('geometry_msgs/msg/Point', z=z)
        return message('geometry_msgs/msg/Pose', position=point, orientation=quaternion(3, 0, 0))

    page = record(make_writer, root, {
        ('/mavros/state', state): [
            (at, cdr(state, header=header(), connected=True, armed=at >= 3,
                     mode='OFFBOARD' if at >= 5 else 'POSCTL', system_status=5 if at > 15 else 4))
            for at in ticks(1)],
        ('/mavros/statustext/recv', 'mavros_msgs/msg/StatusText'): [
            (7.0, cdr('mavros_msgs/msg/StatusText', severity=2, text='Low battery <b>')),
            (7.0, cdr('mavros_msgs/msg/StatusText', severity=6, text='Takeoff'))],
        ('/mavros/local_position/pose', pose): [
            (at, cdr(pose, header=header(), pose=at_height(at))) for at in ticks(10)],
        ('/other/pose', pose): [
            (at, cdr(pose, header=header(), pose=at_height(0))) for at in ticks(20)],
        ('/mavros/setpoint_raw/target_local', position): [
            (at, cdr(position, header=header(), type_mask=0b111111000 if at < 10 else 0b100,
                     position=message('geometry_msgs/msg/Point', z=at + 1)))
            for at in ticks(10)],
        ('/mavros/setpoint_raw/target_attitude', target): [
            (at, cdr(target, header=header(), type_mask=7, orientation=quaternion(4, 0, 0)))
            for at in ticks(10)],
        ('/mavros/local_position/velocity_local', twist): [
            (at, cdr(twist, header=header())) for at in ticks(10)],
    })  # fmt: skip
    assert lane(page, 'Mode') == [
        (0, 5, 'POSCTL', 'mode-0'),
        (5, pytest.approx(SECONDS, abs=0.2), 'OFFBOARD', 'mode-1'),
    ]
    assert lane(page, 'Armed')[0][:2] == (3, pytest.approx(SECONDS, abs=0.2))
    assert [item[2] for item in lane(page, 'Failsafe')] == ['critical']
    said = {words.partition(', at')[0] for words in page.words() if 'Takeoff' in words
            or 'Low battery' in words}  # fmt: skip
    assert said == {'Low battery <b>', 'Takeoff'}
    heights = [item for item in page.data['series'] if item['field'] == 'pose.position.z']
    (wanted,) = [item for item in page.data['series'] if item['field'] == 'position.z']
    assert wanted['n'] == 100, 'where the mask does not say that it is to be ignored'
    ours = {item['topic']: item['id'] for item in heights}
    assert wanted['setpoint_of'] == ours['/mavros/local_position/pose'], 'the name most like it'
    (rolls,) = [
        item
        for item in page.data['series']
        if item['topic'] == '/mavros/setpoint_raw/target_attitude'
        and item['field'] == 'orientation.roll'
    ]
    assert set(page.array(rolls['v']).round(3)) == {4.0}
    assert not [item for item in page.data['series'] if item['field'] == 'body_rate.roll']


@pytest.mark.parametrize(
    ('encoding', 'pixel', 'expected'),
    [
        ('rgb8', bytes((200, 100, 50)), (200, 100, 50)),
        ('bgr8', bytes((50, 100, 200)), (200, 100, 50)),
        ('rgba8', bytes((200, 100, 50, 9)), (200, 100, 50)),
        ('mono8', bytes((77,)), (77,)),
        ('8UC1', bytes((77,)), (77,)),
        ('yuv422_yuy2', bytes((77, 128)), (77,)),
        ('uyvy', bytes((128, 77)), (77,)),
        ('bayer_rggb8', bytes((77,)), (77, 77, 77)),
        ('16UC1', bytes((1, 2)), (0,)),
        ('32FC1', np.float32(1.5).tobytes(), (0,)),
    ],
)
def test_raw_images_become_small_ones(
    encoding: str, pixel: bytes, expected: tuple[int, ...]
) -> None:
    width, height = 640, 481
    row = pixel * width + b'padding!'
    name = 'sensor_msgs/msg/Image'
    data = cdr(name, header=header(), height=height, width=width, encoding=encoding,
               step=len(row), data=np.frombuffer(row * height, np.uint8))  # fmt: skip
    (found,) = thumbnails_of(name, data)
    kind, pixels = png_of(found.source)
    assert pixels.shape == (found.height, found.width, len(expected))
    assert (found.width, found.height) == pytest.approx((120, 90), abs=40)
    assert kind == 'png'
    assert (pixels == expected).all()


def test_images_that_lie_are_left_out() -> None:
    raw, jpeg = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
    some = np.zeros(300, np.uint8)
    hostile = [
        (raw, {'height': 2**32 - 1, 'width': 2**32 - 1, 'encoding': 'rgb8', 'step': 3}),
        (raw, {'height': 100, 'width': 100, 'encoding': 'rgb8', 'step': 3, 'data': some}),
        (raw, {'height': 100, 'width': 1, 'encoding': '<b>', 'step': 3, 'data': some}),
        (raw, {'height': 1, 'width': 0, 'encoding': 'rgb8', 'step': 0}),
        (jpeg, {'format': 'svg', 'data': np.frombuffer(b'<svg onload="x">', np.uint8)}),
        (jpeg, {'data': np.frombuffer(b'\xff\xd8\xff' + b'\xff' * 99, np.uint8)}),
        (jpeg, {'data': np.frombuffer(b'\x89PNG\r\n\x1a\n', np.uint8)}),
        (jpeg, {}),
    ]
    for name, fields in hostile:
        assert thumbnails_of(name, cdr(name, header=header(), **fields)) == []


def test_compressed_images_are_spread_over_the_flight(
    make_writer: MakeWriter, root: Path
) -> None:
    name = 'sensor_msgs/msg/CompressedImage'
    size = b'\xff\xd8\xff\xe0\x00\x04ab' + b'\xff\xc0\x00\x11\x08' + struct.pack('>HH', 480, 640)

    def picture(number: int) -> bytes:
        data = np.frombuffer(size + bytes([number]) * 60_000, np.uint8)
        return cdr(name, header=header(), format='jpeg', data=data)

    sent = [(at, picture(number)) for number, at in enumerate(ticks(10))]
    page = record(make_writer, root, {('/camera/<b>', name): sent})
    images = page.of('img')
    assert 5 <= len(images) <= 14
    times = [float(str(item['data-t'])) for item in images]
    steps = np.diff(times)
    assert steps == pytest.approx(np.full(len(steps), steps[0]), abs=0.2)
    assert times[-1] > 0.8 * SECONDS
    for at, item in zip(times, images, strict=True):
        assert (item['width'], item['height']) == ('160', '120')
        head, _, content = str(item['src']).partition(',')
        assert head == 'data:image/jpeg;base64'
        assert base64.b64decode(content)[-1] == round(at * 10)
    assert '/camera/<b>, ' in str(images[0]['alt'])


def thumbnails_of(name: str, data: bytes) -> list[Thumbnail]:
    found = Thumbnails(schema(name), 0, NS_PER_S)
    (row,) = (np.array([value], np.int64) for value in (0,))
    found.add(Messages(np.frombuffer(data, np.uint8), row, row + len(data), row))
    return found.found


def png_of(source: str) -> tuple[str, Any]:
    """Decode what this recorder writes as PNG: no filter, or what is above."""
    head, _, content = source.partition(',')
    data = base64.b64decode(content)
    width, height, _, kind = struct.unpack_from('>IIBB', data, 16)
    channels = 3 if kind == 2 else 1
    (length,) = struct.unpack_from('>I', data, 33)
    lines = np.frombuffer(zlib.decompress(data[41:41 + length]), np.uint8)
    lines = lines.reshape(height, 1 + width * channels)
    assert set(lines[1:, 0]) == {2}
    pixels = np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, channels)
    return head.removeprefix('data:image/').partition(';')[0], pixels


def test_delay_and_losses_are_told(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(), make_client('/blob', '0a', schema=TEXT)
    open_flight(writer, 'x', client)
    for number in range(1000):
        now = START_NS + number * NS_PER_S // 100
        late = 50_000_000 if number == 500 else 2_000_000 if number % 2 else 1_000_000
        assert client.enqueue(text(b'hello'), now, publish_time_ns=now - late)
    client.count_transport_loss(7, 10)
    writer.close_flight('x')
    writer.stop()
    page = page_of(root / 'x')
    said = re.search(r'median (\S+) ms, 99 of 100 within (\S+) ms, longest (\S+) ms', page.text)
    assert said is not None
    assert [float(item) for item in said.groups()] == pytest.approx([2, 2, 50], rel=0.1)
    times, delays = page.samples('/blob', 'delay from source to reception')
    assert dict(zip(times.round(2), delays, strict=True))[5.0] == 50
    assert '0.4 %' in page.text


def text(content: bytes) -> bytes:
    return b'\0\1\0\0' + struct.pack('<I', len(content) + 1) + content + b'\0'


NOISY = [
    'sensor_msgs/msg/Imu', 'nav_msgs/msg/Odometry', 'sensor_msgs/msg/NavSatFix',
    'sensor_msgs/msg/BatteryState', 'sensor_msgs/msg/JointState', 'tf2_msgs/msg/TFMessage',
    'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage',
    'diagnostic_msgs/msg/DiagnosticArray',
    *(f'px4_msgs/msg/{name}' for name in PX4), *(f'mavros_msgs/msg/{name}' for name in MAVROS),
]  # fmt: skip


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('is_exact', [True, False])
@pytest.mark.parametrize('name', NOISY)
def test_messages_of_noise_do_no_harm(name: str, is_exact: bool) -> None:
    noise = np.random.default_rng(1)
    key = TopicType('/noise', name)
    exact = ExactTopics({key}, {key}) if is_exact else None
    table = SignalTable(plot_axis(0, 10 * NS_PER_S), exact)
    topic = table.of('/noise', schema(name))
    assert topic is not None
    for size in (4, 40, 400, 4000):
        data = noise.integers(0, 256, (50, size), np.uint8)
        data[:, :4] = (0, 1, 0, 0)
        data[::2, 12:16] = 0  # an empty frame_id
        times = np.sort(noise.integers(0, 10 * NS_PER_S, 50))
        start = np.arange(50) * size
        sent = noise.integers(-(2**62), 2**62, 50)
        topic.add(Messages(data.reshape(-1), start, np.full(50, size), times, sent))
    numbers = Numbers()
    for samples in (topic.samples, topic.delays.samples, *(s.samples for s in topic.signals)):
        columns = [Column(f'c{place}') for place in range(samples.columns)]
        numbers.add(samples, columns, topic='/noise', type_name=name, gap_s=1.0)
    json.dumps(numbers.series, allow_nan=False)
    for lane in table.lanes():
        assert all(band.to_s >= band.from_s for band in lane.bands(10.0))


@pytest.mark.parametrize(
    ('name', 'path', 'unit'),
    [
        ('sensor_msgs/msg/Imu', 'angular_velocity.x', 'rad/s'),
        ('sensor_msgs/msg/Imu', 'linear_acceleration.z', 'm/s²'),
        ('nav_msgs/msg/Odometry', 'pose.pose.position.x', 'm'),
        ('nav_msgs/msg/Odometry', 'pose.pose.orientation.x', ''),
        ('geometry_msgs/msg/Twist', 'linear.x', 'm/s'),
        ('geometry_msgs/msg/AccelStamped', 'accel.linear.x', 'm/s²'),
        ('px4_msgs/msg/SensorCombined', 'gyro_rad[2]', 'rad/s'),
        ('px4_msgs/msg/VehicleLocalPosition', 'vx', 'm/s'),
        ('px4_msgs/msg/BatteryStatusV1', 'voltage_v', 'V'),
        ('px4_msgs/msg/BatteryStatus', 'voltage_cell_v[13]', 'V'),
        ('px4_msgs/msg/VehicleRatesSetpoint', 'yaw', 'rad/s'),
        ('other_msgs/msg/T', 'linear.x', ''),
    ],
)
def test_units_are_those_of_the_definitions(name: str, path: str, unit: str) -> None:
    assert unit_of(name, path) == unit


def test_long_lists_are_folded(make_writer: MakeWriter, root: Path) -> None:
    for count in (3, 40):
        board = AlertBoard()
        writer, client = make_writer(alerts=board), make_client('/blob', '0a')
        open_flight(writer, f'x{count}', client)
        for number in range(count):
            board.raise_alert('topic_missing', 'nobody publishes it', subject=f'/t{number}')
        writer.close_flight(f'x{count}')
        writer.stop()
        html = page_of(root / f'x{count}').html
        alerts = html.partition('id="alerts"')[2].partition('</section>')[0]
        assert ('<details><summary>All of them' in alerts) == (count == 40)
        assert alerts.count('nobody publishes it') == count


def test_diagnostics_are_lanes_by_level(make_writer: MakeWriter, root: Path) -> None:
    name, inner = 'diagnostic_msgs/msg/DiagnosticArray', 'diagnostic_msgs/msg/DiagnosticStatus'

    def status(at: float) -> bytes:
        level = 0 if at < 5 else 1 if at < 10 else 2 if at < 15 else 0
        text = ['fine', 'warm', 'hot'][level]
        motor = message(inner, level=level, name='motor 1', message=text)
        return cdr(name, header=header(), status=[motor, message(inner, name='gps')])

    page = record(
        make_writer, root, {('/diagnostics', name): [(at, status(at)) for at in ticks(1)]}
    )
    assert lane(page, 'motor 1') == [(5, 10, 'warm', 'warn'), (10, 15, 'hot', 'bad')]
    assert not [item for item in page.data['lanes'] if item['name'] == 'gps']
