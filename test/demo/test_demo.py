# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The demo: its axes and units, its simulated flight, its verdict, and one whole flight."""

from __future__ import annotations

from collections import Counter
import importlib.util
from itertools import pairwise
import json
import math
import os
from pathlib import Path
import random
import subprocess
import sys

from demo import rotation, ulog
from demo.camera import Camera, HEIGHT, picture, WIDTH
from demo.multirotor import Autopilot, GRAVITY, Trajectory
from demo.rotation import frd_to_flu, ned_to_enu, px4_attitude_to_ros, rotate
import pytest
from ros_domain import own_domain

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = CHECKOUT.parent / 'shared' / 'data' / 'px4_hardware_flight.ulg'


def needs(*modules):
    """Skip where one of these modules is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f'not installed: {", ".join(missing)}')


def close(vector, tolerance=1e-6):
    return pytest.approx(vector, abs=tolerance)


# Axes, REP-103


def test_level_and_nose_to_the_north():
    attitude = px4_attitude_to_ros(rotation.IDENTITY)
    assert rotate(attitude, (1.0, 0.0, 0.0)) == close((0.0, 1.0, 0.0))  # the nose: north is y
    assert rotate(attitude, (0.0, 1.0, 0.0)) == close((-1.0, 0.0, 0.0))  # the left wing: west
    assert rotate(attitude, (0.0, 0.0, 1.0)) == close((0.0, 0.0, 1.0))


@pytest.mark.parametrize('seed', range(20))
def test_turning_and_changing_axes_go_in_either_order(seed):
    dice = random.Random(seed)
    raw = [dice.gauss(0, 1) for _ in range(4)]
    w, x, y, z = (value / math.hypot(*raw) for value in raw)
    vector = (dice.gauss(0, 1), dice.gauss(0, 1), dice.gauss(0, 1))
    turned_then_changed = ned_to_enu(rotate((w, x, y, z), vector))
    changed_then_turned = rotate(px4_attitude_to_ros((w, x, y, z)), frd_to_flu(vector))
    assert changed_then_turned == close(turned_then_changed)


@pytest.mark.parametrize(
    ('heading', 'yaw'),
    [(0.0, math.pi / 2), (math.pi / 2, 0.0), (-math.pi / 2, math.pi), (0.3, math.pi / 2 - 0.3)],
)
def test_heading_is_clockwise_from_north_and_yaw_anticlockwise_from_east(heading, yaw):
    assert math.cos(rotation.px4_heading_to_ros_yaw(heading) - yaw) == pytest.approx(1.0)


# The simulated flight


@pytest.mark.parametrize('seconds', [3.0, 10.0, 120.0])
def test_trajectory_is_one_motion(seconds):
    path = Trajectory(seconds)
    step = 1e-3
    for number in range(1, 200):
        t = seconds * number / 200
        state = path.at(t)
        before, after = path.at(t - step).position, path.at(t + step).position
        second_derivative = tuple(
            (a - 2 * now + b) / step**2
            for a, now, b in zip(after, state.position, before, strict=True)
        )
        assert state.acceleration == close(second_derivative, 0.02)
        east, north, up = state.acceleration
        thrust = rotate(state.attitude, (0.0, 0.0, state.thrust))
        assert thrust == close((east, north, up + GRAVITY))
        assert rotate(state.attitude, (0.0, 0.0, 1.0))[2] > math.cos(math.radians(40))
    for t in (0.0, seconds):
        assert path.at(t).position == close((0.0, 0.0, 0.0))
        assert path.at(t).thrust == pytest.approx(GRAVITY)
    assert path.at(seconds / 2).position[2] == pytest.approx(path.height)


@pytest.mark.parametrize('seconds', [3.0, 10.0, 120.0])
def test_track_is_a_figure_of_eight(seconds):
    path = Trajectory(seconds)
    ground = [path.at(seconds * n / 1000).position[:2] for n in range(1001)]
    east, north = zip(*ground, strict=True)
    wide, high = path.reach, path.reach / 2
    assert (min(east), max(east)) == close((-wide, wide), wide / 100)
    assert (min(north), max(north)) == close((-high, high), wide / 100)
    assert ground[0] == close((0.0, 0.0))
    assert ground[-1] == close((0.0, 0.0))
    # It comes from the one loop into the other at the crossing alone.
    changes = [n for n in range(200, 800) if (east[n - 1] < 0.0) != (east[n] < 0.0)]
    eights = max(1, round(0.75 * seconds / 20.0))
    assert len(changes) == 2 * eights - 1
    for n in changes:
        assert math.hypot(*ground[n]) < wide / 10
    # Northward both times, but westward in the middle of an eight and eastward at its ends.
    for n, west in zip(changes, [True, False] * eights, strict=False):
        assert north[n] > north[n - 1]
        assert (east[n] < east[n - 1]) is west


def test_nose_points_the_way_it_flies():
    path, step = Trajectory(10.0), 1e-4
    for number in range(30, 170):
        t = number / 20
        before, after = path.at(t - step).position, path.at(t + step).position
        moved = [a - b for a, b in zip(after[:2], before[:2], strict=True)]
        if math.hypot(*moved) > 1e-6:
            nose = rotate(path.at(t).attitude, (1.0, 0.0, 0.0))
            course = math.atan2(moved[1], moved[0])
            away = math.remainder(math.atan2(nose[1], nose[0]) - course, math.tau)
            assert abs(away) < math.radians(15)  # the tilt turns the nose a little


def test_fixes_follow_the_flight():
    fixes = [s.fields for s in Autopilot(10.0).samples() if s.topic == '/gps/fix']
    path = Trajectory(10.0)
    metres = math.radians(1.0) * 6_378_137.0
    for number, fix in enumerate(fixes):
        east, north, up = path.at(number / 10).position
        across = math.cos(math.radians(fix['latitude']))
        assert (fix['longitude'] - 8.545594) * metres * across == pytest.approx(east, abs=1.5)
        assert (fix['latitude'] - 47.397742) * metres == pytest.approx(north, abs=1.5)
        assert fix['altitude'] - 535.3 == pytest.approx(up, abs=3.0)


def test_gyro_leads_from_one_attitude_to_the_next():
    path, step = Trajectory(10.0), 1e-4
    for number in range(200):
        t = number / 20
        half = [rate * step / 2 for rate in path.angular_velocity(t)]
        predicted = rotation.multiply(path.at(t).attitude, (1.0, *half))
        away = rotation.multiply(rotation.conjugate(predicted), path.at(t + step).attitude)
        assert away[1:] == close((0.0, 0.0, 0.0), 1e-6)


def test_autopilot_publishes_each_topic_at_its_rate():
    samples = list(Autopilot(3.0).samples())
    assert Counter(sample.topic for sample in samples) == {
        '/imu/data': 600,
        '/attitude': 300,
        '/gps/fix': 30,
        '/battery': 3,
    }
    assert [s.due_ns for s in samples] == sorted(s.due_ns for s in samples)
    imu = [s.due_ns for s in samples if s.topic == '/imu/data']
    assert {later - earlier for earlier, later in pairwise(imu)} == {5_000_000}


def test_battery_drains():
    levels = [s.fields['percentage'] for s in Autopilot(60.0).samples() if s.topic == '/battery']
    assert levels == sorted(levels, reverse=True)
    assert 0.0 < levels[-1] < levels[0] <= 1.0


def test_picture_is_whole_and_moves_with_the_vehicle():
    assert len(picture((0.0, 0.0, 0.0))) == 3 * WIDTH * HEIGHT
    assert len({picture((0.1 * n, 0.05 * n, 1.0)) for n in range(10)}) == 10
    frames = [sample.fields['data'] for sample in Camera(2.0).samples()]
    assert len(frames) == 30
    assert {len(frame) for frame in frames} == {3 * WIDTH * HEIGHT}


# PX4 logs


def mapped_fields(message, columns, instance=0):
    """Map one PX4 message; return its topics, their samples' fields, and what was not mapped."""
    columns = {'timestamp': [1000 * n for n in range(len(next(iter(columns.values()))))]} | columns
    log = ulog.mapped([(message, instance, columns)], first_us=0)
    fields = {}
    for sample in log.samples():
        fields.setdefault(sample.topic, []).append(sample.fields)
    return fields, log.not_mapped


def test_gps_before_and_after_px4_changed_its_units():
    old = {'lat': [473977420], 'lon': [-85455940], 'alt': [488123], 'fix_type': [3]}
    new = {
        'latitude_deg': [47.397742],
        'longitude_deg': [-8.545594],
        'altitude_msl_m': [488.123],
        'fix_type': [6],
    }
    for columns, status in ((old, 0), (new, 2)):
        fields, _ = mapped_fields('vehicle_gps_position', columns)
        (fix,) = fields['/gps/fix']
        assert fix['latitude'] == pytest.approx(47.397742)
        assert fix['longitude'] == pytest.approx(-8.545594)
        assert fix['altitude'] == pytest.approx(488.123)
        assert fix['status']['status'] == status


def test_global_position_is_in_degrees_already():
    columns = {'lat': [47.397742], 'lon': [8.545594], 'alt': [488.0], 'eph': [2.0], 'epv': [3.0]}
    (fix,) = mapped_fields('vehicle_global_position', columns)[0]['/global_position']
    assert fix['latitude'] == 47.397742
    assert fix['position_covariance'] == [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0]


def test_battery_says_nan_for_what_px4_does_not_know():
    columns = {'voltage_v': [16.1, 16.0], 'current_a': [-1.0, 12.5], 'remaining': [-1.0, 0.8]}
    unknown, known = mapped_fields('battery_status', columns)[0]['/battery']
    assert math.isnan(unknown['current'])
    assert math.isnan(unknown['percentage'])
    assert (known['current'], known['percentage']) == (-12.5, 0.8)


def test_only_new_magnetometer_measurements_are_taken():
    columns = {f'{name}[{i}]': [0.0] * 4 for name in ('gyro_rad', 'accelerometer_m_s2')
               for i in range(3)}
    columns |= {f'magnetometer_ga[{i}]': [0.1, 0.1, 0.2, 0.2] for i in range(3)}
    columns |= {'magnetometer_timestamp_relative': [0, -1000, 0, 2**31 - 1]}
    fields, _ = mapped_fields('sensor_combined', columns)
    assert len(fields['/imu/data']) == 4
    assert [mag['magnetic_field']['x'] for mag in fields['/imu/mag']] == close([1e-5, 2e-5], 1e-12)
    assert [mag['magnetic_field']['y'] for mag in fields['/imu/mag']] == close(
        [-1e-5, -2e-5], 1e-12
    )


def test_what_cannot_be_mapped_is_named():
    assert mapped_fields('cpuload', {'load': [0.5]}) == ({}, {'cpuload': 'no standard message'})
    fields, not_mapped = mapped_fields('vehicle_gps_position', {'eph': [1.0]})
    assert not fields
    assert 'no field lat or latitude_deg' in not_mapped['vehicle_gps_position']


def test_second_instance_has_a_topic_of_its_own():
    fields, _ = mapped_fields('battery_status', {'voltage_v': [12.0]}, instance=1)
    assert list(fields) == ['/battery_1']


@pytest.mark.parametrize(
    ('content', 'reason'),
    [(None, 'No such file'), (b'', 'not a ULog'), (b'\x89MCAP0\r\n', 'not a ULog')],
)
def test_no_log_is_a_clear_error(tmp_path, content, reason):
    path = tmp_path / 'flight.ulg'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ulog.ULogError, match=reason):
        ulog.read(path)


@pytest.mark.parametrize(
    ('information', 'name'),
    [
        ({'ver_hw': 'AUAV_X21', 'sys_uuid': '0002'}, 'AUAV_X21_0002'),
        ({'ver_hw': 'AUAV_X21'}, 'AUAV_X21'),
        ({'ver_sw': 'fd48', 'sys_uuid': ''}, '12_03_44'),
    ],
)
def test_vehicle_is_named_after_the_log(information, name):
    assert ulog.vehicle_name(information, Path('/logs/12_03_44.ulg')) == name


@needs('pyulog')
@pytest.mark.skipif(not SAMPLE.is_file(), reason='no sample log in ../shared/data')
def test_sample_log():
    log = ulog.read(SAMPLE)
    assert log.vehicle == 'AUAV_X21'
    samples = list(log.samples())
    assert Counter(sample.topic for sample in samples) == {
        '/imu/data': 17_070,
        '/imu/mag': 6_759,
        '/attitude': 6_461,
        '/rates/setpoint': 6_448,
        '/attitude/setpoint': 3_272,
        '/local_position/pose': 678,
        '/local_position/velocity': 678,
    }
    assert log.seconds == pytest.approx(69.0, abs=0.1)
    assert [s.due_ns for s in samples] == sorted(s.due_ns for s in samples)
    assert 'cpuload' in log.not_mapped
    # Two sensors, one truth: what the accelerometer feels, turned by the attitude, points up.
    attitude = None
    ups = []
    for sample in samples:
        if sample.topic == '/attitude':
            q = sample.fields['quaternion']
            attitude = (q['w'], q['x'], q['y'], q['z'])
        elif sample.topic == '/imu/data' and attitude is not None:
            a = sample.fields['linear_acceleration']
            ups.append(rotate(attitude, (a['x'], a['y'], a['z'])))
    mean = tuple(sum(axis) / len(ups) for axis in zip(*ups, strict=True))
    assert mean == close((0.0, 0.0, GRAVITY), 0.3)


# The verdict


@needs('mcap', 'rosbags')
class TestVerdict:

    def flight(self, messages=10, crc32=1, **footer):
        from demo.readback import Flight, TopicRecording

        topic = TopicRecording(
            '/a', 'p/msg/A', messages=messages, size=100, crc32=crc32, first_ns=0, last_ns=9
        )
        footer = {'clean_shutdown': True} | footer
        return Flight(Path('f'), {'s.mcap': 1}, {'/a': topic}, 2, 1.0, footer=footer)

    def judge(self, flight):
        from demo.show import table
        from demo.verdict import compare, problems, Sent

        sent = {'/a': Sent('p/msg/A', 10, 100, 1)}
        rows = compare(sent, flight)
        return problems(rows, sent, flight), table(rows)

    def test_all_is_well(self):
        found, text = self.judge(self.flight())
        assert found == []
        assert 'same' in text

    def test_a_loss_is_named_with_its_cause(self):
        found, text = self.judge(self.flight(messages=7, records_dropped_overrun=3))
        assert found == [
            '/a: 3 of 10 messages are not recorded',
            'the footer accounts for 3 of 3 missing messages: 3 refused by a full ring',
        ]
        assert 'DIFFER' in text

    def test_a_loss_that_the_footer_does_not_know_is_told(self):
        found, _ = self.judge(self.flight(messages=9))
        assert 'the footer accounts for 0 of 1 missing messages' in found

    def test_other_bytes_and_other_publishers_are_found(self):
        assert 'bytes are not those' in self.judge(self.flight(crc32=2))[0][0]
        assert '1 more messages' in self.judge(self.flight(messages=11))[0][0]

    def test_an_unclean_end_is_told(self):
        assert self.judge(self.flight(clean_shutdown=False))[0] == [
            'the footer does not say clean_shutdown'
        ]


# All of it


@pytest.mark.smoke
@needs('rclpy', 'sensor_msgs', 'geometry_msgs', 'lifecycle_msgs', 'mcap', 'rosbags')
def test_a_whole_flight(tmp_path):
    command = [sys.executable, '-m', 'demo.fly', '--seconds', '3', '--root', tmp_path, '--json']
    with own_domain() as domain_id:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=os.environ | {'ROS_DOMAIN_ID': str(domain_id)},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert {row['topic']: (row['sent'], row['lost']) for row in result['topics']} == {
        '/imu/data': (600, 0),
        '/attitude': (300, 0),
        '/gps/fix': (30, 0),
        '/battery': (3, 0),
        '/camera/image_raw': (45, 0),
    }
    assert all(row['identical'] for row in result['topics'])
    assert result['ok']
    assert result['footer']['clean_shutdown'] is True
    assert Path(result['directory'], 'metadata.yaml').is_file()
    assert result['header']['vehicle_id'] == 'demo_multirotor'


def test_the_next_command_is_named(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    from demo.show import next_steps

    text = next_steps(CHECKOUT / 'demo_flights' / 'flight_1')
    assert '  ./dev fdr report demo_flights/flight_1 --open\n' in text
    assert "  ./dev fdr report '/a b/flight_1' --open\n" in next_steps(Path('/a b/flight_1'))


def test_wrong_use_is_told_without_ros():
    done = subprocess.run(
        [sys.executable, '-m', 'demo.fly', '--speed', '2'],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert '--speed goes with --ulog' in done.stderr
