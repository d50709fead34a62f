# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the node does on request (`~/split`), by itself (`autostart`), and by which clock."""

from __future__ import annotations

from pathlib import Path
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

from fdr_recorder import verify
from fdr_recorder.node.services import service_type, Services
from fdr_recorder.record.kinds import AlertRecord, Pin
from fdr_recorder.storage.pins import read_pins
from ground import BEST_EFFORT, DiagnosticStatus, Ground, LATCHED, RELIABLE
import pytest
from rclpy.duration import Duration
from rclpy.lifecycle import TransitionCallbackReturn
from recorder_process import read_flight, RecorderProcess
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Int32, String
from std_srvs.srv import Trigger


def ask(recorder: RecorderProcess, service: str) -> Trigger.Response:
    name = f'/{recorder.name}/{service}'
    return recorder.ground.call(Trigger, name, Trigger.Request())


def split(recorder: RecorderProcess) -> Trigger.Response:
    return ask(recorder, 'split')


def until(recorder: RecorderProcess, state: str) -> None:
    recorder.ground.wait_until(lambda: recorder.state() == state, f'the recorder {state}')


def texts(recorder: RecorderProcess, topic: str) -> list[list[bytes]]:
    """Return the texts on a topic, by segment."""
    (path,) = recorder.flights()
    return texts_of(path, topic)


def texts_of(path: Path, topic: str = '/chatter') -> list[list[bytes]]:
    return [
        [message.data[8:].rstrip(b'\0') for message in segment.messages if message.topic == topic]
        for segment in read_flight(path).segments
    ]


# --- on request --------------------------------------------------------------------------------


@pytest.mark.smoke
def test_split_begins_the_next_segment(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')
        publisher.publish(String(data='before'))
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'a message on disk')
        answer = split(recorder)
        assert answer.success
        assert answer.message.startswith('segment 0 ')
        (path,) = recorder.flights()
        ground.wait_until((path / 'segment_000001.mcap').exists, 'the next segment')
        publisher.publish(String(data='after'))
        recorder.wait_for_summary(lambda values: values['records_written'] == '5', 'it is taken')
        recorder.make('deactivate')
        assert texts(recorder, '/chatter') == [[b'before'], [b'after']]


def test_a_segment_without_data_is_not_split(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        recorder.make('configure', 'activate')
        for _ in range(3):
            assert split(recorder).success
        recorder.make('deactivate')
        assert len(recorder.read_flight().segments) == 1


def test_without_a_flight_there_is_nothing_to_split(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    with RecorderProcess(ground, tmp_path, root) as recorder:
        for state in ('unconfigured', 'inactive'):
            answer = split(recorder)
            assert not answer.success
            assert answer.message == f'no flight is open ({state}): activate first'
            if state == 'unconfigured':
                recorder.make('configure')


def test_pin_protects_what_was_just_recorded(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """On request, and by an alert that is configured; without a flight it is refused."""
    options = {'pin_on': ['topic_missing'], 'pin_after_s': 7.0, 'required': ['/never']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:

        def pin() -> Trigger.Response:
            return recorder.ground.call(Trigger, f'/{recorder.name}/pin', Trigger.Request())

        answer = pin()
        assert (answer.success, answer.message) == (
            False, 'no flight is open (unconfigured): activate first'
        )
        recorder.make('configure', 'activate')
        answer = pin()
        assert (answer.success, answer.message) == (
            True, 'the last 30 s and the next 7 s are pinned'
        )
        (path,) = recorder.flights()
        ground.wait_until((path / 'PINS').exists, 'it is on the disk')
        recorder.make('deactivate')
        pins = recorder.read_flight().payloads(Pin)
        assert '~/pin' in [record.why for record in pins]
        assert all(record.to_ns - record.from_ns == 37 * 10**9 for record in pins)


def test_a_condition_that_begins_to_hold_pins(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """Once each time; from before it began. Without a flight there is nothing to pin."""
    condition = '/level: data > 3 for 0.05 s'
    options = {'pin_on': [condition], 'pin_before_s': 7.0, 'pin_after_s': 3.0}
    level = ground.node.create_publisher(Int32, '/level', LATCHED)
    with RecorderProcess(ground, tmp_path, root, topics=['/none'], **options) as recorder:

        def pins() -> int:
            return sum(window.times for window in read_pins(recorder.flights()[0]).windows)

        def say(*values: int) -> None:
            for value in values:
                level.publish(Int32(data=value))

        recorder.make('configure')
        say(4)
        ground.wait_until(lambda: ground.node.count_subscribers('/level') == 1, 'it listens')
        recorder.make('activate')
        for times in (1, 2):
            say(1)
            until_s = time.monotonic() + 0.7  # well above 0.05 s of the opposite
            ground.wait_until(lambda end=until_s: time.monotonic() > end, 'it is over')
            say(4, 5, 4)
            ground.wait_until(lambda times=times: pins() >= times, 'it is pinned')
        recorder.make('deactivate')
        found = recorder.read_flight().payloads(Pin)
        assert [record.why for record in found] == [condition] * 2
        assert all(10.05e9 <= record.to_ns - record.from_ns < 20e9 for record in found)
        assert pins() == 2


@pytest.mark.smoke
def test_an_annotation_is_always_recorded(ground: Ground, tmp_path: Path, root: Path) -> None:
    """Whatever is chosen and excluded; from publishers that come and go, and of any QoS."""
    topic = '/fdr_recorder/annotation'
    with RecorderProcess(ground, tmp_path, root, exclude=[topic]) as recorder:
        recorder.make('configure')
        ground.wait_until(
            lambda: ground.node.count_subscribers(topic), 'it is there before any publisher'
        )
        recorder.make('activate')
        for number, qos in enumerate((RELIABLE, LATCHED, BEST_EFFORT)):
            publisher = ground.publisher(String, topic, qos)
            publisher.publish(String(data=f'waypoint {number}'))
            ground.wait_until(
                lambda stored=number + 1: recorder.stored(topic) == stored, 'it is on disk'
            )
            ground.node.destroy_publisher(publisher)
        recorder.make('deactivate')
        assert texts(recorder, topic) == [[b'waypoint 0', b'waypoint 1', b'waypoint 2']]
        listed = {
            item['topic_metadata']['name']: item['topic_metadata']['type']
            for item in recorder.read_flight().bag['topics_with_message_count']
        }
        assert listed[topic] == 'std_msgs/msg/String'


# --- as with rosbag2 ---------------------------------------------------------------------------


def test_services_of_rosbag2_without_its_types(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    options = {'topics': ['/chatter'], 'preroll_s': 60.0}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        answer = ask(recorder, 'snapshot')
        assert answer.message.startswith('nothing is kept to take a snapshot of (unconfigured)')
        answer = ask(recorder, 'record')
        (first,) = recorder.flights()
        assert (answer.success, answer.message) == (True, f'recording to {first}')
        assert recorder.state() == 'active'
        answer = ask(recorder, 'record')
        assert (answer.success, answer.message) == (
            False, 'a flight is being recorded already'
        )
        chatter = ground.publisher(String, '/chatter')
        chatter.publish(String(data='one'))
        ground.wait_until(lambda: recorder.stored('/chatter') == 1, 'a message on disk')
        assert ask(recorder, 'split_bagfile').message.startswith('segment 0 is closed')
        chatter.publish(String(data='two'))
        recorder.wait_for_summary(lambda values: values['records_written'] == '5', 'it is taken')
        assert ask(recorder, 'snapshot').success
        answer = ask(recorder, 'stop')
        assert (answer.success, answer.message) == (True, f'{first} is closed')
        answer = ask(recorder, 'stop')
        assert answer.message == 'no flight is open (inactive): activate first'

        chatter.publish(String(data='between'))
        assert chatter.wait_for_all_acked(Duration(seconds=10))
        answer = ask(recorder, 'snapshot')
        assert answer.success, answer.message
        second = recorder.flights()[-1]
        assert answer.message == f'the last 60 s are in {second}'
        assert recorder.state() == 'inactive'
        assert texts_of(first) == [[b'one'], [b'two'], []]  # the snapshot began the last one
        assert texts_of(second) == [[b'between']]
        recorder.make('cleanup')
        recorder.set('flight_id', first.name)
        answer = ask(recorder, 'record')
        assert answer.message.startswith('activate refused: ')
        assert first.name in answer.message


def test_a_pause_is_counted_and_told(ground: Ground, tmp_path: Path, root: Path) -> None:
    options = {'topics': ['/chatter', '/map', '/rate'], 'max_rate': ['/rate=1000']}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        assert not ask(recorder, 'pause').success
        recorder.make('configure', 'activate')
        chatter = ground.publisher(String, '/chatter')
        rate = ground.publisher(String, '/rate')
        latched = ground.publisher(String, '/map', LATCHED)

        def publish(*words: str) -> None:
            for word in words:
                for publisher in (chatter, rate, latched):
                    publisher.publish(String(data=word))
                    assert publisher.wait_for_all_acked(Duration(seconds=10))

        publish('before')
        assert not ask(recorder, 'is_paused').success
        for _ in range(2):
            assert ask(recorder, 'pause').success
        assert ask(recorder, 'is_paused').success
        recorder.wait_for_alert('recorder', 'recording_paused')
        publish('one', 'two', 'three')
        note = ground.publisher(String, '/fdr_recorder/annotation')
        note.publish(String(data='noted while paused'))
        assert note.wait_for_all_acked(Duration(seconds=10))
        for _ in range(2):
            assert ask(recorder, 'resume').message == 'recording'
        assert not ask(recorder, 'is_paused').success
        publish('after')
        assert ask(recorder, 'pause').success
        publish('late')
        recorder.make('deactivate', 'activate')
        publish('next flight')
        recorder.make('deactivate')
        first, second = recorder.flights()
        assert texts_of(first) == [[b'before', b'after']]
        assert texts_of(first, '/map') == [[b'before', b'three', b'after', b'late']]
        assert texts_of(first, '/fdr_recorder/annotation') == [[b'noted while paused']]
        assert texts_of(second) == [[b'next flight']]
        flight = read_flight(first)
        accounts = {item.topic: item for item in flight.footer.producers}
        assert accounts['/chatter'].throttled == accounts['/rate'].throttled == 4
        assert accounts['/map'].throttled == 2  # the newest message of a latched topic is recorded
        assert flight.footer.records_throttled == 10
        assert flight.footer.records_lost_transport == 0
        told = [
            (item.raised, item.message)
            for item in flight.payloads(AlertRecord)
            if item.code == 'recording_paused'
        ]
        assert [raised for raised, _ in told] == [True, False, True, False]
        assert told[1][1] == 'the recording is resumed'
        assert told[3][1] == 'the flight ends'
        result = verify(first)
        assert result.status.losses.throttled == 10
        assert not result.losses


class Response:
    """A response with some fields, as rosbag2's have them."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def get_fields_and_field_types(self) -> dict[str, str]:
        return dict.fromkeys(self.__dict__, '')


def test_services_with_the_types_of_rosbag2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that this version of rosbag2 has; `~/split` and `~/pin` are the recorder's own."""
    module = ModuleType('rosbag2_interfaces.srv')
    module.Stop = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'rosbag2_interfaces', ModuleType('rosbag2_interfaces'))
    monkeypatch.setitem(sys.modules, 'rosbag2_interfaces.srv', module)
    assert service_type('stop') is module.Stop  # type: ignore[attr-defined]
    assert service_type('record') is Trigger
    assert service_type('split') is Trigger


def test_requests_and_responses_of_rosbag2(tmp_path: Path) -> None:
    """A `uri` names the flight; what would be done later is refused; the fields are theirs."""
    recorder = SimpleNamespace(
        state_label='inactive',
        next_flight_id='',
        refusal='activate refused: the disk is full',
        check_hold=lambda name: None,
        begun=[],
        succeeds=True,
        parts=SimpleNamespace(root=SimpleNamespace(path=tmp_path), flight=tmp_path / 'x'),
    )

    def activate() -> TransitionCallbackReturn:
        recorder.begun.append(recorder.next_flight_id)
        result = TransitionCallbackReturn
        return result.SUCCESS if recorder.succeeds else result.FAILURE

    recorder.trigger_activate = activate
    offered: dict[str, Any] = {}
    node = SimpleNamespace(
        create_service=lambda _, name, serve: offered.setdefault(name, serve)
    )
    Services(node, recorder)  # type: ignore[arg-type]

    def record(uri: str, sec: int = 0) -> tuple[object, object]:
        request = SimpleNamespace(uri=uri, start_time=SimpleNamespace(sec=sec, nanosec=0))
        answer = offered['~/record'](request, Response(return_code=-1, error_string='?'))
        return answer.return_code, answer.error_string

    for uri in ('', 'tow_3', f'file://{tmp_path}/tow_4/', f'{tmp_path}/tow_5'):
        assert record(uri) == (0, '')
    assert recorder.begun == ['', 'tow_3', 'tow_4', 'tow_5']
    assert recorder.next_flight_id == ''
    code, why = record('/tmp/elsewhere')
    assert (code, recorder.begun[4:]) == (1, [])
    assert f'flights are recorded below {tmp_path}' in str(why)
    assert record('', sec=5)[0] == 1
    recorder.succeeds = False
    assert record('') == (1, recorder.refusal)
    assert vars(offered['~/stop'](None, Response())) == {}  # older types have no answer


# --- by itself ---------------------------------------------------------------------------------


@pytest.mark.smoke
def test_autostart_records(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(
        ground, tmp_path, root, autostart=True, topics=['/chatter']
    ) as recorder:
        assert recorder.state() == 'active'
        assert recorder.get('autostart') is True
        assert 'when the process starts' in recorder.set('autostart', False)
        ground.publisher(String, '/chatter').publish(String(data='x'))
        ground.wait_until(lambda: recorder.stored('/chatter'), 'a message on disk')
        assert recorder.stop() == 0
        assert texts(recorder, '/chatter') == [[b'x']]


def test_autostart_waits_for_its_flight_root(ground: Ground, tmp_path: Path) -> None:
    """A disk may be mounted after the recorder has started."""
    root = tmp_path / 'mounted later'
    with RecorderProcess(ground, tmp_path, root, autostart=True) as recorder:
        recorder.wait_for_alert('disk', 'flight_root_unusable')
        assert recorder.state() == 'unconfigured'
        root.mkdir()
        until(recorder, 'active')
        recorder.wait_for_ok('disk')
        # One raise, which may have been too early for the ground, and one clear.
        ground.wait_until(
            lambda: any(item.level == DiagnosticStatus.OK for item in recorder.at_once('disk')),
            'the end of the alert at once',
        )
        levels = [status.level for status in recorder.at_once('disk')]
        assert levels in ([DiagnosticStatus.ERROR, DiagnosticStatus.OK], [DiagnosticStatus.OK])


def test_autostart_ends_when_somebody_else_takes_command(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    (root / 'taken').mkdir()
    with RecorderProcess(
        ground, tmp_path, root, autostart=True, flight_id='taken'
    ) as recorder:
        assert recorder.state() == 'inactive'
        ground.wait_until(
            lambda: recorder.log.count('activate refused') > 1, 'it is tried again'
        )
        recorder.make('cleanup')
        for _ in range(4):  # twice as long as it waits between two tries
            recorder.wait_for_summary(lambda values: True, 'a second')
        assert recorder.state() == 'unconfigured'


# --- by which clock ----------------------------------------------------------------------------


def test_simulated_time_stamps_diagnostics_and_nothing_else(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """The simulation is at 1000 s and stands still; the recorder does not."""
    simulated_s = 1000
    clock = ground.node.create_publisher(Clock, '/clock', 10)
    now = Clock()
    now.clock.sec = simulated_s
    ground.node.create_timer(0.05, lambda: clock.publish(now))
    began_ns = time.time_ns()
    with RecorderProcess(
        ground, tmp_path, root, use_sim_time=True, topics=['/chatter', '/clock']
    ) as recorder:
        recorder.make('configure', 'activate')
        publisher = ground.publisher(String, '/chatter')  # a timer looks for new topics
        publisher.publish(String(data='x'))
        ground.wait_until(
            lambda: recorder.stored('/chatter') and recorder.stored('/clock'), 'both on disk'
        )
        ground.wait_until(
            lambda: ground.arrays and ground.arrays[-1].header.stamp.sec == simulated_s,
            'a simulated stamp',
        )
        recorder.wait_for_summary(lambda values: True, 'a summary while time stands still')
        assert ground.arrays[-1].header.stamp.nanosec == 0
        recorder.make('deactivate')
        flight = recorder.read_flight()
        for message in flight.messages:
            assert began_ns <= message.log_time <= time.time_ns()
            assert began_ns <= message.publish_time <= time.time_ns()
        (header,) = flight.of_topic('/fdr/flight_header')
        year = time.gmtime(began_ns // 10**9).tm_year
        started = header.payload().flight_started_at_iso  # type: ignore[attr-defined]
        assert started.startswith(f'{year}-')


def test_simulated_time_that_has_not_begun(ground: Ground, tmp_path: Path, root: Path) -> None:
    """Without anybody on /clock, ROS time is 0 for good."""
    with RecorderProcess(
        ground, tmp_path, root, use_sim_time=True, topics=['/chatter']
    ) as recorder:
        recorder.make('configure', 'activate')
        ground.publisher(String, '/chatter').publish(String(data='x'))
        ground.wait_until(lambda: recorder.stored('/chatter'), 'a message on disk')
        recorder.wait_for_summary(lambda values: True, 'a summary')
        recorder.wait_for_summary(lambda values: True, 'another')
        assert ground.arrays[-1].header.stamp.sec == 0
