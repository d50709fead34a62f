# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages taken by `rcl` are what rclpy takes; where that cannot be had, rclpy takes them."""

from __future__ import annotations

from collections.abc import Callable
import logging
from pathlib import Path
from typing import Any

from fdr_recorder.node.intake import take_by_rcl, take_trial
from fdr_recorder.node.intake.subscription_protocol import is_numbered, raw_message
from fdr_recorder.node.intake.take_by_rcl import RclTake
from fdr_recorder.node.intake.take_trial import rcl_take
from ground import Ground
import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.qos import QoSProfile
from recorder_process import RecorderProcess
from std_msgs.msg import String

pytestmark = pytest.mark.smoke
TOPIC = '/taken'


class Pair:
    """Two subscriptions of one topic, one for rclpy and one for rcl, and a publisher."""

    def __init__(self, ground: Ground, how: RclTake) -> None:
        self.ground = ground
        profile: Any = QoSProfile(depth=100).get_c_qos_profile()
        with ground.node.handle:
            self._handles = [
                _rclpy.Subscription(ground.node.handle, String, TOPIC, profile) for _ in 'ab'
            ]
        one, other = self._handles
        self.by_rclpy: Callable[[], Any] = lambda: one.take_message(String, True)
        self.by_rcl, self.end = how.of(other)
        self.publisher = ground.publisher(String, TOPIC, QoSProfile(depth=100), recorders=2)

    def close(self) -> None:
        self.end()
        for handle in self._handles:
            handle.destroy_when_not_in_use()


def test_both_take_the_same(ground: Ground) -> None:
    how = rcl_take(ground.node)
    assert how is not None
    pair = Pair(ground, how)
    texts = ['', 'a', 'b' * 300, 'c' * 100_000, 'd', 'e' * 3_000_000, 'f']
    (gid,) = ground.gids(TOPIC)
    kept = []
    for number, text in enumerate(texts, 1):
        pair.publisher.publish(String(data=text))
        expected = raw_message(*ground.wait_until(pair.by_rclpy, 'the message'))
        message = ground.wait_until(pair.by_rcl, 'the same message')
        assert message[:2] == expected[:2]
        assert abs(message[2] - expected[2]) < 1_000_000_000
        assert message[3] == expected[3] == number
        assert message[4].hex() == gid
        assert expected[4] in (b'', message[4])
        kept.append(message[0])
    for data, text in zip(kept, texts, strict=True):  # they are no views of the buffer
        assert data[8:].rstrip(b'\0') == text.encode()
    assert pair.by_rcl() is None
    pair.close()


def test_a_large_buffer_is_released(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_by_rcl, 'MOST_KEPT_BYTES', 10_000)
    how = RclTake()
    pair = Pair(ground, how)
    for size in (100, 50_000, 100, 20_000):
        pair.publisher.publish(String(data='x' * size))
        message = ground.wait_until(pair.by_rcl, 'the message')
        assert message[0].count(b'x') == size
        assert how._taken.array.capacity < 50_000
    assert how._taken.array.capacity == 0
    pair.close()


def test_a_subscription_that_is_not_taken_from_any_more(ground: Ground) -> None:
    """An error, no crash."""
    pair = Pair(ground, RclTake())
    pair.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r'rcl_take_serialized_message: .*subscription'):
            pair.by_rcl()


def change_layout(how: RclTake, layout: str) -> None:
    how._layout = take_by_rcl.struct.Struct(f'@PN48x{layout}')


def test_gids_of_another_size_are_found(ground: Ground) -> None:
    """Those of Humble have 24 bytes."""
    how = RclTake(24)
    pair = Pair(ground, how)
    pair.publisher.publish(String(data='a'))
    message = ground.wait_until(pair.by_rcl, 'the message')
    assert len(message[4]) == 24
    assert message[4][:16].hex() in ground.gids(TOPIC)
    pair.close()


@pytest.mark.parametrize(
    ('layout', 'said'),
    [
        ('qq8xQQP16s', 'number'),
        ('8xqqQQP16s', 'publish time'),
        ('qqQQ8xP16s', 'gid'),
    ],
)
def test_another_layout_is_found_out(
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    layout: str,
    said: str,
) -> None:
    make = RclTake.__init__

    def make_wrong(how: RclTake, gid_size: int) -> None:
        make(how, gid_size)
        change_layout(how, layout)

    monkeypatch.setattr(RclTake, '__init__', make_wrong)
    assert rcl_take(ground.node) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'messages are taken by rclpy alone' in record.message
    assert said in record.message
    assert not ground.node.get_publishers_info_by_topic('/ground/_take_trial')


def test_without_the_library(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str) -> None:
        message = f'{name}: cannot open shared object file'
        raise OSError(message)

    monkeypatch.setattr(take_by_rcl.ctypes, 'PyDLL', fail)
    assert rcl_take(ground.node) is None
    assert 'librcl.so: cannot open' in caplog.text


def test_a_message_that_does_not_arrive(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(take_trial, 'DEADLINE_S', 0.05)
    monkeypatch.setattr(take_trial, 'raw_message', lambda *_: pytest.fail('it has come'))
    subscription = take_trial._rclpy.Subscription
    monkeypatch.setattr(
        take_trial._rclpy,
        'Subscription',
        lambda handle, kind, topic, qos: subscription(handle, kind, '/elsewhere', qos),
    )
    assert rcl_take(ground.node) is None
    assert 'is not matched' in caplog.text


@pytest.mark.parametrize('number', [None, 2**64 - 1, -1, 1.0, True, 'x', 2**70])
def test_what_is_no_number(number: Any) -> None:
    assert not is_numbered(number)


def test_an_info_in_which_everything_is_missing() -> None:
    assert raw_message(b'a', {}) == (b'a', 0, 0, None, b'')
    info = {
        'publisher_gid': None,
        'source_timestamp': None,
        'received_timestamp': 'x',
        'publication_sequence_number': 1.5,
    }
    assert raw_message(b'a', info) == (b'a', 0, 0, None, b'')


def test_losses_of_a_queue_that_overflows_are_exact_for_each_publisher(
    ground: Ground, tmp_path: Path, root: Path
) -> None:
    """On every distribution: the recorder knows whose the missing messages were."""
    options = {'topics': [TOPIC], 'intake_depth': 20}
    with RecorderProcess(ground, tmp_path, root, **options) as recorder:
        recorder.make('configure', 'activate')
        publishers = [ground.publisher(String, TOPIC, QoSProfile(depth=1)) for _ in 'ab']
        sent = [0, 0]

        def publish(index: int, count: int) -> None:
            for _ in range(count):
                sent[index] += 1
                publishers[index].publish(String(data=f'{index} {sent[index]}'))

        def publish_bursts() -> bool:
            """Far more than the queue holds, while the intake rests."""
            publish(0, 300)
            publish(1, 300)
            return sum(sent) > 6000

        for index in (0, 1):
            publish(index, 1)
        ground.wait_until(lambda: recorder.stored(TOPIC) == 2, 'the first of both')
        ground.wait_until(publish_bursts, 'losses')
        for index in (0, 1):
            publish(index, 1)
            ground.wait_until(
                lambda index=index: any(
                    f'{index} {sent[index]}\0'.encode() in item.data
                    for item in recorder.stored_messages(TOPIC)
                ),
                'the last of each',
            )
        recorder.make('deactivate')
    flight = recorder.read_flight()
    producers = [item for item in flight.footer.producers if item.topic == TOPIC]
    found = sorted((item.offered + item.lost_transport for item in producers), reverse=True)
    assert found == sorted(sent, reverse=True)
    for item in producers:
        assert item.lost_transport > 0
        assert item.loss_detection == 'sequence'
